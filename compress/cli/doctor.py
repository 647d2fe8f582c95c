"""`bonsai doctor`: what this installation can do, and why not more."""

from __future__ import annotations

import importlib.util
import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np

import compress
import nn

__all__ = ["run"]

EXTRAS = {
    "matplotlib": "charts (extra plot)",
    "hypothesis": "property tests (extra test)",
    "torch": "peer in bench (extra bench)",
    "onnxruntime": "peer in bench (extra bench)",
}


def run() -> int:
    """Print the state of the installation. Running on NumPy alone is slower and no fault: the answer is 0."""
    print(
        f"bonsai {nn.__version__}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"{platform.system()} {platform.machine()}"
    )
    print(f"nn        {nn.__file__}")
    print(f"compress  {compress.__file__}")
    for package, use in EXTRAS.items():
        print(f"{package:<12}{_version(package):<10}{use}")
    why = nn.kernels.why_not_c()
    print()
    if why is not None:
        print(f"C kernels: none, everything runs on the NumPy specifications.\n{why}")
        return 0
    print(f"C kernels: {nn.kernels.isa()}")
    for kernel in nn.kernels.all_kernels():
        print(f"  {kernel.name}")
        for variant in kernel.variants():
            tile = f"{variant.tile[0]}×{variant.tile[1]}" if variant.tile else ""
            print(f"    {variant.name:<32}{variant.isa:<12}{tile}".rstrip())
    return 0


def _version(package: str) -> str:
    if importlib.util.find_spec(package) is None:
        return "missing"
    try:
        return version(package)
    except PackageNotFoundError:
        return "present"

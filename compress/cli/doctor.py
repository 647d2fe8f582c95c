"""`espalier doctor`: what this installation can do, and why not more."""

import importlib.util
import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np

import compress
import nn

EXTRAS = {"matplotlib": "charts (extra plot)", "hypothesis": "property tests (extra test)",
          "torch": "peer in bench (extra bench)", "onnxruntime": "peer in bench (extra bench)"}


def run() -> int:
    """Print the state of the installation. Running on NumPy alone is slower and no fault: the answer is 0."""
    print(f"espalier {nn.__version__}, Python {platform.python_version()}, NumPy {np.__version__}, "
          f"{platform.system()} {platform.machine()}")
    print(f"nn        {nn.__file__}")
    print(f"compress  {compress.__file__}")
    _columns([(package, _version(package), use) for package, use in EXTRAS.items()])
    why = nn.kernels.why_not_c()
    print()
    print(f"GPU: {_gpu()}")
    if why is not None:
        print(f"C kernels: none, everything runs on the NumPy specifications.\n{why}")
        return 0
    print(f"C kernels: {nn.kernels.isa()}")
    variants = {kernel.name: kernel.variants() for kernel in nn.kernels.all_kernels()}
    _columns([line for name, some in variants.items()
              for line in ((f"  {name}", "", ""), *((f"    {v.name}", v.isa, _tile(v)) for v in some))])
    return 0


def _gpu() -> str:
    if why := nn.cuda.why_not():
        return f"none. {why}"
    library = nn.cuda.library()
    return (f"{library.name}, compute capability {'.'.join(map(str, library.capability))}, "
            f"{library.memory / 2**30:.1f} GiB")


def _columns(lines: list[tuple[str, ...]]) -> None:
    """Cells under each other, two spaces apart at least."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _tile(variant: nn.kernels.Variant) -> str:
    return f"{variant.tile[0]}×{variant.tile[1]}" if variant.tile else ""


def _version(package: str) -> str:
    if importlib.util.find_spec(package) is None:
        return "missing"
    try:
        return version(package)
    except PackageNotFoundError:
        return "present"

"""compress: how a network is made small and fast.

compress.prepare(model, compress.Prune(0.9), x) # transforms become the views of the model's weights
...                                             # train on
program = compress.convert(model)               # a flat list of kernel calls
compress.save(program, "small.bonsai")          # one file; compress.load(path)(x) runs it
print(compress.report(program))                 # what it bought
"""

import sys
from importlib import import_module
from pathlib import Path

try:
    import nn.kernels  # noqa: F401
except (ValueError, RuntimeError) as _error:  # NN_ISA, NN_BACKEND or NN_THREADS asks for what is not there
    # To the command (argv is -m while Python looks for compress.__main__) that is bad usage, told in a line.
    if sys.argv[:1] != ["-m"] and Path(sys.argv[0]).stem != "bonsai":
        raise
    print(f"bonsai: {_error}", file=sys.stderr)
    sys.exit(2)

from .calls import ProgramError
from .chain import Chain
from .cluster import Cluster
from .convert import convert
from .files import load, save
from .prepare import prepare
from .program import Program
from .prune import Prune
from .quantize import Quantize
from .recipe import Recipe
from .report import report, weight_errors
from .schedule import Cubic, Once
from .tensor_train import TensorTrain
from .transform import Context, Invariant, Packed, Transform

__all__ = [
    "Chain",
    "Cluster",
    "Context",
    "Cubic",
    "Invariant",
    "Once",
    "Packed",
    "Program",
    "ProgramError",
    "Prune",
    "Quantize",
    "Recipe",
    "TensorTrain",
    "Transform",
    "convert",
    "load",
    "prepare",
    "report",
    "save",
    "weight_errors",
]


def __getattr__(name: str) -> object:
    """`compress.testing` comes when it is first asked for: it needs Hypothesis, and the rest does not."""
    if name == "testing":
        return import_module("compress.testing")
    raise AttributeError(f"module 'compress' has no attribute {name!r}")

"""Everything that `compress` offers by name."""

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
from .unprepare import unprepare

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
    "unprepare",
    "weight_errors",
]

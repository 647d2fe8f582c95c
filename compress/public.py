"""Everything that `compress` offers by name."""

from .chain import Chain
from .convert import convert
from .prepare import prepare
from .program.calls import ProgramError
from .program.files import load, save
from .program.program import Program
from .recipe import Recipe
from .report import report, weight_errors
from .stored import Stored
from .techniques.cluster import Cluster
from .techniques.prune import Prune
from .techniques.quantize import Quantize
from .techniques.schedule import Cubic, Once
from .techniques.tensor_train import TensorTrain
from .transform import Context, Invariant, Transform
from .unprepare import unprepare

__all__ = [
    "Chain",
    "Cluster",
    "Context",
    "Cubic",
    "Invariant",
    "Once",
    "Program",
    "ProgramError",
    "Prune",
    "Quantize",
    "Recipe",
    "Stored",
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

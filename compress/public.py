"""Everything that `compress` offers by name: what stands here, and every technique there is."""

from .chain import Chain
from .convert import convert
from .prepare import prepare, unprepare
from .program.bound import Bound
from .program.files import load, save
from .program.program import Program
from .program.value import ProgramError
from .recipe import Recipe
from .report import report, weight_errors
from .schedule import Cubic, Once
from .stored import Stored
from .techniques import *  # noqa: F403
from .techniques import __all__ as _techniques
from .transform import Context, Invariant, Transform

__all__ = ["Bound", "Chain", "Context", "Cubic", "Invariant", "Once", "Program", "ProgramError", "Recipe",
           "Stored", "Transform", "convert", "load", "prepare", "report", "save", "unprepare",
           "weight_errors", *_techniques]

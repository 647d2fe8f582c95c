"""Everything that `compress` offers by name: what is imported here, and every technique there is."""
# ruff: noqa: F401, F403

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
from .techniques import *
from .transform import Context, Invariant, Transform

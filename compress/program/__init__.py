"""What runs: a Program, its calls, and the kernels that it is bound to."""

from . import ops  # fills the table of ops

__all__ = ["ops"]

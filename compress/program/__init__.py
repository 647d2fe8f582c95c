"""What runs: a Program, its calls, and the kernels that it is bound to."""

from . import ops  # noqa: F401  (fills the table of ops)

"""The calls that a Program is made of: a line each, with everything one can ask of a line."""

from . import direct, layout, multiply, pointwise, pool, winograd
from .call import CALLS, Call, ProgramError, Value, call_from_json

__all__ = [
    "CALLS",
    "Call",
    "ProgramError",
    "Value",
    "call_from_json",
    "direct",
    "layout",
    "multiply",
    "pointwise",
    "pool",
    "winograd",
]

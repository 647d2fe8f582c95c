"""Functions made of several operations: of float16 they are computed in float32 and rounded once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from ..half import any_half
from ..tensor import in_float32

F = TypeVar("F", bound=Callable[..., Any])


def rounded_once(function: F) -> F:
    """The function, not rounded to float16 after each step: a sum may overflow where the mean does not.
    Arguments may be Tensors or arrays; the result is a Tensor, of float16 unless one of them is wider."""
    @wraps(function)
    def rounded(*given, **named):
        if not any_half(given) and not (named and any_half(named.values())):
            return function(*given, **named)
        n = len(given)
        return in_float32(lambda *xs: function(*xs[:n], **dict(zip(named, xs[n:], strict=True))),
                          (*given, *named.values()))
    return rounded

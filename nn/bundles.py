"""Tensors in tuples, lists and dicts, however deep, as one Tensor and back: an operation has one output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .functional.shapes import cat
from .tensor import Tensor


def leaves(x: Any) -> Iterator[Any]:
    """All that is in tuples, lists and dicts, however deep; anything else is a leaf itself."""
    if isinstance(x, (tuple, list, dict)):
        for part in x.values() if isinstance(x, dict) else x:
            yield from leaves(part)
    else:
        yield x


def joined(bundle: Any) -> Tensor | None:
    """The Tensors in it that require grad, end to end, in the widest of their dtypes; None without any."""
    flat = [x.reshape(-1) for x in leaves(bundle) if _recorded(x)]
    return cat(flat) if flat else None


def parted(bundle: Any, one: Tensor) -> Any:
    """A bundle like this one, in which the Tensors that were joined are parts of `one`."""
    if isinstance(one, Tensor):
        one = iter(one.split([x.size for x in leaves(bundle) if _recorded(x)]))
    if isinstance(bundle, dict):
        return {key: parted(value, one) for key, value in bundle.items()}
    if isinstance(bundle, (tuple, list)):
        parts = [parted(value, one) for value in bundle]
        return type(bundle)(*parts) if hasattr(bundle, "_fields") else type(bundle)(parts)
    return next(one).reshape(*bundle.shape).to(bundle.dtype) if _recorded(bundle) else bundle


def _recorded(x):
    return isinstance(x, Tensor) and x.requires_grad

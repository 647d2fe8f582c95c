"""What a transform knows of one weight, as named arrays and back: a part of the model's state_dict.

A State is made of dataclasses, tuples, lists and dicts, and in them arrays, Tensors, numbers and None, so
that a technique need not say how its State is saved."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from nn.tensor import Tensor
from nn.versions import wrote

__all__ = ["from_arrays", "to_arrays"]


def to_arrays(state: Any, name: str = "") -> dict[str, np.ndarray]:
    """Copies of all arrays, Tensors and numbers in `state`, by where they are: "0.mask", "0.step"."""
    parts = _parts(state)
    if parts is not None:
        found = [to_arrays(part, f"{name}.{key}" if name else key) for key, part in parts.items()]
        return {path: array for arrays in found for path, array in arrays.items()}
    if state is None or isinstance(state, str):  # text is a setting, which does not change
        return {}
    if not isinstance(state, (Tensor, np.ndarray, np.generic, bool, int, float)):
        raise TypeError(f"{name}: a State holds arrays, Tensors and numbers; got {type(state).__name__}")
    return {name: np.array(state.data if isinstance(state, Tensor) else state)}


def from_arrays(state: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The State that `to_arrays` took apart, built like `state`, which is of the same weight.

    A Tensor is overwritten and stays the object that the optimizer trains. A field may have no array where
    its default is None. Raises ValueError if the names are not those of `state`, or an array has another
    shape or dtype than what is in its place; then a Tensor may have been overwritten."""
    left = dict(arrays)
    new = _rebuilt(state, left, "")
    if left:
        raise ValueError(f"the State of this weight has no {', '.join(sorted(left))}")
    return new


def _parts(state: Any) -> dict[str, Any] | None:
    """What a container holds, by name; None for anything else."""
    if is_dataclass(state):
        return {field.name: getattr(state, field.name) for field in fields(state)}
    if isinstance(state, (tuple, list)):
        return {str(i): part for i, part in enumerate(state)}
    return {str(key): part for key, part in state.items()} if isinstance(state, dict) else None


def _left_out(old: Any, arrays: dict[str, np.ndarray], name: str) -> set[str]:
    """The fields of a dataclass that are None unless they are given, and have no array here."""
    optional = {field.name for field in fields(old) if field.default is None}
    start = f"{name}." if name else ""
    return {key for key in optional
            if not any(path == start + key or path.startswith(f"{start}{key}.") for path in arrays)}


def _rebuilt(old: Any, arrays: dict[str, np.ndarray], name: str) -> Any:
    """`old` with what is in `arrays`, which is taken out."""
    parts = _parts(old)
    if parts is not None:
        if is_dataclass(old):
            parts.update(dict.fromkeys(_left_out(old, arrays, name)))
        new = {key: _rebuilt(part, arrays, f"{name}.{key}" if name else key) for key, part in parts.items()}
        if is_dataclass(old):
            whole = copy.copy(old)
            for key, part in new.items():
                object.__setattr__(whole, key, part)  # a frozen one too: it is ours until we return it
            return whole
        if isinstance(old, dict):
            return dict(zip(old, new.values(), strict=True))
        return old._make(new.values()) if hasattr(old, "_make") else type(old)(new.values())
    if isinstance(old, str) or (old is None and name not in arrays):
        return old
    if name not in arrays:
        raise ValueError(f"the State of this weight lacks {name}")
    array = arrays.pop(name)
    if isinstance(old, (Tensor, np.ndarray)) and (array.shape, array.dtype) != (old.shape, old.dtype):
        raise ValueError(f"{name} must be {old.dtype}{old.shape}, got {array.dtype}{array.shape}")
    if isinstance(old, Tensor):
        old.data[...] = array
        wrote(old.data)
        return old
    if old is None or isinstance(old, np.ndarray):
        return array.copy()
    if array.shape or array.dtype.kind not in ("b" if isinstance(old, (bool, np.bool_)) else "iuf"):
        raise ValueError(f"{name} must be one number like {old!r}, got {array.dtype}{array.shape}")
    return array[()] if isinstance(old, np.generic) else array.item()

"""What a transform knows of one weight, as named arrays and back: a part of the model's state_dict.

A State is made of dataclasses, tuples, lists and dicts, and in them arrays, Tensors, numbers and None, so
that a technique need not say how its State is saved. A field of a dataclass with the metadata UNSAVED is left
out: what the weight's own State has in it stays."""

import copy
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from typing import Any

import numpy as np

from nn.tensor import Tensor
from nn.versions import wrote

UNSAVED = {"saved": False}


def to_arrays(state: Any, name: str = "") -> dict[str, np.ndarray]:
    """Copies of all arrays, Tensors and numbers in `state`, by where they are: "0.mask", "0.step"."""
    parts = _parts(state, name)
    if parts is not None:
        return {path: array for at, part in parts.items() for path, array in to_arrays(part, at).items()}
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


def _parts(state: Any, name: str) -> dict[str, Any] | None:
    """What a container called `name` holds, by where it is; None for anything else."""
    if is_dataclass(state):
        parts = {field.name: getattr(state, field.name) for field in _saved(state)}
    elif isinstance(state, (tuple, list, dict)):
        parts = state if isinstance(state, dict) else dict(enumerate(state))
    else:
        return None
    return {f"{name}.{key}" if name else str(key): part for key, part in parts.items()}


def _saved(state: Any) -> list[Field]:
    """The fields of a dataclass that are saved."""
    return [field for field in fields(state) if field.metadata.get("saved", True)]


def _rebuilt(old: Any, arrays: dict[str, np.ndarray], name: str) -> Any:
    """`old` with what is in `arrays`, which is taken out."""
    parts = _parts(old, name)
    if is_dataclass(old):
        whole = copy.copy(old)
        for field, (path, part) in zip(_saved(old), parts.items(), strict=True):
            given = any(f"{one}.".startswith(f"{path}.") for one in arrays)
            value = _rebuilt(part if given or field.default is not None else None, arrays, path)
            object.__setattr__(whole, field.name, value)  # a frozen one too: it is ours until we return it
        return whole
    if parts is not None:
        new = [_rebuilt(part, arrays, path) for path, part in parts.items()]
        if isinstance(old, dict):
            return dict(zip(old, new, strict=True))
        return old._make(new) if hasattr(old, "_make") else type(old)(new)
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

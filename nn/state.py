"""The state of a Module, out and in, by name: parameters, buffers, and what the parametrizations of weights
know.

What a parametrization knows (a mask, shared values, ranges) stands below the name of its weight, or of its
Module:

    fc1.weight   fc1.weight.parametrization.0.mask   fc1.weight.parametrization.0.step

So the state of a Module without parametrizations is PyTorch's.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .tensor import Tensor
from .versions import wrote

PARAMETRIZATION = "parametrization"    # no child, parameter or buffer may have this name


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict(strict=False)` passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Held(NamedTuple):
    """An array of the state: the attribute `name` of a Module, a Parameter or a buffer."""

    module: Any
    name: str

    @property
    def array(self) -> np.ndarray:
        return plain(getattr(self.module, self.name))

    def set(self, new: np.ndarray) -> None:
        """In place, where its memory can be written to."""
        old = getattr(self.module, self.name)
        if not plain(old).flags.writeable:
            new = np.array(new, plain(old).dtype)
            if isinstance(old, Tensor):
                old.computed(new)
            else:
                setattr(self.module, self.name, new)
            return
        plain(old)[...] = new
        wrote(plain(old))


class Known(NamedTuple):
    """What a parametrization knows of `weight` (None: it is the parametrization of a Module)."""

    parametrization: Any
    weight: Any

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """By name. TypeError for a parametrization that can't say: its part would be lost without a word."""
        if not (hasattr(self.parametrization, "state_arrays")
                and hasattr(self.parametrization, "load_state")):
            raise TypeError(
                f"state_dict: {name} would hold what a {type(self.parametrization).__name__} knows, and "
                "that has no methods state_arrays() and load_state(arrays)")
        return self.parametrization.state_arrays()

    def check(self, arrays: dict[str, np.ndarray]) -> None:
        """ValueError where the parametrization could not load these: a copy of it tries, so that nothing
        changes."""
        copy.deepcopy(self.parametrization).load_state(arrays)

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        self.parametrization.load_state(arrays)
        if self.weight is not None:
            self.weight.settle()


def state_dict(entries: Iterable[tuple[str, Held | Known]]) -> dict[str, np.ndarray]:
    """Copies of all arrays, by name."""
    state = {}
    for name, entry in entries:
        if isinstance(entry, Held):
            state[name] = entry.array.copy()
        else:
            state.update((f"{name}.{key}", array) for key, array in entry.arrays(name).items())
    return state


def load_state_dict(
    who: str, entries: Iterable[tuple[str, Held | Known]], state: Mapping[str, Any], strict: bool
) -> IncompatibleKeys:
    """Module.load_state_dict of the Module `who`: look at everything, and only then write."""
    if not isinstance(state, Mapping):
        raise TypeError(f"load_state_dict: state must be a mapping of names, got {type(state).__name__}")
    entries = dict(entries)
    held = {name: entry for name, entry in entries.items() if isinstance(entry, Held)}
    known = {name: entry for name, entry in entries.items() if isinstance(entry, Known)}
    below: dict[str, dict[str, Any]] = {name: {} for name in known}
    unexpected = []
    for name in state:
        parametrization, key = _parted(name)
        if parametrization in below:
            below[parametrization][key] = plain(state[name])
        elif name not in held:
            unexpected.append(name)
    missing = [name for name in held if name not in state]
    new = {name: plain(state[name]) for name in held if name in state}
    problems, advice = [], set()

    for name, array in new.items():
        old = held[name].array
        if not isinstance(array, np.ndarray) or not np.can_cast(array.dtype, old.dtype, "same_kind"):
            got = getattr(array, "dtype", type(array).__name__)
            raise TypeError(f"load_state_dict: {name} must be a {old.dtype} array, got {got}")
        if array.shape != old.shape:
            problems.append(f"{name} has shape {old.shape}, got {array.shape}")

    for name, entry in known.items():
        own, given = entry.arrays(name), below[name]
        for key, array in given.items():
            if not isinstance(array, np.ndarray):
                raise TypeError(f"load_state_dict: {name}.{key} must be an array, got {type(array).__name__}")
        try:
            if given or own:
                entry.check(given)
            continue
        except ValueError as error:
            if given and (strict or given.keys() == own.keys()):
                problems.append(f"{name}: {error}")
                advice.add(_OTHER_RECIPE)
                continue
        missing += [f"{name}.{key}" for key in own if key not in given]
        unexpected += [f"{name}.{key}" for key in given if key not in own]
        advice.add(_OTHER_RECIPE if given else _NOT_PREPARED)
        del below[name]
        weight = name.removesuffix(f".{PARAMETRIZATION}")
        if entry.weight is not None and not entry.weight.trains and weight in new:
            del new[weight]    # its parametrization computes it, from what is not in the state
            unexpected += [weight] * (not strict)

    if any(_parted(name)[0] for name in unexpected):
        advice.add(_OTHER_RECIPE)
    if strict and unexpected:
        problems.insert(0, f"unexpected: {_listed(unexpected)}")
    if strict and missing:
        problems.insert(0, f"missing: {_listed(missing)}")
    if problems:
        fault = "; ".join([*problems, *sorted(advice)])
        raise ValueError(f"load_state_dict: the state does not fit {who}: {fault}")

    for name, array in new.items():
        held[name].set(array)
    for name, arrays in below.items():
        if arrays:
            known[name].load(arrays)
    return IncompatibleKeys(missing, unexpected)


_OTHER_RECIPE = "prepare the model with the recipe of the state first"
_NOT_PREPARED = "load the state of a model that is not prepared before the model is"


def plain(value: Any) -> Any:
    """The array of a Tensor; anything else as it is."""
    return value.data if isinstance(value, Tensor) else value


def _parted(name: Any) -> tuple[str, str]:
    """("fc1.weight.parametrization", "0.mask") of a name below a parametrization's; ("", name) of any
    other."""
    head, found, key = f".{name}".partition(f".{PARAMETRIZATION}.")
    return (f"{head}.{PARAMETRIZATION}"[1:], key) if found else ("", name)


def _listed(names: list[Any]) -> str:
    """The names, those below one parametrization together: "fc.bias, fc.weight.parametrization.(0.mask,
    0.step)"."""
    groups: dict[str, list[str]] = {}
    for name in names:
        parametrization, key = _parted(name)
        groups.setdefault(parametrization or str(name), []).append(key)
    return ", ".join(f"{group}.({', '.join(keys)})" if group.endswith(PARAMETRIZATION) else group
                     for group, keys in groups.items())

"""The state of a Module by name, out and in: parameters, buffers, and what parametrizations know.

What a parametrization knows (a scale, an average) stands below the name of its weight, or of its Module:

    fc1.weight   fc1.weight.parametrization.scale   fc1.weight.parametrization.step

So the state of a Module without parametrizations is PyTorch's.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .arguments import flag, instance
from .parameter import Parameter
from .parametrize import Stateful
from .tensor import Tensor
from .versions import wrote

PARAMETRIZATION = "parametrization"  # no child, parameter or buffer may have this name


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
        """In place, where the memory can be written to."""
        old, array = getattr(self.module, self.name), self.array
        if array.flags.writeable:
            array[...] = new
            wrote(array)
        elif isinstance(old, Parameter):
            old.computed(np.array(new, array.dtype))
        else:
            setattr(self.module, self.name, np.array(new, array.dtype))


class Known(NamedTuple):
    """What a parametrization knows: that of `weight`, or of a Module where weight is None."""

    parametrization: Stateful
    weight: Parameter | None

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """By name. TypeError, with the name, for a parametrization that can't say what it knows."""
        try:
            return self.parametrization.state_arrays()
        except TypeError as error:
            raise TypeError(f"state_dict: {name}: {error}") from error


Entries = Iterable[tuple[str, Held | Known]]


def state_dict(entries: Entries) -> dict[str, np.ndarray]:
    """Copies of all arrays, by name."""
    state = {}
    for name, entry in entries:
        if isinstance(entry, Held):
            state[name] = entry.array.copy()
        else:
            state.update((f"{name}.{key}", array) for key, array in entry.arrays(name).items())
    return state


def load_state_dict(who: str, entries: Entries, state: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """Module.load_state_dict of the Module `who`: everything is checked before anything is written."""
    instance("load_state_dict", "state", state, Mapping, "a mapping of names")
    flag("load_state_dict", "strict", strict)
    entries, new, missing, unexpected = dict(entries), {}, [], []
    below = {name: {} for name, entry in entries.items() if isinstance(entry, Known)}
    for name, value in state.items():
        parametrization, key = _parted(name)
        if parametrization in below:
            below[parametrization][key] = plain(value)
        elif name in entries and name not in below:
            new[name] = plain(value)
        else:
            unexpected.append(name)
    problems, advice = [], set()

    for name, entry in entries.items():
        if isinstance(entry, Held):
            old, array = entry.array, new.get(name)
            if name not in new:
                missing.append(name)
            elif not isinstance(array, np.ndarray) or not np.can_cast(array.dtype, old.dtype, "same_kind"):
                got = getattr(array, "dtype", type(array).__name__)
                raise TypeError(f"load_state_dict: {name} must be a {old.dtype} array, got {got}")
            elif array.shape != old.shape:
                problems.append(f"{name} has shape {old.shape}, got {array.shape}")
            continue
        own, given = entry.arrays(name), below[name]
        for key, array in given.items():
            instance("load_state_dict", f"{name}.{key}", array, np.ndarray, "an array")
        try:
            if given or own:
                copy.deepcopy(entry.parametrization).load_state(given)
            continue
        except ValueError as error:
            if given and (strict or given.keys() == own.keys()):
                problems.append(f"{name}: {error}")
                advice.add(_OTHER)
                continue
        missing += [f"{name}.{key}" for key in own if key not in given]
        unexpected += [f"{name}.{key}" for key in given if key not in own]
        advice.add(_OTHER if given else _NONE)
        del below[name]
        weight = name.removesuffix(f".{PARAMETRIZATION}")
        if entry.weight is not None and not entry.weight.trains and weight in new:
            del new[weight]  # its parametrization computes it, from what the state does not have
            unexpected += [weight] * (not strict)

    if any(_parted(name)[0] for name in unexpected):
        advice.add(_OTHER)
    names = {"missing": missing, "unexpected": unexpected} if strict else {}
    problems = [f"{what}: {_listed(some)}" for what, some in names.items() if some] + problems
    if problems:
        fault = "; ".join([*problems, *sorted(advice)])
        raise ValueError(f"load_state_dict: the state does not fit {who}: {fault}")

    for name, entry in entries.items():
        if name in new:
            entry.set(new[name])
    for name, arrays in below.items():
        if arrays:
            parametrization, weight = entries[name]
            parametrization.load_state(arrays)
            if weight is not None:
                weight.settle()
    return IncompatibleKeys(missing, unexpected)


_OTHER = "attach the parametrizations of the state first (compress.prepare: the same recipe)"
_NONE = "load a state without parametrizations before the model gets its own (before compress.prepare)"


def plain(value: Any) -> Any:
    """The array of a Tensor; anything else as it is."""
    return value.data if isinstance(value, Tensor) else value


def _parted(name: Any) -> tuple[str, str]:
    """("fc1.weight.parametrization", "0.mask") of a name below a parametrization; ("", name) of any other."""
    head, found, key = f".{name}".partition(f".{PARAMETRIZATION}.")
    return (f"{head}.{PARAMETRIZATION}"[1:], key) if found else ("", name)


def _listed(names: list[Any]) -> str:
    """The names, those below one parametrization together: "bias, weight.parametrization.(mask, step)"."""
    groups: dict[str, list[str]] = {}
    for name in names:
        parametrization, key = _parted(name)
        groups.setdefault(parametrization or str(name), []).append(key)
    return ", ".join(f"{group}.({', '.join(keys)})" if group.endswith(PARAMETRIZATION) else group
                     for group, keys in groups.items())

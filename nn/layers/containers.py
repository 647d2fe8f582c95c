"""Modules that contain others, or pass their input on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .. import functional as F
from ..arguments import instance
from ..module import Module
from ..tensor import Tensor
from .checks import integer
from .function import FunctionLayer


def _put(container, name, module):
    setattr(container, name, instance(type(container).__name__, name, module, Module, "a Module"))


class _Container(Module):
    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __getitem__(self, index: int | slice) -> Module:
        """A Module; of a slice, a container of the Modules themselves. Those of a Sequential keep their
        names, those of a ModuleList are named from "0" on."""
        if not isinstance(index, slice):
            return list(self)[index]
        kind, base = type(self), Sequential if isinstance(self, Sequential) else ModuleList
        kind = kind if kind.__init__ is base.__init__ else base  # unless it is built from other things
        chosen = dict(list(self.named_children())[index])
        return kind(chosen if base is Sequential else chosen.values())


class Sequential(_Container):
    """Modules one after another, named "0", "1", … or by the keys of one mapping. modules: any number of
    them, or one mapping of names to them. Raises TypeError for what is not a Module."""

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        named: Mapping[str, object] = {str(i): module for i, module in enumerate(modules)}
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named = modules[0]
        for name, module in named.items():
            if not isinstance(name, str):
                raise TypeError(f"Sequential: names must be text, got {name!r}")
            _put(self, name, module)

    def forward(self, x: Tensor) -> Tensor:
        for module in self:
            x = module(x)
        return x


class ModuleList(_Container):
    """A list of Modules, named "0", "1", …, for a forward of your own. modules: any iterable of the first
    ones. Raises TypeError for what is not a Module."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def append(self, module: Module) -> ModuleList:
        """One more `module` at the end; returns the list. Raises TypeError for what is not a Module."""
        _put(self, str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """More `modules` at the end; returns the list. Raises TypeError for what is not a Module."""
        for module in instance("ModuleList", "modules", modules, Iterable, "a list of Modules"):
            self.append(module)
        return self


class Identity(Module):
    """x itself; the args and kwargs that it is built with are ignored: it can stand in for any layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        return x


class Flatten(FunctionLayer, function=F.flatten):
    """Dimensions start_dim to end_dim as one; by default all but the batch. Raises TypeError for no int."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = integer(self, "start_dim", start_dim)
        self.end_dim = integer(self, "end_dim", end_dim)

"""Modules that contain others, or pass their input on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .. import functional as F
from ..arguments import instance, is_int
from ..module import Module
from ..tensor import Tensor


class Sequential(Module):
    """Modules one after another, named "0", "1", … or by the keys of one mapping.

    modules: any number of them, or one mapping of names to them. Raises TypeError for what is not a Module.
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        named: Mapping[str, object] = {str(i): module for i, module in enumerate(modules)}
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named = modules[0]
        for name, module in named.items():
            if not isinstance(name, str):
                raise TypeError(f"Sequential: names must be text, got {name!r}")
            setattr(self, name, instance("Sequential", name, module, Module, "a Module"))

    def forward(self, x: Tensor) -> Tensor:
        for module in self:
            x = module(x)
        return x

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __getitem__(self, index: int | slice) -> Module:
        """A Module; of a slice, a Sequential of the Modules themselves, which keep their names."""
        if isinstance(index, slice):
            return _alike(self, Sequential)(dict(list(self.named_children())[index]))
        return list(self)[index]


class ModuleList(Module):
    """A list of Modules, named "0", "1", …, for a forward of your own.

    modules: any iterable of the first ones. Raises TypeError for what is not a Module.
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def append(self, module: Module) -> ModuleList:
        """One more `module` at the end; returns the list. Raises TypeError for what is not a Module."""
        name = str(len(self))
        setattr(self, name, instance("ModuleList", name, module, Module, "a Module"))
        return self

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """More `modules` at the end; returns the list. Raises TypeError for what is not a Module."""
        for module in instance("ModuleList", "modules", modules, Iterable, "a list of Modules"):
            self.append(module)
        return self

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __getitem__(self, index: int | slice) -> Module:
        """A Module; of a slice, a ModuleList of the Modules themselves, named from "0" on."""
        if isinstance(index, slice):
            return _alike(self, ModuleList)(list(self)[index])
        return list(self)[index]


def _alike(container: Module, base: type[Module]) -> type[Module]:
    """The class of a slice: the container's own, unless that is built from other things than `base` is."""
    own = type(container)
    return own if own.__init__ is base.__init__ else base


class Identity(Module):
    """x itself; the args and kwargs that it is built with are ignored, so that it can stand in for any layer.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        return x


class Flatten(Module):
    """Dimensions start_dim to end_dim as one; by default all but the batch. Raises TypeError for no int."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        for name, dim in (("start_dim", start_dim), ("end_dim", end_dim)):
            if not is_int(dim):
                raise TypeError(f"Flatten: {name} must be an int, got {dim!r}")
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        return F.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"

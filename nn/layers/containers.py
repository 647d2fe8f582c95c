"""Modules that hold or pass on others' work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nn import functional as F
from nn.arguments import is_int
from nn.module import Module
from nn.tensor import Tensor


class Sequential(Module):
    """Modules one after another, named "0", "1", … or by the keys of one mapping."""

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        named: Mapping[str, object] = {str(i): module for i, module in enumerate(modules)}
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named = modules[0]
        for name, module in named.items():
            if not isinstance(module, Module):
                raise TypeError(f"Sequential: {name} must be a Module, got {type(module).__name__}")
            setattr(self, name, module)

    def forward(self, x: Tensor) -> Tensor:
        for module in self:
            x = module(x)
        return x

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __getitem__(self, index: int) -> Module:
        return list(iter(self))[index]


class ModuleList(Module):
    """A list of Modules, named "0", "1", …, for a forward of one's own."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def append(self, module: Module) -> ModuleList:
        """One more at the end; returns the list."""
        if not isinstance(module, Module):
            raise TypeError(f"ModuleList: {len(self)} must be a Module, got {type(module).__name__}")
        setattr(self, str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """More at the end; returns the list."""
        for module in modules:
            self.append(module)
        return self

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __getitem__(self, index: int) -> Module:
        return list(iter(self))[index]


class Identity(Module):
    """x itself; whatever it is built with is ignored, so that it can stand in for any layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        return x


class Flatten(Module):
    """Dimensions start_dim to end_dim as one; by default all but the batch."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        for name, dim in (("start_dim", start_dim), ("end_dim", end_dim)):
            if not is_int(dim):
                raise TypeError(f"Flatten: {name} must be an int, got {dim!r}")
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        return F.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"

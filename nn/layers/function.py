"""A layer that is one function, with settings."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np

from ..module import Module
from ..tensor import Tensor

OF = "nn.function"  # the class attribute of the function and its settings: no user's has a dot in its name


class FunctionLayer(Module):
    """y = function(x, …): what the function takes behind its input are attributes of the layer. A subclass is
    given its function, `class Softmax(FunctionLayer, function=F.softmax)`, whose docstring it takes if it has
    none, and sets in its __init__, once they are checked, an attribute of the same name for each argument
    that follows x."""

    def __init_subclass__(cls, function: Callable[..., Tensor] | None = None, **more: Any) -> None:
        super().__init_subclass__(**more)
        if function is not None:
            inputs = cls.forward.__code__.co_argcount - 1
            setattr(cls, OF, (function, tuple(signature(function).parameters)[inputs:]))
            cls.__doc__ = cls.__doc__ or function.__doc__

    def forward(self, x: Tensor) -> Tensor:
        function, names = getattr(self, OF)
        return function(x, **{name: getattr(self, name) for name in names})

    def extra_repr(self) -> str:
        given = {name: getattr(self, name) for name in getattr(self, OF)[1] if name != "training"}
        return ", ".join(f"{name}={value!r}" for name, value in given.items()
                         if value is not None and not isinstance(value, np.ndarray))

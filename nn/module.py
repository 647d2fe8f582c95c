"""A network is a tree of Modules whose leaves are Parameters, found by looking at attributes.

There is no registration: a Module's parameters are those of its attributes that are Parameters, its children
those that are Modules, in the order in which they were set. So `copy.deepcopy(model)` is an ordinary copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any, TypeVar

import numpy as np

from . import state as states
from .arguments import numeric
from .context import ambient
from .parameter import Parameter
from .state import PARAMETRIZATION, Held, IncompatibleKeys, Known
from .tensor import Tensor

M = TypeVar("M", bound="Module")


class Module:
    """Base class of everything with parameters: set attributes in `__init__`, compute in `forward`.

    A forward that a subclass lacks raises TypeError when it is called.
    Raises: each method says what.
    """

    training: bool = True
    parametrization: Callable[..., Tensor] | None = None    # computes in place of forward
    _buffers: tuple[str, ...] = ()  # names of the attributes that are saved but not trained

    def forward(self, *args: Any) -> Tensor:
        """What the module computes of its args; every subclass has its own. Raises TypeError in one that has
        none.
        """
        raise TypeError(f"{type(self).__name__} has no forward method")

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        tracer = ambient.context.tracer
        if tracer is None:
            computed = self.parametrization
            return self.forward(*args, **kwargs) if computed is None else computed(self, *args, **kwargs)
        tracer.enter(self)
        try:
            return self.forward(*args, **kwargs)
        finally:
            tracer.leave()

    # The tree

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (Module, Parameter)):
            self._check_name(name)
            if name in self._buffers:    # it was one
                self._buffers = tuple(buffer for buffer in self._buffers if buffer != name)
        elif name in self._buffers and not isinstance(value, (np.ndarray, Tensor, type(None))):
            value = self._as_buffer(name, value)
        object.__setattr__(self, name, value)

    def _check_name(self, name: str) -> None:
        """Raise ValueError where a child, a Parameter or a buffer of this name would hide what is there."""
        who = f"{type(self).__name__}: {name!r}"
        if not name or "." in name:
            raise ValueError(f"{who} can't be the name of a child or parameter: it must not be empty, and "
                             "dots part the names of the state dict")
        ours = hasattr(Module, name) or isinstance(getattr(type(self), name, None), FunctionType)
        if ours or name == PARAMETRIZATION:
            raise ValueError(f"{who} can't be the name of a child or parameter: it is that of a method or "
                             "attribute of the Module itself; choose another")

    def _as_buffer(self, name: str, value: Any) -> np.ndarray:
        """A number, such as NumPy makes of a 0-d array's sum, as the array that it stands for."""
        if not isinstance(value, (np.generic, bool, int, float)):
            raise TypeError(f"{type(self).__name__}: the buffer {name} must be an array, a number or None, "
                            f"got {type(value).__name__}")
        old, new = getattr(self, name, None), np.asarray(value)
        keep = isinstance(old, np.ndarray) and np.can_cast(new.dtype, old.dtype, "same_kind")
        return new.astype(old.dtype) if keep else new

    def register_buffer(self, name: str, array: np.ndarray | None) -> None:
        """Set an attribute that belongs to the state and is not trained: an array, changed in place, or None
        for one that is not there (yet), which the state leaves out.

        Raises: TypeError for anything else, ValueError for a name that something else has.
        """
        if not isinstance(name, str):
            raise TypeError(f"register_buffer: a name must be text, got {type(name).__name__}")
        if array is not None and not isinstance(array, np.ndarray):
            raise TypeError(f"register_buffer: {name} must be a NumPy array, got {type(array).__name__}")
        if name not in self._buffers:
            self._check_name(name)
            if name in vars(self):
                raise ValueError(f"register_buffer: {type(self).__name__} has an attribute {name!r} already")
            self._buffers = (*self._buffers, name)
        setattr(self, name, array)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The Modules among the attributes."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def children(self) -> Iterator[Module]:
        """The Modules among the attributes, each once, without their names."""
        return iter({id(child): child for _, child in self.named_children()}.values())

    def modules(self) -> Iterator[Module]:
        """This Module and all below it, parents first, each once."""
        return (module for _, module in self.named_modules())

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """Call fn(module) for all below this Module and then for itself, children first; returns the Module.

        To start weights in another way, for instance: fn looks what it was given, and what it returns is
        ignored. A Module that has two places is visited in both.
        """
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This Module ('' or `prefix`) and all below it by dotted path, parents first, each once."""
        return self._walk(prefix, set())

    def _walk(self, path: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
        if id(self) in seen:
            return
        seen.add(id(self))
        yield path, self
        for name, child in self.named_children():
            yield from child._walk(f"{path}.{name}" if path else name, seen)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """The Parameters by dotted path, each once; whatever parametrization they have, the weights
        themselves."""
        seen = set()
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def parameters(self) -> Iterator[Parameter]:
        """What an optimizer trains: for a Parameter with a parametrization, what the parametrization names in
        its place."""
        seen = set()
        for _, parameter in self.named_parameters():
            for trainable in parameter.trainables():
                if id(trainable) not in seen:
                    seen.add(id(trainable))
                    yield trainable

    def named_buffers(self) -> Iterator[tuple[str, np.ndarray]]:
        """The arrays that are saved but not trained (running means, for instance) by dotted path."""
        for path, module in self.named_modules():
            for name in module._buffers:
                array = states.plain(getattr(module, name, None))
                if array is not None:
                    yield (f"{path}.{name}" if path else name), array

    # Modes

    def train(self: M, mode: bool = True) -> M:
        """Training mode for this Module and all below it: batch statistics, dropout. Returns the Module."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Evaluation mode: running statistics, no dropout. Returns the Module."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for _, parameter in self.named_parameters():
            for trainable in (parameter, *parameter.trainables()):
                trainable.grad = None

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Whether the parameters get gradients; requires_grad=False freezes them. Returns the Module."""
        for _, parameter in self.named_parameters():
            for trainable in (parameter, *parameter.trainables()):
                trainable.requires_grad = requires_grad
        return self

    def to(self: M, dtype: Any) -> M:
        """Turn all float parameters, their gradients, and float buffers into another float dtype, in place.

        Returns the Module. Buffers of integers stay. An optimizer or an average that was built before refuses
        to go on, for its state has the old dtype: build it afterwards.
        Raises: TypeError for what is no float dtype (there is one device, the CPU); RuntimeError if a weight
        is compressed in training, whose masks or codebooks would not fit: convert before prepare. Then
        nothing was changed.
        """
        dtype = numeric("to", dtype, "f")
        for path, parameter in self.named_parameters():
            if parameter.parametrization is not None:
                raise RuntimeError(
                    f"to: {path} is seen through a {type(parameter.parametrization).__name__}, which was "
                    f"made for {parameter.dtype}; convert the model before it is prepared")
        for _, parameter in self.named_parameters():
            if parameter.dtype.kind == "f" and parameter.dtype != dtype:
                parameter.data = parameter.data.astype(dtype)
                if parameter.grad is not None:
                    parameter.grad = getattr(parameter.grad, "_data", parameter.grad).astype(dtype)
        for module in self.modules():
            for name in module._buffers:
                array = getattr(module, name, None)
                if getattr(array, "dtype", dtype).kind == "f" and array is not None:
                    setattr(module, name, array.astype(dtype))
        return self

    def float(self: M) -> M:
        """All float parameters and buffers as float32: to(np.float32)."""
        return self.to(np.float32)

    def double(self: M) -> M:
        """All float parameters and buffers as float64: to(np.float64)."""
        return self.to(np.float64)

    def half(self: M) -> M:
        """All float parameters and buffers as float16: to(np.float16)."""
        return self.to(np.float16)

    # State

    def _state(self, path: str = "") -> Iterator[tuple[str, Held | Known]]:
        """Parameters, buffers, then children: PyTorch's order. A shared Module appears under each name."""
        own = {name: value for name, value in vars(self).items() if isinstance(value, Parameter)}
        own.update((name, getattr(self, name, None)) for name in self._buffers)
        for name, value in own.items():
            if value is not None:
                yield path + name, Held(self, name)
            if isinstance(value, Parameter) and value.parametrization is not None:
                yield f"{path}{name}.{PARAMETRIZATION}", Known(value.parametrization, value)
        if self.parametrization is not None:
            yield path + PARAMETRIZATION, Known(self.parametrization, None)
        for name, child in self.named_children():
            yield from child._state(f"{path}{name}.")

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers by name, for `nn.save` and `load_state_dict`.

        What is known of a weight that is seen through a parametrization (after compress.prepare: masks,
        shared values, cores, steps of schedules) stands below its name: "fc1.weight.parametrization.0.mask".
        Ranges of activations stand below "parametrization". TypeError for a parametrization that can't say
        what it knows.
        """
        return states.state_dict(self._state())

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Set all parameters and buffers, in place, and what parametrizations know, from arrays or Tensors by
        name.

        A model that was prepared for compression takes the state of one that was prepared alike, and
        computes from then on what that one did. strict=False passes over names that only one side has, and
        returns them; a parametrization is passed over as a whole, and with it a weight that it computes.
        Raises: TypeError for values that are no arrays, or of a dtype that can't become the parameter's;
        ValueError listing the missing and unexpected names, wrong shapes, and what does not fit the recipe.
        Then nothing was changed.
        """
        return states.load_state_dict(type(self).__name__, self._state(), state, strict)

    # Text

    def extra_repr(self) -> str:
        """What a subclass shows between its parentheses."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        head = [self.extra_repr()] if self.extra_repr() else []
        return "\n  ".join([f"{type(self).__name__}(", *head, *lines]) + "\n)"

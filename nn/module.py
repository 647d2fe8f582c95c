"""A network is a tree of Modules whose leaves are Parameters, found by looking at attributes.

There is no registration: a Module's parameters are those of its attributes that are Parameters, its children
those that are Modules, in the order in which they were set. So `copy.deepcopy(model)` is an ordinary copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from nn import tensor as engine
from nn.arguments import numeric
from nn.backward import wrote
from nn.tensor import Tensor

M = TypeVar("M", bound="Module")


class View(Protocol):
    """What stands between a weight and its layer while it is compressed in training."""

    def project(self, parameter: Parameter) -> Tensor:
        """The weight as the layer sees it."""

    def trainables(self, parameter: Parameter) -> list[Parameter]:
        """What an optimizer trains in the weight's place: often the weight itself."""

    def update(self, parameter: Parameter, step: int) -> None:
        """Called after optimizer step number `step` (from 1): schedules, masks, moving averages."""


class Parameter(Tensor):
    """A Tensor that is trained: of `data`, an array, which is copied; requires_grad: False for one that is
    frozen.

    `view` is None, or stands between it and its layer. `source` is set on a Parameter that is trained in the
    place of another one: it is that other one.
    Raises TypeError for data that has no floats, or is none.
    """

    __slots__ = ("source", "view")

    def __init__(self, data: np.ndarray, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)
        self.view: View | None = None
        self.source: Parameter | None = None

    def viewed(self) -> Tensor:
        """What a layer multiplies with: this Parameter, seen through its view.

        A trace speaks of a weight by its name, so while tracing the view stays closed.
        """
        if self.view is None or engine.tracer is not None:
            return self
        return self.view.project(self)

    def trainables(self) -> list[Parameter]:
        """What an optimizer trains: this Parameter, or what its view names instead.

        Raises: TypeError if the view names anything but Parameters.
        """
        if self.view is None:
            return [self]
        found = self.view.trainables(self)
        for trainable in found:
            if not isinstance(trainable, Parameter):
                view, got = type(self.view).__name__, type(trainable).__name__
                raise TypeError(f"{view}.trainables must give Parameters, got {got}")
            if trainable is not self:
                trainable.source = self
        return found


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict(strict=False)` passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base class of everything with parameters: set attributes in `__init__`, compute in `forward`.

    A forward that a subclass lacks raises TypeError when it is called.
    Raises: each method says what.
    """

    training: bool = True
    view: Callable[..., Tensor] | None = None  # computes in place of forward, as a Parameter's view does
    _buffers: tuple[str, ...] = ()  # names of the attributes that are saved but not trained

    def forward(self, *args: Any) -> Tensor:
        """What the module computes of its args; every subclass has its own. Raises TypeError in one that has
        none.
        """
        raise TypeError(f"{type(self).__name__} has no forward method")

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        tracer = engine.tracer
        if tracer is None:
            return self.forward(*args, **kwargs) if self.view is None else self.view(self, *args, **kwargs)
        tracer.enter(self)
        try:
            return self.forward(*args, **kwargs)
        finally:
            tracer.leave()

    # The tree

    def register_buffer(self, name: str, array: np.ndarray) -> None:
        """Set an attribute that belongs to the state and is not trained (an array, changed in place)."""
        if not isinstance(array, np.ndarray):
            raise TypeError(f"register_buffer: {name} must be a NumPy array, got {type(array).__name__}")
        setattr(self, name, array)
        self._buffers = (*self._buffers, name)

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
        """The Parameters by dotted path, each once; whatever view they have, the weights themselves."""
        seen = set()
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def parameters(self) -> Iterator[Parameter]:
        """What an optimizer trains: for a Parameter with a view, what the view names in its place."""
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
                yield (f"{path}.{name}" if path else name), getattr(module, name)

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
            if parameter.view is not None:
                raise RuntimeError(f"to: {path} is seen through a {type(parameter.view).__name__}, which was "
                                   f"made for {parameter.dtype}; convert the model before it is prepared")
        for _, parameter in self.named_parameters():
            if parameter.dtype.kind == "f" and parameter.dtype != dtype:
                parameter.data = parameter.data.astype(dtype)
                if parameter.grad is not None:
                    parameter.grad = _array(parameter.grad).astype(dtype)
        for module in self.modules():
            for name in module._buffers:
                array = getattr(module, name)
                if isinstance(array, np.ndarray) and array.dtype.kind == "f":
                    setattr(module, name, array.astype(dtype, copy=False))
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

    def _state(self, path: str = "") -> Iterator[tuple[str, Parameter | np.ndarray]]:
        """Parameters, buffers, then children: PyTorch's order. A shared Module appears under each name."""
        own = {name: value for name, value in vars(self).items() if isinstance(value, Parameter)}
        own.update((name, getattr(self, name)) for name in self._buffers)
        yield from ((path + name, value) for name, value in own.items())
        for name, child in self.named_children():
            yield from child._state(f"{path}{name}.")

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers by name, for `nn.save` and `load_state_dict`."""
        return {name: _array(value).copy() for name, value in self._state()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Set all parameters and buffers, in place, from arrays or Tensors by name.

        strict=False passes over names that only one side has, and returns them.
        Raises: TypeError for values that are no arrays, or of a dtype that can't become the parameter's;
        ValueError listing the missing and unexpected names and wrong shapes. Then nothing was changed.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"load_state_dict: state must be a mapping of names, got {type(state).__name__}")
        own = dict(self._state())
        missing = [name for name in own if name not in state]
        unexpected = [name for name in state if name not in own]
        new = {name: _array(state[name]) for name in own if name in state}
        problems = []
        if strict and missing:
            problems.append(f"missing: {', '.join(missing)}")
        if strict and unexpected:
            problems.append(f"unexpected: {', '.join(map(str, unexpected))}")
        for name, array in new.items():
            old = _array(own[name])
            if not isinstance(array, np.ndarray) or not np.can_cast(array.dtype, old.dtype, "same_kind"):
                got = getattr(array, "dtype", type(array).__name__)
                raise TypeError(f"load_state_dict: {name} must be a {old.dtype} array, got {got}")
            if array.shape != old.shape:
                problems.append(f"{name} has shape {old.shape}, got {array.shape}")
        if problems:
            fault = "; ".join(problems)
            raise ValueError(f"load_state_dict: the state does not fit {type(self).__name__}: {fault}")
        for name, array in new.items():
            _overwrite(own[name], array)
        return IncompatibleKeys(missing, unexpected)

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


def _array(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else value


def _overwrite(target: Parameter | np.ndarray, array: np.ndarray) -> None:
    _array(target)[...] = array
    wrote(_array(target))

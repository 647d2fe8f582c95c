"""A network is a tree of Modules whose leaves are Parameters, found by looking at attributes.

There is no registration: a Module's parameters are those of its attributes that are Parameters, its children
those that are Modules, in the order in which they were set. So `copy.deepcopy(model)` is an ordinary copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any, Protocol, TypeVar

import numpy as np

from nn import state as states
from nn.arguments import numeric
from nn.backward import wrote
from nn.context import ambient, no_grad
from nn.state import PARAMETRIZATION, Held, IncompatibleKeys, Known
from nn.tensor import Tensor

M = TypeVar("M", bound="Module")


class View(Protocol):
    """What stands between a weight and its layer while it is compressed in training.

    A view may compute the weight from other Parameters, which train in its place. The weight's array is
    read-only then: what is written there would be lost. The view itself sets it by `Parameter.computed`.
    """

    def project(self, parameter: Parameter) -> Tensor:
        """The weight as the layer sees it."""

    def trainables(self, parameter: Parameter) -> list[Parameter]:
        """What an optimizer trains in the weight's place: often the weight itself.

        Where that changes as the training goes on, all of them, and `active(parameter)`, which a view may
        have, names those that the layer sees now.
        """

    def update(self, parameter: Parameter, step: int) -> None:
        """Called after optimizer step number `step` (from 1): schedules, masks, moving averages."""

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Copies of all that the view knows, by name: a part of the model's state."""

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from `state_arrays()`; ValueError where they do not fit."""


class Parameter(Tensor):
    """A Tensor that is trained: of `data`, an array, which is copied; requires_grad: False for one that is
    frozen.

    `view` is None, or stands between it and its layer. `source` is set on a Parameter that is trained in the
    place of another one: it is that other one. What trains in its place is frozen (requires_grad) with it.
    Raises TypeError for data that has no floats, or is none.
    """

    __slots__ = ("_view", "source")

    def __init__(self, data: np.ndarray, requires_grad: bool = True) -> None:
        self._view: View | None = None
        self.source: Parameter | None = None
        super().__init__(data, requires_grad)

    @property
    def view(self) -> View | None:
        """What stands between this Parameter and its layer."""
        return self._view

    @view.setter
    def view(self, view: View | None) -> None:
        self._view = view
        if not self.requires_grad:
            self.requires_grad = False    # of what trains in its place
        self.settle()

    @property
    def requires_grad(self) -> bool:
        """Whether this Parameter, or what its view trains in its place, gets a gradient."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        Tensor.requires_grad.fset(self, wanted)
        for trainable in self.trainables():
            if trainable is not self:
                trainable.requires_grad = wanted

    def viewed(self) -> Tensor:
        """What a layer multiplies with: this Parameter, seen through its view.

        A trace speaks of a weight by its name, so while tracing the view stays closed.
        """
        if self._view is None or ambient.context.tracer is not None:
            return self
        return self._view.project(self)

    def trainables(self) -> list[Parameter]:
        """What an optimizer trains: this Parameter, or what its view names instead.

        Raises: TypeError if the view names anything but Parameters.
        """
        if self._view is None:
            return [self]
        found = self._view.trainables(self)
        for trainable in found:
            if not isinstance(trainable, Parameter):
                view, got = type(self._view).__name__, type(trainable).__name__
                raise TypeError(f"{view}.trainables must give Parameters, got {got}")
            if trainable is not self:
                trainable.source = self
        return found

    def active(self) -> list[Parameter]:
        """Those of `trainables()` that the layer sees now."""
        return self._view.active(self) if hasattr(self._view, "active") else self.trainables()

    # A weight that its view computes

    @property
    def trains(self) -> bool:
        """Whether this Parameter itself is trained now; else its view computes it from others."""
        return any(trainable is self for trainable in self.active())

    def settle(self) -> None:
        """Take note of what the view trains now: the array is read-only where that is not this Parameter."""
        if not self.trains:
            self._data.flags.writeable, self.grad = False, None
        elif not self._data.flags.writeable:
            try:
                self._data.flags.writeable = True
            except ValueError:    # the memory is someone's who does not want it written to
                self._data = self._data.copy()

    def computed(self, array: np.ndarray) -> None:
        """Have this array: for the view, which computed it."""
        if array is not self._data:
            wrote(self._data)
            self._data = array
        self.settle()

    def recompute(self) -> None:
        """Where the view computes it, do so anew: what it is computed from was written to."""
        if not self.trains:
            with no_grad():
                self.computed(np.array(self._view.project(self).data, order="C"))

    @property
    def data(self) -> np.ndarray:
        """The array itself; see Tensor.data. RuntimeError for a write to a weight that its view computes."""
        return self._data

    @data.setter
    def data(self, value: np.ndarray) -> None:
        self._check_own("data")
        Tensor.data.fset(self, value)

    def _check_own(self, operation):
        if self._view is not None and not self.trains:
            shapes = ", ".join(str(trainable.shape) for trainable in self.active())
            raise RuntimeError(f"{operation}: this weight {self.shape} is computed, by {self._view!r}, from "
                               f"what trains in its place (shapes {shapes}), so that a write would be lost; "
                               "write before the model is prepared, or to what its trainables() gives")

    def __reduce_ex__(self, protocol):
        new, arguments, state, *rest = super().__reduce_ex__(protocol)
        return new, arguments, (*state, self._data.flags.writeable), *rest

    def __setstate__(self, state):
        _, slots, writeable = state    # (no class of Tensors has a __dict__)
        for name, value in slots.items():
            setattr(self, name, value)
        self._data.flags.writeable = writeable    # a copy of a read-only array is not, for NumPy


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
        tracer = ambient.context.tracer
        if tracer is None:
            return self.forward(*args, **kwargs) if self.view is None else self.view(self, *args, **kwargs)
        tracer.enter(self)
        try:
            return self.forward(*args, **kwargs)
        finally:
            tracer.leave()

    # The tree

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (Module, Parameter)):
            self._check_name(name)
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
            if parameter.view is not None:
                raise RuntimeError(f"to: {path} is seen through a {type(parameter.view).__name__}, which was "
                                   f"made for {parameter.dtype}; convert the model before it is prepared")
        for _, parameter in self.named_parameters():
            if parameter.dtype.kind == "f" and parameter.dtype != dtype:
                parameter.data = parameter.data.astype(dtype)
                if parameter.grad is not None:
                    parameter.grad = getattr(parameter.grad, "_data", parameter.grad).astype(dtype)
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

    def _state(self, path: str = "") -> Iterator[tuple[str, Held | Known]]:
        """Parameters, buffers, then children: PyTorch's order. A shared Module appears under each name."""
        own = {name: value for name, value in vars(self).items() if isinstance(value, Parameter)}
        own.update((name, getattr(self, name, None)) for name in self._buffers)
        for name, value in own.items():
            if value is not None:
                yield path + name, Held(self, name)
            if isinstance(value, Parameter) and value.view is not None:
                yield f"{path}{name}.{PARAMETRIZATION}", Known(value.view, value)
        if self.view is not None:
            yield path + PARAMETRIZATION, Known(self.view, None)
        for name, child in self.named_children():
            yield from child._state(f"{path}{name}.")

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers by name, for `nn.save` and `load_state_dict`.

        What is known of a weight that is seen through a view (after compress.prepare: masks, shared values,
        cores, steps of schedules) stands below its name: "fc1.weight.parametrization.0.mask". Ranges of
        activations stand below "parametrization". TypeError for a view that can't say what it knows.
        """
        return states.state_dict(self._state())

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Set all parameters and buffers, in place, and what views know, from arrays or Tensors by name.

        A model that was prepared for compression takes the state of one that was prepared alike, and
        computes from then on what that one did. strict=False passes over names that only one side has, and
        returns them; a view is passed over as a whole, and with it a weight that it computes.
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

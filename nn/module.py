"""A network is a tree of Modules whose leaves are Parameters, found by looking at attributes.

There is no registration: a Module's parameters are those of its attributes that are Parameters, its children
those that are Modules, in the order in which they were set. So `copy.deepcopy(model)` is an ordinary copy.
Only what is public is a method: a subclass may use all other names, and override those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any, TypeVar

import numpy as np

from . import state as states
from .arguments import flag, instance, numeric
from .context import Block, Brief, ambient, undoing
from .parameter import Parameter
from .parametrize import ModuleParametrization
from .state import PARAMETRIZATION, Held, IncompatibleKeys, Known
from .tensor import Tensor

M = TypeVar("M", bound="Module")
BUFFERS = "nn.buffers"  # the key in vars(module) of a tuple of names: nobody sets an attribute with a dot


def _as(dtype):
    def method(self: M) -> M:
        return self.to(dtype)
    method.__doc__ = f"All float parameters and buffers as {dtype.__name__}: to(np.{dtype.__name__})."
    return method


class Module:
    """Base class of everything with parameters: set attributes in `__init__`, compute in `forward`.

    `training` is its mode. `parametrization`, if not None, computes in place of forward. Raises: see methods.
    """

    training: bool = True
    parametrization: ModuleParametrization | None = None

    def forward(self, *args: Any) -> Tensor:
        """What the module computes of its args. Raises TypeError in a subclass without one of its own."""
        raise TypeError(f"{type(self).__name__} has no forward method")

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        context = ambient.context
        if context.tracer is None:
            computed = self.parametrization
            out = self.forward(*args, **kwargs) if computed is None else computed(self, *args, **kwargs)
        else:
            context.tracer.enter(self)
            try:
                out = self.forward(*args, **kwargs)
            finally:
                context.tracer.leave()
        if context.forward_hook is not None:
            context.forward_hook(self, out)
        return out

    # The tree

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (Module, Parameter)):
            _check_name(self, name)
            if name in buffers_of(self):  # it was one
                vars(self)[BUFFERS] = tuple(buffer for buffer in buffers_of(self) if buffer != name)
        elif name in buffers_of(self) and not isinstance(value, (np.ndarray, Tensor, type(None))):
            value = _as_buffer(self, name, value)
        elif name == PARAMETRIZATION:
            instance(type(self).__name__, name, value, (ModuleParametrization, type(None)),
                     "an nn.parametrize.ModuleParametrization or None")
        object.__setattr__(self, name, value)

    def register_buffer(self, name: str, array: np.ndarray | None) -> None:
        """Set an attribute that belongs to the state and is not trained: an array, changed in place, or None
        for one that is not there (yet), which the state leaves out. Raises TypeError for anything else,
        ValueError for a name that something else has."""
        instance("register_buffer", "a name", name, str, "text")
        instance("register_buffer", name, array, (np.ndarray, type(None)), "a NumPy array")
        if name not in buffers_of(self):
            _check_name(self, name)
            if name in vars(self):
                raise ValueError(f"register_buffer: {type(self).__name__} has an attribute {name!r} already")
            vars(self)[BUFFERS] = (*buffers_of(self), name)
        setattr(self, name, array)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The Modules among the attributes."""
        return ((name, value) for name, value in vars(self).copy().items() if isinstance(value, Module))

    def children(self) -> Iterator[Module]:
        """The Modules among the attributes, each once, without their names."""
        return iter({id(child): child for _, child in Module.named_children(self)}.values())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This Module ('' or `prefix`) and all below it by dotted path, parents first, each once."""
        seen, ahead = set(), [(prefix, self)]
        while ahead:
            path, module = ahead.pop()
            if id(module) not in seen:
                seen.add(id(module))
                yield path, module
                ahead += [(_joined(path, name), child) for name, child in Module.named_children(module)][::-1]

    def modules(self) -> Iterator[Module]:
        """This Module and all below it, parents first, each once."""
        return (module for _, module in Module.named_modules(self))

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """Call fn(module) for all Modules below this one, children first, and then for itself (to initialise
        weights, say), in each place of a shared Module. What fn returns is ignored. Returns the Module."""
        for child in Module.children(self):
            Module.apply(child, fn)
        fn(self)
        return self

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """The Parameters by dotted path, each once: the weights, even where others train in their place."""
        seen = set()
        for path, module in Module.named_modules(self):
            for name, value in vars(module).copy().items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield _joined(path, name), value

    def parameters(self) -> Iterator[Parameter]:
        """What an optimizer trains: the Parameters, or what their parametrizations name in their place."""
        trained = (p for _, parameter in Module.named_parameters(self) for p in parameter.trainables())
        return iter({id(p): p for p in trained}.values())

    def named_buffers(self) -> Iterator[tuple[str, np.ndarray]]:
        """The arrays that are saved but not trained (running means, for instance) by dotted path."""
        for path, module in Module.named_modules(self):
            for name in buffers_of(module):
                array = states.plain(getattr(module, name, None))
                if array is not None:
                    yield _joined(path, name), array

    # Modes

    def train(self: M, mode: bool = True) -> M:
        """Training mode for this Module and all below it: batch statistics, dropout. Returns the Module.
        Raises TypeError for a mode that is not True or False."""
        mode = flag("train", "mode", mode)
        for module in Module.modules(self):
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Evaluation mode: running statistics, no dropout. Returns the Module."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for _, weight in Module.named_parameters(self):
            for p in (weight, *weight.trainables()):
                p.grad = None

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Whether the parameters get gradients; requires_grad=False freezes them. Returns the Module."""
        for _, weight in Module.named_parameters(self):
            weight.requires_grad = requires_grad  # and that of what trains in its place
        return self

    def to(self: M, dtype: Any) -> M:
        """Turn all float parameters, their gradients, and float buffers into another float dtype, in place.

        Returns the Module. Optimizers and averages that were built before refuse to go on, for their state
        has the old dtype: build them afterwards.
        Raises: TypeError for what is not a float dtype (there is one device, the CPU); RuntimeError for a
        weight with a parametrization, which was made for its dtype. Then nothing was changed.
        """
        dtype = numeric("to", dtype, "f")
        parameters = list(Module.named_parameters(self))
        for path, parameter in parameters:
            if parameter.parametrization is not None:
                kind = type(parameter.parametrization).__name__
                raise RuntimeError(f"to: {path} has a {kind} for a parametrization, which was made for "
                                   f"{parameter.dtype}; turn the model into another dtype before it gets "
                                   "parametrizations (before compress.prepare)")
        for _, parameter in parameters:
            if parameter.dtype.kind == "f" and parameter.dtype != dtype:
                parameter.data = parameter.data.astype(dtype)
                if parameter.grad is not None:
                    parameter.grad = states.plain(parameter.grad).astype(dtype)
        for module in Module.modules(self):
            for name in buffers_of(module):
                array = getattr(module, name, None)
                if array is not None and array.dtype.kind == "f":
                    setattr(module, name, array.astype(dtype))
        return self

    float, double, half = map(_as, (np.float32, np.float64, np.float16))

    # State

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers by name, for `nn.save` and `load_state_dict`; and of what
        parametrizations know, below the name of their weight or Module: "fc1.weight.parametrization.scale".
        Raises TypeError for a parametrization that can't say it."""
        return states.state_dict(_entries(self))

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Set all parameters and buffers, in place, and what parametrizations know, from a state by name.

        A model with parametrizations takes the state of one that has the same, and computes from then on what
        that one did. strict=False passes over names that only one side has, and returns them; a
        parametrization is passed over as a whole, and with it a weight that it computes.
        Raises, with nothing changed: TypeError for what is no array, or of a dtype that can't become the
        parameter's; ValueError listing missing and unexpected names, wrong shapes, refused parametrizations.
        """
        return states.load_state_dict(type(self).__name__, _entries(self), state, strict)

    # Text

    def extra_repr(self) -> str:
        """What a subclass shows between its parentheses."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in Module.named_children(self)]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        return "\n  ".join(filter(None, [f"{type(self).__name__}(", self.extra_repr(), *lines])) + "\n)"


def buffers_of(module: Module) -> tuple[str, ...]:
    """The names of the attributes that are saved but not trained."""
    return vars(module).get(BUFFERS, ())


def _check_name(module, name):
    """Raise ValueError where a child, a Parameter or a buffer of this name would hide what is there."""
    who = f"{type(module).__name__}: {name!r} can't be the name of a child or parameter"
    if not name or "." in name:
        raise ValueError(f"{who}: it must not be empty, and dots part the names of the state dict")
    if hasattr(Module, name) or isinstance(getattr(type(module), name, None), FunctionType):
        raise ValueError(f"{who}: it is that of a method or attribute of the Module itself; choose another")


def _as_buffer(module, name, value):
    """A number, such as NumPy makes of a 0-d array's sum, as the array that it stands for."""
    instance(type(module).__name__, f"the buffer {name}", value, (np.generic, bool, int, float),
             "an array, a number or None")
    old, new = getattr(module, name, None), np.asarray(value)
    keep = isinstance(old, np.ndarray) and np.can_cast(new.dtype, old.dtype, "same_kind")
    return new.astype(old.dtype) if keep else new


def _joined(path, name):
    return f"{path}.{name}" if path else name


def _entries(module, path=""):
    """The state in PyTorch's order: parameters, buffers, children. A shared Module is under each name."""
    own = {name: value for name, value in vars(module).copy().items() if isinstance(value, Parameter)}
    own.update((name, getattr(module, name, None)) for name in buffers_of(module))
    for name, value in own.items():
        if value is not None:
            yield path + name, Held(module, name)
        if isinstance(value, Parameter) and value.parametrization is not None:
            yield f"{path}{name}.{PARAMETRIZATION}", Known(value.parametrization, value)
    if module.parametrization is not None:
        yield path + PARAMETRIZATION, Known(module.parametrization, None)
    for name, child in Module.named_children(module):
        yield from _entries(child, f"{path}{name}.")


_lock = Brief()
_open: list[Block] = []  # modules that are in a mode for a while, of all threads


def in_mode(model: Any, training: bool, body: Callable[..., Any], *args: Any) -> Any:
    """body(*args) with all of `model` in one mode, if it is a Module; then each module has the mode it had.
    That holds if Ctrl-C ends the call at any point. If calls of two threads on one model overlap, the last to
    end restores the modes that the first found."""
    modules = list(Module.modules(model)) if isinstance(model, Module) else []
    blocks: list[Block] = []

    def switched() -> Any:
        for module in modules:
            with _lock:
                Block(module, "training", training, _open, blocks)
        return body(*args)

    def back() -> None:
        for block in reversed(blocks):
            with _lock:
                block.end()

    return undoing(back, switched)

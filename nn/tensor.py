"""Tensor: an array that remembers how it was computed. apply: what every operation goes through.

The module is a function, too: nn.tensor(data, dtype=None, requires_grad=False), as in nn/constructors.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np

from .arguments import ERRORS, PLAIN, Operand, as_array, as_index, flag, is_int, named, plain
from .backward import backward
from .context import ambient
from .half import F16, F32, any_half, is_half
from .methods import Methods
from .operation import LEAF, Operation
from .operators import Operators
from .rules import UFUNCS, Rule, arithmetic, linear, shapes
from .shaping import Shaping
from .versions import wrote


class TraceError(RuntimeError):
    """A traced function did what cannot be traced: it asked for a value, or wrote into a tensor."""


def apply(rule: Rule, *inputs: Operand | None, **attrs: Any) -> Tensor:
    """rule(*inputs, **attrs) as a Tensor, recorded if an input wants a gradient and no_grad is not on.

    Inputs: Tensors, arrays, numbers, or None where the rule allows it; a number takes the dtype of what it
    meets. An error of the rule's forward is raised with the operation's name and the shapes. float16 is
    computed with in float32, and rounded once (nn/half.py).
    """
    context = ambient.context
    if context.lift is not None:
        out = context.lift(rule, inputs, attrs)
        if out is not None:
            return out
    arrays, parents, recorded, short = [], [], False, False
    for x in inputs:
        if isinstance(x, Tensor):
            data = x._data
            arrays.append(data)
            if data.itemsize == 2:
                short = True
            source = x._operation
            parents.append(x if source is LEAF else source)
            if source is not None:
                recorded = True
        else:
            arrays.append(x if type(x) in PLAIN else plain(rule, x))
            parents.append(None)
            if type(x) is np.ndarray and x.itemsize == 2:
                short = True
    if short and not rule.exact and any_half(arrays):
        return rule_in_float32(rule, inputs, attrs)
    try:
        y, saved = rule.forward(*arrays, **attrs)
    except ERRORS as error:
        raise named(rule, arrays, error) from error
    if type(y) is not np.ndarray:  # NumPy makes a scalar of a 0-d result
        y = np.asarray(y)
    out = _new(Tensor)
    out._data, out._operation, out.grad = y, None, None
    if recorded and context.recording and rule.vjp is not None:
        kept = arrays if rule.keeps_inputs else None
        out._operation = Operation(rule, parents, saved, y.shape, attrs, kept)
    if context.tracer is not None:
        context.tracer.record(rule, inputs, attrs, out)
    return out


def in_float32(function: Callable[..., Tensor], inputs: Sequence[Any], kinds: str = "f") -> Tensor:
    """function(*inputs) with float16 inputs as float32. The result is float16 if NumPy's promotion of the
    inputs of these kinds gives that; an input of float32 leaves it float32."""
    y = function(*(apply(arithmetic.cast, x, dtype=F32) if is_half(x) else x for x in inputs))
    arrays = (x for x in inputs if hasattr(x, "dtype") and not isinstance(x, np.generic))
    dtypes = [x.dtype for x in arrays if x.dtype.kind in kinds]
    short = y.dtype == F32 and np.result_type(*dtypes) == F16
    return apply(arithmetic.cast, y, dtype=F16) if short else y


def rule_in_float32(rule: Rule, inputs: Sequence[Any], attrs: dict[str, Any]) -> Tensor:
    """apply, if float16 is among the inputs. (Integers are numbers to some rules, and places to others.)"""
    numbers = rule.symmetric or rule is linear.matmul
    return in_float32(partial(apply, rule, **attrs), inputs, "fiu" if numbers else "f")


_new = object.__new__


def shared(array: np.ndarray, operation: Operation | bool | None = None) -> Tensor:
    """A Tensor of this very array, not of a copy, that came out of `operation`."""
    out = _new(Tensor)
    out._data, out._operation, out.grad = array, operation, None
    return out


class Tensor(Operators, Methods, Shaping):
    """An array, its gradient, and how it was computed.

    data: booleans, integers or floats: an array (copied, its dtype kept), or numbers and nested lists of
    numbers (floats become float32). requires_grad: whether backward is to leave ∂(output)/∂(this) in .grad;
    floats only. The .grad is None or an array of this shape and dtype; only leaves get one, which are the
    tensors that were made, not computed. Arithmetic follows NumPy's broadcasting and promotion; float16 is
    computed with in float32, and rounded once (nn/half.py). Raises TypeError for data that is not numeric and
    for integers that require grad, ValueError for lists of unequal lengths; each method says what it raises.
    """

    __slots__ = ("__weakref__", "_data", "_operation", "grad")
    __hash__ = object.__hash__  # a tensor is a key by identity: == compares entries

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self._data: np.ndarray = as_array(data)
        self._operation: Operation | bool | None = None
        self.grad: np.ndarray | None = None
        if requires_grad is not False:
            self.requires_grad = requires_grad

    data = property(attrgetter("_data"), doc="The array itself. Assigning it, or t.data *= 2, is a write "
                                             "that backward will notice.")

    @data.setter
    def data(self, value: np.ndarray) -> None:
        value = value if isinstance(value, np.ndarray) else as_array(value)
        if self._operation is not None and value.dtype.kind != "f":
            raise TypeError(f"data: {value.dtype} came for a tensor that requires grad, wanted floats")
        wrote(self._data)
        self._data = value

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient flows through here. To be set for leaves alone."""
        return self._operation is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if flag("requires_grad", "it", wanted) and self._data.dtype.kind != "f":
            raise TypeError(f"requires_grad: the tensor is {self.dtype}; only floats have gradients")
        if self.is_leaf:
            self._operation = LEAF if wanted else None
        elif not wanted:  # and a gradient does flow through it
            raise RuntimeError(f"requires_grad: this tensor was computed (by {self._operation.rule.name}), "
                               "and only for a leaf can it be set; use .detach()")

    shape = property(attrgetter("_data.shape"), doc="The length of each axis, a tuple of ints.")
    ndim = property(attrgetter("_data.ndim"), doc="How many axes; PyTorch's dim() too.")
    dtype = property(attrgetter("_data.dtype"), doc="The kind of the entries, a dtype of NumPy.")
    size = property(attrgetter("_data.size"), doc="How many entries, as in NumPy and as numel(); what "
                    "PyTorch's size() gives is the shape.")
    is_leaf = property(lambda self: self._operation is None or self._operation is LEAF,
                       doc="Whether it was made, not computed from what requires grad.")

    def __repr__(self) -> str:
        made = self._operation
        how = "" if made is None else ", requires_grad=True" if made is LEAF else f", from {made.rule.name}"
        return f"Tensor({np.array2string(self._data, separator=', ', prefix='Tensor(')}, {self.dtype}{how})"

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __reduce_ex__(self, protocol):
        if not self.is_leaf:
            raise RuntimeError(f"copy: this tensor was computed (by {self._operation.rule.name}), and a deep "
                               "copy or a pickle would take the whole graph along; use .detach()")
        return super().__reduce_ex__(protocol)

    # Its values as Python's numbers. A tracer refuses them: what happens next could depend on them.

    def numpy(self) -> np.ndarray:
        """The array, shared, not copied."""
        return self._value("numpy()")

    def item(self) -> float | int | bool:
        """The value of a tensor of one element, as a Python number."""
        return self._value("item()").item()

    def _value(self, asked):
        if ambient.context.tracer is not None:
            raise TraceError(f"{asked} asks for a value while a network is being traced; a trace holds for "
                             "every input, so nothing in it may depend on values")
        return self._data

    def __array__(self, dtype=None, copy=None):
        if self._operation is not None:
            raise RuntimeError("a tensor that requires grad was about to become an array, which would cut it "
                               "out of the graph; say so with .detach() or .numpy()")
        return np.array(self._value("an array"), dtype=dtype, copy=copy)

    def __bool__(self) -> bool:
        return bool(self._value("bool()"))

    def __float__(self) -> float:
        return float(self._value("float()").item())

    def __int__(self) -> int:
        return int(self._value("int()").item())

    def __index__(self) -> int:
        return self._value("an index").__index__()

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        """np.exp(t), array + t and the like: the rule of that name, so that a gradient flows through."""
        rule = UFUNCS.get(ufunc)
        if rule is None or method != "__call__" or options:
            raise TypeError(f"np.{ufunc.__name__}: not for Tensors, or not in this form; use the methods of "
                            "the tensor, or .detach().numpy() for its array")
        return apply(rule, *inputs)

    # Modules below this one compute with Tensors, and make them, by these two.
    _apply, _shared = staticmethod(apply), staticmethod(shared)

    backward = backward

    def __getitem__(self, index: Any) -> Tensor:
        return apply(shapes.index, self, index=as_index(index))

    # Writing, where nothing is recorded

    def __setitem__(self, index: Any, value: Operand) -> None:
        self._check_writable("t[...] = v", value)
        self._data[as_index(index)] = getattr(value, "_data", value)
        wrote(self._data)

    def copy_(self, value: Operand) -> Tensor:
        """Overwrite the entries with those of `value`, which broadcasts; returns self."""
        self._check_writable("copy_", value)
        np.copyto(self._data, getattr(value, "_data", value), casting="same_kind")
        wrote(self._data)
        return self

    def _check_own(self, operation):
        """Raise where a write to this tensor's own array would be lost; see nn.Parameter."""

    def _check_writable(self, operation, value):
        self._check_own(operation)
        context = ambient.context
        if context.tracer is not None:
            raise TraceError(f"{operation}: a write into a tensor would be missing from the trace; "
                             "compute a new tensor instead")
        found = self._operation, getattr(value, "_operation", None)
        if context.recording and found != (None, None):
            raise RuntimeError(f"{operation}: a write cannot be recorded, so no gradient would flow through; "
                               "write inside `with nn.no_grad():`, or compute a new tensor (t * mask + v)")

    def _axis(self, dim, ndim=None, who=""):
        ndim = ndim or self.ndim or 1  # a scalar has an axis to flatten
        if not is_int(dim):
            raise TypeError(f"{who}an axis must be an int, got {type(dim).__name__}")
        if not -ndim <= dim < ndim:  # it is an IndexError, as in PyTorch, and a ValueError, as in NumPy
            raise np.exceptions.AxisError(f"{who}axis {dim} came, but the tensor has shape {self.shape}")
        return dim % ndim

    def _axes(self, dim):
        """The axes to reduce; None for all, which () means too. A scalar has an axis 0, as in PyTorch."""
        if dim is None or (type(dim) is int and self.ndim):  # NumPy refuses an axis that is not there
            return dim
        several = isinstance(dim, (tuple, list))
        axes = tuple(map(self._axis, dim if several else (dim,)))
        if len(set(axes)) < len(axes):
            raise ValueError(f"an axis appears twice in {dim} for the shape {self.shape}")
        if not axes or not self.ndim:
            return None
        return axes if several else axes[0]


for _part in (Operators, Methods, Shaping):  # those of their methods that are made by functions, for help()
    for _name, _method in vars(_part).items():
        if getattr(_method, "__name__", "") == "method":
            _method.__name__, _method.__qualname__ = _name, f"{_part.__name__}.{_name}"

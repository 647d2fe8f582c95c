"""Tensor: an array that remembers how it was computed. apply: the gate every operation goes through."""

import numpy as np

from nn import backward as engine
from nn.mode import mode
from nn.rules import arithmetic, linear, reductions, shapes

LEAF = True    # Tensor._node of a tensor that was made, not computed, and wants a gradient
tracer = None    # None, or an object whose record(rule, inputs, attrs, out) hears of every operation


class TraceError(RuntimeError):
    """A traced function did what a trace cannot hold: it asked for a value, or wrote into a tensor."""


def apply(rule, *inputs, **attrs):
    """rule(*inputs, **attrs) as a Tensor, recorded if an input wants a gradient and no_grad is not on.

    Inputs: Tensors, arrays, numbers, or None where the rule allows it; a number takes the dtype of
    what it meets. An error of the rule's forward comes out with the operation's name and the shapes.
    """
    arrays, parents, recorded = [], [], False
    for x in inputs:
        if isinstance(x, Tensor):
            arrays.append(x._data)
            node = x._node
            if node is None:
                parents.append(None)
            else:
                parents.append(x if node is LEAF else node)
                recorded = True
        else:
            arrays.append(x if type(x) in _PLAIN else _plain(rule, x))
            parents.append(None)
    try:
        y, saved = rule.forward(*arrays, **attrs)
    except (TypeError, ValueError, IndexError) as error:
        raise _named(rule, arrays, error) from error
    if type(y) is not np.ndarray:    # NumPy makes a scalar of a 0-d result
        y = np.asarray(y)
    out = _new(Tensor)
    out._data = y
    out.grad = None
    if recorded and mode.recording and rule.vjp is not None:
        out._node = engine.Node(rule, parents, saved, y.shape)
    else:
        out._node = None
    if tracer is not None:
        tracer.record(rule, inputs, attrs, out)
    return out


_new = object.__new__
_PLAIN = {np.ndarray, float, int, bool, type(None)}


def _plain(rule, x):
    """NumPy's scalars become numbers: np.float64(2) is not to make a float32 tensor float64."""
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, np.ndarray):
        return np.asarray(x)
    raise TypeError(f"{rule.name}: an operand is a {type(x).__name__}, wanted a Tensor, an array or a number")


def _named(rule, arrays, error):
    if str(error).startswith(f"{rule.name}:"):
        return error
    came = ", ".join(str(getattr(a, "shape", a)) for a in arrays)
    kind = next(k for k in (ValueError, TypeError, IndexError) if isinstance(error, k))
    return kind(f"{rule.name}: {error} (the inputs: {came})")


def _array(data):
    """A fresh array of what a user gave."""
    if isinstance(data, Tensor):
        data = data._data
    try:
        array = np.array(data)
    except ValueError as error:
        raise ValueError(f"Tensor: the data is not an array: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"Tensor: the data is {array.dtype}, wanted floats, integers or booleans")
    if array.dtype == np.float64 and not isinstance(data, (np.ndarray, np.generic)):
        return array.astype(np.float32)    # Python's floats have no dtype of their own
    return array


def _give(leaf, g, owned):
    """Add g to leaf.grad. The array may become the leaf's own only if nobody else has it."""
    if leaf.grad is not None:
        leaf.grad = (leaf.grad + g).astype(leaf.dtype, copy=False)
    elif owned and type(g) is np.ndarray and g.dtype == leaf._data.dtype:
        leaf.grad = g
    else:
        leaf.grad = np.array(g, leaf.dtype, order="C")


def _operator(rule, swapped=False):
    if swapped:
        return lambda self, other: apply(rule, other, self)
    return lambda self, other: apply(rule, self, other)


def _writer(ufunc, operation):
    """t += v and its kin write where nothing records; where something does, Python computes t = t + v."""
    def write(self, other):
        if self._node is LEAF and mode.recording:
            raise RuntimeError(f"{operation}: this tensor is a leaf that requires grad, and writing into it while "
                               f"gradients are recorded would lose one; use `with nn.no_grad():`")
        if tracer is not None or (mode.recording and (self._node or getattr(other, "_node", None))):
            return NotImplemented
        ufunc(self._data, getattr(other, "_data", other), out=self._data)
        engine.wrote(self._data)
        return self
    return write


class Tensor:
    """An array, its gradient, and how it was computed.

    data: an array (copied, its dtype kept), or numbers and nested lists of numbers (floats become
        float32). Booleans, integers and floats.
    requires_grad: whether backward is to leave ∂(output)/∂(this) in .grad; floats only.

    .grad is None or an array of the tensor's shape and dtype; only leaves get one, which are the
    tensors that were made, not computed. Arithmetic follows NumPy's broadcasting and promotion.
    """

    __slots__ = ("__weakref__", "_data", "_node", "grad")
    __hash__ = object.__hash__    # a tensor is a key by identity; == compares its entries

    def __init__(self, data, requires_grad=False):
        self._data = _array(data)
        self._node = None
        self.grad = None
        if requires_grad:
            self.requires_grad = True

    @property
    def data(self):
        """The array itself. Assigning it, or t.data *= 2, is a write that backward will notice."""
        return self._data

    @data.setter
    def data(self, value):
        engine.wrote(self._data)
        if value is not self._data:
            self._data = value if isinstance(value, np.ndarray) else _array(value)

    @property
    def requires_grad(self):
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, wanted):
        if not self.is_leaf:
            raise RuntimeError(f"requires_grad: this tensor was computed (by {self._node.rule.name}) and only that "
                               "of leaves can be set; use .detach()")
        if wanted and self._data.dtype.kind != "f":
            raise TypeError(f"requires_grad: the tensor is {self.dtype}, and only floating-point tensors "
                            "have gradients")
        self._node = LEAF if wanted else None

    shape = property(lambda self: self._data.shape)
    ndim = property(lambda self: self._data.ndim)
    dtype = property(lambda self: self._data.dtype)
    size = property(lambda self: self._data.size)
    is_leaf = property(lambda self: self._node is None or self._node is LEAF)

    def __repr__(self):
        node = self._node
        how = "" if node is None else ", requires_grad=True" if node is LEAF else f", from {node.rule.name}"
        return f"Tensor({np.array2string(self._data, separator=', ', prefix='Tensor(')}, {self.dtype}{how})"

    def __len__(self):
        return len(self._data)

    def __reduce_ex__(self, protocol):
        if not self.is_leaf:
            raise RuntimeError(f"copy: this tensor was computed (by {self._node.rule.name}) and a deep copy or a "
                               "pickle would take the whole graph along; use .detach()")
        return super().__reduce_ex__(protocol)

    # Its values as Python's. Under a tracer they are refused: what happens next could depend on them.

    def numpy(self):
        """The array, shared, not copied."""
        return self._value("numpy()")

    def item(self):
        """The value of a tensor of one element, as a Python number."""
        return self._value("item()").item()

    def _value(self, asked):
        if tracer is not None:
            raise TraceError(f"{asked} asks for a value while a network is being traced; a trace holds for every "
                             "input, so nothing in it may depend on values")
        return self._data

    def __array__(self, dtype=None, copy=None):
        if self._node is not None:
            raise RuntimeError("a tensor that requires grad was about to become an array, which would cut it "
                               "out of the graph; say so with .detach() or .numpy()")
        return np.array(self._value("conversion to an array"), dtype=dtype, copy=copy)

    def __bool__(self):
        return bool(self._value("bool()"))

    def __float__(self):
        return float(self._value("float()").item())

    def __int__(self):
        return int(self._value("int()").item())

    def __index__(self):
        return self._value("an index").__index__()

    def __format__(self, spec):
        return format(self.item(), spec) if spec else str(self)

    # Operators

    __add__ = __radd__ = _operator(arithmetic.add)
    __mul__ = __rmul__ = _operator(arithmetic.mul)
    __sub__, __rsub__ = _operator(arithmetic.sub), _operator(arithmetic.sub, swapped=True)
    __truediv__, __rtruediv__ = _operator(arithmetic.div), _operator(arithmetic.div, swapped=True)
    __pow__, __rpow__ = _operator(arithmetic.pow), _operator(arithmetic.pow, swapped=True)
    __matmul__, __rmatmul__ = _operator(linear.matmul), _operator(linear.matmul, swapped=True)
    __lt__, __le__ = _operator(arithmetic.lt), _operator(arithmetic.le)
    __gt__, __ge__ = _operator(arithmetic.gt), _operator(arithmetic.ge)
    __eq__, __ne__ = _operator(arithmetic.eq), _operator(arithmetic.ne)
    __iadd__, __isub__ = _writer(np.add, "+="), _writer(np.subtract, "-=")
    __imul__, __itruediv__ = _writer(np.multiply, "*="), _writer(np.divide, "/=")

    def __neg__(self):
        return apply(arithmetic.neg, self)

    def __getitem__(self, index):
        return apply(shapes.index, self, index=tuple(
            _index(i) for i in (index if isinstance(index, tuple) else (index,))))

    def __setitem__(self, index, value):
        self._check_writable("t[...] = v", value)
        index = tuple(_index(i) for i in (index if isinstance(index, tuple) else (index,)))
        self._data[index] = getattr(value, "_data", value)
        engine.wrote(self._data)

    def copy_(self, value):
        """Overwrite the entries with those of `value`, which broadcasts; returns self."""
        self._check_writable("copy_", value)
        np.copyto(self._data, getattr(value, "_data", value), casting="same_kind")
        engine.wrote(self._data)
        return self

    def _check_writable(self, operation, value):
        if tracer is not None:
            raise TraceError(f"{operation}: a write into a tensor while a network is being traced would be missing "
                             "from the trace; compute a new tensor instead")
        if mode.recording and (self._node is not None or getattr(value, "_node", None) is not None):
            raise RuntimeError(f"{operation}: a write cannot be recorded, so no gradient could flow through it; write "
                               "inside `with nn.no_grad():`, or compute a new tensor (t * mask + v, nn.cat)")

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        """np.exp(t), array + t and the like: the rule of that name, so that a gradient flows through."""
        rule = _UFUNCS.get(ufunc)
        if rule is None or method != "__call__" or options:
            raise TypeError(f"np.{ufunc.__name__}: not for Tensors in this form; use a method of the tensor, "
                            "or .detach().numpy() for its array")
        return apply(rule, *inputs)

    # Methods: PyTorch's names

    def exp(self):
        return apply(arithmetic.exp, self)

    def log(self):
        return apply(arithmetic.log, self)

    def sqrt(self):
        return apply(arithmetic.sqrt, self)

    def sum(self, dim=None, keepdim=False):
        """Over one axis, a tuple of axes, or all of them."""
        return apply(reductions.sum, self, dim=dim, keepdim=keepdim)

    def mean(self, dim=None, keepdim=False):
        return apply(reductions.mean, self, dim=dim, keepdim=keepdim)

    def var(self, dim=None, correction=1, keepdim=False):
        """The variance with n − correction in the denominator."""
        return apply(reductions.var, self, dim=dim, correction=correction, keepdim=keepdim)

    def max(self, dim=None, keepdim=False):
        """The greatest values alone (PyTorch's amax); entries that tie share the gradient equally."""
        return apply(reductions.max, self, dim=dim, keepdim=keepdim)

    def min(self, dim=None, keepdim=False):
        """The least values alone (PyTorch's amin); entries that tie share the gradient equally."""
        return apply(reductions.min, self, dim=dim, keepdim=keepdim)

    def argmax(self, dim=None, keepdim=False):
        """The index of the greatest value, the first of equals; no gradient."""
        return apply(reductions.argmax, self, dim=dim, keepdim=keepdim)

    def reshape(self, *shape):
        return apply(shapes.reshape, self, shape=_ints(shape))

    def flatten(self, start_dim=0, end_dim=-1):
        """The axes start_dim to end_dim as one."""
        start, end = start_dim % max(self.ndim, 1), end_dim % max(self.ndim, 1)
        return self.reshape(*self.shape[:start], -1, *self.shape[end + 1:])

    def squeeze(self, dim):
        """Without the axis `dim`, which must have length 1."""
        dim = dim % self.ndim
        if self.shape[dim] != 1:
            raise ValueError(f"squeeze: axis {dim} of shape {self.shape} has not length 1")
        return self.reshape(*self.shape[:dim], *self.shape[dim + 1:])

    def unsqueeze(self, dim):
        """With a new axis of length 1 before the axis `dim`."""
        dim = dim % (self.ndim + 1)
        return self.reshape(*self.shape[:dim], 1, *self.shape[dim:])

    def permute(self, *dims):
        """All axes in a new order."""
        return apply(shapes.permute, self, dims=_ints(dims))

    def transpose(self, *dims):
        """Two axes exchanged, transpose(0, 1); or, as in NumPy, a tuple of all axes in a new order."""
        if len(dims) == 2:
            order = list(range(self.ndim))
            order[dims[0]], order[dims[1]] = order[dims[1]], order[dims[0]]
            return self.permute(*order)
        return self.permute(*_ints(dims))

    T = property(lambda self: self.permute(*reversed(range(self.ndim))), doc="All axes reversed.")
    mT = property(lambda self: self.transpose(-2, -1), doc="A batch of matrices, each transposed.")

    def expand(self, *shape):
        """Repeated, without a copy, to a shape it broadcasts to."""
        return apply(shapes.expand, self, shape=_ints(shape))

    def astype(self, dtype):
        return apply(arithmetic.cast, self, dtype=np.dtype(dtype))

    def float(self):
        return self.astype(np.float32)

    def double(self):
        return self.astype(np.float64)

    def detach(self):
        """The same array, out of the graph: no gradient flows back through it."""
        return apply(shapes.detach, self)

    # Backward

    def backward(self, grad=None, retain_graph=False):
        """Add ∂(this)/∂(leaf) to the .grad of every leaf it was computed from.

        grad: the gradient of something in this tensor, of its shape; 1 if left out, for one element.
        retain_graph: keep what was saved, so that backward can come through here once more.
        """
        seed = _seed(self, grad, "backward")
        if self._node is LEAF:
            _give(self, seed, owned=False)
            return
        grads, owned = engine.walk(self._node, seed, retain_graph)
        for leaf, g in grads.items():
            _give(leaf, g, leaf in owned)


def _seed(output, grad, who):
    if output._node is None:
        raise RuntimeError(f"{who}: the tensor requires no grad; it was not computed from a tensor with "
                           "requires_grad=True, or it was computed inside no_grad")
    if grad is None:
        if output.size != 1:
            raise RuntimeError(f"{who}: the tensor has shape {output.shape}; only for one element is the gradient "
                               "known to be 1, else pass grad, or reduce the tensor first, say by .sum()")
        return np.ones(output.shape, output.dtype) if output.shape else output.dtype.type(1)
    grad = getattr(grad, "_data", grad)
    if np.shape(grad) != output.shape:
        raise ValueError(f"{who}: grad has shape {np.shape(grad)}, wanted {output.shape}, the shape of the tensor")
    return np.asarray(grad, output.dtype)


def grad(output, inputs, grad_output=None, retain_graph=False):
    """∂(output)/∂(each of the inputs), a tuple of arrays; no .grad is touched.

    inputs: a Tensor or several, leaves or not. grad_output: as Tensor.backward's grad.
    Raises RuntimeError for an input that output was not computed from.
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    seed = _seed(output, grad_output, "grad")
    keys = [t if t._node is LEAF else t._node for t in inputs]
    if output._node is LEAF:
        grads = {output: seed}
    else:
        grads, _ = engine.walk(output._node, seed, retain_graph, wanted=set(keys))
    for i, (t, key) in enumerate(zip(inputs, keys)):
        if grads.get(key) is None:
            raise RuntimeError(f"grad: input {i}, of shape {t.shape}, is not among what the output was computed from")
    return tuple(np.array(grads[key], t.dtype) for t, key in zip(inputs, keys))


def _index(i):
    """Tensors and lists as arrays; integers, slices, ... and None as they are."""
    if isinstance(i, Tensor):
        i = i._value("an index") if i.ndim else int(i)
    return np.array(i) if isinstance(i, (list, np.ndarray)) else i


def _ints(given):
    """(2, 3), or ((2, 3),), as (2, 3)."""
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], (tuple, list)) else given


_UFUNCS = {
    np.add: arithmetic.add, np.subtract: arithmetic.sub, np.multiply: arithmetic.mul, np.divide: arithmetic.div,
    np.negative: arithmetic.neg, np.power: arithmetic.pow, np.exp: arithmetic.exp, np.log: arithmetic.log,
    np.sqrt: arithmetic.sqrt, np.matmul: linear.matmul, np.less: arithmetic.lt, np.less_equal: arithmetic.le,
    np.greater: arithmetic.gt, np.greater_equal: arithmetic.ge, np.equal: arithmetic.eq,
    np.not_equal: arithmetic.ne,
}

"""The engine of reverse mode: what a graph is made of, and the walk that carries a gradient through it.

Reverse accumulation: Linnainmaa, "Taylor expansion of the accumulated rounding error" (1976).
The order of the walk: Kahn, "Topological sorting of large networks" (1962).
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from .context import Brief, ambient
from .half import wide

if TYPE_CHECKING:
    from .tensor import Tensor

LEAF = True        # Tensor._node of a tensor that was made, not computed, and wants a gradient
FREED = "freed"    # Node.saved once backward has been through the node


class Node:
    """One recorded operation: its rule, where its inputs came from, and what its vjp needs.

    A node knows its parents and never its output, so a graph has no reference cycle: it is freed
    as soon as the last tensor that leads to it is.
    """

    __slots__ = ("attrs", "clock", "inputs", "parents", "rule", "saved", "shape")

    def __init__(self, rule, parents, saved, shape, attrs=None, inputs=None):
        self.rule = rule
        self.parents = parents    # for each input: the Node that made it, the leaf Tensor, or None
        self.saved = saved        # what rule.forward kept for rule.vjp
        self.shape = shape        # of the output
        self.attrs = attrs        # the keywords of rule.forward
        self.inputs = inputs      # the arrays themselves, of a rule whose second derivative is its twin's
        self.clock = clock        # how many writes there had been when this was recorded


def backward(output: Tensor, grad=None, retain_graph: bool | None = None,
             create_graph: bool = False) -> None:
    """Tensor.backward: add the gradient of `output` to the .grad of every leaf it was computed from."""
    if create_graph:
        from . import higher
        higher.backward(output, grad, retain_graph)
        return
    seed = _seed("backward", output, grad)
    if output._node is LEAF:
        _give(output, seed, owned=False)
        return
    grads, owned = _walk(output._node, seed, retain_graph)
    for leaf, g in grads.items():    # after the walk, so that one that fails leaves every .grad as it was
        _give(leaf, g, leaf in owned)


def grad(output: Tensor, inputs: Tensor | Iterable[Tensor], grad_output=None,
         retain_graph: bool | None = None, create_graph: bool = False,
         allow_unused: bool = False) -> tuple[np.ndarray | Tensor | None, ...]:
    """∂(output)/∂(each of the inputs), as a tuple of arrays; no .grad is touched.

    inputs: a Tensor or several, leaves or not. grad_output: as the grad of Tensor.backward.
    create_graph: return Tensors that know how they were computed, so that they can be differentiated
        once more; retain_graph is then on, unless it is set.
    allow_unused: return None for an input that output was not computed from; else that is an error.
    Raises RuntimeError for such an input and for one that requires no grad, TypeError for what is no Tensor;
    with create_graph, RuntimeError inside no_grad, and for an operation that has no second derivative.
    """
    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    for t in (output, *inputs):
        if not hasattr(t, "_node"):
            raise TypeError(f"grad: output and inputs must be Tensors, got {type(t).__name__}")
    keys = [t if t._node is LEAF else t._node for t in inputs]
    if create_graph:
        from . import higher
        grads = higher.gradients("grad", output, grad_output, retain_graph, set(keys))
    else:
        seed = _seed("grad", output, grad_output)
        grads = {output: seed}
        if output._node is not LEAF:
            grads, _ = _walk(output._node, seed, retain_graph, wanted=set(keys))
    for i, (t, key) in enumerate(zip(inputs, keys, strict=True)):
        if grads.get(key) is None and not (allow_unused and t.requires_grad):
            why = "" if t.requires_grad else ", which requires no grad"
            raise RuntimeError(f"grad: the output was not computed from input {i}, of shape {t.shape}{why}")
    copy = higher.copied if create_graph else np.array
    return tuple(None if grads.get(key) is None else copy(grads[key], t.dtype)
                 for t, key in zip(inputs, keys, strict=True))


def _seed(who, output, grad):
    """The gradient to begin with: 1, or what was given."""
    if output._node is None:
        raise RuntimeError(f"{who}: the tensor requires no grad; it was not computed from a tensor with "
                           "requires_grad=True, or it was computed inside no_grad or detached")
    if grad is None:
        if output.size != 1:
            raise RuntimeError(f"{who}: the tensor has shape {output.shape}, and only of one element is the "
                               "gradient known to be 1; pass one of that shape, or reduce first, by .sum()")
        dtype = wide(output.dtype)
        return np.ones(output.shape, dtype) if output.ndim else dtype.type(1)
    grad = getattr(grad, "_data", grad)
    if np.shape(grad) != output.shape:
        raise ValueError(f"{who}: the gradient given has shape {np.shape(grad)}, wanted {output.shape}, "
                         "that of the tensor")
    return np.asarray(grad, wide(output.dtype))


def _give(leaf, g, owned):
    """Add g to leaf.grad. The array itself becomes leaf.grad only if nobody else has it."""
    dtype = leaf._data.dtype
    if leaf.grad is not None:    # (its array, should a backward with create_graph have left a Tensor there)
        leaf.grad = np.asarray(getattr(leaf.grad, "_data", leaf.grad) + g, dtype)
    elif owned and type(g) is np.ndarray and g.dtype == dtype:
        leaf.grad = g
    else:
        leaf.grad = np.array(g, dtype, order="C")


def _walk(root, seed, retain_graph=None, wanted=()):
    """Carry `seed`, the gradient of the output of node `root`, back to the leaves.

    Returns ({leaf or wanted node: gradient}, owned); the gradients of the keys in `owned` are
    arrays that nothing else holds. A node is visited once, after all its consumers, however many
    paths lead to it, and what it saved is dropped as soon as it has been used.
    """
    pending = count_consumers(root)
    grads, owned, found = {root: seed}, set(), {}
    ready, gauge = [root], ambient.context.gauge
    while ready:
        node = ready.pop()
        rule, parents = node.rule, node.parents
        g = grads.pop(node, None)    # None: no consumer had anything to send
        if node in wanted:
            found[node] = g
            if gauge is not None:
                gauge.made(node, g)
        if g is None:
            parts = parents
        else:
            if gauge is not None:
                gauge.next()
            if node.clock != clock:
                check_unwritten(node, node.saved)
            needs = [parent is not None for parent in parents]
            if rule.overwrites and node in owned and node not in wanted:
                parts = rule.vjp(g, node.saved, needs, overwrite_g=True)
            else:
                parts = rule.vjp(g, node.saved, needs)
        if not retain_graph:
            node.saved, node.parents, node.inputs = FREED, (), None
        for parent, part in zip(parents, parts, strict=True):
            if parent is None:
                continue
            if g is not None and part is not None and part is not False:
                if part.shape != parent.shape:
                    part = fit(part, parent.shape, rule)
                held = grads.get(parent)
                if held is None:
                    grads[parent] = part
                    if rule.fresh:
                        owned.add(parent)
                elif parent in owned:
                    held += part
                    grads[parent] = held     # a NumPy scalar does not change in place
                else:                        # never add into an array that may be someone else's
                    grads[parent] = held + part
                    owned.add(parent)
            if type(parent) is Node:
                left = pending[parent] = pending[parent] - 1
                if not left:
                    ready.append(parent)
            elif gauge is not None:
                gauge.made(parent, grads.get(parent))
    grads.update(found)
    return grads, owned


def free(node):
    """Drop what a node held."""
    node.saved, node.parents, node.inputs = FREED, (), None


def count_consumers(root):
    """{node: how many recorded inputs it feeds} for every node that leads to `root`."""
    pending = {root: 0}
    stack = [root]
    while stack:
        node = stack.pop()
        if node.saved is FREED:
            raise RuntimeError(
                f"{node.rule.name}: backward has been through this operation already and dropped what it "
                "saved; call the first backward with retain_graph=True, or run the forward pass again")
        for parent in node.parents:
            if type(parent) is Node:
                if parent in pending:
                    pending[parent] += 1
                else:
                    pending[parent] = 1
                    stack.append(parent)
    return pending


class Misfit(RuntimeError):
    """A vjp gave a `gradient` of a shape that is not, and does not broadcast to, that of the input."""

    def __init__(self, rule, g, shape):
        super().__init__(f"{rule.name}: its vjp gave a gradient of shape {g.shape}, which no broadcasting "
                         f"explains, for an input of shape {shape}")
        self.gradient, self.shape = g, shape


def fit(g, shape, rule):
    """Undo broadcasting, here and nowhere else: give `g` the shape of the input it is the gradient of.

    An axis along which the input was repeated is summed over. An axis along which the rule left g
    at length 1 (sum's gradient is the same for every term) is repeated.
    """
    given, extra = g, g.ndim - len(shape)
    if extra > 0:
        g = g.sum(tuple(range(extra)))
    if extra >= 0:
        lengths = enumerate(zip(g.shape, shape, strict=True))
        repeated = tuple(axis for axis, (have, want) in lengths if want == 1 != have)
        g = g.sum(repeated, keepdims=True) if repeated else g
    if g.shape == shape:
        return g
    if not g.ndim:    # of a scalar, the commonest case: faster than broadcast_to
        full = np.empty(shape, g.dtype)
        full.fill(g)
        return full
    try:
        return np.broadcast_to(g, shape)
    except ValueError:
        raise Misfit(rule, given, shape) from None


# Overwritten arrays. An ndarray has no room for a version number, so the library keeps a log of its
# own writes: a clock that ticks at each, and when each block of memory was last written to. A node
# remembers the clock at its making; if nothing was written since, backward has nothing to check.

clock = 0
_written = {}    # id of the ndarray that owns the memory: (clock, weak reference that clears the entry)
_lock = Brief()  # two threads that write must not read one time from the clock


def tick() -> int:
    """A moment of its own: what was recorded before it has an earlier clock, what comes after it has not."""
    global clock
    with _lock:
        clock += 1
        return clock


def wrote(array: np.ndarray) -> None:
    """Log that the values of `array` were changed in place: everything in nn that writes calls this."""
    global clock
    memory = owner(array)
    key = id(memory)
    known = _written.get(key)    # of this very array: the entry of one that is gone went with it
    gone = known[1] if known else weakref.ref(memory, lambda _: _written.pop(key, None))
    with _lock:
        clock += 1
        _written[key] = clock, gone


def owner(array):
    """The array whose memory `array` is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def check_unwritten(node, arrays):
    """Raise RuntimeError if one of the arrays was written to since `node` was recorded."""
    for kept in arrays or ():
        if isinstance(kept, np.ndarray):
            when, _ = _written.get(id(owner(kept)), (0, None))
            if when > node.clock:
                raise RuntimeError(
                    f"{node.rule.name}: backward needs an array of shape {kept.shape} that was overwritten "
                    "after the forward pass; call backward before writing, or write to a copy")

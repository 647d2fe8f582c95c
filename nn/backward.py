"""The engine of reverse mode: what a graph is made of, and the walk that carries a gradient through it.

Reverse accumulation: Linnainmaa, "Taylor expansion of the accumulated rounding error" (1976).
The order of the walk: Kahn, "Topological sorting of large networks" (1962).
"""

import weakref

import numpy as np

FREED = "freed"    # what Node.saved is once backward has been through it


class Node:
    """One recorded operation: its rule, where its inputs came from, and what its vjp needs.

    A node knows its parents and never its output, so a graph has no reference cycle: it is freed
    as soon as the last tensor that leads to it is.
    """

    __slots__ = ("clock", "parents", "rule", "saved", "shape")

    def __init__(self, rule, parents, saved, shape):
        self.rule = rule
        self.parents = parents    # for each input: the Node that made it, the leaf Tensor, or None
        self.saved = saved        # what rule.forward kept for rule.vjp
        self.shape = shape        # of the output
        self.clock = clock        # how many writes there had been when this was recorded


def walk(root, seed, retain_graph=False, wanted=()):
    """Carry `seed`, the gradient of the output of node `root`, back to the leaves.

    Returns ({leaf or wanted node: gradient}, owned); the gradients of the keys in `owned` are
    arrays that nothing else holds. A node is visited once, after all its consumers, however many
    paths lead to it, and what it saved is dropped as soon as it has been used.
    """
    pending = _count_consumers(root)
    grads, owned, found = {root: seed}, set(), {}
    ready = [root]
    while ready:
        node = ready.pop()
        rule, parents = node.rule, node.parents
        g = grads.pop(node, None)    # None: each consumer had nothing to send
        if node in wanted:
            found[node] = g
        if g is None:
            parts = parents
        else:
            if node.clock != clock:
                _check_unwritten(node)
            parts = rule.vjp(g, node.saved, [p is not None for p in parents])
        if not retain_graph:
            node.saved, node.parents = FREED, ()
        for parent, part in zip(parents, parts):
            if parent is None:
                continue
            if g is not None and part is not None:
                if part.shape != parent.shape:
                    part = fit(part, parent.shape, rule)
                held = grads.get(parent)
                if held is None:
                    grads[parent] = part
                    if rule.fresh:
                        owned.add(parent)
                elif parent in owned:
                    held += part
                    grads[parent] = held     # a NumPy scalar is not changed in place
                else:                        # never add into an array that may be someone else's
                    grads[parent] = held + part
                    owned.add(parent)
            if type(parent) is Node:
                left = pending[parent] = pending[parent] - 1
                if not left:
                    ready.append(parent)
    grads.update(found)
    return grads, owned


def _count_consumers(root):
    """{node: how many recorded inputs it feeds}, for every node that leads to `root`."""
    pending = {root: 0}
    stack = [root]
    while stack:
        node = stack.pop()
        if node.saved is FREED:
            raise RuntimeError(
                f"{node.rule.name}: backward has already been through this operation and dropped what it "
                "saved; call the first backward with retain_graph=True, or run the forward pass again")
        for parent in node.parents:
            if type(parent) is Node:
                if parent in pending:
                    pending[parent] += 1
                else:
                    pending[parent] = 1
                    stack.append(parent)
    return pending


def fit(g, shape, rule=None):
    """Undo broadcasting, here and nowhere else: give `g` the shape of the input it is the gradient of.

    An axis along which the input was repeated is summed over. An axis along which the rule left g
    at length 1 (sum's gradient is the same for every term) is repeated.
    """
    extra = g.ndim - len(shape)
    if extra > 0:
        g = g.sum(axis=tuple(range(extra)))
    summed = tuple(i for i, (have, want) in enumerate(zip(g.shape, shape)) if want == 1 != have)
    if summed and extra >= 0:
        g = g.sum(axis=summed, keepdims=True)
    if g.shape == shape:
        return g
    if not g.ndim:    # the gradient of a scalar loss: by far the commonest case, and broadcast_to is slow
        full = np.empty(shape, g.dtype)
        full.fill(g)
        return full
    try:
        return np.broadcast_to(g, shape)
    except ValueError:
        name = rule.name if rule else "backward"
        raise RuntimeError(f"{name}: its vjp gave a gradient of shape {g.shape} for an input of shape {shape}"
                           ) from None


# Overwritten arrays. An ndarray can carry no version number, so the library keeps a log of its own
# writes: a clock that ticks at each write, and when each memory block was last written to. A node
# remembers the clock; where nothing was written since, backward has nothing to check.

clock = 0
_written = {}    # id of the ndarray that owns the memory: (clock, weak reference that clears the entry)


def wrote(array):
    """Log that the values of `array` were changed in place (everything in nn that writes calls this)."""
    global clock
    clock += 1
    owner = _owner(array)
    key = id(owner)
    _written[key] = clock, weakref.ref(owner, lambda _: _written.pop(key, None))


def _owner(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _check_unwritten(node):
    for kept in node.saved or ():
        if isinstance(kept, np.ndarray):
            when, _ = _written.get(id(_owner(kept)), (0, None))
            if when > node.clock:
                raise RuntimeError(
                    f"{node.rule.name}: backward needs an array of shape {kept.shape} that was overwritten "
                    "after the forward pass; call backward first, or write to a copy")

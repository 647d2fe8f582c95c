"""Derivatives of derivatives: the walk of backward, with the gradients as Tensors that are recorded in turn.

A vjp is lines of arithmetic, and the same lines run on Tensors. What they are given then is g as a
Tensor, and what the forward pass saved, linked again to the graph: where an input was saved, a Tensor
that stands where that input stood; where the output was, one that comes out of the node itself. So the
gradient of the gradient finds its way back. Two kinds of rules go another way:

- linear ones: their vjp is linear in g and depends on nothing else, so it stays on arrays, as one
  operation whose own vjp is the rule's jvp, ⟨J·t, g⟩ = ⟨t, Jᵀ·g⟩;
- fused ones (`by_twin`): what they saved is made for one backward. Their composed twin runs instead.

Pearlmutter, "Fast exact multiplication by the Hessian" (1994); Griewank & Walther, "Evaluating derivatives"
(2008), chapter 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import backward as engine
from .backward import LEAF, Node
from .context import ambient, within
from .half import wide
from .rules import Rule
from .tensor import Tensor, apply, shared

OUTPUT = "output"    # where something saved came from, if not from an input
UNFIT = TypeError, ValueError, AttributeError, IndexError, RuntimeError    # what arrays-only lines raise


def backward(output: Tensor, grad: Any = None, retain_graph: bool | None = None) -> None:
    """Tensor.backward(create_graph=True): add the gradients, as Tensors, to the .grad of every leaf."""
    for leaf, g in gradients("backward", output, grad, retain_graph).items():
        leaf.grad = copied(g, leaf.dtype) if leaf.grad is None else _in(leaf.dtype, leaf.grad + g)


def gradients(who: str, output: Tensor, grad: Any, retain_graph: bool | None = None,
              wanted: set = frozenset()) -> dict[Tensor | Node, Tensor]:
    """{leaf or wanted node: the gradient of `output` there}, each a Tensor with a graph of its own."""
    if not ambient.context.recording:
        raise RuntimeError(f"{who}: create_graph=True inside no_grad, where no graph can be created")
    seed = engine._seed(who, output, grad)
    if isinstance(grad, Tensor):
        seed = _in(wide(output.dtype), grad)
    else:
        seed = shared(np.array(seed))
    if output._node is LEAF:
        return {output: seed}
    return _walk(output._node, seed, retain_graph is not False, wanted)


def copied(g: Tensor, dtype: np.dtype) -> Tensor:
    """The same gradient in memory of its own: what is handed out is nobody else's.

    By an operation: where nothing happened on the way back, g is the very leaf (or the Dual) that was given
    as the gradient of the output, and its copy has to lead back to it.
    """
    return apply(LINK, _in(dtype, g))


def _in(dtype, t):
    return t if t.dtype == dtype else t.astype(dtype)


def _walk(root, seed, retain_graph, wanted=(), stop=()):
    """As the walk of nn.backward, on Tensors. It does not go beyond the nodes in `stop`."""
    pending = engine.count_consumers(root)
    grads, found, ready = {root: seed}, {}, [root]
    while ready:
        node = ready.pop()
        g = grads.pop(node, None)
        if node in wanted or node in stop:
            found[node] = g
            if node in stop:
                continue
        parents = node.parents
        parts = parents if g is None else _parts(node, g)
        if not retain_graph:
            engine.free(node)
        for parent, part in zip(parents, parts, strict=True):
            if parent is None:
                continue
            if g is not None and part is not None and part is not False:
                part = part if isinstance(part, Tensor) else shared(np.asarray(part))
                part = fit(part, parent.shape, node.rule)
                held = grads.get(parent)
                grads[parent] = part if held is None else held + part
            if type(parent) is Node:
                pending[parent] -= 1
                if not pending[parent]:
                    ready.append(parent)
    grads.update(found)
    return grads


def _parts(node, g):
    """The gradients that `node` sends to its parents, as Tensors."""
    rule, parents, attrs = node.rule, node.parents, node.attrs or {}
    engine.check_unwritten(node, node.saved)
    if rule.double is not None:
        return rule.double(node, g)
    if rule.linear:
        return [None if parent is None else
                apply(transposed(rule, i, len(parents), node.saved, attrs, parent.shape, node.shape), g)
                for i, parent in enumerate(parents)]
    if rule.by_twin:
        engine.check_unwritten(node, node.inputs)
        return _through_twin(node, g)
    if not origins(rule):
        raise none(rule, "double backward", "what it saves is made for one backward")
    saved = relinked(rule, node.saved, lambda origin, kept: _stand_in(node, origin, kept))
    try:
        return rule.vjp(g, saved, [parent is not None for parent in parents])
    except UNFIT as error:
        raise none(rule, "double backward", f"its vjp does not run on Tensors: {error}") from error


def _stand_in(node, origin, kept):
    """A Tensor of the array `kept` that stands where it stood in the graph."""
    parent = node if origin == OUTPUT else node.parents[origin]
    if parent is None:
        return kept
    if isinstance(parent, Tensor):
        return parent if parent._data is kept else shared(np.asarray(kept), _link(parent, [parent]))
    return shared(np.asarray(kept), parent)


def _through_twin(node, g):
    """Run the twin on the inputs, and go back from g to where it began; that is linked to the graph after."""
    arrays = node.inputs if node.rule.by_twin is True else node.rule.by_twin(node.saved)
    links = [None if parent is None else _link(parent, ()) for parent in node.parents]
    inputs = [shared(x, link) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x
              for x, link in zip(arrays, links, strict=True)]
    y = node.rule.twin(*inputs, **(node.attrs or {}))
    ends = {link: parent for link, parent in zip(links, node.parents, strict=True) if link is not None}
    grads = back_to(ends, y._node, g)
    parts = [grads.get(link) for link in links]
    return [p if p is None else _in(g.dtype, p) for p in parts]


def back_to(ends: dict[Node, Tensor | Node], root: Node | None, g: Tensor) -> dict[Node, Tensor]:
    """From g at `root` back to the ends; then each is linked to what it stands for in the graph beyond."""
    grads = {} if root is None else _walk(root, g, True, stop=ends)
    for end, parent in ends.items():
        end.rule, end.parents = LINK, [parent]
    return grads


LINK = Rule("link", "y = x;  dx = g", lambda x: (x.copy(), None), lambda g, saved, needs: (g,), linear=True,
            symmetric=True)


def _link(parent, parents):
    return Node(LINK, parents, None, parent.shape)


def transposed(rule: Rule, i: int, n: int, saved: Any, attrs: dict, shape: tuple, out: tuple) -> Rule:
    """A linear rule's vjp for input i of n as an operation on g, whose own vjp is the rule's jvp.

    shape: of that input; out: of the output.
    """
    return _linear(f"vjp of {rule.name}", f"{rule.formula}, read from right to left",
                   *directions(rule, i, n, saved, attrs, shape, out)[::-1])


def directions(rule: Rule, i: int, n: int, saved: Any, attrs: dict, shape: tuple,
               out: tuple) -> tuple[Callable, Callable]:
    """For a linear rule: tangent of input i -> tangent of y, and gradient of y -> gradient of input i."""
    def forth(t):
        return spread(rule, tangent(rule, t, i, n, saved, attrs, out), out)

    def back(g):
        part = rule.vjp(g, saved, _one(i, n))[i]
        if part is None or part is False:
            return np.zeros(shape, g.dtype)
        return part if part.shape == shape else engine.fit(part, shape, rule)

    return forth, back


def _linear(name, formula, forth, back):
    return Rule(name, formula, lambda t: (forth(t), None), lambda g, saved, needs: (back(g),), linear=True)


def linear_part(rule: Rule, i: int, n: int, saved: Any, attrs: dict, shape: tuple, out: tuple) -> Rule:
    """A linear rule as an operation on input i alone, on a tangent of it."""
    return _linear(f"jvp of {rule.name}", rule.formula, *directions(rule, i, n, saved, attrs, shape, out))


def tangent(rule: Rule, t: Any, i: int, n: int, saved: Any, attrs: dict, out: tuple,
            slope: Callable | None = None) -> Any:
    """∂y/∂xᵢ·t, perhaps with axes of length 1 still to be repeated: the forward mode of one rule.

    On arrays, or (saved relinked, and with a `slope` that differentiates Tensors) on Tensors. Raises
    RuntimeError if the rule has no forward mode.
    """
    if rule.jvp is not None:
        return rule.jvp(t, i, saved, out, **attrs)
    if rule.symmetric:
        return _or_zero(rule.vjp(t, saved, _one(i, n))[i], t)
    if rule.linear and n == 1:
        return rule.forward(t, **attrs)[0]
    return _transposed_vjp(rule, t, i, n, saved, out, slope or _slope)


def _transposed_vjp(rule, t, i, n, saved, out, slope):
    """The vjp as a function of its cotangent u is u ↦ Jᵀ·u; the vjp of that function is t ↦ J·t.

    It is linear, so where it is differentiated (the value of u) is all the same. Townsend, "A new trick
    for calculating Jacobian vector products" (2017).
    """
    u = Tensor(np.zeros(out, t.dtype), requires_grad=True)
    with recorded(), np.errstate(all="ignore"):
        try:
            part = rule.vjp(u, saved, _one(i, n))[i]
        except UNFIT as error:
            raise none(rule, "forward mode", f"its vjp does not run on Tensors: {error}") from error
        if not isinstance(part, Tensor) or part._node is None:
            return _or_zero(None, t)
        return slope(fit(part, t.shape, rule), u, t)


def _slope(y, x, v):
    return engine.grad(y, x, v)[0]


def _or_zero(part, t):
    return t.dtype.type(0) if part is None or part is False else part


def _one(i, n):
    return [k == i for k in range(n)]


def recorded() -> within:
    """Inside, operations are recorded, be it in a no_grad."""
    return within("recording", True)


def origins(rule: Rule) -> dict[int, int | str] | Callable[[int], int] | None:
    """For each array that the rule saves the number of the input that it is, or OUTPUT, as its samples show
    (or it says itself).

    None if the rule saves anything else that is floating-point: that was computed from the inputs, and
    a derivative would go past it. (Integers, booleans, shapes are constants.) None without samples, too.
    """
    if rule.origins is None:
        rule.origins = _origins(rule) or False
    return rule.origins or None


def _origins(rule):
    found = {"samples": None}
    cases = rule.samples(np.random.default_rng(0))
    for arrays, attrs in cases:
        y, saved = rule.forward(*arrays, **attrs)
        for j, kept in enumerate(saved or ()):
            if not isinstance(kept, (np.ndarray, np.generic)):
                continue
            inputs = [i for i, x in enumerate(arrays) if x is kept]
            origin = OUTPUT if kept is y else inputs[0] if inputs else None
            if (origin is None and kept.dtype.kind == "f") or found.setdefault(j, origin) != origin:
                return None
    return found if cases else None


def relinked(rule: Rule, saved: Any, stand_in: Callable[[int | str, Any], Any]) -> Any:
    """What a rule saved, with stand_in(origin, array) for every input and output in it."""
    if saved is None:
        return None
    known = origins(rule)
    origin = known if callable(known) else known.get
    return tuple(stand_in(origin(j), kept) if isinstance(kept, (np.ndarray, np.generic))
                 and origin(j) is not None else kept for j, kept in enumerate(saved))


def none(rule: Rule, what: str, why: str) -> RuntimeError:
    """The error for a rule that has no such mode: names it, and what to use."""
    use = "compute the same from simpler operations" if rule.twin is None else \
        f"use what it is composed of, RULES[{rule.name!r}].twin"
    if rule.name == "jvp":
        why = "it carries a tangent of nn.jvp, which backward would lose"
        use = "take the gradient of a jvp, nn.grad outside and nn.jvp inside, or nn.hvp"
    return RuntimeError(f"{rule.name}: has no {what} ({why}); {use}")


def spread(rule: Rule, t: Any, out: tuple) -> Any:
    """A tangent, an array or a Tensor, repeated to the shape of the output."""
    if t.shape == out:
        return t
    try:
        return t.expand(*out) if isinstance(t, Tensor) else np.broadcast_to(t, out)
    except ValueError:
        raise RuntimeError(f"{rule.name}: its jvp gave a tangent of shape {t.shape}, which does not "
                           f"broadcast to {out}, the shape of the output") from None


def fit(g: Tensor, shape: tuple, rule: Rule) -> Tensor:
    """nn.backward.fit on Tensors: undo broadcasting, so that `g` has the shape of the input."""
    if g.shape == shape:
        return g
    given, extra = g, g.ndim - len(shape)
    g = g.sum(tuple(range(extra))) if extra > 0 else g
    if extra >= 0:
        repeated = tuple(axis for axis, (have, want) in enumerate(zip(g.shape, shape, strict=True))
                         if want == 1 != have)
        g = g.sum(repeated, keepdim=True) if repeated else g
    try:
        return g if g.shape == shape else g.expand(*shape)
    except ValueError:
        raise engine.Misfit(rule, given, shape) from None

"""Activation recomputation: keep less in the forward pass, compute it again in the backward pass.

Backward needs what every layer saved, so the memory of n layers grows with n. If only the inputs of some
segments are kept, and a segment runs again when backward arrives at it, the memory is what the segments'
inputs take and what one segment saves: n/k inputs and k layers, least at k = √n, where it is 2√n. The price
is one more forward pass. Chen, Xu, Zhang & Guestrin, "Training deep nets with sublinear memory cost" (2016).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial, reduce
from itertools import pairwise
from typing import Any

import numpy as np

from . import random
from .arguments import instance, is_int
from .context import ambient, within
from .double_backward import END, back_to
from .functional.shapes import cat
from .kernels.kernel import forcing
from .operation import Operation, ancestors
from .rules import Rule
from .tensor import Tensor
from .versions import tick
from .walk import walk


def checkpoint(f: Callable[..., Any], *inputs: Any, use_reentrant: bool = False, **named: Any) -> Any:
    """f(*inputs, **named), keeping only the inputs for backward, which runs f again.

    f: gives a Tensor, or a tuple, a list or a dict of them; anything else in it is passed on from the first
    run. It may depend only on its inputs, on Tensors that it closes over (parameters, for instance) and on
    random numbers of nn.random.generator(), which are replayed. Whatever of these requires a gradient gets
    one. inputs, named: the arguments of f, Tensors or anything else. Where nothing is recorded (in no_grad or
    a trace) this is f(*inputs, **named). use_reentrant: PyTorch's switch; both of its values mean what False
    means there.

    The gradients are those of f(*inputs), bit for bit, unless a tensor is used several times in f and outside
    it too: then its gradients are added in another order. Batch norm counts the batch once; an f of your own
    that counts its calls can ask `nn.context.ambient.context.replaying` whether this one is a repetition.
    Raises: TypeError if f is not a function or gives no Tensor. Backward raises RuntimeError if f gave
    another result when it ran again, or if an input was overwritten since.
    """
    instance("checkpoint", "f", f, Callable, "a function of the inputs")
    context = ambient.context
    if context.tracer is not None or not context.recording:
        return f(*inputs, **named)
    since = tick()
    # Recorded the first time too: its graph tells what f closes over. Backward will need that room anyway.
    with random.running() as drawn:
        result = f(*inputs, **named)
        y = _one_tensor(result)
    if y is None or not _recorded(y._operation, since):
        return result  # f computed nothing that a gradient flows through
    parents = _in_order(y._operation, _cut(y._operation, since))
    again = partial(_replayed, f, inputs, named, tuple(parents), drawn, context.forced, _fingerprint(y._data))
    # The operation saves what f reads as arrays, too, so that backward notices if one is overwritten.
    arrays = [getattr(read, "_data", read) for read in (*leaves((inputs, named)), *parents)]
    out = y.detach()
    out._operation = Operation(_RULE, parents, (again, *arrays), y.shape)
    return out if y is result else _parted(result, iter(out.split([x.size for x in _differentiable(result)])))


def checkpoint_sequential(modules: Iterable[Callable[[Tensor], Tensor]], segments: int | None,
                          x: Any) -> Tensor:
    """The modules one after another, in segments of which all but the last are checkpointed.

    modules: a Sequential or a list of functions. segments: how many, from 1 to len(modules); None for √n,
    which needs least memory if the layers are alike. The last segment keeps what it saves, for its backward
    comes first. x: the input of the first. Raises ValueError for an invalid number of segments.
    """
    *first, last = split(list(modules), segments)
    for part in first:
        x = checkpoint(partial(_one_after_another, part), x)
    return _one_after_another(last, x)


def split(layers: list, segments: int | None = None) -> list[list]:
    """The layers in √n segments, or as many as are wanted, of lengths that differ by one at most."""
    n = len(layers)
    segments = max(1, round(n**0.5)) if segments is None else segments
    if not is_int(segments) or not 1 <= segments <= n:
        raise ValueError(f"checkpoint_sequential: segments is {segments!r}, wanted an int from 1 to {n}, the "
                         "number of modules")
    cuts = [n * i // segments for i in range(segments + 1)]
    return [layers[a:b] for a, b in pairwise(cuts)]


def _one_after_another(modules, x):
    return reduce(lambda x, module: module(x), modules, x)


@contextmanager
def replaying(drawn: random.Run | None = None) -> Iterator[None]:
    """Inside, operations are recorded and the random numbers of `drawn` come again (or those that come next,
    if it is None), but a forward pass changes nothing that outlives it, neither running statistics nor the
    state of the random numbers."""
    with within("recording", True), within("replaying", True), random.running(drawn, replay=True):
        yield


def _again(g, saved, needs):
    """The vjp of checkpoint: f once more, and the gradient g back through it to where it began."""
    root, ends = saved[0]()
    grads, owned = walk(root, g, wanted=set(ends))
    parts = [(end in owned, grads.get(end)) for end in ends]
    return [part if part is None or own else np.array(part) for own, part in parts]


def _again_recorded(operation, g):
    """The same with create_graph: what f records now stays in the graph."""
    root, ends = operation.saved[0]()
    grads = back_to({end: end.attrs["of"] for end in ends}, root, g)
    return [grads.get(end) for end in ends]


def _replayed(f, inputs, named, parents, drawn, forced, fingerprint):
    """Run f again: (its last operation, the ends put in the places of `parents` in its graph)."""
    since = tick()
    same = nullcontext() if ambient.context.forced is forced else forcing(forced)
    with replaying(drawn), same:  # other kernels would round in other places
        y = _one_tensor(f(*inputs, **named))
    root = None if y is None else y._operation
    ends = _cut(root, since) if _recorded(root, since) else {}
    if y is None or _fingerprint(y._data) != fingerprint or ends.keys() != set(parents):
        f = f.args[0] if isinstance(f, partial) else f
        name = getattr(f, "__qualname__", None) or repr(f)
        raise RuntimeError(
            f"checkpoint: {name} gave another result when backward ran it again. It may depend on its "
            "inputs, on parameters and on numbers of nn.random.generator(): has it another source of "
            "randomness, or was a module switched between train() and eval() since?")
    return root, [ends[parent] for parent in parents]  # unless f's last operation saved it, y goes now


_RULE = Rule("checkpoint", "y = f(x);  dx = g·∂f/∂x, for which f runs again",
             lambda *arrays, f: (f(*map(Tensor, arrays)).numpy(), None), _again, fresh=True,
             double=_again_recorded)


def _recorded(parent, since):
    return type(parent) is Operation and parent.time >= since


def _cut(root, since):
    """Cut f's graph off from the graph outside; returns {parent outside f: the end put in its place}."""
    ends = {}
    for node in ancestors(root):
        for i, parent in enumerate(node.parents):
            if parent is not None and not _recorded(parent, since):
                if parent not in ends:
                    ends[parent] = Operation(END, (), None, parent.shape, {"of": parent})
                node.parents[i] = ends[parent]
    return ends


def _in_order(root, ends):
    """The parents outside f that the ends stand for; the one that a walk back through f meets first is last.
    Backward goes on with the last of a node's parents. So it takes the same way through the rest of the graph
    with and without a checkpoint, and adds up gradients in the same order."""
    met, _ = walk(root, True, True, set(ends.values()), lambda operation, g, needs: [None] * len(needs))
    return [end.attrs["of"] for end in met][::-1]


def _one_tensor(y):
    """The result of f as one Tensor, for an operation has one output: of several those that require grad, end
    to end, in the widest of their dtypes; None if it is several of which none does."""
    if isinstance(y, Tensor):
        return y
    if not any(isinstance(part, Tensor) for part in leaves(y)):
        raise TypeError(f"checkpoint: f must give one Tensor, it gave a {type(y).__name__}; a tuple, list or "
                        "dict of Tensors will do, too")
    flat = [x.reshape(-1) for x in _differentiable(y)]
    return cat(flat) if flat else None


def leaves(x: Any) -> Iterator[Any]:
    """All that is in tuples, lists and dicts, however deep; anything else is a leaf itself."""
    if isinstance(x, (tuple, list, dict)):
        for part in x.values() if isinstance(x, dict) else x:
            yield from leaves(part)
    else:
        yield x


def _differentiable(bundle):
    return [x for x in leaves(bundle) if isinstance(x, Tensor) and x.requires_grad]


def _parted(bundle, parts):
    """The result of f with the next of `parts` in the place of each Tensor that requires grad."""
    if isinstance(bundle, dict):
        return {key: _parted(value, parts) for key, value in bundle.items()}
    if isinstance(bundle, (tuple, list)):
        made = [_parted(value, parts) for value in bundle]
        return type(bundle)(*made) if hasattr(bundle, "_fields") else type(bundle)(made)
    return next(parts).reshape(*bundle.shape).to(bundle.dtype) if _differentiable(bundle) else bundle


def _fingerprint(array):
    """A checksum of the bits, in the order in which they lie in memory."""
    return array.dtype, array.shape, zlib.crc32(array.ravel(order="K").view(np.uint8))

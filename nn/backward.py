"""backward and grad: from a Tensor, the gradients of all that it was computed from.

Nothing here imports Tensor, which is above: new ones are made by the output's own `_shared`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .arguments import Tensor
from .context import ambient
from .double_backward import in_dtype, vjp_on_tensors
from .half import wide
from .operation import LEAF, Operation
from .rules.shapes import clone
from .walk import walk


def backward(output: Tensor, grad: Any = None, retain_graph: bool | None = None,
             create_graph: bool = False) -> None:
    """Tensor.backward: add the gradient of `output` to the .grad of every leaf it was computed from."""
    if create_graph:
        for leaf, g in gradients("backward", output, grad, retain_graph).items():
            leaf.grad = copied(g, leaf.dtype) if leaf.grad is None else in_dtype(leaf.dtype, leaf.grad + g)
        return
    seed = _seed("backward", output, grad)
    if output._operation is LEAF:
        _give(output, seed, owned=False)
        return
    grads, owned = walk(output._operation, seed, retain_graph)
    for leaf, g in grads.items():  # after the walk, so that one that fails leaves every .grad as it was
        _give(leaf, g, leaf in owned)


def grad(output: Tensor, inputs: Tensor | Iterable[Tensor], grad_output: Any = None,
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
        if not hasattr(t, "_operation"):
            raise TypeError(f"grad: output and inputs must be Tensors, got {type(t).__name__}")
    keys = [t if t._operation is LEAF else t._operation for t in inputs]
    if create_graph:
        grads = gradients("grad", output, grad_output, retain_graph, set(keys))
    else:
        seed = _seed("grad", output, grad_output)
        grads = {output: seed}
        if output._operation is not LEAF:
            grads, _ = walk(output._operation, seed, retain_graph, set(keys))
    for i, (t, key) in enumerate(zip(inputs, keys, strict=True)):
        if grads.get(key) is None and not (allow_unused and t.requires_grad):
            why = "" if t.requires_grad else ", which requires no grad"
            raise RuntimeError(f"grad: the output was not computed from input {i}, of shape {t.shape}{why}")
    copy = copied if create_graph else np.array
    return tuple(None if grads.get(key) is None else copy(grads[key], t.dtype)
                 for t, key in zip(inputs, keys, strict=True))


def gradients(who: str, output: Tensor, grad: Any, retain_graph: bool | None = None,
              wanted: set = frozenset()) -> dict[Tensor | Operation, Tensor]:
    """{leaf or wanted operation: the gradient of `output` there}, each a Tensor with a graph of its own."""
    if not ambient.context.recording:
        raise RuntimeError(f"{who}: create_graph=True inside no_grad, where no graph can be created")
    seed = _seed(who, output, grad)
    if hasattr(grad, "_operation"):
        seed = in_dtype(wide(output.dtype), grad)
    else:
        seed = output._shared(np.array(seed))
    if output._operation is LEAF:
        return {output: seed}
    return walk(output._operation, seed, retain_graph is not False, wanted, vjp_on_tensors)[0]


def copied(g: Tensor, dtype: np.dtype) -> Tensor:
    """The same gradient in memory of its own: what is handed out is nobody else's.

    By an operation: where nothing happened on the way back, g is the very tensor that was given as the
    gradient of the output, and its copy has to lead back to it.
    """
    return clone(in_dtype(dtype, g))


def _seed(who, output, grad):
    """The gradient to begin with: 1, or what was given."""
    if output._operation is None:
        raise RuntimeError(f"{who}: the tensor requires no grad; it was not computed from a tensor with "
                           "requires_grad=True, or it was computed inside no_grad or detached")
    if grad is None:
        if output.size != 1:
            raise RuntimeError(f"{who}: the tensor has shape {output.shape}, and only of one element is the "
                               "gradient known to be 1; pass one of that shape, or reduce first, by .sum()")
        dtype = wide(output.dtype)
        return np.ones(output.shape, dtype) if output.ndim else dtype.type(1)
    grad = np.asarray(getattr(grad, "_data", grad), wide(output.dtype))
    if grad.shape != output.shape:
        raise ValueError(f"{who}: the gradient given has shape {grad.shape}, wanted {output.shape}, its own")
    return grad


def _give(leaf, g, owned):
    """Add g to leaf.grad. The array itself becomes leaf.grad only if nobody else has it."""
    dtype = leaf._data.dtype
    if leaf.grad is not None:  # (its array, should a backward with create_graph have left a Tensor there)
        leaf.grad = np.asarray(getattr(leaf.grad, "_data", leaf.grad) + g, dtype)
    elif owned and type(g) is np.ndarray and g.dtype == dtype:
        leaf.grad = g
    else:
        leaf.grad = np.array(g, dtype, order="C")

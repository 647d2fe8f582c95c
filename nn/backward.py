"""backward and grad: from a Tensor, the gradients of all that it was computed from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .arguments import Tensor, flag
from .context import ambient
from .double_backward import in_dtype, vjp_on_tensors
from .half import wide
from .operation import LEAF
from .rules.shapes import clone
from .walk import walk


def backward(output: Tensor, grad: Any = None, retain_graph: bool | None = None,
             create_graph: bool = False) -> None:
    """Add ∂(output)/∂(leaf) to the .grad of every leaf that output, this tensor, was computed from.

    grad: the gradient of something in output, of its shape; for one element, 1 if left out. retain_graph:
    keep what was saved, so that backward can come through here once more. create_graph: leave Tensors in
    .grad that can be differentiated once more (and retain the graph, unless told otherwise). Such a .grad and
    its leaf hold each other: set it to None when done, or use nn.grad, which leaves nothing behind.
    Raises RuntimeError if nothing here requires grad, if backward was here before, if an array it needs has
    been overwritten since, or if create_graph meets no_grad or an operation that has no second derivative.
    """
    grads, owned = gradients("backward", output, grad, retain_graph, (), create_graph)
    for leaf, g in grads.items():  # after the walk, so that one that fails leaves every .grad as it was
        held, dtype = leaf.grad, leaf._data.dtype
        if create_graph:
            leaf.grad = copied(g, dtype) if held is None else in_dtype(dtype, held + g)
        elif held is not None:  # (its array, should a backward with create_graph have left a Tensor there)
            leaf.grad = np.asarray(getattr(held, "_data", held) + g, dtype)
        elif leaf in owned and type(g) is np.ndarray and g.dtype == dtype:
            leaf.grad = g  # for nobody else has it
        else:
            leaf.grad = np.array(g, dtype, order="C")


def grad(output: Tensor, inputs: Tensor | Iterable[Tensor], grad_output: Any = None,
         retain_graph: bool | None = None, create_graph: bool = False,
         allow_unused: bool = False) -> tuple[np.ndarray | Tensor | None, ...]:
    """∂(output)/∂(each of the inputs), as a tuple of arrays; no .grad is touched.

    inputs: a Tensor or several, leaves or not. grad_output: as the grad of Tensor.backward. create_graph:
    return Tensors that know how they were computed, so that they can be differentiated once more;
    retain_graph is then on, unless it is set. allow_unused: return None for an input that output was not
    computed from; else that is an error.
    Raises RuntimeError for such an input and for one that requires no grad, TypeError for what is no Tensor;
    with create_graph, RuntimeError inside no_grad, and for an operation that has no second derivative.
    """
    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    for t in (output, *inputs):
        if not hasattr(t, "_operation"):
            raise TypeError(f"grad: output and inputs must be Tensors, got {type(t).__name__}")
    flag("grad", "allow_unused", allow_unused)
    keys = [t if t._operation is LEAF else t._operation for t in inputs]
    grads, _ = gradients("grad", output, grad_output, retain_graph, set(keys), create_graph)
    found, copy = [grads.get(key) for key in keys], copied if create_graph else np.array
    for i, (t, g) in enumerate(zip(inputs, found, strict=True)):
        if g is None and not (allow_unused and t.requires_grad):
            why = "" if t.requires_grad else ", which requires no grad"
            raise RuntimeError(f"grad: the output was not computed from input {i}, of shape {t.shape}{why}")
    return tuple(None if g is None else copy(g, t.dtype) for t, g in zip(inputs, found, strict=True))


def gradients(who: str, output: Tensor, grad: Any, retain_graph: bool | None = None,
              wanted: Iterable = (), create_graph: bool = True) -> tuple[dict, set]:
    """({leaf or wanted operation: the gradient of `output` there}, owned), as `walk` gives them. grad: the
    gradient to begin with; None for 1. With create_graph all are Tensors, with a graph behind them."""
    flag(who, "retain_graph", retain_graph is not None and retain_graph)
    if flag(who, "create_graph", create_graph) and not ambient.context.recording:
        raise RuntimeError(f"{who}: create_graph=True inside no_grad, where no graph can be created")
    operation, shape, dtype = output._operation, output._data.shape, wide(output._data.dtype)
    if operation is None:
        raise RuntimeError(f"{who}: the tensor requires no grad; it was not computed from a tensor with "
                           "requires_grad=True, or it was computed inside no_grad or detached")
    if grad is not None:
        seed = np.asarray(getattr(grad, "_data", grad), dtype)
        if seed.shape != shape:
            raise ValueError(f"{who}: the gradient given has shape {seed.shape}, wanted {shape}, its own")
    elif output.size != 1:
        raise RuntimeError(f"{who}: the tensor has shape {shape}, and only of one element is the gradient "
                           "known to be 1; pass one of that shape, or reduce first, by .sum()")
    else:
        seed = np.ones(shape, dtype) if shape else dtype.type(1)
    if create_graph:  # (Tensor is above this: new ones are made by the output's own `_shared`)
        seed = in_dtype(dtype, grad) if hasattr(grad, "_operation") else output._shared(np.array(seed))
        retain_graph = retain_graph is not False
    if operation is LEAF:
        return {output: seed}, set()
    return walk(operation, seed, retain_graph, wanted, vjp_on_tensors if create_graph else None)


def copied(g: Tensor, dtype: np.dtype) -> Tensor:
    """The same gradient in memory of its own: what is handed out is nobody else's. By an operation, for where
    nothing happened on the way back g is the tensor that was given, and its copy has to lead back to it."""
    return clone(in_dtype(dtype, g))

"""unprepare: take a model back to plain float weights."""

from __future__ import annotations

import numpy as np

import nn
from nn.context import no_grad

__all__ = ["unprepare"]


def unprepare(model: nn.Module, *, project: bool = True) -> nn.Module:
    """Take what `prepare` attached off a model again, in place: its weights are plain float32 Parameters.

    With `project` each weight becomes what its layer has seen to the last: pruned weights are 0, shared ones
    equal, those of a tensor train its product, quantized ones multiples of their scale. Nothing holds them
    there: from now on the whole weight is trained (as after PyTorch's `remove_parametrizations` with
    leave_parametrized=True). Without `project` each weight is the float that stood behind its view, as far as
    there still is one: Prune, Cluster and TensorTrain overwrite it after each optimizer step. Activations are
    no longer rounded, and batch norm and dropout are themselves again. Build the optimizer afterwards.
    Returns the model, which may be prepared anew.

    Raises TypeError for what is no Module, ValueError for a model that nothing is attached to; nothing is
    changed then.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"unprepare: model must be an nn.Module; got {type(model).__name__}")
    viewed = [parameter for _, parameter in model.named_parameters() if parameter.view is not None]
    if not viewed and not hasattr(model, "prepared"):
        raise ValueError(f"unprepare: nothing is attached to this {type(model).__name__}; prepare does that")
    with no_grad():
        seen = [parameter.view.project(parameter).data for parameter in viewed] if project else []
    before = [(parameter, parameter.view, parameter.data) for parameter in viewed]
    attached = {name: vars(model)[name] for name in ("prepared", "view") if name in vars(model)}
    try:
        for parameter in viewed:
            parameter.view = None
        for parameter, array in zip(viewed, seen, strict=False):
            parameter.data = np.array(array, np.float32)
        model.view = None
        vars(model).pop("prepared", None)
    except BaseException:  # Ctrl-C comes between any two lines
        for parameter, view, array in before:
            parameter.view = None
            parameter.data = array
            parameter.view = view
        vars(model).update(attached)
        raise
    return model

"""unprepare: take a model back to plain float weights."""

from __future__ import annotations

import numpy as np

import nn
from nn.context import no_grad

from .prepare import prepared

__all__ = ["unprepare"]


def unprepare(model: nn.Module, *, project: bool = True) -> nn.Module:
    """Take what `prepare` attached off a model again, in place: its weights are plain float32 Parameters.

    With `project` each weight becomes what its layer saw last: pruned weights are 0, shared ones equal, those
    of a tensor train its product, quantized ones multiples of their scale. Nothing holds them there: from now
    on the whole weight is trained (as after PyTorch's `remove_parametrizations` with
    leave_parametrized=True). Without `project` each weight is the float behind its parametrization; Prune,
    Cluster and TensorTrain overwrite that after each optimizer step. Activations are no longer rounded, and
    batch norm and dropout work again as they did before. Build the optimizer afterwards. Returns the model,
    which may be prepared anew.

    Raises TypeError for what is no Module, ValueError for a model that nothing is attached to; nothing is
    changed then.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"unprepare: model must be an nn.Module; got {type(model).__name__}")
    parametrized = [parameter for _, parameter in model.named_parameters()
                    if parameter.parametrization is not None]
    if not parametrized and prepared(model) is None:
        raise ValueError(f"unprepare: nothing is attached to this {type(model).__name__}; prepare does that")
    with no_grad():
        seen = [parameter.parametrization.project(parameter).data
                for parameter in parametrized] if project else []
    before = [(parameter, parameter.parametrization, parameter.data) for parameter in parametrized]
    attached = {name: vars(model)[name] for name in ("prepared", "parametrization") if name in vars(model)}
    try:
        for parameter in parametrized:
            parameter.parametrization = None
        for parameter, array in zip(parametrized, seen, strict=False):
            parameter.data = np.array(array, np.float32)
        model.parametrization = None
        if prepared(model) is not None:
            del model.prepared
    except BaseException:  # Ctrl-C comes between any two lines
        for parameter, parametrization, array in before:
            parameter.parametrization = None
            parameter.data = array
            parameter.parametrization = parametrization
        vars(model).update(attached)
        raise
    return model

"""unprepare: take a model back to plain float weights."""

import numpy as np

import nn
from nn.context import no_grad
from nn.parametrize import Parametrization

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

    Raises TypeError for what is no Module, ValueError for a model that nothing is attached to."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"unprepare: model must be an nn.Module; got {type(model).__name__}")
    before = [(parameter, parameter.data, parameter.parametrization)
              for _, parameter in model.named_parameters() if parameter.parametrization is not None]
    if not before and prepared(model) is None:
        raise ValueError(f"unprepare: nothing is attached to this {type(model).__name__}; prepare does that")
    with no_grad():
        plain = [(parameter, np.array(parametrization.project(parameter).data if project else array,
                                      np.float32), None) for parameter, array, parametrization in before]
    attached = {name: vars(model)[name] for name in ("prepared", "parametrization") if name in vars(model)}
    try:
        _put(plain)
        model.parametrization = None
        if prepared(model) is not None:
            del model.prepared
    except BaseException:  # Ctrl-C comes between any two lines
        _put(before)
        vars(model).update(attached)
        raise
    return model


def _put(weights: list[tuple[nn.Parameter, np.ndarray, Parametrization | None]]) -> None:
    """Give Parameters these arrays and parametrizations. One may make its array read-only: it comes last."""
    for parameter, array, parametrization in weights:
        parameter.parametrization = None
        parameter.data = array
        parameter.parametrization = parametrization

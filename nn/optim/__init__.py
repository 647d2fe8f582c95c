"""From gradients to new weights: optimizers, clipping, averages of weights, learning rate schedules."""

from . import schedules
from .adam import Adam, AdamW
from .average import AveragedModel, update_bn
from .clip import clip_grad_norm_, clip_grad_value_
from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "AveragedModel", "Optimizer", "clip_grad_norm_", "clip_grad_value_",
           "schedules", "update_bn"]

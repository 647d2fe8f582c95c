"""From gradients to new weights: optimizers, clipping, averages of weights, learning rate schedules."""

from nn.optim import schedules
from nn.optim.adam import Adam, AdamW
from nn.optim.average import AveragedModel, update_bn
from nn.optim.clip import clip_grad_norm_, clip_grad_value_
from nn.optim.optimizer import Optimizer
from nn.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "AveragedModel", "Optimizer", "clip_grad_norm_", "clip_grad_value_",
           "schedules", "update_bn"]

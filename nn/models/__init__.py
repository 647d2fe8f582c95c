"""The networks of the main job, and the two that pruning is measured on."""

from .digits import DigitsCNN, DigitsMLP, digits_cnn, digits_mlp
from .lenet import LeNet5, lenet_5, lenet_300_100
from .nearest import nearest

__all__ = ["DigitsCNN", "DigitsMLP", "LeNet5", "digits_cnn", "digits_mlp", "lenet_5",
           "lenet_300_100", "nearest"]

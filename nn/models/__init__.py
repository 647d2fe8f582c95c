"""The networks of the main job, those that pruning is measured on, and a language model."""

from .char_transformer import CachedStep, CharTransformer, char_transformer
from .digits import DigitsCNN, DigitsMLP, digits_cnn, digits_mlp
from .lenet import LeNet5, lenet_5, lenet_300_100
from .nearest import nearest
from .residual import ResidualBlock, SmallResNet, small_resnet

__all__ = ["CachedStep", "CharTransformer", "DigitsCNN", "DigitsMLP", "LeNet5", "ResidualBlock",
           "SmallResNet", "char_transformer", "digits_cnn", "digits_mlp", "lenet_5", "lenet_300_100",
           "nearest", "small_resnet"]

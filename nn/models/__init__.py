"""The networks of the main job, and a residual one."""

from .digits import DigitsCNN, DigitsMLP, digits_cnn, digits_mlp
from .nearest import nearest
from .residual import ResidualBlock, SmallResNet, small_resnet

__all__ = ["DigitsCNN", "DigitsMLP", "ResidualBlock", "SmallResNet", "digits_cnn", "digits_mlp", "nearest",
           "small_resnet"]

"""The networks of the main job."""

from .digits import DigitsCNN, DigitsMLP, digits_cnn, digits_mlp
from .nearest import nearest

__all__ = ["DigitsCNN", "DigitsMLP", "digits_cnn", "digits_mlp", "nearest"]

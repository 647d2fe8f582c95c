"""Layers: Modules that own the weights of one operation. Names, signatures and keys are PyTorch's."""
# ruff: noqa: F401, I001 -- what is imported here is what nn.layers offers

from .activations import (GELU, Dropout, LeakyReLU, LogSigmoid, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax,
                          Softplus, Tanh)
from .attention import MultiheadAttention, TransformerEncoderLayer
from .containers import Flatten, Identity, ModuleList, Sequential
from .convolution import Conv1d, Conv2d, ConvTranspose2d
from .linear import Embedding, Linear
from .linear_attention import FavorAttention, NystromAttention, RandomFeatureAttention, RandomFourierAttention
from .losses import (BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, KLDivLoss, L1Loss, MSELoss, NLLLoss,
                     SmoothL1Loss)
from .normalisation import BatchNorm1d, BatchNorm2d, GroupNorm, LayerNorm
from .pooling import (AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d,
                      Upsample)

__all__ = sorted(name for name, thing in globals().items()
                 if getattr(thing, "__module__", "").startswith(f"{__name__}."))

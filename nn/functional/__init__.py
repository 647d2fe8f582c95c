"""Operations as functions, with PyTorch's names, argument order and layouts.

Inputs are Tensors or arrays; images are (N, C, H, W), weights (out, in) and (O, C/groups, kH, kW).
Shapes that do not fit raise a ValueError that names the operation and the shapes.
"""

from .activations import (
    dropout,
    gelu,
    leaky_relu,
    log_softmax,
    logsigmoid,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from .attention import scaled_dot_product_attention
from .convolution import conv1d, conv2d, conv_transpose2d
from .elementwise import clamp, maximum, minimum, where
from .interpolation import interpolate
from .losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from .normalisation import batch_norm, group_norm, layer_norm
from .padding import pad
from .pooling import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)
from .products import einsum, linear, matmul
from .shapes import cat, chunk, embedding, flatten, gather, one_hot, split, stack

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "cat",
    "chunk",
    "clamp",
    "conv1d",
    "conv2d",
    "conv_transpose2d",
    "cross_entropy",
    "dropout",
    "einsum",
    "embedding",
    "flatten",
    "gather",
    "gelu",
    "group_norm",
    "huber_loss",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "matmul",
    "max_pool1d",
    "max_pool2d",
    "maximum",
    "minimum",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "pad",
    "relu",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "split",
    "stack",
    "tanh",
    "where",
]

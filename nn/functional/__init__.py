"""Operations as functions, with PyTorch's names, argument order and layouts.

Inputs are Tensors or arrays; images are (N, C, H, W), weights (out, in) and (O, C/groups, kH, kW).
Shapes that do not fit raise a ValueError that names the operation and the shapes.
"""
# ruff: noqa: F401, I001 -- what is imported here is what nn.functional offers

from .activations import (dropout, gelu, leaky_relu, log_softmax, logsigmoid, relu, sigmoid, silu, softmax,
                          softplus, tanh)
from .choices import clamp, maximum, minimum, where
from .contrastive import nt_xent
from .convolution import conv1d, conv2d, conv_transpose2d
from .interpolation import interpolate
from .losses import (binary_cross_entropy_with_logits, cross_entropy, huber_loss, kl_div, l1_loss, mse_loss,
                     nll_loss, smooth_l1_loss)
from .normalisation import batch_norm, group_norm, layer_norm
from .padding import pad
from .pooling import (adaptive_avg_pool2d, adaptive_max_pool2d, avg_pool1d, avg_pool2d, max_pool1d,
                      max_pool2d)
from .products import einsum, linear, matmul, scaled_dot_product_attention
from .shapes import cat, chunk, embedding, flatten, gather, one_hot, split, stack

__all__ = sorted(name for name, thing in globals().items()
                 if getattr(thing, "__module__", "").startswith(f"{__name__}."))

"""nn: how a network learns. Automatic differentiation, layers and training in NumPy, over C kernels."""

from importlib import import_module
from pkgutil import extend_path

# Run from a clone after `pip install .`: the source folder shadows the installed package, so
# the compiled part (nn/_kernels) is looked for along the whole of sys.path.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"

from nn import data, functional, init, models, optim, profile, train
from nn.backward import grad
from nn.context import no_grad
from nn.curvature import fisher_diag, gauss_newton_diag, hessian_diag, per_sample_grads
from nn.explain import explain
from nn.files import FileError, load, save
from nn.forward import jvp
from nn.functional import (
    cat,
    chunk,
    clamp,
    einsum,
    gather,
    matmul,
    maximum,
    minimum,
    split,
    stack,
    where,
)
from nn.gradcheck import GradcheckError, gradcheck
from nn.graph import Graph, trace
from nn.jacobians import hvp, jacobian
from nn.layers import (
    GELU,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool1d,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    BCEWithLogitsLoss,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    CrossEntropyLoss,
    Dropout,
    Embedding,
    Flatten,
    GroupNorm,
    HuberLoss,
    Identity,
    KLDivLoss,
    L1Loss,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSigmoid,
    LogSoftmax,
    MaxPool1d,
    MaxPool2d,
    ModuleList,
    MSELoss,
    MultiheadAttention,
    NLLLoss,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    SmoothL1Loss,
    Softmax,
    Softplus,
    Tanh,
    TransformerEncoderLayer,
)
from nn.module import Module, Parameter
from nn.random import manual_seed
from nn.recompute import checkpoint, checkpoint_sequential
from nn.tensor import Tensor, TraceError

__all__ = [
    "GELU",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "FileError",
    "Flatten",
    "GradcheckError",
    "Graph",
    "GroupNorm",
    "HuberLoss",
    "Identity",
    "KLDivLoss",
    "L1Loss",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "MultiheadAttention",
    "NLLLoss",
    "Parameter",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Tanh",
    "Tensor",
    "TraceError",
    "TransformerEncoderLayer",
    "cat",
    "checkpoint",
    "checkpoint_sequential",
    "chunk",
    "clamp",
    "data",
    "einsum",
    "explain",
    "fisher_diag",
    "functional",
    "gather",
    "gauss_newton_diag",
    "grad",
    "gradcheck",
    "hessian_diag",
    "hvp",
    "init",
    "jacobian",
    "jvp",
    "load",
    "manual_seed",
    "matmul",
    "maximum",
    "minimum",
    "models",
    "no_grad",
    "optim",
    "per_sample_grads",
    "profile",
    "save",
    "split",
    "stack",
    "trace",
    "train",
    "where",
]


def __getattr__(name):
    """`nn.testing` comes when it is first asked for: it needs Hypothesis, and the rest does not."""
    if name == "testing":
        return import_module("nn.testing")
    raise AttributeError(f"module 'nn' has no attribute {name!r}")

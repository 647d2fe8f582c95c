"""nn: how a network learns. Automatic differentiation, layers and training in NumPy, over C kernels."""

from pkgutil import extend_path

# Run from a clone after `pip install .`: the source folder shadows the installed package, so
# the compiled part (nn/_kernels) is looked for along the whole of sys.path.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"

from nn import data, functional, models, optim, profile, train
from nn.backward import grad
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
from nn.jacobian import hvp, jacobian
from nn.layers import (
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
)
from nn.mode import no_grad
from nn.module import Module, Parameter
from nn.random import manual_seed
from nn.recompute import checkpoint, checkpoint_sequential
from nn.tensor import Tensor, TraceError

__all__ = [
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "Dropout",
    "FileError",
    "Flatten",
    "GradcheckError",
    "Graph",
    "Linear",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Tensor",
    "TraceError",
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

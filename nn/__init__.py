"""nn: how a network learns. Automatic differentiation, layers and training in NumPy, over C kernels.

Names and meanings are PyTorch's, but dtypes are NumPy's, `size` is NumPy's number of entries, and with
`axis` and `keepdims`, NumPy's words for dim and keepdim, max and min give the values alone, as in NumPy. What
PyTorch has and this has not is a line of what is here (x, y: matrices of floats; v: a vector; F:
nn.functional; rng: a Generator):

    torch.float32, torch.long              np.float32, np.int64
    torch.exp(x), torch.sum(x, 1)          x.exp(), x.sum(1)
    x.size(), x.size(0)                    x.shape, x.shape[0]
    x.cpu(), x.cuda(), x.to(device)        x
    torch.empty(2, 3)                      nn.zeros(2, 3)
    torch.tril(x), torch.triu(x)           x.tril(), x.triu()
    torch.outer(v, v)                      v.unsqueeze(1) * v
    torch.diag(v), torch.diagonal(x)       nn.eye(len(v)) * v, nn.einsum("ii->i", x)
    torch.roll(x, 1, 0)                    nn.cat([x[-1:], x[:-1]])
    x.repeat_interleave(2, 0)              x[np.arange(len(x)).repeat(2)]
    x.masked_select(m), x.nonzero()        x[x > 0], np.argwhere(x.data)
    torch.isnan(x), torch.allclose(x, y)   np.isnan(x.data), np.allclose(x.data, y.data)
    y.log2(), x.tan(), x.floor()           y.log() / np.log(2), x.sin() / x.cos(), np.floor(x.data)
    x.median(), x.unique()                 np.median(x.data), np.unique(x.data)
    torch.multinomial(v, 2)                rng.choice(len(v), 2, p=(v / v.sum()).data)
    F.relu6(x), F.elu(x)                   x.clamp(0, 6), nn.where(x > 0, x, x.clamp(max=0).exp() - 1)
    F.normalize(x)                         x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)
    F.cosine_similarity(x, y)              (x * y).sum(1) / (x.norm(dim=1) * y.norm(dim=1))
    DataLoader(TensorDataset(x, t), 64)    nn.data.batches(x.data, t, 64, rng)
    torch.nn.utils.clip_grad_norm_         nn.optim.clip_grad_norm_
"""

# ruff: noqa: F401, F403 -- what is imported here is what nn offers

from importlib import import_module
from pkgutil import extend_path
from typing import TYPE_CHECKING

# Run from a clone after `pip install .`: the source folder shadows the installed package, so
# the compiled part (nn/_kernels) is looked for along the whole of sys.path.
__path__ = extend_path(__path__, __name__)

__version__ = "0.2.0"

from . import explain, functional, init, parametrize
from .backward import grad
from .constructors import *
from .context import no_grad
from .curvature import fisher_diag, gauss_newton_diag, hessian_diag, per_sample_grads
from .files import FileError, load, save
from .forward_mode import jvp
from .functional import cat, chunk, clamp, einsum, gather, matmul, maximum, minimum, split, stack, where
from .gradcheck import GradcheckError, gradcheck
from .graph import Graph
from .jacobians import hvp, jacobian
from .kernels.native import backend as _backend
from .layers import *
from .module import Module
from .parameter import Parameter
from .random import manual_seed
from .recompute import checkpoint, checkpoint_sequential
from .tensor import Tensor, TraceError
from .tracing import trace

if TYPE_CHECKING:
    from . import cuda, data, distill, language, memory, models, optim, pretraining, profile, timing, train

# Imported at their first use: they take a fifth of the time, and `testing` needs Hypothesis.
_LATER = ("cuda", "data", "distill", "language", "memory", "models", "optim", "pretraining", "profile",
          "timing", "train", "testing")
__all__ = sorted({"explain", "functional", "init", "parametrize", "tensor", *_LATER[:-1]} | {
    name for name, thing in globals().items() if getattr(thing, "__module__", "").startswith(f"{__name__}.")})


def __getattr__(name):
    if name in _LATER:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_LATER})


if _backend == "cuda":  # by NN_BACKEND
    import_module(f"{__name__}.cuda").library()

"""First weights: each function fills a tensor in place and returns it. Names and arguments are PyTorch's.

    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

All draw from `generator`, a numpy.random.Generator, or from the library's own, which nn.manual_seed seeds.
fan_in and fan_out are the numbers of terms that a unit sums, forward and backward: for a weight (out, in, k…)
they are in·Πk and out·Πk. All raise TypeError for what is not a Tensor of floats, and ValueError for settings
out of range; those that need a fan do so for fewer than two axes.
"""

from __future__ import annotations

import math

import numpy as np

from . import random
from .context import no_grad
from .tensor import Tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0,
             generator: np.random.Generator | None = None) -> Tensor:
    """Fill tensor from generator, uniform between a and b. Raises ValueError for bounds without a <= b."""
    if not a <= b:
        raise ValueError(f"uniform_: a must be at most b, got {a} and {b}")
    return _fill("uniform_", tensor, lambda rng, shape: rng.uniform(a, b, shape), generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0,
            generator: np.random.Generator | None = None) -> Tensor:
    """Fill tensor from generator, normal with mean and standard deviation. Raises ValueError for std < 0."""
    if not std >= 0:
        raise ValueError(f"normal_: std must be >= 0, got {std}")
    return _fill("normal_", tensor, lambda rng, shape: rng.normal(mean, std, shape), generator)


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
                  generator: np.random.Generator | None = None) -> Tensor:
    """Normal with that mean and standard deviation (before the cut), but only between a and b.

    By rejection (von Neumann 1951): of normal numbers where enough of them fall between the bounds, else of
    uniform ones, accepted in proportion to the density. Fills tensor from generator. Raises ValueError for an
    std that is not > 0, or bounds without a < b.
    """
    if not (a < b and std > 0):
        raise ValueError(f"trunc_normal_: wanted a < b and std > 0, got {a}, {b} and {std}")
    low, high = (a - mean) / std, (b - mean) / std
    inside = (math.erf(high / 2 ** 0.5) - math.erf(low / 2 ** 0.5)) / 2
    nearest = min(max(0, low), high)  # where between the bounds the density is greatest

    def drawn(rng, n):
        if inside > 0.25:
            z = rng.normal(size=n)
            return z[(low <= z) & (z <= high)]
        z = rng.uniform(low, high, n)
        return z[rng.random(n) <= np.exp((nearest * nearest - z * z) / 2)]

    def numbers(rng, shape):
        z, n = np.empty(0), math.prod(shape)
        while len(z) < n:
            z = np.concatenate([z, drawn(rng, 2 * (n - len(z)) + 16)])
        return np.clip(z[:n].reshape(shape) * std + mean, a, b)  # rounding may exceed the bounds

    return _fill("trunc_normal_", tensor, numbers, generator)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """All entries of tensor val; returns it."""
    return _fill("constant_", tensor, lambda rng, shape: np.full(shape, val))


def zeros_(tensor: Tensor) -> Tensor:
    """All entries of tensor 0; returns it."""
    return _fill("zeros_", tensor, lambda rng, shape: np.zeros(shape))


def ones_(tensor: Tensor) -> Tensor:
    """All entries of tensor 1; returns it."""
    return _fill("ones_", tensor, lambda rng, shape: np.ones(shape))


def eye_(tensor: Tensor) -> Tensor:
    """The matrix `tensor`: ones on its diagonal, zeros elsewhere. Raises ValueError for other shapes."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_: the tensor has shape {tensor.shape}, wanted a matrix")
    return _fill("eye_", tensor, lambda rng, shape: np.eye(*shape))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0,
                    generator: np.random.Generator | None = None) -> Tensor:
    """Fill tensor from generator, uniform in ±gain·√(6/(fan_in + fan_out)): Glorot & Bengio 2010, eq. 16."""
    bound = gain * math.sqrt(6 / sum(_fans("xavier_uniform_", tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: np.random.Generator | None = None) -> Tensor:
    """Fill tensor from generator, normal, std gain·√(2/(fan_in + fan_out)): Glorot & Bengio 2010, eq. 12."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(_fans("xavier_normal_", tensor))), generator)


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                     generator: np.random.Generator | None = None) -> Tensor:
    """Fill tensor from generator, uniform in ±gain·√(3/fan): He et al., "Delving deep into rectifiers", 2015,
    eq. 10 and 15. mode: "fan_in" keeps the variance forward, "fan_out" backward. nonlinearity: the unit that
    follows, which decides the gain (calculate_gain). a: the negative slope of leaky_relu."""
    bound = math.sqrt(3) * _kaiming("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                    generator: np.random.Generator | None = None) -> Tensor:
    """Fill tensor from generator, normal, std gain/√fan; a, mode and nonlinearity as in kaiming_uniform_."""
    return normal_(tensor, 0.0, _kaiming("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: np.random.Generator | None = None) -> Tensor:
    """Fill tensor from generator, as a matrix (out, in·Πk) with orthonormal rows, or columns if it is tall,
    times gain. Raises ValueError for fewer than two axes.

    Q of the QR decomposition of normal numbers, with the signs that make it uniform among all such: Saxe,
    McClelland & Ganguli (2014); Mezzadri, "How to generate random matrices" (2007).
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: the tensor has shape {tensor.shape}, wanted at least 2 axes")

    def numbers(rng, shape):
        rows, columns = shape[0], math.prod(shape[1:])
        q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
        q = q * np.where(np.diagonal(r) < 0, -1, 1)
        return gain * (q.T if rows < columns else q).reshape(shape)

    return _fill("orthogonal_", tensor, numbers, generator)


def fan_in_uniform_(weight: Tensor, bias: Tensor | None = None,
                    generator: np.random.Generator | None = None) -> Tensor:
    """Fill weight, and `bias` if there is one, from generator, uniform in ±1/√fan_in: how Linear and
    convolutions start, as in PyTorch. (It is the bound √(6/((1 + a²)·fan_in)) of He et al. (2015), eq. 14,
    with a = √5.) Returns the weight."""
    bound = 1 / math.sqrt(max(_fans("fan_in_uniform_", weight)[0], 1))
    for tensor in (weight,) if bias is None else (weight, bias):
        uniform_(tensor, -bound, bound, generator)
    return weight


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor of the weights' standard deviation for the unit `nonlinearity` after them: He et al. (2015),
    eq. 14. param: the negative slope of "leaky_relu", 0.01 by default. Raises ValueError for another unit."""
    linear = ("linear", *(f"{kind}{n}d" for kind in ("conv", "conv_transpose") for n in (1, 2, 3)), "sigmoid")
    gains = {**dict.fromkeys(linear, 1.0), "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"calculate_gain: the negative slope is {slope!r}, wanted a number")
        return math.sqrt(2 / (1 + slope * slope))
    if nonlinearity not in gains:
        raise ValueError(f"calculate_gain: nonlinearity is {nonlinearity!r}, wanted 'leaky_relu' or one of "
                         f"{', '.join(map(repr, gains))}")
    return gains[nonlinearity]


def _fans(who, tensor):
    if tensor.ndim < 2:
        raise ValueError(f"{who}: the tensor has shape {tensor.shape}; a fan wants at least 2 axes")
    each = math.prod(tensor.shape[2:])
    return tensor.shape[1] * each, tensor.shape[0] * each


def _kaiming(who, tensor, a, mode, nonlinearity):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{who}: mode is {mode!r}, wanted 'fan_in' or 'fan_out'")
    fan = _fans(who, tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))  # a weight without entries has no fan


def _fill(who, tensor, numbers, generator=None):
    """Overwrite a tensor with numbers(rng, shape)."""
    if not isinstance(tensor, Tensor) or tensor.dtype.kind != "f":
        got = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise TypeError(f"{who}: wanted a Tensor of floats, got {got}")
    rng = random.chosen(who, "generator", generator)
    tensor._check_own(who)
    with no_grad():
        return tensor.copy_(numbers(rng, tensor.shape))

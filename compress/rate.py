"""Training that pays for entropy: the bits that an entropy coder takes for quantized weights, in the loss.

    loss + λ·rate(model),    rate = Σ b(w/s),    b(code) = −log₂ p(code)

with p as the codes of the weight are distributed now. A code is an integer, and has no slope. Between codes b
is interpolated: that is the mean number of bits when a number from −½…½ is added to w/s before it is rounded,

    b(x) = (1 − t)·b(⌊x⌋) + t·b(⌊x⌋ + 1),    t = x − ⌊x⌋,

the usual relaxation of rounding (Ballé et al. 2017; for weights Oktay et al. 2020, "Scalable model
compression by entropy penalized reparameterization", with another p). So a weight is pulled towards the
neighbouring code that is more frequent, by 1/s times the bits that this saves, and makes it more frequent. In
a loss of squares this would be entropy-constrained quantization (Chou, Lookabaugh & Gray 1989)."""

from __future__ import annotations

import numpy as np

import nn
from nn.rules.record import CONSTANT, Rule
from nn.tensor import Tensor, apply

from .chain import Chain
from .techniques.quantize import Quantize


def _forward(w: np.ndarray, *, scale: np.ndarray, lowest: int, bits: np.ndarray) -> tuple:
    x = np.clip(w / scale - lowest, 0, len(bits) - 1)
    below = np.minimum(x.astype(np.int64), len(bits) - 2)
    slope = bits[below + 1] - bits[below]
    inside = (x > 0) & (x < len(bits) - 1)  # beyond the outermost codes nothing changes
    total = np.sum(bits[below] + (x - below) * slope, dtype=np.float64)
    return np.asarray(total, w.dtype), ((slope * inside / scale).astype(w.dtype),)


RATE = Rule(
    "rate", "y = Σ b(w/s), b linear from code to code;  dw = g · (b(⌊w/s⌋ + 1) − b(⌊w/s⌋)) / s",
    _forward, lambda g, saved, needs: (g * saved[0],),
    samples=lambda rng: [([rng.uniform(0.1, 0.9, 8) + rng.integers(-2, 2, 8)],
                          {"scale": np.ones(8), "lowest": -2, "bits": rng.uniform(1, 5, 5)})],
    saves=CONSTANT, fresh=True)


def rate(model: nn.Module) -> Tensor:
    """The bits that the codes of a model's quantized weights take, as their frequencies are: a scalar Tensor
    to be added to the loss, times what a bit is worth: `fit(…, penalty=lambda model: 1e-6 * rate(model))`.

    model: prepared; what counts are weights under Quantize with an affine format (int2 … int8), each with a
    code of its own. Weights that a stage before prunes are not among them: where they are is stored apart.
    Each code counts ½ more than there are (Krichevsky & Trofimov 1981), so that an absent one has a price.
    Raises ValueError where no weight is quantized so."""
    total = None
    for weight in model.parameters():
        chain = weight.parametrization
        if isinstance(chain, Chain) and (found := _rate_of(chain, weight)) is not None:
            total = found if total is None else total + found
    if total is None:
        raise ValueError(f"rate: no weight of this {type(model).__name__} has a chain with Quantize and an "
                         "affine format, whose codes would have frequencies; prepare it first")
    return total


def _rate_of(chain: Chain, weight: Tensor) -> Tensor | None:
    """The bits of one weight; None where it has no such codes."""
    w, pruned = weight, False
    for stage, state in zip(chain.stages, chain.states, strict=True):
        if isinstance(stage, Quantize):
            form = stage.weights
            if not form.uniform:
                return None
            scale = np.broadcast_to(form.spread(stage.following(state, w.data).scale, w.shape), w.shape)
            alive = w.data != 0 if pruned else np.ones(w.shape, bool)
            codes = form.quantize(w.data, scale)[alive].astype(np.int64) - form.lowest
            counts = np.bincount(codes, minlength=form.highest - form.lowest + 1) + 0.5
            bits = -np.log2(counts / counts.sum())
            return apply(RATE, w[alive], scale=scale[alive], lowest=form.lowest, bits=bits)
        pruned = pruned or stage.prunes(weight.data)
        w = stage.project(w, state)
    return None

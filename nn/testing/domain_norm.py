"""The domains of batch_norm and batch_norm_grad: rows of channels, far from 0 and near it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from ..kernels import batch_norm
from .case import STYLES, Case, floats, near
from .domain import SEEDS, TINY, U, gamma
from .domain_pass import CHANNELS, Pass, Wanted

ROWS = near(4, 128, most=257).filter(bool)    # a block of the sums is of 128 rows at most


class BatchNorm(Pass):
    """Columns normalised by their own mean and variance."""

    name, exact = "batch_norm", False

    def cases(self) -> st.SearchStrategy[Case]:
        """With weight and bias or without; means up to a thousand times the deviation."""
        return st.builds(self._make, ROWS, CHANNELS, st.sampled_from([0.0, 1.0, 1e3]), st.booleans(),
                         st.sampled_from([1e-5, 0.1]), st.sampled_from(STYLES), SEEDS)

    def _make(self, m, c, offset, affine, eps, style, seed) -> Case:
        rng = np.random.default_rng(seed)
        x = floats(rng, (m, c), style)
        x = (x + np.float32(offset) * x.std(axis=0, dtype=np.float64)).astype(np.float32)
        more = (floats(rng, (c,), "uniform"), floats(rng, (c,), "uniform")) if affine else ()
        return Case((x, *more), {"eps": eps}, seed)

    def wanted(self, case: Case, spec: Callable, got: tuple[np.ndarray, ...]) -> Wanted:
        """The mean and the variance are held to float64; y and 1/√(var + ε) to what follows from those two.

        Block means b̂ = b + e, sums of x less the first row f in at most 128 rows, four at a time, have
        |e| ≤ γ₃₆ mean|x − f|, and by Cauchy's inequality the root of their mean square is at most
        δ = γ₄₀ √(mean (x − f)²). The squares around a mean that is off by e are too many by e² each; those
        between blocks, as a norm, change by at most δ: in all |V̂ − V| ≤ γ₄₀ V + 2 δ √V + 4 δ². The mean that
        squares are taken around is a float32, off by u|b|, which is made good but for its product with e.
        Squares may underflow.
        """
        x, *affine = (a.astype(np.float64) for a in case.args)
        _, mean, var, inverse = (a.astype(np.float64) for a in got)
        weight, bias = affine or (1.0, 0.0)
        exact, v = x.mean(axis=0), x.var(axis=0)
        delta = gamma(40) * np.sqrt(((x - x[0])**2).mean(axis=0))
        cross = 2 * U * (np.abs(exact) + np.sqrt(v)) * delta
        root = 1 / np.sqrt(var + case.options["eps"])
        scaled = np.abs((x - mean) * weight * inverse)
        y = (x - mean) * (weight * inverse) + bias
        return [(y, gamma(6) * (scaled + np.abs(bias)) + 4 * TINY * (1 + np.abs(x - mean)) * (1 + inverse)),
                (exact, delta + U * np.abs(exact) + TINY),
                (v, gamma(40) * v + 2 * delta * np.sqrt(v) + 4 * delta**2 + cross + 4 * TINY),
                (root, gamma(4) * root)]


class BatchNormGrad(Pass):
    """Its gradients."""

    name, exact = "batch_norm_grad", False

    def cases(self) -> st.SearchStrategy[Case]:
        """With a weight or without, with dx or without."""
        return st.builds(self._make, ROWS, CHANNELS, st.booleans(), st.booleans(), st.sampled_from(STYLES),
                         SEEDS)

    def _make(self, m, c, weighted, dx, style, seed) -> Case:
        rng = np.random.default_rng(seed)
        g, x = floats(rng, (m, c), style), floats(rng, (m, c), style)
        _, mean, _, inverse = batch_norm.reference(x)
        weight = (floats(rng, (c,), "uniform"),) if weighted else ()
        return Case((g, x, mean, inverse, *weight), {"dx": dx}, seed)

    def wanted(self, case: Case, spec: Callable, got: tuple[np.ndarray, ...]) -> Wanted:
        """Sums of 128 rows, two at a time, round 65 times; with what comes before and after, γ₈₀ of their
        terms' sizes. What underflows is at most a few of the smallest floats a row, amplified alike."""
        g, x, mean, inverse, *weight = (a.astype(np.float64) for a in case.args)
        n, scale = len(g), np.abs(weight[0] * inverse if weight else inverse)
        normal = (x - mean) * inverse
        db, dw = g.sum(axis=0), (g * normal).sum(axis=0)
        size_b, size_w = np.abs(g).sum(axis=0), np.abs(g * normal).sum(axis=0)
        lost = 4 * TINY * n * (1 + inverse)**2
        out: Wanted = []
        if case.options["dx"]:
            dx = (g - db / n - normal * dw / n) * (weight[0] * inverse if weight else inverse)
            size = (np.abs(g) + size_b / n + np.abs(normal) * size_w / n) * scale
            out.append((dx, gamma(80) * size + lost * (1 + scale) * (1 + np.abs(x - mean))))
        return [*out, (dw, gamma(80) * size_w + lost), (db, gamma(80) * size_b + lost)]

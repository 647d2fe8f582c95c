"""The domains of softmax_cross_entropy and its gradient: logits of one size and of many, near and far apart.

Here the last axis of all arrays is that of the examples, whose results have nothing to do with each other;
the kernels have it first.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from .case import STYLES, Case, floats, near
from .domain import SEEDS, TINY, U, gamma
from .domain_pass import CHANNELS, Pass, Wanted

CLASSES = near(8, 16, 128, most=257).filter(bool)
EXP, LOG = 6 * U, 8 * U    # 3 and 4 units in the last place: NumPy's are 2.52 and 3.83, the kernel's fewer


class SoftmaxCrossEntropy(Pass):
    """Losses and probabilities from logits (C, N) and classes (N,)."""

    name, exact = "softmax_cross_entropy", False

    def cases(self) -> st.SearchStrategy[Case]:
        """Logits as networks give them, and of all sizes."""
        spread = st.sampled_from([0.0, 1.0, 10.0, 60.0])
        return st.builds(self._make, CLASSES, CHANNELS, spread, st.sampled_from(STYLES), SEEDS)

    def _make(self, c: int, n: int, spread: float, style: str, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        x = floats(rng, (c, n), style)
        if spread:
            x = rng.standard_normal((c, n), np.float32) * np.float32(spread)
        return Case((x, rng.integers(0, c, n)), {}, seed)

    def flat(self, function: Callable) -> Callable:
        """Transposed on its way in and out."""
        def run(x, classes):
            losses, p = function(x.T, classes)
            return losses, p.T
        return super().flat(run)

    def wanted(self, case: Case, spec: Callable, got: tuple[np.ndarray, ...]) -> Wanted:
        """Both are held to float64.

        s = x − max is off by u|s|, so that e = exp s is by that share of itself, and EXP; Σe is by the mean
        of those, weighted by p, and by γ_C for additions in any order. p is off by what e and Σe are, and u;
        the loss by the share that Σe is, by LOG, and by u|s| at the class. Underflow is worth some TINY, as
        Σe ≥ 1.
        """
        x, classes = case.args
        s = x.astype(np.float64) - x.max(axis=0)
        e = np.exp(s)
        total = e.sum(axis=0)
        p, log, right = e / total, np.log(total), -s[classes, np.arange(len(classes))]
        of_total = U * (p * -s).sum(axis=0) + EXP + gamma(len(x))
        of_each = U * -s + EXP + of_total + U
        return [(log + right, 1.001 * of_total + LOG * log + 2 * U * right + TINY),
                (p, 1.001 * np.minimum(of_each, 1) * p + 4 * TINY)]


class SoftmaxCrossEntropyGrad(Pass):
    """The gradient from g (N,), p (C, N) and classes (N,)."""

    name, exact = "softmax_cross_entropy_grad", True

    def cases(self) -> st.SearchStrategy[Case]:
        """Any numbers will do for probabilities."""
        return st.builds(self._make, CLASSES, CHANNELS, st.sampled_from(STYLES), SEEDS)

    def _make(self, c: int, n: int, style: str, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        return Case((floats(rng, (n,), style), floats(rng, (c, n), style), rng.integers(0, c, n)), {}, seed)

    def flat(self, function: Callable) -> Callable:
        """Transposed on its way in and out."""
        return super().flat(lambda g, p, classes: function(g, p.T, classes).T)

"""The domains of attention and of its gradient: keys of one block and of two, every kind of mask.

The arrays of a case are those of the kernels without their first axis: q (H, L, E), k (H, S, E), v (H, S, V),
and perhaps a mask.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from ..kernels import attention
from .case import STYLES, Case, floats, near
from .domain import SEEDS, TINY, U, gamma
from .domain_pass import Pass, Wanted

BLOCK = 192             # keys
QUERIES = near(16, 96, most=113)
KEYS = near(BLOCK, most=2 * BLOCK + 1)
WIDTHS = near(6, 16, most=33)
MASKS = ("", "floats", "booleans", "of keys")
EXP, LOG = 6 * U, 8 * U   # 3 and 4 units in the last place: NumPy's are 2.52 and 3.83, the kernel's fewer
FLUSHED = 2.0 ** -126     # a weight so small, beside the largest, may be 0


class Attention(Pass):
    """The mean of values, and the logarithm of what it was divided by."""

    name, exact = "attention", False
    query, numbers = 0, 3   # which argument q is, and how many there are before the mask

    def cases(self) -> st.SearchStrategy[Case]:
        """Scores all alike and far apart; with a mask or causal, or both."""
        return st.builds(self._make, st.integers(1, 2), QUERIES, KEYS, WIDTHS, WIDTHS,
                         st.sampled_from([0, 1, 6]), st.sampled_from(MASKS), st.booleans(),
                         st.sampled_from(STYLES), SEEDS)

    def _make(self, h, n, s, e, v, spread, mask, causal, style, seed) -> Case:
        rng = np.random.default_rng(seed)
        q, k = (rng.standard_normal((h, m, e), np.float32) * np.float32(spread) for m in (n, s))
        args = [q, k, floats(rng, (h, s, v), style)]
        if mask == "floats":
            args.append(rng.standard_normal((h if rng.random() < 0.5 else 1, n, s), np.float32))
        elif mask:
            args.append((rng.random((1, 1 if mask == "of keys" else n, s)) < rng.choice([0.0, 0.5, 0.9])
                         ).astype(np.uint8))
        scale = float(rng.choice([1.0, -0.3, max(e, 1) ** -0.5]))
        return Case(tuple(args), {"scale": scale, "causal": causal}, seed)

    def flat(self, function: Callable) -> Callable:
        """Of one batch of heads."""
        def run(*arrays, **options):
            with np.errstate(all="ignore"):
                return tuple(x[0] for x in function(*(a[None] for a in arrays), **options))
        return run

    def empties(self, case: Case) -> dict[str, Case]:
        """The case without heads, without queries, without keys."""
        q, k, v, *_ = case.args
        return {"heads": case.on(q[:0], k[:0], v[:0]), "queries": case.on(q[:, :0], k, v),
                "keys": case.on(q, k[:, :0], v[:, :0])}

    def scores(self, case: Case) -> tuple[np.ndarray, np.ndarray]:
        """In float64 the scores, −∞ where a query may not look, and how far those in float32 may be from it.

        A product q·scale·log₂e rounds twice, and its factor once; a sum over E, γ_E. What a mask adds rounds
        as often; the sum with it once.
        """
        q, k = (a.astype(np.float64) for a in case.args[self.query:][:2])
        mask, scale = case.args[self.numbers:], case.options["scale"]
        s = q @ k.mT * scale
        off = gamma(q.shape[-1] + 3) * (np.abs(q) @ np.abs(k).mT) * abs(scale)
        if mask and mask[0].dtype == np.uint8:
            s = np.where(mask[0], s, -np.inf)
        elif mask:
            s = s + mask[0]
            off = off + gamma(3) * np.abs(mask[0]) + U * np.abs(s)
        if case.options["causal"]:
            s = np.where(np.tri(*s.shape[-2:], dtype=bool), s, -np.inf)
        return s, off

    def wanted(self, case: Case, spec: Callable, got: tuple[np.ndarray, ...]) -> Wanted:
        """Both are held to float64.

        A weight is 2^(score − largest so far), scaled whenever there is a larger one: of each such step the
        difference is off by its u-th part, and these add up to u times the distance from the largest of all;
        each of the blocks and the weight itself cost an exponential and a product. That is the share D that a
        weight may be off; sums over S add γ_S. So y is off by Σ p|v| (D + γ_S), and by as much of Σ p|v| as
        Σ w is of itself; the logarithm of that is off by this share, by LOG, and by 3u of the largest.
        """
        s, off = self.scores(case)
        v = case.args[2].astype(np.float64)
        n = s.shape[-1]
        top = s.max(axis=-1, keepdims=True, initial=-np.inf)
        seen = np.isfinite(s)
        p = np.where(seen, np.exp(np.where(seen, s - np.where(np.isfinite(top), top, 0), 0)), 0)
        total = p.sum(axis=-1, keepdims=True)
        p /= np.where(total == 0, 1, total)
        distance = np.where(seen, top - np.where(seen, s, 0), 0)
        share = np.expm1(np.where(seen, off + U * distance, 0) + (n // BLOCK + 2) * (EXP + U)) + gamma(n)
        of_total = (p * share).sum(axis=-1, keepdims=True) + n * FLUSHED
        size = np.abs(v)
        largest = size.max(axis=-2, keepdims=True, initial=0)
        y = (p * share) @ size + (of_total + 2 * U) * (p @ size) + n * (FLUSHED * largest + TINY)
        with np.errstate(divide="ignore", invalid="ignore"):
            lse = (top + np.log(total))[..., 0]
            of_lse = (1.001 * of_total + LOG * np.abs(np.log(total)) + 3 * U * np.abs(top))[..., 0]
        return [(p @ v, 1.01 * np.minimum(y, 2 * largest)), (lse, 1.01 * of_lse + U * np.abs(lse))]


class AttentionGrad(Attention):
    """Its gradients, from g, what it was given and what it gave."""

    name, query, numbers = "attention_grad", 1, 6

    def _make(self, *how) -> Case:
        case = super()._make(*how)
        q, k, v, *mask = case.args
        rng = case.rng()
        g, v = (rng.standard_normal((len(q), x, v.shape[-1]), np.float32) for x in (q.shape[1], v.shape[1]))
        y, lse = self.flat(attention.reference)(q, k, v, *mask, **case.options)
        return case.on(g, q, k, v, y, lse, *mask)

    def empties(self, case: Case) -> dict[str, Case]:
        g, q, k, v, y, lse, *_ = case.args
        return {"heads": case.on(*(a[:0] for a in (g, q, k, v, y, lse))),
                "queries": case.on(g[:, :0], q[:, :0], k, v, y[:, :0], lse[:, :0]),
                "keys": case.on(g, q, k[:, :0], v[:, :0], np.zeros_like(y), np.full_like(lse, -np.inf))}

    def wanted(self, case: Case, spec: Callable, got: tuple[np.ndarray, ...]) -> Wanted:
        """Held to float64, for y and lse as they are given.

        A weight p = e^(s − lse) is off by what s is, by 2u of lse, by u of the difference, and by EXP; g·vᵀ
        and Σ g·y by γ_V of their terms' sizes; their difference and its product by 2u; sums over keys or
        queries by γ of so many, and dq and dk by the scale.
        """
        g, q, k, v, y, lse = (a.astype(np.float64) for a in case.args[:6])
        s, off = self.scores(case)
        scale = case.options["scale"]
        seen = np.isfinite(s) & np.isfinite(lse)[..., None]
        lse = np.where(np.isfinite(lse), lse, 0)[..., None]
        x = np.where(seen, s - lse, 0)
        p = np.where(seen, np.exp(x), 0)
        share = np.expm1(np.where(seen, off, 0) + 2 * U * np.abs(lse) + U * np.abs(x) + EXP)
        dp, delta = g @ v.mT, (g * y).sum(axis=-1, keepdims=True)
        sizes = np.abs(g) @ np.abs(v).mT + (np.abs(g) * np.abs(y)).sum(axis=-1, keepdims=True)
        ds, wide = p * (dp - delta), gamma(v.shape[-1] + 2)
        of_ds = (p + FLUSHED) * (share * (np.abs(dp - delta) + wide * sizes) + wide * sizes) + FLUSHED * sizes
        results = []
        for weights, of_weights, x in ((ds, of_ds, k), (ds.mT, of_ds.mT, q)):
            count = weights.shape[-1]
            bound = (of_weights + gamma(count + 3) * np.abs(weights)) @ np.abs(x) * abs(scale)
            results.append((weights @ x * scale, 1.01 * bound + count * TINY))
        of_p = p * share + FLUSHED + gamma(p.shape[-2]) * p
        results.append((p.mT @ g, 1.01 * (of_p.mT @ np.abs(g)) + p.shape[-2] * TINY))
        return results

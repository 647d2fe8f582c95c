"""The domain of tt_matmul: x (M,K) by a matrix (K,N) in the tensor-train format, given as its cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
from hypothesis import strategies as st

from ..kernels import Operand
from .case import STYLES, Case, floats, near
from .domain import SEEDS, Domain, gamma


class TtMatmul(Domain):
    """f32 x·W; the arguments of a Case are x, G₁, …, G_d, those of the kernel x and the list of the cores.

    "Columns" and "inner indices" are those of the first mode, the slowest: blocks of columns of W and of x.
    """

    name, exact = "tt_matmul", False
    m_tiles, n_tiles = (2, 4, 6, 8, 12, 16), (16, 32, 48, 64)   # (out modes · ranks), (16 · other modes)

    def flat(self, function: Callable) -> Callable:
        """x and cores as separate arguments; packed cores are one argument."""
        def run(x, *cores, **options):
            packed = cores and isinstance(cores[0], Operand)
            return function(x, cores[0] if packed else list(cores), **options)
        return run

    def flat_pack(self, pack: Callable) -> Callable:
        """The same for pack."""
        return lambda *cores: pack(list(cores))

    def cases(self) -> st.SearchStrategy[Case]:
        """One to four cores, ragged modes and ranks; one or two of them around the sizes of tiles."""
        mode, rank = st.integers(1, 5), st.integers(1, 3)
        few = st.lists(st.tuples(mode, mode, rank), min_size=1, max_size=4)
        size = near(4, 8, 12, 16, most=33).filter(bool)
        large = st.lists(st.tuples(size, size, st.integers(1, 9)), min_size=1, max_size=2)
        return st.builds(self._make, near(16, most=33), few | large, st.sampled_from(STYLES), SEEDS)

    def _make(self, m: int, sizes: Sequence[tuple[int, int, int]], style: str, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        ranks = [1, *(r for *_, r in sizes[1:]), 1]
        shapes = [(ranks[k], i, o, ranks[k + 1]) for k, (i, o, _) in enumerate(sizes)]
        return Case(tuple(moderate(floats(rng, shape, style))
                          for shape in ((m, prod(i for i, *_ in sizes)), *shapes)), {}, seed)

    def shape(self, case: Case) -> tuple[int, int, int]:
        """(M, i₁, o₁)"""
        return (len(case.args[0]), *case.args[1].shape[1:3])

    def dense(self, case: Case, of: Callable = lambda v: v) -> np.ndarray:
        """W (K,N) in float64 with the function `of` of the cores' entries: the product entry by entry."""
        w = np.ones((1, 1, 1))
        for core in case.args[1:]:
            (k, n, _), (_, i, o, s) = w.shape, core.shape
            w = np.einsum("knr,rios->kinos", w, of(core.astype(np.float64))).reshape(k * i, n * o, s)
        return w[:, :, 0]

    def exactly(self, case: Case) -> np.ndarray:
        """(M, N) the product in float64."""
        return case.args[0].astype(np.float64) @ self.dense(case)

    def bound(self, case: Case) -> np.ndarray:
        """(M, N) (∏(1 + γ_K) − 1)·|x||G₁|…|G_d|: the errors of one product go through the next ones."""
        growth = prod(1 + gamma(i * max(r, s)) for r, i, _, s in (core.shape for core in case.args[1:]))
        return (growth - 1) * (np.abs(case.args[0].astype(np.float64)) @ self.dense(case, np.abs))

    def rows(self, case: Case, index) -> Case:
        """The case that computes only these rows of the output."""
        return case.on(case.args[0][index], *case.args[1:])

    def columns(self, case: Case, index) -> Case:
        """The case with these indices of the first output mode."""
        x, first, *others = case.args
        return case.on(x, np.ascontiguousarray(first[:, :, index]), *others)

    def inner(self, case: Case, index) -> Case:
        """The case with these indices of the first input mode, in the core and in x."""
        x, first, *others = case.args
        blocks = x.reshape(len(x), first.shape[1], prod(core.shape[1] for core in others))
        x = np.ascontiguousarray(blocks[:, index])
        x = x.reshape(len(x), x.shape[1] * x.shape[2])
        return case.on(x, np.ascontiguousarray(first[:, index]), *others)

    def longer(self, case: Case, extra: int, rng: np.random.Generator) -> Case:
        """The first input mode longer by slices of zeros: any activations there add nothing."""
        x, first, *others = case.args
        r, _, o, s = first.shape
        junk = (len(x), extra * prod(core.shape[1] for core in others))
        return case.on(np.hstack([x, moderate(floats(rng, junk, "uniform"))]),
                       np.concatenate([first, np.zeros((r, extra, o, s), first.dtype)], axis=1), *others)

    def weight(self, case: Case) -> tuple[np.ndarray, ...]:
        """What is packed, and what `unpack` must give back."""
        return case.args[1:]


def moderate(values: np.ndarray) -> np.ndarray:
    """Magnitudes in 10⁻⁶ … 10⁶ or 0, so that a product of five neither overflows nor underflows."""
    values = np.clip(values, -1e6, 1e6)
    return np.where(np.abs(values) < 1e-6, np.copysign(np.float32(0), values), values).astype(np.float32)

"""What a kernel's laws need to know about it: which calls to try, and how its output hangs on its arguments.

Every kernel here is a product: output row i comes from row i of the first argument, output column j from
column j of the weight, and the inner index runs along both. A Domain says how to take rows, columns and inner
indices of a case, so that the laws (nn/testing/laws.py) are written once for all kernels. This file has the
dense products; what the sparse ones share is in domain_sparse.py. A new kernel's Domain is there by being
defined, with the kernel's `name`, in a file of this folder.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from ..kernels import native
from ..registration import register
from .case import STYLES, Case, floats, integers, near

U = 2.0 ** -24                             # unit roundoff of float32
TINY = 2.0 ** -149                         # its smallest subnormal

SIZES_K = near(4, 8, 16, 64, most=65) | near(256, 512, most=513)   # vector widths; depths of cache blocks
SEEDS = st.integers(0, 2**32 - 1)


def gamma(k: int | np.ndarray) -> float | np.ndarray:
    """γ_k = k·u/(1−k·u): the share of a result that k roundings may change (Higham 2002, lemma 3.1)."""
    return k * U / (1 - k * U)


DOMAINS: dict[str, Domain] = {}            # name of a kernel -> its Domain
OF_VARIANTS: dict[str, Domain] = {}        # name of a variant that rounds otherwise -> its Domain


class Domain:
    """The calls of one kernel, and its structure. A subclass with a `name` is that of the kernel so named,
    one with `variants` that of these variants of it; raises TypeError where another is."""

    name: str
    variants: tuple[str, ...]
    exact: bool                            # every variant gives the same bits
    takes_out: bool = True                 # the kernel has `out=`
    m_tiles: tuple[int, ...]               # rows, and columns, that what runs may be cut into: sizes around
    n_tiles: tuple[int, ...]               # them are drawn, and around those of its micro-kernels

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" in vars(cls):
            register(DOMAINS, cls.name, cls(), "the domain of")
        for variant in vars(cls).get("variants", ()):
            register(OF_VARIANTS, variant, cls(), "the domain of")

    def sizes(self) -> tuple[st.SearchStrategy[int], ...]:
        """Where M, K and N are drawn from."""
        return near(*self.tiles(0), most=65), SIZES_K, near(*self.tiles(1), most=97)

    def tiles(self, axis: int) -> set[int]:
        """The rows (axis 0) or columns (1) of tiles around which sizes are drawn."""
        here = {row.tile[axis] for row in native.micro_kernels_of(self.name)}
        return here.union((self.m_tiles, self.n_tiles)[axis])

    def empties(self, case: Case) -> dict[str, Case]:
        """The case with each of its dimensions in turn shrunk to nothing."""
        none = slice(0, 0)
        return {"M": self.rows(case, none), "N": self.columns(case, none), "K": self.inner(case, none)}

    def whole(self, a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """An argument with integers up to 99 in place of its floats."""
        return rng.integers(-99, 100, a.shape).astype(np.float32) if a.dtype == np.float32 else a

    def spoiled(self, a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """An argument with a NaN or an infinity in place of one of its floats."""
        a = a.copy()
        if a.dtype == np.float32 and a.size:
            a[tuple(rng.integers(0, a.shape))] = rng.choice([np.nan, np.inf, -np.inf])
        return a

    def unpacked(self, w: np.ndarray) -> np.ndarray | float:
        """How far from w `unpack` may be: not at all, where what is packed keeps every bit."""
        return 0.0

    def to_pack(self, case: Case) -> tuple:
        """The arguments of `pack`."""
        return self.weight(case)

    def held(self, case: Case) -> int:
        """The fewest bytes that a packed weight can take."""
        return sum(w.nbytes for w in self.weight(case))

    def flat(self, function: Callable) -> Callable:
        """A function with the kernel's arguments as one that takes the arrays of a Case."""
        return function

    def flat_pack(self, pack: Callable) -> Callable:
        """The same for the kernel's `pack`."""
        return pack


class Gemm(Domain):
    """f32 (M,K)·(K,N)."""

    name, exact = "gemm", False
    m_tiles, n_tiles = (1, 2, 4, 6, 8, 12, 24), (8, 16, 32, 48, 64)

    def cases(self) -> st.SearchStrategy[Case]:
        """Valid calls, small and ragged, both operands in the same style of values."""
        return st.builds(self._make, *self.sizes(), st.sampled_from(STYLES), SEEDS)

    def _make(self, m: int, k: int, n: int, style: str, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        return Case((floats(rng, (m, k), style), floats(rng, (k, n), style)), {}, seed)

    def shape(self, case: Case) -> tuple[int, int, int]:
        """(M, K, N)"""
        return (*case.args[0].shape, case.args[1].shape[1])

    def exactly(self, case: Case) -> np.ndarray:
        """(M, N) the product in float64."""
        a, b = (x.astype(np.float64) for x in case.args)
        return a @ b

    def bound(self, case: Case) -> np.ndarray:
        """(M, N) γ_K·(|A||B|): a rounding a product, K−1 additions in any order; and underflow's share."""
        a, b = (np.abs(x.astype(np.float64)) for x in case.args)
        k = b.shape[0]
        return gamma(k) * (a @ b) + k * TINY

    def rows(self, case: Case, index) -> Case:
        """The case that computes only these rows of the output."""
        return case.on(case.args[0][index], case.args[1])

    def columns(self, case: Case, index) -> Case:
        """The case that computes only these columns of the output."""
        return case.on(case.args[0], np.ascontiguousarray(case.args[1][:, index]))

    def inner(self, case: Case, index) -> Case:
        """The case with these inner indices in this order: permuted, the same sums in another order."""
        return case.on(np.ascontiguousarray(case.args[0][:, index]), case.args[1][index])

    def longer(self, case: Case, extra: int, rng: np.random.Generator) -> Case:
        """The case with `extra` inner indices that add nothing: any activation against a weight of zero."""
        a, b = case.args
        junk = floats(rng, (a.shape[0], extra), "uniform")
        return case.on(np.hstack([a, junk]), np.vstack([b, np.zeros((extra, b.shape[1]), b.dtype)]))

    def weight(self, case: Case) -> tuple[np.ndarray, ...]:
        """What is packed, and what `unpack` must give back."""
        return case.args[1:]


class Qgemm(Gemm):
    """u8|s8 (M,K)·s8 (K,N), zero points, bias, requantisation: ONNX MatMulInteger and QLinearMatMul."""

    name, exact = "qgemm", True

    def cases(self) -> st.SearchStrategy[Case]:
        """Each option is there or not, zero points at both ends of their range, scales from 1e-9 to 1e3."""
        style, per = st.sampled_from(STYLES), st.sampled_from(["", "scalar", "column"])
        return st.builds(self._make, *self.sizes(), st.sampled_from([np.uint8, np.int8]),
                         style, style, st.booleans(), per, st.booleans(), per, SEEDS)

    def _make(self, m, k, n, dtype, a_style, b_style, a_zero, b_zero, bias, scale, seed) -> Case:
        rng = np.random.default_rng(seed)
        options = {}
        if a_zero:
            options["a_zero"] = int(integers(rng, (), dtype, "corners"))
        if b_zero:
            zeros = integers(rng, (n + 1,), np.int8, rng.choice(["corners", "uniform"]))
            options["b_zero"] = zeros[:n] if b_zero == "column" else int(zeros[n])
        if bias:
            span = 2 ** int(rng.integers(1, 31))
            options["bias"] = rng.integers(-span, span, n, dtype=np.int32)
        if scale:
            lowest = -9 if rng.random() < 0.2 else -5
            scales = (10.0 ** rng.uniform(lowest, 3, n + 1)).astype(np.float32)
            options["scale"] = scales[:n] if scale == "column" else float(scales[n])
            if rng.random() < 0.5:
                options["out_dtype"] = rng.choice([np.uint8, np.int8])
            options["out_zero"] = int(integers(rng, (), options.get("out_dtype", dtype), "corners"))
        a = integers(rng, (m, k), dtype, a_style)
        b = integers(rng, (k, n), np.int8, b_style)
        if scale and rng.random() < 0.3:
            ends = integers(rng, 2, options.get("out_dtype", dtype), "corners")
            options["clip"] = tuple(np.sort(ends).tolist())
        if scale and rng.random() < 0.3:
            options["rounding"] = "fixed-point"
            options["scale"] = np.float64(options["scale"]) if scale == "column" else options["scale"]
        return Case((a, b), options, seed)

    def bound(self, case: Case) -> float:
        """Zero: integers are exact."""
        return 0.0

    def columns(self, case: Case, index) -> Case:
        """Also the zero points, biases and scales that belong to columns."""
        fewer = super().columns(case, index)
        per_column = {name: v[index] for name, v in case.options.items() if isinstance(v, np.ndarray)}
        return fewer.on(*fewer.args, **per_column)

    def longer(self, case: Case, extra: int, rng: np.random.Generator) -> Case:
        """A weight equal to its zero point stands for nothing."""
        a, b = case.args
        junk = integers(rng, (a.shape[0], extra), a.dtype.type, "uniform")
        nothing = np.zeros((extra, b.shape[1]), np.int8) + np.asarray(case.options.get("b_zero", 0), np.int8)
        return case.on(np.hstack([a, junk]), np.vstack([b, nothing]))

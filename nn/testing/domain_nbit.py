"""The domain of nbit_gemm: a (M,K) by codes (K,N) of 2 to 4 bits, with scales and zeros for blocks of K."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ..kernels.nbit_gemm import block_of, quantized
from .case import STYLES, Case, floats
from .domain import SEEDS, TINY, Domain, gamma


class NbitGemm(Domain):
    """f32 a·((codes − zeros)·scales); the arguments are a, codes, scales, zeros."""

    name, exact = "nbit_gemm", False
    m_tiles, n_tiles = (1, 2, 4, 6, 8, 12), (16, 32, 48, 64)

    def cases(self) -> st.SearchStrategy[Case]:
        """Every width, block and kind of activations; codes at both ends of their range; zeros that differ,
        and none (which are kept otherwise)."""
        m, _, n = self.sizes()
        k = st.sampled_from([0, 1, 3, 4, 5, 31, 32, 33, 63, 64, 65, 95, 100, 127, 129, 191, 256, 257, 300])
        return st.builds(self._make, m, k, n, st.sampled_from([2, 3, 4]), st.sampled_from([32, 64, 128, 512]),
                         st.sampled_from(["float32", "int8"]), st.booleans(), st.sampled_from(STYLES), SEEDS)

    def _make(self, m: int, k: int, n: int, bits: int, block: int, activations: str, zeros: bool, style: str,
              seed: int) -> Case:
        rng = np.random.default_rng(seed)
        most, blocks = 1 << bits - 1, -(-k // block)

        def codes(*shape: int) -> np.ndarray:
            ends = rng.choice([-most, 1 - most, 0, most - 1], shape)
            return np.where(rng.random(shape) < 0.3, ends, rng.integers(-most, most, shape)).astype(np.int8)

        return Case((floats(rng, (m, k), style), codes(k, n), floats(rng, (blocks, n), style),
                     codes(blocks, n) * np.int8(zeros)), {"activations": activations}, seed)

    def shape(self, case: Case) -> tuple[int, int, int]:
        """(M, K, N)"""
        return (*case.args[0].shape, case.args[1].shape[1])

    def block(self, case: Case) -> int:
        """How many k share a scale."""
        return block_of(len(case.args[1]), len(case.args[2]))

    def whole(self, case: Case) -> np.ndarray:
        """(K, N) codes − zeros, in float64."""
        _, codes, _, zeros = case.args
        return codes.astype(np.float64) - self.each_k(case, zeros)

    def each_k(self, case: Case, x: np.ndarray) -> np.ndarray:
        """The rows of x, one for each block, repeated for each k, in float64."""
        return np.repeat(x.astype(np.float64), self.block(case), axis=0)[:len(case.args[1])]

    def dense(self, case: Case) -> np.ndarray:
        """W (K, N), in float64."""
        return self.whole(case) * self.each_k(case, case.args[2])

    def activations(self, case: Case) -> np.ndarray:
        """What stands for a (M, K), in float64: a itself, or its integers times their scales."""
        a = case.args[0]
        if case.options.get("activations") != "int8":
            return a.astype(np.float64)
        q, s = quantized(a, self.block(case))
        return q * np.repeat(s.astype(np.float64), self.block(case), axis=1)[:, :a.shape[1]]

    def exactly(self, case: Case) -> np.ndarray:
        """(M, N) the product in float64, of integers where a is rounded to these."""
        return self.activations(case) @ self.dense(case)

    def bound(self, case: Case) -> np.ndarray:
        """(M, N) γ_{K+1}·(|a||W|) of floats; with int8 a rounding for an integer as a float, two products and
        the sum over blocks; and underflow's share: half of TINY in a product, times what it is multiplied by.
        """
        a, k, blocks = np.abs(self.activations(case)), len(case.args[1]), len(case.args[2])
        if case.options.get("activations") == "int8":
            q = np.abs(quantized(case.args[0], self.block(case))[0])
            lost = TINY * (q @ np.abs(self.whole(case)) + blocks)
            return gamma(blocks + 3) * (a @ np.abs(self.dense(case))) + lost
        return gamma(k + 1) * (a @ np.abs(self.dense(case))) + TINY * (k + a.sum(axis=1, keepdims=True))

    def rows(self, case: Case, index) -> Case:
        """The case that computes only these rows of the output."""
        return case.on(case.args[0][index], *case.args[1:])

    def columns(self, case: Case, index) -> Case:
        """The case that computes only these columns of the output."""
        a, *weight = case.args
        return case.on(a, *(np.ascontiguousarray(w[:, index]) for w in weight))

    def inner(self, case: Case, index) -> Case:
        """The case with these inner indices, each block's in this order: what a block has, it keeps."""
        a, codes, scales, zeros = case.args
        if isinstance(index, slice):   # none
            return case.on(a[:, index], codes[index], scales[index], zeros[index])
        index = index[np.argsort(index // self.block(case), kind="stable")]
        return case.on(np.ascontiguousarray(a[:, index]), codes[index], scales, zeros)

    def longer(self, case: Case, extra: int, rng: np.random.Generator) -> Case:
        """Codes that are their zeros, in the last block and in further ones: what they are multiplied with
        is some of what the block has, so that it is rounded to the same integers, or anything."""
        a, codes, scales, zeros = case.args
        k, block = len(codes), self.block(case)
        here = min(len(scales) * block - k, extra)   # so many more in the last block
        last = a[:, (len(scales) - 1) * block:] if here else a[:, :0]
        junk = np.hstack([-last[:, rng.integers(0, last.shape[1], here)] if here else last,
                          floats(rng, (len(a), extra - here), "uniform")])
        more = -(-(k + extra) // block) - len(scales)
        scales, zeros = (np.vstack([x, np.ones((more, x.shape[1]), x.dtype)]) for x in (scales, zeros))
        nothing = np.repeat(zeros, block, axis=0)[k:k + extra]
        return case.on(np.hstack([a, junk]), np.vstack([codes, nothing]), scales, zeros)

    def weight(self, case: Case) -> tuple[np.ndarray, ...]:
        """What is packed, and what `unpack` must give back."""
        return case.args[1:]

    def held(self, case: Case) -> int:
        """As many bits for a code as the codes and zeros need, and the scales."""
        _, codes, scales, zeros = case.args
        least, most = (f(np.append(codes, zeros).astype(int), initial=0) for f in (np.min, np.max))
        bits = next(b for b in (2, 3, 4) if -(1 << b - 1) <= least and most < 1 << b - 1)
        return codes.size * bits // 8 + scales.nbytes

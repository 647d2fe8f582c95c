"""The domain of sparse_conv2d: images (N,H,W,C) and the non-zeros of filters (O,C,kH,kW), row by row."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ..kernels import conv2d
from .case import STYLES, Case, floats
from .domain import SEEDS, TINY, gamma
from .domain_conv import Convolution


class SparseConv2d(Convolution):
    """f32 convolution; the arguments are x, values, indices, indptr, kernel_size."""

    name = "sparse_conv2d"
    m_tiles, n_tiles = (8, 16, 32), (1, 4, 64)

    def cases(self) -> st.SearchStrategy[Case]:
        """As for conv2d, without groups; from no stored value to all of them."""
        size, taps = st.integers(0, 9), st.sampled_from([1, 2, 3])
        return st.builds(self._draw, st.sampled_from([1, 2, 3]), st.tuples(size, size),
                         st.sampled_from([1, 2, 3, 5, 17]), st.sampled_from([1, 3, 5, 17, 65]),
                         st.tuples(taps, taps), st.just(1), st.sampled_from(STYLES), SEEDS)

    def _make(self, x, w, how, style, rng, seed) -> Case:
        stored = rng.random(w.shape) < rng.choice([0.0, 0.1, 0.4, 1.0])
        stored[rng.random(len(w)) < 0.2] = False
        how = {name: value for name, value in how.items() if name != "groups"}
        if rng.random() < 0.5:
            how["bias"] = floats(rng, (len(w),), style)
        how["relu"] = bool(rng.random() < 0.3)
        return self.storing(Case((x,), how, seed), w, stored, rng.choice([np.uint16, np.int32]))

    @staticmethod
    def storing(case: Case, w: np.ndarray, stored: np.ndarray, index_dtype: type = np.int32) -> Case:
        """The case whose filters hold w where `stored` (O,C,kH,kW) is true; a stored value may be zero."""
        rows, stored = (np.moveaxis(a, 1, 3).reshape(len(w), int(np.prod(w.shape[1:]))) for a in (w, stored))
        row, column = np.nonzero(stored)
        indptr = np.concatenate([[0], np.cumsum(stored.sum(1))]).astype(np.int32)
        return case.on(case.args[0], rows[row, column], column.astype(index_dtype), indptr,
                       np.array(w.shape[2:], np.int32))

    @staticmethod
    def dense(case: Case, of=lambda v: v) -> np.ndarray:
        """The filters (O,C,kH,kW) in float64, with the function `of` of their values."""
        x, values, indices, indptr, kernel_size = case.args
        o, c, (kh, kw) = len(indptr) - 1, x.shape[3], kernel_size.tolist()
        w = np.zeros((o, kh * kw * c))
        np.add.at(w, (np.repeat(np.arange(o), np.diff(indptr)), indices), of(values.astype(np.float64)))
        return np.ascontiguousarray(np.moveaxis(w.reshape(o, kh, kw, c), 3, 1))

    def exactly(self, case: Case) -> np.ndarray:
        """(N,H',W',O) the convolution with dense filters, in float64."""
        return self._dense_convolution(case)

    def bound(self, case: Case) -> np.ndarray:
        """(N,H',W',O) γ_{k+1}·(|w|·|x| + |bias|), k the stored values of a filter; and underflow's share."""
        k = np.diff(case.args[3])
        return gamma(k + 1) * self._dense_convolution(case, np.abs) + k * TINY

    def _dense_convolution(self, case: Case, of=lambda v: v) -> np.ndarray:
        bias = case.options.get("bias")
        options = {**case.options, "bias": None if bias is None else of(bias.astype(np.float64))}
        return conv2d.reference(of(case.args[0].astype(np.float64)), self.dense(case, of), **options)

    def empties(self, case: Case) -> dict[str, Case]:
        """No images, no filters, no channels."""
        x, w = case.args[0], self.dense(case).astype(np.float32)
        bias = case.options.get("bias")
        none = case.on(x, bias=None if bias is None else bias[:0])
        return {"N": self.images(case, slice(0, 0)), "O": self.storing(none, w[:0], w[:0] != 0),
                "C": self.storing(case.on(x[..., :0]), w[:, :0], w[:, :0] != 0)}

    def weight(self, case: Case) -> tuple[np.ndarray, ...]:
        """What is packed, and what `unpack` must give back."""
        return case.args[1:]

    def to_pack(self, case: Case) -> tuple:
        """Sparse rows don't say how many channels the filters have."""
        return *case.args[1:], case.args[0].shape[3]

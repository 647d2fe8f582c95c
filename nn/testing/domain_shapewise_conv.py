"""The domain of shapewise_conv2d: images (N,H,W,C) and the columns that are kept of filters (O,C,kH,kW)."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from .case import STYLES, Case, floats, near
from .domain import SEEDS, TINY, gamma
from .domain_sparse_conv import SparseConv2d


class ShapewiseConv2d(SparseConv2d):
    """f32 convolution; the arguments are x, w, columns, kernel_size."""

    name = "shapewise_conv2d"
    m_tiles, n_tiles = (1, 4, 6, 8, 12, 24), (16, 32, 48, 64)

    def cases(self) -> st.SearchStrategy[Case]:
        """As for conv2d, without groups; from no column to all of them."""
        size, taps = st.integers(0, 9), st.sampled_from([1, 2, 3])
        return st.builds(self._draw, st.sampled_from([1, 2, 3]), st.tuples(size, size),
                         st.sampled_from([1, 2, 3, 5, 17]), near(*self.tiles(1), most=65).filter(bool),
                         st.tuples(taps, taps), st.just(1), st.sampled_from(STYLES), SEEDS)

    def _make(self, x, w, how, style, rng, seed) -> Case:
        kept = rng.random(w.shape[1:]) < rng.choice([0.0, 0.1, 0.4, 1.0])
        how = {name: value for name, value in how.items() if name != "groups"}
        if rng.random() < 0.5:
            how["bias"] = floats(rng, (len(w),), style)
        how["relu"] = bool(rng.random() < 0.3)
        return self.keeping(Case((x,), how, seed), w, kept, rng.choice([np.uint16, np.int32]))

    @staticmethod
    def keeping(case: Case, w: np.ndarray, kept: np.ndarray, dtype: type = np.int32) -> Case:
        """The case whose filters hold w where `kept` (C,kH,kW) is true; a kept column may be zero."""
        columns = np.flatnonzero(np.moveaxis(kept, 0, 2))
        matrix = np.moveaxis(w, 1, 3).reshape(len(w), int(np.prod(w.shape[1:])))
        return case.on(case.args[0], np.ascontiguousarray(matrix[:, columns]), columns.astype(dtype),
                       np.array(w.shape[2:], np.int32))

    @staticmethod
    def dense(case: Case, of=lambda v: v) -> np.ndarray:
        """The filters (O,C,kH,kW) in float64, with the function `of` of their values."""
        x, kept, columns, kernel_size = case.args
        c, (kh, kw) = x.shape[3], kernel_size.tolist()
        w = np.zeros((len(kept), kh * kw * c))
        w[:, columns] = of(kept.astype(np.float64))
        return np.ascontiguousarray(np.moveaxis(w.reshape(len(kept), kh, kw, c), 3, 1))

    def bound(self, case: Case) -> np.ndarray:
        """(N,H',W',O) γ_{k+1}·(|w|·|x| + |bias|), k the columns; and underflow's share."""
        k = len(case.args[2])
        return gamma(k + 1) * self._dense_convolution(case, np.abs) + k * TINY

    def empties(self, case: Case) -> dict[str, Case]:
        """No images, no filters, no channels."""
        x, w, columns, size = case.args
        bias = case.options.get("bias")
        return {"N": self.images(case, slice(0, 0)),
                "O": case.on(x, w[:0], columns, size, bias=None if bias is None else bias[:0]),
                "C": case.on(x[..., :0], w[:, :0], columns[:0], size)}

"""The domain of winograd_conv2d: images (N,H,W,C) under 3×3 filters (O,C,3,3), padding and bias."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from .case import STYLES, Case, floats, near
from .domain import SEEDS, TINY, Domain, U, gamma

# |Bᵀ|, |G| and |Aᵀ| of F(2×2, 3×3) (Lavin & Gray 2016, eq. 8): nothing cancels in what roundings see.
BT = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 1]], np.float64)
G = np.array([[2, 0, 0], [1, 1, 1], [1, 1, 1], [0, 0, 2]], np.float64) / 2
AT = np.array([[1, 1, 1, 0], [0, 1, 1, 1]], np.float64)


class WinogradConv2d(Domain):
    """Rows of the product are images, columns are output channels, inner indices are input channels."""

    name, exact = "winograd_conv2d", False
    m_tiles, n_tiles = (2, 4, 6, 8, 12), (16, 32, 48, 64)   # tiles of 2×2 pixels; output channels

    def cases(self) -> st.SearchStrategy[Case]:
        """A few small images, some of nothing but padding, or one that is wide, with as many tiles as a
        micro-kernel has rows."""
        side, pad, few = st.integers(0, 6), st.integers(0, 3), st.sampled_from([1, 2, 3, 9])
        wide = near(*self.tiles(0), most=25).filter(bool).map(lambda tiles: 2 * tiles - 1)
        images = st.tuples(few, side, side) | st.tuples(st.just(1), side, wide)
        c, o = near(4, 8, 16, most=33).filter(bool), near(*self.tiles(1), most=65).filter(bool)
        return st.builds(self._make, images, c, o, pad, pad, st.booleans(), st.sampled_from(STYLES), SEEDS)

    def _make(self, images, c, o, top, left, bias, style, seed) -> Case:
        (n, height, width), rng = images, np.random.default_rng(seed)
        top, left = max(top, (4 - height) // 2), max(left, (4 - width) // 2)   # 3 pixels at least
        options = {"padding": top if top == left else (top, left)}
        if bias:
            options["bias"] = floats(rng, (o,), style)
        x, w = floats(rng, (n, height, width, c), style), floats(rng, (o, c, 3, 3), style)
        return Case((x, w), options, seed)

    def shape(self, case: Case) -> tuple[int, int, int]:
        """(N, C, O)"""
        return (len(case.args[0]), case.args[0].shape[3], len(case.args[1]))

    def padded(self, case: Case) -> np.ndarray:
        """x in float64 with its zeros around it."""
        rows, columns = np.broadcast_to(case.options["padding"], 2)
        return np.pad(case.args[0].astype(np.float64), ((0, 0), (rows, rows), (columns, columns), (0, 0)))

    def exactly(self, case: Case) -> np.ndarray:
        """The convolution in float64, by its definition: every window times the filter."""
        windows = sliding_window_view(self.padded(case), (3, 3), axis=(1, 2))   # n, h, w, c, 3, 3
        y = np.tensordot(windows, case.args[1].astype(np.float64), axes=((3, 4, 5), (1, 2, 3)))
        return y + case.options.get("bias", np.float32(0)).astype(np.float64)

    def amplified(self, case: Case, w: np.ndarray) -> np.ndarray:
        """Σ_C |Aᵀ|[(|G|w|Gᵀ|) ⊙ (|Bᵀ||d||B|)]|A|: the size of what is added up on all ways to an output."""
        x = np.abs(self.padded(case))
        height, width = x.shape[1] - 2, x.shape[2] - 2
        x = np.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
        d = sliding_window_view(x, (4, 4), axis=(1, 2))[:, ::2, ::2]   # n, tile row, column, c, i, j
        u, v = G @ w @ G.T, BT @ d @ BT.T
        sums = v.transpose(4, 5, 0, 1, 2, 3) @ u.transpose(2, 3, 1, 0)[:, :, None, None]
        y = AT @ sums.transpose(2, 3, 4, 5, 0, 1) @ AT.T
        y = y.transpose(0, 1, 4, 2, 5, 3)                              # n, tile row, p, tile column, q, o
        n, down, _, across, _, o = y.shape
        return y.reshape(n, 2 * down, 2 * across, o)[:, :height, :width]

    def moved(self, w: np.ndarray) -> np.ndarray:
        """How far `pack` may move the weights of each filter: u·Σ|g|, and two of the smallest floats."""
        total = np.abs(w.astype(np.float64)).sum(axis=(2, 3), keepdims=True)
        return np.broadcast_to(U * (1 + 2.0**-20) * total + 2 * TINY, w.shape)

    def bound(self, case: Case) -> np.ndarray:
        """What may separate a float32 result from the exact one, entry by entry.

        A number on its way rounds 2 times in Bᵀ d B, at most 6 in G g Gᵀ (as NumPy does it), C in the
        product and the sum over channels, 4 in Aᵀ M A, once with the bias: γ_{C+13} of the amplified sum
        (Higham 2002, lemma 3.3). Filters that are moved instead of rounding G g Gᵀ make a sum of their own.
        Last, the products that underflow.
        """
        w, k = case.args[1], case.args[1].shape[1] + 13
        bias = np.abs(case.options.get("bias", np.float32(0)).astype(np.float64))
        sums = self.amplified(case, np.abs(w.astype(np.float64))) + bias
        moved = self.amplified(case, self.moved(w))
        return gamma(k) * sums + (1 + gamma(k)) * moved + 16 * k * TINY

    def unpacked(self, w: np.ndarray) -> np.ndarray:
        """See `moved`."""
        return self.moved(w)

    def rows(self, case: Case, index) -> Case:
        """The case of these images."""
        return case.on(case.args[0][index], case.args[1])

    def columns(self, case: Case, index) -> Case:
        """The case of these filters and their biases."""
        x, w = case.args
        own = {"bias": case.options["bias"][index]} if "bias" in case.options else {}
        return case.on(x, np.ascontiguousarray(w[index]), **own)

    def inner(self, case: Case, index) -> Case:
        """The case of these input channels."""
        x, w = case.args
        return case.on(np.ascontiguousarray(x[..., index]), np.ascontiguousarray(w[:, index]))

    def longer(self, case: Case, extra: int, rng: np.random.Generator) -> Case:
        """More input channels, of any activations, under filters of zeros."""
        x, w = case.args
        junk = floats(rng, (*x.shape[:3], extra), "uniform")
        return case.on(np.concatenate([x, junk], axis=3),
                       np.concatenate([w, np.zeros((len(w), extra, 3, 3), w.dtype)], axis=1))

    def empties(self, case: Case) -> dict[str, Case]:
        """Also images without pixels."""
        x, w = case.args
        none = {"H": x[:, :0], "W": x[:, :, :0]}
        return {**super().empties(case), **{name: case.on(np.ascontiguousarray(image), w)
                                            for name, image in none.items()}}

    def weight(self, case: Case) -> tuple[np.ndarray, ...]:
        """What is packed, and what `unpack` gives back within `unpacked`."""
        return case.args[1:]



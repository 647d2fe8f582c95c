"""The domains of the calls of an integer Program: grids, their sums, pools, patches and convolutions.

Their results are exact. Along the last axis, which all arrays have, they are many results that have nothing
to do with each other, but for the patches and the filters of a convolution, whose domains say so.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from .case import STYLES, Case, floats, integers, near
from .domain import SEEDS
from .domain_conv import PAIRS
from .domain_pass import CHANNELS, Pass
from .domain_pool import AXIS, _fits

TINIEST, HUGE = 2.0**-126, 1e34  # of the scales: with the first, numbers of a grid are subnormal
SCALES = st.sampled_from([1.0, 0.5, 0.0173, 3e-5, 250.0, TINIEST, 1e-20, HUGE])


def zero_point(rng: np.random.Generator) -> int:
    """A zero point, often at an end."""
    return int(rng.choice([0, 255, 1, 128, rng.integers(256)]))


def clipped(rng: np.random.Generator) -> dict[str, tuple[int, int]]:
    """A clip, in two of three cases."""
    low, high = sorted(rng.choice([0, 255, *rng.integers(0, 256, 4)], 2).tolist())
    return {"clip": (low, high)} if rng.random() < 0.67 else {}


class Quantize(Pass):
    """float32 → uint8; a tenth of the numbers is beyond the grid."""

    name, exact, takes_out = "quantize", True, True

    def cases(self) -> st.SearchStrategy[Case]:
        """Numbers of the size of the grid, and of any size."""
        return st.builds(self._make, st.integers(0, 4), CHANNELS, SCALES, st.sampled_from(STYLES), SEEDS)

    def _make(self, m: int, c: int, scale: float, style: str, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        zero, scale = zero_point(rng), float(np.float32(scale))
        x = np.round((rng.uniform(-30, 290, (m, c)) - zero) * 2) / 2 * scale    # ties too
        x = x if seed % 3 else floats(rng, (m, c), style)
        return Case((x.astype(np.float32),), {"scale": scale, "zero": zero, **clipped(rng)}, seed)


class Dequantize(Quantize):
    """uint8 or int32 → float32, by one scale or one for each channel."""

    name = "dequantize"

    def _make(self, m: int, c: int, scale: float, style: str, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        q = integers(rng, (m, c), (np.uint8, np.int32)[seed % 2], style)
        if seed % 2 and style == "uniform":  # sums, that need not leave the grid
            q = q >> np.int32(rng.integers(0, 24))
        zero = zero_point(rng)
        if seed % 3:
            return Case((q, (rng.uniform(0.5, 2, c) * scale).astype(np.float32)), {"zero": zero}, seed)
        return Case((q,), {"scale": scale, "zero": zero}, seed)


class Requantize(Dequantize):
    """uint8 or int32 → uint8; halves, whose results are ties."""

    name = "requantize"

    def _make(self, m: int, c: int, scale: float, style: str, seed: int) -> Case:
        case = super()._make(m, c, scale, style, seed)
        rng = case.rng()
        return case.on(*case.args, out_zero=zero_point(rng), **clipped(rng))


class Qadd(Quantize):
    """uint8 + uint8 → uint8, each on a grid of its own."""

    name = "qadd"

    def _make(self, m: int, c: int, scale: float, style: str, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        a, b = (integers(rng, (m, c), np.uint8, style) for _ in range(2))
        zeros = {name: zero_point(rng) for name in ("a_zero", "b_zero", "zero")}
        scales = dict(zip(("a_scale", "b_scale"), rng.choice([0.5, 1, 1.7, 2.5, 2.0**120, 1e-25], 2).tolist(),
                          strict=True))
        scale = min(max(scale, 1e-8), 100.0)
        return Case((a, b), {**{name: x * scale for name, x in scales.items()}, "scale": scale, **zeros,
                             **clipped(rng)}, seed)


class QmaxPool2d(Pass):
    """The greatest of each window."""

    name, exact, takes_out, types = "qmax_pool2d", True, True, (np.uint8, np.float32)

    def cases(self) -> st.SearchStrategy[Case]:
        """Each axis has its own size, window, stride and padding."""
        axis = AXIS.filter(_fits)
        return st.builds(self._make, st.integers(1, 2), axis, axis, CHANNELS, st.sampled_from(STYLES), SEEDS)

    def _make(self, n, down, across, c, style, seed) -> Case:
        (h, w), *pairs = zip(down, across, strict=True)
        rng, shape, dtype = np.random.default_rng(seed), (n, h, w, c), self.types[seed % len(self.types)]
        x = floats(rng, shape, style) if dtype is np.float32 else integers(rng, shape, dtype, style)
        how = dict(zip(("kernel_size", "stride", "padding"), pairs, strict=True))
        if h and w and rng.random() < 0.2:  # a global pool
            how |= {"kernel_size": (h, w), "padding": (0, 0)}
        return Case((x,), {**how, **self.more(rng, (h, w), **how)}, seed)

    def more(self, rng: np.random.Generator, size: tuple[int, int], **how: tuple[int, int]) -> dict:
        """Further options."""
        return {}


class QavgPool2d(QmaxPool2d):
    """The mean of each window, on the same grid."""

    name, types = "qavg_pool2d", (np.uint8,)

    def more(self, rng: np.random.Generator, size: tuple[int, int], **how: tuple[int, int]) -> dict:
        """Where 0 is."""
        return {"zero": zero_point(rng)}


class Im2col(QmaxPool2d):
    """Patches as rows. Channels of the result are channels of each tap."""

    name = "im2col"

    def more(self, rng: np.random.Generator, size: tuple[int, int], **how: tuple[int, int]) -> dict:
        """What lies around the images, and taps that are apart where there is room."""
        room = zip(size, how["kernel_size"], how["padding"], strict=True)
        dilation = tuple(int(rng.integers(1, 3)) if 2 * k - 1 <= s + 2 * p else 1 for s, k, p in room)
        return {"fill": zero_point(rng), "dilation": dilation}


class Transpose(QmaxPool2d):
    """The last two axes exchanged: results along the last axis are no channels."""

    name = "transpose"

    def cases(self) -> st.SearchStrategy[Case]:
        """Rows and columns around the blocks that are turned at once."""
        return st.builds(self._turn, st.integers(0, 3), near(4, 8, most=17), near(16, most=49),
                         st.sampled_from(STYLES), SEEDS)

    def _turn(self, n: int, rows: int, columns: int, style: str, seed: int) -> Case:
        rng, shape = np.random.default_rng(seed), (n, rows, columns)
        x = floats(rng, shape, style) if seed % 2 else integers(rng, shape, np.uint8, style)
        return Case((x,), {}, seed)


class QdepthwiseConv2d(Pass):
    """uint8 images and one int8 filter for each channel."""

    name, exact, takes_out = "qdepthwise_conv2d", True, True
    # Columns around the positions of a tile; taps of more than one cell, and more cells than are multiplied
    # at once; channels around those of a block.
    columns, taps = (*range(7), 33, 70), (1, 2, 3, 5)
    channels = near(1, 8, 16, 64, most=81).filter(bool)

    def cases(self) -> st.SearchStrategy[Case]:
        """Small images; strides, paddings and dilations; with bias and scale and without."""
        taps = st.sampled_from(self.taps)
        size = st.tuples(st.integers(0, 6), st.sampled_from(self.columns))
        return st.builds(self._draw, st.integers(1, 2), size, self.channels, st.tuples(taps, taps),
                         st.sampled_from(STYLES), SEEDS)

    def _draw(self, n, size, c, kernel, style, seed) -> Case:
        rng = np.random.default_rng(seed)
        how = {name: tuple(rng.choice(some[:2], 2).tolist()) for name, some in PAIRS.items()}
        spans = [d * (k - 1) + 1 for d, k in zip(how["dilation"], kernel, strict=True)]
        # Without height or width the padding alone must have room for a window.
        how["padding"] = tuple(p if s else -(-span // 2) for s, span, p in
                               zip(size, spans, how["padding"], strict=True))
        size = tuple(max(s, span) if s else 0 for s, span in zip(size, spans, strict=True))
        return self._make(rng, n, size, c, kernel, {**how, "x_zero": seed % 256}, style, seed)

    def _make(self, rng, n, size, c, kernel, how, style, seed) -> Case:
        x, w = integers(rng, (n, *size, c), np.uint8, style), integers(rng, (c, 1, *kernel), np.int8, style)
        return Case((x, w), {**how, **self._around(rng, c, seed)}, seed)

    @staticmethod
    def _around(rng, o: int, seed: int) -> dict:
        """bias, scale, out_zero and clip, or not."""
        more = {"bias": rng.integers(-999, 999, o).astype(np.int32)} if seed % 3 else {}
        if seed % 4:
            scale = rng.uniform(1e-4, 1e-2, o).astype(np.float32) if seed % 4 > 1 else 3e-3
            more |= {"scale": scale, "out_zero": seed % 99}
            more |= {"clip": tuple(sorted((seed % 99, seed % 256)))} if seed % 5 > 2 else {}
            more |= {"rounding": "fixed-point"} if seed % 7 > 4 else {}
        return more

    def take(self, case: Case, index: np.ndarray) -> Case:
        """The case with some of its channels."""
        more = {name: v[index] for name, v in case.options.items() if isinstance(v, np.ndarray)}
        return case.on(np.ascontiguousarray(case.args[0][..., index]), case.args[1][index], **more)

    def weight(self, case: Case) -> tuple[np.ndarray, ...]:
        """What is packed, and what `unpack` must give back."""
        return case.args[1:]


class Qconv2d(QdepthwiseConv2d):
    """uint8 images and int8 filters, in groups: of channels that fill cells of four, and others; of filters
    that fill a panel; batches that are taken across images. A quarter can be left to Winograd's algorithm."""

    name = "qconv2d"
    columns, taps, channels = range(7), (1, 2, 3), CHANNELS

    def cases(self) -> st.SearchStrategy[Case]:
        """As of one filter for each channel; the widths of cells and panels; biases at the ends of int32."""
        size, channels = st.integers(0, 6), st.sampled_from([1, 2, 3, 5, 12, 16, 16, 20, 32, 48])
        kernel = st.sampled_from([(3, 3), (3, 3), (3, 3), (1, 1), (1, 3), (2, 2)])
        return st.builds(self._draw, st.sampled_from([1, 2, 9]), st.tuples(size, size), channels, kernel,
                         st.sampled_from(STYLES), SEEDS)

    def _make(self, rng, n, size, c, kernel, how, style, seed) -> Case:
        if kernel == (3, 3) and seed % 4:
            how = {**how, "stride": (1, 1), "dilation": (1, 1)}
        groups, o = int(rng.choice([1, 1, 2, 3])), int(rng.choice([1, 3, 7, 16, 17, 65]))
        c, o = (min(c, 20), groups * min(o, 17)) if groups > 1 else (c, o)
        x = integers(rng, (n, *size, groups * c), np.uint8, style)
        w = integers(rng, (o, c, *kernel), np.int8, style)
        around = self._around(rng, o, seed)
        if "bias" in around and seed % 2:
            around["bias"] = rng.choice(np.array([-2**31, -2**30, 5, 2**30, 2**31 - 1], np.int32), o)
        return Case((x, w), {**how, "groups": groups, **around}, seed)

    def to_pack(self, case: Case) -> tuple:
        """The filters do not say in how many groups they are."""
        return case.args[1], case.options["groups"]

    def take(self, case: Case, index: np.ndarray) -> Case:
        """The case with some of its filters, as one group of all channels: none, or in another order."""
        w, groups = case.args[1], case.options["groups"]
        dense = np.zeros((len(w), case.args[0].shape[3], *w.shape[2:]), np.int8)
        for i in range(groups):
            some = slice(i * len(w) // groups, (i + 1) * len(w) // groups)
            dense[some, i * w.shape[1]:(i + 1) * w.shape[1]] = w[some]
        more = {name: v[index] for name, v in case.options.items() if isinstance(v, np.ndarray)}
        return case.on(case.args[0], dense[index], groups=1, **more)

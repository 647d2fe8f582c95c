"""The domains of a convolution and its gradients: images (N,H,W,C) and filters (O,C/groups,kH,kW)."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ..kernels import conv2d, conv2d_input_grad, conv2d_weight_grad
from ..kernels.convolution import geometry
from .case import STYLES, Case, floats, near
from .domain import SEEDS, TINY, Domain, gamma

# The first of each half of the time. Among the others: a stride beyond the image, and paddings and dilations
# with which windows, or lines of them, lie in nothing but padding.
PAIRS = {"stride": (1, 2, 3, 11), "padding": (0, 1, 2, 5), "dilation": (1, 2, 6)}


class Convolution(Domain):
    """What the kernels of a convolution have in common: how its numbers are drawn.

    Small images, so that most windows touch the padding, some without height or width; batches on either
    side of the number of them from which on positions are taken across images: across all of them up to 64
    positions an image; channels around the number from which on they are read in place; filters around the
    widths of tiles.
    """

    exact = False
    m_tiles, n_tiles = (2, 4, 6, 8), (16, 32, 64)

    def cases(self) -> st.SearchStrategy[Case]:
        """Strides, paddings, dilations and groups at random, each 1 (or 0) half of the time."""
        size, taps = st.integers(0, 9), st.sampled_from([1, 2, 3])
        channels = st.sampled_from([1, 2, 3, 5, 11, 12, 13, 33])
        return st.builds(self._draw, st.sampled_from([1, 2, 3, 9]), st.tuples(size, size), channels,
                         near(*self.tiles(1), most=65).filter(bool), st.tuples(taps, taps),
                         st.sampled_from([1, 1, 2, 3]), st.sampled_from(STYLES), SEEDS)

    def _draw(self, n, size, channels, filters, kernel, groups, style, seed) -> Case:
        rng = np.random.default_rng(seed)
        if groups > 1:
            channels, filters = min(channels, 13), min(filters, 17)
        how = {name: tuple(np.where(rng.random(2) < 0.5, usual, rng.choice(others, 2)).tolist())
               for name, (usual, *others) in PAIRS.items()}
        span = [d * (k - 1) + 1 for d, k in zip(how["dilation"], kernel, strict=True)]
        # Without height or width the padding alone must have room for a window.
        how["padding"] = tuple(p if extra else max(p, -(-s // 2))
                               for extra, s, p in zip(size, span, how["padding"], strict=True))
        least = [s - 2 * p for s, p in zip(span, how["padding"], strict=True)]
        h, w = (max(extra, fits + extra - 1) if extra else 0 for extra, fits in zip(size, least, strict=True))
        x = floats(rng, (n, h, w, channels * groups), style)
        w = floats(rng, (filters * groups, channels, *kernel), style)
        return self._make(x, w, {**how, "groups": groups}, style, rng, seed)

    def images(self, case: Case, index) -> Case:
        """The case with these images only."""
        return case.on(case.args[0][index], *case.args[1:])

    @staticmethod
    def wide(case: Case, of=lambda v: v) -> list[np.ndarray]:
        """The arguments in float64, with the function `of` of their entries."""
        return [of(a.astype(np.float64)) for a in case.args]

    @staticmethod
    def gradients(x, w, how, style, rng) -> np.ndarray:
        """A gradient for the result of the convolution of x with w."""
        return floats(rng, geometry("conv2d", x.shape, w.shape, **how).y, style)

    @staticmethod
    def small(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Integers whose sums of products are exact."""
        return rng.integers(-9, 10, shape).astype(np.float32)


class Conv2d(Convolution):
    """f32 convolution; the arguments are x, w."""

    name = "conv2d"

    def _make(self, x, w, how, style, rng, seed) -> Case:
        if rng.random() < 0.5:
            how["bias"] = floats(rng, (len(w),), style)
        return Case((x, w), {**how, "relu": bool(rng.random() < 0.3)}, seed)

    def exactly(self, case: Case) -> np.ndarray:
        """(N,H',W',O) the convolution in float64."""
        return conv2d.reference(*self.wide(case), **self._wide_options(case))

    def bound(self, case: Case) -> np.ndarray:
        """(N,H',W',O) γ_{K+1}·(|w|·|x| + |bias|): K products and the bias; and underflow's share. Taking the
        larger of it and 0 makes no error larger."""
        k = int(np.prod(case.args[1].shape[1:]))
        options = self._wide_options(case, np.abs)
        return gamma(k + 1) * conv2d.reference(*self.wide(case, np.abs), **options) + k * TINY

    def _wide_options(self, case: Case, of=lambda v: v) -> dict:
        bias = case.options.get("bias")
        return {**case.options, "bias": None if bias is None else of(bias.astype(np.float64))}

    def filters(self, case: Case, index) -> Case:
        """The case with these filters of each group only."""
        groups, w, bias = case.options["groups"], case.args[1], case.options.get("bias")
        w = self.by_group(w, groups)[:, index]
        more = {} if bias is None else {"bias": self.by_group(bias, groups)[:, index].flatten()}
        return case.on(case.args[0], np.ascontiguousarray(w.reshape(-1, *w.shape[2:])), **more)

    def channels(self, case: Case, index) -> Case:
        """The case with these channels of each group, in the images and in the filters."""
        groups, (x, w) = case.options["groups"], case.args
        x = x.reshape(*x.shape[:3], groups, w.shape[1])[..., index]
        return case.on(np.ascontiguousarray(x.reshape(*x.shape[:3], groups * x.shape[4])),
                       np.ascontiguousarray(w[:, index]))

    @staticmethod
    def by_group(filters: np.ndarray, groups: int) -> np.ndarray:
        """(O, …) → (groups, O/groups, …)"""
        return filters.reshape(groups, len(filters) // groups, *filters.shape[1:])

    def empties(self, case: Case) -> dict[str, Case]:
        """No images, no filters, no channels."""
        none = slice(0, 0)
        return {"N": self.images(case, none), "O": self.filters(case, none), "C": self.channels(case, none)}

    def weight(self, case: Case) -> tuple[np.ndarray, ...]:
        """What is packed, and what `unpack` must give back."""
        return case.args[1:]

    def to_pack(self, case: Case) -> tuple:
        """The filters do not say in how many groups they are."""
        return case.args[1], case.options["groups"]

    def pairings(self, case: Case, f) -> list[float]:
        """⟨y, g⟩ = ⟨x, dx⟩ = ⟨w, dw⟩ for integers: y by f, the gradients by their specifications."""
        x, w = (self.small(case.rng(), a.shape) for a in case.args)
        how = {name: case.options[name] for name in (*PAIRS, "groups")}
        y = f(case.on(x, w, bias=None, relu=False))
        g = self.small(case.rng(), y.shape)
        dx = conv2d_input_grad.reference(g, w, x.shape[1:3], **how)
        dw = conv2d_weight_grad.reference(x, g, w.shape[2:], **how)
        return [inner(y, g), inner(x, dx), inner(w, dw)]


class Conv2dInputGrad(Convolution):
    """f32 gradient of the images; the arguments are g, w."""

    name = "conv2d_input_grad"

    def _make(self, x, w, how, style, rng, seed) -> Case:
        return Case((self.gradients(x, w, how, style, rng), w), {"size": x.shape[1:3], **how}, seed)

    def exactly(self, case: Case) -> np.ndarray:
        """(N,H,W,C) the gradient in float64."""
        return conv2d_input_grad.reference(*self.wide(case), **case.options)

    def bound(self, case: Case) -> np.ndarray:
        """(N,H,W,C) γ_K·(|g|·|w|), K = kH·kW·O/groups; and underflow's share."""
        o, _, kh, kw = case.args[1].shape
        k = o // case.options["groups"] * kh * kw
        return gamma(k) * conv2d_input_grad.reference(*self.wide(case, np.abs), **case.options) + k * TINY

    def empties(self, case: Case) -> dict[str, Case]:
        """No images, no filters, no channels."""
        g, w = case.args
        no_images, no_filters = self.images(case, slice(0, 0)), case.on(g[..., :0], w[:0])
        return {"N": no_images, "O": no_filters, "C": case.on(g, w[:, :0])}

    def pairings(self, case: Case, f) -> list[float]:
        """⟨dx, x⟩ = ⟨g, y⟩ for integers: dx by f, y by the specification of the convolution."""
        g, w = (self.small(case.rng(), a.shape) for a in case.args)
        dx = f(case.on(g, w))
        x = self.small(case.rng(), dx.shape)
        how = {name: case.options[name] for name in (*PAIRS, "groups")}
        return [inner(dx, x), inner(g, conv2d.reference(x, w, **how))]


class Conv2dWeightGrad(Convolution):
    """f32 gradient of the filters; the arguments are x, g."""

    name = "conv2d_weight_grad"

    def _make(self, x, w, how, style, rng, seed) -> Case:
        return Case((x, self.gradients(x, w, how, style, rng)), {"kernel_size": w.shape[2:], **how}, seed)

    def images(self, case: Case, index) -> Case:
        """The case with these images only, and their gradients."""
        x, g = case.args
        return case.on(x[index], g[index])

    def exactly(self, case: Case) -> np.ndarray:
        """(O,C/groups,kH,kW) the gradient in float64."""
        return conv2d_weight_grad.reference(*self.wide(case), **case.options)

    def bound(self, case: Case) -> np.ndarray:
        """(O,C/groups,kH,kW) γ_M·(|g|·|x|), M = N·H'·W'; and underflow's share."""
        m = int(np.prod(case.args[1].shape[:3]))
        return gamma(m) * conv2d_weight_grad.reference(*self.wide(case, np.abs), **case.options) + m * TINY

    def empties(self, case: Case) -> dict[str, Case]:
        """No images, no filters, no channels."""
        x, g = case.args
        return {"N": self.images(case, slice(0, 0)), "O": case.on(x, g[..., :0]), "C": case.on(x[..., :0], g)}

    def pairings(self, case: Case, f) -> list[float]:
        """⟨dw, w⟩ = ⟨g, y⟩ for integers: dw by f, y by the specification of the convolution."""
        x, g = (self.small(case.rng(), a.shape) for a in case.args)
        dw = f(case.on(x, g))
        w = self.small(case.rng(), dw.shape)
        how = {name: case.options[name] for name in (*PAIRS, "groups")}
        return [inner(dw, w), inner(g, conv2d.reference(x, w, **how))]


def inner(a: np.ndarray, b: np.ndarray) -> float:
    """⟨a, b⟩, exact for integers below 2⁵³."""
    return float(np.vdot(a.astype(np.float64), b.astype(np.float64)))

"""The domain of bconv2d: images and filters of ±1 as bits, with zeros around the images."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ..kernels.sign_bits import signs
from .case import STYLES, Case
from .domain import SEEDS
from .domain_bits import as_bits, signed
from .domain_conv import PAIRS
from .domain_pass import Pass


class Bconv2d(Pass):
    """Bits of images (N,H,W,words) and of filters (O,kH,kW,words)."""

    name, exact, takes_out = "bconv2d", True, True

    def cases(self) -> st.SearchStrategy[Case]:
        """Small images, so that many windows touch the padding; channels that fill words, and others; filters
        around the widths of tiles; a filter that sees one pixel."""
        size, taps = st.integers(0, 6), st.sampled_from([1, 2, 3])
        return st.builds(self._draw, st.sampled_from([1, 2, 9]), st.tuples(size, size),
                         st.sampled_from([1, 3, 31, 32, 33, 64, 65]),
                         st.sampled_from([1, 7, 16, 17, 33, 64, 65]), st.tuples(taps, taps),
                         st.sampled_from(STYLES), SEEDS)

    def _draw(self, n, size, c, o, kernel, style, seed) -> Case:
        rng = np.random.default_rng(seed)
        how = {name: tuple(rng.choice(some[:3], 2).tolist()) for name, some in PAIRS.items()}
        spans = [d * (k - 1) + 1 for d, k in zip(how["dilation"], kernel, strict=True)]
        # Without height or width the padding alone must have room for a window.
        how["padding"] = tuple(p if s else max(p, -(-span // 2)) for s, span, p in
                               zip(size, spans, how["padding"], strict=True))
        size = tuple(max(s, span - 2 * p) if s else 0
                     for s, span, p in zip(size, spans, how["padding"], strict=True))
        x, w = signed(rng, (n, *size, c), style), signed(rng, (o, *kernel, c), style)
        return Case((as_bits(x), as_bits(w)), {"channels": c, **how}, seed)

    @staticmethod
    def signs(case: Case) -> tuple[np.ndarray, ...]:
        """The ±1 that both arguments stand for: (N,H,W,C), (O,kH,kW,C)."""
        return tuple(signs(bits, case.options["channels"]) for bits in case.args)

    @staticmethod
    def of(case: Case, x: np.ndarray, w: np.ndarray, **how) -> Case:
        """The case with the bits of these."""
        return case.on(as_bits(x), as_bits(w), channels=x.shape[3], **how)

    def take(self, case: Case, index: np.ndarray) -> Case:
        """The case with these filters."""
        return case.on(case.args[0], case.args[1][index])

    def empties(self, case: Case) -> dict[str, Case]:
        """No images, no filters, no channels."""
        x, w = self.signs(case)
        return {"images": case.on(case.args[0][:0], case.args[1]), "filters": self.take(case, slice(0, 0)),
                "channels": self.of(case, x[..., :0], w[..., :0])}

    def to_pack(self, case: Case) -> tuple:
        """The words do not say of how many channels they are."""
        return case.args[1], case.options["channels"]

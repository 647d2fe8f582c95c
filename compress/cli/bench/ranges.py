"""Ranges of activations found while a network trains: what each observer takes of a batch."""

from collections.abc import Iterator
from timeit import Timer

import numpy as np

from nn.kernels import conv2d

from ...formats.format import Format, format_named
from ...ranges.observer import OBSERVERS, Observer
from ...techniques.quantize import Quantize
from ...transform import Context
from .row import Row
from .timing import Times, context, digits, interleaved, timer

SHAPE = (64, 8, 8, 32)  # a batch of images N, H, W, C; the layer that makes it has as many channels
BITS = (8, 4)
LAYER = "its layer"


def rows(seconds: float) -> Iterator[Row]:
    """A row for each observer: its time for a batch, of that of the convolution that makes the batch; and
    one for each way to choose the scales of weights."""
    rng = np.random.default_rng(0)
    x = np.maximum(rng.standard_normal(SHAPE), 0).astype(np.float32)
    w = rng.standard_normal((SHAPE[3], SHAPE[3], 3, 3)).astype(np.float32)
    layer = timer("conv2d(x, w, padding=1)", conv2d=conv2d, x=x, w=conv2d.pack(w))
    forms = [format_named(f"uint{bits}") for bits in BITS]
    contestants = {f"{name}, {form}": _observing(kind, x, form) for form in forms
                   for name, kind in OBSERVERS.items()}
    times = interleaved({LAYER: layer, **contestants}, seconds / 2)
    for name in contestants:
        yield _row(f"{name}: a batch of {'×'.join(map(str, SHAPE))}", name, times)
    scales = {f"weights, scales={how!r}": _fitting(how, w) for how in ("minmax", "mse")}
    times = interleaved({LAYER: layer, **scales}, seconds / 2)
    for name in scales:
        yield _row(f"{name}, 4 bits: {'×'.join(map(str, w.shape))}", name, times)


def _row(measure: str, name: str, times: dict[str, Times]) -> Row:
    both = {one: times[one] for one in (name, LAYER)}
    beside = context(both, "µs", lambda seconds: 1e6 * seconds)
    ratio = times[name].median / times[LAYER].median
    return Row("ranges", measure, digits(ratio), "× the time of the layer, forward", context=beside)


def _observing(kind: type[Observer], x: np.ndarray, form: Format) -> Timer:
    return timer("of_batch(x, form)", of_batch=kind.of_batch, x=x, form=form)


def _fitting(scales: str, w: np.ndarray) -> Timer:
    fit = Quantize(bits=4, scales=scales).fit
    return timer("fit(w, context)", fit=fit, w=w, context=Context())

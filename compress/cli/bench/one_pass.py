"""Kernels of training that are a pass over their arrays: the speed of every variant, NumPy too."""

from __future__ import annotations

from collections.abc import Callable
from timeit import Timer
from typing import NamedTuple

import numpy as np

from nn.kernels import Variant, adam_step, all_kernels, use

from .row import Row
from .timing import context, interleaved, timer

__all__ = ["KERNELS", "rows", "variant_rows"]


class Pass(NamedTuple):
    """What to time: what it is, the bytes that it must read and write at least, and how."""

    shape: str
    bytes: int
    timer: Timer


def rows(seconds: float) -> list[Row]:
    """A row for every variant of every kernel."""
    return [row for name in KERNELS for row in variant_rows(name, seconds / 4)]


def variant_rows(name: str, seconds: float) -> list[Row]:
    """The speed of every variant of one kernel, at a shape of the networks that are measured."""
    kernel = next(kernel for kernel in all_kernels() if kernel.name == name)
    return [_row(name, variant, KERNELS[name](), seconds) for variant in kernel.variants()]


def _row(name: str, variant: Variant, work: Pass, seconds: float) -> Row:
    with use(variant):
        times = interleaved({variant.name: work.timer}, seconds)
    beside = context(times, "GB/s", lambda seconds: work.bytes / seconds / 1e9)
    speed = beside.pop("GB/s")[variant.name]
    return Row("one_pass", f"{variant.name} {work.shape}", speed, "GB/s", context=beside)


def _adam_step() -> Pass:
    rng = np.random.default_rng(0)
    shapes = ((300, 64), (300,), (100, 300), (100,), (10, 100), (10,))
    lists = [[rng.random(shape, np.float32) for shape in shapes] for _ in range(4)]
    names = {"adam_step": adam_step, "steps": [100] * len(shapes), **dict(zip("pgmv", lists, strict=True))}
    call = timer("adam_step(p, g, m, v, steps, lr=1e-3)", **names)
    return Pass("digits_mlp", 28 * sum(p.size for p in lists[0]), call)


KERNELS: dict[str, Callable[[], Pass]] = {"adam_step": _adam_step}

"""A row for every implementation of a kernel: all that csrc/micro.def lists and this machine can run."""

from collections.abc import Callable, Iterator
from timeit import Timer
from typing import NamedTuple

from nn.kernels import Kernel, Variant, peak_routes, route_of, use, why_not_c

from .row import AT_LEAST, Row
from .timing import context, digits, interleaved, share_of_peak

SIDE = 768  # of the matrices: a multiple of every tile


class Work(NamedTuple):
    """A product to time: what it is, its multiply-accumulates, and how."""

    shape: str
    macs: int
    timer: Timer


def rows(kernel: Kernel, work: Callable[[Variant], Work], seconds: float, of_peak: bool = True
         ) -> Iterator[Row]:
    """The speed of each variant at the `work` that suits it, and its share of the peak of its route, if this
    work has so many multiplies as are counted."""
    return (_row(kernel, variant, work(variant), route_of(variant) if of_peak else "", seconds)
            for variant in kernel.variants())


def square(variant: Variant, ours: Callable[[int, int, int], Timer]) -> Work:
    """`ours` makes the timer of a product m × k × n: at the shape for a variant, one row for a tile of one.
    """
    m = 1 if variant.tile and variant.tile[0] == 1 else SIDE
    with use(variant):
        return Work(f"{m}×{SIDE}×{SIDE}", m * SIDE**2, ours(m, SIDE, SIDE))


def no_kernels(group: str, measure: str, unit: str, bar: float | None, sense: str = AT_LEAST) -> Row:
    """The row of a measure that needs the C kernels, where there are none."""
    return Row(group, measure, None, unit, bar, sense, why=f"needs the C kernels. {why_not_c()}")


def _row(kernel: Kernel, variant: Variant, work: Work, route: str, seconds: float) -> Row:
    with use(variant):
        if route in peak_routes():
            share, times, *_ = share_of_peak(route, work.timer, work.macs, seconds)
            of_peak = {f"% of the peak of {route}": digits(100 * share)}
        else:
            times = interleaved({variant.name: work.timer}, seconds)[variant.name]
            of_peak = {}
    beside = context({variant.name: times}, "GMAC/s", lambda seconds: work.macs / seconds / 1e9)
    speed = beside.pop("GMAC/s")[variant.name]
    return Row(kernel.name, f"{variant.name} {work.shape}", speed, "GMAC/s", context={**of_peak, **beside})

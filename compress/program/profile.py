"""Where the time of a Program goes: what each step takes, computes and moves, beside what could be at best.

    print(program.profile(x))

A step takes at least the longest of three times (nn/kernels/peaks.py): its multiply-adds at the peak of the
instructions that its kernel multiplies with; its bytes at the speed of a copy; a call that computes nothing.
The longest is what bounds it. That it takes much longer is the fault of its kernel, or of NumPy."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from nn.kernels import all_kernels, best_route, call_cost, copy_speed, isa, peak_loop, thread_count
from nn.timing import CLOCK

from ..table import whole

LOOP = 50_000  # steps of a loop that measures a peak: a fraction of a millisecond
FEWEST = 5  # rounds
FAR = 0.25  # a step for which its bound is less of its time has another reason to be slow
SHORT = 1e-3  # seconds: a run that is as short is seldom interrupted

ABOVE = 1.05  # of a peak
WHY_ABOVE = ("above 100% of peak: the kernel leaves out the padding, or takes Winograd's way, and multiplies "
             "less than is counted here")
COLUMNS = ("step", "makes", "µs", "%", "10³ MACs", "kB", "GMAC/s", "GB/s", "MACs/byte", "% of peak",
           "bound by")


@dataclass(frozen=True)
class StepProfile:
    """One step, or several as one. output: the value that it makes; made: what that is; call: the output of
    the Program's call that it belongs to. macs: multiply-adds, those of padding included. inputs, operand,
    written: the bytes of the values that it reads, of what it holds (weight, bias, scales), and of what it
    writes; 0 where it only gives another shape to what lies there. seconds, best: median and least of the
    rounds. route: that of its multiplies (see nn.kernels.best_route), None where it has none; peak: what that
    reaches, in MACs a second, measured in the same rounds. copy: bytes a second of a copy of about as many
    bytes. empty: seconds of an empty call, if it takes as long."""

    output: str
    kernel: str
    made: str
    call: str
    macs: int
    inputs: int
    operand: int
    written: int
    seconds: float = 0.0
    best: float = 0.0
    route: str | None = None
    peak: float = 0.0
    copy: float = 0.0
    empty: float = 0.0

    @property
    def nbytes(self) -> int:
        """Bytes that it reads and writes."""
        return self.inputs + self.operand + self.written

    @property
    def macs_per_second(self) -> float:
        """How fast it multiplies."""
        return self.macs / self.seconds if self.seconds else 0.0

    @property
    def bytes_per_second(self) -> float:
        """How fast it reads and writes."""
        return self.nbytes / self.seconds if self.seconds else 0.0

    @property
    def intensity(self) -> float:
        """Multiply-adds a byte."""
        return self.macs / self.nbytes if self.nbytes else 0.0

    @property
    def of_peak(self) -> float | None:
        """Its speed as a share of the peak of its route; above 1 where a kernel multiplies less than `macs`,
        since it leaves out the padding, or takes Winograd's way."""
        return self.macs_per_second / self.peak if self.peak and self.macs else None

    @property
    def least(self) -> dict[str, float]:
        """The seconds that it takes at least for its multiplies, for its bytes, and for being called."""
        return {"compute": self.macs / self.peak if self.peak else 0.0,
                "memory": self.nbytes / self.copy if self.copy else 0.0, "call": self.empty}

    @property
    def bound_by(self) -> str:
        """What bounds it: the longest of these."""
        return max(self.least, key=self.least.__getitem__)

    @property
    def of_bound(self) -> float:
        """What bounds it as a share of its time: 1 where it can't be faster."""
        return self.least[self.bound_by] / self.seconds if self.seconds else 0.0

    def why(self) -> str:
        """What bounds it and how near it comes, in words; nothing where no bound was measured."""
        if not any(self.least.values()):
            return ""
        bound, share = self.bound_by, f"{self.of_bound:.0%}"
        told = {"compute": f"at {share} of the peak of {self.route} ({_giga(self.peak)} GMAC/s)",
                "memory": f"at {share} of the speed of a copy ({_giga(self.copy)} GB/s)",
                "call": f"an empty one ({1e6 * self.empty:.1f} µs) takes {share} of that"}
        by = f"bound by {bound}" if self.of_bound >= FAR else f"far from every bound, the nearest is {bound}"
        return f"{by}: {told[bound]}"

    def to_json(self) -> dict[str, Any]:
        """All figures, those that follow from others too."""
        derived = ("nbytes", "macs_per_second", "bytes_per_second", "intensity", "of_peak", "bound_by",
                   "of_bound")
        return {**asdict(self), **{name: getattr(self, name) for name in derived}}


@dataclass(frozen=True)
class Profile:
    """Of the runs of a Program on one batch. dims: its named lengths (N: how many examples). kernels: the
    instruction set. steps: in the order in which they run, or that `sorted` has put them in. seconds, best:
    of whole runs, median and least of the rounds. rounds: how many."""

    name: str
    dims: dict[str, int]
    kernels: str
    steps: tuple[StepProfile, ...]
    seconds: float
    best: float
    rounds: int

    @property
    def total(self) -> StepProfile:
        """All steps as one. The rest of `seconds` passes between them."""
        return together("all steps", self.steps)

    @property
    def slowest(self) -> StepProfile:
        """The step that takes the longest. Raises ValueError where there is no step."""
        return max(self.steps, key=lambda step: step.seconds)

    def sorted(self, by: str = "seconds") -> Profile:
        """The same with the steps in the order of one of their figures (a field or a property of
        StepProfile), the largest first. Raises AttributeError for what they do not have."""
        def figure(step: StepProfile) -> tuple:
            value = getattr(step, by)
            return () if value is None else (value,)  # None is less than any figure

        return replace(self, steps=tuple(sorted(self.steps, key=figure, reverse=True)))

    def by(self, what: str) -> dict[Any, StepProfile]:
        """The steps that have the same `kernel`, `call` or another figure, as one; the longest first."""
        found: dict[Any, list[StepProfile]] = {}
        for step in self.steps:
            found.setdefault(getattr(step, what), []).append(step)
        one = {name: together(" and ".join(dict.fromkeys(step.kernel for step in some)), some)
               for name, some in found.items()}
        return dict(sorted(one.items(), key=lambda one: -one[1].seconds))

    def to_json(self) -> dict[str, Any]:
        """All figures as plain values."""
        steps = [step.to_json() for step in self.steps]
        return {**asdict(self), "steps": steps, "total": self.total.to_json()}

    def __str__(self) -> str:
        total = self.total
        cells = [self._cells(f"{step.output} = {step.kernel}", step, total) for step in self.steps]
        cells.append((*self._cells(total.kernel, total, total)[:-2], "", ""))
        lengths = ", ".join(f"{name} = {size}" for name, size in self.dims.items())
        between = max(self.seconds - total.seconds, 0)
        lines = [f"{self.name} ({lengths}), kernels {self.kernels}: {1e6 * self.seconds:.1f} µs a run, "
                 f"{1e6 * between:.1f} µs of it between the steps; medians of {self.rounds}",
                 whole(COLUMNS, cells)]
        if self.steps:
            slow = self.slowest
            share = slow.seconds / total.seconds if total.seconds else 0
            why = slow.why()
            lines.append(f"slowest: {slow.output} = {slow.kernel}, {share:.0%} of the time"
                         + f": {why}" * bool(why))
        lines += [WHY_ABOVE] * any((step.of_peak or 0) > ABOVE for step in self.steps)
        return "\n".join(lines)

    @staticmethod
    def _cells(name: str, step: StepProfile, total: StepProfile) -> tuple[str, ...]:
        """What is printed of a step."""
        share = step.seconds / total.seconds if total.seconds else 0
        macs = (f"{step.macs / 1e3:,.1f}", _giga(step.macs_per_second), f"{step.intensity:.1f}")
        thousands, speed, intensity = macs if step.macs else ("", "", "")
        peak = "" if step.of_peak is None else f"{100 * step.of_peak:.0f}"
        moved = (f"{step.nbytes / 1e3:,.1f}", _giga(step.bytes_per_second),
                 f"{step.bound_by} {100 * step.of_bound:.0f} %" * any(step.least.values()))
        kilobytes, copied, bound = moved if step.nbytes else ("", "", "")
        return (name, step.made, f"{1e6 * step.seconds:.1f}", f"{100 * share:.0f}", thousands, kilobytes,
                speed, copied, intensity, peak, bound)


def together(kernel: str, steps: Any) -> StepProfile:
    """Several steps as one: their sums; the route is that of most multiply-adds."""
    first = max(steps, key=lambda step: step.macs, default=None)
    sums = {name: sum(getattr(step, name) for step in steps)
            for name in ("macs", "inputs", "operand", "written", "seconds", "best", "empty")}
    copied = sum(step.least["memory"] for step in steps)
    nbytes = sums["inputs"] + sums["operand"] + sums["written"]
    return StepProfile("", kernel, "", "", **sums, route=first and first.route,
                       peak=first.peak if first else 0.0, copy=nbytes / copied if copied else 0.0)


def profiled(name: str, dims: Mapping[str, int], steps: list[StepProfile], run: Callable[[], object],
             each: Callable[[Callable[[], float]], list[float]], rounds: int, seconds: float,
             clock: Callable[[], float] | None) -> Profile:
    """The Profile of what `run` runs and of whose steps `each` gives the times by a clock.

    A round times the loop of each route, a whole run and its steps, one after the other, so that a change of
    the clock rate hits all. Before a run that is timed comes one that is not."""
    clock = clock or _clock_for(run)
    kernels = {kernel.name: kernel for kernel in all_kernels()}
    routes = [best_route(kernels[step.kernel]) if step.macs and step.kernel in kernels else None
              for step in steps]
    peaks: dict[str, list[float]] = {route: [] for route in routes if route is not None}
    wholes, taken = [], []
    end = time.perf_counter() + seconds
    while len(taken) < rounds and (len(taken) < FEWEST or time.perf_counter() < end):
        for route, found in peaks.items():
            loop, start = peak_loop(route), clock()
            found.append(loop(LOOP) / max(clock() - start, 1e-9))
        run()
        start = clock()
        run()
        wholes.append(clock() - start)
        each(clock)
        taken.append(each(clock))
    peak = {route: statistics.median(found) for route, found in peaks.items()}
    made = [replace(step, seconds=middle, best=min(column), route=route, peak=peak.get(route, 0.0),
                    copy=copy_speed(step.nbytes), empty=min(call_cost(), middle))
            for step, column, route in zip(steps, zip(*taken, strict=True), routes, strict=True)
            for middle in [statistics.median(column)]]
    return Profile(name, dict(dims), isa(), tuple(made), statistics.median(wholes), min(wholes), len(taken))


def _clock_for(run: Callable[[], object]) -> Callable[[], float]:
    """The thread's own clock; for what is short, or for several threads, the wall's, which takes less time to
    read and sees them all."""
    run()
    start = time.perf_counter()
    run()
    short = time.perf_counter() - start < SHORT
    return time.perf_counter if short or thread_count() > 1 else CLOCK


def _giga(value: float) -> str:
    """In units of 10⁹, with three digits."""
    value /= 1e9
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"

"""A Bound: a Program with its algorithms chosen, its operands packed and its buffers planned. Only this runs.

    bound = program.bind()
    print(bound)          # a line for every kernel
    logits = bound(x)
    print(bound.profile(x))

No float copy of a packed weight is in it. Threads may share it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any

import numpy as np

from nn.cuda import DeviceArray, DeviceOperand
from nn.kernels import Operand, isa
from nn.sizes import at

from .buffers import fresh, places
from .listing import listing
from .op import Step
from .profile import Profile, StepProfile, profiled
from .ready import Planned, Ready
from .value import Value, check_grids

TARGETS = ("cpu", "cuda")


class Bound:
    """The steps of a Program, in order. program: what `convert` or `load` gave. calls: the steps of each of
    its calls; held: what each step keeps in memory; both by the value that is made. target: where it runs."""

    target = "cpu"

    def __init__(self, program: Any, calls: dict[str, list[Step]]) -> None:
        self.name, self.calls, self.steps = program.name, calls, tuple(chain.from_iterable(calls.values()))
        self.inputs, self.outputs, self.check = program.inputs, program.outputs, program.check
        self.chosen = program.chosen
        made = set(self.outputs.values()) - self.inputs.keys()
        self._result = made.pop() if len(self.outputs) == len(made) == 1 else None  # where there is only one
        self._place: dict[str, int] | None = None  # the buffer of each value, once it runs
        self._last: tuple[dict[str, int] | None, list[tuple[int, ...]]] = None, []  # lengths, and shapes then
        self._load(program.constants, program.grids)

    def _load(self, constants: Mapping[str, Any], grids: Mapping[str, Any]) -> None:
        self._idle: list[tuple[dict[str, int], Ready]] = []  # lengths, and what is ready and no run uses
        check_grids(self.name, grids)
        grids = {value: grid and grids[grid] for value, grid in self.chosen.items()}
        with np.errstate(over="ignore"):  # what leaves float32 is refused
            self.held = {step.output: step.load(constants, grids) if step.load else () for step in self.steps}

    def renewed(self, constants: Mapping[str, Any], grids: Mapping[str, Any]) -> Bound:
        """The same steps with other numbers: constants and grids of the same names, kinds and shapes."""
        other = Bound.__new__(Bound)
        vars(other).update(vars(self))
        other._load(constants, grids)
        return other

    def __call__(self, *arrays: np.ndarray, **named: np.ndarray) -> Any:
        """Run on the inputs, in their order or by name: the output, or several in a dict by name.

        NaN and infinity become what the network makes of them; where they meet integers, which can't stand
        for them, they are a ValueError. Raises TypeError or ValueError where an input does not fit."""
        values, dims = self.check(*arrays, **named)
        try:
            lengths, run = self._idle.pop()
        except IndexError:  # the first run, or other threads are running
            lengths, run = None, None
        if lengths != dims:
            run = self._ready(dims)
        run(values)
        self._idle.append((dims, run))
        if self._result is not None:
            return values[self._result]
        found = {name: values[value].copy() if value in self.inputs else values[value]  # the caller's own
                 for name, value in self.outputs.items()}
        return next(iter(found.values())) if len(found) == 1 else found

    def every_value(self, *arrays: np.ndarray, **named: np.ndarray) -> dict[str, np.ndarray]:
        """All values that a run makes, by name, each in memory of its own."""
        values, dims = self.check(*arrays, **named)
        for step in self._plan(dims, [None] * len(self.steps)):
            step(values)
        return values

    def profile(self, *arrays: np.ndarray, rounds: int = 200, seconds: float = 0.5,
                clock: Callable[[], float] | None = None) -> Profile:
        """What each step costs on these inputs (in their order): its time, its multiply-adds and bytes, and
        what this machine could do at best.

        rounds: how often it is measured, but only for so many seconds, and at least five times. clock: gives
        the time in seconds; None: this thread's own, or the wall's for short runs and several threads. Raises
        what a call raises, and ValueError for rounds below 1."""
        if rounds < 1:
            raise ValueError(f"profile: rounds must be at least 1, got {rounds}")
        values, dims = self.check(*arrays)
        run = self._ready(dims)
        steps = self._costs(dims, run.views)
        return profiled(self.name, dims, steps, lambda: self(*arrays),
                        lambda clock: run.timed(dict(values), clock), rounds, seconds, clock)

    def _costs(self, dims: dict[str, int], views: Iterable[str] = ()) -> list[StepProfile]:
        """What each step computes and moves, with no times; those that make one of the `views` move
        nothing."""
        made = {**self.inputs, **{step.output: step.made for step in self.steps}}

        def cost(step: Step) -> tuple[int, int, int, int]:
            if step.output in views:
                return 0, 0, 0, 0
            return (step.macs_at(dims), sum(made[name].nbytes(dims) for name in step.inputs),
                    _nbytes(self.held[step.output]), step.made.nbytes(dims))

        return [StepProfile(step.output, step.kernel, str(Value(step.made.dtype, step.made.shape)), call,
                            *cost(step)) for call, some in self.calls.items() for step in some]

    def _plan(self, dims: dict[str, int], buffers: list[np.ndarray | None]) -> list[Planned]:
        """What a run with these lengths does, step by step."""
        lengths, shapes = self._last
        if lengths != dims:
            shapes = [at(step.made.shape, dims) for step in self.steps]
            self._last = dims, shapes
        return [Planned(step.run, self.held[step.output], step.inputs, step.output, buffer, shape,
                        step.made.dtype, {"dims": dims} if step.sized else {})
                for step, buffer, shape in zip(self.steps, buffers, shapes, strict=True)]

    def _ready(self, dims: dict[str, int]) -> Ready:
        """A run with these lengths, in buffers of its own."""
        if self._place is None:
            self._place = places(self.steps, frozenset(self.outputs.values()))
        buffers = fresh(self.steps, self._place, dims)
        inputs = {name: (at(value.shape, dims), value.dtype) for name, value in self.inputs.items()}
        return Ready(self._plan(dims, buffers), inputs)

    def nbytes_of(self, call: str) -> int:
        """Bytes of what the steps of one call hold, by the value that it makes."""
        return _nbytes(one for step in self.calls[call] for one in self.held[step.output])

    @property
    def nbytes(self) -> int:
        """Bytes of all operands and arrays in memory, as the kernels hold them; each counts once."""
        return _nbytes(chain.from_iterable(self.held.values()))

    @property
    def macs(self) -> int:
        """Multiply-adds for one example."""
        return sum(step.macs for step in self.steps)

    def __str__(self) -> str:
        sizes = [_nbytes(self.held[step.output]) for step in self.steps]
        rows = [(str(step), str(step.made), f"{size:,} bytes" * bool(size))
                for step, size in zip(self.steps, sizes, strict=True)]
        head = (f"{self.name}, bound for the CPU ({isa()})\n{len(self.steps)} steps, {self.macs:,} MACs an "
                f"example, {self.nbytes:,} bytes of operands in memory")
        return "\n".join([head, *listing(rows)])


def _nbytes(held: Iterable[Any]) -> int:
    """Bytes of arrays and operands, each counted once."""
    kinds = np.ndarray, Operand, DeviceArray, DeviceOperand
    return sum({id(one): one.nbytes for one in held if isinstance(one, kinds)}.values())

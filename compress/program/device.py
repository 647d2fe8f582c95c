"""A Bound for a GPU: the same steps, on arrays of the device. Only inputs and outputs cross.

    bound = program.to("cuda")
    print(bound)          # what shares a launch, and what crosses, is said
    logits = bound(x)

Operands are uploaded when it is made, and are nowhere else; every value has its place on the device. Of the
algorithms those are chosen that the device has kernels for: a product with a weight that it can only multiply
densely is dense. What is done number by number waits for what follows on it, and they share a launch
(nn/cuda/pending.py). Before it is made, the steps run once there, on zeros: so what the device lacks is
known.

NaN and infinity become what the network makes of them, as on a CPU; a 2:4 weight leaves out its zeros,
though, and 0 · infinity with them. Where they meet integers the run ends with the same ValueError."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nn import cuda
from nn.kernels import Kernel, Operand
from nn.sizes import at, names_in

from ..stored import Stored
from .bound import Bound, _nbytes
from .buffers import places
from .listing import listing
from .op import Step
from .profile import FEWEST, Profile
from .ready import KernelCall
from .value import ProgramError

LEAST = {"N": 1}  # lengths of the first run; others are 2, as where a rule's shapes are found out


class Lacks(TypeError):
    """The device has no kernel for a step."""


class Launch(NamedTuple):
    """A step that is ready to run. crosses: on the CPU, between a download and an upload. joins: it ends in
    the launch in which the next step begins."""

    step: Step
    run: Callable[[], object]
    crosses: bool
    joins: bool = False


class DeviceBound(Bound):
    """The steps of a Program on a GPU. crossing: what has no kernel there runs on the CPU; else it is a
    ProgramError. crossed: the values that such steps make. Raises RuntimeError where there is no GPU."""

    target = "cuda"

    def __init__(self, program: Any, crossing: bool = False) -> None:
        self.device, self.crossing = cuda.library(), crossing
        has = frozenset(cuda.DEVICE_KERNELS)
        super().__init__(program, {line.call.output: line.op.steps(line.on(has)) for line in program.lines})

    def _load(self, constants: Mapping[str, Any], grids: Mapping[str, Any]) -> None:
        super()._load(constants, grids)
        self.crossed, self.kept, lacking, seen = frozenset(), self.held, {}, {}
        for step in self.steps:
            try:
                self.held = {**self.held, step.output: uploaded(self.held[step.output], seen)}
            except Lacks as error:
                lacking[step.output] = str(error)
        names = names_in([value.shape for value in self.inputs.values()])
        dims = {name: LEAST.get(name, 2) for name in names}
        first = Run(self, dims, lacking)
        if lacking and not self.crossing:
            lines = [f"  {step}: {lacking[step.output]}" for step in self.steps if step.output in lacking]
            why = "there is no kernel on the GPU for these steps; bind(crossing=True) runs them on the CPU"
            raise ProgramError("\n".join([f"{self.name}: {why}", *lines]))
        self.kept = {name: self.kept[name] for name in lacking}  # of what is uploaded nothing is kept here
        self.crossed, self.held = frozenset(lacking), {**self.held, **self.kept}
        pairs = zip(first.launches, first.launches[1:], strict=False)
        self.joined = {now.step.output: before.step.output for before, now in pairs if before.joins}
        self._idle = [(dims, first)]

    def _ready(self, dims: dict[str, int]) -> Run:
        return Run(self, dims)

    def every_value(self, *arrays: np.ndarray, **named: np.ndarray) -> dict[str, np.ndarray]:
        """All values that a run makes, by name."""
        values, dims = self.check(*arrays, **named)
        Run(self, dims, apart=True)(values, every=True)
        return values

    def profile(self, *arrays: np.ndarray, rounds: int = 200, seconds: float = 0.5, clock: Any = None
                ) -> Profile:
        """What each step costs on these inputs, by the device's own clock; what shares a launch is timed as
        its last step. See Bound.profile; there are no peaks here to compare with, and `clock` is not
        asked."""
        if rounds < 1:
            raise ValueError(f"profile: rounds must be at least 1, got {rounds}")
        values, dims = self.check(*arrays)
        run, wholes, taken = self._ready(dims), [], []
        end = time.perf_counter() + seconds
        run(dict(values))
        while len(taken) < rounds and (len(taken) < FEWEST or time.perf_counter() < end):
            start = time.perf_counter()
            run(dict(values))
            wholes.append(time.perf_counter() - start)
            taken.append(run.timed(dict(values)))
        copy = 0.0 if self.device.emulated else cuda.copy_speed()
        steps = [replace(one, seconds=statistics.median(column), best=min(column), copy=copy)
                 for one, column in zip(self._costs(dims), zip(*taken, strict=True), strict=True)]
        return Profile(self.name, dict(dims), self.where, tuple(steps), statistics.median(wholes),
                       min(wholes), len(taken))

    def seconds(self, *arrays: np.ndarray) -> float:
        """How long a run takes on the device, by its own clock, from the first step to the last: the second
        of two, on these inputs (in their order), which lie there already."""
        values, dims = self.check(*arrays)
        run = self._ready(dims)
        run(dict(values))
        return run.seconds()

    @property
    def where(self) -> str:
        """The device, in words."""
        return f"{self.device.name} (sm_{''.join(map(str, self.device.capability))})"

    def __str__(self) -> str:
        rows = []
        for step in self.steps:
            size = _nbytes(self.held[step.output])
            said = [f"{size:,} bytes" * bool(size), "crossing" * (step.output in self.crossed)]
            if step.output in self.joined:
                said.append(f"in one launch with {self.joined[step.output]}")
            rows.append((str(step), str(step.made), ", ".join(filter(None, said))))
        head = (f"{self.name}, bound for {self.where}\n{len(self.steps)} steps, {self.macs:,} MACs an "
                f"example, {self.nbytes:,} bytes of operands on the device")
        return "\n".join([head, *listing(rows)])


class Run:
    """A run of a DeviceBound with these lengths, made ready: arrays on the device for all values, and calls
    that have been checked. lacking: gets the steps that the device turns out to have no kernels for, and why;
    None: they are known. apart: no value takes the place of another."""

    def __init__(self, bound: DeviceBound, dims: dict[str, int], lacking: dict[str, str] | None = None,
                 apart: bool = False) -> None:
        self.bound, self.dims = bound, dims
        place = {} if apart else places(bound.steps, frozenset(bound.outputs.values()))
        self.values = {name: cuda.to_device(np.zeros(at(value.shape, dims), value.dtype))
                       for name, value in bound.inputs.items()}
        self.values |= fresh(bound.steps, place, dims)
        refusing = [step for step in bound.steps if isinstance(step.run, KernelCall) and step.run.refused]
        self.refused = {step.output: i for i, step in enumerate(refusing)}
        self.said = [step.run.refused for step in refusing]
        self.counters = cuda.to_device(np.zeros(len(refusing), np.int32))
        self.launches: list[Launch] = []
        for step in bound.steps:
            crosses = step.output in (bound.crossed if lacking is None else lacking)
            if not crosses and lacking is not None:
                try:
                    self._add(step, self._on_device(step))
                    continue
                except (TypeError, AttributeError, ValueError, IndexError) as error:  # (it ran on the CPU)
                    lacking[step.output], crosses = str(error).strip(), True
            elif not crosses:
                self._add(step, self._on_device(step))
                continue
            self._add(step, self._crossing(step), crosses=True)
        cuda.synchronize()

    def _add(self, step: Step, run: Callable[[], object], crosses: bool = False) -> None:
        """A step at the end; it runs once, on what the values hold now."""
        before = cuda.mark()
        run()
        after = cuda.mark()
        if self.launches and after[0] == before[0] == self._ended and after != before and not crosses:
            self.launches[-1] = self.launches[-1]._replace(joins=True)
        self._ended = after[0] if after[1] else None
        self.launches.append(Launch(step, run, crosses))

    def _on_device(self, step: Step) -> Callable[[], object]:
        """What a step does, as a function of nothing."""
        held, out, inputs = self.bound.held[step.output], self.values[step.output], self._inputs(step)
        more = {"dims": self.dims} if step.sized else {}
        if not isinstance(step.run, KernelCall):
            return partial(step.run, held, out, *inputs, **more)
        function, arguments, options = step.run.says(held, out, *inputs)
        if isinstance(function, Kernel):
            if function.elsewhere is None:
                raise Lacks(f"there is no kernel {function.name} on the device")
            function = function.elsewhere.prepare(*arguments, **options)
            arguments, options = (), {}
        calls = [partial(function, *arguments, **options)]
        if step.output in self.refused:
            counter = self.counters[self.refused[step.output]]
            calls.insert(0, partial(cuda.count_not_finite, inputs[0], counter))
        if step.run.then is not None:
            calls.append(partial(step.run.then, held, out, *inputs))
        return calls[0] if len(calls) == 1 else partial(_in_order, calls)

    def _crossing(self, step: Step) -> Callable[[], object]:
        """The step on the CPU, between a download and an upload."""
        held, out, more = self.bound.kept[step.output], self.values[step.output], {}
        if step.sized:
            more["dims"] = self.dims

        def run() -> None:
            made = np.empty(out.shape, out.dtype)
            step.run(held, made, *(x.numpy() for x in self._inputs(step)), **more)
            out.set(made)

        return run

    def _inputs(self, step: Step) -> list[cuda.DeviceArray]:
        return [self.values[name] for name in step.inputs]

    def __call__(self, values: dict[str, np.ndarray], every: bool = False) -> None:
        """Run on the Program's inputs, to which its outputs are added, or `every` value."""
        self._take(values)
        for launch in self.launches:
            launch.run()
        self._give(values, every)

    def timed(self, values: dict[str, np.ndarray]) -> list[float]:
        """The same, and the seconds of each step."""
        self._take(values)
        marks = [cuda.Event().record()]
        for launch in self.launches:
            launch.run()
            marks.append(None if launch.joins else cuda.Event().record())
        self._give(values, False)
        taken, before = [], marks[0]
        for mark in marks[1:]:
            taken.append(0.0 if mark is None else before.until(mark) / 1e3)
            before = mark or before
        return taken

    def seconds(self) -> float:
        """How long all steps take, on what the inputs hold."""
        start = cuda.Event().record()
        for launch in self.launches:
            launch.run()
        return start.until(cuda.Event().record()) / 1e3

    def _take(self, values: dict[str, np.ndarray]) -> None:
        for name in self.bound.inputs:
            self.values[name].set(values[name])
        if self.said:
            self.counters.set(np.zeros(len(self.said), np.int32))

    def _give(self, values: dict[str, np.ndarray], every: bool) -> None:
        names = self.values if every else self.bound.outputs.values()
        values.update({name: self.values[name].numpy() for name in names if name not in self.bound.inputs})
        if self.said:
            found = self.counters.numpy()
            if found.any():
                raise ValueError(self.said[int(np.flatnonzero(found)[0])])


def _in_order(calls: list[Callable[[], object]]) -> None:
    for call in calls:
        call()


def fresh(steps: Iterable[Step], place: Mapping[str, int], dims: Mapping[str, int]
          ) -> dict[str, cuda.DeviceArray]:
    """An array for each value of these steps; those of one place share memory."""
    sizes: dict[int, int] = {}
    for step in steps:
        if step.output in place:
            number = place[step.output]
            sizes[number] = max(sizes.get(number, 0), step.made.nbytes(dims))
    memory = {number: cuda.empty(size, np.uint8) for number, size in sizes.items()}
    return {step.output: memory[place[step.output]].room(at(step.made.shape, dims), step.made.dtype)
            if step.output in place else cuda.empty(at(step.made.shape, dims), step.made.dtype)
            for step in steps}


def uploaded(held: Any, seen: dict[int, Any]) -> Any:
    """What a step holds, on the device: operands as its kernels there read them, arrays; numbers, grids and
    texts as they are. seen: what was uploaded already, by identity. Raises Lacks for an operand that no
    kernel there reads."""
    if id(held) in seen:
        return seen[id(held)]
    if isinstance(held, Operand):
        kernel = cuda.DEVICE_KERNELS.get(held.kernel.name)
        if kernel is None:
            raise Lacks(f"there is no kernel {held.kernel.name} on the device")
        return seen.setdefault(id(held), kernel.pack(held))
    if isinstance(held, np.ndarray) and held.ndim:
        return seen.setdefault(id(held), cuda.constant(held))
    if isinstance(held, dict):
        return {name: uploaded(one, seen) for name, one in held.items()}
    if type(held) in (tuple, list):
        return type(held)(uploaded(one, seen) for one in held)
    return None if isinstance(held, Stored) else held


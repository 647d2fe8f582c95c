"""A run of a Program on a GPU made ready: where its values lie there, and the calls that make them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nn import cuda
from nn.kernels import Kernel, Operand
from nn.sizes import at

from ..stored import Stored
from .buffers import places
from .op import Step
from .ready import KernelCall


class Lacks(TypeError):
    """The device has no kernel for a step."""


class Launch(NamedTuple):
    """A step that is ready to run. crosses: on the CPU, between a download and an upload. joins: it ends in
    the launch in which the next step begins."""

    step: Step
    run: Callable[[], object]
    crosses: bool
    joins: bool = False


class Run:
    """A run of a DeviceBound with these lengths, made ready: arrays on the device for all values, and calls
    that have been checked. lacking: gets the steps that the device turns out to have no kernels for, and why;
    None: they are known. apart: no value takes the place of another."""

    def __init__(self, bound: Any, dims: dict[str, int], lacking: dict[str, str] | None = None,
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


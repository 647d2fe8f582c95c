"""A run made ready: what a Bound does with inputs of the same lengths, again and again, in the same buffers.

With few examples most of the time would go into questions: may the kernel take these arrays, where does its
result go? The answers are those of the run before, so each step asks once: what is left of one that is a
kernel's call (KernelCall) is the call of C. Only what comes in and goes out lies elsewhere in each run. Where
that is small it is copied, which costs less than to ask; where it is large, such steps ask again."""

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np

from nn.kernels import Kernel

SMALL = 1 << 15  # bytes that are copied sooner than a kernel has looked at its arguments

Said = tuple[Callable[..., object], tuple, dict[str, Any]]


class KernelCall:
    """The `run` of a step that is the call of a kernel. says(held, out, *inputs): the kernel, or where it
    does not take these numbers a function that does, its arguments and options, `out` among them. then: what
    follows on the result in place, of the same arguments. refused: what a ValueError of the call says."""

    def __init__(self, says: Callable[..., Said], then: Callable[..., object] | None = None,
                 refused: str = "") -> None:
        self.says, self.then, self.refused = says, then, refused

    def __call__(self, *given: Any) -> None:
        function, arguments, options = self.says(*given)
        self._run(partial(function, *arguments, **options), given)

    def prepared(self, *given: Any) -> Callable[[], object]:
        """The same as a function of nothing, with the questions that the kernel asks answered."""
        function, arguments, options = self.says(*given)
        make = function.prepare if isinstance(function, Kernel) else partial(partial, function)
        again = make(*arguments, **options)
        return again if self.then is None and not self.refused else partial(self._run, again, given)

    def _run(self, call: Callable[[], object], given: tuple) -> None:
        try:
            call()
        except ValueError:
            if not self.refused:
                raise
            raise ValueError(self.refused) from None
        if self.then is not None:
            self.then(*given)


def as_it_lies(held: tuple, out: np.ndarray, x: np.ndarray) -> None:
    """The `run` of a step that changes nothing but the shape."""
    if out.base is None or out.base is not x.base:  # else it lies there already
        out[...] = x.reshape(out.shape)


class Planned(NamedTuple):
    """A step with lengths that are known: what it holds, the values that it reads, the one that it makes, a
    buffer for that (None: one is made in each run) with its shape and dtype, and what else `run` takes."""

    run: Callable[..., object]
    held: tuple
    inputs: tuple[str, ...]
    output: str
    buffer: np.ndarray | None
    shape: tuple[int, ...]
    dtype: str
    more: dict[str, Any]

    def __call__(self, values: dict[str, np.ndarray]) -> None:
        """Run on the values that there are by name, to which the one that it makes is added."""
        run, held, inputs, output, out, shape, dtype, more = self
        if out is None:
            out = np.empty(shape, dtype)
        run(held, out, *map(values.__getitem__, inputs), **more)
        values[output] = out


class Ready:
    """The steps of a Bound for some lengths, and its buffers. inputs: of the Program, shape and dtype.

    arrays: where each value lies that lies in the same place in each run. taken: of these the copies of
    inputs; given: the results that are copied when a run ends. views: the values that are another shape of
    the one before, in the same memory: their steps do nothing."""

    def __init__(self, plan: list[Planned], inputs: Mapping[str, tuple[tuple[int, ...], str]]) -> None:
        calls = [step for step in plan if isinstance(step.run, KernelCall)]
        read = {name for step in calls for name in step.inputs}
        made = {step.output: (step.shape, step.dtype) for step in calls if step.buffer is None}
        self.taken = {name: np.empty(*inputs[name]) for name in read & inputs.keys() if _small(*inputs[name])}
        self.given = {name: np.empty(*kind) for name, kind in made.items() if _small(*kind)}
        used: set[int | None] = {None}  # the memory that steps before have written to
        for step in plan:  # an input that is only given a shape is copied there, if it stays until it is read
            memory = None if step.buffer is None else id(step.buffer.base)
            first = step.inputs[0] if step.run is as_it_lies and memory not in used else None
            if first in inputs and sum(first in other.inputs for other in plan) == 1:
                self.taken[first] = step.buffer.reshape(inputs[first][0])
            used.add(memory)
        self.arrays = {step.output: step.buffer for step in plan if step.buffer is not None}
        self.arrays |= self.taken | self.given
        self.steps = []
        for step in plan:
            again = self._again(step)
            if again is None and self.given.pop(step.output, None) is not None:
                del self.arrays[step.output]  # made anew in each run: what reads it asks again, too
            self.steps.append((again, step))
        every = [again for again, _ in self.steps]
        self.every = None if None in every else [again for again in every if again is not _nothing]
        self.views = {step.output for again, step in self.steps if again is _nothing}
        self.shared = {name: self.arrays[name] for again, step in self.steps if again is None
                       for name in step.inputs if name in self.arrays}

    def _again(self, step: Planned) -> Callable[[], object] | None:
        """A step as a function of nothing; None where one of its arrays is another in each run."""
        if not self.arrays.keys() >= {step.output, *step.inputs}:
            return None
        given = step.held, self.arrays[step.output], *(self.arrays[name] for name in step.inputs)
        if step.run is as_it_lies and given[1].base is given[2].base is not None:
            return _nothing
        if isinstance(step.run, KernelCall):
            return step.run.prepared(*given)
        return partial(step.run, *given, **step.more)

    def __call__(self, values: dict[str, np.ndarray]) -> None:
        """Run on the Program's inputs, to which its outputs are added."""
        self._take(values)
        if self.every is not None:
            for again in self.every:
                again()
        else:
            for again, step in self.steps:
                if again is not None:
                    again()
                else:
                    step(values)
        self._give(values)

    def timed(self, values: dict[str, np.ndarray], clock: Callable[[], float]) -> list[float]:
        """The same, and the time that each step takes."""
        self._take(values)
        taken = []
        for again, step in self.steps:
            start = clock()
            if again is not None:
                again()
            else:
                step(values)
            taken.append(clock() - start)
        self._give(values)
        return taken

    def _take(self, values: dict[str, np.ndarray]) -> None:
        for name, room in self.taken.items():
            room[...] = values[name]
        if self.shared:
            values.update(self.shared)

    def _give(self, values: dict[str, np.ndarray]) -> None:
        for name, room in self.given.items():
            values[name] = room.copy()


def _nothing() -> None:
    """A step whose result lies there already."""


def _small(shape: tuple[int, ...], dtype: str) -> bool:
    return np.dtype(dtype).itemsize * prod(shape) <= SMALL

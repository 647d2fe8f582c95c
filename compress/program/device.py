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
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nn import cuda
from nn.sizes import names_in

from .bound import Bound, _nbytes
from .device_run import Lacks, Run, uploaded
from .listing import listing
from .profile import FEWEST, Profile
from .value import ProgramError

LEAST = {"N": 1}  # lengths of the first run; others are 2, as where a rule's shapes are found out


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

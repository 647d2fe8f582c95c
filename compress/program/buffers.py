"""Where the values of a Program lie: in few buffers, each used again once nothing reads what is in it.

Fresh memory is not free: the system hands it out page by page and clears every page, which takes longer than
many a kernel. So a Program keeps its buffers from one run to the next of the same lengths.
"""

from collections.abc import Sequence

import numpy as np

from nn.sizes import at

from .op import Step

__all__ = ["Buffers"]


class Buffers:
    """The plan for the steps of one Program: which buffer each writes to.

    An output of the Program has none, because its caller keeps it. A step that may write where it reads
    (`Step.in_place`) does so if nothing else reads its input. Sizes are compared where every named length is
    1.
    """

    def __init__(self, steps: Sequence[Step], outputs: frozenset[str]) -> None:
        self.steps, self.outputs = steps, outputs
        last_read = {name: i for i, step in enumerate(steps) for name in step.inputs}
        self.place: dict[str, int] = {}  # value -> number of its buffer
        self.sizes: list[int] = []  # bytes of each buffer for one example
        free: list[int] = []
        for i, step in enumerate(steps):
            dying = [name for name in dict.fromkeys(step.inputs)
                     if last_read[name] == i and name in self.place]
            if step.output not in outputs:
                self.place[step.output] = self._choose(step, dying, free)
            taken = self.place.get(step.output)
            free += [self.place[name] for name in dying if self.place[name] != taken]
            if step.output not in last_read and taken is not None:
                free.append(taken)  # nobody reads it

    def _choose(self, step: Step, dying: list[str], free: list[int]) -> int:
        """In place if it can; else the smallest free buffer that suffices, the largest, or a new one."""
        size = step.made.numbers() * np.dtype(step.made.dtype).itemsize
        first = step.inputs[0] if step.inputs else None
        if step.in_place and first in dying and self.sizes[self.place[first]] >= size:
            return self.place[first]
        if not free:
            self.sizes.append(size)
            return len(self.sizes) - 1
        bytes_of = self.sizes.__getitem__
        large = [number for number in free if bytes_of(number) >= size]
        number = min(large, key=bytes_of) if large else max(free, key=bytes_of)
        free.remove(number)
        self.sizes[number] = max(self.sizes[number], size)
        return number

    def arrays(self, dims: dict[str, int]) -> list[np.ndarray | None]:
        """Fresh buffers for these lengths, as arrays to write to, one a step; None for an output."""
        shapes = {step.output: at(step.made.shape, dims) for step in self.steps}
        needed = dict.fromkeys(range(len(self.sizes)), 0)
        for step in self.steps:
            if step.output in self.place:
                place = self.place[step.output]
                needed[place] = max(needed[place], step.made.nbytes(dims))
        memory = [np.empty(size, np.uint8) for size in needed.values()]
        return [None if step.output not in self.place
                else memory[self.place[step.output]][: step.made.nbytes(dims)].view(step.made.dtype)
                .reshape(shapes[step.output]) for step in self.steps]

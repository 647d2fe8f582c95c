"""Where the values of a Program lie: in few buffers, each used again once nothing reads what is in it.

Fresh memory is not free: the system hands it out page by page and clears every page, which takes longer than
many a call. So a Program keeps its buffers from one run to the next of the same batch size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from .calls import Call, Value

__all__ = ["Buffers"]


class Buffers:
    """The plan for one Program: which buffer each call writes to.

    The Program's output has none, because its caller keeps it. A call that may write where it reads
    (`Call.in_place`) does so if nothing else reads its input.
    """

    def __init__(self, calls: Sequence[Call], values: Mapping[str, Value], input: str, output: str) -> None:
        last_read = {name: i for i, call in enumerate(calls) for name in call.inputs}
        self.place: dict[str, int] = {}  # value -> number of its buffer
        self.sizes: list[int] = []  # bytes of each buffer for one example
        self.values = [values[call.output] for call in calls]
        self.names = [call.output for call in calls]
        self.output = output
        free: list[int] = []
        for i, call in enumerate(calls):
            dying = [
                name for name in dict.fromkeys(call.inputs) if last_read[name] == i and name in self.place
            ]
            if call.output != output:
                self.place[call.output] = self._choose(call, dying, free, nbytes(values[call.output]))
            taken = self.place.get(call.output)
            free += [self.place[name] for name in dying if self.place[name] != taken]
            if call.output not in last_read and taken is not None:
                free.append(taken)  # nobody reads it

    def _choose(self, call: Call, dying: list[str], free: list[int], size: int) -> int:
        """In place if it can; else the smallest free buffer that suffices, the largest, or a new one."""
        first = call.inputs[0]
        if call.in_place and first in dying and self.sizes[self.place[first]] >= size:
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

    def arrays(self, n: int) -> list[np.ndarray | None]:
        """Fresh buffers for a batch of n, as arrays to write to; None for the Program's output."""
        memory = [np.empty(n * size, np.uint8) for size in self.sizes]
        return [
            None
            if name == self.output
            else memory[self.place[name]][: n * nbytes(value)].view(value.dtype).reshape(n, *value.shape)
            for name, value in zip(self.names, self.values, strict=True)
        ]


def nbytes(value: Value) -> int:
    """Bytes of a value for one example."""
    return prod(value.shape) * np.dtype(value.dtype).itemsize

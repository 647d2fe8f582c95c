"""Where the values of a Program lie: in few buffers, each used again once nothing reads what is in it.

Fresh memory is not free: the system hands it out page by page and clears every page, which takes longer than
many a kernel. So a Program keeps its buffers from one run to the next of the same lengths."""

from collections.abc import Mapping, Sequence

import numpy as np

from nn.sizes import at

from .op import Step


def places(steps: Sequence[Step], outputs: frozenset[str]) -> dict[str, int]:
    """The number of the buffer that each value of a Program is written to.

    An output of the Program has none, because its caller keeps it. A step that may write where it reads
    (`Step.in_place`) does so if nothing else reads its input. Another takes the smallest free buffer that
    suffices, or else the largest, or a new one; sizes are compared for one example."""
    last_read = {name: i for i, step in enumerate(steps) for name in step.inputs}
    place: dict[str, int] = {}
    sizes: dict[int, int] = {}  # bytes of each buffer
    free: list[int] = []
    for i, step in enumerate(steps):
        dying = [name for name in dict.fromkeys(step.inputs) if last_read[name] == i and name in place]
        if step.output not in outputs:
            size, first = step.made.nbytes(), step.inputs[0] if step.in_place else None
            number = place[first] if first in dying and sizes[place[first]] >= size else min(
                free, key=lambda one: (sizes[one] < size, abs(sizes[one] - size)), default=len(sizes))
            free = [one for one in free if one != number]
            sizes[number] = max(sizes.get(number, 0), size)
            place[step.output] = number
        free += [place[name] for name in dying if place[name] != place.get(step.output)]
        if step.output in place and step.output not in last_read:
            free.append(place[step.output])  # nobody reads it
    return place


def fresh(steps: Sequence[Step], place: Mapping[str, int], dims: Mapping[str, int]
          ) -> list[np.ndarray | None]:
    """Fresh buffers for these lengths, as arrays to write to, one a step; None for an output."""
    sizes: dict[int, int] = {}
    for step in steps:
        if step.output in place:
            number = place[step.output]
            sizes[number] = max(sizes.get(number, 0), step.made.nbytes(dims))
    memory = {number: np.empty(size, np.uint8) for number, size in sizes.items()}
    return [memory[place[step.output]][: step.made.nbytes(dims)].view(step.made.dtype)
            .reshape(at(step.made.shape, dims)) if step.output in place else None for step in steps]

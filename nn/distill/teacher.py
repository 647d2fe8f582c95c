"""The logits of a teacher: computed for each batch, or recorded before the training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..arguments import count
from ..context import no_grad
from ..module import Module, in_mode
from ..resume import fingerprint
from ..tensor import Tensor
from .soft import checked_logits

Model: TypeAlias = "Module | Callable[[np.ndarray], np.ndarray]"
Teacher: TypeAlias = "Model | np.ndarray | Sequence[Model | np.ndarray]"


class Teachers:
    """One teacher or several, each a network, or an array: its logits for all examples, recorded. Networks
    run in evaluation mode, and nothing is recorded for backward: no gradient reaches them, and no batch their
    running statistics. Their mode is restored."""

    def __init__(self, who: str, teacher: Teacher) -> None:
        self.who, self.each = who, tuple(teacher) if isinstance(teacher, (list, tuple)) else (teacher,)
        wrong = [type(one).__name__ for one in self.each
                 if isinstance(one, type) or not (callable(one) or isinstance(one, np.ndarray))]
        if wrong or not self.each:
            got = wrong[0] if wrong else "none"
            raise TypeError(f"{who}: teacher must be a Module, a function of arrays, an array of what one "
                            f"gave (nn.distill.record), or a list of those, got {got}")
        for logits in self.recorded:
            checked_logits(who, "the recorded teacher's logits", logits)

    @property
    def recorded(self) -> list[np.ndarray]:
        """Those that are arrays."""
        return [one for one in self.each if isinstance(one, np.ndarray)]

    def logits(self, inputs: np.ndarray, rows: np.ndarray | None) -> list[np.ndarray]:
        """(N, C) of each teacher, or (N, T, C), for a batch: `inputs`, or these `rows` of what was recorded.
        Raises ValueError where the rows are not known, and for logits that can't be taught."""
        if rows is None and self.recorded:
            raise ValueError(f"{self.who}: the teacher was recorded for x, and augment makes other examples "
                             "of it; give the teacher itself, which is run on each batch")
        each = [one[rows] if isinstance(one, np.ndarray) else _logits(self.who, one, inputs)
                for one in self.each]
        if len({one.shape for one in each}) > 1:
            raise ValueError(f"{self.who}: the teachers give logits of different shapes: "
                             f"{[one.shape for one in each]}")
        return each

    def check(self, examples: int) -> None:
        """Raises ValueError where something else than so many examples was recorded."""
        for logits in self.recorded:
            if len(logits) != examples:
                raise ValueError(f"{self.who}: the teacher was recorded for {len(logits)} examples, and x "
                                 f"has {examples}")

    def __repr__(self) -> str:
        return ", ".join(map(_described, self.each))


def record(teacher: Model | Sequence[Model], x: np.ndarray, *,
           batch_size: int = 256) -> np.ndarray | list[np.ndarray]:
    """The logits of a teacher for all examples x (N, …), computed once: (N, C), or (N, T, C) of tokens; a
    list of such arrays for a list of teachers.

    As the teacher of a Distillation that saves running it in every epoch. It is for a training on these very
    examples, in this order and without `augment`: fit shuffles, and hands on which rows a batch has.
    teacher: a Module, or a function that maps arrays to arrays, or a list of those; batch_size: how many
    examples at a time. Raises TypeError or ValueError for what can't teach."""
    count("record", "batch_size", batch_size)
    teachers = Teachers("record", teacher)
    if teachers.recorded:
        raise TypeError("record: teacher must be a Module, a function of arrays, or a list of those, got an "
                        "array")
    if not isinstance(x, np.ndarray) or not len(x):
        raise ValueError(f"record: x must be an array of N > 0 examples, got {getattr(x, 'shape', type(x))}")
    parts = [teachers.logits(x[i:i + batch_size], None) for i in range(0, len(x), batch_size)]
    shapes = {logits.shape[1:] for of_batch in parts for logits in of_batch}
    if len(shapes) > 1:
        raise ValueError(f"record: the logits of different batches have different shapes: {sorted(shapes)}")
    every = [np.concatenate(of_one) for of_one in zip(*parts, strict=True)]
    return every if isinstance(teacher, (list, tuple)) else every[0]


def _logits(who, model, inputs):
    def run():
        with no_grad():
            return model(Tensor(inputs) if isinstance(model, Module) else inputs)

    out = in_mode(model, False, run)
    out = out.data if isinstance(out, Tensor) else out
    if not isinstance(out, np.ndarray) or out.ndim not in (2, 3) or len(out) != len(inputs):
        got, n = getattr(out, "shape", type(out).__name__), len(inputs)
        raise ValueError(f"{who}: the teacher must give logits ({n}, classes) or ({n}, T, classes), got "
                         f"{got}")
    return checked_logits(who, "the teacher's logits", out)


def _described(model: Any) -> str:
    """A teacher as text: of a Module its class and a checksum of its state."""
    if isinstance(model, np.ndarray):
        return f"recorded {fingerprint(model)}"
    if not isinstance(model, Module):
        return repr(model)
    state = [f"{name} {fingerprint(array)}" for name, array in model.state_dict().items()]
    return f"{type(model).__name__} {fingerprint(np.frombuffer(' '.join(state).encode(), np.uint8))}"

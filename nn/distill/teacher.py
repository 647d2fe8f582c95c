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
Teacher: TypeAlias = "Model | Sequence[Model] | np.ndarray"


class Teachers:
    """One or several networks, or an array: their logits for all examples, recorded. Networks run in
    evaluation mode, and nothing is recorded for backward: no gradient reaches them, and no batch their
    running statistics. Their mode is restored."""

    def __init__(self, who: str, teacher: Teacher) -> None:
        self.who, self.recorded, self.models = who, None, ()
        if isinstance(teacher, np.ndarray):
            self.recorded = checked_logits(who, "the recorded teacher's logits", teacher)
            return
        models = tuple(teacher) if isinstance(teacher, (list, tuple)) else (teacher,)
        wrong = [type(m).__name__ for m in models if isinstance(m, type) or not callable(m)]
        if wrong or not models:
            got = wrong[0] if wrong else "none"
            raise TypeError(f"{who}: teacher must be a Module, a function of arrays, a list of those, or an "
                            f"array of what they gave (nn.distill.record), got {got}")
        self.models = models

    def logits(self, inputs: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
        """(N, C) of one teacher, (K, N, C) of several, for a batch: `inputs`, or else these `rows` of what
        was recorded. Raises ValueError where the rows are not known, and for logits that can't be taught."""
        if self.recorded is None:
            each = [_logits(self.who, model, inputs) for model in self.models]
            if len({one.shape for one in each}) > 1:
                raise ValueError(f"{self.who}: the teachers have different numbers of classes: "
                                 f"{[one.shape[1] for one in each]}")
            return each[0] if len(each) == 1 else np.stack(each)
        if rows is None:
            raise ValueError(f"{self.who}: the teacher was recorded for x, and augment makes other examples "
                             "of it; give the teacher itself, which is run on each batch")
        return self.recorded[..., rows, :]

    def check(self, examples: int) -> None:
        """Raises ValueError where something else than so many examples was recorded."""
        if self.recorded is not None and self.recorded.shape[-2] != examples:
            raise ValueError(f"{self.who}: the teacher was recorded for {self.recorded.shape[-2]} examples, "
                             f"and x has {examples}")

    def __repr__(self) -> str:
        if self.recorded is not None:
            return f"recorded {fingerprint(self.recorded)}"
        return ", ".join(map(_described, self.models))


def record(teacher: Model | Sequence[Model], x: np.ndarray, *, batch_size: int = 256) -> np.ndarray:
    """The logits (N, C) of a teacher for all examples x (N, …), of K teachers (K, N, C), computed once.

    As the teacher of a Distillation that saves running it in every epoch. It is for a training on these very
    examples, in this order and without `augment`: fit shuffles, and hands on which rows a batch has.
    teacher: a Module, or a function that maps arrays to arrays, or a list of those; batch_size: how many
    examples at a time. Raises TypeError or ValueError for what can't teach."""
    count("record", "batch_size", batch_size)
    teachers = Teachers("record", teacher)
    if teachers.recorded is not None:
        raise TypeError("record: teacher must be a Module, a function of arrays, or a list of those, got an "
                        "array")
    if not isinstance(x, np.ndarray) or not len(x):
        raise ValueError(f"record: x must be an array of N > 0 examples, got {getattr(x, 'shape', type(x))}")
    parts = [teachers.logits(x[i:i + batch_size], None) for i in range(0, len(x), batch_size)]
    return np.concatenate(parts, axis=-2)


def _logits(who, model, inputs):
    def run():
        with no_grad():
            return model(Tensor(inputs) if isinstance(model, Module) else inputs)

    out = in_mode(model, False, run)
    out = out.data if isinstance(out, Tensor) else out
    if not isinstance(out, np.ndarray) or out.ndim != 2 or len(out) != len(inputs):
        got = getattr(out, "shape", type(out).__name__)
        raise ValueError(f"{who}: the teacher must give logits ({len(inputs)}, classes), got {got}")
    return checked_logits(who, "the teacher's logits", out)


def _described(model: Any) -> str:
    """A teacher as text: of a Module its class and a checksum of its state."""
    if not isinstance(model, Module):
        return repr(model)
    state = [f"{name} {fingerprint(array)}" for name, array in model.state_dict().items()]
    return f"{type(model).__name__} {fingerprint(np.frombuffer(' '.join(state).encode(), np.uint8))}"

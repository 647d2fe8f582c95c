"""What a law is about: a transform, or the stages of a chain, on one weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nn.parameter import Parameter
from nn.tensor import Tensor
from nn.testing.case import Case, show

from ..chain import Chain
from ..transform import Context

__all__ = ["Law", "Subject", "same"]


@dataclass(frozen=True)
class Subject:
    """The stages of a chain under test; a single transform is a chain of one."""

    name: str
    stages: tuple[Any, ...]

    @classmethod
    def of(cls, transform: Any) -> Subject:
        """From a transform, a list of transforms or a Chain."""
        if isinstance(transform, Chain):
            transform = transform.stages
        stages = tuple(transform) if isinstance(transform, (list, tuple)) else (transform,)
        return cls(" + ".join(map(repr, stages)), stages)

    def attached(self, w: np.ndarray, pruned: bool = False) -> Parameter:
        """A parameter with these values, seen through the chain as `prepare` leaves it; `pruned`: a stage
        before made its zeros.
        """
        parameter, op = Parameter(w.copy()), "conv2d" if w.ndim == 4 else "linear"
        Chain(self.stages).attach(parameter, Context("weight", op, pruned=pruned))
        return parameter

    def finished(self, w: np.ndarray, pruned: bool = False) -> Parameter:
        """The same after all schedules have run to their end (a stage with one has `schedule.end`)."""
        parameter = self.attached(w, pruned)
        for step in range(1, self.end() + 1):
            parameter.parametrization.update(parameter, step)
        return parameter

    @property
    def dimensions(self) -> frozenset[int]:
        """Of the weights that every stage takes: 2 for linear layers, 4 for convolutions. A stage may say."""
        both = frozenset({2, 4})
        return both.intersection(*(getattr(stage, "dimensions", both) for stage in self.stages))

    def takes(self, w: np.ndarray) -> bool:
        """Whether w can be fitted: a stage may say how many `distinct` values it must find, and finds a
        weight as the stages before have left it.
        """
        for i, stage in enumerate(self.stages):
            needed = getattr(stage, "distinct", 0)
            if needed and i:
                w = seen(replace(self, stages=self.stages[:i]).finished(w))
            if needed and len(np.unique(w)) < needed:
                return False
        return True

    def end(self) -> int:
        """The optimizer step at which the last schedule ends; 0 without schedules."""
        return max(getattr(getattr(stage, "schedule", None), "end", 0) for stage in self.stages)


Law = Callable[[Subject, Case], None]


def seen(parameter: Parameter) -> np.ndarray:
    """The weight as its layer sees it."""
    return parameter.parametrization.project(parameter).data


def through(chain: Chain, w: np.ndarray) -> np.ndarray:
    """Any values as they are seen through a fitted chain."""
    return chain.project(Tensor(w)).data


def same(got: np.ndarray, want: np.ndarray, what: str) -> None:
    """Equal dtype, shape and bits (so −0 is not 0); AssertionError with the first difference."""
    if not isinstance(got, np.ndarray) or got.dtype != want.dtype or got.shape != want.shape:
        raise AssertionError(f"{what}: got {show(got)}, wanted {want.dtype}{want.shape}")
    if got.tobytes() == want.tobytes():
        return
    bits = [np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in (got, want)]
    first = int(np.flatnonzero(bits[0] != bits[1])[0]) // got.itemsize
    at = np.unravel_index(first, got.shape)
    raise AssertionError(f"{what}: [{', '.join(map(str, at))}] is {got[at]!r} instead of {want[at]!r}")

"""What a law is about: a transform, or the stages of a chain, on one weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from nn.parameter import Parameter
from nn.tensor import Tensor
from nn.testing.case import Case, show

from ..chain import Chain
from ..second_order import Hessian
from ..stored import Stored
from ..transform import Context, Transform


@dataclass(frozen=True)
class Subject:
    """The `stages` of a chain under test, with a `name` for messages; one transform is a chain of one."""

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
        """A parameter with these values and the chain, as `prepare` leaves it; `pruned`: a stage before made
        its zeros."""
        parameter = Parameter(w.copy())
        Chain(self.stages).attach(parameter, self.context(w, pruned))
        return parameter

    def context(self, w: np.ndarray, pruned: bool = False) -> Context:
        """What `prepare` would say of such a weight, with an example: its layer reads numbers of which each
        depends on others, some are never anything but 0, and there may be fewer of them than weights."""
        op = "conv2d" if w.ndim == 4 else "linear"
        return Context("weight", op, pruned=pruned, hessian=lambda: read_by(w.shape))

    def finished(self, w: np.ndarray, pruned: bool = False) -> Parameter:
        """The same after all schedules have run to their end."""
        parameter = self.attached(w, pruned)
        for step in range(1, self.end() + 1):
            parameter.parametrization.update(parameter, step)
        return parameter

    @property
    def dimensions(self) -> frozenset[int]:
        """Of the weights that every stage takes: 2 for linear layers, 4 for convolutions."""
        return frozenset.intersection(*(stage.dimensions for stage in self.stages))

    def takes(self, w: np.ndarray) -> bool:
        """Whether w can be fitted: no stage refuses its shape, and it has as many `distinct` values as a
        stage must find, when the stages before have left it."""
        if any(stage.refuses(w.shape) for stage in self.stages):
            return False
        for i, stage in enumerate(self.stages):
            needed = stage.distinct
            if needed and i:
                w = seen(replace(self, stages=self.stages[:i]).finished(w))
            if needed and len(np.unique(w)) < needed:
                return False
        return True

    def end(self) -> int:
        """The optimizer step at which the last schedule ends; 0 without schedules."""
        return max(stage.end for stage in self.stages)


@lru_cache(maxsize=64)
def read_by(shape: tuple[int, ...]) -> Hessian:
    """The Hessian of what a layer with such a weight reads, the same every time: walks at random along the
    inputs, so that each depends on its neighbours, some a hundred times as loud as others, and some 0."""
    rng, width = np.random.default_rng(shape), prod(shape[1:])
    walks = rng.standard_normal((rng.integers(1, 2 * min(width, 32) + 1), width)).cumsum(axis=1)
    walks *= 10 ** rng.uniform(-1, 1, width) * (rng.random(width) > 0.1)
    return Hessian.of([walks[None].astype(np.float32)])


Law = Callable[[Subject, Case], None]

OWN: dict[type[Transform], tuple[tuple[Law, ...], bool]] = {}  # technique -> its laws, whether in chains too


def own_laws(technique: type[Transform], *laws: Law, in_chains: bool = False) -> None:
    """What a technique promises beside the laws of all; `in_chains`: also where other stages come before it.
    """
    OWN[technique] = laws, in_chains


def laws_of(subject: Subject) -> tuple[Law, ...]:
    """The laws of its own that the technique of the last stage has, or one that this is made from."""
    for technique in type(subject.stages[-1]).__mro__:
        laws, in_chains = OWN.get(technique, ((), False))
        if laws and (in_chains or len(subject.stages) == 1):
            return laws
    return ()


def subjects() -> list[Subject]:
    """The samples of all techniques that are defined in `compress`."""
    found, todo = [], [Transform]
    while todo:
        technique = todo.pop(0)
        todo += technique.__subclasses__()
        if technique.__module__.startswith("compress."):
            found += map(Subject.of, technique.samples())
    return found


def seen(parameter: Parameter) -> np.ndarray:
    """The weight, a `parameter`, as its layer sees it."""
    return parameter.parametrization.project(parameter).data


def stored(subject: Subject, case: Case) -> Stored:
    """The weight of a `case` in its stored form, at the end of all schedules of `subject`."""
    parameter = subject.finished(*case.args)
    return parameter.parametrization.encode(parameter.data)


def largest(tensors: list[Tensor]) -> float:
    """The largest magnitude in them; 1 where all are 0."""
    return max(float(np.abs(tensor.data).max()) for tensor in tensors) or 1.0


def through(chain: Chain, w: np.ndarray) -> np.ndarray:
    """Any values as they are seen through a fitted chain."""
    return chain.project(Tensor(w)).data


def same(got: np.ndarray, want: np.ndarray, what: str) -> None:
    """`got` and `want` have equal dtypes, shapes and bits: −0 is not 0. Raises AssertionError with the
    first difference; `what` is what the message speaks of."""
    if not isinstance(got, np.ndarray) or got.dtype != want.dtype or got.shape != want.shape:
        raise AssertionError(f"{what}: got {show(got)}, wanted {want.dtype}{want.shape}")
    if got.tobytes() == want.tobytes():
        return
    bits = [np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in (got, want)]
    first = int(np.flatnonzero(bits[0] != bits[1])[0]) // got.itemsize
    at = np.unravel_index(first, got.shape)
    raise AssertionError(f"{what}: [{', '.join(map(str, at))}] is {got[at]} instead of {want[at]}")

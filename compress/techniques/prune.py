"""Pruning: what matters least becomes and stays zero; what is left is stored, and multiplied (sparse/).

Choices that combine: how much (`sparsity` or `threshold`), when (`schedule`), by which score and in which
pattern (compress/pruning/). Han et al. (2015) for pruning and fine-tuning, Zhu & Gupta (2017) for the
schedule."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field, replace
from math import isclose, sqrt

import numpy as np

from nn.arguments import instance, number
from nn.tensor import Tensor

from ..pruning.pattern import Pattern, pattern_named
from ..pruning.score import Score, score_named
from ..schedule import Cubic, Once, Schedule
from ..sparse.form import SparseForm
from ..sparse.smallest import smallest
from ..state import UNSAVED
from ..transform import Context, Invariant, Transform


@dataclass
class PruneState:
    """`mask`, in the weight's shape: 1 where one lives, 0 where it is pruned; `step`: the last one seen;
    `goal`: how many groups fell below a threshold; `context`: what a score is told at the next step;
    `counted`: a mask and how many groups it prunes, so that they are not counted at every step."""

    mask: np.ndarray
    step: int = 0
    goal: int | None = None
    context: Context | None = field(default=None, metadata=UNSAVED)
    counted: tuple[np.ndarray, int] | None = field(default=None, metadata=UNSAVED)


@dataclass(frozen=True, repr=False)
class Prune(Transform):
    """Set the fraction `sparsity` of a weight's groups to zero, by `schedule` (at once if none is given).

    pattern: what is pruned together, a Pattern or its name: "element", single weights; blocks, "4x1" and
        "8x1" and any outputs × inputs; "row" and "column" of the matrix (out, in); of convolutions "filter"
        K[f], "channel" K[:,c] and "shape" K[:,c,h,w]; "2:4" and any N:M, N of every M inputs stay, which is
        a sparsity, so that none is to be given.
    score: which goes first, by the sum over a group, a Score or its name: "magnitude" or "l1" (|w|), "l2"
        (w²), "random"; by what the network loses on prepare's example "taylor", "obd", and "obs", which
        moves the weights that stay; each is a file of compress/pruning/.
    schedule: when: `Once`, `Linear`, `Cubic`, `Iterative` (prune, retrain, prune).
    threshold: ε in place of a sparsity: as many groups go as score below ε when the technique is fitted.

    Exactly `round(sparsity · groups)` are pruned, of equal ones the first; of single weights never the last
    one, and where a pattern would leave nothing of a layer it is refused. A pruned weight gets no gradient,
    is zero again after every optimizer step, whatever momentum it has left, and is not ranked again. Raises
    TypeError or ValueError for a sparsity outside [0, 1), a threshold that is not positive, both or neither,
    and an unknown schedule, score or pattern; `prepare` for a weight that has no such groups."""

    sparsity: float | None = None
    schedule: Schedule = field(default_factory=Once)
    _: KW_ONLY
    score: Score | str = "magnitude"
    pattern: Pattern | str = "element"
    threshold: float | None = None

    def __post_init__(self) -> None:
        score, pattern = score_named(self.score), pattern_named(self.pattern)
        object.__setattr__(self, "score", score)
        object.__setattr__(self, "pattern", pattern)
        instance("Prune", "schedule", self.schedule, Schedule, "a schedule, such as Once or Cubic")
        if self.sparsity is not None:
            number("Prune", "sparsity", self.sparsity, 0, 1)
        if self.threshold is not None:
            number("Prune", "threshold", self.threshold, above=True)
        if pattern.sparsity is not None:
            given = pattern.sparsity if self.sparsity is None else self.sparsity
            if self.threshold is not None or not isclose(given, pattern.sparsity):
                raise ValueError(f"Prune: the pattern {pattern!r} has the sparsity {pattern.sparsity:g}; "
                                 "give no other, nor a threshold")
            object.__setattr__(self, "sparsity", pattern.sparsity)
        elif (self.sparsity is None) == (self.threshold is None):
            raise TypeError("Prune: sparsity must be a number, or a threshold be given in its place; got "
                            f"{self.sparsity} and threshold={self.threshold}")

    @classmethod
    def samples(cls) -> list[Prune]:
        return [cls(0.0), cls(0.5), cls(0.97), cls(0.8, Cubic(end=5, begin=1, every=2)),
                cls(0.5, score="l2", pattern="4x1"), cls(pattern="2:4"),
                cls(0.5, Cubic(end=3), score="random", pattern="row")]

    @property
    def keeps(self) -> frozenset[Invariant]:
        """All but the rank and the levels: 0 is one value more than were shared. Nothing, where the score
        moves what it does not prune."""
        if type(self.score).adjusted is not Score.adjusted:
            return frozenset()
        return frozenset(Invariant) - {Invariant.RANK, Invariant.LEVELS}

    @property
    def makes(self) -> frozenset[Invariant]:
        return self.pattern.makes

    @property
    def dimensions(self) -> frozenset[int]:
        return self.pattern.dimensions & Transform.dimensions

    def refuses(self, shape: tuple[int, ...]) -> str | None:
        return self.pattern.refuses(shape)

    def prunes(self, w: np.ndarray) -> bool:
        """Whether any weight is pruned in the end: a zero that was there before is none."""
        return self.threshold is not None or self.pattern.count(w.shape, self.sparsity) > 0

    def fit(self, w: np.ndarray, context: Context) -> PruneState:
        """Raises ValueError for a weight without such groups, or of which nothing would be left."""
        if said := self.refuses(w.shape):
            raise ValueError(f"{context.name}: {said}")
        goal = None
        if self.threshold is not None:
            goal = int(np.count_nonzero(self.pattern.collect(self._saliency(w, context)) < self.threshold))
        if self._count(w.shape, goal, 1.0) == (groups := self.pattern.groups(w.shape)):
            raise ValueError(f"{context.name}: {self!r} would prune all {groups} groups of a weight "
                             f"{w.shape} and leave nothing of the layer; prune less of it, or choose None "
                             "for it in the recipe")
        state = PruneState(np.ones(w.shape, np.float32), goal=goal)
        if self.schedule.end:
            told = context if self.score.reads else Context(context.name, context.op)
            state.context = replace(told, settled=context.settled, pruned=context.pruned)
        self._prune(state, w, context)
        return state

    def adjusted(self, w: np.ndarray, state: PruneState, context: Context) -> np.ndarray:
        """The weight as its score wants it to be once this mask prunes it."""
        return w if state.mask.all() else self.score.adjusted(w, state.mask, context)

    def project(self, w: Tensor, state: PruneState) -> Tensor:
        return w.where(state.mask != 0, 0) + 0.0  # CSR stores no zeros, so −0 is to be a plain 0 here too

    def update(self, state: PruneState, w: Tensor, step: int) -> None:
        """The mask of this step."""
        state.step = step
        masked = w.data * state.mask  # whatever the optimizer did: momentum and averages move pruned weights
        before, context = state.mask, state.context or Context()
        self._prune(state, masked, context)
        if state.mask is not before:
            masked = self.score.adjusted(masked, state.mask, context)
        w.data = masked * state.mask

    def last_step(self, state: PruneState) -> int:
        return state.step

    def _prune(self, state: PruneState, w: np.ndarray, context: Context) -> None:
        """Prune what the schedule asks for now beyond what the mask of `state` prunes."""
        count = self._count(w.shape, state.goal, self.schedule.fraction(state.step))
        if state.counted is None or state.counted[0] is not state.mask:
            state.counted = state.mask, self.pattern.pruned(state.mask)
        if count > state.counted[1]:
            state.mask = self.pattern.choose(self._saliency(w, context), count, state.mask)

    def _count(self, shape: tuple[int, ...], goal: int | None, fraction: float) -> int:
        """How many groups are pruned when this fraction of the schedule is done."""
        if goal is None:
            count = self.pattern.count(shape, self.sparsity * fraction)
        else:
            count = round(goal * fraction)
        return min(count, self.pattern.groups(shape) - 1) if self.pattern.last else count

    def _saliency(self, w: np.ndarray, context: Context) -> np.ndarray:
        """What the score says. Raises ValueError where that is no saliency."""
        saliency = np.asarray(self.score.saliency(w, context))
        if saliency.shape != w.shape or np.any(saliency < 0) or (np.isfinite(w).all()
                                                                 and not np.isfinite(saliency).all()):
            raise ValueError(f"{context.name}: the score {self.score!r} must give finite numbers, none "
                             f"negative, in the weight's shape {w.shape}; got {saliency.shape}, from "
                             f"{saliency.min(initial=0)} to {saliency.max(initial=0)}")
        return saliency

    def check_state(self, loaded: PruneState, own: PruneState) -> None:
        """ValueError for a mask that another sparsity, threshold, pattern or schedule made."""
        shape, goal = loaded.mask.shape, loaded.goal
        if (goal is None) != (self.threshold is None) or not 0 <= (goal or 0) <= self.pattern.groups(shape):
            raise ValueError(f"the goal is {goal}, which {self!r} does not have")
        wanted = self._count(shape, goal, self.schedule.fraction(loaded.step))
        pruned = self.pattern.pruned(loaded.mask)
        if pruned != wanted or not self.pattern.made(loaded.mask):
            what = "weights" if self.pattern.last else "groups"
            raise ValueError(f"the mask prunes {pruned} {what} at step {loaded.step}, where {self!r} prunes "
                             f"{wanted}" + " groups as a whole" * (pruned == wanted))

    def rescaled(self, state: PruneState, factor: np.ndarray) -> PruneState:
        return replace(state)

    def encode(self, w: np.ndarray, state: PruneState) -> SparseForm:
        return smallest(w * state.mask)

    def check_finished(self, state: PruneState) -> None:
        if state.step < self.schedule.end:
            wanted = f"threshold {self.threshold}" if self.sparsity is None else self.sparsity
            raise ValueError(
                f"Prune: the schedule stands at step {state.step} of {self.schedule.end} and sparsity "
                f"{1 - state.mask.mean():.3f} of {wanted}; train on before converting")

    def bound(self, w: np.ndarray, state: PruneState) -> float:
        """‖w − project(w)‖² ≤ (k/n)·‖w‖²: the k smallest of n squares have at most their share of the sum.

        So for single weights by magnitude and for groups by "l2". Groups that are ranked by L1 norms have the
        squares of these in place of Σw²; of scores that say nothing of sizes, all of ‖w‖ may go."""
        most = float(np.sum(w.astype(np.float64) ** 2))
        if type(self.score).squares is not Score.squares:
            collected = self.pattern.collect(self.score.saliency(w, state.context or Context()))
            most = min(most, self.pattern.lost(self.score.squares(collected), state.mask))
        return sqrt(most) * (1 + w.size * 2.0**-50)

    def __repr__(self) -> str:
        chosen = [f"sparsity={self.sparsity}", f"schedule={self.schedule}"]
        usual = {"score": "magnitude", "pattern": "element", "threshold": None}
        chosen += [f"{name}={getattr(self, name)!r}" for name, value in usual.items()
                   if repr(getattr(self, name)) != repr(value)]
        return f"{type(self).__name__}({', '.join(chosen)})"

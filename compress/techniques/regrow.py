"""Sparse training at constant density: weights that stay small are dropped, others grow in their place.

Evci et al. (2020), "Rigging the lottery: making all tickets winners", algorithm 1: dropped by |w|, grown by
the gradient that the dense weight would have. What is left is stored and multiplied as that of Prune."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field, replace
from math import cos, pi

import numpy as np

from nn.arguments import count, number
from nn.tensor import Tensor

from ..pruning.element import Element
from ..pruning.score import Score
from ..sparse.form import SparseForm
from ..sparse.smallest import smallest
from ..state import UNSAVED
from ..transform import Context, Invariant, Transform
from .prune import Prune

ELEMENT = Element()


@dataclass
class RigLState:
    """`mask`, in the weight's shape: 1 where one lives; `step`: how many optimizer steps it has seen;
    `probe`: zeros that are added to the weight when its mask is to move, for the gradient of all of it."""

    mask: np.ndarray
    step: int = 0
    probe: Tensor | None = field(default=None, metadata=UNSAVED)


@dataclass(frozen=True)
class RigL(Transform):
    """Train with the fraction `sparsity` of a weight's entries at zero, which ones moving with the training.

    steps: of the whole training, by the optimizer. Every `every` of them, until the part `until` of all has
    gone, a share of the living weights is dropped, those of least magnitude, and as many of the others live
    from then on, those with the largest gradients; what was just dropped is among these, and keeps its value
    if it is chosen again. The share falls from `share` to 0 along a cosine: share/2 · (1 + cos(π·t/t_end)).
    New ones begin at 0, and so do the optimizer's averages of them. In such a step the gradient of the weight
    goes into the choice, and the optimizer leaves the weight as it is. The mask begins by a `score`: at
    random, for a network that has not been trained.

    Exactly round(sparsity · n) weights are zero at any time, one at least is not. How sparse each layer is to
    be, `erk` says (compress/pruning/erk.py). Raises TypeError or ValueError for what is out of range, and for
    an `every` that would let no update happen."""

    sparsity: float
    steps: int
    _: KW_ONLY
    every: int = 100
    share: float = 0.3
    until: float = 0.75
    score: Score | str = "random"

    keeps = frozenset({Invariant.SUPPORT, Invariant.NM, Invariant.GRID})
    makes = frozenset({Invariant.SUPPORT})
    regrows = True

    def __post_init__(self) -> None:
        number("RigL", "sparsity", self.sparsity, 0, 1)
        object.__setattr__(self, "score", self.ended().score)
        count("RigL", "steps", self.steps)
        count("RigL", "every", self.every)
        number("RigL", "share", self.share, 0, 1, closed=True)
        number("RigL", "until", self.until, 0, 1, above=True, closed=True)
        if self.every >= self.end:
            raise ValueError(f"RigL: the mask would never move: updates come every {self.every} steps and "
                             f"end before step {self.end}, {self.until:g} of {self.steps}; choose a smaller "
                             "every")

    @classmethod
    def samples(cls) -> list[RigL]:
        return [cls(0.5, steps=8, every=2), cls(0.9, steps=6, every=1, share=1.0, score="magnitude")]

    @property
    def end(self) -> int:
        """The step from which on the mask stays."""
        return int(self.until * self.steps)

    def ended(self) -> Prune:
        return Prune(self.sparsity, score=self.score)

    def prunes(self, w: np.ndarray) -> bool:
        return self.ended().prunes(w)

    def moves(self, step: int) -> bool:
        """Whether the mask moves after this optimizer step, from 1."""
        return step % self.every == 0 and step < self.end

    def fit(self, w: np.ndarray, context: Context) -> RigLState:
        return RigLState(self.ended().fit(w, context).mask)

    def project(self, w: Tensor, state: RigLState) -> Tensor:
        """Before a step that moves the mask, the gradient goes to the `probe` and not to the weight."""
        if not (self.moves(state.step + 1) and w.requires_grad):
            return w.where(state.mask != 0, 0) + 0.0
        if state.probe is None:
            state.probe = Tensor(np.zeros_like(w.data), requires_grad=True)
        return state.probe + np.where(state.mask != 0, w.data, 0)

    def update(self, state: RigLState, w: Tensor, step: int) -> np.ndarray | None:
        """Move the mask where this step does."""
        state.step, probe, grown = step, state.probe, None
        state.probe = None
        w.data = w.data * state.mask
        if self.moves(state.step) and probe is not None and probe.grad is not None:
            before = state.mask
            state.mask = moved(w.data, before, probe.grad, self.drops(state.step))
            grown = (state.mask != 0) & (before == 0)
            w.data = w.data * state.mask
        return grown

    def last_step(self, state: RigLState) -> int:
        return state.step

    def drops(self, step: int) -> float:
        """The share of the living weights that is dropped after this step."""
        return self.share / 2 * (1 + cos(pi * step / self.end))

    def rescaled(self, state: RigLState, factor: np.ndarray) -> RigLState:
        return replace(state, probe=None)

    def encode(self, w: np.ndarray, state: RigLState) -> SparseForm:
        return smallest(w * state.mask)

    def bound(self, w: np.ndarray, state: RigLState) -> float:
        """‖w‖: the gradient, which chose, says nothing of sizes."""
        return float(np.linalg.norm(w.astype(np.float64))) * (1 + w.size * 2.0**-50)

    def check_state(self, loaded: RigLState, own: RigLState) -> None:
        """ValueError for a mask of another density."""
        pruned, wanted = (ELEMENT.pruned(state.mask) for state in (loaded, own))
        if pruned != wanted or not ELEMENT.made(loaded.mask):
            raise ValueError(f"the mask prunes {pruned} weights, where {self!r} prunes {wanted}")


def moved(w: np.ndarray, mask: np.ndarray, gradient: np.ndarray, share: float) -> np.ndarray:
    """The mask after the share of the living weights with the least |w| was dropped, and as many others, of
    the largest |gradient|, have grown: of equal ones the first in either case."""
    dropped = round(share * np.count_nonzero(mask))
    kept = ELEMENT.choose(np.abs(w), ELEMENT.pruned(mask) + dropped, mask)
    wanted = np.where(kept != 0, -1, np.abs(gradient))
    new = kept.ravel()
    new[np.argsort(-wanted, axis=None, kind="stable")[:dropped]] = 1
    return new.reshape(mask.shape)

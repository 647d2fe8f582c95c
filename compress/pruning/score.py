"""What a score is: how much the network would lose with each weight.

    class Largest(Score, name="largest"):           # in a file of this folder: that is all
        def saliency(self, w, context):
            return np.abs(w)

It registers itself by being defined; `Prune(0.9, score="largest")` then goes by it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from nn.registration import register

from ..stored import complete
from ..transform import Context

SCORES: dict[str, type[Score]] = {}  # by name


class Score:
    """The saliency of every weight; of a group of weights it is the sum.

    A score is configuration and never changes: one with settings is a frozen dataclass with defaults, and may
    be given instead of its name, `Prune(0.9, score=Random(seed=1))`. A subclass writes `saliency`; TypeError
    if not, or if another has its name.

    reads: whether it looks at more of the context than the weight's name. Then the context is kept while a
    schedule goes on."""

    name: ClassVar[str]
    reads: ClassVar[bool] = False

    def __init_subclass__(cls, *, name: str) -> None:
        cls.name = name
        complete(cls, Score, ("saliency",))
        register(SCORES, name, cls, "the score")

    def saliency(self, w: np.ndarray, context: Context) -> np.ndarray:
        """How much each weight matters: floats of the shape of `w`, finite, none negative.

        It is asked when the technique is fitted (in `prepare`: w is the trained weight, the context all that
        prepare knows), and again at each step of a schedule that prunes more. What is pruned by then is 0 in
        w, and stays pruned whatever is said of it. The context is then the one of the fit, and what it tells
        is of the network as it is then, but for the hessian, found once. A model that goes on elsewhere,
        from its `state_dict`, was prepared there, and has the context of that."""

    def adjusted(self, w: np.ndarray, mask: np.ndarray, context: Context) -> np.ndarray:
        """The weight when what `mask` (1 where a weight stays, else 0) prunes has gone: by default as it was;
        where the weights that stay make that good, a new array, with them moved. It is asked when the
        technique is fitted, and at each step of a schedule that prunes more."""
        return w

    def squares(self, collected: np.ndarray) -> np.ndarray | None:
        """Bounds of Σw² of groups with these saliencies, the smaller ones of the smaller; None if nothing
        follows from them. A bound of the error of pruning comes from it."""
        return None

    def __repr__(self) -> str:
        return repr(self.name)


def score_named(score: Any, who: str = "Prune") -> Score:
    """The Score of this name, with its default settings; a Score is itself. Raises ValueError, beginning with
    `who` and naming those that there are, where there is none."""
    if isinstance(score, Score):
        return score
    if not isinstance(score, str) or score not in SCORES:
        raise ValueError(f"{who}: score must be a Score or one of {', '.join(SCORES)}; got {score!r:.80}")
    return SCORES[score]()

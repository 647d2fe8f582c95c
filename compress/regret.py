"""Scores measured against the best there is: of a small layer of a trained network all masks are tried."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import nn

from .examples import Example
from .prepare import Known
from .pruning.oracle import Ranking, oracle
from .pruning.pattern import Pattern, pattern_named
from .pruning.score import SCORES, Score, score_named
from .sensitivity import cross_entropy


def rank_scores(model: nn.Module, layer: str, x: np.ndarray, y: np.ndarray, *,
                scores: Sequence[Score | str] | None = None, pattern: Pattern | str = "element",
                settle: Score | str | None = None,
                measure: Callable[[Any, np.ndarray], float] = cross_entropy) -> Ranking:
    """Rank scores by their regret in one layer: the loss with the mask that a score chooses beyond that of
    the best mask with as many groups.

    model: trained; it is not changed. layer: the name of one whose weight has at most 16 groups of `pattern`
    (65,536 losses are measured then, one by one). x, y: inputs (N, …) and their classes or targets, by which
    `measure(outputs, y)` measures and the scores judge. scores: by default all that there are.
    settle: a score that moves the weights that stay, "obs"; then all masks are measured with their weights
    moved so, whoever chose them. Raises ValueError for a layer that is unknown or prepared already, or has no
    such groups or too many, and as the scores and the oracle do."""
    model = copy.deepcopy(model).eval()
    named, name = dict(model.named_parameters()), f"{layer}.weight"
    if name not in named:
        known = [one for one, w in named.items() if one.endswith(".weight") and w.ndim > 1]
        known = [one.removesuffix(".weight") for one in known]
        raise ValueError(f"rank_scores: no layer with a weight is called {layer!r}; there are {known}")
    weight, pattern = named[name], pattern_named(pattern, "rank_scores")
    said = pattern.refuses(weight.shape)
    if weight.parametrization is not None:
        said = "it is prepared already; give the model as it was"
    elif pattern.sparsity is not None:
        said = f"the pattern {pattern!r} has no masks of other counts"
    if said:
        raise ValueError(f"rank_scores: {name}: {said}")
    example = Example.of("rank_scores", x)
    context = Known.of(model, example.trace(model), example, y).context(name, weight)
    chosen = [score_named(one, "rank_scores") for one in scores or SCORES]
    w, moves = weight.data.copy(), None if settle is None else score_named(settle, "rank_scores")
    found = {one.name: np.asarray(one.saliency(w, context)) for one in chosen}

    def settled(w: np.ndarray, stays: np.ndarray) -> np.ndarray:
        pruned = w if moves is None else moves.adjusted(w, stays.astype(np.float32), context)
        return pruned * stays.astype(np.float32)

    def loss(pruned: np.ndarray) -> float:
        weight.data = pruned
        with nn.no_grad():
            return measure(model(nn.Tensor(x)).data, y)

    return oracle(w, loss, groups=pattern.labels(w.shape), settle=settled).ranking(found)

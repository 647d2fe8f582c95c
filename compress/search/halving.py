"""Successive halving: train all a little, keep the better half, train it for twice as long, and so on.

Jamieson & Talwalkar (2016), "Non-stochastic best arm identification and hyperparameter optimization",
algorithm 1, which gives every round the same budget; with another factor in place of 2 as Li et al. (2018),
"Hyperband", algorithm 1. What is left in the end was trained longest, and what was dropped cost little. It
finds the best where the order of two candidates after a short training is that after a long one, and can't
where it is not: a candidate that learns slowly goes early."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from nn.arguments import count

from .goal import Outcome

Candidate = TypeVar("Candidate", bound=Hashable)


@dataclass(frozen=True)
class Rung(Generic[Candidate]):
    """A round: how long each was trained, and what came of it, the best first."""

    epochs: int
    outcomes: dict[Candidate, Outcome]


def rungs(candidates: int, most: int, factor: int = 2) -> list[tuple[int, int]]:
    """How many candidates are trained for how many epochs in each round, from many and few to few and `most`.

    Each round has 1/factor of the candidates of the one before and `factor` times its epochs, rounded down;
    there are as many rounds as leave a candidate and an epoch. Their cost is Σ candidates·epochs. Raises
    ValueError for what is no whole number, no candidate, no epoch, and a factor below 2."""
    for name, value, least in (("candidates", candidates, 1), ("most", most, 1), ("factor", factor, 2)):
        count("rungs", name, value, least)
    rounds = 1
    while candidates // factor**rounds and most // factor**rounds:
        rounds += 1
    return [(candidates // factor**k, most // factor ** (rounds - 1 - k)) for k in range(rounds)]


def successive_halving(candidates: Sequence[Candidate],
                       measure: Callable[[list[Candidate], int], Sequence[Outcome]],
                       key: Callable[[Outcome], Any], most: int,
                       factor: int = 2) -> list[Rung[Candidate]]:
    """The rounds of `rungs`, each with the best of the one before: 1/factor of the candidates, for `factor`
    times the epochs, up to `most` of them.

    measure(candidates, epochs) trains these, each from where all begin, and gives their Outcomes in their
    order; a schedule of learning rates or of sparsity depends on where it ends, so nothing is trained on from
    a shorter round. What it remembers it need not measure again: asked for the same candidates, halving asks
    the same questions. key(outcome) is what they are sorted by, the best first; of equal ones the earlier of
    `candidates` comes first. Raises what `rungs` does, and ValueError for a candidate that is there twice,
    and for outcomes that are not as many as were asked for."""
    if len(set(candidates)) != len(candidates):
        twice = next(one for i, one in enumerate(candidates) if one in candidates[:i])
        raise ValueError(f"successive_halving: candidates has {twice!r} twice")
    left, found = list(candidates), []
    for number, epochs in rungs(len(left), most, factor):
        chosen = left[:number]
        chosen.sort(key=candidates.index)
        outcomes = list(measure(chosen, epochs))
        if len(outcomes) != len(chosen):
            raise ValueError(f"successive_halving: measure was asked for {len(chosen)} candidates and gave "
                             f"{len(outcomes)} outcomes")
        pairs = sorted(zip(chosen, outcomes, strict=True), key=lambda pair: key(pair[1]))
        left = [one for one, _ in pairs]
        found.append(Rung(epochs, dict(pairs)))
    return found

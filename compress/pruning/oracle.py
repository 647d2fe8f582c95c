"""An exact oracle for pruning: the loss of each of the 2ⁿ masks of a small layer, so that every score can be
measured against the best that there is.

    found = oracle(w, loss)                          # n ≤ 16 weights, or groups of weights: 65,536 losses
    print(found.ranking({"magnitude": abs(w), "obd": h * w**2 / 2}))

The regret of a score, at so many weights pruned, is the loss of the mask that it chooses minus the loss of
the best mask with as many. It is never negative, and 0 where the score chooses as well as all trials
together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from nn.arguments import instance, is_int

MOST = 16  # weights or groups: 2¹⁶ losses

Settle = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (weight, where it stays) -> the weight pruned so


@dataclass(frozen=True, eq=False)
class Oracle:
    """What `oracle` found. groups: the number of each weight's group, in the weight's shape; losses: (2ⁿ,)
    float64, that of the mask in which group i stays at the place whose bit i is 1: the last one is dense."""

    groups: np.ndarray
    losses: np.ndarray

    @property
    def size(self) -> int:
        """n, the number of groups."""
        return len(self.losses).bit_length() - 1

    def loss(self, mask: np.ndarray) -> float:
        """Of the weights that a mask leaves: in the weight's shape, not 0 where one stays. ValueError for a
        mask of another shape, or one that splits a group."""
        mask = np.asarray(mask) != 0
        if mask.shape != self.groups.shape:
            raise ValueError(f"Oracle: the weight has shape {self.groups.shape}, the mask {mask.shape}")
        stays = np.bincount(self.groups.ravel(), mask.ravel(), self.size)
        split = np.flatnonzero((stays > 0) & (stays < np.bincount(self.groups.ravel())))
        if split.size:
            raise ValueError(f"Oracle: the mask splits group {split[0]}")
        return float(self.losses[_number(stays > 0)])

    def best(self, pruned: int) -> tuple[np.ndarray, float]:
        """The mask (bool, in the weight's shape) with the least loss of all that prune so many groups, and
        that loss; of equal ones the first. ValueError unless `pruned` is 0 … n."""
        if not is_int(pruned) or not 0 <= pruned <= self.size:
            raise ValueError(f"Oracle: pruned must be 0 … {self.size}; got {pruned!r}")
        places = np.flatnonzero(_bits(self.size).sum(axis=1) == self.size - pruned)
        place = places[np.argmin(self.losses[places])]
        return _bits(self.size)[place][self.groups], float(self.losses[place])

    def regret(self, mask: np.ndarray) -> float:
        """The loss of a mask beyond the least that any mask with as many pruned groups has."""
        loss = self.loss(mask)
        stays = np.unique(self.groups[np.asarray(mask) != 0])
        return loss - self.best(self.size - len(stays))[1]

    def regrets(self, scores: np.ndarray) -> np.ndarray:
        """The regret at 1 … n−1 pruned groups, (n−1,), of pruning in the order of rising scores: numbers in
        the weight's shape, of which a group has the sum; of equal groups the first goes."""
        scores = np.asarray(scores, np.float64)
        if scores.shape != self.groups.shape or np.isnan(scores).any():
            raise ValueError(f"Oracle: scores must be numbers in the weight's shape {self.groups.shape}; got "
                             f"{scores.shape}{', with NaN' * bool(np.isnan(scores).any())}")
        order = np.argsort(np.bincount(self.groups.ravel(), scores.ravel()), kind="stable")
        stays, found = np.ones(self.size, bool), []
        for pruned, group in enumerate(order[:-1], 1):
            stays[group] = False
            found.append(float(self.losses[_number(stays)]) - self.best(pruned)[1])
        return np.array(found)

    def ranking(self, scores: Mapping[str, np.ndarray]) -> "Ranking":
        """Scores by name, ranked by their mean regret, the least first."""
        found = {name: self.regrets(one) for name, one in scores.items()}
        return Ranking({name: found[name] for name in sorted(found, key=lambda one: found[one].sum())})


@dataclass(frozen=True, eq=False)
class Ranking:
    """regrets: of each score, by its name, (n−1,) at 1 … n−1 pruned groups; the best score comes first."""

    regrets: dict[str, np.ndarray]

    def __str__(self) -> str:
        wide = max(map(len, self.regrets), default=0)
        lines = [f"{'score':<{wide}}  mean regret  largest, at so many pruned"]
        for name, one in self.regrets.items():
            mean, largest, at = (one.mean(), one.max(), one.argmax() + 1) if one.size else (0.0, 0.0, 0)
            lines.append(f"{name:<{wide}}  {mean:>11.4g}  {largest:.4g} at {at}")
        return "\n".join(lines)


def oracle(w: np.ndarray, loss: Callable[[np.ndarray], float], *, groups: np.ndarray | None = None,
           settle: Settle | None = None) -> Oracle:
    """Try all masks of a weight, of any shape.

    loss(weight) -> a number, of an array like w. groups: for each weight the number of the group that it
    lives and dies with, 0 … n−1, in w's shape; by default each is alone. settle(w, stays) -> the weight
    pruned so: by default w with zeros; one that moves the weights that are left (`compensated` of obs.py)
    finds the best mask for that. Raises ValueError for more than 16 groups or none, groups that are not
    numbered so, and a loss that is NaN. """
    instance("oracle", "w", w, np.ndarray, "an array")
    groups = np.arange(w.size).reshape(w.shape) if groups is None else np.asarray(groups)
    if groups.shape != w.shape or groups.dtype.kind not in "iu":
        raise ValueError(f"oracle: groups must be whole numbers in the weight's shape {w.shape}; got "
                         f"{groups.dtype} {groups.shape}")
    numbers = np.unique(groups)
    n = len(numbers)
    if not 1 <= n <= MOST or not np.array_equal(numbers, np.arange(n)):
        raise ValueError(f"oracle: needs 1 to {MOST} groups, numbered from 0; got {n}"
                         f"{'' if n > MOST or not n else f' from {numbers[0]} to {numbers[-1]}'}")
    settle = _zeroed if settle is None else settle
    losses = np.array([loss(settle(w, stays[groups])) for stays in _bits(n)], np.float64).reshape(2**n)
    if np.isnan(losses).any():
        raise ValueError(f"oracle: the loss is NaN for {int(np.isnan(losses).sum())} of {2**n} masks")
    return Oracle(groups, losses)


def _zeroed(w: np.ndarray, stays: np.ndarray) -> np.ndarray:
    return np.where(stays, w, 0).astype(w.dtype)


def _bits(n: int) -> np.ndarray:
    """(2ⁿ, n) bool: row m holds the bits of m, the lowest first."""
    return (np.arange(2**n)[:, None] >> np.arange(n)) % 2 == 1


def _number(stays: np.ndarray) -> int:
    """The inverse: the row of `_bits`."""
    return int((1 << np.arange(len(stays)))[stays].sum())

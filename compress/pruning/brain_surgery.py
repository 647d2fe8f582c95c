"""Optimal brain surgery on the rows of a layer: which weights go, and how the others make it good.

A row w of the weight becomes q; on what the layer reads the output is then off by E = ½·eᵀHe in the mean,
e = w − q (second_order.py). To remove weight i alone, with all others free to move, costs

    ΔE = ½·wᵢ²/[H⁻¹]ᵢᵢ        and moves the row by        −wᵢ/[H⁻¹]ᵢᵢ · H⁻¹·1ᵢ

(Hassibi & Stork 1993, eq. 5). Then H⁻¹ loses row and column i (`without`), and the next weight goes. Since
each step is the best for its constraint, so are all together: whatever the order, the row ends as the q that
has the least E of all with these zeros, and the ΔE add up to that E (`compensated` finds it from the zeros
alone). Only which weights go depends on the order; here each row removes what is cheapest next (Frantar &
Alistarh 2022, algorithm 1), which is not always the best set: see oracle.py."""

from __future__ import annotations

import numpy as np

from ..second_order import without

ROUNDS = 64      # in about so many a row is taken apart; one of fewer than twice as many weights, one by one
HELD = 2**23     # float64 numbers of the factors that are held at once


def surgery(row: np.ndarray, h: np.ndarray, count: int) -> tuple[np.ndarray, list[int], list[float]]:
    """Remove the `count` weights of a row (n,) that are cheapest one after the other, as the papers say it:
    the row that is left, and in their order the weights and their ΔE. The specification.

    h: (n, n), positive definite."""
    row, inverse = row.astype(np.float64), np.linalg.inv(h)
    left, order, costs = set(range(len(row))), [], []
    for _ in range(count):
        cost = {i: row[i] ** 2 / inverse[i, i] / 2 for i in sorted(left)}
        i = min(cost, key=cost.__getitem__)
        row -= row[i] / inverse[i, i] * inverse[i]
        row[i] = 0
        inverse = without(inverse, i)
        left.remove(i), order.append(i), costs.append(cost[i])
    return row, order, costs


def removals(rows: np.ndarray, inverse: np.ndarray, at_once: int | None = None
             ) -> tuple[np.ndarray, np.ndarray]:
    """The order in which each of `rows` (out, n) loses all its weights, and what each removal costs: both
    (out, n). inverse: H⁻¹ (n, n). The same as `surgery`, in blocks, a Cholesky factorisation of H⁻¹ with
    pivots for each row.

    at_once: so many weights are chosen together, and then removed one after the other; their costs are exact
    whatever is chosen. By default one while n is below 2·ROUNDS, then more: it is out·n³ operations, and with
    one at a time each reads its numbers from memory."""
    count = max(1, rows.shape[1] // ROUNDS) if at_once is None else at_once
    many = max(1, HELD // max(inverse.size, 1))
    parts = [_removals(rows[at:at + many].astype(np.float64), inverse, count)
             for at in range(0, len(rows), many)]
    return tuple(np.concatenate(found) for found in zip(*parts, strict=True))


def _removals(w: np.ndarray, inverse: np.ndarray, at_once: int) -> tuple[np.ndarray, np.ndarray]:
    """Of a few rows. What is left of H⁻¹ after k removals is H⁻¹ − FᵀF, F the k rows found so far; of it only
    the diagonal is kept up, and the rows of the weights that go are made when they do."""
    out, n = w.shape
    each, factor, diagonal = np.arange(out), np.zeros((out, n, n)), np.tile(np.diag(inverse), (out, 1))
    order, costs, there = np.zeros((out, n), int), np.zeros((out, n)), np.ones((out, n), bool)
    for start in range(0, n, at_once):
        block = range(start, min(start + at_once, n))
        saliency = np.where(there, w**2 / diagonal, np.inf)
        chosen = np.argpartition(saliency, len(block) - 1, axis=1)[:, :len(block)]
        mixed = np.take_along_axis(factor[:, :start], chosen[:, None], axis=2)  # (out, start, chosen)
        found = inverse[chosen] - mixed.swapaxes(1, 2) @ factor[:, :start]  # their rows of it, as it is now
        for k in block:
            now = np.take_along_axis(np.where(there, w**2 / diagonal, np.inf), chosen, axis=1)
            which = now.argmin(axis=1)
            i = chosen[each, which]
            pivot, value = diagonal[each, i], w[each, i]
            line = found[each, which] / np.sqrt(pivot)[:, None]
            order[:, k], costs[:, k], factor[:, k] = i, value**2 / pivot / 2, line
            w -= (value / np.sqrt(pivot))[:, None] * line
            found -= np.take_along_axis(line, chosen, axis=1)[:, :, None] * line[:, None]
            diagonal -= line**2
            there[each, i], w[each, i], diagonal[each, i] = False, 0, 1
    return order, costs


def rising(costs: np.ndarray) -> np.ndarray:
    """Costs (out, n) in the order of removal, as saliencies that rise in this order, so that whoever removes
    the least first removes in it: where one costs less than those before it, all of them get their mean. (The
    slopes of the largest convex function below the sums of costs; a row's total stays. Equal ones are apart
    by a rounding.)"""
    found = np.empty(costs.shape)
    for into, one in zip(found, costs.tolist(), strict=True):
        means, counts = [], []
        for cost in one:
            count = 1
            while means and means[-1] > cost:  # pool adjacent violators
                cost = (means.pop() * counts[-1] + cost * count) / (counts[-1] + count)
                count += counts.pop()
            means.append(cost), counts.append(count)
        within = np.arange(len(one)) - np.repeat(np.cumsum(counts) - counts, counts)
        into[:] = np.repeat(means, counts) * (1 + within * 2.0**-50)
    return np.maximum.accumulate(found, axis=1)


def compensated(rows: np.ndarray, stays: np.ndarray, h: np.ndarray) -> np.ndarray:
    """The rows (out, n) with zeros where `stays` (out, n) is 0, and the rest such that E is least: with M the
    weights that go and S those that stay, e_S = −H_SS⁻¹·H_SM·w_M. float64. h: (n, n), positive definite."""
    rows, stays = rows.astype(np.float64), stays != 0
    found, inverse = np.where(stays, rows, 0), None
    patterns, which = np.unique(stays, axis=0, return_inverse=True)
    for number, keeps in enumerate(patterns):  # rows that prune alike are solved for together
        at = np.flatnonzero(which.ravel() == number)
        kept, gone = np.flatnonzero(keeps), np.flatnonzero(~keeps)
        lost = rows[np.ix_(at, gone)]
        if not kept.size or not lost.any():
            continue
        if len(kept) <= len(gone):
            moved = np.linalg.solve(h[np.ix_(kept, kept)], h[np.ix_(kept, gone)] @ lost.T).T
        else:  # the same by the smaller system: with all of H⁻¹, e = H⁻¹·[:, M]·([H⁻¹]_MM)⁻¹·w_M
            inverse = np.linalg.inv(h) if inverse is None else inverse
            moved = -(inverse[np.ix_(kept, gone)] @ np.linalg.solve(inverse[np.ix_(gone, gone)], lost.T)).T
        found[np.ix_(at, kept)] += moved
    return found


def error(change: np.ndarray, h: np.ndarray) -> np.ndarray:
    """E = ½·eᵀHe of each row e of a change (out, n): (out,)."""
    change = change.astype(np.float64)
    return np.einsum("ri,ri->r", change @ h, change) / 2

"""Second-order compression of a layer: what the weights that are left can make good of an error in one.

A row w of a layer's weight becomes q. On inputs x the output is then off by e·x, e = w − q, in the mean by

    E = mean (e·x)² = ½·eᵀHe,    H = 2·X·Xᵀ/N    (X: the N inputs as columns)

Optimal brain surgery (Hassibi & Stork 1993, eq. 5 and 6): if eᵢ is given and the rest of e is free, E is
least with e = eᵢ/[H⁻¹]ᵢᵢ · H⁻¹·1ᵢ. Optimal Brain Compression (Frantar & Alistarh 2022) rounds in the place of
removing: round a weight, move those that are not rounded yet, go on without it (`obq`). GPTQ (Frantar et al.
2023) takes the columns in one order for all rows; what H⁻¹ is at each step is then known beforehand: the rows
of the Cholesky factor of H⁻¹ (`gptq`). `nearest_plane` gives the same from a factor of H itself, without an
inverse and in blocks.

Why: let H = RᵀR with R lower triangular. Then 2E = ‖R·e‖², and row i of R·e is Rᵢᵢ·(w̃ᵢ − qᵢ), where

    w̃ᵢ = wᵢ + Σ_{j<i} (Rᵢⱼ/Rᵢᵢ)·(wⱼ − qⱼ)     so     2E = Σᵢ Rᵢᵢ²·(w̃ᵢ − qᵢ)²,   whatever q is.

Rounding w̃ᵢ to the nearest makes the terms small one after the other: Babai's (1986) nearest plane in the
lattice of R's columns times the steps of the grid (Chen et al. 2025, "The Geometry of LLM Quantization: GPTQ
as Babai's Nearest Plane Algorithm"). As |w̃ᵢ − qᵢ| ≤ sᵢ/2 where no code is clipped, 2E ≤ ¼·Σ Rᵢᵢ²·sᵢ²."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import sqrt

import numpy as np

BLOCK = 128  # columns whose errors reach those behind them in one product of matrices

Rounds = Callable[[np.ndarray, int], np.ndarray]  # (a column of weights, its number) -> what they become


@dataclass
class Hessian:
    """H = 2·X·Xᵀ/N of what a layer reads: `matrix` (groups, in, in) float64, a block for each group of a
    convolution (a linear layer is one group); `count`: N, the inputs (of a convolution: the patches) seen."""

    matrix: np.ndarray
    count: int

    @classmethod
    def of(cls, batches: Iterable[np.ndarray]) -> Hessian:
        """Of inputs (groups, some, in) float32, batch after batch: only the sums are held.

        Raises ValueError for NaN or infinity, and where there is no input."""
        total, count = None, 0
        for x in batches:
            if not np.isfinite(x).all():
                raise ValueError("holds NaN or infinity")
            x = x.astype(np.float64)
            products = x.swapaxes(1, 2) @ x
            total, count = products if total is None else total + products, count + x.shape[1]
        if not count:
            raise ValueError("is of no input")
        return cls(total * (2 / count), count)

    def groups(self, rows: np.ndarray) -> list[np.ndarray]:
        """The rows of a weight's matrix, or views of anything with as many rows, group by group."""
        return np.split(rows, len(self.matrix))

    def norm(self, change: np.ndarray) -> float:
        """√(Σ E) over the rows of a change (out, in): the root of the mean square that the outputs move."""
        change = change.astype(np.float64)
        squares = sum(float(np.einsum("ri,ri->", e @ h, e))
                      for h, e in zip(self.matrix, self.groups(change), strict=True))
        return sqrt(max(squares, 0.0) / 2)

    def longest(self, size: float) -> float:
        """What `norm` is at most for a change with ‖change‖₂ = size: eᵀHe ≤ trace(H)·‖e‖²."""
        return size * sqrt(float(np.trace(self.matrix, axis1=1, axis2=2).max()) / 2) * (1 + 1e-9)


def damped(h: np.ndarray, damping: float) -> np.ndarray:
    """H + λ·1 with λ = damping · mean of H's diagonal (1 if that is 0): positive definite, though inputs may
    be 0 or fewer than weights. It charges no error less than H does, and keeps compensation small."""
    return h + (damping * float(np.trace(h)) / len(h) or 1.0) * np.eye(len(h))


def lower_factor(h: np.ndarray) -> np.ndarray:
    """R, lower triangular with a positive diagonal, H = RᵀR: Cholesky's factor from the last row upwards.

    Rᵢᵢ² is what is left of Hᵢᵢ, of 2·mean xᵢ², when the inputs behind i have explained what they can. Raises
    ValueError where H is not positive definite in float64."""
    try:
        return np.linalg.cholesky(h[::-1, ::-1])[::-1, ::-1].T
    except np.linalg.LinAlgError:
        raise ValueError("its inputs depend on each other too closely for float64; more damping is needed"
                         ) from None


def inverse_factor(h: np.ndarray) -> np.ndarray:
    """U, upper triangular with a positive diagonal, H⁻¹ = UᵀU: the factor that GPTQ and optimal brain surgery
    share. With the first i weights settled, H⁻¹ of the rest is U[i:, i:]ᵀ·U[i:, i:], so its first row is
    Uᵢᵢ·U[i, i:]: an error d in weight i moves weight j by −d·Uᵢⱼ/Uᵢᵢ, and adds ½·(d/Uᵢᵢ)² to E. To prune
    weight i is to make it 0: d = wᵢ. U = R⁻ᵀ. Raises ValueError as `lower_factor` does."""
    return np.triu(np.linalg.inv(lower_factor(h)).T)


def without(inverse: np.ndarray, i: int) -> np.ndarray:
    """H⁻¹ once weight i is settled, row and column i of it 0: what the inverse of H without row and column i
    is, by one step of elimination (Frantar & Alistarh 2022, lemma 1; a Schur complement of H⁻¹)."""
    rest = inverse - np.outer(inverse[:, i], inverse[i] / inverse[i, i])
    rest[i], rest[:, i] = 0, 0
    return rest


def obq(w: np.ndarray, h: np.ndarray, rounds: Rounds) -> np.ndarray:
    """Round the columns of w (out, in) in their order, by optimal brain surgery as it stands in the paper."""
    w, inverse = w.astype(np.float64), np.linalg.inv(h)
    for i in range(len(h)):
        q = rounds(w[:, i], i)
        w -= np.outer((w[:, i] - q) / inverse[i, i], inverse[i])
        w[:, i] = q
        inverse = without(inverse, i)
    return w


def gptq(w: np.ndarray, h: np.ndarray, rounds: Rounds) -> np.ndarray:
    """The same by the factor of H⁻¹ (Frantar et al. 2023, algorithm 1): the specification."""
    w, u = w.astype(np.float64), inverse_factor(h)
    for i in range(len(h)):
        q = rounds(w[:, i], i)
        w[:, i + 1:] -= np.outer((w[:, i] - q) / u[i, i], u[i, i + 1:])
        w[:, i] = q
    return w


def nearest_plane(w: np.ndarray, r: np.ndarray, rounds: Rounds) -> np.ndarray:
    """The same by the factor R of H: w̃ᵢ as above, the errors of earlier blocks by one product of matrices.

    Each w̃ᵢ is computed from errors that are known exactly, so roundings of float64 do not build up."""
    w = w.astype(np.float64)
    moves, errors, q = compensation(r), np.zeros_like(w), np.zeros_like(w)
    for start in range(0, len(r), BLOCK):
        block = slice(start, start + BLOCK)
        updated = w[:, block] + errors[:, :start] @ moves[block, :start].T
        for i, column in enumerate(updated.T, start):
            q[:, i] = rounds(column + errors[:, start:i] @ moves[i, start:i], i)
            errors[:, i] = w[:, i] - q[:, i]
    return q


def compensation(r: np.ndarray) -> np.ndarray:
    """Rᵢⱼ/Rᵢᵢ below the diagonal: by how much an error in weight j moves weight i."""
    return np.tril(r / np.diag(r)[:, None], -1)


@dataclass(frozen=True)
class PlaneBound:
    """A certificate for one group of rows: `square` bounds Σ E over them; `clipped` codes were farther from
    what they stand for than half a step, and count with how far they were."""

    square: float
    clipped: int


def plane_bound(w: np.ndarray, q: np.ndarray, half: Callable[[np.ndarray], np.ndarray], h: np.ndarray,
                r: np.ndarray, count: int) -> PlaneBound:
    """What 2E = Σ Rᵢᵢ²·(w̃ᵢ − qᵢ)² is at most, of weights w that became q (out, in), whatever rounded them.

    half: gives how far codes may be from the w̃ᵢ in range, s/2; where there is more between them, that counts.
    h, count: a block of the Hessian before it was damped, and its inputs; r: the factor of the damped
    one. An input that is always 0 has no part in E, whatever its weight is.

    With u = 2⁻⁵³ and γ_k = k·u/(1 − k·u), beside exact arithmetic (Higham 2002, eq. 3.4 and theorem 10.3):
        w̃ᵢ is off by at most       γ_{n+4}·(|wᵢ| + Σ |Rᵢⱼ/Rᵢᵢ|·|eⱼ|)
        H by Cholesky and by sums, together with a product eᵀHe, moves 2E by at most
                                    (γ_{n+1}·Σ Rᵢⱼ² + (γ_{count+2} + γ_{2n})·trace H)·‖e‖²"""
    n, moves, e = len(r), compensation(r), w - q
    updated = w + e @ moves.T
    off, half = np.abs(updated - q), half(updated)
    slack = gamma(n + 4) * (np.abs(w) + np.abs(e) @ np.abs(moves).T)
    clipped = off > half * (1 + 2.0**-20) + slack
    terms = (np.where(off > half, off, half) + slack) * np.diag(r)
    exact = float(np.sum(terms[:, np.diag(h) > 0] ** 2))
    lost = gamma(n + 1) * float(np.sum(r**2)) + (gamma(count + 2) + gamma(2 * n)) * float(np.trace(h))
    square = (exact + lost * float(np.sum(e**2)) * (float(np.trace(h)) > 0)) / 2
    return PlaneBound(square * (1 + gamma(w.size + 16)), int(np.count_nonzero(clipped)))


def gamma(k: int) -> float:
    """γ_k of float64."""
    return k * 2.0**-53 / (1 - k * 2.0**-53)

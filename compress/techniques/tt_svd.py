"""TT-SVD: a tensor as a train of cores, and bounds of what the SVDs and float32 lose."""

from math import prod, sqrt

import numpy as np

from ..stored import gamma

SMALLEST = 2.0**-149  # of the subnormal float32: what an underflow may lose


def balanced_modes(n: int, count: int) -> tuple[int, ...]:
    """`count` factors of n in rising order, as equal as possible (their sum is the least): 300 → (5, 6, 10).

    A prime has only itself and ones: 31 → (1, 1, 31)."""
    if count == 1:
        return (n,)
    smallest = [f for f in range(1, n + 1) if f**count <= n and n % f == 0]
    choices = [(f, *rest) for f in smallest for rest in [balanced_modes(n // f, count - 1)] if rest[0] >= f]
    return min(choices, key=sum)


def tt_svd(tensor: np.ndarray, ranks: tuple[int, ...] | None, eps: float) -> tuple[list[np.ndarray], float]:
    """The cores (rₖ₋₁, nₖ, rₖ) of a float64 tensor, and √(Σ εₖ²) (Oseledets 2011, algorithm 1).

    One SVD a bond, from left to right, of what the SVDs before it left. `ranks` are kept, or else the fewest
    singular values with εₖ ≤ δ = eps/√(d−1)·‖A‖ (whole error ≤ eps·‖A‖); one at least, no rounding noise."""
    sizes, cores, discarded, rank = tensor.shape, [], 0.0, 1
    delta = eps / sqrt(max(len(sizes) - 1, 1)) * float(np.linalg.norm(tensor))
    rest = tensor
    for k, n in enumerate(sizes[:-1]):
        u, s, vt = np.linalg.svd(rest.reshape(rank * n, -1), full_matrices=False)
        tails = np.sqrt(np.cumsum(s[::-1] ** 2))[::-1]  # tails[j]: the error of keeping j
        noise = s[0] * max(u.shape[0], vt.shape[1]) * 2.0**-52
        keep = ranks[k] if ranks else max(1, int(np.count_nonzero(tails > max(delta, noise))))
        discarded += float(np.sum(s[keep:] ** 2))
        cores.append(u[:, :keep].reshape(rank, n, keep))
        rest, rank = s[:keep, None] * vt[:keep], keep
    return [*cores, rest.reshape(rank, sizes[-1], 1)], sqrt(discarded)


def equalized(cores: list[np.ndarray]) -> list[np.ndarray]:
    """The same product with cores of about equal entries, for one learning rate to suit all: powers of 2 move
    from core to core (exactly), where the SVD leaves the weight's whole size in the last."""
    mean = np.array([np.linalg.norm(core) / sqrt(core.size) for core in cores])
    if not mean.all():
        return cores
    power = np.rint(np.log2(mean).mean() - np.log2(mean)).astype(int)
    power[-1] -= power.sum()
    return [np.ldexp(core, p) for core, p in zip(cores, power, strict=True)]


# What float32 may lose, for the bounds. K: the products that one entry of a step sums, whichever way it goes.


def growth(cores: list[np.ndarray]) -> float:
    """∏(1 + γ_{K+2}) − 1: the roundings of a chain of products and of its cores, relative to |G₁|·…·|G_d|."""
    return prod(1 + gamma(i * max(r, s) + 2) for r, i, _, s in (core.shape for core in cores)) - 1


def underflow(cores: list[np.ndarray]) -> float:
    """What underflow adds: a smallest number for each product and core entry, times the other cores' sums."""
    sums = [max(1.0, float(np.abs(core, dtype=np.float64).sum())) for core in cores]
    terms = [i * max(r, s) + 1 for r, i, _, s in (core.shape for core in cores)]
    return sum(k * SMALLEST * prod(sums) / own for k, own in zip(terms, sums, strict=True))


def magnitude(cores: list[np.ndarray]) -> float:
    """‖ |G₁|·…·|G_d| ‖₂ without building it: its square is a chain of small matrices."""
    gram = np.ones((1, 1))
    for core in cores:
        core = np.abs(core, dtype=np.float64)
        gram = np.einsum("ab,aioc,biod->cd", gram, core, core, optimize=True)
    return sqrt(gram[0, 0])

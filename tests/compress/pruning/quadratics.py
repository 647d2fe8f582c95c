"""Random quadratic losses for the tests of pruning."""

from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32 - 1)


def positive_definite(rng, n):
    """H (n, n) of inputs that depend on each other, some ten times as loud as others."""
    x = rng.standard_normal((2 * n + 3, n)).cumsum(axis=1) * 10 ** rng.uniform(-0.5, 0.5, n)
    return 2 * x.T @ x / len(x)

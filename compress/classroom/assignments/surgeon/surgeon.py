"""Assignment 11: optimal brain damage and optimal brain surgery

What does the loss rise by when a weight becomes 0? A small one may matter much, and others may make a large
one good: two papers ask the curvature of the loss. `notebooks/08b_surgery.py` prepares this assignment.

1. The loss of a model f over N samples is L(w) = 1/(2N) Σₛ ‖f(xₛ, w) − tₛ‖². At a minimum it has no slope,
   and when the weights, n numbers in a row, change by a small δ, it changes by

       ΔL = ½ δᵀ H δ,        H = 1/N Σₛ Jₛᵀ Jₛ,        Jₛ = ∂f(xₛ, w) / ∂w   (outputs × n).

   This is the Gauss–Newton matrix, the Hessian without the second derivatives of f; where f is linear in w it
   is the Hessian, and ΔL is exact. Its diagonal, h_q = 1/N Σₛ Σₒ (Jₛ)ₒq², takes no matrix: it is a mean of
   squares, not the square of a mean, and of gradients of the outputs, not of the loss.

2. OBD (LeCun, Denker & Solla 1990). Where weight q alone becomes 0 and no other moves, ΔL = ½ h_q w_q²: its
   *saliency*. OBD takes the diagonal for all of H, so that several together cost their sum. The weights of
   least saliency go; of equal ones the first.

3. OBS (Hassibi & Stork 1993). The others may move. Of all δ with δ_q = −w_q, ½ δᵀ H δ is least for

       δ = −w_q / [H⁻¹]_qq · H⁻¹ e_q,        ΔL = ½ w_q² / [H⁻¹]_qq     (e_q: column q of the unit matrix).

   After that w_q is exactly 0, and a smaller problem is left, without weight q. The inverse of its H, which
   is H without row and column q, follows from H⁻¹ (a Schur complement):

       H⁻¹ ← H⁻¹ − H⁻¹ e_q e_qᵀ H⁻¹ / [H⁻¹]_qq .

   Arrays keep their shape: row and column q become exactly 0. So a 0 on the diagonal of H⁻¹ says that a
   weight is gone; its saliency is ∞. A weight that is there may be 0 by chance, and has saliency 0.
   Down to k weights: the one of least saliency goes (of equal ones the first), then of those that are left,
   and so on, each time with the weights and the inverse as they are by then.

4. A group Q of weights, say of one neuron, goes at once, with ΔL = ½ w_Qᵀ ([H⁻¹]_QQ)⁻¹ w_Q. What δ and the
   new H⁻¹ are is yours to find: with one weight in the group they are those above. Who takes the cheapest
   weight each time need not end at the cheapest set; the *oracle* tries all sets of k weights.

5. With fewer samples than weights H has no inverse, and with few more a bad one. *Damping* adds λ to each
   number on its diagonal before it is inverted, λ = damping · the mean of the diagonal of H.

Arrays are float64; return new ones. Run this file to see what holds; more is looked at when it is graded.
"""

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compress.classroom import expect, graded, main


def network(w1, w2, x):
    """What a small network computes, of x (N, in): (N, outputs). w1 (hidden, in), w2 (outputs, hidden)."""
    return np.tanh(x @ w1.T) @ w2.T


# Here you write. The function above is given.

def jacobian(w1, w2, x):
    """The derivatives of all outputs of `network` for each sample, (N, outputs, n): by the n weights, those
    of w1 before those of w2, each in C order."""
    ### BEGIN SOLUTION
    a = np.tanh(x @ w1.T)
    by_w1 = np.einsum("oh,nh,ni->nohi", w2, 1 - a**2, x)
    by_w2 = np.einsum("op,nh->noph", np.eye(len(w2)), a)
    shape = len(x), len(w2)
    return np.concatenate([by_w1.reshape(*shape, w1.size), by_w2.reshape(*shape, w2.size)], axis=2)
    ### END SOLUTION


def gauss_newton(j):
    """H (n, n), of j (N, outputs, n)."""
    ### BEGIN SOLUTION
    rows = j.reshape(-1, j.shape[2])
    return rows.T @ rows / len(j)
    ### END SOLUTION


def gauss_newton_diagonal(j):
    """h (n,), the diagonal of H, of j (N, outputs, n)."""
    ### BEGIN SOLUTION
    return (j**2).sum(axis=1).mean(axis=0)
    ### END SOLUTION


def damped_inverse(h, damping):
    """(H + λ · 1)⁻¹ (n, n), of H (n, n)."""
    ### BEGIN SOLUTION
    return np.linalg.inv(h + damping * np.diag(h).mean() * np.eye(len(h)))
    ### END SOLUTION


def obd_saliency(w, h):
    """OBD's saliencies (n,), of the weights and the diagonal of H, both (n,)."""
    ### BEGIN SOLUTION
    return h * w**2 / 2
    ### END SOLUTION


def obd(w, h, k):
    """The weights with all but k set to 0, and the ΔL that OBD predicts: an array (n,) and a float."""
    ### BEGIN SOLUTION
    saliency = obd_saliency(w, h)
    gone = np.argsort(saliency, kind="stable")[:len(w) - k]
    w = w.copy()
    w[gone] = 0
    return w, float(saliency[gone].sum())
    ### END SOLUTION


def obs_saliency(w, inverse):
    """OBS's saliencies (n,), of the weights and H⁻¹ (n, n): ∞ for those that are gone."""
    ### BEGIN SOLUTION
    diagonal = np.diag(inverse)
    saliency = np.full(len(w), np.inf)
    there = diagonal > 0
    saliency[there] = w[there] ** 2 / diagonal[there] / 2
    return saliency
    ### END SOLUTION


def remove(w, inverse, q):
    """One step of surgery, on weight q: the new weights (n,), the new H⁻¹ (n, n), and ΔL, a float."""
    ### BEGIN SOLUTION
    row, pivot = inverse[q], inverse[q, q]
    moved = w - w[q] / pivot * row
    left = inverse - np.outer(row, row) / pivot
    moved[q] = left[q] = left[:, q] = 0
    return moved, left, float(w[q] ** 2 / pivot / 2)
    ### END SOLUTION


def obs(w, inverse, k):
    """Down to k weights, from H⁻¹ of all: the new weights (n,), and two lists in the order in which weights
    went: which ones, and the ΔL of each."""
    ### BEGIN SOLUTION
    order, costs = [], []
    for _ in range(len(w) - k):
        q = int(np.argmin(obs_saliency(w, inverse)))
        w, inverse, cost = remove(w, inverse, q)
        order.append(q)
        costs.append(cost)
    return w, order, costs
    ### END SOLUTION


def remove_group(w, inverse, group):
    """Surgery on all weights in a list at once: the new weights, the new H⁻¹, and ΔL, a float."""
    ### BEGIN SOLUTION
    rows = inverse[group]
    solved = np.linalg.solve(inverse[np.ix_(group, group)], np.column_stack([w[group], rows]))
    moved = w - rows.T @ solved[:, 0]
    left = inverse - rows.T @ solved[:, 1:]
    moved[group] = left[group] = left[:, group] = 0
    return moved, left, float(w[group] @ solved[:, 0] / 2)
    ### END SOLUTION


def oracle(w, inverse, k):
    """Of all sets of k weights that may stay, one with the least ΔL: a list of which weights stay, rising,
    and that ΔL, a float. 1 ≤ k < n, and H⁻¹ is that of all n."""
    ### BEGIN SOLUTION
    def cost(kept):
        return remove_group(w, inverse, [q for q in range(len(w)) if q not in kept])[2]

    kept = min(combinations(range(len(w)), k), key=cost)
    return list(kept), cost(kept)
    ### END SOLUTION


# What is graded. (Functions of your own stand above this line, and have other names than those below it.)

SEEDS, SIZES = st.integers(0, 999), st.integers(3, 6)


class LeastSquares:
    """A model that is linear in its n weights, whose inputs depend on each other, and its best weights."""

    def __init__(self, seed, n, samples=None):
        rng, samples = np.random.default_rng(seed), samples or 4 * n
        self.x = rng.normal(size=(samples, n)) + rng.normal(size=(samples, 1))
        self.t = self.x @ rng.uniform(0.5, 1.5, n) + rng.normal(size=samples) / 2
        self.best, self.h = self.minimum(range(n)), self.x.T @ self.x / samples

    def minimum(self, kept):
        """The best weights when only these may differ from 0."""
        kept, w = list(kept), np.zeros(self.x.shape[1])
        w[kept] = np.linalg.lstsq(self.x[:, kept], self.t, rcond=None)[0]
        return w

    def rise(self, w):
        """By how much the loss of w lies above that of the best weights."""
        loss, least = (float(np.mean((self.x @ one - self.t) ** 2)) / 2 for one in (w, self.best))
        return loss - least

    def inverse(self, kept):
        """The inverse of H without the other rows and columns, which are 0 in it."""
        at, inverse = np.ix_(list(kept), list(kept)), np.zeros(self.h.shape)
        inverse[at] = np.linalg.inv(self.h[at])
        return inverse


def near(got, wanted, what):
    """AssertionError unless a number, or each of an array, is as wanted but for rounding."""
    right = np.abs(got - wanted) <= 1e-8 * (1 + np.abs(wanted))
    assert right.all(), f"{what}: wanted {np.round(wanted, 6).tolist()}, got {np.round(got, 6).tolist()}"


def called(student, name, *arguments):
    """What a function returns. It must leave its arguments as they are."""
    value = getattr(student, name)(*arguments)
    assert not getattr(student, name).changed, f"{name} writes into what it is given"
    return value


def array_of(student, name, shape, *arguments, finite=True):
    """The array that a function returns."""
    return expect.array(called(student, name, *arguments), name, dtype=np.float64, shape=shape, finite=finite)


def check_cuts(student, name, problem, parts):
    """Raise unless `remove`, or `remove_group`, takes away each part as it should, one after the other."""
    kept = [*range(len(problem.h))]
    w, inverse = problem.best, problem.inverse(kept)
    for part in parts:
        which = part if name == "remove_group" else part[0]
        moved, left, cost = expect.items(called(student, name, w, inverse, which), name, 3)
        moved = expect.array(moved, f"the weights of {name}", dtype=np.float64, shape=w.shape)
        left = expect.array(left, f"the inverse of {name}", dtype=np.float64, shape=inverse.shape)
        said, kept = f"{part} of weights {kept} go, and", [q for q in kept if q not in part]
        away = np.setdiff1d(np.arange(len(w)), kept)
        assert not moved[away].any(), f"{said} weights {away} are {moved[away].tolist()}, not 0"
        assert not left[away].any(), f"{said} rows {away} of the inverse are {left[away].tolist()}, not 0"
        assert not left[:, away].any(), f"{said} columns {away} of the inverse are not 0, but for rounding"
        best, inverse, cost = problem.minimum(kept), problem.inverse(kept), expect.real(cost, f"ΔL of {name}")
        near(moved, best, f"{said} the weights should be the best of those that are left")
        near(left, inverse, f"{said} the inverse should be that of the smaller H")
        near(cost, problem.rise(best) - problem.rise(w), f"{said} ΔL is another")
        w = best


def sequence(student, w, inverse, k):
    """What `obs` returns, if exactly n − k weights went, each once, and are 0."""
    n = len(w)
    moved, order, costs = expect.items(called(student, "obs", w, inverse, k), "obs", 3)
    moved = expect.array(moved, "the weights of obs", dtype=np.float64, shape=w.shape)
    order = [expect.whole(q, "a weight that obs removes") for q in expect.items(order, "the order", n - k)]
    assert len({*order} & {*range(n)}) == n - k, f"of {n} weights {k} stay, and these went: {order}"
    assert not moved[order].any(), f"weights {order} went, and are {moved[order].tolist()}, not 0"
    return moved, order, [expect.real(one, "a ΔL of obs") for one in expect.items(costs, "all ΔL", n - k)]


@graded(points=3)
@given(seed=SEEDS, sizes=st.sampled_from([(3, 2, 2), (2, 3, 1), (1, 2, 3)]), samples=st.integers(2, 4))
def derivatives_are_those_of_the_network(student, seed, sizes, samples):
    """Each output of each sample by each weight, by central differences."""
    rng, (read, hidden, outputs) = np.random.default_rng(seed), sizes
    w1, w2, x = (rng.normal(size=one) for one in ((hidden, read), (outputs, hidden), (samples, read)))

    def output(move):
        return network(w1 + move[:w1.size].reshape(w1.shape), w2 + move[w1.size:].reshape(w2.shape), x)

    moves = 1e-5 * np.eye(w1.size + w2.size)
    wanted = np.stack([(output(move) - output(-move)) / 2e-5 for move in moves], axis=-1)
    near(array_of(student, "jacobian", wanted.shape, w1, w2, x), wanted, f"jacobian of {w1}, {w2}, {x}")


@graded(points=3)
@given(seed=SEEDS, samples=st.integers(1, 4), outputs=st.integers(1, 3), n=SIZES)
def curvature_is_a_mean_of_squares(student, seed, samples, outputs, n):
    """H has the second differences of the loss of a model that is linear in w, and h is its diagonal."""
    rng = np.random.default_rng(seed)
    j, t = rng.integers(-3, 4, (samples, outputs, n)) * 1.0, rng.normal(size=(samples, outputs))

    def loss(w):
        return float(((j @ w - t) ** 2).sum()) / (2 * samples)

    wanted = np.array([[loss(a + b) - loss(a) - loss(b) + loss(0 * a) for b in np.eye(n)] for a in np.eye(n)])
    near(array_of(student, "gauss_newton_diagonal", (n,), j), np.diag(wanted), f"h of J = {j.tolist()}")
    near(array_of(student, "gauss_newton", (n, n), j), wanted, f"H of J = {j.tolist()}")


@graded(points=2)
@given(seed=SEEDS, n=SIZES, samples=st.sampled_from([2, 20]), damping=st.sampled_from([0.01, 0.5, 1.0]),
       scale=st.sampled_from([0.01, 1.0, 100.0]))
def the_inverse_is_damped(student, seed, n, samples, damping, scale):
    """(H + λ · 1) times it is 1, with fewer samples than weights too; λ grows with H."""
    h = scale * LeastSquares(seed, n, samples).h
    inverse = array_of(student, "damped_inverse", (n, n), h, damping)
    damped = h + damping * sum(h[q, q] for q in range(n)) / n * np.eye(n)
    near(damped @ inverse, np.eye(n), f"H = {h.tolist()}: H + λ · 1 times its inverse")


@graded(points=1)
@given(seed=SEEDS, n=SIZES)
def obd_predicts_what_one_weight_costs(student, seed, n):
    """On least squares: by how much the loss rises when that weight alone becomes 0."""
    problem = LeastSquares(seed, n)
    got = array_of(student, "obd_saliency", (n,), problem.best, np.diag(problem.h).copy())
    wanted = [problem.rise(np.where(np.arange(n) == q, 0, problem.best)) for q in range(n)]
    near(got, np.array(wanted), f"OBD's saliencies of {problem.best.tolist()}")


@graded(points=2)
@given(seed=SEEDS, n=SIZES, kept=st.integers(0, 6))
def obd_prunes_the_least(student, seed, n, kept):
    """All but k go, of equal ones the first; the rest stays; and where H is diagonal ΔL is true."""
    rng, k = np.random.default_rng(seed), min(kept, n)
    w, h = rng.integers(-2, 3, n) / 2, rng.integers(1, 4, n) * 1.0
    order = sorted(range(n), key=lambda q: (h[q] * w[q] ** 2, q))
    wanted = np.where(np.isin(np.arange(n), order[:n - k]), 0, w)
    pruned, cost = expect.items(called(student, "obd", w, h, k), "obd", 2)
    pruned = expect.array(pruned, "the weights of obd", dtype=np.float64, shape=w.shape)
    said = f"w = {w.tolist()}, h = {h.tolist()}, {k} stay:"
    assert (pruned == wanted).all(), f"{said} wanted {wanted.tolist()}, got {pruned.tolist()}"
    near(expect.real(cost, "the ΔL of obd"), float(h @ (wanted - w) ** 2) / 2, f"{said} ΔL")


@graded(points=2)
@given(seed=SEEDS, n=SIZES, there=st.integers(1, 6))
def obs_predicts_what_one_weight_costs(student, seed, n, there):
    """On least squares: by how much the loss rises when that weight becomes 0 and all others move to where
    it is least. That is less than what OBD says; and ∞ for weights that are gone."""
    problem, kept = LeastSquares(seed, n), np.random.default_rng(seed).permutation(n)[:there].tolist()
    w, inverse = problem.minimum(kept), problem.inverse(kept)
    wanted = np.array([problem.rise(problem.minimum({*kept} - {q})) - problem.rise(w) if q in kept else np.inf
                       for q in range(n)])
    got = array_of(student, "obs_saliency", (n,), w, inverse, finite=False)
    said = f"of {n} weights {sorted(kept)} are there: the saliencies of OBS"
    assert ((got == np.inf) == (wanted == np.inf)).all(), f"{said}: wanted {wanted}, got {got}"
    near(got[kept], wanted[kept], said)
    still = array_of(student, "obd_saliency", (n,), w, np.diag(problem.h).copy())[kept]
    assert (got[kept] <= still + 1e-9).all(), f"{said} are {got[kept]}, and those of OBD {still}"


@graded(points=3)
@given(seed=SEEDS, n=SIZES, steps=st.integers(1, 6))
def what_is_left_is_a_smaller_problem(student, seed, n, steps):
    """`remove`, some times: the true ΔL, exact zeros, the best of weights, the inverse of the smaller H."""
    order = np.random.default_rng(seed).permutation(n)[:steps].tolist()
    check_cuts(student, "remove", LeastSquares(seed, n), [[q] for q in order])


@graded(points=3)
@given(seed=SEEDS, n=SIZES, kept=st.integers(0, 6))
def each_step_takes_the_cheapest(student, seed, n, kept):
    """Down to k: each weight that goes costs least of those that are there, each ΔL is the true one, and what
    is left at the end is the best of its kind."""
    problem, k = LeastSquares(seed, n), min(kept, n)
    moved, order, costs = sequence(student, problem.best, problem.inverse(range(n)), k)
    there, before = {*range(n)}, 0.0
    for q, cost in zip(order, costs, strict=True):
        rises = {i: problem.rise(problem.minimum(there - {i})) - before for i in sorted(there)}
        least = min(rises, key=rises.__getitem__)
        assert rises[q] <= rises[least] + 1e-9, f"of weights {[*rises]} {least} costs least, and {q} went"
        near(cost, rises[q], f"of weights {[*rises]} {q} went, ΔL")
        there, before = there - {q}, before + rises[q]
    near(moved, problem.minimum(there), f"of {n} weights {sorted(there)} are left, and best at other numbers")


### BEGIN HIDDEN TESTS
@graded(points=1)
@given(seed=SEEDS, n=st.integers(4, 8), kept=st.integers(0, 4))
def first_of_equals_go(student, seed, n, kept):
    """Of weights that cost the same the first goes first; those that are 0 before all others."""
    rng = np.random.default_rng(seed)
    w, diagonal = rng.integers(-2, 3, n) / 2, rng.choice([0.25, 1.0, 4.0], n)  # all that follows is exact
    wanted = sorted(range(n), key=lambda q: (w[q] ** 2 / diagonal[q], q))[:n - kept]
    _, order, _ = sequence(student, w, np.diag(diagonal), kept)
    assert order == wanted, f"w = {w}, the diagonal of H⁻¹ {diagonal}: wanted {wanted}, got {order}"


@graded(points=2)
@given(seed=SEEDS, n=SIZES, size=st.integers(1, 5))
def groups_go_at_once(student, seed, n, size):
    """Any group, in any order, and then all others: as for single weights."""
    order, size = np.random.default_rng(seed).permutation(n).tolist(), min(size, n - 1)
    check_cuts(student, "remove_group", LeastSquares(seed, n), [order[:size], order[size:]])


@graded(points=3)
@given(seed=SEEDS, n=st.integers(5, 7), k=st.integers(1, 4))
def the_oracle_tries_all(student, seed, n, k):
    """Its ΔL is the least of all sets of k weights; to go one by one is never better."""
    problem = LeastSquares(seed, n)
    best, inverse = problem.best, problem.inverse(range(n))
    stay, cost = expect.items(called(student, "oracle", best, inverse, k), "oracle", 2)
    stay = [expect.whole(q, "a weight that stays") for q in expect.items(stay, "the weights that stay", k)]
    rises = {kept: problem.rise(problem.minimum(kept)) for kept in combinations(range(n), k)}
    assert tuple(stay) in rises, f"wanted {k} of {n} weights, rising; got {stay}"
    least = min(rises, key=rises.__getitem__)
    near(rises[tuple(stay)], rises[least], f"ΔL of {stay}, where {list(least)} could stay")
    near(expect.real(cost, "the ΔL of oracle"), rises[least], f"the ΔL when {list(least)} stay")
    total = problem.rise(sequence(student, best, inverse, k)[0])
    assert total >= cost - 1e-9, f"one by one costs {total:.6g}, less than the oracle's {cost:.6g}"


### END HIDDEN TESTS
if __name__ == "__main__":
    main(__file__)

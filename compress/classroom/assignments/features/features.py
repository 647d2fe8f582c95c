"""Assignment 14: positive random features

Attention of L queries to S keys, softmax(q·kᵀ/√E)·v, weighs every value for every query. You write it in
two ways that hold no L × S matrix: exactly, in blocks, and as an estimate in linear time (Choromanski et al.
2021, "Rethinking attention with Performers"). `notebooks/19_attention.py` prepares this assignment.

1. The features of x, with x̂ = x/E^¼, are exp(w·x̂ − ½‖x̂‖²), one for each row w of a matrix (M, E) that
   queries and keys share. For normal w is the mean of their products, over the M rows, an estimate of
   e^(x̂·ŷ), without bias. They are kept as φ·e^c: c is the largest exponent of each query, but one for all
   keys (why not one for each?), so that no φ is above 1, and one of each query, or of all keys, is 1.

2. The variance of that estimate is yours to find, for M independent rows w. E e^(w·s) is e^(½‖s‖²).

3. At right angles, rows make better estimates. Row i of a block of E rows (the last block may be shorter)
   becomes what is left of it when its parts along the rows above it, in its block, are taken off; and then
   gets the length back that it had. Linear algebra libraries leave signs to chance: row i must point to the
   side of the old row i, or else the estimate is biased.

4. Linear attention is φ(Q)·(φ(K)ᵀ·V) over φ(Q)·Σφ(K), in an order of products that makes the work grow
   as L + S. Causal, L = S, query i has keys 0 … i: chunks of `size` rows (the last may be shorter) take the
   sums of all chunks before, and their own products, masked. Matrix products of more than vectors go through
   the `product` that is given, which counts: product(a, b) is a @ b.

5. Exactly: a block of keys leaves, for each query, its largest score m (L,), the sum s (L,) of e^(score − m),
   and the sum o (L, V) of e^(score − m)·v. Two such states are merged into that of both blocks, and the last
   one gives the softmax. Scores q·k/√E may be as large as 1000 or −1000.

Arrays are float64, and those that come in stay as they are. Run this file to see what holds; more is looked
at when it is graded.
"""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compress.classroom import expect, graded, main


def features(x, w, keys, product):
    """φ (N, M) of x (N, E) for w (M, E), and c, (N, 1) for queries, (1, 1) for keys."""
    ### BEGIN SOLUTION
    x = x / x.shape[1] ** 0.25
    exponents = product(x, w.T) - 0.5 * (x**2).sum(axis=1, keepdims=True)
    c = exponents.max(axis=None if keys else 1, keepdims=True)
    return np.exp(exponents - c), c
    ### END SOLUTION


def variance(q, k, count):
    """The variance, a float, of the estimate of e^(q·k/√E) by `count` features; q and k (E,)."""
    ### BEGIN SOLUTION
    x, y = q / len(q) ** 0.25, k / len(k) ** 0.25
    return float(np.exp(2 * x @ y) * np.expm1(((x + y)**2).sum()) / count)
    ### END SOLUTION


def orthogonal(w):
    """w (M, E), each E rows of it at right angles."""
    ### BEGIN SOLUTION
    made = np.empty_like(w)
    width = w.shape[1]
    for start in range(0, len(w), width):
        q, r = np.linalg.qr(w[start:start + width].T)
        made[start:start + width] = (q * np.sign(np.diag(r))).T
    return made * np.linalg.norm(w, axis=1, keepdims=True)
    ### END SOLUTION


def linear_attention(q, k, v, w, product):
    """The estimate (L, V) of attention for q (L, E), k (S, E), v (S, V)."""
    ### BEGIN SOLUTION
    (f, _), (g, _) = features(q, w, False, product), features(k, w, True, product)
    total = f @ g.sum(axis=0)
    return product(f, product(g.T, v)) / total[:, None]
    ### END SOLUTION


def causal_attention(q, k, v, w, size, product):
    """The same, where query i has keys 0 … i, in chunks of `size` rows."""
    ### BEGIN SOLUTION
    (f, _), (g, _) = features(q, w, False, product), features(k, w, True, product)
    sums, total = np.zeros((w.shape[0], v.shape[1])), np.zeros(w.shape[0])
    found = np.empty((len(q), v.shape[1]))
    for start in range(0, len(q), size):
        rows = slice(start, start + size)
        within = np.tril(product(f[rows], g[rows].T))
        above = product(f[rows], sums) + product(within, v[rows])
        below = f[rows] @ total + within.sum(axis=1)
        found[rows] = above / below[:, None]
        sums += product(g[rows].T, v[rows])
        total += g[rows].sum(axis=0)
    return found
    ### END SOLUTION


def state(q, k, v):
    """m (L,), s (L,) and o (L, V), of the queries q for one block of keys k and values v."""
    ### BEGIN SOLUTION
    scores = q @ k.T / q.shape[1] ** 0.5
    m = scores.max(axis=1)
    p = np.exp(scores - m[:, None])
    return m, p.sum(axis=1), p @ v
    ### END SOLUTION


def merged(a, b):
    """The state of two blocks together, from those of each."""
    ### BEGIN SOLUTION
    m = np.maximum(a[0], b[0])
    f, g = np.exp(a[0] - m), np.exp(b[0] - m)
    return m, f * a[1] + g * b[1], f[:, None] * a[2] + g[:, None] * b[2]
    ### END SOLUTION


def attention(q, blocks):
    """softmax(q·kᵀ/√E)·v, (L, V), for the keys and values of all blocks, a list of pairs (k, v)."""
    ### BEGIN SOLUTION
    now = state(q, *blocks[0])
    for k, v in blocks[1:]:
        now = merged(now, state(q, k, v))
    return now[2] / now[1][:, None]
    ### END SOLUTION


# What is graded. `student` is the module that was handed in. (Functions of your own stand above this line,
# and have other names than those below it.)

SEEDS = st.integers(0, 999)
WIDTHS = st.integers(1, 5)  # E
LENGTHS = st.integers(1, 9)
DRAWS = 8000
ERRORS = 5  # standard errors that an estimate may be off


def pair(seed, width):
    """q and k (1, E) of which q̂ and k̂ are at most 0.6 long."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, width))
    x *= rng.uniform(0.3, 0.6, (2, 1)) / np.linalg.norm(x, axis=1, keepdims=True)
    return width**0.25 * x[:1], width**0.25 * x[1:]


def inputs(seed, queries, keys, width, values=2):
    """q, k, v and w."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(queries, width)), rng.normal(size=(keys, width)),
            rng.normal(size=(keys, values)), rng.normal(size=(int(rng.integers(1, 7)), width)))


def moment(q, k, power):
    """The mean of a power of the product of one feature of q and one of k."""
    x, y = q.ravel() / q.size**0.25, k.ravel() / k.size**0.25
    return math.exp(0.5 * power**2 * ((x + y)**2).sum() - 0.5 * power * (x @ x + y @ y))


def product_of(a, b):
    """a @ b of two matrices that fit."""
    for one in (a, b):
        expect.array(one, "what product is given", dtype=np.float64, shape=(None, None))
    assert a.shape[1] == b.shape[0], f"product is given {a.shape} and {b.shape}, which do not fit"
    return a @ b


def features_of(student, x, w, keys):
    """φ and c of the hand-in."""
    found = expect.items(student.features(x, w, keys, product_of), "features", 2)
    assert not student.features.changed, "features writes into what it is given"
    return (expect.array(found[0], "φ", dtype=np.float64, shape=(len(x), len(w))),
            expect.array(found[1], "c", dtype=np.float64, shape=(1 if keys else len(x), 1)))


def draws_of(student, q, k, seed):
    """The estimates of e^(q·k/√E) by single features."""
    w = np.random.default_rng(seed).normal(size=(DRAWS, q.shape[1]))
    (f, c), (g, d) = features_of(student, q, w, False), features_of(student, k, w, True)
    return (f * g * np.exp(c + d))[0]


def weights_of(q, k, w):
    """The estimates of e^(q·k/√E), (L, S), written out for moderate q and k."""
    x, y = q / q.shape[1]**0.25, k / k.shape[1]**0.25
    f, g = (np.exp(z @ w.T - (z * z).sum(axis=1, keepdims=True) / 2) for z in (x, y))
    return f @ g.T / len(w)


def exact(q, k, v):
    """softmax(q·kᵀ/√E)·v."""
    scores = q @ k.T / q.shape[1]**0.5
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    return p @ v / p.sum(axis=1, keepdims=True)


def close(found, wanted, said, tolerance=1e-8):
    """AssertionError unless they differ by rounding only."""
    worst = np.abs(np.asarray(found) - wanted).max(initial=0)
    assert worst <= tolerance * (1 + np.abs(wanted).max(initial=0)), (
        f"{said}: wanted {np.asarray(wanted).tolist()}, got {np.asarray(found).tolist()}")


def array_of(student, name, shape, *arguments):
    """What a function of the hand-in gives for these arguments: float64 of that shape."""
    found = expect.array(getattr(student, name)(*arguments), name, dtype=np.float64, shape=shape)
    assert not getattr(student, name).changed, f"{name} writes into what it is given"
    return found


@graded(points=2)
@given(WIDTHS, SEEDS)
def estimates_have_no_bias(student, width, seed):
    """The mean of many products is e^(q·k/√E), as near as the variance lets it be."""
    q, k = pair(seed, width)
    found, wanted = draws_of(student, q, k, seed).mean(), moment(q, k, 1)
    error = math.sqrt((moment(q, k, 2) - wanted**2) / DRAWS)
    assert abs(found - wanted) <= ERRORS * error, (
        f"{DRAWS} features estimate {found:.4f}, where e^(q·k/√E) is {wanted:.4f} and the standard error "
        f"{error:.4f}")


@graded(points=2)
@given(LENGTHS, WIDTHS, SEEDS, st.sampled_from([1.0, 40.0]))
def features_are_positive_and_none_is_above_one(student, length, width, seed, scale):
    """However long x is: 1 is the largest feature of each query, and of all keys together."""
    x, _, _, w = inputs(seed, length, 1, width)
    for keys in (False, True):
        f, _ = features_of(student, scale * x, w, keys)
        tops = f.max() if keys else f.max(axis=1)
        assert (f >= 0).all(), f"there are features below 0, keys = {keys}"
        assert scale > 1 or (f > 0).all(), f"there are features of 0, keys = {keys}"
        assert (tops == 1).all(), f"the largest features, keys = {keys}: {np.ravel(tops).tolist()}"


@graded(points=2)
@given(WIDTHS, SEEDS, st.integers(1, 100))
def the_variance_is_predicted(student, width, seed, count):
    """Of an estimate by so many independent features."""
    q, k = pair(seed, width)
    found = expect.real(student.variance(q[0], k[0], count), "variance")
    close(found, (moment(q, k, 2) - moment(q, k, 1)**2) / count, f"E = {width}, {count} features", 1e-12)


@graded(points=2)
@given(st.integers(1, 9), WIDTHS, SEEDS)
def rows_are_at_right_angles(student, count, width, seed):
    """Each is as long as before, and on the side of what it was."""
    w = np.random.default_rng(seed).normal(size=(count, width))
    found = array_of(student, "orthogonal", w.shape, w)
    close(np.linalg.norm(found, axis=1), np.linalg.norm(w, axis=1), "the lengths of the rows")
    for start in range(0, count, width):
        old, new = w[start:start + width], found[start:start + width]
        directions = new / np.linalg.norm(new, axis=1, keepdims=True)
        close(directions @ directions.T, np.eye(len(new)), f"cosines of the rows from {start} on", 1e-6)
        side = (old * directions).sum(axis=1)
        assert (side > 0).all(), f"rows from {start} on, along what they were: {side.tolist()}"
        left = old - np.tril(old @ directions.T) @ directions
        close(left, np.zeros_like(left), f"parts of the old rows from {start} on along later ones", 1e-6)


@graded(points=2)
@given(LENGTHS, LENGTHS, WIDTHS, SEEDS)
def linear_attention_weighs_by_the_estimates(student, queries, keys, width, seed):
    """As if the matrix of all estimates were there, divided by its sums."""
    q, k, v, w = inputs(seed, queries, keys, width)
    p = weights_of(q, k, w)
    found = array_of(student, "linear_attention", (queries, 2), q, k, v, w, product_of)
    close(found, p @ v / p.sum(axis=1, keepdims=True), f"L = {queries}, S = {keys}, M = {len(w)}")


@graded(points=2)
@given(LENGTHS, WIDTHS, SEEDS, st.integers(1, 5))
def causal_attention_weighs_keys_up_to_its_own(student, length, width, seed, size):
    """As if all later estimates were 0."""
    q, k, v, w = inputs(seed, length, length, width)
    p = np.tril(weights_of(q, k, w))
    found = array_of(student, "causal_attention", (length, 2), q, k, v, w, size, product_of)
    close(found, p @ v / p.sum(axis=1, keepdims=True), f"{length} rows in chunks of {size}, M = {len(w)}")


def work(call, *arguments):
    """How many numbers are multiplied in the products that a call asks for."""
    counts = []

    def product(a, b):
        found = product_of(a, b)
        counts.append(a.shape[0] * a.shape[1] * b.shape[1])
        return found

    call(*arguments, product)
    return sum(counts)


@graded(points=2)
@given(st.integers(20, 40), WIDTHS, SEEDS, st.integers(1, 3))
def work_grows_as_the_length(student, length, width, seed, size):
    """Twice the length, twice the products; and those that must be there go through `product`."""
    length *= size
    q, k, v, w = inputs(seed, 2 * length, 2 * length, width)
    for name, more in (("linear_attention", ()), ("causal_attention", (size,))):
        call = getattr(student, name)
        once = work(call, q[:length], k[:length], v[:length], w, *more)
        twice = work(call, q, k, v, w, *more)
        least = 2 * length * len(w) * (width + v.shape[1])
        assert once >= least, f"{name}: {once} multiplications of {least} that it takes go through product"
        assert twice <= 2.1 * once, (f"{name}: {once} multiplications for {length} queries and keys, {twice} "
                                     f"for {2 * length}")
        assert once <= 2 * least + 2 * length * size * (len(w) + v.shape[1]), (
            f"{name}: {once} multiplications for {length} queries and keys, where {least} are needed")


@graded(points=2)
@given(LENGTHS, st.lists(st.integers(1, 4), min_size=1, max_size=5), WIDTHS, SEEDS,
       st.sampled_from([1.0, 20.0]))
def blocks_give_the_softmax(student, queries, sizes, width, seed, scale):
    """In whatever blocks the keys come, and however large scores are."""
    q, k, v, _ = inputs(seed, queries, sum(sizes), width)
    q, k, cuts = scale * q, scale * k, np.cumsum(sizes)[:-1]
    blocks = list(zip(np.split(k, cuts), np.split(v, cuts), strict=True))
    found = array_of(student, "attention", (queries, 2), q, blocks)
    close(found, exact(q, k, v), f"{queries} queries, keys in blocks of {sizes}, scores times {scale**2}")


### BEGIN HIDDEN TESTS
@graded(points=1)
@given(WIDTHS, SEEDS)
def estimates_vary_as_predicted(student, width, seed):
    """The squares of their errors are, in the mean, the variance; the fourth moment says how near."""
    q, k = pair(seed, width)
    m1, m2, m3, m4 = (moment(q, k, power) for power in (1, 2, 3, 4))
    spread, fourth = m2 - m1**2, m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
    found = ((draws_of(student, q, k, seed + 1) - m1)**2).mean()
    error = math.sqrt((fourth - spread**2) / DRAWS)
    assert abs(found - spread) <= ERRORS * error, (
        f"the variance of single features is {found:.4f}, and not {spread:.4f} ± {error:.4f}")


@graded(points=1)
@given(st.integers(2, 8), WIDTHS, SEEDS, st.integers(1, 4))
def later_keys_change_nothing(student, length, width, seed, size):
    """Of causal attention, the rows before them; the first row is the first value."""
    q, k, v, w = inputs(seed, length, length, width)
    first = array_of(student, "causal_attention", (length, 2), q, k, v, w, size, product_of)
    close(first[0], v[0], f"row 0, in chunks of {size}")
    at = int(np.random.default_rng(seed).integers(1, length))
    k[at:], v[at:] = -k[at:], 5 - v[at:]
    second = array_of(student, "causal_attention", (length, 2), q, k, v, w, size, product_of)
    close(second[:at], first[:at], f"other keys from {at} on, in chunks of {size}: the rows before")


@graded(points=1)
@given(LENGTHS, WIDTHS, SEEDS)
def states_merge_in_any_order(student, queries, width, seed):
    """Two of them either way round give m, s and o of both blocks at once."""
    q, k, v, _ = inputs(seed, queries, 7, width)
    q = 30 * q
    scores = q @ k.T / width**0.5
    m = scores.max(axis=1)
    p = np.exp(scores - m[:, None])
    parts = [student.state(q, k[rows], v[rows]) for rows in (slice(0, 3), slice(3, 7))]
    for a, b in (parts, parts[::-1]):
        found = expect.items(student.merged(a, b), "merged", 3)
        for name, mine, wanted in zip("mso", found, (m, p.sum(axis=1), p @ v), strict=True):
            mine = expect.array(mine, name, dtype=np.float64, shape=wanted.shape)
            close(mine, wanted, f"{name} of two blocks")


@graded(points=1)
@given(LENGTHS, WIDTHS, SEEDS)
def long_vectors_are_no_danger(student, length, width, seed):
    """Where every e^… alone is too large or too small a number, one key has its value back."""
    q, k, v, w = inputs(seed, length, 1, width)
    found = array_of(student, "linear_attention", (length, 2), 40 * q, 40 * k, v, w, product_of)
    close(found, np.repeat(v, length, axis=0), "one key")


### END HIDDEN TESTS


if __name__ == "__main__":
    main(__file__)

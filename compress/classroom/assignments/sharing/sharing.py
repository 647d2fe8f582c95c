"""Assignment 7: sharing weights

Deep Compression (Han, Mao & Dally 2016, §3) lets all weights of a layer share k = 2^b values: a weight is
then a code of b bits, and the values stand in a table. You write what finds the values, trains them, and
stores the codes. `notebooks/09_sharing.py` prepares this assignment.

1. The values are found by Lloyd's k-means (1982). It begins with k centroids at equal distances from the
   least weight to the largest (Han et al. found that to serve best: large weights are few, and they matter).
   Then two steps take turns, neither of which can raise the cost Σ (wᵢ − c[codeᵢ])²:
     - each weight gets the code of the nearest centroid; of two as near, the lower code,
     - each centroid moves to the mean of its members, c_j = Σ_{code_i = j} w_i / n_j. One without members
       has no mean, and stays where it is.
   They stop when no code changes, or after so many moves as were allowed.

2. The values are trained. In forward a weight is w_i = c[code_i], so that the loss depends on c_j through
   all of its members, and by the chain rule (Han et al., eq. 3) the gradient of a centroid is the sum

       ∂L/∂c_j = Σ_{code_i = j} ∂L/∂w_i .

   Codes stay as they are.

3. The codes are stored without gaps: the first begins in the lowest bit of the first byte, the next where
   that ends, the lowest bit first; a code may begin in one byte and end in the next. What is left over of the
   last byte is 0. So the 2-bit codes 1, 0, 3 are the byte 0b00_11_00_01. n codes take ⌈n·b/8⌉ bytes, and the
   table k numbers of 4 bytes.

Centroids need not be sorted. Arrays that come in stay as they are. Run this file to see which properties
hold; more are looked at when it is graded.
"""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compress.classroom import expect, graded, main


def first_centroids(w, k):
    """k ≥ 2 centroids at equal distances from the least of the weights w to the largest: float64 (k,)."""
    ### BEGIN SOLUTION
    return np.linspace(w.min(), w.max(), k, dtype=np.float64)
    ### END SOLUTION


def nearest(w, centroids):
    """The code of each weight, integers of w's shape: its nearest centroid, of two as near the lower code."""
    ### BEGIN SOLUTION
    distances = np.abs(w[..., None] - centroids)
    return np.argmin(distances, axis=-1)
    ### END SOLUTION


def moved(w, codes, centroids):
    """Where the centroids go, float64 (k,): to the mean of their members, or nowhere if they have none."""
    ### BEGIN SOLUTION
    k = len(centroids)
    counts = np.bincount(codes.ravel(), minlength=k)
    sums = np.bincount(codes.ravel(), w.ravel(), minlength=k)
    new = centroids.copy()
    new[counts > 0] = sums[counts > 0] / counts[counts > 0]
    return new
    ### END SOLUTION


def lloyd(w, centroids, moves):
    """Centroids after at most so many moves, and the codes of the weights among *them*: a tuple of both."""
    ### BEGIN SOLUTION
    codes = nearest(w, centroids)
    for _ in range(moves):
        centroids = moved(w, codes, centroids)
        before, codes = codes, nearest(w, centroids)
        if np.array_equal(before, codes):
            break
    return centroids, codes
    ### END SOLUTION


def centroid_gradients(g, codes, k):
    """∂L/∂c, float64 (k,), from the gradients g of the weights; g and codes have the weights' shape."""
    ### BEGIN SOLUTION
    gradients = np.zeros(k)
    np.add.at(gradients, codes, g)
    return gradients
    ### END SOLUTION


def pack(codes, bits):
    """The bytes of codes below 2^bits (an array of any shape, in its order): uint8 (⌈n·bits/8⌉,)."""
    ### BEGIN SOLUTION
    packed = np.zeros((codes.size * bits + 7) // 8, np.uint8)
    for i, code in enumerate(codes.ravel().tolist()):
        for b in range(bits):
            at = i * bits + b
            packed[at // 8] |= (code >> b & 1) << at % 8
    return packed
    ### END SOLUTION


def unpack(packed, bits, count):
    """The first `count` codes in these bytes: integers (count,)."""
    ### BEGIN SOLUTION
    codes = np.zeros(count, np.int64)
    for at in range(count * bits):
        codes[at // bits] |= (int(packed[at // 8]) >> at % 8 & 1) << at % bits
    return codes
    ### END SOLUTION


def stored_bytes(count, bits):
    """How many bytes so many codes take with their table, an int."""
    ### BEGIN SOLUTION
    return -(-count * bits // 8) + 4 * 2**bits
    ### END SOLUTION


def share(w, bits, moves=100):
    """The weights w stored: a tuple of the table, float32 (2^bits,), and the packed codes, uint8."""
    ### BEGIN SOLUTION
    centroids, _ = lloyd(w, first_centroids(w, 2**bits), moves)
    table = centroids.astype(np.float32)
    return table, pack(nearest(w, table), bits)
    ### END SOLUTION


def restore(table, packed, bits, shape):
    """The weights that were stored, float32 of that shape."""
    ### BEGIN SOLUTION
    return table[unpack(packed, bits, int(np.prod(shape)))].reshape(shape)
    ### END SOLUTION


# What is graded. `student` is the module that was handed in. (Functions of your own stand above this line,
# and have other names than those below it.)

seeds = st.integers(0, 2**16)
shapes = st.sampled_from([(1,), (2,), (9,), (40,), (3, 5), (2, 3, 4)])


def weights(shape, seed):
    """Multiples of 1/8, some of them equal: their sums and distances are exact, however they are computed."""
    rng = np.random.default_rng(seed)
    return np.rint(rng.normal(size=shape) * rng.choice([2, 20])) / 8


def some_centroids(k, seed):
    """k centroids that are not sorted, as multiples of 1/4."""
    return np.random.default_rng(seed + 1).permutation(4 * k)[:k] / 4 - k / 2


def codes_of(student, w, centroids):
    """What `nearest` returns."""
    codes = expect.array(student.nearest(w, centroids), "nearest", shape=w.shape)
    return are_codes(codes, len(centroids), "nearest")


def are_codes(codes, k, what):
    """The codes, if they are whole numbers from 0 to k − 1."""
    assert codes.dtype.kind in "iu", f"{what}: codes are integers; got an array of {codes.dtype}"
    assert codes.size == 0 or (codes.min() >= 0 and codes.max() < k), (f"{what}: a code is {codes.max()} "
                                                                       f"where there are {k} centroids")
    return codes.astype(np.int64)


def cost(w, centroids, codes):
    """Σ (w − c[code])²."""
    return float(np.sum((w - centroids[codes]) ** 2))


def means(w, codes, centroids):
    """The mean of each centroid's members, by fractions, rounded once; itself where it has none."""
    new = []
    for j, centroid in enumerate(centroids.tolist()):
        members = [Fraction(x) for x in w[codes == j].tolist()]
        new.append(float(sum(members) / len(members)) if members else centroid)
    return np.array(new)


@graded(points=1)
@given(shapes, seeds, st.integers(2, 9))
def begins_at_equal_distances(student, shape, seed, k):
    """The first centroids go from the least weight to the largest, in equal steps."""
    w = weights(shape, seed)
    found = expect.array(student.first_centroids(w, k), "first_centroids", dtype=np.float64, shape=(k,))
    wanted = np.array([w.min() + (w.max() - w.min()) * j / (k - 1) for j in range(k)])
    assert np.abs(found - wanted).max() <= 1e-9, (f"{k} centroids of weights from {w.min()} to {w.max()} are "
                                                  f"{found.tolist()}, not {wanted.tolist()}")


@graded(points=2)
@given(shapes, seeds, st.integers(1, 8))
def assignment_is_nearest(student, shape, seed, k):
    """Each weight gets the nearest centroid, of two as near the lower code."""
    w, centroids = weights(shape, seed), some_centroids(k, seed)
    codes = codes_of(student, w, centroids)
    for x, code in zip(w.ravel().tolist(), codes.ravel().tolist(), strict=True):
        distances = [abs(x - c) for c in centroids.tolist()]
        wanted = distances.index(min(distances))
        assert code == wanted, (f"centroids {centroids.tolist()}: the weight {x} gets the code {code}, which "
                                f"is {distances[code]} away, not {wanted}, which is {distances[wanted]} away")


@graded(points=2)
@given(shapes, seeds, st.integers(1, 8))
def centroids_are_means(student, shape, seed, k):
    """A centroid moves to the mean of its members; one that has none stays."""
    w, centroids = weights(shape, seed), some_centroids(k, seed)
    codes = np.random.default_rng(seed + 2).integers(0, k, shape)
    codes[codes == seed % k] = 0  # often one is empty
    found = expect.array(student.moved(w, codes, centroids), "moved", dtype=np.float64, shape=(k,))
    assert not student.moved.changed, "moved writes into the arrays that it is given"
    wanted = means(w, codes, centroids)
    for j in range(k):
        assert abs(found[j] - wanted[j]) <= 1e-9, (f"centroid {j} with the members {w[codes == j].tolist()} "
                                                   f"moves from {centroids[j]} to {found[j]}, not to "
                                                   f"{wanted[j]}")


@graded(points=2)
@given(shapes, seeds, st.integers(1, 6))
def gradient_is_the_sum_over_members(student, shape, seed, k):
    """∂L/∂c_j is the sum of the gradients of the weights with code j; of none it is 0."""
    g = weights(shape, seed)
    codes = np.random.default_rng(seed + 2).integers(0, k, shape)
    found = expect.array(student.centroid_gradients(g, codes, k), "centroid_gradients", shape=(k,))
    wanted = [sum(g[codes == j].tolist()) for j in range(k)]
    for j in range(k):
        assert abs(found[j] - wanted[j]) <= 1e-9, (f"centroid {j}: its members' gradients are "
                                                   f"{g[codes == j].tolist()}, its own is {found[j]}, not "
                                                   f"{wanted[j]}")


def as_bits(codes, bits):
    """The bytes of these codes: one large number whose binary digits are those of the codes."""
    number = sum(code << i * bits for i, code in enumerate(codes))
    return number.to_bytes(-(-len(codes) * bits // 8), "little")


@graded(points=2)
@given(st.integers(1, 8), st.integers(0, 20), seeds)
def packs_without_gaps(student, bits, count, seed):
    """The codes stand bit behind bit, the lowest first, in ⌈n·b/8⌉ bytes."""
    codes = np.random.default_rng(seed).integers(0, 2**bits, count)
    size = -(-count * bits // 8)
    packed = expect.array(student.pack(codes, bits), "pack", dtype=np.uint8, shape=(size,))
    wanted = as_bits(codes.tolist(), bits)
    assert packed.tobytes() == wanted, (f"{bits}-bit codes {codes.tolist()} are packed as "
                                        f"{[f'{byte:08b}' for byte in packed]}, not "
                                        f"{[f'{byte:08b}' for byte in wanted]}")


### BEGIN HIDDEN TESTS
def found_by(student, w, centroids, moves):
    """What `lloyd` returns."""
    new, codes = expect.items(student.lloyd(w, centroids, moves), "lloyd", 2)
    assert not student.lloyd.changed, "lloyd writes into the arrays that it is given"
    new = expect.array(new, "the centroids of lloyd", dtype=np.float64, shape=centroids.shape)
    codes = expect.array(codes, "the codes of lloyd", shape=w.shape)
    return new, are_codes(codes, len(centroids), "lloyd")


@graded(points=2)
@given(shapes, seeds, st.integers(1, 8))
def cost_never_rises(student, shape, seed, k):
    """With every move that is allowed the cost falls or stays; each move is to the means."""
    w, centroids = weights(shape, seed), some_centroids(k, seed)
    before, wanted = np.inf, centroids
    for moves in range(6):
        new, codes = found_by(student, w, centroids, moves)
        now = cost(w, new, codes)
        assert now <= before + 1e-9, (f"weights {w.tolist()}: the cost is {before:.6g} after {moves - 1} "
                                      f"moves and {now:.6g} after {moves}")
        assert np.abs(new - wanted).max() <= 1e-9, (f"after {moves} moves from {centroids.tolist()} the "
                                                    f"centroids of {w.tolist()} are {new.tolist()}, not "
                                                    f"{wanted.tolist()}")
        before, wanted = now, means(w, codes, new)


@graded(points=2)
@given(shapes, seeds, st.integers(1, 8), st.sampled_from([0, 1, 2, 1000]))
def codes_fit_the_centroids(student, shape, seed, k, moves):
    """The codes are those of the centroids that are returned with them, also when the moves are used up."""
    w, centroids = weights(shape, seed), some_centroids(k, seed)
    new, codes = found_by(student, w, centroids, moves)
    far, near = np.abs(w - new[codes]), np.abs(w[..., None] - new).min(axis=-1)
    worst = np.unravel_index(np.argmax(far - near), w.shape)
    assert far[worst] <= near[worst] + 1e-9, (f"after at most {moves} moves the weight {w[worst]} has the "
                                              f"centroid {new[codes[worst]]}, and another of {new.tolist()} "
                                              "is nearer")
    if moves == 1000:
        wanted = means(w, codes, new)
        assert np.abs(new - wanted).max() <= 1e-9, (f"in the end the centroids are {new.tolist()}, and the "
                                                    f"means of their members {wanted.tolist()}")


@graded(points=2)
@given(st.integers(1, 8), st.integers(0, 20), st.integers(0, 3), seeds)
def unpacks_what_was_packed(student, bits, count, more, seed):
    """Codes come back from their bytes, from others' bytes too, and with more bytes behind them."""
    codes = np.random.default_rng(seed).integers(0, 2**bits, count)
    packed = np.frombuffer(as_bits(codes.tolist(), bits) + b"\xff" * more, np.uint8)
    for what, content in (("unpack(pack(codes))", student.pack(codes, bits)), ("unpack", packed)):
        back = expect.array(student.unpack(content, bits, count), what, shape=(count,))
        back = are_codes(back, 256, what)
        assert np.array_equal(back, codes), (f"{what}: {bits}-bit codes {codes.tolist()} come back as "
                                             f"{back.tolist()}")


@graded(points=1)
@given(st.integers(0, 2000), st.integers(1, 8))
def bytes_are_as_said(student, count, bits):
    """n codes take ⌈n·b/8⌉ bytes, their table 4·2^b."""
    found = expect.whole(student.stored_bytes(count, bits), "stored_bytes")
    wanted = len(as_bits([0] * count, bits)) + 4 * 2**bits
    assert found == wanted, f"{count} codes of {bits} bits and their table take {found} bytes, not {wanted}"


@graded(points=3)
@given(st.sampled_from([(1,), (2,), (9,), (40,), (6, 11), (2, 3, 5, 5)]), seeds, st.integers(1, 5))
def stored_weights_are_near(student, shape, seed, bits):
    """Stored and restored, a weight has a shared value; the cost is Lloyd's, below that of equal steps."""
    w, k = np.random.default_rng(seed).normal(size=shape).astype(np.float32), 2**bits
    table, packed = expect.items(student.share(w, bits), "share", 2)
    table = expect.array(table, "the table", dtype=np.float32, shape=(k,))
    packed = expect.array(packed, "the packed codes", dtype=np.uint8, shape=(-(-w.size * bits // 8),))
    back = expect.array(student.restore(table, packed, bits, shape), "restore", dtype=np.float32, shape=shape)
    assert np.isin(back, table).all(), f"restored weights are not those of the table {table.tolist()}"
    near = table[np.abs(w[..., None].astype(np.float64) - table).argmin(axis=-1)]
    off = np.abs(w - back) > np.abs(w - near) + 1e-6
    assert not off.any(), (f"the weight {w[off][0]} comes back as {back[off][0]}; {near[off][0]} is in the "
                           "table")
    error, step = float(np.sum((w - back.astype(np.float64)) ** 2)), float(np.ptp(w)) / (k - 1)
    assert error <= w.size * (step / 2) ** 2 + 1e-9, (f"{w.size} weights with {k} values: the cost is "
                                                      f"{error:.6g}, steps of {step:.4g} have "
                                                      f"{w.size * (step / 2) ** 2:.6g} at most")
    new, codes = np.linspace(w.min(), w.max(), k), None
    for _ in range(100):
        codes = np.abs(w[..., None] - new).argmin(axis=-1)
        new = means(w, codes, new)
    assert error <= 1.05 * cost(w, new, codes) + 1e-9, (f"the cost is {error:.6g}, Lloyd's "
                                                        f"{cost(w, new, codes):.6g}")


### END HIDDEN TESTS


if __name__ == "__main__":
    main(__file__)

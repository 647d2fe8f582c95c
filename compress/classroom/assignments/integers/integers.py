"""Assignment 4: integers that stand for reals, and a proof that their sums fit.

A network that computes with integers of 8 bits needs a quarter of the bytes of float32, and on most machines
a fraction of the time. You write the way there and back (affine quantization), the product of integers, and a
certificate: a proof that no sum can overflow, or the input for which one does.

    real ≈ scale · (code − zero),     code ∈ {0, …, 2^bits − 1}          (Jacob et al. 2018, eq. 1)

`notebooks/07_integers.py` and `01_overflow.py` prepare you for it. Write what is missing, then run `python
integers.py`: it checks each property below, says how many points you have, and shows the smallest example of
what does not hold. The grader has a few more properties; they ask for nothing that is not said here.
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compress.classroom import expect, graded, main

# ---- What you write ----


def scale_and_zero_point(low, high, bits):
    """The grid for reals in low … high: (scale, zero), a positive float and an int in 0 … 2^bits − 1.

    The grid has 2^bits codes for the whole range and is as fine as that allows. Zero must be one of its
    points, because padding and ReLU make exact zeros: so widen the range to hold 0 first, then divide it into
    equal steps, and round the zero point, which is the code of 0.0. If the range is empty, the scale is 1.
    """
    ### BEGIN SOLUTION
    low, high = min(low, 0.0), max(high, 0.0)
    most = 2**bits - 1
    scale = (high - low) / most
    if scale == 0:
        return 1.0, 0
    return float(scale), min(max(round(-low / scale), 0), most)
    ### END SOLUTION


def quantize(x, scale, zero, bits):
    """The codes of the reals x, an array of any shape: uint8, of the same shape; bits is 8 at most.

    Round x / scale to the nearest integer, halves to the even one (as np.rint does), add zero, and clamp:
    what lies outside of the range becomes the code at its end.
    """
    ### BEGIN SOLUTION
    return np.clip(np.rint(x / scale) + zero, 0, 2**bits - 1).astype(np.uint8)
    ### END SOLUTION


def dequantize(codes, scale, zero):
    """The reals that these codes (uint8, any shape) stand for: float64, of the same shape."""
    ### BEGIN SOLUTION
    return scale * (codes.astype(np.float64) - zero)
    ### END SOLUTION


def quantize_channels(w, bits):
    """A weight w (O, K): (codes, scales), int8 (O, K) and float64 (O,), with w ≈ scales[:, None] * codes.

    Weights lie around zero, so their zero point is 0 and the codes are −m … m with m = 2^(bits − 1) − 1: as
    many on either side (Krishnamoorthi 2018, §3.1). Each of the O output channels (rows) has a scale of its
    own, by which its largest magnitude becomes ±m. A channel of zeros has the scale 1.0.
    """
    ### BEGIN SOLUTION
    most = 2 ** (bits - 1) - 1
    largest = np.abs(w).max(axis=1)
    scales = np.where(largest > 0, largest / most, 1.0)
    return np.rint(w / scales[:, None]).astype(np.int8), scales
    ### END SOLUTION


def integer_product(x, zero, w):
    """Σ_k (x[m, k] − zero) · w[k, n] in integers: x uint8 (M, K), zero an int, w int8 (K, N) → int32 (M, N).

    It is exact. Beware of what NumPy does with uint8 and int8: 3 − 5 is 254.
    """
    ### BEGIN SOLUTION
    return (x.astype(np.int32) - zero) @ w.astype(np.int32)
    ### END SOLUTION


def extremes(w, low, high, zero):
    """The least and the greatest value of Σ_k (x_k − zero) · w[k, n] for any codes x_k in low … high: two
    int64 arrays (N,). w is int8 (K, N), and 0 ≤ low ≤ high ≤ 255.

    The codes do not depend on each other. So the sum is greatest where each of its products is: at one end of
    the range or at the other, whichever suits the sign of the weight.
    """
    ### BEGIN SOLUTION
    w = w.astype(np.int64)
    at_low, at_high = (low - zero) * w, (high - zero) * w
    return np.minimum(at_low, at_high).sum(axis=0), np.maximum(at_low, at_high).sum(axis=0)
    ### END SOLUTION


def counter_input(w, low, high, zero, bits):
    """None if Σ_k (x_k − zero) · w[k, n] fits into a signed integer of `bits` bits for all columns n and all
    codes x_k in low … high. Otherwise (n, x): a column, and codes uint8 (K,) in low … high, for which the sum
    does not fit.

    A signed integer of b bits holds −2^(b − 1) … 2^(b − 1) − 1, one more on the negative side.
    """
    ### BEGIN SOLUTION
    least, greatest = extremes(w, low, high, zero)
    for n in range(w.shape[1]):
        if greatest[n] > 2 ** (bits - 1) - 1:
            return n, np.where(w[:, n] > 0, high, low).astype(np.uint8)
        if least[n] < -(2 ** (bits - 1)):
            return n, np.where(w[:, n] > 0, low, high).astype(np.uint8)
    return None
    ### END SOLUTION


# ---- What is graded ----

BITS = st.integers(2, 8)
SEEDS = st.integers(0, 999)
ZEROS = st.integers(0, 255)
RANGES = st.tuples(st.integers(-40, 40), st.integers(-40, 40), st.sampled_from([1.0, 0.37, 12.5, 1e-3])).map(
    lambda drawn: (min(drawn[:2]) * drawn[2], max(drawn[:2]) * drawn[2])).filter(any)


def grid(student, ends, bits):
    """The scale and the zero point that the hand-in gives for a range, checked."""
    given = student.scale_and_zero_point(*ends, bits)
    scale, zero = expect.items(given, "scale_and_zero_point gives a scale and a zero point", 2)
    scale, zero = expect.real(scale, "the scale"), expect.whole(zero, "the zero point")
    assert scale > 0, f"the scale must be positive; got {scale}"
    assert 0 <= zero < 2**bits, f"the zero point must be a code, 0 … {2**bits - 1}; got {zero}"
    return scale, zero


def codes_of(student, x, scale, zero, bits):
    """The codes of x by the hand-in, checked."""
    codes = expect.array(student.quantize(x, scale, zero, bits), "quantize", dtype=np.uint8, shape=x.shape)
    assert codes.max() < 2**bits, f"quantize: {bits} bits hold 0 … {2**bits - 1}; got the code {codes.max()}"
    return codes


def reals_of(student, codes, scale, zero):
    """The reals of codes by the hand-in, checked."""
    x = student.dequantize(codes, scale, zero)
    return expect.array(x, "dequantize", dtype=np.float64, shape=codes.shape)


def reals_in(ends, seed, n=40):
    """Reals of the range that holds the ends and zero: the ends, zero, and others between, in order."""
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    return np.sort(np.append(np.random.default_rng(seed).uniform(low, high, n), [low, 0.0, high]))


@graded(points=2)
@given(ends=RANGES, bits=BITS)
def the_grid_is_as_fine_as_can_be(student, ends, bits):
    """2^bits − 1 equal steps cover the range, which holds zero, and not more."""
    scale, _ = grid(student, ends, bits)
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    wanted = (high - low) / (2**bits - 1)
    assert abs(scale - wanted) <= 1e-6 * wanted, (
        f"the range {low:g} … {high:g} in {2**bits - 1} steps makes a scale of {wanted:.6g}; got {scale:.6g}")


@graded(points=1)
@given(bits=BITS)
def an_empty_range_has_a_grid(student, bits):
    """The range 0 … 0 has the scale 1, and a zero point."""
    scale, _ = grid(student, (0.0, 0.0), bits)
    assert scale == 1.0, f"the range 0 … 0 must have the scale 1; got {scale}"


@graded(points=2)
@given(ends=RANGES, bits=BITS)
def zero_is_exact(student, ends, bits):
    """Zero has a code of its own, the zero point, and comes back as exactly 0."""
    scale, zero = grid(student, ends, bits)
    (code,) = codes_of(student, np.zeros(1), scale, zero, bits)
    assert code == zero, f"0.0 must become the zero point, {zero}; got {code}"
    (back,) = reals_of(student, np.array([zero], np.uint8), scale, zero)
    assert back == 0.0, f"the zero point {zero} must come back as 0.0; got {back}"


@graded(points=3)
@given(ends=RANGES, bits=BITS, seed=SEEDS)
def the_error_is_at_most_half_a_step(student, ends, bits, seed):
    """A real of the range comes back within half a step: |x − x̂| ≤ scale / 2."""
    scale, zero = grid(student, ends, bits)
    x = reals_in(ends, seed)
    back = reals_of(student, codes_of(student, x, scale, zero, bits), scale, zero)
    steps = np.abs(x - back) / scale
    worst = steps.argmax()
    assert steps[worst] <= 0.5 + 1e-6, (f"{x[worst]:.6g} comes back as {back[worst]:.6g}: an error of "
                                        f"{steps[worst]:.3g} steps of {scale:.6g}")


@graded(points=1)
@given(ends=RANGES, bits=BITS, seed=SEEDS)
def the_order_is_kept(student, ends, bits, seed):
    """A larger real never has a smaller code, and the ends of the range have the first and the last."""
    scale, zero = grid(student, ends, bits)
    x = reals_in(ends, seed)
    codes = codes_of(student, x, scale, zero, bits).astype(int)
    for i in np.flatnonzero(np.diff(codes) < 0):
        raise AssertionError(f"{x[i]:.6g} has the code {codes[i]}, and {x[i + 1]:.6g}, which is larger, has "
                             f"{codes[i + 1]}")
    last = 2**bits - 1  # where an end lies half-way between two codes, the even one may be the one beside
    assert max(codes[0], last - codes[-1]) <= 1, (
        f"the ends {x[0]:g} and {x[-1]:g} must have the codes 0 and {last}; got {codes[0]} and {codes[-1]}")


@graded(points=1)
@given(ends=RANGES, bits=BITS)
def quantizing_again_changes_nothing(student, ends, bits):
    """Each code comes back as itself: codes → reals → codes."""
    scale, zero = grid(student, ends, bits)
    codes = np.arange(2**bits).astype(np.uint8)
    again = codes_of(student, reals_of(student, codes, scale, zero), scale, zero, bits)
    wrong = np.flatnonzero(again != codes)
    assert wrong.size == 0, f"the code {codes[wrong[0]]} comes back as {again[wrong[0]]}"


def channels(student, w, bits):
    """The codes and the scales of a weight by the hand-in, checked."""
    given = expect.items(student.quantize_channels(w, bits), "quantize_channels gives codes and scales", 2)
    return (expect.array(given[0], "the codes of quantize_channels", dtype=np.int8, shape=w.shape),
            expect.array(given[1], "the scales of quantize_channels", dtype=np.float64, shape=w.shape[:1]))


@graded(points=2)
@given(shape=st.tuples(st.integers(1, 4), st.integers(1, 6)), bits=BITS, seed=SEEDS)
def every_channel_fills_its_own_grid(student, shape, bits, seed):
    """In each channel the largest magnitude is ±(2^(bits − 1) − 1), and no weight is off by over half a
    step."""
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4, (shape[0], 1))
    codes, scales = channels(student, w, bits)
    most = 2 ** (bits - 1) - 1
    for o in range(shape[0]):
        reach = np.abs(codes[o].astype(int)).max()
        assert reach == most, f"channel {o} of w = {w.tolist()} reaches ±{reach}; {bits} bits: wanted ±{most}"
        error = np.abs(w[o] - scales[o] * codes[o]).max()
        assert error <= abs(scales[o]) * (0.5 + 1e-6), (
            f"channel {o} of w = {w.tolist()}: an error of {error:.3g} with the scale {scales[o]:.3g}")


def exact_sum(x, zero, w):
    """Σ_k (x_k − zero) · w_k in Python's integers."""
    return sum((int(a) - zero) * int(b) for a, b in zip(x, w, strict=True))


@graded(points=2)
@given(shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 3)), zero=ZEROS, seed=SEEDS)
def products_of_integers_are_exact(student, shape, zero, seed):
    """Every sum is the one that Python's own integers give."""
    (m, k, n), rng = shape, np.random.default_rng(seed)
    x = rng.choice([0, 1, 3, 127, 128, 254, 255], (m, k)).astype(np.uint8)
    w = rng.choice([-128, -127, -1, 0, 1, 100, 127], (k, n)).astype(np.int8)
    got = expect.array(student.integer_product(x, zero, w), "integer_product", dtype=np.int32, shape=(m, n))
    for i, j in np.ndindex(m, n):
        exact = exact_sum(x[i], zero, w[:, j])
        assert got[i, j] == exact, (f"x = {x[i].tolist()} with zero = {zero}, times w = {w[:, j].tolist()}: "
                                    f"wanted {exact}; got {got[i, j]}")


def weights(seed, k, n):
    """Weights (K, N) of int8, zeros and the largest among them."""
    rng = np.random.default_rng(seed)
    edges = rng.choice([-128, -127, 0, 1, 127], (k, n))
    return np.where(rng.random((k, n)) < 0.3, edges, rng.integers(-128, 128, (k, n))).astype(np.int8)


SIZES = st.tuples(st.integers(1, 8), st.integers(1, 3))
CODES = st.tuples(st.integers(0, 255), st.integers(0, 255)).map(sorted)


def reached(w, low, high, zero, n):
    """The least and the greatest sum of column n, in Python's integers."""
    ends = [sorted([(low - zero) * weight, (high - zero) * weight]) for weight in w[:, n].tolist()]
    return sum(least for least, _ in ends), sum(greatest for _, greatest in ends)


@graded(points=2)
@given(size=SIZES, codes=CODES, zero=ZEROS, seed=SEEDS)
def the_extremes_are_reached(student, size, codes, zero, seed):
    """The least and the greatest sum of each column are exact."""
    w, (low, high) = weights(seed, *size), codes
    both = expect.items(student.extremes(w, low, high, zero), "extremes gives two arrays", 2)
    ends = [expect.array(one, "extremes", dtype=np.int64, shape=size[1:]) for one in both]
    for n in range(size[1]):
        wanted, got = reached(w, low, high, zero, n), (int(ends[0][n]), int(ends[1][n]))
        assert got == wanted, (f"the column {w[:, n].tolist()} with codes {low} … {high} and zero {zero} "
                               f"reaches {wanted[0]} … {wanted[1]}; got {got[0]} … {got[1]}")


def tight(w, low, high, zero, closer):
    """A number of bits by which the sums of a column just fit, or just do not: `closer` bits more."""
    ends = [reached(w, low, high, zero, n) for n in range(w.shape[1])]
    largest = max(max(greatest, -least - 1) for least, greatest in ends)
    return max(2, largest.bit_length() + 1 + closer)


def check_certificate(student, w, low, high, zero, bits):
    """Raise unless counter_input gives None where all sums fit, and else codes for which one does not."""
    said = f"w = {w.tolist()}, codes {low} … {high}, zero {zero}"
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    ends = [end for n in range(w.shape[1]) for end in reached(w, low, high, zero, n)]
    given = student.counter_input(w, low, high, zero, bits)
    if least <= min(ends) and max(ends) <= most:
        assert given is None, f"{said}: all sums fit {bits} bits; got {given}"
        return
    assert given is not None, f"{said}: a sum does not fit {bits} bits"
    column, x = expect.items(given, "counter_input gives None, or a column and codes", 2)
    column = expect.whole(column, "the column of counter_input")
    assert 0 <= column < w.shape[1], f"counter_input: there is no column {column}; w has {w.shape[1]}"
    x = expect.array(x, "the codes of counter_input", dtype=np.uint8, shape=w.shape[:1])
    assert low <= x.min() <= x.max() <= high, f"the codes {x.tolist()} are not all in {low} … {high}"
    total = exact_sum(x, zero, w[:, column])
    assert not least <= total <= most, (
        f"{said}: the sum of column {column} for x = {x.tolist()} is {total}, which fits {bits} bits")


@graded(points=2)
@given(size=SIZES, codes=CODES, zero=ZEROS, seed=SEEDS, power=st.integers(1, 7))
def a_counter_input_overflows(student, size, codes, zero, seed, power):
    """Where a sum does not fit, be it by 1, an input is given for which it does not."""
    check_certificate(student, np.array([[0], [1]], np.int8), 0, 2**power, 0, power + 1)
    w = weights(seed, *size)
    check_certificate(student, w, *codes, zero, tight(w, *codes, zero, -1))


@graded(points=1)
@given(size=SIZES, codes=CODES, zero=ZEROS, seed=SEEDS, power=st.integers(1, 7))
def no_false_alarm(student, size, codes, zero, seed, power):
    """Where every sum fits, be it just so, the certificate says so."""
    for bits in (power + 1, power):  # one more on the negative side: −2^power fits power + 1 bits
        check_certificate(student, np.array([[0], [-1]], np.int8), 0, 2**power, 0, bits)
    w = weights(seed, *size)
    check_certificate(student, w, *codes, zero, tight(w, *codes, zero, 0))


### BEGIN HIDDEN TESTS
@graded(points=1)
@given(k=st.lists(st.integers(-100, 100), min_size=1, max_size=8), power=st.integers(-8, 8), zero=ZEROS)
def halves_go_to_the_even_code(student, k, power, zero):
    """What lies half-way between two integers becomes the even one."""
    scale = 2.0**power
    steps = np.array(k) + 0.5
    codes = codes_of(student, steps * scale, scale, zero, 8).tolist()
    wanted = [min(max(round(i) + zero, 0), 255) for i in steps.tolist()]
    assert codes == wanted, f"x / scale = {steps.tolist()}, zero {zero}: wanted {wanted}; got {codes}"


@graded(points=1)
@given(ends=RANGES, bits=BITS, far=st.sampled_from([1e3, 1e6, 1e9]))
def what_lies_outside_is_clamped(student, ends, bits, far):
    """Reals outside of the range become the codes at its ends, however far they are."""
    scale, zero = grid(student, ends, bits)
    codes = codes_of(student, np.array([[-far], [far]]) * scale, scale, zero, bits)
    assert codes.ravel().tolist() == [0, 2**bits - 1], (
        f"±{far:g} steps must become 0 and {2**bits - 1}; got {codes.ravel().tolist()}")


@graded(points=1)
@given(zeros=st.lists(st.booleans(), min_size=1, max_size=4), bits=BITS)
def channels_of_zeros_stay_zero(student, zeros, bits):
    """A channel without any weight has codes of 0 and the scale 1, and does not disturb the others."""
    w = np.array([[0.0, 0.0] if empty else [0.5, -1.0] for empty in [*zeros, True]])
    codes, scales = channels(student, w, bits)
    for o, empty in enumerate([*zeros, True]):
        if empty:
            said = f"w = {w.tolist()}: channel {o} is zero"
            assert not codes[o].any(), f"{said}; got the codes {codes[o].tolist()}"
            assert scales[o] == 1.0, f"{said}; wanted the scale 1, got {scales[o]}"
        else:
            assert codes[o][1] == -(2 ** (bits - 1) - 1), f"w = {w.tolist()}: got the codes {codes.tolist()}"


@graded(points=1)
@given(k=st.sampled_from([300, 1100, 40_000]), sign=st.sampled_from([-1, 1]), zero=ZEROS)
def long_sums_are_exact(student, k, sign, zero):
    """Sums of many products too, which leave 16 bits and what float32 can hold exactly."""
    w = np.full((k, 1), 127 * sign, np.int8)
    x = np.full((1, k), 255, np.uint8)
    x[0, ::2], exact = 254, (k // 2 * (255 + 254) - k * zero) * 127 * sign
    got = expect.array(student.integer_product(x, zero, w), "integer_product", dtype=np.int32, shape=(1, 1))
    assert got[0, 0] == exact, f"{k} products: wanted {exact}; got {got[0, 0]}"
    ends = expect.items(student.extremes(w, 0, 255, 0), "extremes gives two arrays", 2)
    reach = [int(expect.array(one, "extremes", dtype=np.int64, shape=(1,))[0]) for one in ends]
    assert sum(reach) == k * 255 * 127 * sign, f"{k} weights of {127 * sign} and codes 0 … 255: got {reach}"


### END HIDDEN TESTS
if __name__ == "__main__":
    main(__file__)

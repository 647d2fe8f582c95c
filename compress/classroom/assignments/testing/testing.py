"""Assignment 9: tests

Who writes a kernel believes that it is right. You write what finds out. The kernel is a linear layer of
integers; it takes buffers and sizes, as C does:

    y = kernel(m, n, k, a, lda, b, ldb, a_zero, scale, bias)

a holds m rows of k numbers, uint8: the p-th of row i is a[i·lda + p], where lda ≥ k, for rows may lie apart.
b holds k rows of n numbers, int8: b[p·ldb + j], ldb ≥ n. Both buffers may be longer than that; what lies
between the rows must not matter. a_zero is a whole number from 0 to 255, scale > 0 and bias are float32, n
numbers each. What comes back is float32 of shape (m, n),

    y[i, j] = scale[j] · Σ_p (a[i, p] − a_zero) · b[p, j] + bias[j] .

m, n and k may be 0, and k is at most 2048: then no sum leaves 32 bits, and all sums are exact. What comes
after them is rounded, and in what order is the kernel's business: it may add up in parts, scale them, and
round more or less often. So not one y is right, but each with

    |y[i, j] − exact| ≤ 2⁻²¹ · (scale[j] · Σ_p |a[i, p] − a_zero| · |b[p, j]| + |bias[j]|) ,

eight float32 roundings of what is added up (not of the sum, which may nearly cancel). No call may depend on
the one before it.

You write `expected`, the exact result and the bound; and `check`, which calls a kernel as often as it likes
and raises AssertionError, with a text that says what is wrong, if it finds a defect. It is graded by kernels
with planted defects, of kinds that real ones had: each must be found. And it may find nothing in kernels that
are right: whoever cries wolf gets no points for what was found. Five defects and three right kernels stand
below; there are more when it is graded. Where would *you* go wrong in C? Which sizes, which values, which
order of calls bring it to light? `notebooks/06_kernel.py` and `notebooks/07_integers.py` prepare this
assignment. Make `check` give the same answer every time (seed its random numbers), in half a second at most.
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compress.classroom import expect, graded, main


def expected(m, n, k, a, lda, b, ldb, a_zero, scale, bias):
    """The exact y and the bound of its error: two float64 arrays (m, n)."""
    ### BEGIN SOLUTION
    x = a[np.arange(m)[:, None] * lda + np.arange(k)].astype(np.int64) - a_zero
    w = b[np.arange(k)[:, None] * ldb + np.arange(n)].astype(np.int64)
    scale, bias = scale.astype(np.float64), bias.astype(np.float64)
    exact = scale * (x @ w) + bias
    bound = 2.0**-21 * (scale * (np.abs(x) @ np.abs(w)) + np.abs(bias))
    return exact, bound
    ### END SOLUTION


def check(kernel):
    """Raise AssertionError if the kernel has a defect."""
    ### BEGIN SOLUTION
    rng = np.random.default_rng(0)
    sizes = [(1, 1, 1), (1, 5, 3), (2, 8, 4), (3, 3, 7), (4, 17, 6), (5, 2, 9), (7, 9, 5), (2, 3, 1000),
             (3, 4, 0), (0, 3, 2), (2, 0, 3)]
    values = [((0, 256), (-128, 128), 131), ((0, 256), (-128, 128), 5), ((0, 1), (-128, -127), 255),
              ((255, 256), (127, 128), 0), ((255, 256), (-128, -127), 1)]
    for m, n, k in sizes:
        for a_values, b_values, a_zero in values:
            lda, ldb = k + 3, n + 2
            a = rng.integers(*a_values, m * lda).astype(np.uint8)
            b = rng.integers(*b_values, k * ldb).astype(np.int8)
            scale = rng.uniform(0.01, 2, n).astype(np.float32)
            bias = rng.normal(0, 100, n).astype(np.float32) * (np.arange(n) > 0)
            exact, bound = expected(m, n, k, a, lda, b, ldb, a_zero, scale, bias)
            for time in ("first", "second"):
                y = kernel(m, n, k, a, lda, b, ldb, a_zero, scale, bias)
                where = f"m, n, k = {m}, {n}, {k}, a_zero = {a_zero}, {time} call"
                assert y.shape == (m, n), f"{where}: shape {y.shape}"
                assert y.dtype == np.float32, f"{where}: dtype {y.dtype}"
                assert np.all(np.abs(y - exact) <= bound), f"{where}: {y} for {exact}"
    ### END SOLUTION


def defect(kernel):
    """What `check` says of a kernel, or None if it finds nothing. Leave this as it is."""
    try:
        if check(kernel) is False:
            return "check returned False"
    except AssertionError as error:
        return str(error) or "an assertion failed"
    return None


# What is graded. `student` is the module that was handed in. (Functions of your own stand above this line,
# and have other names than those below it.)

class Call:
    """The arguments of a call of a kernel, looked at; x = a − a_zero and w = b as matrices of integers."""

    def __init__(self, m, n, k, a, lda, b, ldb, a_zero, scale, bias):
        sizes = {"m": m, "n": n, "k": k, "lda": lda, "ldb": ldb, "a_zero": a_zero}
        m, n, k, lda, ldb, zero = (expect.whole(x, f"kernel: {name}") for name, x in sizes.items())
        said = ", ".join(f"{name} = {x}" for name, x in sizes.items())
        assert all(0 <= size <= 2048 for size in (m, n, k)), f"kernel: sizes are from 0 to 2048; got {said}"
        assert lda in range(k, 4097), f"kernel: lda is from k to 4096; got {said}"
        assert ldb in range(n, 4097), f"kernel: ldb is from n to 4096; got {said}"
        assert 0 <= zero <= 255, f"kernel: a_zero is from 0 to 255; got {said}"
        self.a = expect.array(a, "kernel: a", dtype=np.uint8, shape=(None,))
        self.b = expect.array(b, "kernel: b", dtype=np.int8, shape=(None,))
        for name, buffer, rows, columns, step in (("a", a, m, k, lda), ("b", b, k, n, ldb)):
            need = (rows - 1) * step + columns if rows and columns else 0
            assert len(buffer) >= need, (f"kernel: {name} needs {need} entries, for {rows} rows of {columns} "
                                         f"that begin {step} apart; got {len(buffer)}")
        self.scale = expect.array(scale, "kernel: scale", dtype=np.float32, shape=(n,))
        self.bias = expect.array(bias, "kernel: bias", dtype=np.float32, shape=(n,))
        assert (scale > 0).all(), f"kernel: scale is positive; got {scale}"
        self.m, self.n, self.k, self.zero = m, n, k, zero
        self.x, self.w = matrix(self.a, m, k, lda) - zero, matrix(self.b, k, n, ldb)

    def scaled(self, sums):
        """float32 y from the sums, rounded after every operation."""
        return sums.astype(np.float32) * self.scale + self.bias


def matrix(buffer, rows, columns, step):
    """The matrix in a buffer whose rows begin `step` apart, int64; entries behind its end are 0."""
    places = np.arange(rows)[:, None] * step + np.arange(columns)
    return np.append(buffer, np.zeros(rows * step + columns, buffer.dtype))[places].astype(np.int64)


def rounds_once(c):
    """is right: it computes in float64 and rounds once"""
    return (c.x @ c.w * c.scale.astype(np.float64) + c.bias).astype(np.float32)


def rounds_always(c):
    """is right: it rounds to float32 after every operation"""
    return c.scaled(c.x @ c.w)


def adds_up_in_quarters(c):
    """is right: it scales four parts of the sum and adds them up in float32"""
    y = np.broadcast_to(c.bias, (c.m, c.n))
    for part in np.array_split(np.arange(c.k), 4):
        y = y + (c.x[:, part] @ c.w[part]).astype(np.float32) * c.scale
    return y


RIGHT = [rounds_once, rounds_always, adds_up_in_quarters]


def adds_the_zero_point(c):
    """adds a_zero to a, where it should subtract"""
    return c.scaled((c.x + 2 * c.zero) @ c.w)


def leaves_out_an_odd_row(c):
    """takes rows two at a time, and leaves the last of an odd number 0"""
    y = c.scaled(c.x @ c.w)
    y[c.m // 2 * 2:] = 0
    return y


def cuts_off_the_depth(c):
    """takes k four at a time, and leaves out the rest"""
    whole = c.k // 4 * 4
    return c.scaled(c.x[:, :whole] @ c.w[:whole])


def takes_rows_of_a_to_touch(c):
    """takes row i of a to begin at i·k"""
    return c.scaled((matrix(c.a, c.m, c.k, c.k) - c.zero) @ c.w)


def takes_rows_of_b_to_touch(c):
    """takes row p of b to begin at p·n"""
    return c.scaled(c.x @ matrix(c.b, c.k, c.n, c.n))


def judge(student, *planted, right=RIGHT):
    """Raise unless `check` finds nothing in the right kernels, and a defect in each of the planted ones. Who
    counts them gains nothing: nobody knows their order."""
    answers = dict.fromkeys((*right, *planted))
    for kernel in np.random.default_rng().permutation([*answers]):
        answers[kernel] = student.defect(lambda *arguments, kernel=kernel: kernel(Call(*arguments)))
    for kernel, said in answers.items():
        assert said is None or isinstance(said, str), f"defect gives {said!r}; it is to stay as it was"
        if kernel in right:
            assert said is None, f"check rejects a kernel that {kernel.__doc__}. It says: {said}"
        else:
            assert said is not None, f"check finds nothing wrong with a kernel that {kernel.__doc__}"


@graded(points=1)
@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 40), st.integers(0, 3), st.integers(0, 2**16))
def oracle_is_exact(student, m, n, k, apart, seed):
    """`expected` gives the exact y and its bound."""
    rng = np.random.default_rng(seed)
    lda, ldb, a_zero = k + apart, n + apart, int(rng.choice([0, 1, 128, 255]))
    a, b = rng.integers(0, 256, m * lda).astype(np.uint8), rng.integers(-128, 128, k * ldb).astype(np.int8)
    scale, bias = rng.uniform(0.5, 2, n).astype(np.float32), rng.normal(size=n).astype(np.float32)
    two = expect.items(student.expected(m, n, k, a, lda, b, ldb, a_zero, scale, bias), "expected", 2)
    y = expect.array(two[0], "the exact y", dtype=np.float64, shape=(m, n))
    bound = expect.array(two[1], "the bound", dtype=np.float64, shape=(m, n))
    for i in range(m):
        for j in range(n):
            terms = [(int(a[i * lda + p]) - a_zero) * int(b[p * ldb + j]) for p in range(k)]
            exact = sum(terms) * float(scale[j]) + float(bias[j])
            size = sum(map(abs, terms)) * float(scale[j]) + abs(float(bias[j]))
            here, size = f"of y[{i}, {j}] with a_zero = {a_zero}", size * 2**-21
            assert abs(y[i, j] - exact) <= 1e-6 * size, f"the exact value {here} is {exact}, not {y[i, j]}"
            assert abs(bound[i, j] - size) <= 1e-6 * size, f"the bound {here} is {size}, not {bound[i, j]}"


@graded(points=1)
def finds_a_wrong_sign(student):
    """Finds a zero point that is added."""
    judge(student, adds_the_zero_point)


@graded(points=2)
def finds_lost_edges(student):
    """Finds rows and steps of k that are left out where sizes are no multiples."""
    judge(student, leaves_out_an_odd_row, cuts_off_the_depth)


@graded(points=2)
def finds_ignored_strides(student):
    """Finds kernels that take rows to lie side by side."""
    judge(student, takes_rows_of_a_to_touch, takes_rows_of_b_to_touch)


### BEGIN HIDDEN TESTS
def corrects_afterwards(c):
    """is right: it subtracts a_zero times the sum of b afterwards"""
    return c.scaled((c.x + c.zero) @ c.w - c.zero * c.w.sum(axis=0)).astype(np.float32, order="F")


def gives_minus_zero(c):
    """is right: where y is 0 it gives −0"""
    y = rounds_once(c)
    return np.where(y == 0, np.float32(-0.0), y)


ALL = [*RIGHT, corrects_afterwards, gives_minus_zero]


def saturates_pairs(c):
    """adds two products of a and b in 16 bits and saturates"""
    a, sums = c.x + c.zero, -c.zero * c.w.sum(axis=0) * np.ones((c.m, 1), np.int64)
    for p in range(0, c.k, 2):
        sums += np.clip(a[:, p:p + 2] @ c.w[p:p + 2], -2**15, 2**15 - 1)
    return c.scaled(sums)


def saturates_sums(c):
    """adds up in 16 bits and saturates in the end"""
    return c.scaled(np.clip(c.x @ c.w, -2**15, 2**15 - 1))


@graded(points=2)
def finds_saturation(student):
    """Finds sums that saturate in 16 bits."""
    judge(student, saturates_pairs, saturates_sums, right=ALL)


def wrapped(sums, bits):
    """The sums as so many bits hold them."""
    return (sums + 2**(bits - 1)) % 2**bits - 2**(bits - 1)


def overflows_16_bits(c):
    """adds up in 16 bits, which wrap around"""
    return c.scaled(wrapped(c.x @ c.w, 16))


def overflows_24_bits(c):
    """adds up in 24 bits, which wrap around"""
    return c.scaled(wrapped(c.x @ c.w, 24))


@graded(points=2)
def finds_overflow(student):
    """Finds accumulators that are too narrow, if only for the longest sums of the largest numbers."""
    judge(student, overflows_16_bits, overflows_24_bits, right=ALL)


def takes_a_to_be_signed(c):
    """reads a as int8: 128 is −128"""
    return c.scaled((wrapped(c.x + c.zero, 8) - c.zero) @ c.w)


def takes_the_zero_point_to_be_signed(c):
    """reads a_zero as int8: 128 is −128"""
    return c.scaled((c.x + c.zero - wrapped(np.int64(c.zero), 8)) @ c.w)


def negates_minus_128(c):
    """multiplies by |b| in seven bits, so that −128 counts as −127"""
    return c.scaled(c.x @ np.maximum(c.w, -127))


@graded(points=2)
def finds_wrong_bytes(student):
    """Finds bytes that are read with the wrong sign, and the one that has no negative."""
    judge(student, takes_a_to_be_signed, takes_the_zero_point_to_be_signed, negates_minus_128, right=ALL)


def scales_the_last_columns_alike(c):
    """takes columns eight at a time, and the rest with the scale of the first of them"""
    scale, whole = c.scale.copy(), c.n // 8 * 8
    scale[whole:] = scale[whole:whole + 1]
    return (c.x @ c.w).astype(np.float32) * scale + c.bias


def corrects_whole_blocks_only(c):
    """subtracts a_zero times the sum of b, of the first k//4·4 rows of b only"""
    return c.scaled((c.x + c.zero) @ c.w - c.zero * c.w[:c.k // 4 * 4].sum(axis=0))


def repeats_a_third_row(c):
    """takes rows four at a time, and computes the second twice where three are left"""
    y = c.scaled(c.x @ c.w)
    if c.m % 4 == 3:
        y[-1] = y[-2]
    return y


@graded(points=2)
def finds_wrong_remainders(student):
    """Finds rows, columns and steps of k that are computed otherwise where a block is not full."""
    judge(student, scales_the_last_columns_alike, corrects_whole_blocks_only, repeats_a_third_row, right=ALL)


def forgets_the_zero_point_of_one_row(c):
    """has a way of its own for m = 1, which forgets a_zero"""
    return c.scaled((c.x + c.zero) @ c.w if c.m == 1 else c.x @ c.w)


def leaves_y_as_it_was_without_depth(c):
    """returns at once where k is 0, and leaves in y what was there before"""
    return c.scaled(c.x @ c.w) if c.k else np.full((c.m, c.n), np.nan, np.float32)


def gives_a_row_where_there_is_none(c):
    """computes at least one row, also where m is 0"""
    return c.scaled(c.x @ c.w) if c.m else np.zeros((1, c.n), np.float32)


@graded(points=2)
def finds_wrong_special_cases(student):
    """Finds what goes wrong with a single row, without any rows, and where there is nothing to add up."""
    judge(student, forgets_the_zero_point_of_one_row, leaves_y_as_it_was_without_depth,
          gives_a_row_where_there_is_none, right=ALL)


def scales_in_half_precision(c):
    """keeps scale in float16"""
    return (c.x @ c.w).astype(np.float32) * c.scale.astype(np.float16).astype(np.float32) + c.bias


def rounds_to_16_bits(c):
    """rounds y to a significand of 16 bits on its way out"""
    return (rounds_once(c).view(np.uint32) + np.uint32(128) & np.uint32(0xFFFFFF00)).view(np.float32)


@graded(points=2)
def finds_lost_precision(student):
    """Finds what is rounded more than the bound allows."""
    judge(student, scales_in_half_precision, rounds_to_16_bits, right=ALL)


def scales_the_bias_too(c):
    """adds the bias before it scales"""
    return ((c.x @ c.w).astype(np.float32) + c.bias) * c.scale


def adds_the_bias_to_one_row(c):
    """adds the bias to the first row only"""
    return (c.x @ c.w).astype(np.float32) * c.scale + np.where(np.arange(c.m)[:, None] == 0, c.bias, 0)


@graded(points=1)
def finds_a_wrong_bias(student):
    """Finds a bias that is scaled, or not in every row."""
    judge(student, scales_the_bias_too, adds_the_bias_to_one_row, right=ALL)


@graded(points=1)
def finds_what_is_left_of_the_last_call(student):
    """Finds accumulators that are not cleared where a call has the sizes of the one before it."""
    last = {}

    def keeps_its_sums(c):
        """does not clear its accumulators where m and n are those of the call before"""
        sums = c.x @ c.w + last.pop((c.m, c.n), 0)
        last.clear()
        last[c.m, c.n] = sums
        return c.scaled(sums)

    judge(student, keeps_its_sums, right=ALL)


### END HIDDEN TESTS
if __name__ == "__main__":
    main(__file__)

"""Assignment 5: a kernel in C, the product of matrices of 8-bit integers.

    out[i, j] = Σ_k (a[i, k] − a_zero) · b[k, j]       a uint8 (M, K), b int8 (K, N) → out int32 (M, N)

This is the product that a quantized layer spends its time in (Jacob et al. 2018, eq. 7). Written down as it
stands, three loops, it is right and slow: the processor adds one product in the time in which it could add
dozens. You write it in `kernel.c`, first right, then fast; `gemm8.h` says what each parameter is. Write into
`kernel.c` and nothing here, then run this file: `python kernel.py` compiles it, checks each property below,
and says how many points you have. You need a C compiler, gcc or clang.

Right (14 points, 2 of them by what you do not see): every sum is exact, whatever the sizes, 0 and 1 among
them. No byte outside of the arrays is read or written: each of them lies between two pages of memory that may
not be touched. Every entry is written, a and b are not, and nothing is remembered from one call to the next.

Fast (8 points): what counts is how many times as fast as three loops it is, in the same run: 2, 4 and 8 times
for 2, 4 and all 8 points. (`NAIVE` in compress/classroom/gemm8.py are those loops.) One thread, no other
libraries. What helps, from the first to the last:

  1. The innermost loop should walk through memory step by step. In three loops as they stand it jumps from
     row to row of b. Exchange two loops, or turn b around first.
  2. vpmaddwd multiplies 16 bits by 16 bits, in pairs, and adds the two products in 32 bits: 16 multiply-adds
     in one instruction of AVX2. A compiler finds it for a loop over k in which two int16_t from contiguous
     memory are multiplied and added to an int32_t. So widen a − a_zero and b to int16_t once, beforehand.
  3. A number that was loaded should be used several times. A tile of 2 rows and 4 columns has 8 sums, which
     stay in registers, and takes 6 loads for 8 products; one row and one column take 2 loads for one.

`notebooks/06_kernel.py` and `06b_tile.py` prepare you for it. The grader has further properties, which you do
not see; they ask for nothing that is not written here.
"""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compress.classroom import expect, graded, main
from compress.classroom.gemm8 import Runner

HANDIN = "kernel.c"
REFERENCE = 16  # times as fast as three loops: a solution that does what is written above

runner = Runner(Path(__file__).with_name(HANDIN))
gemm8, timed, naive = runner.gemm8, runner.timed, runner.naive  # what the properties below call

# ---- What is graded ----

SIZES = st.tuples(*[st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33])] * 3)
ZEROS = st.sampled_from([0, 1, 128, 255, 17])
SEEDS = st.integers(0, 999)
FILLS = st.sampled_from([0x55, 0xAA, 0x01])


def matrices(size, seed):
    """a and b of these sizes (M, K, N); in every third case the largest numbers only."""
    (m, k, n), rng = size, np.random.default_rng(seed)
    if seed % 3:
        return (rng.integers(0, 256, (m, k)).astype(np.uint8),
                rng.integers(-128, 128, (k, n)).astype(np.int8))
    return (rng.choice([0, 255], (m, k), p=[0.1, 0.9]).astype(np.uint8),
            rng.choice([-128, 127], (k, n), p=[0.9, 0.1]).astype(np.int8))


def same(got, a, a_zero, b):
    """Raise unless this is the product, and say which entry is wrong."""
    (m, k), n = a.shape, b.shape[1]
    got = expect.array(got, "gemm8", dtype=np.int32, shape=(m, n))
    want = (a.astype(np.int64) - a_zero) @ b.astype(np.int64)
    wrong = np.argwhere(got != want)
    if len(wrong):
        i, j = wrong[0]
        raise AssertionError(f"M = {m}, K = {k}, N = {n}: {len(wrong)} of {got.size} entries are wrong, the "
                             f"first is out[{i}, {j}]: wanted {want[i, j]}; got {got[i, j]}")


def asked(student, size, a_zero, seed, **more):
    """The product of the hand-in, checked."""
    a, b = matrices(size, seed)
    same(student.gemm8(a, a_zero, b, **more), a, a_zero, b)


@graded(points=3)
@given(size=SIZES, seed=SEEDS)
def the_product_is_exact(student, size, seed):
    """With a zero point of 0: the product of a and b."""
    asked(student, size, 0, seed)


@graded(points=2)
@given(size=SIZES, a_zero=ZEROS, seed=SEEDS)
def the_zero_point_is_taken_off(student, size, a_zero, seed):
    """a − a_zero is what is multiplied, and lies in −255 … 255."""
    asked(student, size, a_zero, seed)


@graded(points=3)
@given(size=SIZES, a_zero=ZEROS, seed=SEEDS)
def no_byte_outside_is_touched(student, size, a_zero, seed):
    """Arrays that end where memory ends, and arrays that begin there: nothing before or behind them is read
    or written, and neither a nor b is written to."""
    for at_start in (False, True):
        asked(student, size, a_zero, seed, at_start=at_start)


@graded(points=2)
@given(size=SIZES, fill=FILLS, seed=SEEDS)
def every_entry_is_written(student, size, fill, seed):
    """Whatever the memory of the result held before."""
    asked(student, size, 3, seed, fill=fill)


@graded(points=2)
@given(size=st.sampled_from([(0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 0, 1), (0, 0, 0)]), fill=FILLS)
def axes_may_be_empty(student, size, fill):
    """Without rows or columns there is nothing to write; an empty sum is 0."""
    asked(student, (2, 0, 3), 5, 1, fill=fill)
    asked(student, size, 5, 1, fill=fill)


def times_as_fast(student):
    """How many times as fast as three loops, of three attempts the best (another program may disturb one)."""
    asked(student, (3, 5, 2), 3, 1)  # what is not written, or wrong, is said of a small product
    a, b = matrices((256, 1024, 256), 1)
    best = 0.0
    for _ in range(3):
        seconds = []
        for function, name in ((student.timed, "timed"), (student.naive, "naive")):
            out, time = expect.items(function(a, 3, b, 3 if name == "timed" else 1), name, 2)
            same(out, a, 3, b)
            seconds.append(expect.real(time, name))
        best = max(best, seconds[1] / max(seconds[0], 1e-9))
        if best >= REFERENCE / 2:
            break
    return best


def is_fast(student, wanted):
    """Raise unless it is so many times as fast."""
    reached = times_as_fast(student)
    assert reached >= wanted, (f"256×1024×256: {reached:.1f} times as fast as three loops; wanted {wanted:g} "
                               f"times (a solution reaches {REFERENCE})")


@graded(points=2)
def it_is_twice_as_fast(student):
    """An eighth of what a solution reaches."""
    is_fast(student, REFERENCE / 8)


@graded(points=2)
def it_is_four_times_as_fast(student):
    """A quarter of what a solution reaches."""
    is_fast(student, REFERENCE / 4)


@graded(points=4)
def it_is_eight_times_as_fast(student):
    """Half of what a solution reaches."""
    is_fast(student, REFERENCE / 2)


### BEGIN HIDDEN TESTS
@graded(points=1)
@given(k=st.sampled_from([511, 1024, 1025, 4099]), sign=st.sampled_from([-128, 127]), a_zero=ZEROS)
def long_sums_are_exact(student, k, sign, a_zero):
    """Sums of thousands of the largest products too."""
    a, b = np.full((2, k), 255, np.uint8), np.full((k, 3), sign, np.int8)
    same(student.gemm8(a, a_zero, b), a, a_zero, b)


@graded(points=1)
@given(first=SIZES, second=SIZES, seed=SEEDS)
def nothing_is_remembered(student, first, second, seed):
    """A call after another one gives what it gives alone: with other sizes, with other numbers, again."""
    for i, size in enumerate((first, second, first, first)):
        asked(student, size, i, seed + i // 2)


### END HIDDEN TESTS
if __name__ == "__main__":
    runner.build()
    main(__file__)

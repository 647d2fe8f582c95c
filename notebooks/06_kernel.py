# %% [markdown]
# # A kernel: from three loops to vector instructions
#
# A product of matrices is three nested loops. Compiled as they stand, they waste nearly every cycle of the
# processor: it could do many times as much in the same time. Here we find out where the cycles go, and win
# the first of them back, in C that fits on a page. Chapter 06b wins the rest.
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.
# The C below is compiled by the C compiler of your machine. Where there is none, the cells say so and go on
# without it.

# %%
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one core is compared with one core

import matplotlib.pyplot as plt
import numpy as np

import nn
from nn.compiler import NoCompilerError
from nn.explain import BLUE, FAST, GREY, ORANGE, Guesses, compiled, note, style

N = 384 if FAST else 768  # rows and columns of every matrix: a multiple of all tiles below
style()
guesses = Guesses()
compare = guesses.compare

# %% [markdown]
# ## 1. The ceiling
#
# $$c_{ij} = \sum_{k=1}^{n} a_{ik}\, b_{kj}$$
#
# takes $n^3$ multiply-adds. A core multiplies and adds whole *vectors*: $L$ numbers side by side, its
# *lanes*, in one instruction. It can begin $p$ such instructions a cycle, and has $f$ cycles a second. So
# no product of matrices can be faster than
#
# $$\text{peak} = L \cdot p \cdot f \quad\text{multiply-adds a second.}$$
#
# Data sheets give these three numbers, and are wrong for your machine: clocks change with the load and with
# the instructions. So the peak is measured, by a loop that does nothing but multiply and add, in registers.
# Speeds below are processor time, the best of a few runs, and told as a share of this peak. (A multiply-add
# is two floating-point operations; who counts those gets twice the number.)

# %%
rng = np.random.default_rng(0)
a, b = rng.standard_normal((2, N, N), np.float32)
right = a.astype(float) @ b
ladder = {}  # name: multiply-adds a second


def speed(function, *arguments, macs=N**3, seconds=0.05):
    """Multiply-adds a second of processor time: the best of a few calls."""
    return macs / nn.timing.race({"": lambda: function(*arguments)}, seconds, rounds=1)[""]


route = nn.kernels.best_route(nn.kernels.gemm)
peak = nn.kernels.peak(route) if route else speed(np.matmul, a, b)
print(f"{peak / 1e9:.1f} billion multiply-adds a second:", route or "NumPy's, for want of C kernels")

# %% [markdown]
# ## 2. Three loops
#
# First in Python. **Before you run the cell:** how many *per mille* of the peak will it reach?

# %%
yours = None


def three_loops(a, b):
    """The definition, in lists of Python numbers."""
    n, a, b = len(a), a.tolist(), b.tolist()
    c = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(n):
            for k in range(n):
                c[i][j] += a[i][k] * b[k][j]
    return np.array(c)


small = a[:48, :48], b[:48, :48]
assert np.allclose(three_loops(*small), small[0] @ small[1], atol=1e-4)
ladder["Python"] = speed(three_loops, *small, macs=48**3)
compare("Python: per mille of the peak", 1000 * ladder["Python"] / peak, yours)

# %% [markdown]
# That is the price of an interpreter: it decides for every number anew what to do. A compiler decides once.
# `build` compiles a C text that defines `product`, with the options that a compiler has for "fast, on this
# very machine", and gives a Python function.

# %%
SIGNATURE = "void product(int n, const float *a, const float *b, float *c);"


def build(source, **macros):
    """The product that a C text defines, as a function of two matrices; None without a compiler."""
    try:
        ffi, lib = compiled(source, SIGNATURE, **macros)
    except NoCompilerError:
        return None

    def product(a, b):
        c = np.empty_like(a)
        lib.product(len(a), *(ffi.from_buffer("float[]", matrix) for matrix in (a, b, c)))
        return c

    return product


def step(name, function, yours=None):
    """A rung of the ladder: is it right, how fast is it, what did you say (in % of the peak)?"""
    if function is None:
        print(f"{name}: left out, there is no C compiler")
        return
    error = np.abs(function(a, b) - right).max()
    assert error < 1e-2, f"{name} is wrong: {error}"
    ladder[name] = speed(function, a, b)
    compare(f"{name}: % of the peak", 100 * ladder[name] / peak, yours)


# %% [markdown]
# The definition in C. **Before you run the cell:** compiled with all optimisations, what percent of the peak
# will it reach?

# %%
yours = None

THREE_LOOPS = r"""
void product(int n, const float *restrict a, const float *restrict b, float *restrict c)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            float sum = 0;
            for (int k = 0; k < n; k++)
                sum += a[i * n + k] * b[k * n + j];
            c[i * n + j] = sum;
        }
}
"""
ijk = build(THREE_LOOPS)
step("C: three loops", ijk, yours)

# %% [markdown]
# ## 3. Where do the cycles go?
#
# Three things keep these loops from the peak, and their losses multiply.
#
# **Waiting for the last sum.** `sum += …` needs the sum before it. An addition takes $\lambda$ cycles
# (3 to 5 on most machines) until its result is there; meanwhile the core could have begun $p\lambda$
# others. One chain of additions is $p\lambda$ times too slow. (A compiler may not make several chains of
# one: sums of floats in another order are other sums.)
#
# **Empty lanes.** One number at a time fills one lane of $L$.
#
# **Memory.** $b_{kj}$ and $b_{k+1,j}$ lie $n$ numbers apart. Memory comes in lines of 64 bytes, 16 floats:
# of each line that is fetched *one* number is used, and by the time its neighbour is wanted the line may be
# gone.
#
# The first two can be measured alone: by the same sum over numbers that lie in the nearest cache, with one
# chain of single numbers, and with one chain of vectors. **Before you run the cell:** which of the three
# costs most? How many times slower than the peak does it make the loops?

# %%
yours_factor = None

VECTOR = r"""
#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias)); /* + and * of all lanes */
"""
CHAINS = VECTOR + r"""
float numbers(int n, int times, const float *a, const float *b)
{
    float sum = 0;
    for (int t = 0; t < times; t++)
        for (int k = 0; k < n; k++)
            sum += a[k] * b[k];
    return sum;
}
float vectors(int n, int times, const float *a, const float *b)
{
    vec sum = { 0 };
    for (int t = 0; t < times; t++)
        for (int k = 0; k < n; k += LANES)
            sum += *(const vec *)(a + k) * *(const vec *)(b + k);
    float total = 0;
    for (int i = 0; i < LANES; i++)
        total += sum[i];
    return total;
}
int lanes(void) { return LANES; }
"""

# %%
SUM = "(int n, int times, const float *a, const float *b);"
if ijk:
    ffi, chains = compiled(CHAINS, f"float numbers{SUM} float vectors{SUM} int lanes(void);")
    near = [ffi.from_buffer("float[]", row) for row in np.ones((2, 1024), np.float32)]
    of_numbers, of_vectors = (speed(f, 1024, 3000, *near, macs=1024 * 3000)
                              for f in (chains.numbers, chains.vectors))
    print(f"a vector of this compiler has {chains.lanes()} lanes")
    lost = {"one chain of sums": peak / of_vectors, "one lane of a vector": of_vectors / of_numbers,
            "memory": of_numbers / ladder["C: three loops"]}
    compare("the largest factor", max(lost.values()), yours_factor)
    print(" × ".join(f"{factor:.1f} ({name})" for name, factor in lost.items()),
          f"= {np.prod(list(lost.values())):.0f} times slower than the peak:",
          f"{100 - 100 * ladder['C: three loops'] / peak:.1f} % of the cycles are lost")

    figure, axes = plt.subplots(figsize=(9, 2.6))
    names = ["the peak", *(f"{name}: ÷ {factor:.1f}" for name, factor in lost.items())]
    shares = 100 / np.cumprod([1, *lost.values()])
    axes.barh(names, shares, color=[GREY, BLUE, BLUE, ORANGE])
    for i, share in enumerate(shares):
        note(axes, f"{share:.3g} %", (share, i))
    axes.set(xscale="log", xlim=(0.3, 500), title="what is left of the peak, %, logarithmic")
    axes.invert_yaxis()
    plt.show()

# %% [markdown]
# The first two factors have nothing to do with memory, and are paid even where everything lies in the
# nearest cache. So "the processor waits for memory" is only a part of the story of these loops.
#
# ## 4. Another order of the loops
#
# The three loops may be nested in any order. With $j$ innermost, row $i$ of $c$ is a sum of rows of $b$: the
# same products, added in the same order of $k$. But now neighbours in time are neighbours in memory, and the
# innermost loop has $n$ sums that do not wait for each other: all three losses are attacked at once. The
# figure shows which numbers of $b$ the first steps read.

# %%
figure, panels = plt.subplots(1, 2, figsize=(9, 4.3))
for axes, title, cells in zip(panels, ("$k$ innermost: 8 steps, 8 lines", "$j$ innermost: 8 steps, 2 lines"),
                              ([(k, 0) for k in range(8)], [(0, j) for j in range(8)]), strict=True):
    for i in range(8):
        for line in range(2):
            met = any(row == i and column // 4 == line for row, column in cells)
            axes.add_patch(plt.Rectangle((4 * line + 0.06, i + 0.1), 3.88, 0.8, edgecolor=GREY,
                                         facecolor="#bcdcf0" if met else "white"))
    for number, (i, j) in enumerate(cells, 1):
        axes.text(j + 0.5, i + 0.5, number, ha="center", va="center", color=ORANGE, weight="bold")
    axes.set(xlim=(0, 8), ylim=(8, 0), xticks=[], yticks=[], title=title, xlabel="j", ylabel="k")
    axes.set_aspect("equal")
    axes.spines[:].set_visible(False)
figure.suptitle("b, drawn with 4 numbers in a line: those fetched are blue")
plt.show()

# %% [markdown]
# **Before you run the cell:** what percent of the peak now?

# %%
yours = None

ANOTHER_ORDER = r"""
void product(int n, const float *restrict a, const float *restrict b, float *restrict c)
{
    for (int i = 0; i < n * n; i++)
        c[i] = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++)
            for (int j = 0; j < n; j++)
                c[i * n + j] += a[i * n + k] * b[k * n + j];
}
"""
ikj = build(ANOTHER_ORDER)
step("C: another order", ikj, yours)
if ikj:
    print(f"{ladder['C: another order'] / ladder['C: three loops']:.0f} times as fast, for two swapped lines")

# %% [markdown]
# ## 5. Blocks, and a copy that pays
#
# For every row of $c$ all of $b$ goes by: $4 n^2$ bytes, more than the nearer caches hold. Cut $b$ into
# blocks of 64 × 64, which are 16 KiB. While a block is near, use it for *all* rows of $a$: each of its
# numbers is then fetched from far away once instead of $n$ times.
#
# The rows of a block lie $n$ numbers apart, and lines at such distances crowd each other out of a cache. So
# copy the block first, *pack* it. The copy moves $64 \cdot 64$ numbers, the block is then used for
# $64 \cdot 64 \cdot n$ multiply-adds: one move in $n$.
#
# **Before you run the cell:** what percent of the peak?

# %%
yours = None

BLOCKS = r"""
#include <string.h>
enum { SIDE = 64 };
void product(int n, const float *restrict a, const float *restrict b, float *restrict c)
{
    static float block[SIDE * SIDE];
    memset(c, 0, sizeof *c * n * n);
    for (int j0 = 0; j0 < n; j0 += SIDE)
        for (int k0 = 0; k0 < n; k0 += SIDE) {
            for (int k = 0; k < SIDE; k++)
                memcpy(block + k * SIDE, b + (k0 + k) * n + j0, sizeof *b * SIDE);
            for (int i = 0; i < n; i++)
                for (int k = 0; k < SIDE; k++)
                    for (int j = 0; j < SIDE; j++)
                        c[i * n + j0 + j] += a[i * n + k0 + k] * block[k * SIDE + j];
        }
}
"""
step("C: blocks, packed", build(BLOCKS), yours)

# %% [markdown]
# What is left? In the innermost loop each vector of multiply-adds loads $b$, loads $c$ and stores $c$: three
# trips to the cache for one instruction of work. Chapter 06b keeps the sums where they are used.

# %%
figure, axes = plt.subplots(figsize=(9, 0.42 * len(ladder) + 0.9))
axes.barh(list(ladder), [100 * rate / peak for rate in ladder.values()], color=BLUE)
for i, rate in enumerate(ladder.values()):
    note(axes, f"{100 * rate / peak:.3g} %", (100 * rate / peak, i))
axes.set(xlim=(0, 108), title=f"a product of {N} × {N} matrices, % of the peak", xticks=[])
axes.invert_yaxis()
plt.show()
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *Four chains.* Give `THREE_LOOPS` four sums for four values of $k$ (their order changes: by how much
#    does the result?). Which of the three factors becomes smaller? Predict by how much.
# 2. *Powers of two.* Time the three loops for $n = 512$ and $n = 500$. Why is the smaller *and* the less
#    round number so much better? (A cache puts lines at equal distances into the same few places.)
# 3. *Without the copy.* Let the loops of section 5 read the block where it lies. What does it cost, and for
#    which $n$ nothing?

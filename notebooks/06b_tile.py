# %% [markdown]
# # A tile in registers: to the top of the ladder
#
# Chapter 06 found where the cycles of three loops go: sums wait for each other, lanes are empty, memory is
# read across its lines. Another order and packed blocks win much of that back. Here sums stay in registers
# until they are finished, which is what every fast product of matrices does, and at the top of the ladder
# stand the kernels that this library and NumPy run. Could we have known before where it ends?
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.
# The C is compiled by the C compiler of your machine; where there is none, the cells say so and go on without
# it.

# %%
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one core is compared with one core

import matplotlib.pyplot as plt
import numpy as np

import nn
from nn.compiler import NoCompilerError
from nn.explain import BLUE, FAST, GREEN, ORANGE, Guesses, compiled, numbers, roofline, style

N = 384 if FAST else 768  # rows and columns of every matrix: a multiple of all tiles below
style()
guesses = Guesses()
compare = guesses.compare
rng = np.random.default_rng(0)
a, b = rng.standard_normal((2, N, N), np.float32)
right = a.astype(float) @ b
ladder = {}  # name: multiply-adds a second


def speed(function, *arguments, macs=N**3, seconds=0.05):
    """Multiply-adds a second of processor time: the best of a few calls."""
    return macs / nn.timing.race({"": lambda: function(*arguments)}, seconds, rounds=1)[""]


def step(name, function, yours=None):
    """A rung of the ladder: is it right, how fast is it, what did you say (in % of the peak)?"""
    error = np.abs(function(a, b) - right).max()
    assert error < 1e-2, f"{name} is wrong: {error}"
    ladder[name] = speed(function, a, b)
    compare(f"{name}: % of the peak", 100 * ladder[name] / peak, yours)


route = nn.kernels.best_route(nn.kernels.gemm)
peak = nn.kernels.peak(route) if route else speed(np.matmul, a, b)  # multiply-adds a second, in registers
print(f"{peak / 1e9:.1f} billion multiply-adds a second:", route or "NumPy's, for want of C kernels")

# %% [markdown]
# ## 1. A tile
#
# The loops of chapter 06 load $b$, load $c$ and store $c$ for each vector of multiply-adds: three trips to
# the cache for one instruction of work. The way out is to keep sums where they are used, in *registers*,
# until they are finished. Take a tile of $c$, $R$ rows and $V$ vectors wide. For each $k$ it needs $V$
# vectors of $b$ and $R$ numbers of $a$, each spread over a vector, and does $R\,V$ multiply-adds:
#
# $$\frac{\text{loads}}{\text{multiply-adds}} = \frac{R + V}{R\,V} = \frac1R + \frac1V ,$$
#
# and no store at all.
#
# Whether a compiler sees by itself that the sums fit into registers is luck, and changes from version to
# version. Most C compilers know a type for a vector, `vector_size`; its `+` and `*` work on all lanes, on
# every processor. With it the program says what it means: `sum[R][V]` are vectors, their loops are unrolled,
# so every sum has a name and a register of its own.
#
# Around the tile stand the loops of Goto & van de Geijn (2008): 256 rows of $b$ are packed into panels as
# wide as a tile, and for each $R$ rows of $a$, packed too, all panels go by. `LOOPS` is where we begin.

# %%
LOOPS = r"""
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

# %%
VECTORS = r"""
#include <string.h>
#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias)); /* + and * of all lanes */
enum { WIDE = V * LANES, DEEP = 256, MOST = 1024 };
#define UNROLL _Pragma("GCC unroll 16")
#define EACH_SUM UNROLL for (int i = 0; i < R; i++) UNROLL for (int v = 0; v < V; v++)

static float rows[R * DEEP], panels[DEEP * MOST] __attribute__((aligned(64)));

static void tile(int n, int depth, const float *panel, float *c)
{
    vec sum[R][V] = { { { 0 } } };
    for (int k = 0; k < depth; k++)
        EACH_SUM sum[i][v] += rows[k * R + i] * *(const vec *)(panel + k * WIDE + v * LANES);
    EACH_SUM *(vec *)(c + i * n + v * LANES) += sum[i][v];
}

void product(int n, const float *restrict a, const float *restrict b, float *restrict c)
{
    memset(c, 0, sizeof *c * n * n);
    for (int k0 = 0; k0 < n; k0 += DEEP) {
        const int depth = n - k0 < DEEP ? n - k0 : DEEP;
        for (int j0 = 0; j0 < n; j0 += WIDE)
            for (int k = 0; k < depth; k++)
                memcpy(panels + j0 * depth + k * WIDE, b + (k0 + k) * n + j0, sizeof *b * WIDE);
        for (int i0 = 0; i0 < n; i0 += R) {
            for (int k = 0; k < depth; k++)
                for (int i = 0; i < R; i++)
                    rows[k * R + i] = a[(i0 + i) * n + k0 + k];
            for (int j0 = 0; j0 < n; j0 += WIDE)
                tile(n, depth, panels + j0 * depth, c + i0 * n + j0);
        }
    }
}
"""

# %% [markdown]
# Which tile? Three conditions.
#
# - *Enough sums.* $R\,V$ chains must hide the latency: at least as many as the first factor of chapter 06,
#   §3.
# - *Few loads.* $1/R + 1/V$ should be small: large tiles, and none that is thin.
# - *Enough registers.* $R\,V$ sums, $V$ vectors of $b$ and one of $a$ must fit; processors have 16 or 32.
#   What does not fit is stored and loaded again in every step.
#
# **Before you run the cell:** which of the tiles below is best? Say its number of sums, $R\,V$. And what
# percent of the peak will it reach?

# %%
yours_sums, yours_percent = None, None

some_r, some_v = ((2, 6, 12), (1, 2)) if FAST else ((1, 2, 4, 6, 8, 12), (1, 2, 4))


def build(source, **macros):
    """The product that a C text defines, as a function of two matrices."""
    ffi, lib = compiled(source, "void product(int n, const float *a, const float *b, float *c);", **macros)

    def product(a, b):
        c = np.empty_like(a)
        lib.product(len(a), *(ffi.from_buffer("float[]", matrix) for matrix in (a, b, c)))
        return c

    return product


measured = {}
try:
    step("C: another order", build(LOOPS))
    for tile in [(r, v) for r in some_r for v in some_v]:
        kernel = build(VECTORS, R=tile[0], V=tile[1])
        assert np.abs(kernel(a, b) - right).max() < 1e-2
        measured[tile] = speed(kernel, a, b)
    best = max(measured, key=measured.get)
    print(f"the best tile here: {best[0]} rows of {best[1]} vectors")
    compare("sums of the best tile", best[0] * best[1], yours_sums)
    step("C: a tile of vectors", build(VECTORS, R=best[0], V=best[1]), yours_percent)
except NoCompilerError as error:
    print(error)

# %%
if measured:
    shares = [[100 * measured[r, v] / peak for v in some_v] for r in some_r]
    registers = [[r * v + v + 1 for v in some_v] for r in some_r]
    figure, panels = plt.subplots(1, 2, figsize=(9, 4.4), sharey=True)
    for axes, values, title, colours in ((panels[0], registers, "registers wanted", "Blues"),
                                         (panels[1], shares, "measured, % of the peak", "Oranges")):
        axes.imshow(values, cmap=colours, aspect="auto")
        numbers(axes, form="{:.0f}", fontsize=15)
        axes.set(title=title, xlabel="V, vectors", xticks=range(len(some_v)), xticklabels=some_v)
        axes.set_yticks(range(len(some_r)), some_r)
        axes.spines[:].set_visible(False)
    panels[0].set_ylabel("R, rows")
    plt.show()

# %% [markdown]
# The text of the tile is the same in every cell of this picture: two numbers decide. A tile that is one
# vector wide can do well where a processor spreads a number of $a$ over a vector for nothing, as a part of
# the multiply-add. And a tile that wants more registers than there are falls off a cliff.
#
# ## 2. The ladder
#
# At the top: the kernel of this library and NumPy's, on one core. **Before you run the cell:** how many
# times faster is the best of all than `LOOPS`, another order of the three loops?

# %%
yours = None

packed = nn.kernels.gemm.pack(b)
step("this library's, b packed", lambda a, b: nn.kernels.gemm(a, packed))
step("this library's", nn.kernels.gemm)
step("NumPy's own", np.matmul)
if measured:
    compare("the best over the loops, times", max(ladder.values()) / ladder["C: another order"], yours)

figure, axes = plt.subplots(figsize=(10.5, 0.42 * len(ladder) + 0.9))
shares = [100 * rate / peak for rate in ladder.values()]
colours = [BLUE if name.startswith("C") else GREEN for name in ladder]
axes.barh(list(ladder), shares, color=colours)
for i, share in enumerate(shares):
    inside = {"ha": "right", "color": "white"} if share > 80 else {}
    axes.text(share - 1 if inside else share + 1, i, f"{share:.{1 if share >= 0.1 else 2}f} %", va="center",
              **inside)
axes.axvline(100, color=ORANGE, linestyle="--")
axes.set(xlim=(0, 108), title=f"a product of {N} × {N} matrices, % of the peak (dashed)", xticks=[])
axes.invert_yaxis()
plt.show()

# %% [markdown]
# The last steps win little and cost most of the lines of a library: sizes that are no multiple of a tile,
# memory that must not be read beyond its end, several instruction sets in one file and a choice between them
# at run time, threads. What the page above leaves out is what the laws of `nn.testing` look for.
#
# ## 3. The roofline
#
# Can a kernel be judged before it is tuned? Williams, Waterman & Patterson (2009): let it do $I$
# multiply-adds for each byte that it moves. Then its speed is at most
#
# $$\min(\text{peak},\; I \cdot \text{bytes a second}).$$
#
# A product of matrices that takes each number from memory once does $n^3$ multiply-adds for $12\,n^2$ bytes,
# $n/12$ for each. And a product of *one row* with a matrix, what a network does with a single example, uses
# each weight once: 4 bytes for each.
#
# **Before you run the cell:** what percent of the peak can this product of one row reach, however it is
# written?

# %%
yours = None

side = 4096  # 64 MiB, more than most caches hold
matrix = rng.standard_normal((side, side), np.float32)
far_speed = speed(np.dot, matrix.ravel(), matrix.ravel(), macs=matrix.nbytes)
matrix, row = nn.kernels.gemm.pack(matrix), matrix[:1].copy()
ladder["one row"] = speed(nn.kernels.gemm, row, matrix, macs=side**2)
print(f"{far_speed / 1e9:.0f} GB a second from memory")
compare("a product of one row: % of the peak", 100 * ladder["one row"] / peak, yours,
        theory=100 * min(1, far_speed / 4 / peak))
points = {name.removeprefix("C: "): (N / 12, rate) for name, rate in ladder.items() if name.startswith("C")}
roofline(peak, {"memory": far_speed}, points | {"one row": (1 / 4, ladder["one row"])})
plt.show()

# %% [markdown]
# A kernel far below its roof waits for something else: the loops wait for what moves between caches and
# registers, which has a roof of its own. (Who counts bytes there: the three loops move 8 for a multiply-add,
# another order 12, a tile of $L\,V$ lanes $4/R + 4/(L\,V)$.)
#
# The single row can't be moved at all: each weight is used once. Only *fewer bytes for a weight* help there,
# and that is the next notebook, 07.
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# They lead to the assignment `kernel`, a product of 8-bit integers in C.
#
# 1. *Any size.* Let `VECTORS` take every $n$: pad the packed copies with zeros, and let the last tile of a
#    row be added through a small array. How fast is it at $n = 700$?
# 2. *Without packing.* Let `tile` read `a` and `b` where they lie. Which of the two copies pays, at which
#    $n$?
# 3. *Yours.* `espalier new-kernel gemm --to mine` writes a naive kernel, `mine/gemm.c`, and its signature.
#    Put your tile in. `espalier check-kernel mine/gemm.c --as gemm --flags=-march=native` looks for a case
#    that breaks it, `espalier bench-kernel` with the same words shows where it stands on the ladder.

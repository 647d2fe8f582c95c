# %% [markdown]
# # A kernel: from three loops to vector instructions
#
# A product of matrices is three nested loops. Compiled as they stand, they waste nearly every cycle of the
# processor: it could do many times as much in the same time. Here we find out where the cycles go, and win
# them back step by step, in C that fits on a page. At the top of the ladder stand the kernels that this
# library and NumPy run.
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.
# The C below is compiled by the C compiler of your machine, into a temporary folder. Where there is none,
# the cells say so and go on without it.

# %%
import os
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one core is compared with one core

import cffi
import matplotlib.pyplot as plt
import numpy as np

import nn
from nn.explain import BLUE, FAST, GREEN, GREY, ORANGE, Guesses, note, numbers, roofline, style

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
FILES = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # goes away with the notebook's process
SIGNATURE = "void product(int n, const float *a, const float *b, float *c);"
wanted = [os.environ.get("CC"), sysconfig.get_config_var("CC"), "cc", "gcc", "clang"]
compiler = next((words for words in map(shlex.split, filter(None, wanted)) if shutil.which(words[0])), None)
print("C compiler:", " ".join(compiler) if compiler else "none found: steps in C are left out (CC names one)")


def library(source, signature, **macros):
    """What a C text defines, compiled; None without a compiler."""
    if compiler is None:
        return None
    path = Path(FILES.name) / f"{len(os.listdir(FILES.name))}.c"
    path.write_text(source)
    shared = path.with_suffix(".so")
    for machine in (["-march=native"], ["-mcpu=native"], []):
        options = ["-O3", "-w", *machine, *(f"-D{name}={value}" for name, value in macros.items()), "-shared"]
        words = [*compiler, *options, "-fPIC", "-o", str(shared), str(path)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            ffi = cffi.FFI()
            ffi.cdef(signature)
            return ffi, ffi.dlopen(str(shared))
    raise RuntimeError(f"{compiler[0]} can't compile this:\n{done.stderr}")


# %%
def build(source, **macros):
    """The product that a C text defines, as a function of two matrices; None without a compiler."""
    ffi, lib = library(source, SIGNATURE, **macros) or (None, None)

    def product(a, b):
        c = np.empty_like(a)
        lib.product(len(a), *(ffi.from_buffer("float[]", matrix) for matrix in (a, b, c)))
        return c

    return product if lib else None


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
found = library(CHAINS, f"float numbers{SUM} float vectors{SUM} int lanes(void);")
if found:
    ffi, chains = found
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
# ## 6. A tile in registers
#
# What is left? In the innermost loop each vector of multiply-adds loads $b$, loads $c$ and stores $c$: three
# trips to the cache for one instruction of work. The way out is to keep sums where they are used, in
# *registers*, until they are finished. Take a tile of $c$, $R$ rows and $V$ vectors wide. For each $k$ it
# needs $V$ vectors of $b$ and $R$ numbers of $a$, each spread over a vector, and does $R\,V$ multiply-adds:
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
# wide as a tile, and for each $R$ rows of $a$, packed too, all panels go by.

# %%
VECTORS = VECTOR + r"""
#include <string.h>
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
# - *Enough sums.* $R\,V$ chains must hide the latency: at least as many as the factor of section 3.
# - *Few loads.* $1/R + 1/V$ should be small: large tiles, and none that is thin.
# - *Enough registers.* $R\,V$ sums, $V$ vectors of $b$ and one of $a$ must fit; processors have 16 or 32.
#   What does not fit is stored and loaded again in every step.
#
# **Before you run the cell:** which of the tiles below is best? Say its number of sums, $R\,V$. And what
# percent of the peak will it reach?

# %%
yours_sums, yours_percent = None, None

some_r, some_v = ((2, 6, 12), (1, 2)) if FAST else ((1, 2, 4, 6, 8, 12), (1, 2, 4))
tiles = [(r, v) for r in some_r for v in some_v]
measured = {}
for r, v in tiles:
    kernel = build(VECTORS, R=r, V=v)
    if kernel:
        assert np.abs(kernel(a, b) - right).max() < 1e-2
        measured[r, v] = speed(kernel, a, b)
if measured:
    best = max(measured, key=measured.get)
    print(f"the best tile here: {best[0]} rows of {best[1]} vectors")
    compare("sums of the best tile", best[0] * best[1], yours_sums)
    step("C: a tile of vectors", build(VECTORS, R=best[0], V=best[1]), yours_percent)

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
# ## 7. The ladder
#
# At the top: the kernel of this library and NumPy's, on one core. **Before you run the cell:** how many
# times faster is the best of all than the three loops in C?

# %%
yours = None

packed = nn.kernels.gemm.pack(b)
step("this library's, b packed", lambda a, b: nn.kernels.gemm(a, packed))
step("this library's", nn.kernels.gemm)
step("NumPy's own", np.matmul)
compare("the best over the three loops, times", max(ladder.values()) / ladder.get(
    "C: three loops", ladder["Python"]), yours)

figure, axes = plt.subplots(figsize=(10.5, 0.42 * len(ladder) + 0.9))
shares = [100 * rate / peak for rate in ladder.values()]
colours = [GREEN if "library" in name or "own" in name else BLUE if name.startswith("C") else GREY
           for name in ladder]
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
# ## 8. The roofline
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
names = "C: three loops", "C: another order", "C: blocks, packed", "C: a tile of vectors"
points = {name.removeprefix("C: "): (N / 12, ladder[name]) for name in names if name in ladder}
roofline(peak, {"memory": far_speed}, points | {"one row": (1 / 4, ladder["one row"])})
plt.show()

# %% [markdown]
# A kernel far below its roof waits for something else: the three loops wait for their own sum, and the others
# for what moves between caches and registers, which has a roof of its own. (Who counts bytes there: three
# loops move 8 for a multiply-add, another order 12, a tile of $L\,V$ lanes $4/R + 4/(L\,V)$.)
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
# 1. *Four chains.* Give `THREE_LOOPS` four sums for four values of $k$ (their order changes: by how much
#    does the result?). Which of the three factors becomes smaller? Predict by how much.
# 2. *Powers of two.* Time the three loops for $n = 512$ and $n = 500$. Why is the smaller *and* the less
#    round number so much better? (A cache puts lines at equal distances into the same few places.)
# 3. *Any size.* Let `VECTORS` take every $n$: pad the packed copies with zeros, and let the last tile of a
#    row be added through a small array. How fast is it at $n = 700$?
# 4. *Without packing.* Let `tile` read `a` and `b` where they lie. Which of the two copies pays, at which
#    $n$?
# 5. *Yours.* `espalier new-kernel gemm --to mine` writes a naive kernel, `mine/gemm.c`, and its signature.
#    Put your tile in. `espalier check-kernel mine/gemm.c --as gemm --flags=-march=native` looks for a case
#    that breaks it, `espalier bench-kernel` with the same words shows where it stands on the ladder.

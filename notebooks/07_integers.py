# %% [markdown]
# # Integers: the same operations, why faster?
#
# A product of matrices in 8-bit integers needs as many multiplications and additions as one in floats. Yet
# it can be several times faster, or slower, or the same. Here we derive how integers stand for reals, measure
# the speed-up, and take it apart: which part comes from where, and when do you not get it? (Three of five
# causes; the others, and what integers cost, are chapter 07b.)
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.

# %%
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one core is compared with one core

import matplotlib.pyplot as plt
import numpy as np

import nn
from compress.formats.affine import UINT8
from nn.explain import BLUE, FAST, GREY, ORANGE, Guesses, note, style, ticks
from nn.kernels import gemm, qgemm
from nn.timing import race

style()
guesses = Guesses()
compare = guesses.compare

# %% [markdown]
# ## 1. How an integer stands for a real
#
# Which map from integers $q$ to reals $r$? If sums and products of reals are to become sums and products of
# integers, it must be affine, $r = s\,q + t$. And the real 0 must be on the grid exactly: padding and ReLU
# write zeros all day, and an error that is always the same adds up. So some integer $z$ has $s z + t = 0$,
# and what remains is (Jacob et al. 2018, eq. 1)
#
# $$r = s\,(q - z), \qquad q = \operatorname{clamp}\bigl(\operatorname{round}(r / s) + z,\; 0,\; 255\bigr).$$
#
# A range $l \dots h$ with $l \le 0 \le h$ gets $s = (h - l)/255$ (256 integers have 255 *steps* between
# them) and $z = \operatorname{round}(-l / s)$. *The error is at most $s/2$*, also at the ends, since rounding
# $z$ moved the grid by at most half a step. Beyond the range nothing is promised.
#
# **Before you run the cell:** if errors are spread evenly over $-s/2 \dots s/2$, what is their root mean
# square, in steps? (Integrate $e^2$.)

# %%
yours = None

rng = np.random.default_rng(0)
reals = rng.normal(0.3, 1, 200_000)
low, high = -2.5, 3.0


def fit(low, high):
    """Scale and zero point of the grid that covers low…high and has the real 0."""
    scale = (high - low) / 255
    return scale, round(-low / scale)


def quantize(r, scale, zero):
    """The nearest code of each real."""
    return np.clip(np.rint(r / scale) + zero, 0, 255).astype(np.uint8)


scale, zero = fit(low, high)
codes = quantize(reals, scale, zero)
error = scale * (codes.astype(int) - zero) - reals
inside = (low <= reals) & (reals <= high)
grid = UINT8.fit(low, high)
print(f"scale {scale:.6f}, zero {zero}; the library's: {grid.scale:.6f}, {grid.zero}")
print("the real 0 comes back as", scale * (int(quantize(np.zeros(1), scale, zero)[0]) - zero))
print(f"largest error: {np.abs(error[inside]).max() / scale:.4f} steps inside the range, "
      f"{np.abs(error).max() / scale:.1f} beyond it")
compare("root mean square error, steps", np.sqrt((error[inside] ** 2).mean()) / scale, yours, theory=12**-0.5)

figure, (left, axes) = plt.subplots(1, 2, figsize=(11, 3.4), sharey=True, width_ratios=(3, 1))
some = rng.choice(len(reals), 4000, replace=False)
left.plot(reals[some], error[some] / scale, ".", color=BLUE, markersize=2)
for end in (low, high):
    left.axvline(end, color=ORANGE, linestyle="--")
left.text(high - 0.05, -1.3, "end of the range", ha="right", color=ORANGE)
left.set(xlabel="real", ylabel="error, in steps", ylim=(-1.5, 1.5), yticks=[-1.5, -1, -0.5, 0, 0.5, 1, 1.5])
axes.hist(error[inside] / scale, bins=50, orientation="horizontal", color=BLUE)
axes.set(xticks=[], title="inside: uniform")
plt.show()

# %% [markdown]
# Weights are centred on 0: their grid has $z = 0$, the integers $-127 \dots 127$, and a scale for each
# output, so that one large weight does not coarsen the others.
#
# ## 2. A product, in integers
#
# Put both into a sum of products (gemmlowp's notes on low precision do this algebra, and it pays to know
# it):
#
# $$\sum_k s_a (a_k - z_a)\, s_b (b_k - z_b)
# = s_a s_b \Bigl( \sum_k a_k b_k - z_a \sum_k b_k - z_b \sum_k a_k + K z_a z_b \Bigr).$$
#
# Only the first sum is a product of matrices. $\sum_k b_k$ is one number a column, known when the weights
# are; $\sum_k a_k$ is one a row, and for weights $z_b = 0$ it is not needed at all. So zero points cost one
# subtraction for each *result*, against $K$ multiply-adds.

# %%
M, K, N = 64, 512, 96
a = rng.integers(0, 256, (M, K), dtype=np.uint8)
b = rng.integers(-127, 128, (K, N), dtype=np.int8)
z_a, z_b = 120, 3
wide_a, wide_b = a.astype(int), b.astype(int)
definition = (wide_a - z_a) @ (wide_b - z_b)
four_terms = (wide_a @ wide_b - z_a * wide_b.sum(axis=0) - z_b * wide_a.sum(axis=1, keepdims=True)
              + K * z_a * z_b)
print("definition, four terms and kernel agree:", np.array_equal(definition, four_terms),
      np.array_equal(definition, qgemm(a, b, a_zero=z_a, b_zero=z_b)))

# %% [markdown]
# The sum of products needs 32 bits: $K \cdot 255 \cdot 127$ must stay below $2^{31}$. (When it does not, and
# what happens where a processor keeps only 16: notebook 01.)
#
# ## 3. Smaller numbers are not faster
#
# NumPy has 8-bit and 32-bit integers, too. **Before you run the cell:** the product of two 256 × 256
# matrices of `int32`, exact and with as many operations as in floats: how many times *as fast as* `float32`
# is it in NumPy? (Above 1: faster.)

# %%
yours = None

floats = rng.standard_normal((256, 256), np.float32)
integers = rng.integers(-127, 128, (256, 256), dtype=np.int32)
seconds = race({"float32": lambda: floats @ floats, "int32": lambda: integers @ integers}, 0.02)
compare("NumPy, int32: times as fast as float32", seconds["float32"] / seconds["int32"], yours)

# %% [markdown]
# So it isn't the type. NumPy multiplies floats with a kernel of the kind that notebook 06 builds, and
# integers with three loops. Now a kernel for a kernel. $M$ rows (examples) of $K$ numbers times a $K \times
# N$ matrix of weights: **before you run the cell,** how many times faster than floats are integers with one
# row? And with 256?

# %%
yours_one, yours_many = None, None

side = 1024 if FAST else 4096
rows = (1, 4, 16, 64, 256)
weights = rng.standard_normal((side, side), np.float32)
scales = np.abs(weights).max(axis=0) / np.float32(127)
codes = np.rint(weights / scales).astype(np.int8)
dense, packed = gemm.pack(weights), qgemm.pack(codes)
reals = np.abs(rng.standard_normal((max(rows), side), np.float32))
grid = UINT8.fit(0.0, float(reals.max()))
inputs = UINT8.quantize(reals, grid.scale, grid.zero)
spread = float((reals[:4] @ weights).std())
out_scale, out_zero = 6 * spread / 255, 128
around = {"a_zero": grid.zero, "scale": (grid.scale * scales / out_scale).astype(np.float32),
          "out_zero": out_zero}
times = {}
for m in rows:
    x, q = reals[:m], inputs[:m]
    out, out_q = np.empty((m, side), np.float32), np.empty((m, side), np.uint8)
    times[m] = race({"float": lambda x=x, out=out: gemm(x, dense, out=out),
                     "int8": lambda q=q, out=out_q: qgemm(q, packed, **around, out=out)}, 0.05)
    print(f"{m:4} rows: " + ", ".join(f"{name} {m * side**2 / s / 1e9:6.1f} billion multiply-adds a second"
                                      for name, s in times[m].items()))
speedup = {m: s["float"] / s["int8"] for m, s in times.items()}
compare("one row: int8, times faster", speedup[1], yours_one)
compare("256 rows: int8, times faster", speedup[256], yours_many)

# %% [markdown]
# ## 4. First cause: a quarter of the bytes
#
# Five things can make integers faster: fewer bytes, more lanes, instructions that do more, a layout that
# suits them, and less to do between layers (chapter 07b). (The cut into five is ours; others count the second
# and third as one, or packing not at all, since it buys nothing by itself.) We take them one by one.
#
# Each weight is read once, however many rows there are: with one row there is one multiply-add for each
# weight, and a core that multiplies faster than its memory delivers must wait. A float has 4 bytes, an
# integer 1: a product that waits for memory is 4 times as fast. Sometimes more, because a matrix a quarter
# the size may fit into a nearer cache.
#
# ## 5. Second cause: more lanes. Third: what an instruction does with them
#
# A vector register holds 4 times as many bytes as floats. But the product of two bytes needs 16 bits and
# their sum 32: after one multiplication the lanes would be too narrow. So what counts is how many *lanes of
# 32 bits* with how many products each an instruction fills:
#
# | instructions | products a lane of 32 bits | exact |
# |---|---|---|
# | floats: multiply and add in one | 1 | no |
# | 16-bit pairs: multiply and add pairs; add | 2 in two instructions | always |
# | bytes: multiply and add pairs in 16 bits; add pairs in 32; add | 4 in three | if pairs fit (notebook 01) |
# | bytes: multiply four, add them and the sum, in one | 4 | always |
#
# The last one was put into processors for neural networks. Why could it be? Energy and area of a multiplier
# grow with the square of its width (Horowitz 2014: 0.2 pJ for a product of bytes, 3.7 in float32).
#
# **Before you run the cell:** how many times as fast as floats is the best route of *your* processor, in
# registers alone?

# %%
yours = None

MEANING = {"fma": "float: one", "madd16": "16-bit pairs: two in two", "signed": "bytes, any: four in four",
           "maddubs": "bytes, 7-bit weights: four in three", "vnni": "bytes: four in one"}
float_route, int_route = (nn.kernels.best_route(kernel) for kernel in (gemm, qgemm))
peaks = {}
if float_route and int_route:
    for route in (float_route, *nn.kernels.peak_routes()):
        kind, where = route.split("_")
        if kind in MEANING and (kind != "fma" or not peaks):
            peaks[f"{MEANING[kind]} ({where})"] = nn.kernels.peak(route)
    one, best = nn.kernels.peak(float_route), nn.kernels.peak(int_route)
    compare("the best route for bytes: times the peak of floats", best / one, yours)
    figure, axes = plt.subplots(figsize=(10, 0.55 * len(peaks) + 1))
    axes.barh(list(peaks), [peak / one for peak in peaks.values()],
              color=[GREY if name.startswith("float") else BLUE for name in peaks])
    for i, peak in enumerate(peaks.values()):
        axes.text(peak / one + 0.05, i, f"{peak / one:.2f}", va="center")
    axes.set(title="multiply-adds in registers, times those of floats", xticks=[])
    axes.invert_yaxis()
    plt.show()
else:
    print("here without the C kernels: nothing to measure in registers")

# %% [markdown]
# A processor without the last kind of instruction gains much less from 8-bit integers than one with it, at
# equal bytes and equal lanes.
#
# Causes one to three make a roofline for each type (notebook 06), and its quotient predicts the speed-up
# for any number of rows $M$, with nothing but two peaks and speeds of reading:
#
# $$t = \max\Bigl(\frac{M K N}{\text{peak}},\; \frac{\text{bytes}}{\text{bytes a second}}\Bigr),
# \qquad \text{speed-up} = \frac{t_\text{float}}{t_\text{int8}} .$$
#
# **Before you run the cell:** up to which $M$ does the float product wait for memory?

# %%
yours = None


def read_speed(nbytes):
    """Bytes a second that a sum over so many bytes of floats reads."""
    array = np.ones(nbytes // 4, np.float32)
    return array.nbytes / race({"read": lambda: np.dot(array, array)}, 0.05)["read"]


if peaks:
    reading, reading_int = 4 * side**2 / read_speed(4 * side**2), side**2 / read_speed(side**2)
    compare("rows up to which floats wait for memory", reading * one / side**2, yours)
    m = np.geomspace(1, 256, 100)
    bounds = np.maximum(m * side**2 / one, reading), np.maximum(m * side**2 / best, reading_int)
    figure, axes = plt.subplots(figsize=(9, 4.2))
    axes.plot(m, bounds[0] / bounds[1], color=GREY, linewidth=2.5)
    axes.plot(rows, list(speedup.values()), "o", color=BLUE, markersize=10)
    for count, value in speedup.items():
        note(axes, f"{value:.1f}", (count, value), (0, 9), ha="center", color=BLUE)
    axes.set(xscale="log", ylim=(0, 1.25 * max(*speedup.values(), *(bounds[0] / bounds[1]))), xlabel="rows M",
             title="int8: times faster (dots), and as the two rooflines say (line)")
    ticks(axes, x=rows)
    plt.show()

    print("the speed-up, split")
    nearer, does = reading / reading_int / 4, best / one / 4
    rest = speedup[1] / (4 * nearer), speedup[256] / (4 * does)
    print(f"  1 row:    4 (bytes) × {nearer:.2f} (from a nearer cache) × {rest[0]:.2f} (the rest) = "
          f"{speedup[1]:.2f}")
    print(f"  256 rows: 4 (lanes) × {does:.2f} (what an instruction does) × {rest[1]:.2f} (the rest) = "
          f"{speedup[256]:.2f}")

# %% [markdown]
# "The rest" says which of the two kernels comes closer to its own roof. Below 1 it is the float kernel: the
# less time the multiplications take, the more all else weighs. With one row there is no other lane and no
# other instruction that would help: that product gains by its bytes alone.
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# They lead to the assignment `integers`.
#
# 1. *No zero.* Use $s = (h - l)/255$ and $r = s\,q + l$, without a zero point. What becomes of the real 0?
#    Add up 1000 zeros.
# 2. *The steps between.* Divide by 256 in place of 255. Which real is lost? And by 127, as one finds in
#    tutorials: how large is the error then?
# 3. *Idempotent.* Quantize, dequantize, quantize again: do the codes stay? Prove it, or find a grid for
#    which they don't. Is quantizing monotone?
# 4. *Another machine.* Run sections 3 to 5 under `NN_ISA=avx2` or `NN_ISA=scalar`. Which causes change?
#    Predict the speed-up with 256 rows from the peaks before you measure it.

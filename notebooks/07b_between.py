# %% [markdown]
# # Integers, between products: packing, one pass less, and what it costs
#
# Chapter 07 took three causes of the speed of integers apart: fewer bytes, more lanes, instructions that do
# more. Two more are not in the multiplication: a layout that suits it, and less to do between two layers.
# Then the other side of the account: how large is the error, and what remains if *only* the weights are
# integers?
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.

# %%
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one core is compared with one core

import matplotlib.pyplot as plt
import numpy as np

import nn
from compress.formats.affine import UINT8
from nn.explain import BLUE, FAST, GREEN, GREY, ORANGE, Guesses, numbers, style, ticks
from nn.kernels import gemm, qgemm
from nn.timing import race

style()
guesses = Guesses()
compare = guesses.compare
rng = np.random.default_rng(0)

# %% [markdown]
# The product of chapter 07: rows of reals above 0, on a grid of bytes, times weights with a scale a column,
# and sums that become bytes again.

# %%
rows = (1, 4, 16, 64, 256)
side = 1024 if FAST else 4096
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

# %% [markdown]
# ## 1. Fourth cause: packing
#
# An instruction that adds four products to one lane wants four consecutive $k$ of *one* column in a lane.
# A matrix in memory has four consecutive *columns* there. Rearranged once, when the weights are packed, each
# load is what the instruction wants:
#
# $$\text{panels}[p][t][c][i] = b_{4t + i,\; 16p + c} .$$
#
# Colours are columns in the figure. **Before you run the cell:** how many rows can be multiplied in the time
# that packing takes?

# %%
yours = None

small = np.arange(32).reshape(8, 4)  # k down, columns across
cells = small.reshape(2, 4, 4).transpose(0, 2, 1)  # cells of four k: [t][c][i]
figure, panels = plt.subplots(1, 2, figsize=(11, 3.2), width_ratios=(1, 3))
palette = plt.matplotlib.colors.ListedColormap(["#bcdcf0", "#f6cfa8", "#bfe5d8", "#e2e2e2"])
for axes, values, title in ((panels[0], small, "b: k down, columns across"),
                            (panels[1], cells.reshape(2, 16), "packed: the order of memory")):
    axes.imshow(values % 4, cmap=palette, aspect="auto")
    numbers(axes, np.char.mod("%d", values), "{}", fontsize=14)
    axes.set(title=title, xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
for edge in (3.5, 7.5, 11.5):
    panels[1].axvline(edge, color="white", linewidth=6)
plt.show()

packing = race({"float": lambda: gemm.pack(weights), "int8": lambda: qgemm.pack(codes)}, 0.02)
x, out = inputs[:64], np.empty((64, side), np.uint8)
product = race({"": lambda: qgemm(x, packed, **around, out=out)}, 0.02)[""]
compare("int8: rows multiplied while packing", packing["int8"] / (product / 64), yours)

# %% [markdown]
# So packing is no speed-up by itself: it is what the third cause needs, and a loss if it is done in every
# call for few rows. Weights don't change between calls, so they are packed once. (In training they change in
# every step: one reason why training in 8 bits is another matter.)
#
# ## 2. Fifth cause: what lies between two layers
#
# A sum has 32 bits. If it leaves the kernel so, or as a float, the next layer reads 4 bytes again. But the
# next layer's grid is known, $r = s_y (y - z_y)$, and so (Jacob et al. 2018, eq. 5)
#
# $$y = z_y + \operatorname{round}\Bigl(\underbrace{\frac{s_a s_b}{s_y}}_{m}\,\text{sum}\Bigr),$$
#
# clamped to a byte, while the sum is still in a register. If $z_y$ is the lowest code, the clamp *is* the
# ReLU. The longer way: write sums, make floats of them, take the maximum with 0, quantize.
#
# **Before you run the cell:** for $K = 64$, how many times longer does the longer way take?

# %%
yours = None

M, K, N = 1024, 64, 64
a, b = rng.integers(0, 256, (M, K), dtype=np.uint8), rng.integers(-127, 128, (K, N), dtype=np.int8)
thin, m_scale = qgemm.pack(b), 2.0**-11
sums, out = np.empty((M, N), np.int32), np.empty((M, N), np.uint8)
as_reals, positive = np.empty((2, M, N), np.float32)


def longer_way():
    """Sums, floats, ReLU, codes: four passes over the result."""
    qgemm(a, thin, a_zero=120, out=sums)
    nn.kernels.dequantize(sums, m_scale, out=as_reals)
    nn.kernels.relu(as_reals, out=positive)
    return nn.kernels.quantize(positive, 1.0, 0, out=out)


def at_once():
    """The same codes, made while the sums are in registers."""
    return qgemm(a, thin, a_zero=120, scale=m_scale, out_zero=0, out=out)


print("the same codes:", np.array_equal(longer_way().copy(), at_once()))
seconds = race({"longer": longer_way, "at once": at_once})
longer = seconds["longer"] / seconds["at once"]
compare("the longer way: times as long", longer, yours)

# %% [markdown]
# All five causes do not simply multiply: what waits for memory has nothing from faster instructions, and what
# lies between layers weighs most where sums are short.
#
# (A processor without floats multiplies by an integer and shifts in place of the factor $m$, and rounds
# twice: `nn/kernels/fixed_point.py`.)
#
# ## 3. What does it cost? The error of a product
#
# Let the errors of $a_k$ and $b_k$ be independent and uniform, variances $s_a^2/12$ and $s_b^2/12$. To first
# order their products with the other factor add up:
#
# $$\text{variance of the sum} = \frac{K}{12}\left(s_a^2\, \overline{b^2} + s_b^2\, \overline{a^2}\right).$$
#
# The sum itself grows with $\sqrt K$ too if signs are mixed: the *relative* error does not depend on $K$.
# **Before you run the cell:** how large is it, in percent, for the product of section 1?

# %%
yours = None

some = reals[:64]
exact = some.astype(float) @ weights
approximate = (qgemm(inputs[:64], packed, a_zero=grid.zero) * (grid.scale * scales)).astype(float)
error = (approximate - exact) / spread
mean_square = (some.astype(float) ** 2).mean()
variance = side / 12 * (grid.scale**2 * (weights.astype(float) ** 2).mean(axis=0) + scales**2 * mean_square)
theory = np.sqrt(variance.mean()) / spread
compare("error of the product, % of its spread", 100 * error.std(), yours, theory=100 * theory)

# %% [markdown]
# ## 4. Only the weights
#
# Large models often keep their weights in few bits and multiply floats. That gives bytes on disk and in
# memory, at once and without a grid for activations. Does it give speed? It brings the *first* cause only,
# and only if a weight becomes a float again in a register. If a layer is decoded into memory first, then
# multiplied, even that is lost.
#
# Below: 4-bit weights, decoded in the kernel (a look-up in 16 numbers while it multiplies); 8-bit weights
# decoded by each call before it multiplies; and integers on both sides. **Before you run the cell:** how
# many times as fast as floats is each with one row? With 256?

# %%
yours = {"4 bits, decoded in the kernel": (None, None), "8 bits, decoded before": (None, None)}

four = np.rint(weights / (np.abs(weights).max() / 7)).astype(np.int8) + 7
book = nn.kernels.codebook_gemm.pack(np.ascontiguousarray(four.T.astype(np.uint8)),
                                     np.arange(-7, 9, dtype=np.float32))
relative = {name: [] for name in (*yours, "8 bits, both sides integers")}
decoded = np.empty((side, side), np.float32)
look_up = nn.kernels.codebook_gemm


def decode_first(x, out):
    """What a layer does that keeps its weights in 8 bits and has no kernel for them."""
    np.multiply(codes, scales, out=decoded)
    return gemm(x, decoded, out=out)


for m in rows:
    x, q, out = reals[:m], inputs[:m], np.empty((m, side), np.float32)
    out_q = np.empty((m, side), np.uint8)
    calls = {"float": lambda x=x, out=out: gemm(x, dense, out=out),
             "8 bits, decoded before": lambda x=x, out=out: decode_first(x, out),
             "4 bits, decoded in the kernel": lambda x=x, out=out: look_up(x, book, out=out),
             "8 bits, both sides integers": lambda q=q, out=out_q: qgemm(q, packed, **around, out=out)}
    seconds = race(calls, 0.02)
    for name, values in relative.items():
        values.append(seconds["float"] / seconds[name])
for name, (one, many) in yours.items():
    compare(f"{name}, one row: times as fast", relative[name][0], one)
    compare(f"{name}, {rows[-1]} rows: times as fast", relative[name][-1], many)

# %%
figure, axes = plt.subplots(figsize=(10, 4.4))
sides = "bottom", "top", "center"  # of a line's end on which its name stands: two may end close together
for (name, values), colour, marker, side in zip(relative.items(), (BLUE, ORANGE, GREEN), "os^", sides,
                                                strict=True):
    axes.plot(rows, values, marker + "-", color=colour, markersize=9)
    axes.text(rows[-1] * 1.1, values[-1], name, color=colour, va=side)
axes.plot([1, rows[-1]], [1, 1], color=GREY, linestyle="--")
axes.text(1, 0.93, "floats", color=GREY, va="top")
axes.set(xscale="log", yscale="log", xlim=(0.9, 6000), xlabel="rows", title="times as fast as floats")
ticks(axes, x=rows, y=[0.1, 0.3, 1, 3, 10])
plt.show()

# %% [markdown]
# So "weight-only quantization never speeds anything up" is as wrong as "four times smaller is four times
# faster". It trades work for bytes: that pays while bytes are what you wait for, and never beyond.
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *One scale for all.* Give one column of `weights` numbers 100 times as large, and quantize the matrix
#    with a single scale. What becomes of the error of section 3, and for which columns?
# 2. *Once or twice.* Round sums of section 2 by a multiplier of 31 bits and a shift, as
#    `nn/kernels/fixed_point.py` does. How many of 10,000 codes differ from those above, and by how much?
# 3. *Decode a part.* Let `decode_first` decode 64 columns, multiply, and go on. How much of what was lost
#    comes back, and why not all?

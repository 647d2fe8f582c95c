# %% [markdown]
# # Winograd: fewer multiplications, how much faster?
#
# Winograd's algorithm computes *the same* convolution with 2.25 times fewer multiplications. Is it 2.25 times
# faster? Here we derive it, count what else there is to do, predict the speed-up from what was counted, and
# measure it. (Another function, with 8 to 9 times fewer multiplications, is chapter 11b.)
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.

# %%
import os
from fractions import Fraction

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one core is compared with one core

import matplotlib.pyplot as plt
import numpy as np

from nn.explain import BLUE, FAST, GREY, ORANGE, Guesses, note, style, ticks
from nn.kernels import conv2d, winograd_conv2d
from nn.timing import race

style()
guesses = Guesses()
compare = guesses.compare

# %% [markdown]
# ## 1. A product of polynomials
#
# Multiply $p(x) = p_0 + p_1 x$ by $g(x) = g_0 + g_1 x + g_2 x^2$. As it stands that takes six
# multiplications. But the product $s(x)$ has degree 3, and a polynomial of degree 3 is known from its values
# at *four* points. Its value at a point is $p \cdot g$ there: one multiplication a point. So four are enough
# (Toom 1963, Cook 1966): evaluate, multiply, interpolate. The points 0, 1, −1 make evaluation cheap, and as
# the fourth take "∞", the leading coefficient: $s_3 = p_1 g_2$.
#
# As matrices, with $E_n$ that evaluates a polynomial of $n$ coefficients and $C$ that interpolates, and
# $\odot$ entry by entry:
#
# $$s = C\,\bigl[(E_2\, p) \odot (E_3\, g)\bigr].$$
#
# **Before you run the cell:** to multiply 4 coefficients by 3, how many points are needed, for 12
# multiplications?

# %%
yours = None


def evaluation(points, n):
    """A row for each point: the powers 1, x, … x^(n−1); and for ∞ the last coefficient."""
    return np.array([[x**i for i in range(n)] for x in points] + [[0] * (n - 1) + [1]], object)


def interpolation(points):
    """Columns: the polynomials that are 1 at one point and 0 at the others; and for ∞ the one that is 0 at
    all points and has the leading coefficient 1."""
    n, columns = len(points) + 1, []
    for at in (*points, None):
        poly = np.array([Fraction(1)], object)
        for x in points:
            if x != at:
                poly = np.convolve(poly, np.array([-x, 1], object))  # times (X − x)
                poly = poly if at is None else poly / (at - x)
        columns.append([*poly, *[Fraction(0)] * (n - len(poly))])
    return np.array(columns, object).T


POINTS = {m: [Fraction(x) for x in ("0", "1", "-1", "2", "-2", "1/2", "-1/2")][:m + 1] for m in (2, 4, 6)}
rng = np.random.default_rng(0)
for m in POINTS:
    p, g = rng.integers(-9, 10, m), rng.integers(-9, 10, 3)
    E_p, E_g, C = evaluation(POINTS[m], m), evaluation(POINTS[m], 3), interpolation(POINTS[m])
    s = C @ ((E_p @ p) * (E_g @ g))
    assert (s == np.convolve(p, g)).all()  # rational numbers: equal, not nearly
compare("points to multiply 4 coefficients by 3", len(POINTS[4]) + 1, yours, theory=4 + 3 - 1)

# %% [markdown]
# ## 2. Turned round: a filter
#
# A filter is not quite a product of polynomials. Two neighbouring outputs of three taps are
#
# $$y_0 = d_0 g_0 + d_1 g_1 + d_2 g_2, \qquad y_1 = d_1 g_0 + d_2 g_1 + d_3 g_2 .$$
#
# Look at $s$ as a function of $p$ alone: $s = T p$ with
#
# $$T = \begin{pmatrix} g_0 & 0 \\ g_1 & g_0 \\ g_2 & g_1 \\ 0 & g_2 \end{pmatrix},
# \qquad y = T^\top d .$$
#
# The filter is the *transpose* of the product! And we know another way to write $T$: from section 1 it is
# $T = C\, \mathrm{diag}(E_3\, g)\, E_2$. Transposed:
#
# $$y = \underbrace{E_2^\top}_{A^\top} \bigl[ \underbrace{(E_3}_{G}\, g) \odot (\underbrace{C^\top}_{B^\top}\,
# d) \bigr] .$$
#
# That is Winograd's $F(2, 3)$ (1980): 2 outputs, 3 taps, $2 + 3 - 1 = 4$ multiplications. What is done to
# $g$ is done once for all images, so fractions in $C$ are moved there: a row of $C^\top$ times a number,
# that row of $E_3$ divided by it. Written out (multiply it out: it is true),
#
# $$\begin{aligned} m_1 &= (d_0 - d_2)\, g_0 & m_2 &= (d_1 + d_2)\, \tfrac12 (g_0 + g_1 + g_2) &
# y_0 &= m_1 + m_2 + m_3 \\
# m_4 &= (d_1 - d_3)\, g_2 & m_3 &= (d_2 - d_1)\, \tfrac12 (g_0 - g_1 + g_2) &
# y_1 &= m_2 - m_3 - m_4 \end{aligned}$$

# %%
def transforms(m):
    """(Aᵀ, G, Bᵀ) of F(m, 3), rational, Bᵀ without fractions but for those of its points."""
    points = POINTS[m]
    scale = [np.prod([x - other for other in points if other != x]) for x in points] + [Fraction(1)]
    scale = np.array(scale, object)[:, None]
    return evaluation(points, m).T, evaluation(points, 3) / scale, interpolation(points).T * scale


AT, G, BT = transforms(2)
for name, matrix in (("Aᵀ", AT), ("G", G), ("Bᵀ", BT)):
    print(name, *("  ".join(f"{x!s:>5}" for x in row) for row in matrix), sep="\n   ")
d, g = rng.integers(-9, 10, 4), rng.integers(-9, 10, 3)
print("F(2, 3):", *(AT @ ((G @ g) * (BT @ d))), "  as it is defined:", *np.correlate(d, g, "valid"))

# %% [markdown]
# ## 3. Two dimensions
#
# An image has rows and columns; use the trick for both. A tile of $m \times m$ outputs needs $(m+2)^2$
# multiplications in place of $9 m^2$, with a filter of $(m+2)^2$ numbers:
#
# $$Y = A^\top \bigl[ (G\, g\, G^\top) \odot (B^\top d\, B) \bigr] A ,
# \qquad \frac{9 m^2}{(m+2)^2} = 2.25,\; 4,\; 5.06 \text{ for } m = 2, 4, 6 .$$
#
# Channels add up *inside* the brackets (Lavin & Gray 2016): for each of the $(m+2)^2$ positions in a tile
# there is a product of matrices, (tiles × $C$) · ($C$ × $O$). The next cell does the whole of it in NumPy,
# for images N,H,W,C.

# %%
def windows(x, size, step):
    """Tiles of size × size pixels, step apart: (n, down, across, c, size, size)."""
    tiles = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return tiles[:, ::step, ::step]


def winograd(x, w, m):
    """x (N, H, W, C) convolved with w (O, C, 3, 3), padding 1, by F(m×m, 3×3); H, W multiples of m."""
    at, g, bt = (matrix.astype(x.dtype) for matrix in transforms(m))
    d = windows(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), m + 2, m)
    n, down, across, c = d.shape[:4]
    u, v = g @ w @ g.T, bt @ d @ bt.T
    v = v.transpose(4, 5, 0, 1, 2, 3).reshape(m + 2, m + 2, -1, c)
    products = v @ u.transpose(2, 3, 1, 0)  # all multiplications that are counted
    y = at @ products.transpose(2, 3, 0, 1) @ at.T
    y = y.reshape(n, down, across, len(w), m, m).transpose(0, 1, 4, 2, 5, 3)
    return y.reshape(n, down * m, across * m, len(w))


def layer(channels, side):
    """Random x (1, side, side, channels) and w (channels, channels, 3, 3), float32."""
    return (rng.standard_normal((1, side, side, channels), np.float32),
            rng.standard_normal((channels, channels, 3, 3), np.float32))


x, w = (array.astype(float) for array in layer(8, 24))
for m in POINTS:
    apart = np.abs(winograd(x, w, m) - conv2d.reference(x, w, padding=1)).max()
    print(f"F({m}×{m}, 3×3): largest difference to the definition, in float64: {apart:.1e}")

# %% [markdown]
# ## 4. What else there is to do
#
# The transforms have only additions (for $m = 2$), and the halves of $G$ are paid once. Count them:
# $B^\top d$ adds two numbers in each of 4 rows, for 4 columns, and again for the other side: 32 additions a
# tile for each *input* channel. $A^\top$ adds three numbers in each of 2 rows: $2 \cdot 2 \cdot 4 + 2 \cdot
# 2 \cdot 2 = 24$ for each *output* channel. Let an addition cost as much as a multiply-add, which is true of
# vector instructions:
#
# $$\text{speed-up} = \frac{36\, C\, O}{16\, C\, O + 32\, C + 24\, O} .$$
#
# **Before you run the cell:** what does this say for 4 channels in and out? For 64?

# %%
yours_4, yours_64 = None, None


def additions(matrix, columns):
    """What a transform from the left takes, for so many columns, and then the same from the right."""
    per_column = sum(np.count_nonzero(row) - 1 for row in matrix)
    return per_column * columns + per_column * len(matrix)


tile_in, tile_out = additions(BT, 4), additions(AT, 4)
print(f"additions: {tile_in} a tile and input channel, {tile_out} a tile and output channel")


def by_count(channels):
    """The speed-up that counting operations predicts."""
    return 36 * channels**2 / (16 * channels**2 + (tile_in + tile_out) * channels)


compare("by count, 4 channels: times faster", by_count(4), yours_4, theory=576 / (256 + 224))
compare("by count, 64 channels: times faster", by_count(64), yours_64, theory=36 * 64 / (16 * 64 + 56))

# %% [markdown]
# And bytes. A pixel is read once by an ideal direct convolution. In Winograd's, each tile of 4 new pixels
# becomes 16 numbers, written and read again, and 16 products become 4 pixels: 4 times the numbers on either
# side. Filters grow from 9 to 16 numbers. If the tiles of a moment stay in a near cache, that costs little.
#
# ## 5. How much faster?
#
# Now measure: this library's direct kernel and its kernel for $F(2 \times 2, 3 \times 3)$, one image, one
# core, filters packed. **Before you run the cell:** for 64 channels of 56 × 56 pixels, how many times
# faster? For 4 channels?

# %%
yours_64, yours_4 = None, None


BUDGET = 0.01 if FAST else 0.05  # seconds for each of what is timed


def timed(c, pixels):
    """Seconds of both kernels for one image."""
    x, w = layer(c, pixels)
    out, full, transformed = np.empty_like(x), conv2d.pack(w), winograd_conv2d.pack(w)
    return race({"direct": lambda: conv2d(x, full, padding=1, out=out),
                 "Winograd": lambda: winograd_conv2d(x, transformed, padding=1, out=out)}, BUDGET)


channels = [4, 8, 16, 32, 64, 128]
side = 28 if FAST else 56
of = {c: timed(c, side) for c in channels}
faster = [of[c]["direct"] / of[c]["Winograd"] for c in channels]
compare(f"64 channels at {side}²: times faster", faster[channels.index(64)], yours_64, theory=by_count(64))
compare(f"4 channels at {side}²: times faster", faster[0], yours_4, theory=by_count(4))

figure, axes = plt.subplots(figsize=(9.5, 4.4))
axes.axhline(2.25, color=GREY, linestyle="--")
axes.text(channels[0], 2.28, "multiplications: 2.25", color=GREY, va="bottom")
axes.plot(channels, [by_count(c) for c in channels], color=BLUE, linewidth=2.5)
axes.text(4.6, by_count(4) - 0.03, "all operations counted", color=BLUE, va="top")
axes.plot(channels, faster, "o", color=ORANGE, markersize=10)
for c, value in zip(channels, faster, strict=True):
    note(axes, f"{value:.2f}", (c, value), (0, 9 if value > by_count(c) else -19), ha="center", color=ORANGE)
axes.axhline(1, color="black", linewidth=1)
axes.set(xscale="log", ylim=(0, 2.7), xlim=(3, 160), xlabel="channels in and out",
         title=f"Winograd at {side} × {side} pixels: times as fast as direct (measured: dots)")
ticks(axes, x=channels)
plt.show()

# %% [markdown]
# Counting says for which channels it can pay, not whether. Where the dots lie far below the line, what was
# not counted weighs more: gathering tiles from the image, writing and reading transformed ones, and products
# of matrices that are too small to keep the processor busy. (A dot above the line? Then the *direct* kernel
# is far from its own peak.)
#
# Images get smaller from layer to layer, and channels more. At 7 × 7 pixels the last tiles hang over the
# edge: 16 tiles of 2 × 2 cover 64 pixels, of which 49 are wanted (exercise 3).
#
# ## 6. Why not F(4×4) and F(6×6)?
#
# Four and five times fewer multiplications: why does this library stop at $m = 2$? Look at what larger tiles
# do to rounding errors. In one dimension an output is
#
# $$y_i = \sum_j A^\top_{ij} \Bigl(\sum_k G_{jk}\, g_k\Bigr) \Bigl(\sum_l B^\top_{jl}\, d_l\Bigr):$$
#
# large numbers are added up that cancel in the end. A rounding error is proportional to the number that is
# rounded, and errors are nearly independent: their squares add up. For random $g$ and $d$ of variance 1 the
# squares of what is added here, and of the three products of the definition, have the ratio
#
# $$\rho = \frac{1}{3}\; \overline{\sum_j (A^\top_{ij})^2 \Bigl(\sum_k G_{jk}^2\Bigr)
# \Bigl(\sum_l (B^\top_{jl})^2\Bigr)}^{\,i} .$$
#
# In two dimensions it is $\rho^2$ for the squares, so $\rho$ for the errors themselves. **Before you run the
# cell:** how many times larger than that of the definition is the error of $F(4 \times 4)$, in float32?

# %%
yours = None


def growth(m):
    """ρ of F(m×m, 3×3): its typical error over that of the definition."""
    at, g, bt = (matrix.astype(float) ** 2 for matrix in transforms(m))
    return (at @ (g.sum(axis=1) * bt.sum(axis=1))).mean() / 3


x, w = layer(32 if FAST else 64, 24)
exact = conv2d.reference(x.astype(float), w, padding=1)
results = {"definition": conv2d.reference(x, w, padding=1)} | {m: winograd(x, w, m) for m in POINTS}
errors = {m: np.sqrt(((y - exact) ** 2).mean()) / exact.std() for m, y in results.items()}
for m in POINTS:
    print(f"F({m}×{m}): error {errors[m] / errors['definition']:5.1f} times that of the definition, "
          f"derived {growth(m):5.1f}")
compare("error of F(4×4), times that of the definition", errors[4] / errors["definition"], yours,
        theory=growth(4))

figure, axes = plt.subplots(figsize=(9.5, 4))
fewer = [1] + [9 * m**2 / (m + 2) ** 2 for m in POINTS]
names = ["the definition"] + [f"F({m}×{m}, 3×3)" for m in POINTS]
axes.plot(fewer, list(errors.values()), "o-", color=ORANGE, markersize=10)
axes.plot(fewer[1:], [errors["definition"] * growth(m) for m in POINTS], "_", color=BLUE, markersize=26,
          markeredgewidth=3)
note(axes, "as derived", (fewer[2], errors["definition"] * growth(4)), (-16, 6), color=BLUE, ha="right")
for at, error, name in zip(fewer, errors.values(), names, strict=True):
    note(axes, name, (at, error), (0, -24), ha="center")
axes.axhline(2**-11, color=GREY, linestyle="--")
axes.text(1, 2**-11, "one rounding to float16", color=GREY, va="bottom")
axes.set(yscale="log", xlim=(0.6, 5.6), ylim=(3e-8, 2e-3), xlabel="times fewer multiplications",
         title="relative error in float32 (root mean square)")
plt.show()

# %% [markdown]
# In float32 there is room: an error many times larger than rounding is still far smaller than what a network
# notices. In 16 bits there is none, and for integers the numbers themselves grow: a row of $B^\top$ with the
# absolute values adding up to $b$ makes them $b^2$ times as large (exercise 2).
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# They lead to the assignment `factoring`.
#
# 1. *Five taps.* Derive $F(2, 5)$ with the functions of sections 1 and 2, for filters of 5 taps. How many
#    multiplications are saved in two dimensions?
# 2. *Other points.* Replace the points of $F(4, 3)$ by 0, 1, 2, 3, 4. What becomes of $\rho$ and of the
#    measured error? Which points would you choose, and why do powers of two help? And how many bits more
#    than 8 do transformed pixels need, for $m = 2$ and $m = 4$?
# 3. *Both ways.* Count additions for $F(4 \times 4)$ with `additions` and draw its line into the figure of
#    section 5. From how many channels on could it beat $F(2 \times 2)$? And what is left of $F(2 \times 2)$
#    with 512 channels of 7 × 7 pixels? Count, then measure it with `timed(512, 7)`.
# 4. *Winograd for the gradient.* The gradient with respect to the image is again a convolution with 3 × 3
#    filters, turned round. Compute it with `winograd` and check it against `nn.kernels.conv2d_input_grad`.

# %% [markdown]
# # Attention: what does looking everywhere cost?
#
# Attention compares every query with every key. Twice the text, four times the work; and four times the
# memory, if one does what the formula says. The memory is not needed: this chapter does without the matrix,
# exactly. To be rid of the work as well, one has to estimate, by random features. They are unbiased, which
# is a proof of three lines, and they vary, which is another one. Slides tend to forget a ½ in them.
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.

# %%
import os
import tracemalloc
from functools import partial

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one thread for NumPy's products, as for the kernel

import matplotlib.pyplot as plt
import numpy as np

import nn
from nn.explain import BLUE, FAST, GREEN, GREY, ORANGE, Guesses, note, style, ticks
from nn.layers.linear_attention import gaussian

LENGTHS = [128, 256, 512, 1024] if FAST else [128, 256, 512, 1024, 2048, 4096, 8192]
DRAWS, SECONDS = (20_000, 0.02) if FAST else (400_000, 0.2)
E = 64  # the width of queries and keys
style()
guesses = Guesses()
compare = guesses.compare


def inputs(length, spread=1.0, seed=0):
    """Queries, keys and values, float32 (1, 1, length, E): one head."""
    q, k, v = np.random.default_rng(seed).standard_normal((3, 1, 1, length, E)).astype(np.float32)
    return spread * q, spread * k, v


def off(found, wanted):
    """The norm of the difference over that of what is wanted."""
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


# %% [markdown]
# ## 1. What it costs
#
# $\operatorname{softmax}(QK^\top/\sqrt{E})\,V$ of $N$ queries and keys (Vaswani et al. 2017, eq. 1) is
# $2N^2E$ multiply-accumulates for the two products, $N^2$ exponentials, and a matrix of $4N^2$ bytes.
#
# **Before you run the cell:** 8 heads of $N = 8192$: how many megabytes are their weights? And by which
# factor does the time grow, measured, from 1024 to 2048?

# %%
yours_bytes, yours_growth = None, None


def written_out(q, k, v):
    scores = q @ k.mT / np.float32(E**0.5)
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True) @ v


compare("megabytes of weights, 8 heads of 8192", 8 * 4 * 8192**2 / 1e6, yours_bytes)
few, many = inputs(1024), inputs(2048)
times = nn.timing.race({1024: lambda: written_out(*few), 2048: lambda: written_out(*many)}, SECONDS)
compare("time for 2048 over that for 1024", times[2048] / times[1024], yours_growth, theory=4)

# %% [markdown]
# ## 2. No N × N matrix
#
# The softmax needs the largest score first, and the sum of all exponentials before it can divide: so it
# seems that all scores have to be there. They do not. Let a query have seen some keys, and keep the largest
# score $m$ of them, $s = \sum e^{x_j - m}$ and $o = \sum e^{x_j - m} v_j$. More keys come, with
# $m', s', o'$ of their own. With $M = \max(m, m')$ both together have
#
# $$s \leftarrow e^{m - M} s + e^{m' - M} s', \qquad o \leftarrow e^{m - M} o + e^{m' - M} o' ,$$
#
# and after the last key attention is $o/s$: the same sums, only later divided (Milakov & Gimelshein 2018;
# Rabe & Staats 2021). A block of keys at a time is enough memory. The kernel `attention` does that with
# blocks that stay in the fastest cache.
#
# **Before you run the cell:** how many megabytes at most do the two of them hold, for one head of 2048? And
# is the kernel, which does the same multiplications, faster than the formula, by which factor?

# %%
yours_matrix, yours_kernel, yours_faster = None, None, None


def in_blocks(q, k, v, size=128):
    """Attention by a running maximum m and a running sum s."""
    m, s, o = np.full((*q.shape[:-1], 1), -np.inf, q.dtype), 0, 0
    for start in range(0, k.shape[-2], size):
        scores = q @ k[..., start:start + size, :].mT / np.float32(E**0.5)
        top = np.maximum(m, scores.max(axis=-1, keepdims=True))
        p, old = np.exp(scores - top), np.exp(m - top)
        m, s, o = top, old * s + p.sum(axis=-1, keepdims=True), old * o + p @ v[..., start:start + size, :]
    return o / s


def kernel(q, k, v):
    return nn.kernels.attention(q, k, v, scale=E**-0.5)[0]


def most(call, *arrays):
    """The most bytes that a call has at one time; C's blocks, on its stack, are not among them."""
    tracemalloc.start()
    call(*arrays)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


EXACT = {"written out": written_out, "in blocks": in_blocks, "the kernel": kernel}
middle = LENGTHS[-3]
q, k, v = inputs(middle)
for name, call in EXACT.items():
    print(f"{name}: off by {off(call(q, k, v), written_out(*(x.astype(float) for x in (q, k, v)))):.1e}")
peaks = {name: [most(call, *inputs(n)) / 1e6 for n in LENGTHS[:-1]] for name, call in EXACT.items()}
at = LENGTHS.index(middle)
compare(f"megabytes, written out, N = {middle}", peaks["written out"][at], yours_matrix)
compare(f"megabytes, the kernel, N = {middle}", peaks["the kernel"][at], yours_kernel,
        theory=4 * middle * (E + 1) / 1e6)
times = nn.timing.race({name: lambda call=call: call(q, k, v) for name, call in EXACT.items()}, SECONDS)
compare("the kernel, times as fast as the formula", times["written out"] / times["the kernel"], yours_faster)

figure, axes = plt.subplots(figsize=(8, 4.2))
for (name, sizes), color, look in zip(peaks.items(), (GREY, BLUE, ORANGE), "os^", strict=True):
    axes.loglog(LENGTHS[:-1], sizes, marker=look, color=color)
    note(axes, name, (LENGTHS[-2], sizes[-1]), (8, 0), color=color)
axes.set(xlabel="queries and keys", ylabel="MB at most", xlim=(LENGTHS[0] * 0.9, LENGTHS[-2] * 2.2))
ticks(axes, x=LENGTHS[:-1], y=[0.1, 1, 10, 100])
plt.show()

# %% [markdown]
# What the kernel is left with is its result, and one number for each query, from which backward makes the
# weights anew. The work is what it was: $2N^2E$.
#
# ## 3. A product in place of an exponential, and the ½
#
# Were a weight $e^{x \cdot y}$ (with $x = q/E^{1/4}$, $y = k/E^{1/4}$) a product of features,
# $\varphi(x) \cdot \varphi(y)$, then $\varphi(Q)\,(\varphi(K)^\top V)$ could be multiplied from the right: no
# matrix, and no $N^2$. For a normal $\omega$ is $\mathbb{E}\, e^{\omega \cdot z} = e^{\|z\|^2/2}$. Put
# $z = x + y$:
#
# $$\mathbb{E}\, e^{\omega \cdot x} e^{\omega \cdot y} = e^{\|x+y\|^2/2}
#   = e^{x \cdot y}\, e^{\|x\|^2/2}\, e^{\|y\|^2/2} .$$
#
# So $\varphi_\omega(x) = e^{\omega \cdot x - \|x\|^2/2}$ gives an estimate without bias, by positive numbers:
# FAVOR+ (Choromanski et al. 2021, lemma 1). Slides, and code made from them, write $e^{\omega \cdot x -
# \|x\|^2}$.
#
# **Before you run the cell:** for $\|x\| = \|y\| = 1$, of what mean is the estimate then, as a part of
# $e^{x \cdot y}$? In attention itself a query's factor cancels, and a key's does not. Are long keys seen too
# much or too little?

# %%
yours_part, yours_long = None, None


def pair(length, angle, width=E):
    """x and y of that length, with that angle between them."""
    x, y = np.zeros((2, width))
    x[0], y[:2] = length, (length * np.cos(angle), length * np.sin(angle))
    return x, y


def products(x, y, draws=DRAWS, seed=0):
    """φ(x)·φ(y) by each of many normal ω. Only ω·x and ω·y matter: two of its numbers are enough here."""
    omega = np.random.default_rng(seed).standard_normal((draws, 2))
    return np.exp(omega @ x[:2] - x @ x / 2) * np.exp(omega @ y[:2] - y @ y / 2)


x, y = pair(1.0, np.pi / 3)
right = products(x, y) / np.exp(x @ y)
slide = right * np.exp(-(x @ x + y @ y) / 2)
compare("with the half: mean of estimates over e^(x·y)", right.mean(), theory=1)
compare("without the half", slide.mean(), yours_part, theory=np.exp(-1))
x, y = pair(1.0, 2 * np.pi / 3)
weights = [products(x, key).mean() * np.exp(-(x @ x + key @ key) / 2 - x @ key) for key in (y, 2 * y)]
compare("a key of length 2 beside one of length 1 has of its share", weights[1] / weights[0], yours_long,
        theory=np.exp(-1.5))
x, y = pair(1.0, np.pi / 3)

figure, axes = plt.subplots(figsize=(9, 4))
counts = np.unique(np.geomspace(10, DRAWS, 200).astype(int))
for values, color, name in ((right, BLUE, "½‖x‖²"), (slide, ORANGE, "‖x‖²")):
    axes.semilogx(counts, (np.cumsum(values) / np.arange(1, DRAWS + 1))[counts - 1], color=color)
    note(axes, name, (DRAWS, values.mean()), (8, 0), color=color)
deviation = np.sqrt(np.expm1((x + y) @ (x + y)) / counts)
axes.fill_between(counts, 1 - 2 * deviation, 1 + 2 * deviation, color=BLUE, alpha=0.12)
axes.axhline(1, color="black", linewidth=1)
axes.set(xlabel="features", ylabel="mean of estimates / e^(x·y)", ylim=(0, 2), xlim=(10, DRAWS * 3))
ticks(axes, x=[10, 100, 1000, 10_000, 100_000] if DRAWS > 1e5 else [10, 100, 1000, 10_000])
plt.show()

# %% [markdown]
# ## 4. How far off: the variance, predicted
#
# The band in the figure is two standard errors, and it was not measured. The second moment is the same lemma
# with $z = 2(x + y)$: $\mathbb{E}\,(\varphi_\omega(x)\varphi_\omega(y))^2 = e^{2\|x+y\|^2 - \|x\|^2 -
# \|y\|^2} = e^{2 x \cdot y} e^{\|x+y\|^2}$. Take the squared mean off; $m$ independent features have
#
# $$\operatorname{Var} = e^{2 x \cdot y}\,\bigl(e^{\|x+y\|^2} - 1\bigr)/m .$$
#
# The older features, $e^{\|x\|^2/2}(\cos \omega \cdot x, \sin \omega \cdot x)$ (Rahimi & Recht 2007),
# have the same mean, and the variance $e^{\|x\|^2+\|y\|^2}(1 - e^{-\|x-y\|^2})^2/2m$ (Choromanski et al.
# 2021, lemma 2). One is exact where $x = -y$, the other where $x = y$.
#
# **Before you run the cell:** 64 positive features: how large is the standard error, as a part of
# $e^{x \cdot y}$, where $\|x + y\| = 1$? And where it is 3?

# %%
yours_one, yours_three = None, None

M, angles = 64, np.linspace(0, np.pi, 13)


def relative(values, x, y):
    """The standard error of a mean of M of these estimates, as a part of e^(x·y)."""
    return np.sqrt(((values - np.exp(x @ y))**2).mean() / M) / np.exp(x @ y)


def waves(x, y, seed=0):
    omega = np.random.default_rng(seed).standard_normal((DRAWS, 2))
    return np.exp((x @ x + y @ y) / 2) * np.cos(omega @ (x - y)[:2])


found = [[relative(kind(*pair(1.0, a)), *pair(1.0, a)) for a in angles] for kind in (products, waves)]
inner = np.cos(angles)
together, apart = 2 + 2 * inner, 2 - 2 * inner  # ‖x + y‖² and ‖x − y‖², for both are 1 long
said = np.sqrt([np.expm1(together) / M, np.exp(apart) * np.expm1(-apart)**2 / (2 * M)])
third = pair(1.0, 2 * np.pi / 3)  # there x + y is 1 long
compare("64 features, ‖x + y‖ = 1: relative standard error", relative(products(*third), *third), yours_one,
        theory=np.sqrt(np.expm1(1) / M))
print(f"‖x + y‖ = 3: {np.sqrt(np.expm1(9) / M):.3g} by the formula; to measure that takes more draws than "
      f"there is time for{'' if yours_three is None else f' (you said {yours_three})'}")

figure, axes = plt.subplots(figsize=(9, 4.4))
for line, points, color, name in zip(said, found, (BLUE, ORANGE), ("positive", "trigonometric"), strict=True):
    axes.plot(np.degrees(angles), line, color=color, label=f"{name}, by the formula")
    axes.plot(np.degrees(angles), points, "o", color=color, label=f"{name}, measured")
axes.set(xlabel="angle between x and y, degrees; both are 1 long", ylabel="standard error / e^(x·y)",
         title=f"{M} features", xticks=range(0, 181, 30))
axes.legend(frameon=False, loc="upper center")
plt.show()

# %% [markdown]
# Where queries and keys point away from each other, weights are small and errors of cosines are large beside
# them: sums of weights come near to 0, and are divided by. Positive features err most where weights are large
# (there a few large draws make the mean of squares, so that points scatter).
#
# ω at right angles to each other vary less. To make them, one takes Q of a QR decomposition; and the signs
# that LAPACK leaves in it are not chance (Mezzadri 2007): row $i$ rather points to one side of axis $i$.
#
# **Before you run the cell:** how much of the variance do right angles take away, in percent, for 8 features
# in 8 dimensions? And what does the estimate become, as a part of $e^{x \cdot y}$, when signs are forgotten?

# %%
yours_less, yours_signs = None, None

x, y = pair(1.0, 2 * np.pi / 3, 8)
rng, tries = np.random.default_rng(0), 300 if FAST else 10_000


def estimate(omega):
    return np.exp(omega @ (x + y) - (x @ x + y @ y) / 2).mean() / np.exp(x @ y)


def careless(rng):
    """As `gaussian` makes them, with the signs that Q comes with."""
    lengths = np.linalg.norm(rng.standard_normal((8, 8)), axis=1, keepdims=True)
    return np.linalg.qr(rng.standard_normal((8, 8)))[0].T * lengths


alone, at_right, forgotten = np.array([(
    estimate(gaussian(8, 8, False, rng)), estimate(gaussian(8, 8, True, rng)), estimate(careless(rng)))
    for _ in range(tries)]).T
compare("variance that right angles take away, %", 100 * (1 - at_right.var() / alone.var()), yours_less)
compare("right angles: mean of estimates / e^(x·y)", at_right.mean(), theory=1)
compare("right angles, signs forgotten", forgotten.mean(), yours_signs)

# %% [markdown]
# ## 5. In the place of attention
#
# Four layers take what attention takes, in time that is linear in $N$: positive features, trigonometric ones,
# those of RFA (Peng et al. 2021: vectors of length 1, so large weights can't be), and, without chance,
# Nyström's method (Xiong et al. 2021), which compares all with a few means, its *landmarks*.
#
# **Before you run the cell:** how many times as many features halve the error? And queries and keys that are
# four times as long (standard deviation 1, not ¼): by which factor is FAVOR+ worse?

# %%
yours_times, yours_worse = None, None

COUNTS = (64, 128, 256, 512, 1024)
LAYERS = {"FAVOR+": lambda m, rng: nn.FavorAttention(E, m, rng=rng),
          "Fourier": lambda m, rng: nn.RandomFourierAttention(E, m // 2, rng=rng),  # each ω makes two
          "RFA": lambda m, rng: nn.RandomFeatureAttention(E, m // 2, rng=rng),
          "Nyström": lambda m, rng: nn.NystromAttention(m)}
COLORS = dict(zip(LAYERS, (BLUE, ORANGE, GREEN, GREY), strict=True))


def errors(layer, spread):
    """Of attention to 512 keys by so many features, in the mean of draws."""
    q, k, v = inputs(512, spread)
    wanted = written_out(q, k, v)
    with nn.no_grad():
        return [np.mean([off(LAYERS[layer](m, np.random.default_rng(seed))(q, k, v).data, wanted)
                         for seed in range(1 if FAST else 4)]) for m in COUNTS]


found = {spread: {layer: errors(layer, spread) for layer in LAYERS} for spread in (0.25, 1.0)}
favor = found[0.25]["FAVOR+"]
power = -np.polyfit(np.log(COUNTS), np.log(favor), 1)[0]
compare("times as many features for half of the error", 2**(1 / power), yours_times, theory=4)
compare("256 features: error at deviation 1 over that at ¼", found[1.0]["FAVOR+"][2] / favor[2], yours_worse)

figure, both = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True)
for axes, (spread, curves) in zip(both, found.items(), strict=True):
    for name, values in curves.items():
        axes.loglog(COUNTS, values, "o-", color=COLORS[name], label=name)
    axes.set(xlabel="features, or landmarks", title=f"q and k of standard deviation {spread:g}")
    ticks(axes, x=COUNTS)
both[0].set(ylabel="error / size of the result")
both[0].legend(frameon=False, loc="upper left")
plt.show()

# %% [markdown]
# At deviation 1 is $\|x+y\|^2$ about 16, and the relative standard error $e^8/\sqrt{m}$: no number of
# features that one would pay for helps.
#
# ## 6. Where linear time is less
#
# Features cost $4NmE$ multiplications, more or less, and an exponential for each of $Nm$ numbers; attention
# $2N^2E$ and $N^2$ exponentials. So $N > m$ or $2m$ should be where they win, against the formula. Against a
# kernel that never leaves the cache?
#
# **Before you run the cell:** with 256 features, at which $N$ does FAVOR+ take less time than the formula
# written out? And than the kernel?

# %%
yours_formula, yours_crossing = None, None

CALLS = {"written out": written_out, "the kernel": kernel}
for name, m in (("FAVOR+", 256), ("Fourier", 256), ("RFA", 256), ("Nyström", 64)):
    layer = LAYERS[name](m, np.random.default_rng(0))
    CALLS[f"{name}, {m}"] = lambda *x, layer=layer: layer(*x).data
taken = {name: [] for name in CALLS}
with nn.no_grad():
    for n in LENGTHS:
        arrays = inputs(n, 0.25)
        calls = {name: partial(call, *arrays) for name, call in CALLS.items()}
        for name, seconds in nn.timing.race(calls, SECONDS, rounds=5).items():
            taken[name].append(1e3 * seconds)


def crossing(slow, fast):
    """The N from which on `fast` takes less time, between the lengths by straight lines; NaN if nowhere."""
    ahead = np.log(taken[slow]) - np.log(taken[fast])
    later = np.flatnonzero(ahead <= 0)
    if len(later) and later[-1] == len(LENGTHS) - 1:
        return float("nan")
    i = later[-1] if len(later) else 0
    return float(np.exp(np.interp(0, ahead[i:i + 2], np.log(LENGTHS)[i:i + 2])))


compare("FAVOR+ takes less than the formula from N =", crossing("written out", "FAVOR+, 256"), yours_formula)
compare("FAVOR+ takes less than the kernel from N =", crossing("the kernel", "FAVOR+, 256"), yours_crossing)
print(f"at N = {LENGTHS[-1]}, ms: " + ", ".join(f"{name} {ms[-1]:.3g}" for name, ms in taken.items()))

figure, axes = plt.subplots(figsize=(9, 4.8))
for (name, ms), color in zip(taken.items(), ("black", "black", BLUE, ORANGE, GREEN, GREY), strict=True):
    axes.loglog(LENGTHS, ms, color=color, marker="o", markersize=4, label=name,
                linestyle="--" if name == "written out" else "-")
axes.set(xlabel="queries and keys", ylabel="ms, one head, one thread")
axes.legend(frameon=False, loc="upper left")
ticks(axes, x=LENGTHS, y=[0.1, 1, 10, 100])
plt.show()

# %% [markdown]
# A good kernel for the exact thing moves the crossing up. Whoever compares with the formula written out has
# found out how slow that is. Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *Prefix sums.* In causal attention query $i$ has the keys up to $i$. Which sums have to be kept from row
#    to row, of which size, and what is a token's cost that comes at place 10,000?
# 2. *The largest of all keys.* `FavorAttention` takes off one largest exponent for all keys, but one for
#    each query. Why not one for each key? What is lost, in causal attention, where a later key is very long?
# 3. *Optimal.* For which $\|x + y\|$ has an estimate of 64 features a relative standard error of 1? Which
#    scores, at $E = 64$, may two equal vectors have at most?
# 4. *The half, learned.* Train a small `nn.models.char_transformer` with FAVOR+, with and without the half.
#    Why is the difference smaller than section 3 lets fear?
# 5. *Landmarks.* Let one half of the keys be one vector. What does Nyström's method do if keys are shuffled?
#
# Assignment 14, `features`, has you write the features, both linear attentions, and the running maximum.

# %% [markdown]
# # Few bits: what do four, two and one buy?
#
# A weight of 8 bits costs a network almost nothing (notebook 07). Why stop there? Half the bits are half the
# bytes; but are they half the time, and how large is the error? Different questions, with different answers.
# Here each is derived, guessed and measured by itself; what becomes of a network's accuracy is chapter 15b.
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.

# %%
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one core is compared with one core

import matplotlib.pyplot as plt
import numpy as np

import nn
from compress.formats.format import format_named
from nn.explain import BLUE, DARK, FAST, GREEN, GREY, ORANGE, Guesses, note, roofline, style, ticks
from nn.kernels import bgemm, gemm, half_gemm, nbit_gemm, pow2_gemm, qgemm, sign_bits
from nn.timing import race

style()
guesses = Guesses()
compare = guesses.compare
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. Which reals are there?
#
# $b$ bits name $2^b$ reals, and a format says which. Symmetric integers are $s\,q$ with
# $|q| \le 2^{b-1} - 1$: as many on either side of 0, so one code is left over. *Ternary* weights are
# $-s, 0, s$ and *binary* ones $-s, s$; there the $s$ that makes the error least is not the largest weight,
# but a mean (Li, Zhang & Liu 2016; Rastegari et al. 2016: $s = \overline{|w|}$, derive it). *Powers of two*
# are dense near 0, where most weights are (Zhou et al. 2017). And *floats* of 8 bits (Micikevicius et al.
# 2022) are both: powers of two, with equal steps between two of them, 8 in `e4m3` and 4 in `e5m2`.
#
# **Before you run the cell:** how many of its 15 reals does the format of powers of two (`pow2`, 4 bits)
# spend on the half of the range next to 0, from $-\max/2$ to $\max/2$? `int4` spends 7.

# %%
yours = None

NAMES = ("int8", "float8_e4m3fn", "float8_e5m2", "int5", "int4", "int3", "int2", "ternary", "binary", "pow2")
w = rng.standard_normal((1, 4096)).astype(np.float32)  # one channel of weights
line = np.linspace(-5, 5, 500_001, dtype=np.float32)[None]
reals = {}
for name in NAMES:
    form = format_named(name)
    scales = form.scales(w)
    reals[name] = np.unique(form.to_reals(form.to_codes(line, scales), scales))
near = np.abs(reals["pow2"]) <= reals["pow2"].max() / 2
compare("reals of pow2 in the inner half", near.sum(), yours, theory=13)

figure, (top, axes) = plt.subplots(2, 1, figsize=(11, 5.6), sharex=True, height_ratios=(1, 4))
top.hist(w[0], bins=120, color=GREY)
top.set(yticks=[], title="4096 normal weights, and the reals that each format has for them")
for i, (name, values) in enumerate(reals.items()):
    axes.vlines(values, i - 0.32, i + 0.32, color=BLUE if name[:3] == "int" else ORANGE, linewidth=1.3)
    note(axes, f"{name}: {len(values)}", (4.2, i), (0, 0))
axes.set(yticks=[], xticks=range(-4, 5, 2), xlabel="weight", xlim=(-4.2, 6.2))
axes.spines["left"].set_visible(False)
axes.invert_yaxis()
plt.show()

# %% [markdown]
# ## 2. What a bit costs, and what it buys
#
# A scale is stored too: a float32 for each group of $g$ weights adds $32/g$ bits to each. For a channel of
# 1024 that is nothing. For a block of 32, which follows the weights closely, it is a whole bit (half a bit if
# the scale is a float16, as many files of language models have it).
#
# Where the largest weight of a group is $c$ standard deviations $\sigma$, the step is
# $s = 2 c \sigma / (2^b - 2)$, and rounding to it has the variance $s^2/12$ (notebook 07). The ratio of
# signal to noise, in decibels:
#
# $$10 \log_{10} \frac{\sigma^2}{s^2/12} = 20 \log_{10}(2^b - 2) - 20 \log_{10} c + 10 \log_{10} 3 .$$
#
# Each bit doubles $2^b$: that is 6.02 dB. But $-2$ is felt when $b$ is small. And $c$ grows with the group:
# the largest of 32 normal numbers is about $2\sigma$, of 262,144 almost $5\sigma$. How much may be had at
# all? Normal numbers in $R$ bits each have at best a noise of $\sigma^2 2^{-2R}$ (Shannon 1959): nothing lies
# above 6.02 dB for every bit that is *stored*.
#
# **Before you run the cell:** how many times smaller than in float32 is a layer with 4 bits and blocks of 32?
# How many dB are won from 7 to 8 bits? From 3 to 4? And does a block pay for itself: are 4 bits with it,
# which are 5, better than 5 bits a channel? (dB; below 0: worse.)

# %%
yours_size, yours_eight, yours_four, yours_block = None, None, None, None


def stored(w, name):
    """Bits of a weight, with its scales, as this library stores them; signal to noise of it, in decibels."""
    form = format_named(name)
    scales = form.scales(w)
    weight = form.stored(form.to_codes(w, scales), scales)
    error = w.astype(float) - weight.decode()
    return (8 * sum(weight.itemised().values()) / w.size,
            10 * np.log10(np.sum(w.astype(float) ** 2) / np.sum(error**2)))


layer = rng.standard_normal((64 if FAST else 256, 1024)).astype(np.float32)
tailed = rng.standard_t(4, layer.shape).astype(np.float32)  # a few weights are far larger than the others
GROUPS = {"-tensor": ("the tensor", GREY, "s-"), "": ("a channel", ORANGE, "o-"),
          "-block32": ("a block of 32", BLUE, "^-")}
figure, panels = plt.subplots(1, 2, figsize=(12, 4.8), sharey=True)
won = {}
for axes, (kind, weights) in zip(panels, {"normal": layer, "heavy tails": tailed}.items(), strict=True):
    for group, (label, colour, marks) in GROUPS.items():
        points = [stored(weights, f"int{bits}{group}") for bits in range(2, 9)]
        axes.plot(*zip(*points, strict=True), marks, color=colour, markersize=8, label=label)
        won[kind, group] = dict(zip(range(2, 9), [found for _, found in points], strict=True))
    for name, marker, shift in (("binary", "P", (0, -22)), ("ternary", "X", (0, 10)), ("pow2", "*", (-26, 8)),
                                ("float8_e4m3fn", "D", (30, 0)), ("float8_e5m2", "d", (30, 0))):
        at = stored(weights, name)
        axes.plot(*at, marker, color=GREEN, markersize=10)
        note(axes, name[name.find("_") + 1:][:7].removesuffix("fn"), at, shift, color=GREEN, ha="center")
    axes.set(xlabel="bits a weight, with its scales", title=f"{kind}: signal to noise, dB", xlim=(0.5, 9.5))
panels[0].plot([1, 8], [6.02, 48.2], color="black", linewidth=1)
note(panels[0], "at best (Shannon)", (6.3, 38), (-8, 10), ha="right")
panels[1].legend(frameon=False, loc="upper left", title="int2 to int8, a scale for")
plt.show()
compare("4 bits, blocks of 32: times smaller", 32 / stored(layer, "int4-block32")[0], yours_size, theory=6.4)
for bits, yours in ((8, yours_eight), (4, yours_four)):
    by_bits = won["normal", ""]
    compare(f"from {bits - 1} to {bits} bits, dB", by_bits[bits] - by_bits[bits - 1], yours,
            theory=20 * np.log10((2**bits - 2) / (2 ** (bits - 1) - 2)))
for kind, yours in (("normal", yours_block), ("heavy tails", None)):
    compare(f"{kind}: 4 bits a block less 5 bits a channel, dB",
            won[kind, "-block32"][4] - won[kind, ""][5], yours)

# %% [markdown]
# A block pays where the weights are uneven: for heavy tails, or channels with parts of different size. For
# plain normal weights its scale costs more than it brings, and one bit more for all is the better use of it.
# And `int2` and `ternary` have as many reals, in as many bits: where these lie makes the difference.
#
# ## 3. What an instruction does
#
# No processor multiplies numbers of 4, 2 or 1 bits. Each format goes another way; $K$ lies along a row.
#
# | weights | one step | products a lane of 32 bits |
# |---|---|---|
# | float32 | multiply and add | 1 in one instruction |
# | float16 | make floats of them; then as float32 | 1 in one; making is shared by all rows |
# | 8 bits | multiply four bytes, add them and the sum | 4 in one, or in three |
# | 4, 3, 2 bits | shift and mask, to bytes; then as bytes | 4 in one; unpacking is shared by all rows |
# | powers of two | shift, xor with the sign, add | 1 in three |
# | 1 bit, both sides | xor, count the ones, add | 32 in three, or in more where a table counts |
#
# For signs: where two bits are equal the product is $+1$, where they differ $-1$. With $d$ that differ,
#
# $$\sum_k a_k b_k = (K - d) - d = K - 2d, \qquad d = \operatorname{popcount}(a \oplus b).$$
#
# For a negative power of two, $x \oplus -1 = -x - 1$: the sum is too small by the number of negative weights,
# which is known beforehand. All three in NumPy, against the kernels:

# %%
codes = rng.integers(-8, 8, (32, 16)).astype(np.int8)  # 4 bits, K = 32, 16 columns
line = nbit_gemm.pack(codes, np.ones((1, 16), np.float32)).parts["codes"][0, 0, 0]  # 64 bytes: two cells of
cells = [cell.reshape(16, 4).T.astype(np.int8) - 8 for cell in (line & 15, line >> 4)]  # 16 columns, four k
print("4 bits: the same", np.array_equal(np.concatenate(cells), codes[:8]))

a, b = rng.choice([-1.0, 1.0], (2, 1, 96)).astype(np.float32)
ONES = np.array([bin(byte).count("1") for byte in range(256)])
differ = ONES[(sign_bits(a) ^ sign_bits(b)).view(np.uint8)].sum()
print("signs:", 96 - 2 * differ, "=", (a @ b.T).item(), "=", bgemm(sign_bits(a), sign_bits(b), 96).item())

a = rng.integers(0, 256, 8)
exponent, negative = rng.integers(0, 7, 8), rng.integers(0, 2, 8)
summed = ((a << exponent) ^ -negative).sum() + negative.sum()
kernel = pow2_gemm(a[None].astype(np.uint8), (negative << 3 | exponent + 1).astype(np.uint8)[:, None])
print("powers of two:", summed, "=", (a * 2**exponent * (1 - 2 * negative)).sum(), "=", kernel.item())

# %% [markdown]
# **Before you run the cell:** in registers alone, how many times as many multiply-adds a second as in floats
# are done with bytes, with signs, with powers of two, on your processor?

# %%
yours = {"bytes": None, "signs": None, "powers of two": None}

KERNELS = {"floats": gemm, "bytes": qgemm, "signs": bgemm, "powers of two": pow2_gemm}
routes = {name: nn.kernels.best_route(kernel) for name, kernel in KERNELS.items()}
peaks = {name: nn.kernels.peak(route) for name, route in routes.items() if route}
for name, guess in yours.items():
    if name in peaks:
        print(f"{routes[name]}: {peaks[name] / 1e9:.0f} billion multiply-adds a second")
        compare(f"{name}: times the peak of floats", peaks[name] / peaks["floats"], guess)
if not peaks:
    print("here without the C kernels: nothing to measure in registers")

# %% [markdown]
# (An instruction is not a cycle: some processors begin more simple ones, such as xor, in a cycle than
# multiplications.) A shift replaces a multiplication in a *circuit*, where it costs little area and energy.
# In a processor the multiplier is there already, and does four bytes at once.
#
# ## 4. Time: one row, and many
#
# One row of activations uses each weight once: it waits for bytes, and fewer bytes are faster, as long as
# unpacking them is not slower than reading them. Many rows use each weight often: they wait for
# multiplications, and those of 4, 3 and 2 bits are the multiplications of bytes.
#
# **Before you run the cell:** with one row, how many times as fast as floats are 8 bits? And 4? How many
# times as fast as *4 bits* are 2? And with 64 rows: how many times as fast as *8 bits* are 4?

# %%
yours_one_eight, yours_one_four, yours_one_two, yours_many_four = None, None, None, None


def products(m, k, n):
    """Products of the same float32 rows with weights of all formats, and the bytes of these as packed."""
    w, x = rng.standard_normal((k, n), np.float32), rng.standard_normal((m, k), np.float32)
    out, sums = np.empty((m, n), np.float32), np.empty((m, n), np.int32)
    floats, halves = gemm.pack(w), half_gemm.pack(w.astype(np.float16))
    eight = qgemm.pack(np.clip(np.rint(32 * w), -127, 127).astype(np.int8))
    powers = pow2_gemm.pack(rng.choice(np.r_[1:8, 9:16], (k, n)).astype(np.uint8))
    signs = bgemm.pack(sign_bits(np.ascontiguousarray(w.T)), k)

    def rounded():
        return nn.kernels.quantize(x, 1 / 32, 128)

    made = {"float": (floats, lambda: gemm(x, floats, out=out)),
            "16 bits": (halves, lambda: half_gemm(x, halves, out=out)),
            "8 bits": (eight, lambda: qgemm(rounded(), eight, a_zero=128, out=sums))}
    for bits in (4, 3, 2):
        scales = np.abs(w).reshape(-1, 32, n).max(axis=1) / np.float32(2 ** (bits - 1) - 1)
        few = nbit_gemm.pack(np.rint(w / scales.repeat(32, axis=0)).astype(np.int8), scales, bits=bits)
        made[f"{bits} bits"] = few, lambda w=few: nbit_gemm(x, w, activations="int8", out=out)
    made["powers of two"] = powers, lambda: pow2_gemm(rounded(), powers, a_zero=128, out=sums)
    made["1 bit, both"] = signs, lambda: bgemm(sign_bits(x), signs, k, out=sums)
    return {name: call for name, (_, call) in made.items()}, {name: w.nbytes for name, (w, _) in made.items()}


ONE, MANY = (1, 2048, 2048), (64, 1024, 1024)
speed, sizes = {}, {}
for shape in (ONE, MANY):
    calls, sizes[shape] = products(*shape)
    seconds = race(calls, 0.02 if FAST else 0.1)
    speed[shape] = {name: np.prod(shape) / taken for name, taken in seconds.items()}
    print("×".join(map(str, shape)), *(f"{name} {1e6 * taken:.0f} µs" for name, taken in seconds.items()),
          sep=", ")
one, many = speed[ONE], speed[MANY]
compare("one row: 8 bits, times as fast as floats", one["8 bits"] / one["float"], yours_one_eight, theory=4)
compare("one row: 4 bits, times as fast as floats", one["4 bits"] / one["float"], yours_one_four, theory=6.4)
compare("one row: 2 bits, times as fast as 4", one["2 bits"] / one["4 bits"], yours_one_two, theory=5 / 3)
compare("64 rows: 4 bits, times as fast as 8", many["4 bits"] / many["8 bits"], yours_many_four, theory=1)

# %%
figure, panels = plt.subplots(1, 2, figsize=(12, 4.2), sharey=True)
for axes, shape in zip(panels, (ONE, MANY), strict=True):
    what = "×".join(map(str, shape))
    names = [name for name in speed[shape] if name != "float"]
    times = [speed[shape][name] / speed[shape]["float"] for name in names]
    axes.barh(names, times, color=[GREY, GREY, BLUE, BLUE, BLUE, ORANGE, GREEN])
    for i, value in enumerate(times):
        note(axes, f"{value:.2g}", (value, i))
    axes.axvline(1, color="black", linewidth=1)
    axes.set(xscale="log", xlim=(0.2, 3 * max(times)), title=f"{what}: times as fast as float")
    ticks(axes, x={0.5: "½", 1: "1", 4: "4", 16: "16"})
panels[0].invert_yaxis()
plt.show()

# %% [markdown]
# "Derived" there takes bytes alone to be time, and the same memory for all. Where the measured number is
# larger, fewer bytes lie in a nearer cache; where it is smaller, unpacking takes longer than reading. Every
# call began with float32 rows, and rounded them (or took their signs) itself.
#
# Who waits for what? In a roofline (notebook 06) a row is far left with floats, a quarter of a multiply-add
# a byte, and moves to the right with each bit that is saved: up a slope while it waits for bytes, until it
# meets a roof, its own. **Before you run the cell:** which of the eight will lie farthest below both?

# %%
yours = None  # a name, of those in the figure above

macs, nbytes = np.prod(ONE), sizes[ONE]
array = np.ones(nbytes["4 bits"], np.uint8)
reading = array.nbytes / race({"": array.max}, 0.05)[""]  # bytes a second: each is looked at for the largest
if peaks:
    axes = roofline(peaks["signs"], {"reading": reading},
                    {name.removesuffix(" bits"): (macs / nbytes[name], one[name]) for name in one})
    for name, shift in (("floats", 6), ("bytes", 6), ("powers of two", -16)):
        axes.axhline(peaks[name] / 1e9, color=GREY, linestyle="--", linewidth=1.5, zorder=0)
        note(axes, name, (axes.get_xlim()[1], peaks[name] / 1e9), (-4, shift), color=DARK, ha="right")
    axes.set_title("one row, by the bits of a weight: billion multiply-adds a second")
    plt.show()
    own = {"float": "floats", "16 bits": "floats", "powers of two": "powers of two", "1 bit, both": "signs"}
    share = {name: one[name] / min(peaks[own.get(name, "bytes")], macs / nbytes[name] * reading)
             for name in one}
    print("share of its own roof:", ", ".join(f"{name} {100 * value:.0f} %" for name, value in share.items()))
    print(f"the farthest: {min(share, key=share.get)}; you said {yours}")

# %% [markdown]
# (More than 100 % would be a kernel that reads faster than `max`, by which the slope was found.) One roof is
# not drawn: unpacking. A shift and a mask for every four products of a lane are about as many instructions
# with 2 bits as with 4, and the third bit of 3 lies apart and takes more.
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *The best clip.* `int2` fits its largest real to the largest weight. Try scales between that and the one
#    of `ternary`, and plot the decibels against the scale, for 2, 3 and 4 bits. Where is the best?
# 2. *Half a scale.* Round the scales of blocks of 32 to float16, or to powers of two (8 bits each). Does the
#    block pay for itself then, with normal weights?
# 3. *From memory.* Let the row have weights of 8192 × 8192. Which numbers of section 4 change, and why?
# 4. *Few rows.* Up to how many rows are 4 bits faster than 8 on your machine? Predict it first, from peaks
#    and a speed of reading.
#
# Assignment 4, `integers`, has you write the grid and the product.

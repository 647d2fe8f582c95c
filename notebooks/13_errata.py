# %% [markdown]
# # Errata: what is taught, and what comes out
#
# Ten statements from lectures on efficient deep learning. All of them have been shown to students, and all
# of them are wrong, or true only under a condition that was left out. No name stands here: whoever teaches
# makes errors, and these are good ones, because each can be *decided by computing*.
#
# Every section has the claim, a few lines that decide, and what is right. Before you run a cell, write down
# what you think comes out; the errors are such that one nods when they go by on a slide.

# %%
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: for matrices this small, threads cost more

import matplotlib.pyplot as plt
import numpy as np

import compress
import nn
from nn.explain import BLUE, FAST, ORANGE, Guesses, style

style()
guesses = Guesses()
compare = guesses.compare

# %% [markdown]
# ## 1. A gradient through rounding
#
# > *Straight-through estimator, an example. A weight $q = \operatorname{round}(w)$ is multiplied with
# $x = 1.4$, $h = q x$. From above comes $\partial L/\partial h = 2.1$. So $\partial L/\partial q = 1.5$,
# and $\partial L/\partial w = 1.5$.*
#
# The second step is the straight-through estimator: it passes on what it gets. The first is the chain rule
# and has nothing to do with rounding. What is $\partial L/\partial q$?

# %%
yours = None

q = nn.Tensor(np.array(1.0), requires_grad=True)
h = q * 1.4
(2.1 * h).backward()  # any L with ∂L/∂h = 2.1
compare("∂L/∂q", q.grad.item(), yours, taught=1.5)

# %% [markdown]
# **Right:** $\partial L/\partial q = \partial L/\partial h \cdot x = 2.1 \cdot 1.4$. (With $2.1 / 1.4$ one
# divides where one has to multiply.) Two numbers that differ by a factor of 2 survive on a slide because
# nobody computes along.
#
# ## 2. Rounding a half
#
# > *To quantize 0.25 with a scale of 0.1: $0.25 / 0.1 = 2.5$ rounds to 3.*
#
# What does the machine say? And does it matter? Quantize a million numbers that lie on halves, by "half up"
# and by "half to even": how large is the *mean* error?

# %%
yours = None

compare("0.25 / 0.1, rounded", np.rint(0.25 / 0.1), yours, taught=3)
halves = np.random.default_rng(0).integers(-1000, 1000, 10**6) + 0.5
print(f"mean error, half up:      {np.mean(np.floor(halves + 0.5) - halves):+.4f}")
print(f"mean error, half to even: {np.mean(np.rint(halves) - halves):+.4f}")
print("the library:", nn.kernels.quantize(np.array([0.25], np.float32), 0.1, 0).item())

# %% [markdown]
# **Right:** a tie goes to the *even* neighbour (IEEE 754), so it is 2. Ties are common among numbers that
# have been quantized before, and "half up" moves all of them in one direction: a network adds up thousands
# of such errors, and a bias does not average out.
#
# ## 3. Eight additions in one
#
# > *Eight 8-bit numbers in a 64-bit register: one 64-bit addition adds all eight, if the carry from lane to
# lane is turned off.* Below it stood the lanes of the result; the top one, $7 + 8$, said 16.
#
# There is no switch that turns a carry off. What does the plain addition give in the top lane, and how does
# one get rid of the carry in a few operations?

# %%
yours = None

a = np.array([200, 3, 250, 17, 99, 128, 201, 7], np.uint8)
b = np.array([100, 4, 20, 40, 100, 127, 100, 8], np.uint8)
wide_a, wide_b = a.view(np.uint64)[0], b.view(np.uint64)[0]
with np.errstate(over="ignore"):
    plain = np.array([wide_a + wide_b]).view(np.uint8)
top = np.uint64(0x8080808080808080)  # the highest bit of every lane
low = ~top
masked = np.array([((wide_a & low) + (wide_b & low)) ^ ((wide_a ^ wide_b) & top)]).view(np.uint8)
print("wanted (modulo 256):", *(a + b))
print("one addition:       ", *plain)
print("masked:             ", *masked)
compare("the top lane, one plain addition", plain[-1], yours, taught=15)
print("lanes that are wrong:", np.count_nonzero(plain != a + b), "masked:", np.count_nonzero(masked != a + b))

# %% [markdown]
# **Right:** the slide's own 16 was the leaked carry. Take the top bits away, so that no lane can overflow
# into the next, add, and put the top bits back by *exclusive or*, which is addition without a carry. (Real
# vector instructions have lanes, and need none of this.)
#
# ## 4. Random features for attention
#
# > *Random features $\varphi$ with $\varphi(q)^\top \varphi(k) \approx \exp(-\lVert q - k\rVert^2)$ turn
# into features of the softmax: with $\psi(x) = \exp(\lVert x\rVert^2)\,\varphi(x)$ we have
# $\psi(q)^\top \psi(k) \approx \exp(q^\top k)$.*
#
# Use $-\lVert q - k\rVert^2 = -\lVert q\rVert^2 - \lVert k\rVert^2 + 2 q^\top k$. What remains in the
# exponent, as a multiple of $q^\top k$?

# %%
yours = None

rng = np.random.default_rng(0)
q, keys = 0.5 * rng.standard_normal(8), 0.5 * rng.standard_normal((12, 8))


def features(x, width):
    """cos and sin of random projections: their product is the mean of cos(w·(q − k)), w ~ N(0, width²)."""
    w = width * np.random.default_rng(1).standard_normal((400_000, 8))
    return np.concatenate([np.cos(x @ w.T), np.sin(x @ w.T)], axis=-1) / np.sqrt(len(w))


def exponent(width, half):
    """What ψ(q)·ψ(k) says, as a multiple of q·k in the exponent (least squares over the keys)."""
    gauss = np.array([features(k, width) @ features(q, width) for k in keys])
    said = np.log(gauss) + half * (np.sum(q**2) + np.sum(keys**2, axis=1))
    return said @ (keys @ q) / np.sum((keys @ q) ** 2), said


as_taught, taught = exponent(np.sqrt(2), 1)
corrected, right = exponent(1, 1 / 2)
compare("the exponent, in units of q·k", as_taught, yours, taught=1)
print(f"with ½ in both exponents: {corrected:.4g}")

softmax = {name: np.exp(z) / np.exp(z).sum() for name, z in (
    ("softmax", keys @ q), ("with ½", right), ("as taught", taught))}
order = np.argsort(-softmax["softmax"])
figure, axes = plt.subplots(figsize=(9, 4))
for (name, p), color, marker in zip(softmax.items(), ("black", BLUE, ORANGE), "_os", strict=True):
    size = 22 if marker == "_" else 9
    axes.plot(p[order], marker, color=color, label=name, markersize=size, markeredgewidth=2)
axes.legend(frameon=False)
axes.set(xlabel="key, from the most to the least attended", ylabel="weight of attention", ylim=(0, None))
plt.show()

# %% [markdown]
# **Right:** $\varphi(q)^\top \varphi(k) \approx \exp(-\frac12 \lVert q - k\rVert^2)$ and
# $\psi(x) = \exp(\frac12 \lVert x\rVert^2)\,\varphi(x)$. What was taught computes attention at *half the
# temperature*: it is sharper than it should be, and no error message says so.
#
# ## 5. What a backward pass costs
#
# > *Backward costs about as much as forward.*
#
# > *The activations of VGG-16 are 24 M values, 93 MB an image.*
#
# Both were read off the same table of layers. A layer $y = W x$ has *two* products on the way back:
# $W^\top g$ for what is below, and $g x^\top$ for the weight. Only the first layer needs no gradient for
# its input. How many times the forward's multiply-adds does the backward of VGG-16 have? And how many MB
# are the outputs of all its layers, with the image?

# %%
yours_backward, yours_megabytes = None, None

side, channels, layers, values = 224, 3, [], [3 * 224**2]
for out in (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", *[512, 512, 512, "pool"] * 2):
    if out == "pool":
        side //= 2
    else:
        layers.append(("conv", 9 * channels * out, 9 * channels * out * side**2))
        channels = out
    values.append(channels * side**2)
for inputs, out in ((512 * 7 * 7, 4096), (4096, 4096), (4096, 1000)):
    layers.append(("fc", inputs * out, inputs * out))
    values.append(out)
forward = sum(macs for _, _, macs in layers)
backward = 2 * forward - layers[0][2]
print(f"forward {forward / 1e9:.2f} · 10⁹, backward {backward / 1e9:.2f} · 10⁹ multiply-adds; "
      f"{sum(values):,} activations")
compare("backward / forward, VGG-16", backward / forward, yours_backward, taught=1)
compare("activations of VGG-16, MB", 4 * sum(values) / 1e6, yours_megabytes, taught=93)
print(f"24 M values of 4 bytes would be {24 * 4} MB")

# %% [markdown]
# **Right:** backward costs two forwards, so a training step costs three. And 15.2 M values, 61 MB. The
# printed lines of the table were right; their sum was not, and its product with 4 bytes was wrong once
# more. (That a *framework* may hold more, since a ReLU that is not in place has an output of its own, is
# another matter.)
#
# ## 6. Counting a low-rank convolution
#
# > *A convolution $k \times k$ from $c$ to $d$ channels becomes one from $c$ to $d'$ and then a
# $1 \times 1$ from $d'$ to $d$: $w h\,(d k^2 c + d' d)$ multiply-adds.*
#
# That is more than the original's $w h\, d k^2 c$. With $c = d = 64$, $k = 3$, $d' = 16$ on $16 \times 16$
# positions: how many are there, in millions?

# %%
yours = None

c = d = 64
thin, positions = 16, 16 * 16
pair = nn.Sequential(nn.Conv2d(c, thin, 3, padding=1, bias=False), nn.Conv2d(thin, d, 1, bias=False))
counted = compress.convert(pair, np.zeros((1, c, 16, 16), np.float32), algorithm="direct").macs
slide = positions * (d * 9 * c + thin * d)
compare("low rank, million multiply-adds", counted / 1e6, yours, taught=slide / 1e6)
print(f"the original: {positions * d * 9 * c / 1e6:.4g}; "
      f"w·h·(d'k²c + d'd): {positions * (thin * 9 * c + thin * d) / 1e6:.4g}")

# %% [markdown]
# **Right:** $w h\,(d' k^2 c + d' d)$. One missing prime, and the method costs more than it replaces.
# Whenever a formula counts the cost of a *saving*, put in numbers and compare with what was there before.
#
# ## 7. Where the energy goes
#
# > *The energy of a network is dominated by memory.*
#
# > *FP16 saves a factor of 4.*
#
# From the published table (Horowitz 2014; 45 nm, pJ): a float32 multiplication 3.7 and an addition 0.9, in
# float16 1.1 and 0.4; 32 bits from DRAM 640. Take VGG-16 with one image, and let every *weight* come from
# DRAM once. How many times the energy of the arithmetic does this memory take, in the convolutions?

# %%
yours_memory, yours_half = None, None

energy = {}
for kind in ("conv", "fc"):
    weights, macs = np.sum([layer[1:] for layer in layers if layer[0] == kind], axis=0)
    energy[kind] = 640e-9 * weights, (3.7 + 0.9) * 1e-9 * macs
for kind, (memory, arithmetic) in energy.items():
    print(f"{kind:4}: weights from DRAM {memory:6.2f} mJ, arithmetic {arithmetic:6.2f} mJ")
compare("memory / arithmetic, convolutions", energy["conv"][0] / energy["conv"][1], yours_memory)
compare("float32 / float16, energy of a multiply-add", (3.7 + 0.9) / (1.1 + 0.4), yours_half, taught=4)

figure, axes = plt.subplots(figsize=(9, 3.2))
names = ["13 convolutions", "3 fully connected"]
for i, (part, color) in enumerate((("weights from DRAM", ORANGE), ("arithmetic", BLUE))):
    values = [energy[kind][i] for kind in ("conv", "fc")]
    bars = axes.barh(np.arange(2) + 0.36 * i, values, 0.34, color=color, label=part)
    axes.bar_label(bars, fmt="{:.1f} mJ", padding=4)
axes.set(yticks=np.arange(2) + 0.18, yticklabels=names, xlim=(0, 100), xticks=[])
axes.invert_yaxis()
axes.legend(frameon=False, loc="center right")
plt.show()

# %% [markdown]
# **Right:** by memory where a weight is used once (fully connected, one image), by arithmetic where it is
# used for every position of the image. Pruning the weights saves energy in the first kind and little in the
# second. With a *batch* of images the first becomes like the second. And float16 saves 3.07 times in the
# arithmetic, by the same table.
#
# ## 8. Shifts
#
# > *A shift is cheaper than a multiplication, so weights that are powers of two make a network faster.*
#
# In a circuit that one builds oneself, yes. On a processor the multiplier is there already. How many times
# as fast is a shift, for 65,536 numbers of 16 bits?

# %%
yours = None

numbers = rng.integers(0, 100, 1 << 16).astype(np.int16)
powers = rng.integers(0, 4, 1 << 16).astype(np.int16)
factors, out = (np.int16(1) << powers), np.empty_like(numbers)
jobs = {"multiply": lambda: np.multiply(numbers, factors, out=out),
        "shift": lambda: np.left_shift(numbers, powers, out=out)}
print("the same result:", np.array_equal(numbers * factors, numbers << powers))
times, _ = nn.timing.race(jobs).faster("shift", than="multiply")
compare("shift: times as fast as multiplication (NumPy)", times, yours)

# %% [markdown]
# **Right:** measure on what will run it. A vector unit multiplies as many numbers at once as it shifts, and
# has one instruction that multiplies *and* adds, and none that shifts and adds. (NumPy's shift must also
# check for counts that are too large, as C leaves those undefined.) Powers of two save *bytes*: an exponent
# has 3 or 4 bits.
#
# ## 9. Twice the batch
#
# > *Doubling the batch halves the time.* And some slides on: *Large batches slow down convergence.*
#
# Both as facts, and together they cannot both decide. The question is the time *to a goal*. Train to 97 %
# of the training images right, with batches of 8 to 512 and a rate that grows like $\sqrt{\text{batch}}$.
# Which batch is the fastest? (Notebook 02, section 6, draws the two factors.)

# %%
yours = None

digits = nn.data.digits()
x, y = digits.x_train, digits.y_train


def to_goal(batch, rate, goal=0.97, most=60):
    """Epochs and seconds until the accuracy in training reaches the goal, or until `most` epochs are over."""
    model, shuffle = nn.models.digits_mlp(rng=np.random.default_rng(0)), np.random.default_rng(0)
    optimizer = nn.optim.Adam(model.parameters(), lr=rate)
    start = nn.timing.CLOCK()
    epochs, reached = 0, 0.0
    while reached < goal and epochs < most:
        reached = nn.train.fit(model, x, y, epochs=1, batch_size=batch, optimizer=optimizer, rng=shuffle,
                               progress=False)[0].accuracy
        epochs += 1
    return epochs, nn.timing.CLOCK() - start


sizes = [8, 32, 128, 512] if FAST else [8, 16, 32, 64, 128, 256, 512]
runs = [to_goal(batch, 1e-3 * np.sqrt(batch / 8)) for batch in sizes]
compare("the fastest batch to the goal", sizes[np.argmin([seconds for _, seconds in runs])], yours)
for batch, (epochs, seconds) in zip(sizes, runs, strict=True):
    print(f"{batch:3} images: {epochs:2} epochs of {1000 * seconds / epochs:.0f} ms, {seconds:.2f} s")

# %% [markdown]
# **Right:** the time an epoch falls with the batch, but not by half each time; the epochs to the goal rise,
# how fast depends on the learning rate; and their product decides. "Larger is faster" and
# "larger is slower" are each read off one of its factors.
#
# ## 10. Weights or activations?
#
# > *Activations are much harder to quantize than weights: their bits must come last.*
#
# Round either the weights (symmetric, a scale a row) or the activations (from 0 to the largest seen, a
# scale a layer) of the 64-300-100-10 network to $b$ bits, and train no further. With 2 bits: by how many
# points is the network with rounded *activations* better than the one with rounded *weights*?

# %%
yours = None


def rounded_weights(w, bits):
    scale = np.abs(w).max(axis=1, keepdims=True) / (2 ** (bits - 1) - 1)
    return scale * np.rint(w / scale)


def rounded_activations(h, bits, highest):
    scale = highest / (2**bits - 1)
    return scale * np.rint(np.minimum(h, highest) / scale)


def outputs(model, h, weight_bits=None, activation_bits=None, seen=None):
    """The logits; `seen` collects the largest activations, or gives them."""
    for i, layer in enumerate((model.fc1, model.fc2, model.fc3)):
        w = layer.weight.data if weight_bits is None else rounded_weights(layer.weight.data, weight_bits)
        if activation_bits is not None:
            h = rounded_activations(h, activation_bits, seen[i])
        elif seen is not None:
            seen.append(h.max())
        h = h @ w.T + layer.bias.data
        h = h if layer is model.fc3 else np.maximum(h, 0)
    return h


lost = {"weights": [], "activations": []}
for seed in range(1 if FAST else 4):
    model = nn.models.digits_mlp(rng=np.random.default_rng(seed))
    nn.train.fit(model, x, y, epochs=4 if FAST else 12, optimizer=nn.optim.Adam(model.parameters(), lr=3e-3),
                 rng=np.random.default_rng(seed), schedule=nn.train.cosine, progress=False)
    flat, seen = digits.x_test.reshape(-1, 64), []
    outputs(model, x.reshape(-1, 64), seen=seen)
    for name, rows in lost.items():
        how = {"weights": "weight_bits", "activations": "activation_bits"}[name]
        logits = [outputs(model, flat, **{how: bits}, seen=list(seen)) for bits in (2, 3, 4, 6, 8)]
        rows.append([100 * np.mean(z.argmax(axis=1) == digits.y_test) for z in logits])
means = {name: np.mean(rows, axis=0) for name, rows in lost.items()}
compare("2 bits: activations less weights, points", means["activations"][0] - means["weights"][0], yours)

figure, axes = plt.subplots(figsize=(9, 4))
for (name, mean), color, marker in zip(means.items(), (ORANGE, BLUE), "so", strict=True):
    axes.plot((2, 3, 4, 6, 8), mean, marker + "-", color=color, label=f"{name} rounded")
axes.legend(frameon=False, loc="lower right")
axes.set(xlabel="bits", ylabel="test accuracy, %", xticks=(2, 3, 4, 6, 8))
plt.show()

# %% [markdown]
# **Right:** it depends on their distributions, so look. Activations after a ReLU have no sign to spend a
# bit on, and here they have no outliers; a symmetric grid of 2 bits has only three weights. (Where a few
# channels have activations a hundred times as large as the others, as in large language models, it is the
# other way round: the claim generalises from there.)
#
# ## What was taught, and what came out

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *One more prime.* A slide says that pruning half of the channels of every layer halves the parameters.
#    Check it with `nn.models.digits_cnn(0.5)`, and write down the right formula.
# 2. *Clipped.* "The matrix was quantized from its minimum, 0, to its maximum, 10.62, to 3 bits: 8.25, 8.58
#    and 10.62 become 7." What do they become? What was really done?
# 3. *The other one.* Section 2 with "half away from zero", as C's `round` has it. Is its mean error zero?
#    Of which numbers is it not?
# 4. *Your own.* Find a number on a slide of a course that you take, compute it, and write a section like
#    these. Start with sums of tables, and with units.
#
# Assignment 9, `testing`, asks the same of programs: to find the one that is wrong, by what it computes.

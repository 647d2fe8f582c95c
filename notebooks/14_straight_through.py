# %% [markdown]
# # Straight through: how does a staircase learn?
#
# A weight of 2 bits is $-s$, $0$ or $s$. Rounding after training finds the nearest of the three; below 4 bits
# that costs accuracy, and training has to repair it. But what the layer sees is now a staircase of the number
# that is trained, and a staircase has no slope. What does one follow? Is it right? And why does a weight that
# has learned all it can go on jumping?
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.

# %%
import copy
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: for matrices this small, threads cost more

import matplotlib.pyplot as plt
import numpy as np

import compress
import nn
from nn.explain import BLUE, FAST, GREEN, GREY, ORANGE, Guesses, note, style, ticks

BASE, TUNE, SEEDS, STEPS = (3, 1, 1, 10) if FAST else (6, 3, 3, 30)  # epochs, epochs after them, networks
style()
guesses = Guesses()
compare = guesses.compare
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. No slope, except on average
#
# Between two steps of the staircase $Q(w) = s \cdot \operatorname{round}(w/s)$ the slope is 0, on a step it
# does not exist. A central difference $(Q(w + h) - Q(w - h))/2h$ is 0, too, unless a step lies between
# $w - h$ and $w + h$; then it is $s/2h$. **Before you run the cell:** $s = 0.1$, $h = 0.001$, and weights
# that lie anywhere. For how many percent of them is the difference not 0? And what is its *mean*?

# %%
yours_share, yours_mean = None, None


def staircase(w, s, most):
    """The nearest of −most·s … most·s."""
    return s * np.clip(np.rint(w / s), -most, most)


s, h = 0.1, 0.001
w = rng.uniform(-1, 1, 400_000)
slope = (staircase(w + h, s, 100) - staircase(w - h, s, 100)) / (2 * h)
compare("differences that are not 0, %", 100 * (slope != 0).mean(), yours_share, theory=100 * 2 * h / s)
compare("their mean", slope.mean(), yours_mean, theory=2 * h / s * s / (2 * h))

# %% [markdown]
# Almost nowhere a slope, and on average just 1, that of the line $y = w$. Which average? Add noise $u$,
# spread evenly over one step, $-s/2 \dots s/2$. For $w$ between two neighbours of the grid, $y$ and $y + s$,
# the upper one is taken with probability $(w - y)/s$, so
#
# $$\operatorname{E} Q(w + u) = y + s \cdot \frac{w - y}{s} = w ,$$
#
# and beyond the last step, where only one value is left, $\operatorname{E} Q(w + u)$ is that value. So the
# staircase *under noise* is $\operatorname{clip}(w, -ms, ms)$, and its slope
#
# $$\frac{d}{dw} \operatorname{E} Q(w + u) = \begin{cases} 1 & |w| < m s \\ 0 & |w| > m s . \end{cases}$$
#
# That is the *clipped straight-through* gradient: forward takes the staircase, backward passes the gradient
# on as if $y$ were $w$ (Bengio, Léonard & Courville 2013), but not where $w$ is out of range. Less noise
# than a step gives slopes in between, the same on average:

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2))
w, s = np.linspace(-2, 2, 2001), 1.0
left.plot(w, staircase(w, s, 1), color="black")
for width, color in ((0.25, GREY), (0.5, ORANGE), (1.0, BLUE)):
    noise = width * ((np.arange(1000) + 0.5) / 1000 - 0.5)
    smooth = np.array([staircase(one + noise, s, 1).mean() for one in w])
    left.plot(w, smooth, color=color)
    right.plot(w, np.gradient(smooth, w), color=color)
    note(right, f"noise of {width:g} step{'s' * (width != 1)}", (0.5 + width / 2, 1 / width), color=color)
left.set(xlabel="w, in steps", title="the staircase of 2 bits, and its mean under noise")
right.set(xlabel="w, in steps", title="slope of the mean", ylim=(-0.2, 4.6))
plt.show()

# %% [markdown]
# ## 2. How wrong is it?
#
# It is exact for the mean of $Q$. A loss is not: let $L(y) = \frac12 (y - t)^2$. Under the same noise
# $\operatorname{E} L(Q(w + u))$ is a chain of straight pieces through the points of the grid, each with the
# slope of its chord, which is $L'$ half-way between the two, $m - t$. Straight-through takes
# $L'(Q(w)) = Q(w) - t$, half a step to the side: **before you run the cell,** how large is the largest error
# for $s = 0.5$? And what is its mean over all $w$ of the range?

# %%
yours_largest, yours_mean = None, None

s, t, most = 0.5, 0.6, 3
noise = s * ((np.arange(2000) + 0.5) / 2000 - 0.5)


def expected_loss(w):
    """The mean of L(Q(w + u)) over the noise, for each w."""
    return np.array([((staircase(one + noise, s, most) - t) ** 2).mean() / 2 for one in w])


w = np.linspace(-1.49, 1.49, 600)
differences = (expected_loss(w + 1e-3) - expected_loss(w - 1e-3)) / 2e-3
straight = staircase(w, s, most) - t
errors = straight - differences
compare("largest error of straight-through", np.abs(errors).max(), yours_largest, theory=s / 2)
compare("its mean error", errors.mean(), yours_mean, theory=0)

figure, axes = plt.subplots(figsize=(9, 3.8))
axes.plot(w, differences, color=BLUE)
axes.plot(w, straight, color=ORANGE, linestyle="--")
axes.axhline(0, color="black", linewidth=1)
note(axes, "finite differences of the mean under noise", (0, -0.85), (10, -14), color=BLUE)
note(axes, "straight-through", (-0.3, -0.6), (-118, 16), color=ORANGE)
axes.set(xlabel="w", ylabel="gradient of the loss")
plt.show()

# %% [markdown]
# So it is biased, by up to half a step times the curvature of the loss, to one side as often as to the other;
# far from the minimum the sign is right. It is wrong where it matters last: within a step of the minimum.
#
# ## 3. A latent weight crosses its step
#
# One weight, $L = \frac12 (Q(w) - t)^2$ with $s = 0.25$ and $t = 0.30$, which is not on the grid. Training
# moves the *latent* weight $w$ by $-\eta\,(Q(w) - t)$. At the grid point below, the gradient is
# $0.25 - 0.30$, so $w$ rises; once it is past the threshold at $0.375$ it is $0.50 - 0.30$, so $w$ falls.
# It is never 0. The mean gradient has to be, or $w$ would run away: if $p$ is the share of steps on the
# upper value, $0.50\,p + 0.25\,(1 - p) = t$. **Before you run the cell:** what is $p$? How many of 1000
# steps change the value, with $\eta = 0.2$? And with $\eta = 0.02$?

# %%
yours_p, yours_flips, yours_slow = None, None, None


def descend(eta, steps, s=0.25, t=0.30, w=0.05):
    """The latent weight, what the layer sees, and the gradient, before each step."""
    path = np.empty((steps, 3))
    for i in range(steps):
        y = float(staircase(w, s, 3))
        path[i] = w, y, y - t
        w -= eta * (y - t)
    return path


path = descend(0.2, 60)
late, slow = descend(0.2, 2000)[-1000:, 1], descend(0.02, 4000)[-1000:, 1]
compare("share of steps on the upper value", (late > 0.3).mean(), yours_p, theory=(0.30 - 0.25) / 0.25)
compare("changes in 1000 steps, rate 0.2", np.count_nonzero(np.diff(late)), yours_flips, theory=400)
compare("changes in 1000 steps, rate 0.02", np.count_nonzero(np.diff(slow)), yours_slow, theory=400)

figure, panels = plt.subplots(3, 1, figsize=(10, 6), sharex=True)
names = "latent weight w", "the layer sees Q(w)", "gradient"
for axes, values, name, color in zip(panels, path.T, names, (BLUE, "black", ORANGE), strict=True):
    axes.plot(values, color=color, drawstyle="default" if color == BLUE else "steps-post")
    axes.set_title(name, loc="left")
for place in (0.125, 0.375):
    panels[0].axhline(place, color=GREY, linestyle="--", linewidth=1)
note(panels[0], "its steps", (59, 0.125), (0, 5), color=GREY, ha="right")
panels[1].axhline(0.30, color=GREEN, linewidth=1)
note(panels[1], "target", (-1, 0.30), (0, 5), color=GREEN)
panels[2].axhline(0, color="black", linewidth=1)
panels[2].set_xlabel("step")
plt.show()

# %% [markdown]
# The *mean* of what the layer sees is the target, which it can't show in any step; the last step decides what
# is stored. A smaller rate makes the swings of $w$ smaller, and not one flip rarer: the rise and the fall
# shrink by the same factor. (Nagel et al. 2022 freeze weights that flip too often.)
#
# With two weights the loss is a floor of tiles, and rounding each to its nearest value may miss the best:
# where the inputs are correlated, in $L = \frac12 (q - w^\star)^\top H\,(q - w^\star)$, errors should cancel.
# Let $w^\star = (0.42, 0.44)$ in steps; $H$ has 0.9 beside its diagonal of 1. The nearest tile, $(0, 0)$, has
# a loss of 0.351. **Before you run the cell:** what has the best tile, and what has straight-through, on
# average, when it goes on for long?

# %%
yours_best, yours_late = None, None

H, best = np.array([[1, 0.9], [0.9, 1]]), np.array([0.42, 0.44])


def tile_loss(q):
    """The loss of tiles (…, 2)."""
    return ((q - best) @ H * (q - best)).sum(axis=-1) / 2


w, latent = np.array([-0.9, 1.3]), []
for _ in range(1000):
    latent.append(w)
    w = w - 0.05 * H @ (np.rint(w) - best)
latent = np.array(latent)
tiles = np.stack(np.meshgrid([-1, 0, 1, 2], [-1, 0, 1, 2], indexing="ij"), axis=-1)
least = np.unravel_index(tile_loss(tiles).argmin(), (4, 4))
compare("two weights: loss of the nearest tile", tile_loss(np.rint(best)), theory=0.351)
compare("two weights: loss of the best tile", tile_loss(tiles[least]), yours_best)
compare("two weights: loss in the last 100 steps", tile_loss(np.rint(latent[-100:])).mean(), yours_late)
print("two weights: mean of the last 100 tiles", np.rint(latent[-100:]).mean(axis=0), "as floats", best)

figure, axes = plt.subplots(figsize=(7, 5.4))
axes.pcolormesh(np.arange(-1.5, 3), np.arange(-1.5, 3), np.sqrt(tile_loss(tiles)).T, cmap="Blues_r",
                vmin=-2, edgecolor="white", linewidth=1.5)
axes.plot(*latent.T, color=ORANGE, linewidth=1.5)
axes.plot(*latent[0], "o", color=ORANGE)
note(axes, "latent weights", latent[0], (-36, 24), color=ORANGE)
for name, place, marker in (("as floats", best, "x"), ("nearest", np.rint(best), "s"),
                            ("best tile", tiles[least], "*")):
    axes.plot(*place, marker, color="black", markersize=11, markeredgewidth=2)
    note(axes, name, place, (9, -3 if marker == "x" else -12))
axes.set(xlabel="w₁, in steps", ylabel="w₂, in steps", aspect="equal", title="darker: less loss")
plt.show()

# %% [markdown]
# The latent weights come to an edge and run along it, to and fro between its two sides, through the best
# tile and past it: to the corner of the four tiles whose *mean* can be $w^\star$. Each by itself may be bad,
# and the last one is kept. Rounding that knows $H$ gets the best tile without a step: $w_1$ becomes 0, so
# $w_2$ has to make good what that lost, $0.44 + 0.9 \cdot 0.42 = 0.82$, and becomes 1 (`compress.GPTQ`).
#
# ## 4. What clipping is for
#
# An activation is $y = Q(v\,x)$ on a grid $0 \dots 3s$, so that all above $3s$ gives $3s$. Were the gradient
# passed on out there as well, $v$ would be told of effects that it does not have. With 1000 inputs $x$ and
# $L = \frac12 \operatorname{mean}\,(y - t)^2$, we compare both with finite differences of the loss under
# noise. **Before you run the cell:** at $v = 4$, how many times too large is the gradient without clipping?

# %%
yours = None

s, most, x = 0.5, 3, np.abs(rng.normal(size=1000))
t = np.clip(0.6 * x, 0, 1.5)
noise = s * ((np.arange(200) + 0.5) / 200 - 0.5)[:, None]


def activation(z):
    """The grid of 2 bits from 0 on."""
    return s * np.clip(np.rint(z / s), 0, most)


def true_slope(v, h=1e-3):
    """d/dv of the mean loss under noise, by central differences."""
    up, down = (((activation(one * x + noise) - t) ** 2).mean() / 2 for one in (v + h, v - h))
    return (up - down) / (2 * h)


def passed(v, clipped):
    """Straight-through: d/dv of the loss; if `clipped`, of inputs within the range only."""
    z = v * x
    inside = (z >= 0) & (z <= most * s) if clipped else 1
    return ((activation(z) - t) * inside * x).mean()


gains = np.linspace(0.1, 5, 50)
found = {"finite differences": [true_slope(v) for v in gains], "clipped": [passed(v, True) for v in gains],
         "not clipped": [passed(v, False) for v in gains]}
compare("without clipping, v = 4: times too large", passed(4, False) / true_slope(4), yours)
compare("clipped, v = 4: times too large", passed(4, True) / true_slope(4))

figure, axes = plt.subplots(figsize=(9, 4.2))
for (name, slopes), color, dash in zip(found.items(), (BLUE, GREEN, ORANGE), ("-", "--", "-"), strict=True):
    axes.plot(gains, slopes, dash, color=color)
    at = {"finite differences": 38, "clipped": 24}.get(name, 42)
    note(axes, name, (gains[at], slopes[at]), (0, 9), color=color)
axes.axhline(0, color="black", linewidth=1)
axes.set(xlabel="gain v", ylabel="gradient of the loss by v", xlim=(0, 5.6))
plt.show()

# %% [markdown]
# (Weights need it less: their scale is fitted to the largest of them, so that none is out of range. Where it
# is not, `BinaryConnect` clips the latent weight itself.)
#
# ## 5. Batch norm, folded
#
# A convolution and the batch norm behind it are stored as one, $W'_o = W_o\,\gamma_o / \sigma_o$ for each
# output channel $o$. In training the norm undoes whatever size $W_o$ has, so folding puts channels of quite
# different ranges side by side. **Before you run the cell:** in `conv2` of a trained network, how many times
# as large is the largest range of a channel as the smallest, folded? And with *one* scale of 3 bits for all
# channels of a layer in place of one for each, how many percent of the test images are right?

# %%
yours_ratio, yours_accuracy = None, None

digits = nn.data.digits()
images, labels = digits.x_train, digits.y_train


def train(model, epochs, seed=0):
    """Adam, at a rate that falls along half a cosine."""
    nn.train.fit(model, images, labels, epochs=epochs, optimizer=nn.optim.Adam(model.parameters(), lr=3e-3),
                 rng=np.random.default_rng(seed), schedule=nn.train.cosine, progress=False)
    return model


def accuracy(model):
    """Percent of the test images."""
    return 100 * nn.train.accuracy(model.eval(), digits.x_test, digits.y_test)


bases = [train(nn.models.digits_cnn(0.5, rng=np.random.default_rng(seed)), BASE, seed)
         for seed in range(SEEDS)]
model = bases[0]
ranges = np.abs(model.conv2.weight.data).max(axis=(1, 2, 3))
factor = model.bn2.weight.data / np.sqrt(model.bn2.running_var + model.bn2.eps)
folded = ranges * np.abs(factor)
compare("conv2, folded: largest range over smallest", folded.max() / folded.min(), yours_ratio)
one_scale, own_scales = (np.mean([accuracy(compress.prepare(copy.deepcopy(base), compress.Quantize(
    weights=weights), images[:256])) for base in bases]) for weights in ("int3-tensor", "int3"))
compare("3 bits, one scale for a layer: accuracy, %", one_scale, yours_accuracy)
compare("3 bits, a scale for each channel: accuracy, %", own_scales)

figure, axes = plt.subplots(figsize=(9, 3.6))
for values, name, color in ((ranges, "as trained", GREY), (folded, "folded", BLUE)):
    axes.plot(values[np.argsort(folded)] / values.mean(), "o", color=color)
    note(axes, name, (len(folded) - 1, values[np.argmax(folded)] / values.mean()), (9, 0), color=color)
axes.set(xlabel="channels of conv2, in the order of their folded range", ylabel="max |w| over its mean",
         ylim=(0, None), xlim=(-1, len(folded) + 4))
plt.show()

# %% [markdown]
# The channel with the largest range sets the step of all. Networks with depthwise filters spread them wider,
# and one scale for a layer then fails at 8 bits, too (Krishnamoorthi 2018, table 2).
#
# ## 6. After training, or in it: by bits
#
# Now the network with weights *and* activations in $b$ bits; the first and the last layer keep 8. Four ways,
# all from the same trained floats: round to nearest; GPTQ; `reconstruct`, which tunes one layer after the
# other for a moment, without labels; and training through the staircase, beside which stands the float
# network with as many more epochs. **Before you run the cell:** at 2 bits, how many percent are right when
# rounded to nearest, and trained? And at 1 bit, trained?

# %%
yours_nearest, yours_trained, yours_one = None, None, None

BITS = (8, 4, 3, 2, 1)


def prepared(base, bits, technique=compress.Quantize):
    """A copy with weights and activations in so many bits, but 8 in the first and the last layer."""
    ends = compress.Quantize(8)
    middle = technique(bits, activations=f"uint{bits}")
    recipe = {"conv1": ends, "conv2": middle, "conv3": middle, "fc": ends}
    return compress.prepare(copy.deepcopy(base), recipe, images[:256])


right = {how: np.empty((len(BITS), SEEDS)) for how in ("nearest", "GPTQ", "reconstructed", "trained")}
control = np.empty(SEEDS)
for seed, base in enumerate(bases):
    control[seed] = accuracy(train(copy.deepcopy(base), TUNE, seed))
    for i, bits in enumerate(BITS):
        right["nearest"][i, seed] = accuracy(prepared(base, bits))
        right["GPTQ"][i, seed] = accuracy(prepared(base, bits, compress.GPTQ))
        tuned = prepared(base, bits)
        compress.reconstruct(tuned, steps=STEPS)
        right["reconstructed"][i, seed] = accuracy(tuned)
        right["trained"][i, seed] = accuracy(train(prepared(base, bits), TUNE, seed))
before = np.mean([accuracy(base) for base in bases])
print(f"floats: {before:.1f} %, with {TUNE} epochs more: {control.mean():.1f} %")
print("bits" + "".join(f"{how:>15}" for how in right))
for i, bits in enumerate(BITS):
    print(f"{bits:4}" + "".join(f"{values[i].mean():14.1f}%" for values in right.values()))
compare("2 bits, nearest: accuracy, %", right["nearest"][3].mean(), yours_nearest)
compare("2 bits, trained: accuracy, %", right["trained"][3].mean(), yours_trained)
compare("1 bit, trained: accuracy, %", right["trained"][4].mean(), yours_one)

figure, axes = plt.subplots(figsize=(9, 4.6))
for (how, values), color, marker in zip(right.items(), (GREY, GREEN, ORANGE, BLUE), "s^vo", strict=True):
    half = np.ptp(values, axis=1) / 2
    axes.errorbar(BITS, values.mean(axis=1), half, marker=marker, color=color, capsize=3, label=how)
axes.axhline(control.mean(), color="black", linewidth=1)
note(axes, "floats, as many epochs more", (8, control.mean()), (0, 6), ha="right")
axes.legend(frameon=False, loc="lower right")
axes.set(xlabel="bits of weights and activations (log scale)", ylabel="test accuracy, %", xscale="log")
ticks(axes, x=BITS)
plt.show()

# %% [markdown]
# Down to some number of bits rounding costs little that training could win back, and floats, too, change with
# as many epochs. One image is 0.28 points, bars are half of the range of the networks: which differences
# exceed both? Below, what is known besides the weight itself helps: the inputs of its layer (GPTQ), its
# outputs (`reconstruct`), the labels (training). By how much does each, and at what cost? Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *Half-way.* In section 3, let $t = 0.375$: what is $p$, and what is stored after the last step?
# 2. *Does it settle?* How many codes of `conv2` change in a step of training at 2 bits, at the beginning and
#    at the end (`on_step`)? With a rate that falls, and one that doesn't? Freeze codes that often change.
# 3. *More for the same bits.* `int2` takes the largest weight for its step; `weights="ternary"` finds the
#    step with the smallest error. How much of the way from rounding to training does that go?
# 4. *Learn the step.* Let $y = s \cdot \operatorname{clip}(\operatorname{round}(w/s), -m, m)$. Derive
#    $\partial y/\partial s$ with $\operatorname{round}$ straight-through: $\operatorname{round}(w/s) - w/s$
#    within the range, $\pm m$ beyond (LSQ; Esser et al. 2020). What does that do if a few are far out?
# 5. *Fake and real.* Multiply the codes of a layer's weights with those of its inputs as integers, times both
#    steps. Is it the product of what the network saw in training, to the last bit? Ought it to be?
#
# Assignment 10, `rounding`, has you train through a staircase of 2 bits.

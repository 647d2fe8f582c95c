# %% [markdown]
# # Why a second image is almost free
#
# A network takes some time for one image. For two at once it takes twice as long, one would think: there is
# twice as much to multiply. Often it takes hardly longer, and sometimes exactly twice as long. Here we
# derive which of the two happens from two numbers of the layer and two of the machine, predict where it
# changes, and measure it. At the end: what a larger batch costs in memory and in training.
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.

# %%
import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy: everything here is about one core

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator

import compress
import nn
from nn.explain import BLUE, DARK, FAST, GREEN, GREY, ORANGE, Guesses, note, style, ticks

style()
guesses = Guesses()
compare = guesses.compare


def seconds(call):
    """Seconds of a call: the least of several, since other programs only ever make it longer."""
    return nn.timing.race({"": call}, 0.01 if FAST else 0.05)[""]


# %% [markdown]
# ## 1. What a layer does with a byte
#
# A fully connected layer multiplies $N$ rows of $K$ numbers with a matrix of $K \times O$ weights. A batch
# is nothing more than that: every row meets the same weights, and no row sees another.
#
# $$Y = X\,W, \qquad X: N \times K, \quad W: K \times O, \quad Y: N \times O .$$
#
# It does $N K O$ multiply-adds. From memory come at least $X$ and $W$, and $Y$ goes back, 4 bytes each:
#
# $$I(N) = \frac{\text{multiply-adds}}{\text{bytes}} = \frac{N K O}{4\,(N K + K O + N O)} .$$
#
# This is the *arithmetic intensity* (Williams, Waterman & Patterson 2009). A convolution with 3×3 filters
# from $C$ to $O$ channels is the same product with $K = 9\,C$ and a row for each of the $H W$ pixels, but a
# pixel is read once and not nine times:
#
# $$I(N) = \frac{N H W \cdot 9\,C\,O}{4\,(N H W\,(C + O) + 9\,C\,O)} .$$
#
# **Before you run the cell:** a fully connected layer has $K = O = 4096$. How many multiply-adds does it do
# for each byte, for *one* image? And the convolution with $C = O = 64$ on 16×16 pixels?

# %%
yours_fc, yours_conv = None, None


def fully_connected(n, k, o):
    """(multiply-adds, bytes) of a fully connected layer."""
    return n * k * o, 4 * (n * k + k * o + n * o)


def convolution(n, c, o, side):
    """(multiply-adds, bytes) of a 3×3 convolution."""
    pixels = n * side * side
    return pixels * 9 * c * o, 4 * (pixels * (c + o) + 9 * c * o)


WIDE = 2048 if FAST else 4096
layers = {f"fully connected, {WIDE}→{WIDE}": (BLUE, lambda n: fully_connected(n, WIDE, WIDE)),
          "fully connected, 512→512": (GREEN, lambda n: fully_connected(n, 512, 512)),
          "3×3 convolution, 64→64, 16×16 pixels": (ORANGE, lambda n: convolution(n, 64, 64, 16))}

rng = np.random.default_rng(0)
x, w = rng.standard_normal((8, 64)), rng.standard_normal((64, 10))
print("a row of a batch is what it is alone:", np.allclose((x @ w)[3], x[3] @ w))
macs, nbytes = fully_connected(1, 4096, 4096)
compare("fully connected, N = 1: multiply-adds a byte", macs / nbytes, yours_fc, theory=1 / 4)
macs, nbytes = convolution(1, 64, 64, 16)
compare("convolution, N = 1: multiply-adds a byte", macs / nbytes, yours_conv)

# %% [markdown]
# One weight, four bytes, is used once for each image: a quarter of a multiply-add a byte, whatever the
# size. With $N$ images it is used $N$ times, so $I \approx N/4$ as long as $W$ is the largest of the three.
# Later $X$ and $Y$ are, and the intensity stays below $K O / 4(K + O)$.
#
# A convolution uses its weights at every pixel: it *has* a batch already, of $H W$ rows.
#
# ## 2. Two numbers of the machine
#
# One core can do so many multiply-adds a second, $P$, and read so many bytes a second, $B$. Whichever takes
# longer is what we wait for:
#
# $$t(N) \ge \max\left(\frac{\text{multiply-adds}}{P}, \frac{\text{bytes}}{B}\right), \qquad
# \text{both are equal where } I(N) = P / B .$$
#
# Left of that place a layer waits for memory, right of it for the multipliers. **Before you run the cell:**
# how many multiply-adds can one core do while one *byte* comes from memory? And so, because $I \approx N/4$:
# how many images fit into the time that the weights of the wide layer need to arrive?

# %%
yours_ridge, yours_bend = None, None

route = nn.kernels.best_route(nn.kernels.gemm)  # None without the C kernels: then NumPy's product is the peak
square = rng.standard_normal((512, 512)).astype(np.float32)
P = nn.kernels.peak(route) if route else 512**3 / seconds(lambda: square @ square)
big = np.ones(2**22 if FAST else 2**24, np.float32)  # more than most caches hold
B = big.nbytes / seconds(big.max)  # reads every byte once, and computes little
print(f"multipliers: {P / 1e9:.0f}·10⁹ multiply-adds a second ({route or 'NumPy'}); "
      f"memory: {B / 1e9:.0f}·10⁹ bytes a second")

bend = 4 * P / B
compare("multiply-adds in the time of a byte", P / B, yours_ridge)
batches = np.array([1, 2, 4, 8, 16, 32, 64, 128, 256])
figure, axes = plt.subplots(figsize=(10, 4.2))
for name, (colour, cost) in layers.items():
    intensity = [macs / nbytes for macs, nbytes in map(cost, batches)]
    axes.loglog(batches, intensity, "o-", color=colour)
    down = {ORANGE: 4, BLUE: -10, GREEN: -8}[colour]
    note(axes, name, (batches[-1], intensity[-1]), (8, down), color=colour)
axes.axhline(P / B, color=GREY, linestyle="--")
note(axes, "this machine: below, it waits for memory", (5000, P / B), (0, -18), color=DARK, ha="right")
axes.set(xlabel="images at once, N", ylabel="multiply-adds a byte", xlim=(0.9, 5000), ylim=(0.2, 200))
ticks(axes, x=batches, y={0.25: "¼", 1: "1", 4: "4", 16: "16", 64: "64"})
plt.show()

# %% [markdown]
# ## 3. Measured
#
# The kernel of a product, `nn.kernels.gemm`, with weights that were put into its own layout once (`pack`)
# and an output that is there already (`prepare`), so that nothing but the product is timed.
#
# **Before you run the cell:** by how many percent does a second image make the wide layer slower? And the
# convolution?

# %%
yours_fc, yours_conv = None, None


def product(n, k, o):
    """A call of the product, ready to be timed."""
    packed = nn.kernels.gemm.pack(np.ones((k, o), np.float32))
    rows = np.ones((max(n), k), np.float32)
    return {m: nn.kernels.gemm.prepare(rows[:m], packed, out=np.empty((m, o), np.float32)) for m in n}


def filtered(n, c, side):
    """The same of a convolution."""
    packed = nn.kernels.conv2d.pack(np.ones((c, c, 3, 3), np.float32))
    images = np.ones((max(n), side, side, c), np.float32)
    outs = {m: np.empty((m, side, side, c), np.float32) for m in n}
    return {m: nn.kernels.conv2d.prepare(images[:m], packed, padding=1, out=outs[m]) for m in n}


some = [int(n) for n in batches if n <= (16 if FAST else 64)] + [3, 6, 12]
took = {name: {n: seconds(call) for n, call in sorted(calls.items())} for name, calls in zip(
    layers, (product(some, WIDE, WIDE), product(some, 512, 512), filtered(some, 64, 16)), strict=True)}
wide, small, conv = took.values()
compare("the wide layer: the second image takes, %", 100 * (wide[2] / wide[1] - 1), yours_fc, theory=0)
compare("the convolution: the second image takes, %", 100 * (conv[2] / conv[1] - 1), yours_conv, theory=100)
print(f"the wide layer: two images take {wide[2] / wide[1]:.2f} times as long as one, "
      f"four {wide[4] / wide[1]:.2f}")

# %% [markdown]
# All of it, with the two limits in grey: solid that of the multipliers, dashed that of memory (on the right
# that of the wide layer).

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.4))
last, (macs, nbytes) = max(some), np.array([fully_connected(n, WIDE, WIDE) for n in batches]).T
left.plot(list(wide), [1e3 * t for t in wide.values()], "o", color=BLUE, markersize=9)
left.plot(batches, 1e3 * macs / P, color=GREY)
left.plot(batches, 1e3 * nbytes / B, color=GREY, linestyle="--")
left.set(title=f"the wide layer, {4 * WIDE * WIDE / 1e6:.0f} MB of weights", ylabel="milliseconds",
         xlabel="images at once, N", xlim=(0, 1.05 * last), ylim=(0, 1.1e3 * wide[last]))
note(left, "to multiply", (0.6 * last, 0.6e3 * last * WIDE * WIDE / P), (12, -16), color=DARK)
note(left, "to read", (0.8 * last, 1e3 * nbytes[0] / B), (0, 6), color=DARK)
for (name, (colour, cost)), times in zip(layers.items(), took.values(), strict=True):
    speed = [cost(n)[0] / t / 1e9 for n, t in times.items()]
    right.loglog(list(times), speed, "o-", color=colour)
    short = name.split(", ")[0 if name.startswith("3") else 1]
    note(right, short, (1, speed[0]), (6, {ORANGE: 10, BLUE: -22, GREEN: 24}[colour]), color=colour)
right.axhline(P / 1e9, color=GREY)
right.loglog(batches, np.minimum(macs / nbytes * B, P) / 1e9, "--", color=GREY, zorder=0)
right.set(title="10⁹ multiply-adds a second", xlabel="images at once, N", xlim=(0.9, 1.1 * last),
          ylim=(3, 1.9e-9 * P))
ticks(right, x=[n for n in batches if n <= last], y=[t for t in (4, 8, 16, 32, 64, 128) if t < 1.5 * P / 1e9])
plt.show()

each = (wide[last] - wide[last // 2]) / (last - last // 2)
compare("the wide layer: images in the time of its weights", wide[1] / each, yours_bend, theory=bend)

# %% [markdown]
# Up to the bend the multipliers wait for weights in any case, and another image keeps them busy: *that* is
# why it is free. After it every image pays in full. (If the second does cost something: a kernel treats one
# row in another way than several, so look at the step from two to four as well.)
#
# The convolution's pixels are batch enough: it is as fast with one image as with many. (Above the limit, if
# it is: it leaves out the zeros of the padding, which are counted here.) The small fully connected layer
# lies between: its megabyte stays in a cache, which is several times as fast as memory, and so it bends
# sooner.
#
# ## 4. Whole networks, and what doubling buys
#
# "Doubling the batch halves the time", it is said, the time for a given number of images. For each image
# that is
#
# $$\frac{t(2N) / 2N}{t(N) / N}: \quad \tfrac12 \text{ far left of the bend}, \quad 1 \text{ right of it} .$$
#
# Here are the networks of the main job, as Programs of float and of int8. **Before you run the cell:** the
# convolutional one, in float, takes 128 images at a time in place of 64. By how many percent is it sooner
# done with all of them?

# %%
yours = None

digits = nn.data.digits()
images = np.concatenate([digits.x_train, digits.x_test, digits.x_train])
programs = {}
for kind, make in (("cnn", nn.models.digits_cnn), ("mlp", nn.models.digits_mlp)):
    network = make(rng=np.random.default_rng(0))  # its weights don't matter for the time
    programs[f"{kind} float"] = compress.convert(network, digits.x_train[:256])
    compress.prepare(network, compress.Quantize(), digits.x_train[:256])
    programs[f"{kind} int8"] = compress.convert(network)

many = [2**i for i in range(12)]
rates = {name: [n / seconds(lambda p=program, n=n: p(images[:n])) for n in many]
         for name, program in programs.items()}
at = many.index(64)
gain = 1 - rates["cnn float"][at] / rates["cnn float"][at + 1]
compare("64 → 128 images at once, % less time for all", 100 * gain, yours)

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6))
for name, rate in rates.items():
    look = {"color": BLUE if name.startswith("cnn") else ORANGE, "marker": "o", "markersize": 5,
            "linestyle": "-" if name.endswith("float") else "--"}
    left.loglog(many, rate, **look)
    note(left, name, (many[-1], rate[-1]), (8, 0), va="center", color=look["color"])
    right.plot(many[:-1], np.divide(rate[:-1], rate[1:]), **look)
left.set(title="images a second", xlabel="images at once, N", xlim=(0.8, 30000))
for level, text, at, ha in ((0.5, "half the time", many[-2], "right"), (1, "no gain", 1, "left")):
    right.axhline(level, color=GREY, zorder=0)
    note(right, text, (at, level), (0, 6), ha=ha, color=DARK)
right.set(title="time an image after doubling, × before", xlabel="images at once, before", ylim=(0.4, 1.5))
right.set_xscale("log")
for axes in (left, right):
    ticks(axes, x=[1, 4, 16, 64, 256, 1024])
plt.show()

# %% [markdown]
# Where it does not gain any more, `print(programs["mlp float"].profile(images[:256]))` says *why*: a step of
# a Program is bound by the multipliers, by memory, or by its own call, the price of coming from Python, which
# a batch shares too.
#
# ## 5. What it costs: memory
#
# The weights are there once. But every image has activations of its own, and training keeps them until
# backward comes back for them:
#
# $$\text{bytes}(N) = 16 \cdot \text{weights} + N \cdot \text{activations of one image} ,$$
#
# 16 for a weight, its gradient and the two averages of Adam, 4 bytes each. The traced graph knows the shape
# of everything that the network makes.
#
# **Before you run the cell:** how many images does a batch hold when their activations take as much memory
# as everything that belongs to the weights?

# %%
yours = None

cnn = nn.models.digits_cnn(rng=np.random.default_rng(0))
weights = sum(p.size for p in cnn.parameters())
graph = nn.trace(cnn, digits.x_train[:2])
made = {node.output: 4 * int(np.prod(node.shape[1:])) for node in graph.nodes}  # bytes an image
print(f"all together {sum(made.values()):,} bytes an image")


def step(n):
    """Forward and backward of n images."""
    logits = cnn(nn.Tensor(images[:n]))
    nn.functional.cross_entropy(logits, digits.y_train[:n]).backward()


counts = [16, 32, 64, 128, 256, 512, 1024]
peaks = [nn.profile.measured_peak(lambda n=n: step(n), cnn.parameters()) for n in counts]
slope, _ = np.polyfit(counts, peaks, 1)
compare("activations in training, bytes an image", slope, theory=sum(made.values()))
compare("images with as much memory as the weights", 16 * weights / slope, yours,
        theory=16 * weights / sum(made.values()))

figure, axes = plt.subplots(figsize=(8, 4))
axes.loglog(counts, np.array(peaks) / 1e6, "o-", color=ORANGE)
axes.axhline(16 * weights / 1e6, color=BLUE)
note(axes, "activations", (counts[-3], peaks[-3] / 1e6), (-12, 6), color=ORANGE, ha="right")
note(axes, "weights, gradients, Adam", (counts[-1], 16 * weights / 1e6), (0, 7), color=BLUE, ha="right")
axes.set(xlabel="images at once, N", ylabel="megabytes")
ticks(axes, x=counts, y=[1, 4, 16])
plt.show()

# %% [markdown]
# "The number of parameters is the memory it takes": not in training, and not for images. What a large batch
# needs most of is activations, and notebook 05 is about forgetting some of them.
#
# When they no longer fit into a cache, a Program slows down too: if one of the lines of section 4 fell at
# its end, that is why.
#
# ## 6. What it costs: steps
#
# In training a larger batch has another price. An epoch has fewer steps, $1437 / N$, and it is steps that
# bring a network forward. So "doubling the batch halves the time" has to be asked of the time *to a
# target*:
#
# $$\text{time to the target} = \text{epochs}(N) \cdot \text{seconds an epoch}(N) .$$
#
# One factor falls with $N$, the other rises. **Before you run the cell:** which $N$ is the quickest to a
# training loss of 0.3? Plain gradient descent, the learning rate 0.1 for all, or, second line, in
# proportion to $\sqrt N$.

# %%
yours = None

sizes = [8, 32, 128, 512] if FAST else [4, 8, 16, 32, 64, 128, 256, 512, 1024]


def until(batch, rate, target=0.3, most=120):
    """(epochs until the loss is below the target, seconds an epoch)."""
    model = nn.models.digits_mlp(rng=np.random.default_rng(0))
    optimizer, order, turns = nn.optim.SGD(model.parameters(), lr=rate), np.random.default_rng(0), []
    for epoch in range(1, most + 1):
        start = nn.timing.CLOCK()
        (log,) = nn.train.fit(model, digits.x_train, digits.y_train, epochs=1, optimizer=optimizer, rng=order,
                              batch_size=batch, progress=False)
        turns.append(nn.timing.CLOCK() - start)
        if log.loss < target:
            return epoch, min(turns)
    return np.nan, min(turns)


runs = {"rate 0.1": (BLUE, [until(n, 0.1) for n in sizes]),
        "rate 0.1·√(N/32)": (ORANGE, [until(n, 0.1 * (n / 32) ** 0.5) for n in sizes])}
figure, panels = plt.subplots(1, 3, figsize=(13, 4))
for name, (colour, run) in runs.items():
    epochs, each = np.array(run).T
    for axes, values in zip(panels, (1e3 * each, epochs, epochs * each), strict=True):
        axes.loglog(sizes, values, "o-", color=colour, label=name)
for axes, title in zip(panels, ("milliseconds an epoch", "epochs to the target", "seconds to the target"),
                       strict=True):
    axes.set(title=title, xlabel="images a step, N")
    ticks(axes, x=sizes[::2])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
panels[1].legend(frameon=False, fontsize=12)
plt.show()

epochs, each = np.array(runs["rate 0.1"][1]).T
compare("rate 0.1: the quickest N", sizes[int(np.nanargmin(epochs * each))], yours)

# %% [markdown]
# Two slides, both shown as facts: "a larger batch is faster" and "a larger batch learns more slowly". Each
# is one of the two left panels. At first an epoch's steps all do useful work and their price falls; then the
# multipliers are busy, an epoch takes as long as before, and does less. A larger rate moves that place, up
# to a point (Shallue et al. 2019 measured it for many networks).
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# They lead to the bench: `espalier bench` measures the same on your machine, against other libraries and
# against the peak of the instructions. `espalier bench --list` says what there is.
#
# 1. *Fewer bytes.* With 8-bit weights a quarter of the bytes arrives, and the multipliers are faster too:
#    measure their peak by `nn.kernels.peak(nn.kernels.best_route(nn.kernels.qgemm))`. Where is the bend now?
#    Derive it, then time `nn.kernels.qgemm` for the wide layer. What is int8 good for at $N = 1$?
# 2. *Depthwise.* A depthwise convolution has one 3×3 filter for each channel, and uses none of the others.
#    Derive its intensity. Does a batch help it?
# 3. *Two cores.* `nn.kernels.threads(2)` lets a product use two threads. How do $P$ and $B$ change, and
#    where is the bend? Run `espalier bench networks` and explain the three batch sizes that it reports.
# 4. *VGG-16* has 13 convolutions of 64, 64, 128, 128, 256 ×3, 512 ×6 channels on 224, 224, 112, 112,
#    56 ×3, 28 ×3, 14 ×3 pixels a side, and 138 million weights. How many bytes do the outputs of the
#    convolutions take for an image? How many images does a memory of 24 GB hold in training?
# 5. *Noise.* Train at $N = 8$ and $N = 512$ to the same *training* loss, with several seeds, and compare
#    the accuracy on the test images. Which batch would you use if both took the same time?

# %% [markdown]
# # A tour: train a network, open it, make it small
#
# A network learns to read handwritten digits. Then it is made small in several ways, and after each one we
# open what was stored and look *inside*: which numbers are there, in how many bits, and how a kernel
# multiplies with them. At the end stands a ledger of what every way cost and what it bought.
#
# Three habits make this worth your time.
#
# 1. **Derive, then code.** Every formula is short enough to get by hand before the cell that uses it.
# 2. **Predict, then measure.** Cells that measure begin with `yours = None`. Write a number in place of
#    `None` *before* you run the cell. A wrong guess that you wrote down teaches more than a right one that
#    you thought of afterwards; at the end all your guesses are listed beside what came out.
# 3. **Look.** If a figure surprises you, change something and run the cell again.
#
# You need to know what a matrix product is and what a derivative is.

# %%
import copy
import math
import os
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import compress
import nn

FAST = bool(os.environ.get("NN_FAST"))  # a short run, to see that every cell works
BASE, TUNE = (2, 2) if FAST else (15, 10)  # epochs from scratch, and after that
FILES = tempfile.TemporaryDirectory()  # goes away with the notebook's process

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8a8a8a"  # for all eyes (Okabe & Ito 2008)
plt.rcParams |= {"font.size": 13, "axes.titlesize": 13, "axes.spines.top": False, "axes.spines.right": False,
                 "figure.dpi": 90, "figure.constrained_layout.use": True, "image.cmap": "gray_r"}

guesses = {}


def compare(what, measured, yours=None, theory=None):
    """Your number beside the measured one, and beside what a derivation says if there is one."""
    guesses[what] = yours, theory, measured
    values = {"you said": yours, "derived": theory, "measured": measured}
    print(what + ": " + ", ".join(f"{who} {v:.4g}" for who, v in values.items() if v is not None))


def picture(axes, image, title="", **options):
    """An image without axes."""
    axes.imshow(image, **options)
    axes.set_title(title)
    axes.set_axis_off()


def note(axes, text, at, shift=(0, -16), **look):
    """A few words at a place of the figure, moved by `shift`."""
    axes.annotate(text, at, shift, textcoords="offset points", **look)


# %% [markdown]
# ## 1. What there is to learn
#
# 1797 digits, each 8×8 pixels, from people who filled in forms (Alpaydin & Kaynak 1998). The first 1437 are
# to learn from, the last 360 are the test: *later* people, whose handwriting the network has not seen.

# %%
digits = nn.data.digits()
x, y = digits.x_train, digits.y_train
print(f"train {x.shape} {x.dtype} from {x.min()} to {x.max()}, test {digits.x_test.shape}")

figure, panels = plt.subplots(4, 10, figsize=(11, 4.6))
for digit in range(10):
    for row, image in enumerate(x[y == digit][:4, 0]):
        picture(panels[row, digit], image, str(digit) if row == 0 else "")
plt.show()

# %% [markdown]
# ## 2. Where the numbers are, and where the work is
#
# The network has three 3×3 convolutions and a linear layer; 2×2 max-pooling after the first two halves the
# image each time: 8×8, 4×4, 2×2. A convolution from $I$ to $O$ channels has $9\,I\,O$ weights, and uses
# every one of them once at every position of its output:
#
# $$\text{weights} = 9\,I\,O, \qquad \text{multiply-adds} = 9\,I\,O \cdot H\,W .$$
#
# **Before you run the cell:** which layer holds the most weights? Which does the most work? (They are not
# the same.) As a number: what share of all multiply-adds does the layer with the most *weights* do, in
# percent?

# %%
yours = None

network = nn.models.digits_cnn(rng=np.random.default_rng(0))
sides = {"conv1": 8, "conv2": 4, "conv3": 2, "fc": 1}
weights = {name: getattr(network, name).weight.size for name in sides}
work = {name: weights[name] * side**2 for name, side in sides.items()}

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), sharey=True)
for axes, values, title in ((left, weights, "weights"), (right, work, "multiply-adds for one image")):
    bars = axes.barh(list(values), list(values.values()), color=BLUE)
    axes.bar_label(bars, fmt="{:,.0f}", padding=4)
    axes.set(title=title, xlim=(0, 1.3 * max(values.values())), xticks=[])
left.invert_yaxis()
plt.show()
largest = max(weights, key=weights.get)
compare("share of the work in the layer with the most weights, %", 100 * work[largest] / sum(work.values()),
        yours)

# %% [markdown]
# Keep this in mind: what saves *bytes* is found in `conv3`, what saves *time* in `conv2`. Compression that
# looks only at the number of weights will disappoint whoever waits for the answer.
#
# ## 3. What "to learn" means
#
# The network gives ten numbers $z$ for an image, the softmax makes probabilities of them, and the loss is
# how much it is surprised by the true class $y$:
#
# $$p_j = \frac{e^{z_j}}{\sum_k e^{z_k}}, \qquad L = -\log p_y = \log \sum_k e^{z_k} - z_y .$$
#
# The derivative is short, and it is all that the rest of the network ever gets to know about the error:
#
# $$\frac{\partial L}{\partial z_j} = \frac{e^{z_j}}{\sum_k e^{z_k}} - [j = y] = p_j - [j = y].$$
#
# A network that knows nothing gives every class the probability $1/10$. So its loss is $\log 10$.
#
# **Before you run the cell:** what will the loss of the *untrained* network be?

# %%
yours = None

z = network(nn.Tensor(x[:64])).detach()
z.requires_grad = True
loss = nn.functional.cross_entropy(z, y[:64])
loss.backward()
p = np.exp(z.data) / np.exp(z.data).sum(axis=1, keepdims=True)
by_hand = (p - np.eye(10)[y[:64]]) / 64  # the loss is the mean of 64 images
print("largest difference between the derivation and autodiff:", np.abs(z.grad - by_hand).max())
compare("loss before training", loss.item(), yours, theory=math.log(10))

# %% [markdown]
# Random weights do not say $1/10$ for everything: they have opinions, and wrong ones cost more than none.
#
# Now train it. **Before you run the cell:** how many percent of the 360 test images will it get right?

# %%
yours = None


def train(model, epochs, rate, decay=0.0, seed=0):
    """Adam on shuffled batches of 64, the rate falling to 0 along half a cosine."""
    optimizer = nn.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    return nn.train.fit(model, x, y, epochs=epochs, optimizer=optimizer, rng=np.random.default_rng(seed),
                        schedule=nn.train.cosine, progress=False)


def accuracy(model):
    """Percent of the test images."""
    return 100 * nn.train.accuracy(model, digits.x_test, digits.y_test)


network = nn.models.digits_cnn(rng=np.random.default_rng(0))
log = train(network, BASE, 1e-2, decay=2e-2)
base = copy.deepcopy(network)  # every technique below starts from here
log += train(network, TUNE, 3e-3)  # and the float network gets as many epochs as they do

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2))
epochs = range(1, len(log) + 1)
left.semilogy(epochs, [epoch.loss for epoch in log], "o-", color=BLUE)
left.axhline(math.log(10), color=GREY, linestyle=":")
note(left, "knows nothing: log 10", (len(log), math.log(10)), ha="right")
left.set(xlabel="epoch", title="loss while training")
right.plot(epochs, [100 * epoch.accuracy for epoch in log], "o-", color=BLUE)
right.axhline(accuracy(network), color=ORANGE, linestyle="--")
note(right, "test", (len(log), accuracy(network)), ha="right", color=ORANGE)
right.set(xlabel="epoch", title="accuracy while training, %")
plt.show()
compare("accuracy on the test images, %", accuracy(network), yours)

# %% [markdown]
# The loss jumps once: there the second part of the training begins, with a larger learning rate again. One
# test image of 360 is 0.28 points: remember that when two techniques differ by less. And the gap between
# the two lines on the right? The test images come from other hands than most of the training images
# (exercise 1).
#
# ## 4. What it sees
#
# The 32 filters of the first layer, 3×3 each. Orange multiplies by a negative number, purple by a positive
# one.
#
# **Before you run the cell:** what would *you* look for in a 3×3 window to read a digit?

# %%
filters = network.conv1.weight.data[:, 0]
figure, panels = plt.subplots(4, 8, figsize=(8, 4.2))
for axes, kernel in zip(panels.flat, filters, strict=True):
    reach = np.abs(kernel).max()
    picture(axes, kernel, cmap="PuOr", vmin=-reach, vmax=reach)
figure.suptitle("first layer, each filter on a scale of its own")
plt.show()

# %% [markdown]
# Find an edge detector, one for each direction, and a corner: nobody told it to look for them. Next, one
# digit on its way through the network. Each image is one channel after its ReLU, the eight that react most
# to this digit.

# %%
image = nn.Tensor(digits.x_test[:1])
F = nn.functional
network.eval()
with nn.no_grad():
    first = F.relu(network.bn1(network.conv1(image)))
    second = F.relu(network.bn2(network.conv2(F.max_pool2d(first, 2))))
    third = F.relu(network.bn3(network.conv3(F.max_pool2d(second, 2))))

figure, panels = plt.subplots(3, 9, figsize=(11, 4))
picture(panels[0, 0], image.data[0, 0], "the digit")
for row, (maps, name) in enumerate(((first, "conv1"), (second, "conv2"), (third, "conv3"))):
    panels[row, 0].set_axis_off()
    panels[row, 0].text(1.1, 0.5, name, transform=panels[row, 0].transAxes, rotation=90, va="center")
    strongest = np.argsort(-maps.data[0].sum(axis=(1, 2)))[:8]
    for axes, channel in zip(panels[row, 1:], strongest, strict=True):
        picture(axes, maps.data[0, channel], cmap="cividis")
plt.show()

# %% [markdown]
# The first layer still draws the digit. The last one has 2×2 positions left: *what* is there has replaced
# *where*.
#
# **Before you run the cell:** which two digits will it mix up most often?

# %%
with nn.no_grad():
    logits = network(nn.Tensor(digits.x_test)).data
said, true = logits.argmax(axis=1), digits.y_test
confusion = np.zeros((10, 10), int)
np.add.at(confusion, (true, said), 1)
errors = confusion - np.diag(np.diag(confusion))

figure = plt.figure(figsize=(11, 4.4))
left, right = figure.subfigures(1, 2, width_ratios=(1, 1.4))
axes = left.subplots()
axes.imshow(errors, cmap="Blues", vmax=max(errors.max(), 1))
for i, j in np.argwhere(errors):
    ink = "white" if errors[i, j] > errors.max() / 2 else "black"
    axes.text(j, i, errors[i, j], ha="center", va="center", color=ink)
axes.set(xticks=range(10), yticks=range(10), xlabel="the network says", ylabel="it is", title="errors")
wrong = np.flatnonzero(said != true)
for axes, i in zip(right.subplots(2, 5).flat, wrong, strict=False):
    picture(axes, digits.x_test[i, 0], f"{true[i]}, not {said[i]}")
for axes in right.axes[len(wrong):]:
    axes.set_axis_off()
plt.show()

# %% [markdown]
# Would you have read them all?
#
# ## 5. A network as a program
#
# `compress.convert` follows one forward pass, folds batch norm into the convolution before it
# ($\gamma\,(w \ast x - \mu)/\sigma + \beta$ is again a convolution, with the weights $\gamma w/\sigma$ and
# the bias $\beta - \gamma\mu/\sigma$) and writes down the kernel calls that remain. Nothing else runs.

# %%
program = compress.convert(network, x[:512])
print(program)
print()
print(program.bound)
print()
print(compress.report(program))

MEANING = {"permute": "puts numbers in another order",
           "reshape": "makes one row of an image, or puts the channels of a pixel side by side",
           "conv2d": "multiplies each neighbourhood with all filters, without copying it",
           "im2col": "copies each neighbourhood into a row, so that a convolution becomes a matrix product",
           "winograd_conv2d": "a convolution with fewer multiplications (section 11)",
           "gemm": "multiplies matrices of floats",
           "qgemm": "multiplies matrices of 8-bit integers, and adds up in 32 bits",
           "qconv2d": "the same of each neighbourhood and all filters",
           "quantize": "rounds floats to the integers of a grid (section 6)",
           "dequantize": "makes floats of integers again",
           "max_pool2d": "keeps the largest value of each window",
           "spmm_csr": "multiplies with the weights that are left, row by row (section 8)",
           "codebook_gemm": "looks each weight up in a codebook while it multiplies (section 9)",
           "tt_matmul": "multiplies with one core after the other (section 10)"}


def legend(program):
    """What the kernels in a listing do, each once, in the order in which they come."""
    for kernel in dict.fromkeys(step.kernel for step in program.bound.steps):
        print(f"{kernel:16} {MEANING[kernel]}")


print()
legend(program)

# %% [markdown]
# Every line is a kernel, and the cell ends with what those of *this* list do. 4 bytes a weight; `header` is
# the list above, as text.
#
# This is the first row of our ledger. `enter` saves a Program, loads the file again and keeps what was
# loaded: only what came back from a file counts. `race` lets Programs run in turns, so that a slow moment
# of the machine hits all of them alike, and `faster` compares two of them turn by turn: what it tells is the
# median of the ratios, ± half of the range in which the middle half of the turns lie.

# %%
ledger = {}


def enter(name, program):
    """A row of the ledger: what is measured is what comes back from the file."""
    path = Path(FILES.name) / f"{name}.safetensors"
    compress.save(program, path)
    again = compress.load(path)
    row = {"program": again, "bytes": path.stat().st_size, "accuracy": accuracy(again)}
    ledger[name] = row
    base = ledger[name[:3] + " float"]  # the uncompressed network that it is compared with
    row["smaller"], row["lost"] = base["bytes"] / row["bytes"], base["accuracy"] - row["accuracy"]
    return row


def race(programs, count=256):
    """Seconds of each for `count` images, turn by turn: A B C A B C ..."""
    images = digits.x_test[:count]
    seconds = {name: [] for name in programs}
    for _ in range(5 if FAST else 41):
        for name, program in programs.items():
            start = time.perf_counter()
            program(images)
            seconds[name].append(time.perf_counter() - start)
    return {name: np.array(turns) for name, turns in seconds.items()}


def faster(seconds, name, than):
    """How many times faster, and its spread: the median and half of the middle half of the turns' ratios."""
    low, median, high = np.percentile(seconds[than] / seconds[name], [25, 50, 75])
    return median, (high - low) / 2


def warn_if_busy(*results):
    """One line if a spread is more than a tenth of what was measured."""
    if any(spread > 0.1 * times for times, spread in results):
        print("The turns lie far apart: the machine was busy. Run the cell again.")


row = enter("cnn float", program)
print(f"{row['bytes']:,} bytes, {row['accuracy']:.2f} %")

# %% [markdown]
# ## 6. int8: a grid of 256 numbers
#
# Let the integer $q$ stand for the real number $s\,(q - z)$. The range that must be covered is $[l, h]$;
# the smallest integer has to mean $l$ and the largest $h$:
#
# $$s\,(0 - z) = l, \quad s\,(255 - z) = h
# \quad\Longrightarrow\quad s = \frac{h - l}{255}, \qquad z = -\frac{l}{s}.$$
#
# **255, not 256:** there are 256 integers, but only 255 *steps* between them. And $z$ is rounded to an
# integer, so that the real 0 is on the grid exactly: zeros are what padding and ReLU produce all day, they
# must cost no error.

# %%
low, high = -1.0, 3.0
scale = (high - low) / 255
zero = round(-low / scale)
print(f"scale {scale:.6f}: real 0 is the integer {zero}, and 255 is the real {scale * (255 - zero):.4f}")

wave = np.linspace(low, high, 4001)
step = 24 * scale  # a coarse grid, so that one can see its steps
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3))
left.plot(wave, wave, color=GREY, linestyle=":")
left.plot(wave, step * np.rint(wave / step), color=BLUE, linewidth=2)
left.set(title="what is stored", xlabel="real number")
right.plot(wave, step * np.rint(wave / step) - wave, color=ORANGE)
right.set(title="its error: at most half a step", xlabel="real number", yticks=[-step / 2, 0, step / 2],
          yticklabels=["$-s/2$", "0", "$s/2$"])
plt.show()

# %% [markdown]
# For weights the grid is symmetric: $z = 0$, integers $-127 \dots 127$ (127 steps to either side; $-128$ is
# left out, so that $-w$ is on the grid whenever $w$ is), and every output channel $o$ has its own scale
#
# $$s_o = \frac{\max_i |w_{oi}|}{127}, \qquad q_{oi} = \operatorname{round}(w_{oi} / s_o).$$
#
# The right picture above says that the error $e$ is anything between $-s/2$ and $s/2$, all equally often if
# the step is small. So
#
# $$\overline{e^2} = \frac{1}{s}\int_{-s/2}^{s/2} e^2\,de = \frac{s^2}{12}.$$
#
# **Before you run the cell:** what will the relative error $\lVert w - \hat w\rVert / \lVert w\rVert$ of
# the last layer be, in percent? (Its largest weight is a few times the typical one.)

# %%
yours = None

w = network.fc.weight.data
s = np.abs(w).max(axis=1, keepdims=True) / np.float32(127)
q = np.rint(w / s)
print("fc.weight, the first row, as integers:", *q[0, :16].astype(int), "...")

error = s * q - w
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3))
left.hist(q.ravel(), bins=np.arange(-127.5, 128), color=BLUE)
left.set(title="the integers of fc.weight", xlabel="integer", yticks=[])
right.hist((error / s).ravel(), bins=25, color=ORANGE)
right.set(title="their errors, in steps: uniform", xlabel="error / s", yticks=[])
plt.show()
compare("error of int8 in the last layer, %", 100 * np.linalg.norm(error) / np.linalg.norm(w), yours,
        theory=100 * math.sqrt((s**2).mean() / 12 * w.size) / np.linalg.norm(w))

# %% [markdown]
# Now a whole layer in integers. With activations $x \approx s_x (q_x - z_x)$ and weights
# $w \approx s_w q_w$
#
# $$\sum_i x_i w_i \approx s_x s_w \sum_i (q_{x,i} - z_x)\, q_{w,i} ,$$
#
# and the sum on the right has nothing but integers in it: 8-bit numbers multiplied, added up in 32 bits,
# *exact*. (Until $255 \cdot 127 \cdot K$ reaches $2^{31}$: how long a row $K$ is that?) The real numbers
# come back once, at the end.
#
# `prepare` says what is to happen to which weight, and takes the ranges of the activations from training
# images; `convert` writes the Program.
#
# **Before you run the cell:** how many times smaller than the float file will the file be? By how many
# points will the accuracy fall? How many times faster will it be?

# %%
yours_smaller, yours_points, yours_faster = None, None, None

quantized = compress.prepare(copy.deepcopy(network), compress.Quantize(), x[:512])
program = compress.convert(quantized)
print(program.bound)
print()
legend(program)
row = enter("cnn int8", program)
compare("int8: times smaller", row["smaller"], yours_smaller)
compare("int8: points lost", row["lost"], yours_points)
seconds = race({name: row["program"] for name, row in ledger.items()})
times, spread = faster(seconds, "cnn int8", than="cnn float")
compare("int8: times faster", times, yours_faster)
print(f"spread of the turns: ± {spread:.2f}")
warn_if_busy((times, spread))

# %% [markdown]
# Not quite 4: scales, biases (32 bits) and the header do not shrink. Read a line of the Program: `qgemm`
# takes 8-bit integers, and "zero 0 → scale …, zero 0" says how its 32-bit sums become 8-bit integers again.
# There the ReLU has disappeared: where the zero point is 0, *clamping at 0 is the ReLU*.
#
# Open it. The packed weight holds the integers of the derivation above, and each step can be watched.

# %%
packed = program.constants["fc.weight"]
print(type(packed).__name__, packed.codes().dtype, packed.shape, "scales", packed.scale.shape)
print("the same integers as by hand:", np.array_equal(packed.codes(), q))

values = program.every_value(digits.x_test[:1])
pixels = values["x.u8"][0, :, :, 0]
last = program.bound.steps[-2]  # the product of the last layer
rows = program.values[last.inputs[0]]  # its input, and what its integers stand for
acc = (values[last.inputs[0]].astype(int) - rows.grid.zero) @ packed.codes().astype(int).T
acc = acc + program.constants["fc.bias"]
print("10 sums in 32 bits:", *values[last.output][0])
print("the same from NumPy's integers:", np.array_equal(acc, values[last.output]))

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
picture(left, pixels, f"a digit as the kernel sees it: {pixels.dtype}")
for i, j in np.ndindex(8, 8):
    ink = "white" if pixels[i, j] > 127 else "black"
    left.text(j, i, pixels[i, j], ha="center", va="center", color=ink, fontsize=11)
right.bar(range(10), values[program.output][0], color=BLUE)
right.axhline(0, color=GREY, linewidth=1)
right.set(xticks=range(10), xlabel="class", title="what comes out: logits, float32")
plt.show()

# %% [markdown]
# ## 7. int8, trained
#
# Can the network learn to live with the grid? The obstacle: $\operatorname{round}$ is a staircase. Its
# derivative is 0 almost everywhere, so no gradient would ever reach the weights. The straight-through
# estimator (Bengio, Léonard & Courville 2013) rounds on the way forward and pretends on the way back that
# nothing was rounded:
#
# $$\hat w = s \operatorname{round}(w/s), \qquad
# \frac{\partial L}{\partial w} := \frac{\partial L}{\partial \hat w}.$$
#
# It is wrong, and works: the float weight collects small steps until it crosses to the next integer. While
# it trains, the network computes what the integer Program will compute.
#
# **Before you run the cell:** how many points does this training gain, at 8 bits?

# %%
yours = None

tuned = copy.deepcopy(quantized)
train(tuned, TUNE, 3e-4)
program = compress.convert(tuned)
row = enter("cnn int8 trained", program)
compare("int8: points gained by training", ledger["cnn int8"]["lost"] - row["lost"], yours)

tuned.eval()
with nn.no_grad():
    simulated = tuned(nn.Tensor(digits.x_test)).data
difference = np.abs(simulated - program(digits.x_test)).max()
print("largest difference between the training network and the Program:", difference)

# %% [markdown]
# How many test images is that difference? A grid this fine loses so little that there is little to win
# back. But the last line matters: a simulation that differs from the machine would have trained some
# *other* network.
#
# ## 8. Pruned: leave weights out
#
# Which weights can go? If $m$ says which stay,
#
# $$\lVert w - m \odot w \rVert^2 = \sum_{m_i = 0} w_i^2 ,$$
#
# and of all ways to leave out $k$ weights the one with the smallest sum takes the $k$ smallest $|w_i|$. (Is
# a small change of the *weights* a small change of the *loss*? Where the gradient is 0,
# $\Delta L \approx \tfrac12\,\delta^\top H\,\delta$: only if all directions are equally curved. Magnitude
# is the cheap guess.)
#
# **Before you run the cell:** prune 90 % of the weights of a trained network, and train no further. What is
# left of its accuracy, in percent?

# %%
yours = None


def prune(model, sparsity, schedule=None):
    """All layers but the first, whose 288 weights see the image itself."""
    how = compress.Prune(sparsity) if schedule is None else compress.Prune(sparsity, schedule)
    return compress.prepare(copy.deepcopy(model), {"*": how, "conv1": None}, x[:512])


sparsities = [0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99]
left_over = [accuracy(prune(base, sparsity)) for sparsity in sparsities]
compare("accuracy after pruning 90 %, without training, %", left_over[sparsities.index(0.9)], yours)

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2))
size = np.abs(base.conv3.weight.data.ravel())
left.hist(size, bins=80, color=BLUE)
cut = np.quantile(size, 0.9)
left.axvline(cut, color=ORANGE, linewidth=2)
note(left, "90 % lie to the left", (cut, 0.8), (6, 0), xycoords=("data", "axes fraction"), color=ORANGE)
left.set(title="conv3", xlabel="|weight|", yticks=[])
right.plot([100 * sparsity for sparsity in sparsities], left_over, "o-", color=BLUE)
right.set(title="pruned at once, not trained on", xlabel="% of the weights pruned", ylabel="accuracy, %")
plt.show()

# %% [markdown]
# The histogram says why the curve is flat for so long: weight decay pulled what was not needed towards 0
# while the network trained (exercise 2 takes the decay away).
#
# To go further, prune *gradually* and let the rest adapt. Zhu & Gupta (2017) prune fast at first, when much
# is superfluous, and slowly at the end: with $t$ from 0 to 1 the sparsity is
#
# $$s(t) = s_f\left(1 - (1 - t)^3\right), \qquad \frac{ds}{dt} = 3 s_f (1 - t)^2 .$$
#
# The rate starts at three times the mean and ends at 0. **Before you run the cell:** what percent of all
# pruning is done at half time? (No computer needed: put $t = \tfrac12$ in.)

# %%
yours = None

steps = TUNE * math.ceil(len(x) / 64)
cubic = compress.Cubic(end=steps // 3 * 2)
done = 100 * cubic.fraction(cubic.end // 2)
compare("pruning done at half time, %", done, yours, theory=100 * (1 - 0.5**3))

figure, axes = plt.subplots(figsize=(6, 2.8))
axes.plot(range(steps), [90 * cubic.fraction(step) for step in range(steps)], color=BLUE, linewidth=2)
axes.set(xlabel="step of the optimizer", title="sparsity, %")
plt.show()

# %% [markdown]
# What is left is stored as *compressed sparse rows*: the values, row after row; the column of each; and
# where each row begins. A small example first: cover the output and write the three arrays down yourself.

# %%
small = np.array([[0, 7, 0, 0], [0, 0, 0, 0], [5, 0, 0, 6]], np.float32)
arrays = compress.Prune(0.0).encode(small, compress.Prune(0.0).fit(small, None)).arrays()
print(small)
for name, array in arrays.items():
    print(f"{name:8} {array}  {array.dtype}")

# %% [markdown]
# A value takes 4 bytes and its column 2, so a fraction $d$ of $n$ weights takes $6\,d\,n$ bytes (and 4 for
# each row) in place of $4\,n$. **Pruning to half saves a quarter, not a half**, and at 90 % we get
#
# $$\frac{4\,n}{6 \cdot 0.1\,n} \approx 6.7 , \text{ not } 10 .$$
#
# **Before you run the cell:** how many times smaller will the whole file be? How many points will be lost?

# %%
yours_smaller, yours_points = None, None

pruned = prune(base, 0.9, cubic)
train(pruned, TUNE, 3e-3)
program = compress.convert(pruned)
print(program.bound)
row = enter("cnn pruned", program)
compare("pruned 90 %: times smaller", row["smaller"], yours_smaller, theory=4 / 0.6)
compare("pruned 90 %: points lost", row["lost"], yours_points)

# %%
packed = program.constants["conv3.weight"]
arrays = packed.arrays()
for name, array in arrays.items():
    print(f"{name:8} {array.dtype} {array.shape} {array[:6]} ...")

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3), width_ratios=(3, 1))
matrix = packed.decode().transpose(0, 2, 3, 1).reshape(64, -1)  # a row an output channel
left.spy(matrix != 0, aspect="auto", markersize=1.5, color=BLUE)
left.set(title="conv3: what is left", xlabel="column = (position, input channel)", xticks=[])
right.barh(range(64), np.diff(arrays["indptr"]), color=BLUE)
right.set(title="values in each row", ylim=(63.5, -0.5), yticks=[])
plt.show()

# %% [markdown]
# Where a row is empty, a whole channel has gone, and a smaller *dense* network would have served as well.
# Hence the question that every pruning result has to answer: **does a dense network of the same bytes,
# trained as long, do as well?** We train it: the same three convolutions, with fewer channels.
#
# **Before you run the cell:** which one will win, and by how many points (pruned less dense)?

# %%
yours = None


def dense_of(size):
    """An untrained network whose file is nearest to this many bytes, by its width."""
    widths = [i / 64 for i in range(8, 64)]
    models = [nn.models.digits_cnn(width, rng=np.random.default_rng(0)) for width in widths]
    return min(models, key=lambda model: abs(compress.report(compress.convert(model, x[:1])).on_disk - size))


control = dense_of(ledger["cnn pruned"]["bytes"])
layers = (control.conv1, control.conv2, control.conv3)
print("channels of the control:", *[len(layer.weight.data) for layer in layers])
train(control, BASE, 1e-2, decay=2e-2)
train(control, TUNE, 3e-3)
row = enter("cnn small dense", compress.convert(control, x[:512]))
compare("pruned less dense of equal bytes, points", row["lost"] - ledger["cnn pruned"]["lost"], yours)

# %% [markdown]
# ## 9. Shared: sixteen numbers for all weights
#
# Let a whole layer have only 16 different weights, the codebook $c_0 \dots c_{15}$. Then a weight is a
# 4-bit index $a_i$ into it (Han, Mao & Dally 2016): $n$ weights take $4n + 16 \cdot 32$ bits in place of
# $32\,n$. Which sixteen? Those with the least
#
# $$J = \sum_i (w_i - c_{a_i})^2 .$$
#
# For fixed $a$ the best $c_j$ is the mean of its members ($\partial J/\partial c_j = 0$), for fixed $c$ the
# best $a_i$ is the nearest: going back and forth is k-means. On a line more is possible: members of a
# cluster are neighbours, so dynamic programming finds the *global* optimum, and that is what the kernel
# `kmeans1d` does.
#
# **Before you run the cell:** how large is the relative error with the best 16 numbers, divided by that
# with 16 numbers in equal steps?

# %%
yours = None

w = base.conv3.weight.data.ravel()
best = nn.kernels.kmeans1d(w, 16)
even = np.linspace(w.min(), w.max(), 16, dtype=np.float32)


def nearest(codebook):
    """The index of the nearest of these numbers for each weight."""
    return np.abs(w[:, None] - codebook).argmin(axis=1)


error, error_even = (np.linalg.norm(w - book[nearest(book)]) / np.linalg.norm(w) for book in (best, even))
print(f"relative error: {error:.3f} with the best 16 numbers, {error_even:.3f} with equal steps")
compare("error of k-means / error of equal steps", error / error_even, yours)

figure, panels = plt.subplots(2, 1, figsize=(10, 4), sharex=True)
for axes, book, colour, title in ((panels[0], best, BLUE, "k-means: dense where the weights are (log scale)"),
                                  (panels[1], even, ORANGE, "equal steps")):
    axes.hist(w, bins=300, color="#cccccc", log=True)
    for c in book:
        axes.axvline(c, color=colour, linewidth=1.5)
    axes.set(title=title, yticks=[])
panels[1].set_xlabel("weight of conv3")
plt.show()

# %% [markdown]
# Now train the sixteen numbers. A weight is $w_i = c_{a_i}$, so by the chain rule
#
# $$\frac{\partial L}{\partial c_j} = \sum_i \frac{\partial L}{\partial w_i}\frac{\partial w_i}{\partial c_j}
# = \sum_{i\,:\,a_i = j} \frac{\partial L}{\partial w_i} :$$
#
# a centroid gets the *sum* of its members' gradients. The next cell does that sum by hand, with the
# gradients of a plain network of the same weights.

# %%
shared = compress.prepare(copy.deepcopy(base), compress.Cluster(bits=4), x[:512]).eval()
plain = copy.deepcopy(base).eval()
for name in sides:
    weight = getattr(shared, name).weight
    getattr(plain, name).weight.data = weight.parametrization.project(weight).data
for model in (shared, plain):
    model.zero_grad()
    nn.functional.cross_entropy(model(nn.Tensor(x[:64])), y[:64]).backward()

state = shared.fc.weight.parametrization.states[0]
by_hand = np.bincount(state.codes.ravel(), plain.fc.weight.grad.ravel(), minlength=16)
print("gradient of the 16 centroids of fc:", *np.round(state.centroids.grad, 4))
print("largest difference to the sum by hand:", np.abs(state.centroids.grad - by_hand).max())

# %% [markdown]
# Count bits: a layer of $n$ weights goes from $32\,n$ to $4\,n + 512$ bits, so large layers shrink almost 8
# times.
#
# **Before you run the cell:** how many times smaller will the file be? How many points will be lost?

# %%
yours_smaller, yours_points = None, None

tuned = copy.deepcopy(shared)
train(tuned, TUNE, 3e-3)
program = compress.convert(tuned)
print(program.bound)
row = enter("cnn shared", program)
compare("shared, 4 bits: times smaller", row["smaller"], yours_smaller, theory=8)
compare("shared, 4 bits: points lost", row["lost"], yours_points)

# %% [markdown]
# Open it. Two indices lie in every byte, and `codebook_gemm` looks each one up while it multiplies. How it
# looks up depends on the machine; the cell says what yours does.

# %%
LOOKING_UP = {"scalar": "one load from memory for each weight",
              "avx2": "sixteen floats are two registers: two vpermps and a blend find eight weights",
              "avx512": "sixteen floats are one register: one vpermps finds sixteen weights"}
isa = nn.kernels.isa()
if nn.kernels.why_not_c():
    print("here without the C kernels: NumPy looks all weights up first, and then multiplies")
else:
    print(f"on this machine ({isa}):", LOOKING_UP.get(isa, LOOKING_UP["avx2"]))

packed = program.constants["fc.weight"]
arrays = packed.arrays()
for name, array in arrays.items():
    print(f"{name:8} {array.dtype} {array.shape} {array[:4]} ...")
codes, codebook = packed.codes(), arrays["codebook"]
print("the first byte, in binary:", f"{arrays['codes'][0]:08b}", "= indices", *codes[0, :2])
print("what the codebook says they are:", codebook[codes[0, :2]])
print("the weight's first two entries:", packed.decode()[0, :2])

before, after = (model.conv3.weight.parametrization.states[0] for model in (shared, tuned))
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.2))
left.bar(range(16), np.bincount(after.codes.ravel(), minlength=16), color=BLUE)
left.set(title="how many weights of conv3 share each number", xlabel="index", xticks=range(0, 16, 3))
right.plot([0, 1], [before.centroids.data, after.centroids.data], "o-", color=BLUE)
right.set(title="the sixteen numbers", xticks=[0, 1], xticklabels=["k-means", "trained"], xlim=(-0.3, 1.3))
plt.show()

# %% [markdown]
# ## 10. A tensor train: a product of small cores
#
# The singular value decomposition writes a matrix as a sum of rank-one matrices,
# $W = \sum_i \sigma_i\, u_i v_i^\top$ with $\sigma_1 \ge \sigma_2 \ge \dots$ The $u_i v_i^\top$ are
# orthonormal for the inner product $\langle A, B\rangle = \sum_{jk} A_{jk} B_{jk}$, so Pythagoras gives the
# error of keeping the first $r$:
#
# $$\lVert W - W_r \rVert^2 = \sum_{i > r} \sigma_i^2 ,$$
#
# and no other matrix of rank $r$ is nearer (Eckart & Young 1936). A *tensor train* (Oseledets 2011) does
# this to the weights in another order. Split the 64 inputs into $8 \cdot 8$ and the 300 outputs into
# $15 \cdot 20$, put one half of each on the rows and the other on the columns,
#
# $$A_{(i_1 o_1),\,(i_2 o_2)} = W_{(o_1 o_2),\,(i_1 i_2)}
# \approx \sum_{k=1}^{r} G_1[i_1, o_1, k]\; G_2[k, i_2, o_2],$$
#
# and cut the SVD of $A$. That needs $r\,(8 \cdot 15 + 8 \cdot 20)$ numbers in place of $64 \cdot 300$.
#
# Convolutions have small matrices; the technique is for fully connected layers. So here is another network,
# 64-300-100-10. **Before you run the cell:** how large is the relative error of rank 8 in the first layer,
# in percent?

# %%
yours = None

mlp = nn.models.digits_mlp(rng=np.random.default_rng(0))
train(mlp, BASE, 1e-2, decay=1e-3)
mlp_base = copy.deepcopy(mlp)
train(mlp, TUNE, 3e-3)
enter("mlp float", compress.convert(mlp, x[:512]))

w = mlp_base.fc1.weight.data.astype(float)
paired = w.reshape(15, 20, 8, 8).transpose(2, 0, 3, 1).reshape(120, 160)
spectra = {"the matrix itself": w, "in pairs, as a tensor train": paired}
figure, axes = plt.subplots(figsize=(7, 3.4))
for (name, matrix), colour, marker in zip(spectra.items(), (GREY, BLUE), "so", strict=True):
    singular = np.linalg.svd(matrix, compute_uv=False)
    tail = np.sqrt(np.cumsum(singular[::-1] ** 2)[::-1]) / np.linalg.norm(w)  # tail[r]: of keeping r
    stored = np.arange(0, len(tail), 4) * sum(matrix.shape)
    axes.plot(stored, 100 * tail[::4], marker + "-", color=colour, label=name, markersize=5)
axes.axvline(w.size, color=ORANGE, linestyle="--")
note(axes, "as many as without", (w.size, 60), (-6, 0), ha="right", color=ORANGE)
axes.set(xlabel="numbers stored", ylabel="error, %", xlim=(0, 1.15 * w.size), title="fc1: what a cut loses")
axes.legend(frameon=False)
plt.show()

trains = {"*": compress.TensorTrain(rank=8, cores=2), "fc3": None}
cores = compress.prepare(copy.deepcopy(mlp_base), trains, x[:512])
cut = cores.fc1.weight.parametrization.project(cores.fc1.weight).data
error = np.linalg.norm(cut - w) / np.linalg.norm(w)
compare("rank 8, error of fc1, %", 100 * error, yours, theory=100 * tail[8])

# %% [markdown]
# Two things to see. A trained weight is no low-rank matrix: most of it is cut away here. And in pairs it is
# cut worse than as the matrix it is: nothing in this small layer runs along those pairs. (Tensor trains
# were made for layers of millions of weights and more than two cores; exercise 5 tries the plain matrix.)
# But the cut is only a start: from here on the *cores* are trained, and the network looks for the best
# weights **of this form**.
#
# **Before you run the cell:** what is the accuracy right after cutting, and after training, in percent?

# %%
yours_cut, yours_trained = None, None

compare("tensor train: accuracy after cutting, %", accuracy(cores), yours_cut)
tuned = copy.deepcopy(cores)
train(tuned, TUNE, 9e-3)
program = compress.convert(tuned)
print(program.bound)
row = enter("mlp tensor train", program)
compare("tensor train: accuracy after training, %", row["accuracy"], yours_trained)

# %% [markdown]
# Open it: two cores for each layer, and the kernel `tt_matmul` multiplies with one after the other. The
# large matrix is never built; here we build it, to see that it is the same product.

# %%
packed = program.constants["fc1.weight"]
first, second = packed.cores()
print("cores (rank, in, out, rank):", first.shape, second.shape)
full = np.einsum("aiob,bjpc->opij", first, second).reshape(300, 64)
flat = digits.x_test.reshape(360, 64)
difference = np.abs(nn.kernels.tt_matmul(flat, packed.operand()) - flat @ full.T).max()
print("largest difference to the product with the whole matrix:", difference)

figure, panels = plt.subplots(2, 4, figsize=(9, 4.6))
for k, axes in enumerate(panels.flat):
    reach = np.abs(first[0, :, :, k]).max()
    picture(axes, first[0, :, :, k], f"k = {k + 1}", cmap="PuOr", vmin=-reach, vmax=reach)
figure.suptitle("the first core: $G_1[i_1, o_1, k]$")
plt.show()

# %% [markdown]
# ## 11. Winograd: fewer multiplications
#
# Not another way to store a weight, but another way to multiply with it. Two neighbouring outputs of a
# filter with three taps are
#
# $$y_0 = d_0 g_0 + d_1 g_1 + d_2 g_2, \qquad y_1 = d_1 g_0 + d_2 g_1 + d_3 g_2 :$$
#
# six multiplications. Winograd (1980) needs four, called $F(2, 3)$:
#
# $$\begin{aligned} m_1 &= (d_0 - d_2)\, g_0 & m_2 &= (d_1 + d_2)\, \tfrac12 (g_0 + g_1 + g_2) \\
# m_4 &= (d_1 - d_3)\, g_2 & m_3 &= (d_2 - d_1)\, \tfrac12 (g_0 - g_1 + g_2) \end{aligned}$$
#
# $$y_0 = m_1 + m_2 + m_3, \qquad y_1 = m_2 - m_3 - m_4 .$$
#
# Multiply it out: in $m_2 + m_3$ remain $d_1 g_1$ and $d_2 (g_0 + g_2)$, and $m_1$ repairs the rest. What
# has only $g$ in it is computed once for all images. An image has two directions, so the trick is used in
# both: a tile of 2×2 outputs takes $4 \cdot 4 = 16$ multiplications in place of $4 \cdot 9 = 36$, that is
# 2.25 times fewer; and a filter becomes $4 \times 4$ numbers, 1.78 times as many (Lavin & Gray 2016).

# %%
G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])  # the brackets with g
B = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])  # the brackets with d
A = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])  # y from m

g = network.conv1.weight.data[0, 0]
d = digits.x_test[0, 0, 2:6, 2:6]
winograd = A @ ((G @ g @ G.T) * (B @ d @ B.T)) @ A.T  # * is all there is of multiplications
direct = [[(d[i:i + 3, j:j + 3] * g).sum() for j in range(2)] for i in range(2)]
print("16 multiplications:", *winograd.ravel())
print("36 multiplications:", *np.ravel(direct))

strong = np.argsort(-np.abs(filters).max(axis=(1, 2)))[:8]
figure, panels = plt.subplots(2, 8, figsize=(10, 2.9))
for k, (above, below) in zip(strong, panels.T, strict=True):
    for axes, kernel in ((above, filters[k]), (below, G @ filters[k] @ G.T)):
        reach = np.abs(kernel).max()
        picture(axes, kernel, cmap="PuOr", vmin=-reach, vmax=reach)
figure.suptitle("filters of the first layer, and what Winograd makes of them: corners stay, sums between")
plt.show()

# %% [markdown]
# The whole network this way, against the same convolutions as they are written down. **Before you run the
# cell:** 2.25 times fewer multiplications: how many times faster will it be?

# %%
yours = None

direct = compress.convert(network, x[:512], algorithm="direct")
program = compress.convert(network, x[:512], algorithm="winograd")
print(program.bound)
enter("cnn winograd", program)
apart = np.abs(program(digits.x_test) - direct(digits.x_test)).max()
print("largest difference between the logits of the two:", apart)
convolutions = {name: n for name, n in work.items() if name != "fc"}
fewer = sum(convolutions.values()) / (program.macs - work["fc"])
compare("Winograd: times fewer multiplications in the convolutions", fewer, theory=2.25)
seconds = race({"direct": direct, "winograd": program})
times, spread = faster(seconds, "winograd", than="direct")
compare("Winograd: times faster", times, yours)
print(f"spread of the turns: ± {spread:.2f}")
warn_if_busy((times, spread))

kernels = [step.kernel for step in ledger["cnn float"]["program"].bound.steps]
chosen = [kernel for kernel in kernels if kernel in ("conv2d", "winograd_conv2d", "im2col")]
print(f"by itself, the Program chose for {', '.join(convolutions)}: {', '.join(chosen)}")

# %% [markdown]
# The multiplications are not all there is: tiles must be cut out, transformed and put together again. That
# takes the same time for one output channel as for many, and the more images there are, the more tiles
# share a transformed filter. `convert` decides by a model of these costs for a *single* image; the last
# line above says what it chose here (exercise 6 asks whether it was right). On disk nothing changes; look
# for the transformed filters in the column `in memory` below.

# %% [markdown]
# ## 12. The ledger
#
# What did it all buy? Times are told as ratios to the float network of the same turns.
#
# **Before you run the cell:** which row is the fastest? How many times faster than its float network?

# %%
yours = None

ledger = dict(sorted(ledger.items(), key=lambda item: item[0][:3]))  # the cnn first
seconds = race({name: row["program"] for name, row in ledger.items()})
print(f"{'':18}{'accuracy':>10}{'bytes':>10}{'x smaller':>11}{'in memory':>11}{'MACs':>10}{'x faster':>10} ±")
for name, row in ledger.items():
    row["faster"], row["spread"] = faster(seconds, name, than=name[:3] + " float")
    program = row["program"]
    print(f"{name:18}{row['accuracy']:9.2f}%{row['bytes']:10,}{row['smaller']:11.2f}", end="")
    print(f"{program.nbytes:11,}{program.macs:10,}{row['faster']:10.2f} ± {row['spread']:.2f}")
warn_if_busy(*((row["faster"], row["spread"]) for row in ledger.values()))
print()
compare("the fastest row: times faster", max(row["faster"] for row in ledger.values()), yours)

titles = {"accuracy": "accuracy, %", "smaller": "times smaller", "faster": "times faster"}
figure, panels = plt.subplots(1, 3, figsize=(11, 0.5 * len(ledger) + 0.7), sharey=True)
for axes, (key, title) in zip(panels, titles.items(), strict=True):
    for i, (name, row) in enumerate(ledger.items()):
        colour, marker = (BLUE, "o") if name.startswith("cnn") else (ORANGE, "s")
        axes.plot(row[key], i, marker, color=colour, markersize=9)
        note(axes, f"{row[key]:.1f}", (row[key], i), (8, 0), va="center", fontsize=11)
    axes.set(title=title, yticks=range(len(ledger)), yticklabels=list(ledger))
    axes.margins(x=0.25)
    axes.grid(axis="y", alpha=0.3)
panels[0].invert_yaxis()
plt.show()

# %% [markdown]
# Read it slowly.
#
# - **Smaller is not faster.** Find the row whose multiply-adds fell the most, and compare how much its time
#   fell. A sparse product jumps through memory; a dense one streams.
# - **On disk is not in memory.** `in memory` is what the kernels hold while they run.
# - **Nothing is free of its control.** The small dense network needs no technique at all; whatever does not
#   beat it at equal bytes has not earned its place.
# - **One run is one run.** These accuracies are of one seed, and a single image is 0.28 points.
#   `python -m compress --seeds 8` trains all of this eight times, chooses on held-out images and reports
#   paired differences.
#
# And how well do you know neural networks? Your guesses, beside what was derived and what was measured:

# %%
for what, (guess, theory, measured) in guesses.items():
    said, derived = ("-" if value is None else f"{value:.4g}" for value in (guess, theory))
    print(f"{what:58} you {said:>8}   derived {derived:>8}   measured {measured:8.4g}")

# %% [markdown]
# ## Exercises
#
# 1. *Other hands.* Shuffle all 1797 images before splitting them, and train again. How much of the gap in
#    section 3 goes away? Which of the two accuracies would you promise to a customer?
# 2. *Why pruning works.* Train the network of section 3 with `decay=0` and draw both pictures of section 8
#    again.
# 3. *Choosing honestly.* Find the largest sparsity that loses less than half a point, with
#    `digits.validation_split()`. Why not with the test images?
# 4. *Ranges.* Calibrate int8 with a single image (`x[:1]`) in place of 512. Which layer's scale changes
#    most, and what does it do to the accuracy?
# 5. *The plain matrix.* `TensorTrain(rank=6, in_modes=(64, 1), out_modes=(1, 300))` is a low-rank product
#    with nearly as many numbers in `fc1` as the train of section 10 has. (Why?) Use it there. Which is
#    better after training?
# 6. *One image.* Race `direct` and `program` of section 11 with `count=1`, and the whole ledger. Which
#    rows change places, and why?

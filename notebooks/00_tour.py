# %% [markdown]
# # A tour: train a network, open it, make it small
#
# A network learns to read handwritten digits. Then it is made small in several ways, and after each one we
# open what was stored and look *inside*. At the end stands a ledger of what every way cost and what it
# bought. Each stop of the tour has a chapter of its own, which derives what is only said here; what the
# network has learned, and where it errs, is seen in chapter 00b.
#
# Cells that measure begin with `yours = None`. Write a number in place of `None` *before* you run the cell. A
# wrong guess that you wrote down teaches more than a right one that you thought of afterwards; at the end all
# your guesses are listed beside what came out. And where a figure surprises you, change something and run the
# cell again. You need to know what a matrix product is and what a derivative is.

# %%
import copy
import math
import os
import tempfile
from functools import partial
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: for matrices this small, threads cost more

import matplotlib.pyplot as plt
import numpy as np

import compress
import nn
from nn.explain import BLUE, FAST, ORANGE, Guesses, note, numbers, picture, style

BASE, TUNE = (2, 2) if FAST else (15, 10)  # epochs from scratch, and after that
FILES = tempfile.TemporaryDirectory()  # goes away with the notebook's process

style()
guesses = Guesses()
compare = guesses.compare

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
# So what saves *bytes* is found in `conv3`, what saves *time* in `conv2`. (Why many images at once take less
# time than one after the other: chapter 02. What training keeps in memory, and may forget: chapter 05.)
#
# ## 3. Trained
#
# What training changes, and by which derivative, is chapter 03.
#
# **Before you run the cell:** how many percent of the 360 test images will it get right?

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
train(network, BASE, 1e-2, decay=2e-2)
base = copy.deepcopy(network)  # every technique below starts from here
log = train(network, TUNE, 3e-3)  # and the float network gets as many epochs as they do

print(f"accuracy on the training images: {100 * log[-1].accuracy:.1f} %")
compare("accuracy on the test images, %", accuracy(network), yours)

# %% [markdown]
# One test image of 360 is 0.28 points: remember that when two techniques differ by less. Where the two
# numbers differ: the test images come from other hands than most training images (exercise 1).
#
# ## 4. A network as a program
#
# `compress.convert` follows one forward pass, folds batch norm into the convolution before it
# ($\gamma\,(w \ast x - \mu)/\sigma + \beta$ is again a convolution, with the weights $\gamma w/\sigma$ and
# the bias $\beta - \gamma\mu/\sigma$) and writes down the kernel calls that remain. Nothing else runs.
# (What a kernel is, and how it becomes fast: chapter 06.)

# %%
program = compress.convert(network, x[:512])
print(program.bound, compress.report(program), sep="\n\n")
# %% [markdown]
# Every line is a call of a kernel (`help(nn.kernels.gemm)` says what it does). 4 bytes a weight; `header` is
# the list above, as packed text, and where each array lies. This is the first row of our ledger: `enter`
# saves a Program, loads the file again and keeps what was loaded. Only what came back from a file counts.

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
    """The times of Programs for `count` images, turn by turn: A B C A B C ..."""
    calls = {name: lambda p=program: p(digits.x_test[:count]) for name, program in programs.items()}
    return nn.timing.race(calls, seconds=0.02 if FAST else 0.2, rounds=5)


row = enter("cnn float", program)
print(f"{row['bytes']:,} bytes, {row['accuracy']:.2f} %")

# %% [markdown]
# ## 5. int8: a grid of 256 numbers
#
# Let the integer $q$ stand for the real number $s\,(q - z)$. A range $l \dots h$ has 256 integers but only
# 255 *steps*, so $s = (h - l)/255$ and $z = \operatorname{round}(-l/s)$: the real 0 is on the grid, and no
# error is larger than half a step. A product of sums then needs no floats until its end,
#
# $$\sum_i x_i w_i \approx s_x s_w \sum_i (q_{x,i} - z_x)\, q_{w,i} .$$
#
# `prepare` says what is to happen to which weight, and takes the ranges of the activations from training
# images; `convert` writes the Program. (Chapter 07 derives the grid and asks why integers are faster;
# chapter 01, when their sums go wrong.)
#
# **Before you run the cell:** how many times smaller than the float file will the file be? By how many
# points will the accuracy fall? How many times faster will it be?

# %%
yours_smaller, yours_points, yours_faster = None, None, None

quantized = compress.prepare(copy.deepcopy(network), compress.Quantize(), x[:512])
program = compress.convert(quantized)
print(program.bound)
row = enter("cnn int8", program)
compare("int8: times smaller", row["smaller"], yours_smaller, theory=4)
compare("int8: points lost", row["lost"], yours_points)
times, _ = race({name: row["program"] for name, row in ledger.items()}).faster("cnn int8", "cnn float")
compare("int8: times faster", times, yours_faster)
with nn.no_grad():
    simulated = quantized.eval()(nn.Tensor(digits.x_test)).data
print("largest difference between the network, whose weights are rounded, and its Program:",
      np.abs(simulated - program(digits.x_test)).max())

# %% [markdown]
# Not quite 4: scales, biases (32 bits) and the header do not shrink. `qgemm` takes 8-bit integers, and "zero
# 0 → scale …, zero 0" says how 32-bit sums become 8-bit integers again. There the ReLU has disappeared: where
# the zero point is 0, *clamping at 0 is the ReLU*. The last line matters: while it trains, the network
# computes what the integer Program will compute (chapter 14 trains it, down to one bit). Open it: each step
# can be watched.

# %%
values = program.every_value(digits.x_test[:1])
pixels = values["x.u8"][0, :, :, 0]
picture(plt.figure(figsize=(4, 4)).gca(), pixels, f"a digit as the kernel sees it: {pixels.dtype}")
numbers(plt.gca(), fontsize=11)
plt.show()
print("ten sums in 32 bits:", *values[program.bound.steps[-2].output][0])
print("and as reals:", *values[program.output][0].round(2))

# %% [markdown]
# ## 6. Pruned: leave weights out
#
# Drop the weights with the smallest $|w|$, a few at a time, and let the rest adapt (chapter 08; chapter 04
# asks why one trains so many in the first place). What is left is stored as *compressed sparse rows*: values
# of 4 bytes, the column of each in 2. So at 90 % sparsity we get $4 / 0.6 \approx 6.7$ times fewer, not 10.
#
# Beside it stands the question that every pruning result has to answer: does a small *dense* network of the
# same bytes, trained as long, do as well? **Before you run the cell:** how many points will pruning lose?
# And which of the two is better, by how many points (pruned less dense)?

# %%
yours_points, yours_rival = None, None

steps = TUNE * math.ceil(len(x) / 64)
recipe = {"*": compress.Prune(0.9, compress.Cubic(end=steps // 3 * 2)), "conv1": None}
pruned = compress.prepare(copy.deepcopy(base), recipe, x[:512])  # conv1 sees the image, and stays whole
train(pruned, TUNE, 3e-3)
program = compress.convert(pruned)
print(program.bound)
row = enter("cnn pruned", program)
compare("pruned 90 %: times smaller", row["smaller"], theory=4 / 0.6)
compare("pruned 90 %: points lost", row["lost"], yours_points)

control = nn.models.nearest(partial(nn.models.digits_cnn, rng=np.random.default_rng(0)), row["bytes"],
                            size=lambda model: compress.report(compress.convert(model, x[:1])).on_disk)
train(control, BASE, 1e-2, decay=2e-2)
train(control, TUNE, 3e-3)
row = enter("cnn small dense", compress.convert(control, x[:512]))
compare("pruned less dense of equal bytes, points", row["lost"] - ledger["cnn pruned"]["lost"], yours_rival)

# %% [markdown]
# Open it. `spmm_csr` multiplies with the values that are left, row by row:

# %%
packed = program.constants["conv3.weight"]
print({name: array[:6] for name, array in packed.arrays().items()})
compress.explain.mask(packed)
plt.show()

# %% [markdown]
# ## 7. Shared: sixteen numbers for all weights
#
# Let a whole layer have only 16 different weights, a codebook. Then a weight is a 4-bit index into it (Han,
# Mao & Dally 2016), and a layer of $n$ weights goes from $32\,n$ to $4\,n + 16 \cdot 32$ bits. Which sixteen
# are best can be computed (chapter 09), and then they are trained.
#
# **Before you run the cell:** how many times smaller will the file be? How many points will be lost?

# %%
yours_smaller, yours_points = None, None

shared = compress.prepare(copy.deepcopy(base), compress.Cluster(bits=4), x[:512])
train(shared, TUNE, 3e-3)
program = compress.convert(shared)
print(program.bound)
row = enter("cnn shared", program)
compare("shared, 4 bits: times smaller", row["smaller"], yours_smaller, theory=8)
compare("shared, 4 bits: points lost", row["lost"], yours_points)

compress.explain.codebook(program.constants["conv3.weight"])
plt.show()

# %% [markdown]
# Two indices lie in every byte, and `codebook_gemm` looks each one up while it multiplies. The figure has the
# sixteen numbers of `conv3`, each as high as there are weights that share it. (Pruned, shared and coded, all
# in one: chapter 16.)
#
# ## 8. A tensor train: a product of small cores
#
# The singular value decomposition, cut after $r$ terms, is the nearest matrix of rank $r$. A *tensor train*
# (Oseledets 2011) does this to the weights in another order: it splits the 64 inputs into $8 \cdot 8$ and the
# 300 outputs into $15 \cdot 20$, and writes
#
# $$W_{(o_1 o_2),\,(i_1 i_2)} \approx \sum_{k=1}^{r} G_1[i_1, o_1, k]\; G_2[k, i_2, o_2] .$$
#
# That needs $r\,(8 \cdot 15 + 8 \cdot 20)$ numbers in place of $64 \cdot 300$. The technique is for fully
# connected layers, so here is another network, 64-300-100-10. The cut is only a start: then the *cores* are
# trained, and the network looks for the best weights **of this form** (chapter 10).
#
# **Before you run the cell:** with rank 8, what is the accuracy right after cutting, and after training, in
# percent?

# %%
yours_cut, yours_trained = None, None

mlp = nn.models.digits_mlp(rng=np.random.default_rng(0))
train(mlp, BASE, 1e-2, decay=1e-3)
recipe = {"*": compress.TensorTrain(rank=8, cores=2), "fc3": None}
cores = compress.prepare(copy.deepcopy(mlp), recipe, x[:512])
train(mlp, TUNE, 3e-3)
enter("mlp float", compress.convert(mlp, x[:512]))

compare("tensor train: accuracy after cutting, %", accuracy(cores), yours_cut)
train(cores, TUNE, 9e-3)
program = compress.convert(cores)
print(program.bound)
row = enter("mlp tensor train", program)
compare("tensor train: accuracy after training, %", row["accuracy"], yours_trained)
compress.explain.cores(program.constants["fc1.weight"])
plt.show()

# %% [markdown]
# Open it: `tt_matmul` multiplies with one core after the other, and the large matrix is never built.
#
# ## 9. Winograd: fewer multiplications
#
# Not another way to store a weight, but another way to multiply with it. Two neighbouring outputs of a
# filter with three taps take six multiplications; Winograd (1980) needs four. In an image, used along rows
# and along columns, that is 16 in place of 36, 2.25 times fewer; and a filter becomes $4 \times 4$ numbers,
# which are computed once. (Chapter 11 derives it, and counts what it adds.)
#
# **Before you run the cell:** how many times faster will the whole network be, against the same convolutions
# as they are written down?

# %%
yours = None

direct = compress.convert(network, x[:512], algorithm="direct")
program = compress.convert(network, x[:512], algorithm="winograd")
print(program.bound)
enter("cnn winograd", program)
fewer = (sum(work.values()) - work["fc"]) / (program.macs - work["fc"])
compare("Winograd: times fewer multiplications in the convolutions", fewer, theory=2.25)
times, _ = race({"direct": direct, "winograd": program}).faster("winograd", than="direct")
compare("Winograd: times faster", times, yours)

# %% [markdown]
# The multiplications are not all there is: tiles must be cut out, transformed and put together again. On
# disk nothing changes; look for the transformed filters in the column `in memory` below.
#
# ## 10. The ledger
#
# What did it all buy? Times are told as ratios to the float network of the same turns: the median, ± half of
# the range in which the middle half of the turns lie: a busy machine makes it wide. **Before you run the
# cell:** which row is the fastest? How many times faster than its float network?

# %%
yours = None

ledger = dict(sorted(ledger.items(), key=lambda item: item[0][:3]))  # the cnn first
seconds = race({name: row["program"] for name, row in ledger.items()})
print(f"{'':18}{'accuracy':>10}{'bytes':>10}{'x smaller':>11}{'in memory':>11}{'MACs':>10}{'x faster':>10} ±")
for name, row in ledger.items():
    row["faster"], row["spread"] = seconds.faster(name, than=name[:3] + " float")
    program = row["program"]
    print(f"{name:18}{row['accuracy']:9.2f}%{row['bytes']:10,}{row['smaller']:11.2f}", end="")
    print(f"{program.nbytes:11,}{program.macs:10,}{row['faster']:10.2f} ± {row['spread']:.2f}")
print()
compare("the fastest row: times faster", max(row["faster"] for row in ledger.values()), yours)

titles = {"accuracy": "accuracy, %", "smaller": "times smaller", "faster": "times faster"}
figure, panels = plt.subplots(1, 3, figsize=(11, 0.5 * len(ledger) + 0.7), sharey=True)
for axes, (key, title) in zip(panels, titles.items(), strict=True):
    for i, (name, row) in enumerate(ledger.items()):
        colour, marker = (BLUE, "o") if name.startswith("cnn") else (ORANGE, "s")
        axes.plot(row[key], i, marker, color=colour, markersize=9)
        note(axes, f"{row[key]:.1f}", (row[key], i), (8, 0), fontsize=11)
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
# - **Nothing is free of its control.** The small dense network needs no technique at all.
# - **One run is one run.** `python -m compress --seeds 8` trains all of this eight times, chooses on held-out
#   images and reports paired differences. (What else is taught and does not hold: chapter 13.)
#
# And how well do you know neural networks? Your guesses, beside what was derived and what was measured:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *Other hands.* Shuffle all 1797 images before splitting them, and train again. How much of the gap in
#    section 3 goes away? Which of the two accuracies would you promise to a customer?
# 2. *Choosing honestly.* Find the largest sparsity that loses less than half a point, with
#    `digits.validation_split()`. Why not with the test images?
# 3. *One image.* Race `direct` and `program` of section 9 with `count=1`, and the whole ledger. Which
#    rows change places, and why?

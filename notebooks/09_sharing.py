# %% [markdown]
# # Weight sharing: a layer of sixteen numbers
#
# Let all weights of a layer take one of a few values. Then a weight is a short *code*, and the values stand
# in a *codebook* beside it (Han, Mao & Dally 2016). Which values are the best? How are they trained, when
# thousands of weights hang on one of them? How many bytes does it save when everything is counted, and is
# it faster?
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.

# %%
import copy
import os
from functools import partial

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: for matrices this small, threads cost more

import matplotlib.pyplot as plt
import numpy as np

import compress
import nn
from compress.formats.bits import pack_bits
from nn.explain import BLUE, FAST, GREEN, GREY, ORANGE, Guesses, note, style, ticks
from nn.timing import race

BASE, TUNE, SEEDS = (3, 2, 1) if FAST else (15, 10, 3)  # epochs from scratch, epochs after it, repetitions
style()
guesses = Guesses()
compare = guesses.compare

# %% [markdown]
# ## 1. Bytes, all of them
#
# With $k = 2^b$ values, $n$ weights take $n\,b$ bits of codes and $32\,k$ bits of codebook, in place of
# $32\,n$:
#
# $$r(n) = \frac{32\,n}{b\,n + 32 \cdot 2^b} .$$
#
# The paper's example (figure 3) is a matrix of $4 \times 4$ weights with four values. **Before you run the
# cell:** how many times smaller is it? And a convolution with 288 weights, with 256 values?

# %%
yours_example, yours_convolution = None, None

rng = np.random.default_rng(0)


def bytes_shared(n, bits):
    """Bytes of n codes, packed, and of their codebook."""
    codes = rng.integers(0, 2**bits, n)
    return pack_bits(codes, bits).nbytes + 4 * 2**bits


compare("16 weights, 4 values: times smaller", 4 * 16 / bytes_shared(16, 2), yours_example,
        theory=32 * 16 / (2 * 16 + 32 * 4))
compare("288 weights, 256 values: times smaller", 4 * 288 / bytes_shared(288, 8), yours_convolution,
        theory=32 * 288 / (8 * 288 + 32 * 256))

n = np.unique(np.geomspace(4, 1e6, 200).astype(int))
figure, axes = plt.subplots(figsize=(9, 4.4))
for bits, color in ((2, BLUE), (4, GREEN), (8, ORANGE)):
    axes.loglog(n, 32 * n / (bits * n + 32 * 2**bits), color=color)
    note(axes, f"{bits} bits", (n[-1], 32 / bits), color=color)
axes.axhline(1, color="black", linewidth=1)
note(axes, "no smaller than float32", (1e6, 1), (0, -16), ha="right")
axes.set(xlabel="weights in the layer", ylabel="times smaller", xlim=(3, 6e6), ylim=(0.3, 25))
ticks(axes, x=[10, 1000, 100_000], y={0.5: "½"} | {n: n for n in (1, 2, 4, 8, 16)})
plt.show()

# %% [markdown]
# A codebook is a fixed price. Small layers can't pay it: they become *larger*. Whoever leaves the codebook
# out of the count finds 16, 8 and 4 everywhere.
#
# ## 2. Which values? Back and forth
#
# We want the least $J = \sum_i (w_i - c_{a_i})^2$, over codes $a$ and values $c$. Both at once is hard,
# each alone is easy:
#
# - for fixed $c$, each weight takes the nearest value;
# - for fixed $a$, $\partial J / \partial c_j = -2 \sum_{a_i = j} (w_i - c_j) = 0$ makes $c_j$ the mean of
#   its members.
#
# Neither step can raise $J$, so doing them in turn (Lloyd 1957/1982) goes down until nothing changes. There
# are finitely many codes, so that it ends; but it ends where neither step *alone* helps, and where that is
# depends on where it began. The paper tries three ways to begin:

# %%
def lloyd(w, c, steps=300):
    """Values that began as `c`, and the cost J before each step."""
    costs = []
    for _ in range(steps):
        codes = nearest(w, c)
        costs.append(np.sum((w - c[codes]) ** 2))
        members, sums = np.bincount(codes, minlength=len(c)), np.bincount(codes, w, len(c))
        c = np.where(members > 0, sums / np.maximum(members, 1), c)  # a value without members stays
    return c, np.array(costs)


def nearest(w, c):
    """The code of the nearest value, of each weight."""
    return np.searchsorted((c[1:] + c[:-1]) / 2, w)  # they rise: what is half-way between two separates them


def linear(w, k, rng=None):
    """Equal steps from the smallest weight to the largest."""
    return np.linspace(w.min(), w.max(), k)


def density(w, k, rng=None):
    """Equal shares of the weights."""
    return np.quantile(w, (np.arange(k) + 0.5) / k)


def random(w, k, rng=None):
    """k of the weights."""
    return np.sort(rng.choice(w, k, replace=False))


# %% [markdown]
# On a line one can do better. Members of a value are neighbours in the *sorted* weights, so a solution is
# $k - 1$ cuts, and dynamic programming tries them all: the least cost of the first $i$ weights with $j$
# values is
#
# $$D_j(i) = \min_{s < i}\; D_{j-1}(s) + \text{cost of the weights } s \dots i - 1 \text{ as one group}$$
#
# (Fisher 1958; Wang & Song 2011). That is `nn.kernels.kmeans1d`, and it gives the *global* optimum. Take a
# trained layer of 30,000 weights and 16 values. **Before you run the cell:** by how many percent does the
# cost of Lloyd from `linear` lie above the least possible one, after 300 steps? And from `density`?

# %%
yours_linear, yours_density = None, None

digits = nn.data.digits()
x, y = digits.x_train, digits.y_train


def train(model, epochs, rate, seed=0, decay=0.0, on_step=None):
    """Adam, at a rate that falls along half a cosine."""
    optimizer = nn.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    nn.train.fit(model, x, y, epochs=epochs, optimizer=optimizer, rng=np.random.default_rng(seed),
                 on_step=on_step, schedule=nn.train.cosine, progress=False)
    return model


def accuracy(model):
    """Percent of the test images."""
    return 100 * nn.train.accuracy(model, digits.x_test, digits.y_test)


bases = [train(nn.models.digits_mlp(rng=np.random.default_rng(seed)), BASE, 1e-2, seed, decay=1e-3)
         for seed in range(SEEDS)]
w = bases[0].fc2.weight.data.ravel()
best = nn.kernels.kmeans1d(w, 16).astype(float)
least = np.sum((w - best[nearest(w, best)]) ** 2)
runs = {"linear": [lloyd(w, linear(w, 16))], "density": [lloyd(w, density(w, 16))],
        "random": [lloyd(w, random(w, 16, np.random.default_rng(i))) for i in range(2 if FAST else 8)]}
for name, yours in (("linear", yours_linear), ("density", yours_density)):
    compare(f"Lloyd from {name}: cost above the least, %", 100 * (runs[name][0][1][-1] / least - 1), yours)

# %%
figure, axes = plt.subplots(figsize=(9, 4.4))
for (name, made), color in zip(runs.items(), (BLUE, ORANGE, GREY), strict=True):
    for i, (_, costs) in enumerate(made):
        axes.loglog(np.arange(1, 301), 100 * (costs / least - 1), color=color, label=name if i == 0 else None,
                    linewidth=1 if name == "random" else 3, zorder=1 if name == "random" else 2)
axes.legend(frameon=False)
axes.set(xlabel="steps of Lloyd", ylabel="cost above the least, %")
ticks(axes, x=[1, 10, 100], y=[1, 10, 100, 1000])
plt.show()

# %%
books = {"linear": runs["linear"][0][0], "density": runs["density"][0][0], "random": runs["random"][0][0],
         "optimum": best}
figure, panels = plt.subplots(4, 1, figsize=(10, 6), sharex=True)
for axes, (name, book), color in zip(panels, books.items(), (BLUE, ORANGE, GREY, "black"), strict=True):
    axes.hist(w, bins=200, color="#d0d0d0", log=True)
    axes.vlines(book, *axes.get_ylim(), color=color, linewidth=1.5)
    error = np.sqrt(np.sum((w - book[nearest(w, book)]) ** 2) / np.sum(w**2))
    axes.set_title(f"{name}: error {100 * error:.1f} % of the weights' norm", loc="left")
    axes.set_yticks([])
panels[-1].set_xlabel("weight (the histogram is on a log scale)")
plt.show()

# %% [markdown]
# (`compress.lloyd` is the same on sorted weights: with sums over the first 1, 2, … of them, made once, a step
# takes $2k$ differences in place of $n$ additions.)
#
# A flat line in the first figure that lies above 0 is a *local* minimum: every value is the mean of its
# members, each weight has the nearest value, and yet others are better. The paper preferred `linear`, since
# it begins with values for the few large weights and these matter more: a guess about the network, not
# about $J$. The optimum needs no guess for $J$: there is nothing to initialise, and nothing to repeat.
#
# Does the least $J$ give the best *network*? $J$ knows nothing of the loss. **Before you run the cell:**
# all layers of the network get 4 values each (2 bits), and no training. Which of the four ways is the most
# accurate? And what accuracy does the optimum have, in percent?

# %%
yours = None


def share(model, bits, how, seed=0):
    """A copy whose weights take 2^bits values each, found by Lloyd from `how`, or the optimum."""
    model = copy.deepcopy(model)
    for layer in (model.fc1, model.fc2, model.fc3):
        w = layer.weight.data.ravel()
        c = (nn.kernels.kmeans1d(w, 2**bits) if how is None else
             lloyd(w, how(w, 2**bits, np.random.default_rng(seed)), 30)[0])
        layer.weight.data = c[nearest(w, c)].reshape(layer.weight.shape).astype(np.float32)
    return model


print(f"accuracy, mean of {SEEDS} networks: {np.mean([accuracy(base) for base in bases]):.1f} % in float32")
print("bits" + "".join(f"{name:>10}" for name in books))
untrained = {}
for bits in (2, 3, 4):
    for name, how in zip(books, (linear, density, random, None), strict=True):
        untrained[name, bits] = np.mean([accuracy(share(base, bits, how, i)) for i, base in enumerate(bases)])
    print(f"{bits:4}" + "".join(f"{untrained[name, bits]:9.1f}%" for name in books))
compare("2 bits, optimum, not trained: accuracy, %", untrained["optimum", 2], yours)

# %% [markdown]
# One image is 0.28 points; do the differences in a row exceed that? From some number of bits on it does not
# matter how the values were found. Below that, training has to repair.
#
# ## 3. The gradient of a value
#
# A weight is $w_i = c_{a_i}$. By the chain rule, and since $\partial w_i / \partial c_j$ is 1 for the
# members of $j$ and 0 for all others,
#
# $$\frac{\partial L}{\partial c_j}
# = \sum_i \frac{\partial L}{\partial w_i}\,\frac{\partial w_i}{\partial c_j}
# = \sum_{i\,:\,a_i = j} \frac{\partial L}{\partial w_i} .$$
#
# The *sum* over the members, not their mean: with the mean a value of $n$ members would move $n$ times more
# slowly. The numbers are those of the paper's figure 3, with a learning rate of 1. **Before you run the
# cell:** where does the second value, 0, go?

# %%
yours = None

w = np.array([[2.09, -0.98, 1.48, 0.09], [0.05, -0.14, -1.08, 2.12],
              [-0.91, 1.92, 0, -1.03], [1.87, 0, 1.53, 1.49]], np.float32)
g = np.array([[-0.03, -0.01, 0.03, 0.02], [-0.01, 0.01, -0.02, 0.12],
              [-0.01, 0.02, 0.04, 0.01], [-0.07, -0.02, 0.01, -0.02]])
c = nn.kernels.kmeans1d(w.ravel(), 4).astype(float)
codes = nearest(w.ravel(), c)
moved = c - np.bincount(codes, g.ravel(), 4)
print("codes:", *codes.reshape(4, 4), sep="\n")
print("values:", *c.round(2), "  after one step:", *moved.round(2), "  (the paper: -0.97 -0.04 1.48 1.96)")
compare("the second value after one step", moved[1], yours, theory=-0.04)

# %% [markdown]
# ## 4. Training the values
#
# `compress.Cluster` finds the optimum, keeps the codes as they are, and trains the values by that sum. A
# layer of 30,000 weights then has four numbers to learn with. **Before you run the cell:** to what accuracy
# does the network with 2 bits come back, in percent?

# %%
yours = None

trained, path = {}, []
for bits in (2, 3, 4):
    found = []
    for seed, base in enumerate(bases):
        model = compress.prepare(copy.deepcopy(base), compress.Cluster(bits), x[:512])
        state = model.fc2.weight.parametrization.states[0]

        def watch(step, loss, state=state):
            path.append(state.centroids.data.copy())

        found.append(train(model, TUNE, 3e-3, seed, on_step=watch if (bits, seed) == (3, 0) else None))
    trained[bits] = np.array([accuracy(model) for model in found])
compare("2 bits, trained: accuracy, %", trained[2].mean(), yours)
floats = np.array([accuracy(train(copy.deepcopy(base), TUNE, 3e-3, seed)) for seed, base in enumerate(bases)])

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.4))
before = [untrained["optimum", bits] for bits in trained]
after = [found.mean() for found in trained.values()]
spread = [np.ptp(found) / 2 for found in trained.values()]
left.plot(list(trained), before, "s-", color=ORANGE, label="not trained")
left.errorbar(list(trained), after, spread, marker="o", color=BLUE, capsize=3, label="trained")
left.legend(frameon=False, loc="lower right")
left.axhline(floats.mean(), color="black", linewidth=1)
note(left, "float32, as many epochs", (4, floats.mean()), (-4, 10), ha="right")
left.set(xlabel="bits a weight", ylabel="test accuracy, %", xticks=list(trained), ylim=(None, 96))
right.plot(np.array(path), color=BLUE)
right.axhline(0, color="black", linewidth=1)
right.set(xlabel="step", ylabel="value", title="fc2: its eight values (3 bits)")
plt.show()

# %% [markdown]
# ## 5. The file
#
# **Before you run the cell:** all layers at 4 bits. How many times smaller is the *file*? And if an entropy
# coder wrote the codes, which do not all occur equally often, how many bits would a weight of `fc2` take?
# (At least $-\sum_j p_j \log_2 p_j$, Shannon 1948.)

# %%
yours_file, yours_entropy = None, None

program = compress.convert(found[0])  # the last one trained: 4 bits
report = compress.report(program)
print(program.bound, report, sep="\n\n")
print()
plain = compress.report(compress.convert(copy.deepcopy(bases[0]), x[:1])).on_disk
numbers = [(layer.weight.size, layer.bias.size) for layer in (bases[0].fc1, bases[0].fc2, bases[0].fc3)]
theory = sum(4 * (n + b) for n, b in numbers) / sum(n / 2 + 64 + 4 * b for n, b in numbers)
compare("4 bits: times smaller, the file", plain / report.on_disk, yours_file, theory=theory)
p = np.bincount(program.constants["fc2.weight"].codes().ravel(), minlength=16) / numbers[1][0]
compare("bits a weight of fc2 that entropy asks for", -np.sum(p[p > 0] * np.log2(p[p > 0])), yours_entropy)

# %% [markdown]
# The sixteen values of `fc2`, each as high as it has members, with its code above it. The red marks lie
# half-way between two values; these have moved since the codes were given, so a weight may by now be nearer
# to a neighbour (exercise 3).

# %%
compress.explain.codebook(program.constants["fc2.weight"])
plt.show()

# %% [markdown]
# What was derived counts codes, codebooks and biases; what is missing is the header: names, shapes, and the
# list of calls as packed text. Pruned first, and with an entropy coder behind: chapter 16.
#
# ## 6. Is it faster?
#
# No multiply-add has gone. `codebook_gemm` looks every weight up while it multiplies, which is *more* work
# than a dense product does (sixteen floats fit into one or two vector registers, so that an instruction looks
# up many at once). But a weight takes 4 bits on its way from memory in place of 32. So it depends
# on what the processor waits for. With $M$ inputs, each weight that arrives is used $M$ times:
#
# $$\text{time} \approx \max\left(\frac{\text{bytes of } W}{\text{bytes a second}},\;
# \frac{M \cdot N \cdot K}{\text{multiply-adds a second}}\right).$$
#
# **Before you run the cell:** a weight of $4096 \times 4096$. How many times as fast as the dense product
# is the shared one with one input? And with 64?

# %%
yours_single, yours_many = None, None

sides, gains = [256, 512, 1024, 2048, 4096], {1: [], 64: []}
for side in sides:
    codes, book = rng.integers(0, 16, (side, side), np.uint8), rng.standard_normal(16).astype(np.float32)
    dense, shared = nn.kernels.gemm.pack(book[codes].T), nn.kernels.codebook_gemm.pack(codes, book)
    for batch, gain in gains.items():
        rows = rng.standard_normal((batch, side), np.float32)
        out = np.empty((batch, side), np.float32)
        seconds = race({"dense": partial(nn.kernels.gemm, rows, dense, out=out),
                           "shared": partial(nn.kernels.codebook_gemm, rows, shared, out=out)}, 0.05)
        gain.append(seconds["dense"] / seconds["shared"])
compare("4096², one input: times faster", gains[1][-1], yours_single)
compare("4096², 64 inputs: times faster", gains[64][-1], yours_many)

figure, axes = plt.subplots(figsize=(9, 4.2))
for (batch, gain), color in zip(gains.items(), (ORANGE, BLUE), strict=True):
    axes.loglog(sides, gain, "o-", color=color)
    note(axes, f"{batch} input{'s' * (batch > 1)}", (sides[-1], gain[-1]), (6, 8), color=color)
axes.axhline(1, color="black", linewidth=1)
note(axes, "as fast as dense", (sides[0], 1), (0, -18))
axes.set(xlabel="side of the weight", ylabel="times faster than dense", xlim=(230, 7500), ylim=(0.4, 12))
ticks(axes, x=sides, y={0.5: "½"} | {n: n for n in (1, 2, 4, 8)})
plt.show()

# %% [markdown]
# "Compressing only the weights never makes a network faster" is true where the processor multiplies, and
# false where it waits for weights: large layers, few inputs. Which of the two your network does, its batch
# decides.
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *Empty.* Start Lloyd with two equal values. What becomes of the second one? Put it where the error of a
#    weight is largest, and show that $J$ still never rises.
# 2. *The mean.* Train with `compress.Cluster(2, gradient="mean")`, by Adam and by SGD. With which of the
#    two does it matter, and why?
# 3. *Codes that move.* After every epoch, give each weight $c_{a_i} - \alpha\,\partial L/\partial w_i$ and
#    find its nearest value again. Does the network with 2 bits gain from it?
# 4. *One codebook.* Let all layers share one codebook of 16 values. What do the bytes gain, and what does
#    the accuracy lose? What if each layer is first divided by its standard deviation?
# 5. *Zeros too.* Prune to 90 % first: `[compress.Prune(0.9), compress.Cluster(4)]`. Where is the zero in
#    the codebook, and what do its members cost?
# 6. *Is the sum right?* Shift one value of `fc2` by $h$, and with it all its members, and look at the loss:
#    that needs no backward pass, and has to give the same number as the sum of the gradients.
#
# Assignment 7, `sharing`, has you write Lloyd, the gradient and the packed codes.

# %% [markdown]
# # Pruning: are zeros smaller? Are they faster?
#
# Most weights of a trained network can be set to zero, and after some more training it works as before. Which
# ones? And what does it buy? A zero takes as many bytes as any other number and as long to multiply, unless
# somebody stores and multiplies it *differently*, or cuts it out. Here we find out when that pays: in bytes,
# in milliseconds, and against the simplest rival there is, a small network in which nothing was pruned.
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
from compress.sparse.bitmask import BitmaskWeight
from compress.sparse.csr import SparseWeight
from compress.sparse.gaps import GapsWeight
from nn.explain import BLUE, DARK, FAST, GREEN, GREY, ORANGE, Guesses, note, style, ticks

BASE, TUNE, SEEDS = (2, 5, 1) if FAST else (10, 10, 3)  # epochs from scratch, epochs after it, repetitions
style()
guesses = Guesses()
compare = guesses.compare
rng = np.random.default_rng(0)
digits = nn.data.digits()
x, y = digits.x_train, digits.y_train

# %% [markdown]
# ## 1. Are zeros smaller?
#
# Not by themselves: an array of float32 has four bytes for each number. To save bytes, leave the zeros out
# and say where the others are. Of $n$ weights let the share $d$ (the *density*) be left. In bytes a weight:
#
# | form | where the others are | bytes a weight |
# |---|---|---|
# | dense | | $4$ |
# | bit mask | a bit for each weight | $4d + \frac18$ |
# | compressed sparse rows (CSR) | a column number of 16 bits for each that is left | $4d + 2d$ |
# | gaps of $g$ bits | how many zeros lie before it | at least $4d + \frac g8 d$ |
# | blocks of 4×1 | a column number for four weights that are left | $4d + \frac12 d$ |
# | 2:4 | two bits for each: which of four | $2 + \frac18$ |
# | filters | | $4d$ |
#
# CSR has the values row by row, the column of each, and where each row begins: write the three arrays of
# $\begin{pmatrix} 0 & 7 & 0 & 0 \\ 0 & 0 & 0 & 0 \\ 5 & 0 & 0 & 6 \end{pmatrix}$ down before you run the
# cell. A gap (Han, Mao & Dally 2016) is written in $g$ bits; the largest code says "as many zeros, and go
# on". No form at all can beat the *entropy* of random positions, $H(d) = -d\log_2 d - (1-d)\log_2(1-d)$ bits
# a weight.
#
# **Before you run the cell:** at 90 % sparsity, how many times smaller than dense is CSR? And with the best
# gaps? (And from what sparsity on does CSR save anything? The figure shows it.)

# %%
yours_csr, yours_gaps = None, None

small = np.array([[0, 7, 0, 0], [0, 0, 0, 0], [5, 0, 0, 6]], np.float32)
print({name: array.tolist() for name, array in SparseWeight(small).arrays().items()})

held = {"CSR": (SparseWeight, BLUE, 0.42), "mask": (BitmaskWeight, ORANGE, 0.60),
        "gaps": (GapsWeight, GREEN, 0.25)}
d = np.linspace(1, 0.02, 50)
weights = [rng.standard_normal((100, 1000), np.float32) * (rng.random((100, 1000)) < left) for left in d]
sizes = {name: np.array([form(w).nbytes / w.size for w in weights]) for name, (form, *_) in held.items()}
at = np.argmin(np.abs(d - 0.1))
compare("90 % zeros: times smaller as CSR", 4 / sizes["CSR"][at], yours_csr, theory=4 / 0.6)
compare("90 % zeros: times smaller with gaps", 4 / sizes["gaps"][at], yours_gaps)

# %%
entropy = -(d * np.log2(d) + (1 - d) * np.log2(np.maximum(1 - d, 1e-9)))
figure, panels = plt.subplots(1, 2, figsize=(12, 4.4), sharex=True)
for axes, payload, title in zip(panels, (4, 1), ("float32 weights", "8-bit weights"), strict=True):
    for name, (_, color, where) in held.items():
        size = (sizes[name] - (4 - payload) * d) / payload
        axes.plot(100 * (1 - d), size, color=color)
        i = np.argmin(np.abs(1 - d - where))
        note(axes, name, (100 * (1 - d[i]), size[i]), (-28, -20) if name == "mask" else (8, 4), color=color)
    axes.plot(100 * (1 - d), d + entropy / 8 / payload, "--", color=GREY)
    note(axes, "limit", (3, 1), (0, -22), color=GREY)
    axes.axhline(1, color="black", linewidth=1)
    note(axes, "dense", (99, 1), (0, 4), ha="right")
    axes.set(xlabel="% of the weights that are zero", title=title, ylim=(0, 2), xlim=(0, 100))
panels[0].set_ylabel("bytes / bytes of dense")
plt.show()

# %% [markdown]
# Look at the right panel. The *smaller* the numbers, the more of the file says where they are: with 8 bits a
# weight, two thirds have to go before CSR saves anything. So compression ratios don't multiply: pruning gains
# 6.7 times on float32 at 90 %, and only 3.3 times on int8. Gaps come close to the dashed line: an entropy
# coder has little left to win.
#
# ## 2. Are zeros faster?
#
# A dense product of $M$ rows with an $N \times K$ weight is $MNK$ multiply-adds, the sparse one
# $d \cdot MNK$. If the kernels do $v$ (dense) and $v_0$ (sparse) multiply-adds a second, both constant,
# sparse wins when
#
# $$\frac{d \cdot MNK}{v_0} < \frac{MNK}{v} \quad\Longleftrightarrow\quad d < \frac{v_0}{v}.$$
#
# If both were equally fast, every zero would pay. But the dense kernel reads its weights in a row, a vector
# at a time, and uses a loaded number several times. The sparse one first reads *where* its next number has to
# go; that of blocks, once for four numbers. Without whole filters the product is dense, and smaller.
#
# **Before you run the cell:** $N = K = 1024$. From what sparsity on are single zeros (CSR) faster, in
# percent: for 64 inputs at once, and for a single one? And blocks of 4×1, for 64?

# %%
yours = {("CSR", 64): None, ("CSR", 1): None, ("4×1", 64): None}

kernels, size = nn.kernels, 1024
densities = np.array([1, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.07, 0.05, 0.035, 0.02])


def products(batch):
    """Dense, and with a share d of the weights left in each pattern: all operands packed."""
    w, some = rng.standard_normal((size, size), np.float32), rng.standard_normal((batch, size), np.float32)
    out, jobs = np.empty((batch, size), np.float32), {}

    def job(key, kernel, weight, out=out):
        jobs[key] = lambda: kernel(some, weight, out=out)

    job(("dense", 1), kernels.gemm, kernels.gemm.pack(w.T))
    job(("2:4", 0.5), kernels.spmm_nm, kernels.spmm_nm.pack(w * (np.arange(size) % 4 < 2)))
    for d in densities:
        job(("CSR", d), kernels.spmm_csr, kernels.spmm_csr.pack(w * (rng.random(w.shape) < d)))
        blocks = np.repeat(rng.random((size // 4, size)) < d, 4, axis=0)
        job(("4×1", d), kernels.spmm_bsr, kernels.spmm_bsr.pack(w * blocks, 4))
        left = round(d * size)
        job(("filters", d), kernels.gemm, kernels.gemm.pack(w[:left].T), np.empty((batch, left), np.float32))
    return jobs


gains = {}
for batch in (64, 1):
    seconds = nn.timing.race(products(batch), 0.01 if FAST else 0.03)
    dense = seconds["dense", 1]
    gains[batch] = {what: np.array([dense / seconds[what, d] for d in densities])
                    for what in ("CSR", "4×1", "filters")} | {"2:4": dense / seconds["2:4", 0.5]}
    for what in ("CSR", "4×1")[:1 + (batch > 1)]:
        crossing = np.exp(np.interp(0, np.log(gains[batch][what]), np.log(densities)))
        compare(f"{what}, batch {batch}: faster from a sparsity of, %", 100 * (1 - crossing),
                yours[what, batch], theory=100 * (1 - min(1, gains[batch][what][6] * 0.1)))
    print(f"2:4, batch {batch}: {gains[batch]['2:4']:.2f} times as fast as dense")

# %%
figure, axes = plt.subplots(figsize=(9, 4.6))
lines = [("filters", 64, GREEN, 8), ("4×1", 64, ORANGE, -12), ("CSR", 64, BLUE, 2), ("CSR", 1, DARK, 0)]
for what, batch, color, up in lines:
    axes.loglog(100 * densities, gains[batch][what], "o-", color=color)
    note(axes, what + ", 1 input" * (batch == 1), (100 * densities[-1], gains[batch][what][-1]), (6, up),
         color=color)
axes.plot(50, gains[64]["2:4"], "D", color="black")
note(axes, "2:4", (50, gains[64]["2:4"]), (0, 7), ha="center")
axes.loglog(100 * densities, 1 / densities, ":", color=GREY)
axes.axhline(1, color="black", linewidth=1)
axes.set(xlabel="% of the weights that are left", ylabel="times faster than dense", xlim=(105, 1))
ticks(axes, x=[100, 50, 20, 10, 5, 2], y=[0.1, 1, 10])
plt.show()

# %% [markdown]
# Above the black line pruning pays in time, and *fewer multiply-adds* promise the dotted one. A product with
# one input reads each weight once and uses it once, there is nothing to share the reading of column numbers
# with; with 64 inputs a column number is read once and used 64 times. (The derived numbers take $v_0$ from
# 10 % left.) So "90 % zeros" says nothing about time until the pattern, the machine, the batch and the kernel
# are named.
#
# ## 3. Three curves
#
# First a trap. Prune a weight, give it no gradient any more, and train on with Adam: it does not stay zero.
# Adam moves a weight by its *averages*, $m_k = \beta_1^k\, m_0$ and $v_k = \beta_2^k\, v_0$, so with
# $r = \beta_1 / \sqrt{\beta_2}$ it goes $\sum_i r^i = 10.05$ of its first steps (exercise 3 measures it).
# After every step the mask has to be applied *again*, and the momentum must not bring a pruned weight back
# into the ranking from which the next mask is made: `compress.Prune` does both.
#
# Han et al. (2015, figure 5) asked how far one can prune, in three ways:
#
# - **prune only**: after training, and nothing more;
# - **once**: prune, then train what is left on;
# - **in rounds**: prune a little, train, prune a little more. Here in five rounds, each of which keeps the
#   same share $d^{1/5}$ of what the last one left, and as many epochs *in all* as `once` has.
#
# The network is theirs, 300 and 100 hidden units, here for 64 pixels. The last layer is not pruned: it has
# 2 % of the weights and makes the answer. A mean of several seeds; one test image is 0.28 points.
#
# (A trap beside: prune by rank, not by a threshold. Equal weights, as a quantized network has, lie all on one
# side of any threshold. `compress.Prune` ranks in a stable order, and its counts are exact.)
#
# **Before you run the cell:** with 95 % pruned, what accuracy is left by pruning only, in percent? In rounds?

# %%
yours_only, yours_rounds = None, None

def train(model, epochs, rate, seed, decay=0.0):
    """Adam, at a rate that falls along half a cosine. What is prepared is pruned after every step."""
    optimizer = nn.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    nn.train.fit(model, x, y, epochs=epochs, optimizer=optimizer, rng=np.random.default_rng(seed),
                 schedule=nn.train.cosine, progress=False)
    return model


def accuracy(model):
    """Percent of the test images."""
    return 100 * nn.train.accuracy(model, digits.x_test, digits.y_test)


def pruned(model, sparsity):
    """A copy, prepared: the least weights of each layer but the last are zero, and stay so."""
    return compress.prepare(copy.deepcopy(model), {"*": compress.Prune(sparsity), "fc3": None}, x[:300])


def in_rounds(model, sparsity, seed, rounds=5):
    for i in range(1, rounds + 1):
        model = pruned(model if i == 1 else compress.unprepare(model), 1 - (1 - sparsity) ** (i / rounds))
        train(model, TUNE // rounds, 3e-3, seed)
    return model


sparsities = [0.5, 0.9, 0.95, 0.98] if FAST else [0.5, 0.8, 0.9, 0.95, 0.98, 0.99]
curves = {name: np.zeros((SEEDS, len(sparsities))) for name in ("prune only", "once", "in rounds")}
dense, networks = [], {}
for seed in range(SEEDS):
    base = train(nn.models.digits_mlp(rng=np.random.default_rng(seed)), BASE, 1e-2, seed, decay=1e-3)
    dense.append(accuracy(train(copy.deepcopy(base), TUNE, 3e-3, seed)))
    for i, sparsity in enumerate(sparsities):
        model = pruned(base, sparsity)
        curves["prune only"][seed, i] = accuracy(model)
        curves["once"][seed, i] = accuracy(train(model, TUNE, 3e-3, seed))
        networks[seed, sparsity] = in_rounds(base, sparsity, seed)
        curves["in rounds"][seed, i] = accuracy(networks[seed, sparsity])
at = sparsities.index(0.95)
compare("95 % pruned, prune only: accuracy, %", curves["prune only"][:, at].mean(), yours_only)
compare("95 % pruned, in rounds: accuracy, %", curves["in rounds"][:, at].mean(), yours_rounds)

# %%
figure, axes = plt.subplots(figsize=(9, 4.6))
left = 100 * (1 - np.array(sparsities))
for (name, values), color, marker in zip(curves.items(), (ORANGE, GREY, BLUE), "so^", strict=True):
    mean = values.mean(axis=0)
    axes.errorbar(left, mean, np.ptp(values, axis=0) / 2, marker=marker, color=color, capsize=3)
    note(axes, name, (left[-1], mean[-1]), (10, {"once": -14, "in rounds": 6}.get(name, 0)), color=color)
note(axes, "not pruned, as many epochs", (left[0], np.mean(dense)), (0, 6))
axes.axhline(np.mean(dense), color="black", linewidth=1)
axes.set(xscale="log", xlabel="% of the weights left in fc1 and fc2", xlim=(55, left[-1] / 2.6),
         ylabel="test accuracy, %", ylim=(0, 100))
ticks(axes, x=[50, 20, 10, 5, 2, 1])
plt.show()

# %% [markdown]
# Training what is left moves the edge of the cliff. Is the difference between `once` and `in rounds` larger
# than the bars, which are as long as the range of the seeds? (In the paper rounds win clearly, but there
# every round brings epochs of its own.)
#
# ## 4. The rival
#
# The network of section 3 is *large and sparse*. With the same bytes and the same epochs one can train a
# *small and dense* one, which needs no pruning, no special format and no special kernel. A sparse result has
# to beat it, or it has bought nothing.
#
# **Before you run the cell:** at 95 % sparsity, which one is better, and by how many points (sparse less
# dense)?

# %%
yours = None

sizes, rival = np.zeros((2, SEEDS, len(sparsities)))
for (seed, sparsity), network in networks.items():
    i = sparsities.index(sparsity)
    found = compress.report(compress.convert(network))
    sizes[seed, i] = found.on_disk - found.header  # the rival's header isn't counted either
    make = partial(nn.models.digits_mlp, rng=np.random.default_rng(seed))  # of a width
    small = train(nn.models.nearest(make, sizes[seed, i] / 4), BASE, 1e-2, seed, decay=1e-3)
    rival[seed, i] = accuracy(train(small, TUNE, 3e-3, seed))
compare("95 % pruned less dense of equal bytes, points", (curves["in rounds"] - rival)[:, at].mean(), yours)

figure, axes = plt.subplots(figsize=(9, 4.6))
for values, color, marker, name in ((curves["in rounds"], BLUE, "^", "sparse, in rounds"),
                                    (rival, GREEN, "o", "small and dense")):
    axes.errorbar(sizes.mean(axis=0) / 1000, values.mean(axis=0), np.ptp(values, axis=0) / 2, marker=marker,
                  color=color, capsize=3, label=name)
full = 4 * sum(p.size for p in nn.models.digits_mlp().parameters()) / 1000
axes.plot(full, np.mean(dense), "s", color="black", markersize=9)
note(axes, "the full\nnetwork", (full, np.mean(dense)), color="black")
axes.legend(frameon=False, loc="lower right")
axes.set(xscale="log", xlabel="kB", ylabel="test accuracy, %", xlim=(5, 420))
ticks(axes, x=[5, 10, 20, 50, 100, 200])
plt.show()

# %% [markdown]
# Did pruning earn its place *on this network*? The curve of the rival is the honest baseline, and it is
# seldom drawn. (Liu et al. 2019, "Rethinking the Value of Network Pruning", drew it for structured pruning.)
# The answer depends on the network: exercise 4 asks it for convolutions.
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *Half a byte.* Draw the left figure of section 1 for 4-bit weights. From what sparsity on does CSR save
#    anything? Which form would you choose at 50 %?
# 2. *The other schedule.* `compress.Cubic` (Zhu & Gupta 2017) prunes $s(t) = s_f\,(1 - (1-t)^3)$. What part
#    of it is done at half time? Where does it lie in section 3 between `once` and `in rounds`?
# 3. *Back from the dead.* Train with Adam, set small weights and from then on their gradients to 0, and draw
#    where they go. Derive $\sum r^i$ for `nn.optim.SGD(..., momentum=0.9)`; and with weight decay?
# 4. *Convolutions.* Do section 4 with `nn.models.digits_cnn` at 90 %, leaving `conv1` whole. Which one wins
#    there, and why might that be?
# 5. *Why pruning works.* Train section 3 without weight decay. What becomes of `prune only`?
# 6. *What is left?* Draw how many weights of `networks[0, 0.95].fc1` read each pixel, beside the mean digit.
#    What does `compress.compact` cut out of that network?
#
# Assignment 6, `pruning`, has you write the mask, the schedule and the three curves. Which weight it costs
# least to lose, and what whole filters bring, is asked in chapter 08b.

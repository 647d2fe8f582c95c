# %% [markdown]
# # Pruning: are zeros smaller? Are they faster?
#
# Most weights of a trained network can be set to zero, and after some more training it works as before.
# What does that buy? A zero takes as many bytes as any other number and as long to multiply, unless
# somebody stores and multiplies it *differently*. Here we find out when that pays: in bytes, in
# milliseconds, and against the simplest rival there is, a small network in which nothing was pruned.
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
from compress.sparse.csr import SparseWeight
from compress.sparse.gaps import gaps_of
from nn.explain import BLUE, FAST, GREEN, GREY, ORANGE, Guesses, note, numbers, picture, style, ticks

BASE, TUNE, SEEDS = (2, 5, 1) if FAST else (10, 10, 3)  # epochs from scratch, epochs after it, repetitions
style()
guesses = Guesses()
compare = guesses.compare

# %% [markdown]
# ## 1. Which weights?
#
# Near a minimum the loss changes by $\Delta L \approx \frac12\,\delta^\top H\,\delta$ when the weights
# change by $\delta$ (LeCun, Denker & Solla 1990). If all directions were equally curved, what counts would
# be $\lVert\delta\rVert^2$, the sum of the squares of what is removed; and the $k$ weights with the
# smallest sum are the $k$ smallest $|w|$. That is *magnitude pruning* (Han et al. 2015).
#
# It is tempting to write this as a threshold: find the value below which a share $s$ of the weights lies,
# and keep what is *larger*. **Before you run the cell:** 1000 weights have been rounded to 15 levels, as a
# quantized network's are. Half are to be pruned. What share of them does the threshold keep, in percent?

# %%
yours = None

rng = np.random.default_rng(0)
w = np.rint(2 * rng.standard_normal(1000)).clip(-7, 7).astype(np.float32)
threshold = np.sort(np.abs(w))[len(w) // 2]
compare("kept by a threshold, %", 100 * np.mean(np.abs(w) > threshold), yours)
print(f"kept by >= in place of >: {100 * np.mean(np.abs(w) >= threshold):.1f} %")


def mask_of(w, sparsity):
    """1 where a weight stays: all but the round(sparsity·n) smallest; of equal ones the first go."""
    mask = np.ones(w.size, w.dtype)
    mask[np.argsort(np.abs(w), axis=None, kind="stable")[:round(sparsity * w.size)]] = 0
    return mask.reshape(w.shape)


print(f"kept by rank: {100 * mask_of(w, 0.5).mean():.1f} %")

# %% [markdown]
# Equal weights are *ties*, and a threshold keeps all of them or none. Ranking with a stable order gives the
# exact count, and the same mask on every machine. (The library's: `compress.techniques.prune`.)
#
# ## 2. Are zeros smaller?
#
# Not by themselves: an array of float32 has four bytes for each number. To save bytes, leave the zeros out
# and say where the others are. Of $n$ weights let the share $d$ (the *density*) be left. In bytes a weight:
#
# | form | where the others are | bytes a weight |
# |---|---|---|
# | dense | | $4$ |
# | bit mask | a bit for each weight | $4d + \frac18$ |
# | compressed sparse rows (CSR) | a column number of 16 bits for each that is left | $4d + 2d$ |
# | gaps of $g$ bits | how many zeros lie before it | $4d + \frac g8 \cdot d\,/\,(1 - (1-d)^L)$ |
#
# CSR has the values row by row, the column of each, and where each row begins: write the three arrays of
# $\begin{pmatrix} 0 & 7 & 0 & 0 \\ 0 & 0 & 0 & 0 \\ 5 & 0 & 0 & 6 \end{pmatrix}$ down before you run the
# cell. A gap (Han, Mao & Dally 2016) is written in $g$ bits; the largest code, $L = 2^g - 1$, says "skip $L$
# zeros, and go on". At random positions a gap reaches $jL$ with probability $(1-d)^{jL}$, so a weight takes
# $1 + \sum_j (1-d)^{jL} = 1/(1 - (1-d)^L)$ codes.
#
# Where the positions are random, no form at all can beat the *entropy* of the mask,
# $H(d) = -d\log_2 d - (1-d)\log_2(1-d)$ bits a weight.
#
# **Before you run the cell:** from what sparsity on, in percent, does CSR take fewer bytes than dense? At
# 90 % sparsity, how many times smaller is it? And with the best gaps?

# %%
yours_break_even, yours_csr, yours_gaps = None, None, None

small = np.array([[0, 7, 0, 0], [0, 0, 0, 0], [5, 0, 0, 6]], np.float32)
print({name: array.tolist() for name, array in SparseWeight(small).arrays().items()})


def with_gaps(d, payload=4):
    """Bytes a weight, of the best g."""
    g = np.arange(1, 9)[:, None]
    return payload * d + (g / 8 * d / (1 - (1 - d) ** (2**g - 1))).min(axis=0)


def entropy(d):
    return -(d * np.log2(d) + (1 - d) * np.log2(1 - d))


shape = (100, 1000)
stored = {}
for sparsity in np.linspace(0, 0.99, 34):
    w = rng.standard_normal(shape).astype(np.float32)
    w *= mask_of(rng.random(shape).astype(np.float32), sparsity)
    positions = np.flatnonzero(w)
    stored[sparsity] = SparseWeight(w).nbytes, 4 * len(positions) + gaps_of(positions)[1].nbytes
first = next(sparsity for sparsity, (csr, _) in stored.items() if csr < 4 * w.size)
compare("CSR is smaller than dense from a sparsity of, %", 100 * first, yours_break_even,
        theory=100 * (1 - 4 / 6))
csr, gaps = next(sizes for sparsity, sizes in stored.items() if abs(sparsity - 0.9) < 1e-9)
compare("90 % zeros: times smaller as CSR", 4 * w.size / csr, yours_csr, theory=4 / 0.6)
compare("90 % zeros: times smaller with gaps", 4 * w.size / gaps, yours_gaps,
        theory=4 / with_gaps(np.array([0.1]))[0])

# %%
d = np.linspace(0.004, 0.996, 500)
figure, panels = plt.subplots(1, 2, figsize=(12, 4.4))
for axes, payload, title in zip(panels, (4, 1), ("float32 weights", "8-bit weights"), strict=True):
    forms = {"CSR": ((payload + 2) * d, BLUE, 0.42), "mask": (payload * d + 1 / 8, ORANGE, 0.60),
             "gaps": (with_gaps(d, payload), GREEN, 0.25),
             "limit": (payload * d + entropy(d) / 8, GREY, 0.03)}
    for name, (size, color, at) in forms.items():
        axes.plot(100 * (1 - d), size / payload, color=color, linestyle="--" if name == "limit" else "-")
        i = np.argmin(np.abs(1 - d - at))
        note(axes, name, (100 * (1 - d[i]), size[i] / payload), (8, 4) if name != "limit" else (0, -22),
             color=color)
    axes.axhline(1, color="black", linewidth=1)
    note(axes, "dense", (99, 1), (0, 4), ha="right")
    axes.set(xlabel="% of the weights that are zero", title=title, ylim=(0, 2), xlim=(0, 100))
panels[0].set_ylabel("bytes / bytes of dense")
plt.show()

# %% [markdown]
# Look at the right panel. The *smaller* the numbers, the more of the file says where they are: with 8 bits
# a weight, two thirds have to go before CSR saves anything. So compression ratios don't multiply: pruning
# gains 6.7 times on float32 at 90 %, and only 3.3 times on int8.
#
# Nothing can lie below the dashed line. Gaps come close to it: an entropy coder has little left to win.
#
# ## 3. Are zeros faster?
#
# A dense product of $M$ rows with an $N \times K$ weight is $MNK$ multiply-adds, the sparse one
# $d \cdot MNK$. If the kernels do $v$ (dense) and $v_0$ (sparse) multiply-adds a second, both constant,
# sparse wins when
#
# $$\frac{d \cdot MNK}{v_0} < \frac{MNK}{v} \quad\Longleftrightarrow\quad d < \frac{v_0}{v}.$$
#
# If both were equally fast, every zero would pay. But the dense kernel reads its weights in a row, a vector
# at a time, and uses a loaded number several times. The sparse one first reads *where* its next number has
# to go.
#
# **Before you run the cell:** $N = K = 1024$. From what sparsity on is sparse faster, in percent: for 64
# inputs at once, and for a single one?

# %%
yours_many, yours_single = None, None


def products(batch, densities, size=1024):
    """A dense product, and sparse ones of these densities, with all operands packed."""
    w, x = rng.standard_normal((size, size), np.float32), rng.standard_normal((batch, size), np.float32)
    out = np.empty((batch, size), np.float32)
    dense = nn.kernels.gemm.pack(w.T)
    jobs = {"dense": lambda: nn.kernels.gemm(x, dense, out=out)}
    for d in densities:
        sparse = nn.kernels.spmm_csr.pack(w * (rng.random(w.shape) < d))
        jobs[d] = lambda sparse=sparse: nn.kernels.spmm_csr(x, sparse, out=out)
    return jobs


densities = np.array([1, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.07, 0.05, 0.035, 0.02])
times = {}
for batch, yours in ((64, yours_many), (1, yours_single)):
    seconds = nn.timing.race(products(batch, densities), 0.02 if FAST else 0.05)
    times[batch] = seconds["dense"] / np.array([seconds[d] for d in densities])
    v, v0 = batch * 1024**2 / seconds["dense"], 0.1 * batch * 1024**2 / seconds[0.1]
    print(f"{batch} inputs: dense {v / 1e9:.1f}, sparse (10 % left) {v0 / 1e9:.1f} GMAC/s")
    crossing = np.exp(np.interp(0, np.log(times[batch]), np.log(densities)))
    compare(f"{batch} inputs: sparse is faster from a sparsity of, %", 100 * (1 - crossing), yours,
            theory=100 * (1 - min(v0 / v, 1)))

# %%
figure, axes = plt.subplots(figsize=(9, 4.6))
for batch, color in ((64, BLUE), (1, ORANGE)):
    axes.loglog(100 * densities, times[batch], "o-", color=color)
    note(axes, f"{batch} input{'s' * (batch > 1)}", (100 * densities[-1], times[batch][-1]), color=color)
axes.loglog(100 * densities, 1 / densities, ":", color=GREY)
note(axes, "what the count of\nmultiply-adds promises", (10, 10), (-8, 22), color=GREY, ha="right")
axes.axhline(1, color="black", linewidth=1)
note(axes, "as fast as dense", (1.35, 1), (0, -16), ha="right")
axes.set(xlabel="% of the weights that are left", ylabel="times faster than dense", xlim=(105, 1.3))
ticks(axes, x=[100, 50, 20, 10, 5, 2], y=[0.1, 1, 10])
plt.show()

# %% [markdown]
# Above the black line pruning pays in time, and *fewer multiply-adds* promise the dotted one. A product
# with one input reads each weight once and uses it once, there is nothing to share the reading of column
# numbers with; with 64 inputs a column number is read once and used 64 times.
#
# So "90 % zeros" says nothing about time until the machine, the batch and the kernel are named. What was
# cut here is *unstructured*: any weight may go. Zeros in whole rows or columns need no column numbers at
# all (section 7).
#
# ## 4. Zeros that come back
#
# Prune a weight, give it no gradient any more, and train on with Adam. Does it stay zero? Adam moves a
# weight by its *averages*, and these remember: $m_k = \beta_1^k\, m_0$ and $v_k = \beta_2^k\, v_0$, so with
# $r = \beta_1 / \sqrt{\beta_2}$ it goes $\sum_i r^i$ of its first steps. **Before you run the cell:** with
# $\beta_1 = 0.9$ and $\beta_2 = 0.999$, how many first steps is that in the end?

# %%
yours = None

digits = nn.data.digits()
x, y = digits.x_train, digits.y_train
network = nn.models.digits_mlp(rng=np.random.default_rng(0))
optimizer = nn.optim.Adam(network.parameters(), lr=1e-3)
nn.train.fit(network, x, y, epochs=5, optimizer=optimizer, rng=np.random.default_rng(0), progress=False)

weight = network.fc1.weight
mask = mask_of(weight.data, 0.9)
weight.data = weight.data * mask
moves = (mask == 0) & (optimizer.state["exp_avg_sq"][0] > 1e-12)  # white pixels have no gradient, no memory
path = [weight.data[moves]]
for batch, classes in nn.data.batches(x, y, 16, np.random.default_rng(1)):
    optimizer.zero_grad()
    nn.functional.cross_entropy(network(nn.Tensor(batch)), nn.Tensor(classes)).backward()
    weight.grad = weight.grad * mask  # no gradient for what is pruned
    optimizer.step()
    path.append(weight.data[moves])
r = 0.9 / np.sqrt(0.999)
compare("how far pruned weights go, in first steps", np.median(np.abs(path[-1] / path[1])), yours,
        theory=1 / (1 - r))

figure, axes = plt.subplots(figsize=(9, 3.6))
for one in np.argsort(-np.abs(path[1]))[:2000:80]:
    axes.plot([step[one] for step in path], color=BLUE, linewidth=1, alpha=0.7)
axes.axhline(0, color="black", linewidth=1)
axes.set(xlabel="steps after pruning", ylabel="weight", title="pruned weights without a gradient under Adam")
plt.show()

# %% [markdown]
# So it is not enough to mask gradients. After every step the mask has to be applied *again*; and the
# momentum must not bring a pruned weight back into the ranking from which the next mask is made.
#
# ## 5. Three curves
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

# %%
PRUNED = ("fc1", "fc2")


def train(model, epochs, rate, seed, masks=None, decay=0.0):
    """Adam, at a rate that falls along half a cosine; `masks` by layer are applied again after every step."""

    def mask_again(step, loss):
        for name, mask in (masks or {}).items():
            layer = getattr(model, name)
            layer.weight.data = layer.weight.data * mask

    optimizer = nn.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    nn.train.fit(model, x, y, epochs=epochs, optimizer=optimizer, rng=np.random.default_rng(seed),
                 on_step=mask_again, schedule=nn.train.cosine, progress=False)
    return model


def accuracy(model):
    """Percent of the test images."""
    return 100 * nn.train.accuracy(model, digits.x_test, digits.y_test)


def pruned(model, sparsity):
    """A pruned copy, and its masks."""
    model = copy.deepcopy(model)
    masks = {name: mask_of(getattr(model, name).weight.data, sparsity) for name in PRUNED}
    for name, mask in masks.items():
        getattr(model, name).weight.data *= mask
    return model, masks


def in_rounds(model, sparsity, seed, rounds=5):
    for i in range(1, rounds + 1):
        model, masks = pruned(model, 1 - (1 - sparsity) ** (i / rounds))
        train(model, TUNE // rounds, 3e-3, seed, masks)
    return model


# %% [markdown]
# **Before you run the cell:** with 95 % pruned, what accuracy is left by pruning only, in percent? And in
# rounds?

# %%
yours_only, yours_rounds = None, None

sparsities = [0.5, 0.9, 0.95, 0.98] if FAST else [0.5, 0.8, 0.9, 0.95, 0.98, 0.99]
curves = {name: np.zeros((SEEDS, len(sparsities))) for name in ("prune only", "once", "in rounds")}
dense, networks = [], {}
for seed in range(SEEDS):
    base = train(nn.models.digits_mlp(rng=np.random.default_rng(seed)), BASE, 1e-2, seed, decay=1e-3)
    dense.append(accuracy(train(copy.deepcopy(base), TUNE, 3e-3, seed)))
    for i, sparsity in enumerate(sparsities):
        model, masks = pruned(base, sparsity)
        curves["prune only"][seed, i] = accuracy(model)
        curves["once"][seed, i] = accuracy(train(model, TUNE, 3e-3, seed, masks))
        networks[seed, sparsity] = in_rounds(base, sparsity, seed)
        curves["in rounds"][seed, i] = accuracy(networks[seed, sparsity])
at = sparsities.index(0.95)
compare("95 % pruned, prune only: accuracy, %", curves["prune only"][:, at].mean(), yours_only)
compare("95 % pruned, in rounds: accuracy, %", curves["in rounds"][:, at].mean(), yours_rounds)

# %%
figure, (hist, axes) = plt.subplots(1, 2, figsize=(13, 4.4), width_ratios=(1, 1.7))
size = np.abs(base.fc2.weight.data.ravel())
hist.hist(size, bins=80, color=BLUE)
hist.axvline(np.quantile(size, 0.9), color=ORANGE)
hist.text(0.97, 0.6, "90 % lie left\nof the line", ha="right", color=ORANGE, transform=hist.transAxes)
hist.set(title="fc2", xlabel="|weight|", yticks=[])
left = 100 * (1 - np.array(sparsities))
for (name, values), color, marker in zip(curves.items(), (ORANGE, GREY, BLUE), "so^", strict=True):
    mean = values.mean(axis=0)
    axes.errorbar(left, mean, np.ptp(values, axis=0) / 2, marker=marker, color=color, capsize=3)
    note(axes, name, (left[-1], mean[-1]), (10, {"once": -14, "in rounds": 6}.get(name, 0)), color=color)
axes.axhline(np.mean(dense), color="black", linewidth=1)
note(axes, "not pruned, as many epochs", (left[0], np.mean(dense)), (0, 6))
axes.set(xscale="log", xlabel="% of the weights left in fc1 and fc2", ylabel="test accuracy, %",
         xlim=(55, left[-1] / 2.6), ylim=(20, 100))
ticks(axes, x=[50, 20, 10, 5, 2, 1])
plt.show()

# %% [markdown]
# Why is the curve flat for so long? Weight decay pulled what was not needed towards 0 while the network
# trained (left; exercise 6 takes it away). Training what is left moves the edge of the cliff. Is the
# difference between `once` and `in rounds` larger than the bars, which are as long as the range of the seeds?
# (In the paper rounds win clearly, but there every round brings epochs of its own.)
#
# ## 6. The rival
#
# The network above is *large and sparse*. With the same bytes and the same epochs one can train a *small
# and dense* one, which needs no pruning, no special format and no special kernel. A sparse result has to
# beat it, or it has bought nothing.
#
# **Before you run the cell:** at 95 % sparsity, which one is better, and by how many points (sparse less
# dense)?

# %%
yours = None


def size_of(model):
    """Bytes: what is pruned as CSR, everything else as float32."""
    sparse = [getattr(model, name).weight.data for name in PRUNED]
    numbers = sum(p.size for p in model.parameters()) - sum(w.size for w in sparse)
    return 4 * numbers + sum(SparseWeight(w).nbytes for w in sparse)


sizes = np.array([[size_of(networks[seed, sparsity]) for sparsity in sparsities] for seed in range(SEEDS)])
rival = np.zeros(sizes.shape)
for seed in range(SEEDS):
    for i in range(len(sparsities)):
        make = partial(nn.models.digits_mlp, rng=np.random.default_rng(seed))  # of a width
        small = nn.models.nearest(make, sizes[seed, i] / 4)
        train(small, BASE, 1e-2, seed, decay=1e-3)
        rival[seed, i] = accuracy(train(small, TUNE, 3e-3, seed))
compare("95 % pruned less dense of equal bytes, points", (curves["in rounds"] - rival)[:, at].mean(), yours)

figure, axes = plt.subplots(figsize=(9, 4.6))
for values, color, marker, name in ((curves["in rounds"], BLUE, "^", "sparse, in rounds, CSR"),
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
for i, sparsity in enumerate(sparsities):
    difference = (curves["in rounds"] - rival)[:, i]
    print(f"{sparsity:.0%} pruned, {sizes[:, i].mean() / 1000:5.1f} kB: sparse less dense "
          f"{difference.mean():+.1f} points (seeds {difference.min():+.1f} … {difference.max():+.1f})")

# %% [markdown]
# Did pruning earn its place *on this network*? The curve of the rival is the honest baseline, and it is
# seldom drawn. (Liu et al. 2019, "Rethinking the Value of Network Pruning", drew it for structured
# pruning.) The answer depends on the network: exercise 4 asks it for convolutions.
#
# ## 7. What is left?
#
# The library's own way: a parametrization that prunes after every step, fast at first, when much is
# superfluous, and slowly at the end (Zhu & Gupta 2017): with $t$ from 0 to 1 the sparsity is
# $s(t) = s_f\,(1 - (1-t)^3)$. Then a Program whose layers are stored and multiplied as compressed sparse
# rows, by `spmm_csr`. **Before you run the cell:** what percent of all pruning is done at half time?

# %%
yours = None

steps = TUNE * -(-len(x) // 64)
cubic = compress.Cubic(end=2 * steps // 3)
done = 100 * cubic.fraction(cubic.end // 2)
compare("pruning done at half time, %", done, yours, theory=100 * (1 - 0.5**3))
recipe = {"*": compress.Prune(0.95, cubic), "fc3": None}
model = compress.prepare(copy.deepcopy(base), recipe, x[:512])
train(model, TUNE, 3e-3, 0)
program = compress.convert(model)
print(program.bound)
print(f"\n{accuracy(program):.2f} % with {program.nbytes:,} bytes in memory")
compress.explain.mask(program.constants["fc2.weight"])
plt.show()

# %% [markdown]
# Are there white rows and columns? A row is an output of `fc2`, a column a hidden unit of `fc1`. And `fc1`
# itself, pixel by pixel:

# %%
alive = model.fc1.weight.data != 0
figure, panels = plt.subplots(1, 3, figsize=(12, 3.8), width_ratios=(1, 1, 1.5))
picture(panels[0], digits.x_train.mean(axis=(0, 1)), "the mean digit", cmap="Blues")
picture(panels[1], alive.sum(axis=0).reshape(8, 8), "weights left, a pixel", cmap="Blues")
numbers(panels[1], fontsize=11)
panels[2].hist(alive.sum(axis=1), bins=np.arange(-0.5, alive.sum(axis=1).max() + 1), color=BLUE)
panels[2].set(title="hidden units of fc1", xlabel="inputs left, of 64", ylabel="units")
plt.show()
print(f"pixels that no unit reads: {np.sum(~alive.any(axis=0))} of 64; "
      f"units that read no pixel: {np.sum(~alive.any(axis=1))} of {len(alive)}")

# %% [markdown]
# Nobody told it where the ink is. Compare the two pictures: what is white in all images has nothing to say.
#
# A unit that reads no pixel is a constant, and a pixel that nobody reads is no input: such a row or column
# could be cut out, and the *dense* product that remains is smaller and faster on every machine. That is
# structured pruning. It has fewer masks to choose from, and every one of them pays.
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *Half a byte.* Draw the left figure of section 2 for 4-bit weights. From what sparsity on does CSR save
#    anything? Which form would you choose at 50 %?
# 2. *The other schedule.* Write $s(t)$ yourself, so that the sparsity is *exactly* the target from a given
#    step on, and prune in section 5 by it, after every step. Where does it lie between `once` and
#    `in rounds`?
# 3. *Back from the dead.* Repeat section 4 with `nn.optim.SGD(..., momentum=0.9)` and derive the sum that
#    replaces $\sum r^i$. And with weight decay: where do the pruned weights go?
# 4. *Convolutions.* Do section 6 with `nn.models.digits_cnn` at 90 %, leaving `conv1` whole. Which one wins
#    there, and why might that be?
# 5. *Another rank.* Keep the weights with the largest $|w|\cdot\sqrt{\overline{x^2}}$, $x$ being what they
#    are multiplied with. What changes in `prune only`? And after training?
# 6. *Why pruning works.* Train without weight decay, and draw both pictures of section 5 again.
#
# Assignment 6, `pruning`, has you write the mask, the schedule and the three curves.

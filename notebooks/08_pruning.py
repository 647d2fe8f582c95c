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
from compress.pruning.brain_surgery import compensated, removals
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
# ## 1. What does a weight cost?
#
# Let the weights change by $\delta$. Near where they are, with the gradient $g$ and the Hessian $H$,
# $$\Delta L \approx g^\top\delta + \tfrac12\,\delta^\top H\,\delta.$$
# To prune weight $i$ is to ask for $\delta_i = -w_i$. What it costs depends on what we assume of the rest:
#
# - **magnitude** (Han et al. 2015): $g = 0$, all directions equally curved, no other weight moves. The cost
#   is $\frac c2 w_i^2$, which ranks as $|w_i|$ does;
# - **Taylor** (Molchanov et al. 2019): only the first term, $|g_i w_i|$. Where training has ended the mean of
#   $g$ is 0, so each example is asked by itself: the mean of $|g_i w_i|$;
# - **OBD**, optimal brain damage (LeCun, Denker & Solla 1990): $g = 0$, no other weight moves, so all that is
#   read of $H$ is its diagonal: $\frac12 h_{ii} w_i^2$;
# - **OBS**, optimal brain surgery (Hassibi & Stork 1993): $g = 0$, and all others *move* to make it good.
#   Least $\frac12\delta^\top H\delta$ with $\delta_i = -w_i$: Lagrange says $H\delta = \lambda e_i$, so
#   $\delta = \lambda H^{-1} e_i$; entry $i$ gives $\lambda = -w_i / [H^{-1}]_{ii}$, and the cost is
#   $\frac12 w_i^2 / [H^{-1}]_{ii}$.
#
# Linear least squares has no third derivative: there OBD and OBS must be *exact*. Is it a three? Twelve
# neighbouring pixels vote, with one weight each, and $H = 2X^\top X/N$.
#
# **Before you run the cell:** how many times more does it cost to prune a weight if the others can't move?
# (The median of the twelve. Neighbouring pixels are much alike.)

# %%
yours = None

pixels = x[:, 0, 2:4, 1:7].reshape(len(x), -1).astype(np.float64)
pixels -= pixels.mean(axis=0)
three = (y == 3) - np.mean(y == 3)
w = np.linalg.lstsq(pixels, three, rcond=None)[0]
h = 2 * pixels.T @ pixels / len(x)
inverse = np.linalg.inv(h)
obd, obs = np.diag(h) * w**2 / 2, w**2 / np.diag(inverse) / 2


def loss(v):
    """The mean square, of which v = w has the least."""
    return np.mean((pixels @ w - three) ** 2) + (v - w) @ h @ (v - w) / 2


def moved(v, stays):
    """Pruned, and the weights that stay moved so that the loss is least."""
    return compensated(v[None], stays[None], h)[0]


each = 1 - np.eye(len(w))
for name, price, settle in (("OBD", obd, np.multiply), ("OBS", obs, moved)):
    lost = np.array([loss(settle(w, stays)) - loss(w) for stays in each])
    compare(f"{name}: derived less measured, largest", np.abs(price - lost).max(), theory=0)
compare("times more, if the others can't move", np.median(obd / obs), yours)

# %% [markdown]
# ## 2. All masks
#
# That is the price of *one* weight. Of a set the prices don't add up: prune one of two pixels that say the
# same, and the other becomes worth more. Twelve weights have $2^{12}$ masks; we can try them all, and know
# the best mask of each size. The *regret* of a score is how much more its own choice loses. (OBS has its
# prices anew after each removal, "one by one"; `compress.oracle` does up to 16 weights or groups of them.)
#
# **Before you run the cell:** how much of the regret of choosing at random does magnitude have, in percent,
# in the mean of all sizes?

# %%
yours = None

one_by_one = np.argsort(removals(w[None], inverse)[0][0])
slopes = 2 * (pixels @ w - three)[:, None] * pixels  # of each example
scores = {"random": rng.random(len(w)), "magnitude": np.abs(w), "Taylor": np.abs(slopes * w).mean(axis=0),
          "OBD": obd, "OBS": obs, "OBS, one by one": one_by_one}
oracles = {"the others stay": compress.oracle(w, loss),
           "the others move": compress.oracle(w, loss, settle=moved)}
for said, found in oracles.items():
    print(f"{said}:\n{found.ranking(scores)}\n")
regrets = oracles["the others stay"].ranking(scores).regrets
compare("regret: magnitude, % of random", 100 * regrets["magnitude"].mean() / regrets["random"].mean(), yours)

# %%
figure, panels = plt.subplots(1, 2, figsize=(12, 4.4), sharey=True)
counts = np.arange(1, len(w))
colors = dict(zip(scores, (GREY, ORANGE, GREEN, BLUE, BLUE, DARK), strict=True))
for axes, (said, found) in zip(panels, oracles.items(), strict=True):
    best = np.array([found.best(n)[1] for n in counts])
    for name, regret in found.ranking(scores).regrets.items():
        axes.plot(counts, best + regret, "--" if name == "OBS" else "-", color=colors[name], label=name)
    axes.plot(counts, best, "k.", markersize=9, label="the best mask")
    axes.set(title=said, xlabel="weights pruned, of 12", xticks=counts)
panels[0].set_ylabel("mean square")
panels[0].legend(frameon=False)
plt.show()

# %% [markdown]
# Left, all weights that stay are as they were; right, they make good what they can. Nothing lies below the
# dots. Does a score that is exact for one weight choose the best set? And what does it gain to let the others
# move, at half of the weights?
#
# A network is no quadratic. One whose first layer is a single 3×3 filter, trained on all ten digits: the
# $2^9$ masks of the filter, measured by cross-entropy.

# %%
def train(model, epochs, rate, seed, decay=0.0):
    """Adam, at a rate that falls along half a cosine. What is prepared is pruned after every step."""
    optimizer = nn.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    nn.train.fit(model, x, y, epochs=epochs, optimizer=optimizer, rng=np.random.default_rng(seed),
                 schedule=nn.train.cosine, progress=False)
    return model


def accuracy(model):
    """Percent of the test images."""
    return 100 * nn.train.accuracy(model, digits.x_test, digits.y_test)


names = ("random", "magnitude", "taylor", "obd", "obs")
for seed in range(SEEDS):
    one = train(nn.models.DigitsCNN((1, 16, 32), np.random.default_rng(seed)), BASE, 1e-2, seed)
    found = compress.rank_scores(one, "conv1", x[:100], y[:100], scores=names).regrets
    print(f"network {seed}, mean regret: " + ", ".join(f"{name} {r.mean():.3f}" for name, r in found.items()))

# %% [markdown]
# Is one score the first in every network? Far from a minimum a series of two terms is a guess, and what is
# far is the size of a weight. So scores are compared on several networks, or not at all.
#
# (A trap beside: prune by rank, not by a threshold. Equal weights, as a quantized network has, lie all on one
# side of any threshold. `compress.Prune` ranks in a stable order, and its counts are exact.)
#
# ## 3. Are zeros smaller?
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
        note(axes, name, (100 * (1 - d[i]), size[i]), (8, 4), color=color)
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
# ## 4. Are zeros faster?
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
# ## 5. Three curves
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
# 2 % of the weights and makes the answer. A mean of several seeds; one test image is 0.28 points. And for one
# seed the scores of section 1, prune only.
#
# **Before you run the cell:** with 95 % pruned, what accuracy is left by pruning only, in percent? In rounds?
# And by pruning only, if the weights that stay are moved (OBS)?

# %%
yours_only, yours_rounds, yours_obs = None, None, None


def pruned(model, sparsity, score="magnitude"):
    """A copy, prepared; what a score asks of the loss, it asks on 300 training images."""
    recipe = {"*": compress.Prune(sparsity, score=score), "fc3": None}
    return compress.prepare(copy.deepcopy(model), recipe, x[:300], targets=y[:300])


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
few = [s for s in sparsities if 0.5 < s < 0.99]
by_score = {name: [accuracy(pruned(base, s, name)) for s in few] for name in names}
at = sparsities.index(0.95)
compare("95 % pruned, prune only: accuracy, %", curves["prune only"][:, at].mean(), yours_only)
compare("95 % pruned, in rounds: accuracy, %", curves["in rounds"][:, at].mean(), yours_rounds)
compare("95 % pruned, OBS, prune only: accuracy, %", by_score["obs"][few.index(0.95)], yours_obs)

# %%
figure, (scored, axes) = plt.subplots(1, 2, figsize=(13, 4.4), sharey=True)
left = 100 * (1 - np.array(sparsities))
for (name, values), color in zip(by_score.items(), (GREY, ORANGE, GREEN, BLUE, DARK), strict=True):
    scored.plot(100 * (1 - np.array(few)), values, "o-", color=color, label=name)
scored.legend(frameon=False, loc="lower left")
scored.set(title=f"prune only, by score; seed {seed}", ylabel="test accuracy, %")
for (name, values), color, marker in zip(curves.items(), (ORANGE, GREY, BLUE), "so^", strict=True):
    mean = values.mean(axis=0)
    axes.errorbar(left, mean, np.ptp(values, axis=0) / 2, marker=marker, color=color, capsize=3)
    note(axes, name, (left[-1], mean[-1]), (10, {"once": -14, "in rounds": 6}.get(name, 0)), color=color)
note(axes, "not pruned, as many epochs", (left[0], np.mean(dense)), (0, 6))
for one in (scored, axes):
    one.axhline(np.mean(dense), color="black", linewidth=1)
    one.set(xscale="log", xlabel="% of the weights left in fc1 and fc2", ylim=(0, 100),
            xlim=(55, left[-1] / 2.6))
    ticks(one, x=[50, 20, 10, 5, 2, 1])
plt.show()

# %% [markdown]
# Training what is left moves the edge of the cliff. Is the difference between `once` and `in rounds` larger
# than the bars, which are as long as the range of the seeds? (In the paper rounds win clearly, but there
# every round brings epochs of its own.)
#
# ## 6. Filters, blocks, two of four
#
# The fewer masks a pattern allows, the worse is the best of them; and the more regular they are, the less is
# said about positions. Here of the two large layers of a convolutional network, trained on with the same
# epochs: what each costs, and what it buys in its file and in the time of its Program. Whole filters are cut
# out by `compress.compact` (section 7), so that the next layer loses the inputs, too.
#
# **Before you run the cell:** half of the filters of `conv2` and `conv3` go. What percent of its time does
# the network still take? And with half of the single weights?

# %%
yours_filters, yours_element = None, None

chosen = [(0.5, "element"), (0.5, "4x1"), (0.5, "2:4"), (0.5, "filter"), (0.9, "element"), (0.9, "4x1"),
          (0.9, "filter")]
rows, cnns, results = {}, [], {key: [] for key in [None, *chosen]}
for seed in range(SEEDS):
    cnns.append(train(nn.models.digits_cnn(rng=np.random.default_rng(seed)), BASE, 1e-2, seed, decay=1e-3))
    for key in results:
        model = copy.deepcopy(cnns[-1])
        if key:
            prune = compress.Prune(key[0], pattern=key[1])
            compress.prepare(model, {"conv2": prune, "conv3": prune}, x[:256])
        only = accuracy(model)
        train(model, TUNE // 2, 3e-3, seed)
        results[key].append((only, accuracy(model)))
        if seed == 0:
            model = compress.compact(model, x[:2]) if key and key[1] == "filter" else model
            rows[key] = compress.convert(model, x[:256])
many = x[:256]
jobs = {key: partial(program, many) for key, program in rows.items()}
seconds = nn.timing.race(jobs, 0.02 if FAST else 0.1)
macs = rows[0.5, "filter"].macs / rows[None].macs
compare("half of the filters: % of the time", 100 * seconds[0.5, "filter"] / seconds[None], yours_filters,
        theory=100 * macs)
compare("half of the weights: % of the time", 100 * seconds[0.5, "element"] / seconds[None], yours_element)

# %%
labels = ["dense" if key is None else f"{key[1]}, {key[0]:.0%}" for key in results]
accuracies = np.array(list(results.values()))  # (key, seed, before and after training)
lost = accuracies[:1, :, 1] - accuracies[:, :, 1]
kilobytes = [compress.report(program).on_disk / 1000 for program in rows.values()]
figure, panels = plt.subplots(1, 3, figsize=(13, 4), sharey=True)
values = {"points lost, trained on": lost.mean(axis=1), "kB of the file": kilobytes,
          "ms, 256 images": [1000 * seconds[key] for key in results]}
for axes, (title, value), color in zip(panels, values.items(), (ORANGE, GREEN, BLUE), strict=True):
    axes.barh(labels, value, color=color, xerr=np.ptp(lost, axis=1) / 2 if "points" in title else None)
    axes.set(title=title)
panels[0].invert_yaxis()
plt.show()
for label, one, size, time in zip(labels, accuracies, kilobytes, seconds.values(), strict=True):
    print(f"{label:12} prune only {one[:, 0].mean():5.1f} %, trained on {one[:, 1].mean():5.1f} %, "
          f"{size:5.1f} kB, {1000 * time:.2f} ms")

# %% [markdown]
# Who loses most before training on, and who after it? Where is the shortest bar of each panel? (Half of the
# filters of both layers leave a quarter of the second one's weights.) Images of 4×4 and 2×2 pixels are small
# for a sparse product; the files don't mind.
#
# ## 7. Surgery
#
# To cut a filter out is to find all that goes with it: its entries in batch norm, the inputs of the next
# layer, behind a flatten several of them, in a sum of branches the channels of the other branch. The graph
# knows.

# %%
model = compress.prepare(copy.deepcopy(cnns[0]), {"conv2": compress.Prune(0.5, pattern="filter")}, x[:256])
print(compress.channel_groups(model, x[:2]))

# %% [markdown]
# A filter of zeros makes a channel of zeros. But then comes batch norm, $\gamma\,(0 - \mu)/\sigma + \beta$,
# and ReLU: a *constant*, the same in every image, that the next layer reads. After some training on, $\mu$ is
# 0, and $\mathrm{relu}(\beta)$ is left. Cut the channel out, and that leaks away; unless
# $\mathrm{relu}(\beta)\sum K$ goes into what the next layer adds. At the border of an image a convolution
# pads with zeros, where the constant was not: that can't be repaired.
#
# **Before you run the cell:** of the filters that are pruned, and not trained on, what percent leaves a
# constant other than 0? (Batch norm makes channels of mean $\beta$ and deviation $\gamma$, and 0 lies where
# it lies.)

# %%
yours = None

plain = compress.unprepare(copy.deepcopy(model))
zero, norm = ~plain.conv2.weight.data.any(axis=(1, 2, 3)), plain.bn2
leak = norm.bias.data - norm.weight.data * norm.running_mean / np.sqrt(norm.running_var + norm.eps)
compare("dead filters that leave a constant, %", 100 * np.mean(leak[zero] > 0), yours)
deaf = copy.deepcopy(plain)
deaf.conv3.weight.data[:, zero] = 0  # as if they had been cut out, and nothing else
small = compress.compact(model, x[:2])
print(small.surgery)
with nn.no_grad():
    wanted, naive, folded = (one.eval()(nn.Tensor(digits.x_test)).data for one in (plain, deaf, small))
print(f"logits differ by up to {np.abs(naive - wanted).max():.2f} if the constants leak away, by "
      f"{np.abs(folded - wanted).max():.2f} if they are folded in; accuracy masked {accuracy(plain):.1f} %, "
      f"leaking {accuracy(deaf):.1f} %, folded {accuracy(small):.1f} %")

# %% [markdown]
# Or without masks at all: `prune_channels` takes the least channels, each with the sum of all that goes with
# it, until half of the multiply-adds are left, in all layers. Batch norm's statistics are those of another
# network now; measuring them anew costs one pass: does it help every time? The rival has the same sizes,
# random weights and all the epochs.

# %%
for seed, network in enumerate(cnns):
    small = compress.prune_channels(network, x[:2], macs=0.5, multiple=4)
    said = [accuracy(small), accuracy(compress.recalibrate(small, x)),
            accuracy(train(small, TUNE // 2, 3e-3, seed))]
    widths = tuple(len(getattr(small, name).weight.data) for name in ("conv1", "conv2", "conv3"))
    rival = train(nn.models.DigitsCNN(widths, np.random.default_rng(seed)), BASE, 1e-2, seed, decay=1e-3)
    said.append(accuracy(train(rival, TUNE // 2, 3e-3, seed)))
    what = ("cut", "recalibrated", "trained on", "from scratch")
    print(f"{widths}: " + ", ".join(f"{how} {a:.1f} %" for how, a in zip(what, said, strict=True)))

# %% [markdown]
# ## 8. The rival
#
# The network of section 5 is *large and sparse*. With the same bytes and the same epochs one can train a
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
# Did pruning earn its place *on this network*, and did surgery on that of section 7? The curve of the rival
# is the honest baseline, and it is seldom drawn. (Liu et al. 2019, "Rethinking the Value of Network Pruning",
# drew it for structured pruning.) The answer depends on the network: exercise 4 asks it for convolutions.
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *Half a byte.* Draw the left figure of section 3 for 4-bit weights. From what sparsity on does CSR save
#    anything? Which form would you choose at 50 %?
# 2. *The other schedule.* `compress.Cubic` (Zhu & Gupta 2017) prunes $s(t) = s_f\,(1 - (1-t)^3)$. What part
#    of it is done at half time? Where does it lie in section 5 between `once` and `in rounds`?
# 3. *Back from the dead.* Train with Adam, set small weights and from then on their gradients to 0, and draw
#    where they go. Derive $\sum r^i$ for `nn.optim.SGD(..., momentum=0.9)`; and with weight decay?
# 4. *Convolutions.* Do section 8 with `nn.models.digits_cnn` at 90 %, leaving `conv1` whole. Which one wins
#    there, and why might that be?
# 5. *A score of your own.* A class with `saliency(self, w, context)` is one: `compress/pruning/score.py`
#    shows how. Does the largest $|w|\cdot\sqrt{\overline{x^2}}$ beat magnitude in section 5? And in section
#    2?
# 6. *Why pruning works.* Train section 5 without weight decay. What becomes of `prune only`?
# 7. *What is left?* Draw how many weights of `networks[0, 0.95].fc1` read each pixel, beside the mean digit.
#    What does `compress.compact` cut out of that network?
#
# Assignment 6, `pruning`, has you write the mask, the schedule and the three curves.

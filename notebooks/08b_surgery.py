# %% [markdown]
# # Surgery: what does it cost to lose a weight, or a filter?
#
# Chapter 08 leaves out the weights of least magnitude. But is the smallest weight the one that matters least?
# We derive what a weight costs, four ways, and try *all* choices where there are few enough to try. Then
# whole filters go: no zeros are stored or multiplied any more, since a smaller network is left; all that goes
# with a filter has to be found, and what it leaves behind in the next layer has to be made good.
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
from nn.explain import BLUE, DARK, FAST, GREEN, GREY, ORANGE, Guesses, style, ticks

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
panels[1].legend(frameon=False)
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
# ## 3. Many weights at once
#
# What is left of a network of 300 and 100 hidden units, if it is pruned and *not* trained any more? The last
# layer stays whole: it has 2 % of the weights and makes the answer.
#
# **Before you run the cell:** with 95 % pruned, what accuracy is left by magnitude, in percent? And if the
# weights that stay are moved (OBS)?

# %%
yours_magnitude, yours_obs = None, None

base = train(nn.models.digits_mlp(rng=np.random.default_rng(0)), BASE, 1e-2, 0, decay=1e-3)
sparsities = [0.8, 0.9, 0.95, 0.98]


def pruned(sparsity, score):
    """Accuracy of a pruned copy; what a score asks of the loss, it asks on 300 training images."""
    recipe = {"*": compress.Prune(sparsity, score=score), "fc3": None}
    return accuracy(compress.prepare(copy.deepcopy(base), recipe, x[:300], targets=y[:300]))


by_score = {name: [pruned(sparsity, name) for sparsity in sparsities] for name in names}
compare("95 % pruned by magnitude: accuracy, %", by_score["magnitude"][2], yours_magnitude)
compare("95 % pruned by OBS: accuracy, %", by_score["obs"][2], yours_obs)

figure, axes = plt.subplots(figsize=(9, 4.4))
for (name, values), color in zip(by_score.items(), (GREY, ORANGE, GREEN, BLUE, DARK), strict=True):
    axes.plot(100 * (1 - np.array(sparsities)), values, "o-", color=color, label=name)
axes.axhline(accuracy(base), color="black", linewidth=1)
axes.legend(frameon=False, loc="lower left")
axes.set(xscale="log", xlabel="% of the weights left in fc1 and fc2", xlim=(25, 1.5),
         ylabel="test accuracy, %", ylim=(0, 100))
ticks(axes, x=[20, 10, 5, 2])
plt.show()

# %% [markdown]
# Without training, the score decides. Trained on, the choices come nearer to each other: chapter 08 does that
# for magnitude, and `espalier --curves` for all of them, at each sparsity.
#
# ## 4. Filters, blocks, two of four
#
# The fewer masks a pattern allows, the worse is the best of them; and the more regular they are, the less is
# said about positions. Here of the two large layers of a convolutional network, trained on with the same
# epochs: what each costs, and what it buys in its file and in the time of its Program. Whole filters are cut
# out by `compress.compact` (section 5), so that the next layer loses the inputs, too.
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
# ## 5. Surgery
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
# Did surgery earn its place *on this network*? (Liu et al. 2019, "Rethinking the Value of Network Pruning",
# drew the curve of the rival for many.)
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *A score of your own.* A class with `saliency(self, w, context)` is one: `compress/pruning/score.py`
#    shows how. Does the largest $|w|\cdot\sqrt{\overline{x^2}}$ beat magnitude in section 3? And in section
#    2?
# 2. *Labels that the model draws.* Where is the mean of $g$ no longer 0, and what does that do to Taylor and
#    to OBD? Rank the scores of section 2 before training, and after one epoch.
# 3. *Two at once.* Derive what it costs to prune weights $i$ and $j$ together, if the others move. When is it
#    the sum of the two prices? Check it on section 1.
# 4. *What may go together?* Prune every layer of section 5 by the same share, in place of the least of all.
#    Which network is better at half of the multiply-adds?
#
# Assignment 11, `surgeon`, has you write both scores, and hold their prices to what the loss does.

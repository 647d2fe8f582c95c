# %% [markdown]
# # Over-parameterisation: why train large, then cut?
#
# A network has many more weights than there are training images, and most of them can be removed
# afterwards. Then why not train a small one from the start? And should a model with more parameters than
# data not fail altogether? Here both questions are computed: the first on a problem small enough to be
# solved exactly, the second on the digits.
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.

# %%
import copy
import os
from functools import partial

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: for matrices this small, threads cost more

import matplotlib.pyplot as plt
import numpy as np

import nn
from nn.explain import BLUE, FAST, GREEN, GREY, ORANGE, Guesses, note, style, ticks

BASE, TUNE, SEEDS = (1, 1, 1) if FAST else (5, 5, 2)  # epochs from scratch, epochs after it, repetitions
style()
guesses = Guesses()
compare = guesses.compare

# %% [markdown]
# ## 1. Unknowns and equations
#
# Let the model be *linear in its parameters*: $f(x) = \sum_{p=1}^{P} c_p\,\varphi_p(x)$, with features
# $\varphi_p$ that are drawn once and stay: a network of one hidden layer of which only the last layer is
# trained. To fit $n$ samples means
#
# $$\Phi\, c = y, \qquad \Phi \text{ of shape } (n, P) .$$
#
# Every *sample* is an equation, every *parameter* an unknown. (Some lectures have it the other way round.)
#
# - $P < n$: more equations than unknowns. Least squares finds the nearest $c$.
# - $P = n$: exactly one solution, whatever it looks like.
# - $P > n$: infinitely many. Gradient descent that starts at $c = 0$ only ever adds rows of $\Phi$, so it
#   ends in $c = \Phi^\top a$: the solution of *least norm*, $c = \Phi^\top (\Phi \Phi^\top)^{-1} y$.
#
# Look at it first: 20 noisy points, fitted with 8, 20 and 2000 waves of random frequencies,
# $\varphi_p(x) = \cos(w_p x + b_p)$.

# %%
rng = np.random.default_rng(2)
points = np.linspace(-0.95, 0.95, 20) + rng.uniform(-0.03, 0.03, 20)
noisy = np.sin(4 * points) + 0.15 * rng.standard_normal(20)
line = np.linspace(-1, 1, 600)
frequencies = 4 * rng.standard_cauchy(2000)  # many low, some very high
phases = rng.uniform(0, 2 * np.pi, 2000)


def waves(x, count):
    """The first `count` features of each x."""
    return np.cos(x[:, None] * frequencies[:count] + phases[:count]) / np.sqrt(count)


figure, panels = plt.subplots(1, 3, figsize=(13, 3.8), sharey=True)
for axes, count in zip(panels, (8, 20, 2000), strict=True):
    c = np.linalg.lstsq(waves(points, count), noisy, rcond=None)[0]  # least squares; of least norm if P > n
    axes.plot(line, np.sin(4 * line), color=GREY, linestyle=":")
    axes.plot(line, waves(line, count) @ c, color=BLUE)
    axes.plot(points, noisy, "o", color=ORANGE)
    axes.set(title=f"{count} features", ylim=(-2.2, 2.2), xlabel="x")
plt.show()

# %% [markdown]
# The dotted line is the truth. The model with as many unknowns as equations goes through all points, and
# pays for it in between; the one with a hundred times as many goes through all points, too.
#
# ## 2. Double descent
#
# Now the digits, with features $\varphi_p(x) = \max(0, w_p^\top x)$: 300 training images, one in ten with a
# *wrong* label, and the 360 test images with right ones. The ten classes are ten columns of $y$, the same
# $\Phi$ for all.
#
# **Before you run the cell:** from how many features on is every training image fitted exactly, wrong
# labels included? At which number of features is the *test* error the largest? And how large is it with
# 4000 features, in percent?

# %%
yours_fitted, yours_worst, yours_large = None, None, None

digits = nn.data.digits()
n = 300
pick = np.random.default_rng(0).permutation(len(digits.x_train))[:n]
x, y = digits.x_train[pick], digits.y_train[pick].copy()
wrong = np.random.default_rng(1).random(n) < 0.1
y[wrong] = (y[wrong] + np.random.default_rng(2).integers(1, 10, wrong.sum())) % 10
center = x.reshape(n, 64).mean(axis=0)
counts = np.array([10, 30, 60, 100, 150, 200, 250, 280, 295, 300, 305, 320, 350, 400, 500, 700, 1000, 2000,
                   4000])


def features(images, seed):
    w = np.random.default_rng(seed).standard_normal((64, counts[-1]))
    return np.maximum(0, (images.reshape(-1, 64) - center) @ w) / 8


def wrong_share(scores, classes):
    return 100 * np.mean(scores.argmax(axis=1) != classes)


train_error, test_error, norms, residual = np.zeros((4, 1 if FAST else 3, len(counts)))
for seed in range(len(norms)):
    A, B = features(x, seed), features(digits.x_test, seed)
    for i, count in enumerate(counts):
        c = np.linalg.lstsq(A[:, :count], np.eye(10)[y], rcond=None)[0]
        train_error[seed, i] = wrong_share(A[:, :count] @ c, y)
        test_error[seed, i] = wrong_share(B[:, :count] @ c, digits.y_test)
        norms[seed, i] = np.linalg.norm(c)
        residual[seed, i] = np.abs(A[:, :count] @ c - np.eye(10)[y]).max()
exact = residual.max(axis=0) < 1e-6
compare("features that fit everything exactly", counts[exact.argmax()], yours_fitted, theory=n)
compare("features with the largest test error", counts[test_error.mean(axis=0).argmax()], yours_worst,
        theory=n)
compare("test error with 4000 features, %", test_error[:, -1].mean(), yours_large)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4.4))
left.semilogx(counts, test_error.mean(axis=0), "o-", color=ORANGE)
left.semilogx(counts, train_error.mean(axis=0), "s-", color=BLUE)
note(left, "test", (counts[-1], test_error[:, -1].mean()), color=ORANGE)
note(left, "train", (counts[-1], train_error[:, -1].mean()), color=BLUE)
left.set(title="wrong, %", xlabel="features", xlim=(8, 9000))
right.loglog(counts, norms.mean(axis=0), "o-", color=GREEN)
right.set(title="norm of the coefficients", xlabel="features", xlim=(8, 9000))
for axes in (left, right):
    axes.axvline(n, color=GREY, linestyle=":")
    ticks(axes, x=[10, 100, 300, 1000, 4000])
plt.show()

# %% [markdown]
# Textbooks stop at the dotted line, where there are as many features as images. Beyond it the error comes
# down a second time (Belkin, Hsu, Ma & Mandal 2019). The right picture says why.
#
# *At* the line a square matrix is inverted, and its smallest singular value is nearly 0: what is wrong in
# the labels comes out enlarged. *Beyond* it the norm can only fall: the features of $P$ are among those of
# $P + 1$, so the solution with $P$, and a zero, is also one with $P + 1$; the least norm of all of those is
# no larger. And between two images the answer changes by at most
# $\lVert c \rVert \cdot \lVert \varphi(x) - \varphi(x') \rVert$ (Cauchy & Schwarz): a small norm is a calm
# function. More parameters leave more functions to choose from, and a calmer one among them.
#
# Is the peak a law of nature? **Before you run the cell:** add a penalty,
# $\lVert \Phi c - y \rVert^2 + \lambda \lVert c \rVert^2$ (weight decay), with the $\lambda$ that is best
# on held-out training images. What is the test error with 300 features now, in percent?

# %%
yours = None

held_out = np.setdiff1d(np.arange(len(digits.x_train)), pick)[:300]
A, B, C = (features(images, 0) for images in (x, digits.x_test, digits.x_train[held_out]))
penalties, decayed = 10.0 ** np.arange(-4, 4), []
for count in counts:
    u, s, vt = np.linalg.svd(A[:, :count], full_matrices=False)
    ways = [vt.T @ ((s / (s**2 + penalty))[:, None] * (u.T @ np.eye(10)[y])) for penalty in penalties]
    best = min(ways, key=lambda c: wrong_share(C[:, :len(c)] @ c, digits.y_train[held_out]))
    decayed.append(wrong_share(B[:, :count] @ best, digits.y_test))
compare("300 features, with decay: test error, %", decayed[list(counts).index(n)], yours)

figure, axes = plt.subplots(figsize=(9, 4.2))
axes.semilogx(counts, test_error[0], "o-", color=ORANGE)
axes.semilogx(counts, decayed, "^-", color=BLUE)
note(axes, "least norm", (320, 60), (14, 0), color=ORANGE)
note(axes, "with the best decay", (100, 3), color=BLUE)
axes.set(xlabel="features", ylabel="test error, %", ylim=(0, 100))
ticks(axes, x=[10, 100, 300, 1000, 4000])
plt.show()

# %% [markdown]
# So the peak is what happens without regularisation (Nakkiran et al. 2021), and the lesson of the right end
# stands with it and without it: *more features than needed do no harm*.
#
# ## 3. The same for networks?
#
# A network trains its features, too. One hidden layer of 2 … 512 units, the same 300 images with their
# wrong labels, Adam, as many epochs for all. $10 \cdot 300$ equations: the dotted line is where there are
# as many weights.
#
# **Before you run the cell:** is the network with 512 units better or worse on the test images than the one
# with 32, and by how many points of error (512 less 32)?

# %%
yours = None

units, found = [2, 4, 8, 16, 32, 64, 128, 256, 512], []
for width in units:
    rows = []
    for seed in range(1 if FAST else 2):
        draw = np.random.default_rng(seed)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, width, rng=draw), nn.ReLU(),
                              nn.Linear(width, 10, rng=draw))
        nn.train.fit(model, x, y, epochs=40 if FAST else 100, rng=draw, progress=False,
                     optimizer=nn.optim.Adam(model.parameters(), lr=3e-3))
        parts = (x, y), (digits.x_test, digits.y_test)
        rows.append([100 - 100 * nn.train.accuracy(model, *part) for part in parts])
    found.append(np.mean(rows, axis=0))
found = np.array(found)
compare("512 units less 32: test error, points", found[-1, 1] - found[units.index(32), 1], yours)

sizes = 65 * np.array(units) + 10 * (np.array(units) + 1)
figure, axes = plt.subplots(figsize=(9, 4.2))
for values, name, color, marker in zip(found.T, ("train", "test"), (BLUE, ORANGE), "so", strict=True):
    axes.semilogx(sizes, values, marker + "-", color=color)
    note(axes, name, (sizes[-1], values[-1]), (6, 8), color=color)
axes.axvline(10 * n, color=GREY, linestyle=":")
axes.set(xlabel="weights", ylabel="wrong, %", ylim=(0, None), xlim=(sizes[0] / 1.3, sizes[-1] * 2))
plt.show()

# %% [markdown]
# The small networks can't fit the training images in this time, the large ones fit even the wrong labels.
# Where is the peak? (One reason: Adam stops long before it would have found the solution of least error,
# and that acts like a penalty.) That large networks are easy to train, and not much the worse for being
# large, is the first half of the answer to "why train large".
#
# ## 4. Large, then cut; or small from scratch?
#
# The second half. On all training images, the convolutional network:
#
# - **large, then cut**: train it, remove the smallest weights of all layers but the first, train what is
#   left;
# - **small**: a dense network with as many weights, from scratch, as many epochs in all.

# %%
CUT = ("conv2", "conv3", "fc")


def train(model, epochs, rate, seed, masks=None, decay=0.0):
    """Adam at a falling rate; `masks` by layer are applied again after every step."""

    def mask_again(step, loss):
        for name, mask in (masks or {}).items():
            layer = getattr(model, name)
            layer.weight.data = layer.weight.data * mask

    mask_again(0, None)
    optimizer = nn.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    nn.train.fit(model, digits.x_train, digits.y_train, epochs=epochs, optimizer=optimizer,
                 on_step=mask_again, rng=np.random.default_rng(seed), schedule=nn.train.cosine,
                 progress=False)
    return model


def whole(model, seed, masks=None):
    """All epochs, from scratch."""
    train(model, BASE, 1e-2, seed, masks, decay=2e-2)
    return accuracy(train(model, TUNE, 3e-3, seed, masks))


def accuracy(model):
    """Percent of the test images."""
    return 100 * nn.train.accuracy(model, digits.x_test, digits.y_test)


def masks_of(model, sparsity):
    """1 for the largest |w| of each layer, exactly so many."""
    masks = {}
    for name in CUT:
        w = getattr(model, name).weight.data
        masks[name] = np.ones(w.size, np.float32)
        masks[name][np.argsort(np.abs(w), axis=None, kind="stable")[:round(sparsity * w.size)]] = 0
        masks[name] = masks[name].reshape(w.shape)
    return masks


# %% [markdown]
# **Before you run the cell:** 97 % are removed. Which one is better on the test images, and by how many
# points (cut less small)?

# %%
yours = None

sparsities, results, left = [0.8, 0.9, 0.97], {"large": [], "cut": [], "small": []}, []
bases = [train(nn.models.digits_cnn(rng=np.random.default_rng(seed)), BASE, 1e-2, seed, decay=2e-2)
         for seed in range(SEEDS)]
for seed, base in enumerate(bases):
    results["large"].append(accuracy(train(copy.deepcopy(base), TUNE, 3e-3, seed)))
    for sparsity in sparsities:
        masks = masks_of(base, sparsity)
        weights = sum(p.size for p in base.parameters()) - sum((mask == 0).sum() for mask in masks.values())
        left.append(weights)
        results["cut"].append(accuracy(train(copy.deepcopy(base), TUNE, 3e-3, seed, masks)))
        make = partial(nn.models.digits_cnn, rng=np.random.default_rng(seed))  # of a width
        small = nn.models.nearest(make, weights)
        results["small"].append(whole(small, seed))
means = {name: np.reshape(values, (SEEDS, -1)).mean(axis=0) for name, values in results.items()}
compare("97 %: cut less small, points", means["cut"][-1] - means["small"][-1], yours)

figure, axes = plt.subplots(figsize=(9, 4.2))
for name, color, marker, told in (("cut", BLUE, "^", "large, then cut"),
                                  ("small", GREEN, "o", "small from scratch")):
    axes.semilogx(left[:3], means[name], marker + "-", color=color)
    note(axes, told, (left[2], means[name][-1]), (-10, 0), color=color, ha="right")
axes.axhline(means["large"][0], color="black", linewidth=1)
note(axes, "large", (left[0], means["large"][0]), (0, 5), ha="right")
axes.set(xlabel="weights", ylabel="test accuracy, %", xlim=(800, 16_000))
ticks(axes, x=[1000, 2000, 5000, 10_000])
plt.show()

# %% [markdown]
# One image is 0.28 points, and there are few repetitions here; `python -m compress --seeds 8` runs the
# ledger's version with equal *bytes*. For fully connected layers the small network does as well (notebook
# 08).
#
# ## 5. The mask, or the weights?
#
# What does the large network know that the small one does not: *which* weights to keep, or *what values*
# they have? Take the mask of 97 %, and train it alone, from scratch, for all epochs: once from the values
# that these weights began with ("a lottery ticket", Frankle & Carbin 2019), and once from new random ones.
#
# **Before you run the cell:** sort the four: cut, ticket, mask with new values, small dense. By how many
# points is the ticket better than the new values?

# %%
yours = None

four = {"large, then cut": [], "mask, first values": [], "mask, new values": [], "small, dense": []}
for seed, base in enumerate(bases):
    masks, at = masks_of(base, sparsities[-1]), 3 * seed + 2
    four["large, then cut"].append(results["cut"][at])
    for name, first in (("mask, first values", seed), ("mask, new values", 100 + seed)):
        four[name].append(whole(nn.models.digits_cnn(rng=np.random.default_rng(first)), seed, masks))
    four["small, dense"].append(results["small"][at])
means = {name: np.mean(values) for name, values in four.items()}
compare("ticket less new values, points", means["mask, first values"] - means["mask, new values"], yours)

figure, axes = plt.subplots(figsize=(9, 3.4))
for i, (name, values) in enumerate(four.items()):
    axes.plot(values, [i] * len(values), "|", color=GREY, markersize=18, markeredgewidth=2)
    axes.plot(np.mean(values), i, "o", color=BLUE if "small" not in name else GREEN, markersize=11)
axes.set(yticks=range(4), yticklabels=list(four), xlabel="test accuracy, % (bars: the single runs)")
axes.invert_yaxis()
axes.margins(y=0.2)
plt.show()

# %% [markdown]
# What beats `small, dense` with *new* values owes it to the mask: the shape that the large network has
# found. What only `large, then cut` reaches is in the values. Two repetitions settle nothing; exercise 4
# makes more of them.
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *Right labels.* Draw section 2 without wrong labels. What remains of the peak? And with 100 images in
#    place of 300: where is it?
# 2. *Descent.* Run gradient descent from $c = 0$ with 1000 features until it fits, and compare with
#    `lstsq`. Start it elsewhere: by what does its end differ? (Split the start into a part in the rows of
#    $\Phi$ and a rest.)
# 3. *Nested.* Draw new features for every count in place of the first ones of the same list. Does the norm
#    still never rise? Which step of the proof fails?
# 4. *Is it luck?* Run section 5 with 8 seeds and say for which differences zero lies outside the range of
#    the seeds.
# 5. *Cut at random.* A mask of 97 % at random in place of the smallest: where would it stand in section 5?
#
# Notebook 08 derives what was cut here, and assignment 6, `pruning`, has you write it.

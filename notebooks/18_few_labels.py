# %% [markdown]
# # Few labels: what can be learned from images that have none?
#
# Images are cheap, and labels are work. With two labels of each digit, what are the other thousand images
# good for? Three answers stand here beside the two that need no more images (changed images, mixed images):
# learn to see that two views are of one image; learn to fill in what is hidden; or let a network that has
# learned from the few label the many.
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.

# %%
import copy
import math
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import matplotlib.pyplot as plt
import numpy as np

import nn
from nn.data.augment import Compose, Mixup, Noise, Rotate, Shift
from nn.explain import BLUE, FAST, GREEN, GREY, ORANGE, Guesses, note, style
from nn.functional import nt_xent
from nn.pretraining import Contrastive, Masks, Reconstruction, Views, contrastive_loss, reconstruction_loss

SEEDS, STEPS, EPOCHS = (1, 20, 2) if FAST else (2, 150, 30)
style()
guesses = Guesses()
compare = guesses.compare
digits = nn.data.digits().validation_split()  # the test images stay for the command at the end

# %% [markdown]
# ## 1. Views
#
# A digit that is moved by a pixel or turned a little is the same digit. Whoever says so has said something
# about all images at once, without looking at one of them: that is knowledge, as labels are, and it is what
# pre-training by views lives on. Too little change, and two views match pixel by pixel; too much, and a view
# is not of its class any more (what happens to a 6 that is turned by 180°?).
#
# **Before you run the cell:** a pixel of a digit moves by up to one place across and one down, each of −1, 0,
# 1 as likely. How often are both views of an image moved by the same?

# %%
yours = None

WEAK = Compose((Shift(1), Rotate(15)))
STRONG = Compose((Shift(1), Rotate(25), Noise(0.1)))
many = np.broadcast_to(digits.x_train[:1], (4000, 1, 8, 8))
views, _ = Views(Shift(1))(many, np.zeros(4000, int), np.random.default_rng(0))
compare("share of pairs that are moved alike", (views[:, 0] == views[:, 1]).all((1, 2, 3)).mean(), yours,
        theory=1 / 9)

shown, _ = Views(STRONG)(digits.x_train[:10], digits.y_train[:10], np.random.default_rng(1))
figure, panels = plt.subplots(3, 10, figsize=(11, 3.6))
rows = (digits.x_train[:10], shown[:, 0], shown[:, 1])
for line, images, title in zip(panels, rows, ("image", "a view", "another"), strict=True):
    for axes, image in zip(line, images, strict=True):
        axes.imshow(image[0], cmap="gray_r", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
    line[0].set_ylabel(title, rotation=0, ha="right", va="center")
plt.show()

# %% [markdown]
# ## 2. The loss
#
# $N$ images make $2N$ views. For each there is one other of the same image, and $2N - 2$ of other images.
# Let $s(i,k)$ be the cosine of two outputs. Then (Chen et al. 2020, eq. 1)
#
# $$\ell_i = -\log \frac{e^{s(i,j)/\tau}}{\sum_{k \ne i} e^{s(i,k)/\tau}}$$
#
# is a cross-entropy: which of the $2N - 1$ others is my partner? Chance has $\log(2N - 1)$. And the best
# there is? If partners agree, and all others are orthogonal, as is possible where there is room,
#
# $$\ell = \log\left(1 + (2N - 2)\, e^{-1/\tau}\right) .$$
#
# It is not 0: cosines end at 1, so the temperature $\tau$ says how sure one can be.
#
# **Before you run the cell:** with $N = 256$, what is chance, and what is that best for $\tau = 0.5$? For
# $\tau = 0.1$?

# %%
yours_chance, yours_half, yours_tenth = None, None, None

N = 256
rng = np.random.default_rng(0)
noise = rng.standard_normal((2, N, 4096)).astype(np.float32)
compare("of random outputs", nt_xent(noise[0], noise[1], 0.5).item(), yours_chance, theory=np.log(2 * N - 1))
same = np.eye(N, dtype=np.float32)
for temperature, yours in ((0.5, yours_half), (0.1, yours_tenth)):
    compare(f"of perfect outputs, τ = {temperature}", nt_xent(same, same, temperature).item(), yours,
            theory=np.log1p((2 * N - 2) * np.exp(-1 / temperature)))

# %% [markdown]
# What does the temperature do to the gradient? Each other view pushes by its share of the softmax. At a low
# temperature the nearest push, at a high one all alike; and the nearest are often of the same class. Let the
# cosines be normal, with standard deviation $\sigma$. Weighted by $e^{s/\tau}$ they are normal again, with
# the mean $\sigma^2/\tau$ (derive it): the nearest tenth have $\Phi(\sigma/\tau - 1.28)$ of the push.
#
# **Before you run the cell:** $\sigma$ is 0.2. How much of the push have the nearest tenth, at $\tau = 0.5$?
# At $\tau = 0.1$?

# %%
yours_half, yours_tenth = None, None

cosines = np.sort(0.2 * rng.standard_normal(51_000))[::-1]
figure, axes = plt.subplots(figsize=(9, 4))
for temperature, colour, yours in ((0.5, BLUE, yours_half), (0.1, ORANGE, yours_tenth)):
    share = np.exp(cosines / temperature)
    share = np.cumsum(share) / share.sum()
    compare(f"the nearest tenth, τ = {temperature}", share[len(share) // 10], yours,
            theory=(1 + math.erf((0.2 / temperature - 1.2816) / 2**0.5)) / 2)
    axes.plot(np.linspace(0, 1, len(share)), share, color=colour, label=f"τ = {temperature}")
axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="all alike")
axes.set(xlabel="views of other images, the nearest first", ylabel="share of the push")
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# ## 3. Pre-train
#
# On the network goes a small head, which is thrown away afterwards: what the loss makes its input forget (by
# how much was it turned?) may be of use later. Filling in hidden patches needs another head, and no pairs.

# %%
def network(seed):
    return nn.models.digits_cnn(rng=np.random.default_rng(seed))


def pretrain(joined, augment, loss, batch, epochs, seed):
    optimizer = nn.optim.Adam(joined.parameters(), lr=3e-3)
    return nn.train.fit(joined, digits.x_train, digits.y_train, epochs=epochs, batch_size=batch,
                        optimizer=optimizer, augment=augment, loss=loss, schedule=nn.train.cosine,
                        rng=np.random.default_rng(seed), progress=False)


def contrastive(seed):
    model = network(seed)
    joined = Contrastive(model, 256, rng=np.random.default_rng([seed, 1]))
    return model, pretrain(joined, Views(STRONG), contrastive_loss(0.5), 256, EPOCHS, seed)


def masked(seed):
    model = network(seed)
    joined = Reconstruction(model, 256, (1, 8, 8), rng=np.random.default_rng([seed, 1]))
    return model, pretrain(joined, Masks(2, 0.5), reconstruction_loss, 64, EPOCHS // 2, seed), joined


pairs, fillers = [contrastive(seed) for seed in range(SEEDS)], [masked(seed) for seed in range(SEEDS)]
losses = [epoch.loss for epoch in pairs[0][1]]
figure, axes = plt.subplots(figsize=(9, 4))
axes.plot(range(1, len(losses) + 1), losses, "o-", color=BLUE, markersize=4)
best = np.log1p(510 * np.exp(-2))
for value, text in ((np.log(511), "chance"), (best, "partners agree, others are orthogonal")):
    axes.axhline(value, color=GREY, linewidth=1)
    note(axes, text, (1, value), (0, 5))
axes.set(xlabel="epoch", title="the loss of pairs, τ = 0.5")
plt.show()

images, targets = Masks(2, 0.5)(digits.x_test[:8], digits.y_test[:8], np.random.default_rng(0))
made = fillers[0][2].eval()(nn.Tensor(images)).data
figure, panels = plt.subplots(3, 8, figsize=(9, 3.6))
for line, row, title in zip(panels, (images, made, targets[:, 0]), ("hidden", "made", "image"), strict=True):
    for axes, image in zip(line, row, strict=True):
        axes.imshow(image[0], cmap="gray_r", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
    line[0].set_ylabel(title, rotation=0, ha="right", va="center")
plt.show()

# %% [markdown]
# ## 4. Then a few labels
#
# Six ways to a network, with as many steps on the labelled images for all: nothing else; changed images;
# mixed images (Zhang et al. 2018); pre-trained in the two ways, then with changed images; and *distilled*:
# the network of changed images labels every image with its probabilities, and a new one learns from those.
#
# **Before you run the cell:** with 20 labels, two of each digit, how many points does each of the last three
# win over changed images alone? One may well lose. (Points, of 287 held-out images.)

# %%
yours_pairs, yours_filled, yours_distilled = None, None, None
LABELS = (10, 20, 50)


def tune(model, x, y, steps, seed, augment):
    batch = min(64, len(x))
    loss = None if y.ndim == 1 else nn.functional.cross_entropy
    nn.train.fit(model, x, y, epochs=-(-steps // -(-len(x) // batch)), batch_size=batch, loss=loss,
                 optimizer=nn.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-2), augment=augment,
                 schedule=nn.train.cosine, rng=np.random.default_rng(seed), progress=False)
    return 100 * nn.train.accuracy(model, digits.x_test, digits.y_test)


def labelled(labels, seed):
    rng, y = np.random.default_rng([seed, labels]), digits.y_train
    return np.concatenate([rng.permutation(np.flatnonzero(y == one))[:labels // 10] for one in range(10)])


found = {}
for seed in range(SEEDS):
    for labels in LABELS:
        rows = labelled(labels, seed)
        x, y = digits.x_train[rows], digits.y_train[rows]
        ways = {"nothing": (network(seed), None), "augmentation": (network(seed), WEAK),
                "mixup": (network(seed), Mixup(10)), "pairs": (copy.deepcopy(pairs[seed][0]), WEAK),
                "filled in": (copy.deepcopy(fillers[seed][0]), WEAK)}
        for name, (start, augment) in ways.items():
            found[name, labels, seed] = tune(start, x, y, STEPS, seed, augment)
        with nn.no_grad():
            said = ways["augmentation"][0].eval()(nn.Tensor(digits.x_train))
        soft, student = nn.functional.softmax(said, 1).data, network(seed + 100)
        found["distilled", labels, seed] = tune(student, digits.x_train, soft, STEPS, seed, WEAK)

# %%
METHODS = ("nothing", "augmentation", "mixup", "pairs", "filled in", "distilled")
COLOURS = ("black", GREY, "#999933", BLUE, GREEN, ORANGE)
mean = {(name, labels): np.mean([found[name, labels, seed] for seed in range(SEEDS)])
        for name in METHODS for labels in LABELS}
figure, axes = plt.subplots(figsize=(9, 4.8))
for name, colour, marker in zip(METHODS, COLOURS, "osD^vP", strict=True):
    axes.plot(LABELS, [mean[name, labels] for labels in LABELS], marker=marker, color=colour, label=name)
axes.set(xscale="log", xlabel="labels (log scale)", ylabel="accuracy on held-out images, %")
axes.set_xticks(LABELS, LABELS)
axes.set_xticks([], minor=True)
axes.legend(frameon=False, loc="lower right")
plt.show()
for name, yours in (("pairs", yours_pairs), ("filled in", yours_filled), ("distilled", yours_distilled)):
    compare(f"{name}: points over augmentation, 20 labels", mean[name, 20] - mean["augmentation", 20], yours)

# %% [markdown]
# A seed is also a draw of 20 images, and which ones are drawn moves the accuracy by points. So a claim needs
# differences of equal seeds, and more of them than a notebook has time for: `espalier --few-labels` takes
# eight, on the test images, with their standard errors.
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *A batch of one.* What is the loss of one image's two views? What could be learned from it? Try it.
# 2. *Small batches.* Pre-train with batches of 16 and as many epochs. Is it worse because there are fewer
#    others, or better because there are more steps? Separate the two.
# 3. *Wrong views.* Turn by up to 180°, or flip left and right. Which digits suffer, and with how many labels?
# 4. *The head.* Leave it out: `Contrastive(model, 256, head=nn.Identity())`. What does that cost?
# 5. *Twice.* Let the student of section 4 be the next teacher. How often does it still win? And why does a
#    student win at all, if its teacher is all that it ever hears of?

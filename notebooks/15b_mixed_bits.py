# %% [markdown]
# # Few bits in a network: which layer bears how few?
#
# Chapter 15 asked what a bit of a weight buys in bytes and in time. Here a network pays for it: how many
# digits does it still read with 4, 3, 2 bits, and if the layers share a budget of bytes, who gets them?
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.

# %%
import copy
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: for matrices this small, threads cost more

import matplotlib.pyplot as plt
import numpy as np

import compress
import nn
from compress.sensitivity import cross_entropy
from nn.explain import BLUE, FAST, ORANGE, Guesses, note, style, ticks

EPOCHS, NETWORKS = (4, 1) if FAST else (15, 2)
style()
guesses = Guesses()
compare = guesses.compare

# %% [markdown]
# ## 1. Accuracy: the nearest code, or the right one
#
# To round each weight to its nearest code makes the error of the *weights* least. What counts is what the
# layer computes, $\lVert W X - \hat W X \rVert$ on its inputs $X$: GPTQ (Frantar et al. 2023) rounds one
# column after the other, and moves those that are not rounded yet so that they make good what was lost
# (optimal brain surgery). It needs a few hundred inputs, and no training.
#
# **Before you run the cell:** in floats the digits' network reads more than nine in ten. What percentage does
# it read with weights of 3 bits, rounded to the nearest? Of 2 bits? And of 2 bits by GPTQ? Activations: 8.

# %%
yours_three, yours_two, yours_gptq = None, None, None

digits = nn.data.digits()
cut = len(digits.x_train) - 360  # the rest is held out from training, to choose by in section 2
x, y = digits.x_train[:cut], digits.y_train[:cut]
held, held_y = digits.x_train[cut:], digits.y_train[cut:]


def train(seed):
    """A network for digits, by Adam with a rate that falls along half a cosine."""
    model = nn.models.digits_cnn(rng=np.random.default_rng(seed))
    optimizer = nn.optim.Adam(model.parameters(), lr=1e-2)
    nn.train.fit(model, x, y, epochs=EPOCHS, optimizer=optimizer, rng=np.random.default_rng(seed),
                 schedule=nn.train.cosine, progress=False)
    return model.eval()


def small(model, recipe):
    """The Program of a copy, its weights as the recipe says."""
    return compress.convert(compress.prepare(copy.deepcopy(model), recipe, x[:512]).eval(), x[:512])


def accuracy(program):
    """Percent of the test images."""
    return 100 * np.mean(program(digits.x_test).argmax(axis=1) == digits.y_test)


networks = [train(seed) for seed in range(NETWORKS)]
floats = np.mean([accuracy(compress.convert(network, x[:512])) for network in networks])
METHODS = {"nearest": compress.Quantize, "GPTQ": compress.GPTQ}
FORMS = ("binary", "int2", "int3", "int4", "int8", "ternary", "pow2")[:4 if FAST else 7]
scores = {(how, form): np.array([accuracy(small(network, method(weights=form))) for network in networks])
          for how, method in METHODS.items() for form in FORMS}
print(f"floats {floats:.1f} %" + "".join(f"{form:>10}" for form in FORMS))
for how in METHODS:
    print(f"{how:12}" + "".join(f"{scores[how, form].mean():10.1f}" for form in FORMS))
compare("3 bits, nearest: accuracy, %", scores["nearest", "int3"].mean(), yours_three)
compare("2 bits, nearest: accuracy, %", scores["nearest", "int2"].mean(), yours_two)
compare("2 bits, GPTQ: accuracy, %", scores["GPTQ", "int2"].mean(), yours_gptq)

# %%
figure, axes = plt.subplots(figsize=(9, 4.4))
for how, colour, marker in (("nearest", ORANGE, "s"), ("GPTQ", BLUE, "o")):
    means = [scores[how, form].mean() for form in FORMS[:5]]
    axes.plot(means, color=colour)
    for i, form in enumerate(FORMS):
        place = i + 0.5 * (i > 4)
        axes.plot(np.full(NETWORKS, place), scores[how, form], marker, color=colour, alpha=0.7)
    note(axes, how, (1, means[1]), (12, -16), color=colour)
axes.axhline(floats, color="black", linewidth=1)
note(axes, "floats", (len(FORMS) - 1, floats), (0, 7), ha="right")
axes.set(xticks=[i + 0.5 * (i > 4) for i in range(len(FORMS))], xticklabels=FORMS, ylim=(0, 104),
         title=f"test accuracy, %, not trained further ({NETWORKS} network{'s' * (NETWORKS > 1)})")
plt.show()

# %% [markdown]
# One test image is 0.28 points: what differs by less than a few of them is not known to differ.
#
# ## 2. Not all layers alike
#
# A layer with few weights pays little for more bits, and the first one often needs them. Which layer bears
# how few? `sensitivity_scan` compresses *one* layer at a time and measures the loss $\Delta_l(b)$ on images
# that were held out. If what they cost adds up,
#
# $$\Delta(b_1, b_2, \dots) \approx \sum_l \Delta_l(b_l) ,$$
#
# (small errors, to first order; Dong et al. 2019 assume it too), the best bits under a budget of bytes are
# found by comparing all sums. The weights of the network take 58,000 bytes with 8 bits.
#
# **Before you run the cell:** the budget is 14,000 bytes, a quarter of that. What accuracy has the best
# mixture? And for 8,500 bytes, near 1 bit: how many times the rise of the loss that is *predicted* is the one
# measured?

# %%
yours_mixed, yours_ratio = None, None

network = networks[0]
choices = [compress.GPTQ(bits, activations=None) for bits in ((8, 4, 2, 1) if FAST else (8, 4, 3, 2, 1))]
scan = compress.sensitivity_scan(network, choices, held, held_y, example=x[:512])
print(scan)

mixed, uniform = {}, {}
for budget in (8_500, 10_000, 14_000, 20_000, 30_000):
    recipe = scan.recipe(nbytes=budget)
    program, (nbytes, predicted) = small(network, recipe), scan.predicted(recipe)
    mixed[budget] = nbytes, accuracy(program), predicted, cross_entropy(program(held), held_y)
    print(f"{budget:6,} bytes:", *(chain.stages[0].weights if chain else "float" for chain in
                                   recipe.choices.values()))
for i, choice in enumerate(choices, 1):  # (each layer's trial 0 is the layer as it is)
    uniform[choice.weights.name] = sum(one[i].nbytes for one in scan.trials.values()), accuracy(
        small(network, choice))
compare("14,000 bytes, mixed: accuracy, %", mixed[14_000][1], yours_mixed)
_, _, predicted, measured = mixed[8_500]
compare("8,500 bytes: rise of the loss, measured / predicted",
        (measured - scan.loss) / (predicted - scan.loss), yours_ratio, theory=1)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6))
left.plot(*zip(*uniform.values(), strict=True), "s-", color=ORANGE)
for name, at in uniform.items():
    note(left, name, at, (2, -20), color=ORANGE)
left.plot(*zip(*(found[:2] for found in mixed.values()), strict=True), "o-", color=BLUE)
note(left, "mixed", mixed[8_500][:2], (-10, 0), color=BLUE, ha="right")
left.set(xscale="log", xlim=(5_000, 1e5), ylim=(0, 104), xlabel="bytes of weights", title="test accuracy, %")
ticks(left, x=[8_000, 16_000, 32_000, 64_000])
predicted, measured = np.array([found[2:] for found in mixed.values()]).T
right.plot(predicted, measured, "o", color=BLUE, markersize=10)
ends = min(*predicted, *measured) / 1.3, max(*predicted, *measured) * 1.3
right.plot(ends, ends, color="black", linewidth=1)
note(right, "if losses add up", (ends[1], ends[1]), (-30, -6), ha="right")
note(right, "8,500 bytes", (predicted[0], measured[0]), (-12, 0), color=BLUE, ha="right")
right.set(xlabel="predicted", title="loss of the mixtures, held-out images: measured")
plt.show()

# %% [markdown]
# Where the errors are small, they add up: each moves the outputs a little, and the loss changes with the sum.
# Where they are large, a layer reads inputs that are wrong already, and the loss no longer follows a straight
# line. So a recipe that was found by adding is to be measured, as here.
#
# Below 2 bits a network has to be *trained* with its few values: notebook 14.
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *Without labels.* Give `sensitivity_scan` the network's own outputs for `y`, and as `measure` the mean
#    square of what they change by. Is the mixture for 14,000 bytes another?
# 2. *Which layers are tied?* Scan two layers at a time. Is the loss of a pair the sum of both? Where is it
#    not?
# 3. *One image more.* Choose the recipe on half of the held-out images, and measure the loss on the others.
#    How far off is the prediction now?
#
# Assignment 10, `rounding`, trains a network with 2 bits a weight and 2 an activation, straight through.

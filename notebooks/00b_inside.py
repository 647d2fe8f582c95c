# %% [markdown]
# # What does it see? A network, opened
#
# The tour trains a network that reads digits, and makes it small. Here it is opened while it is still large:
# what it is told about its errors, what its filters look for, what is left of a digit behind each layer, and
# which digits it mixes up.
#
# As in the tour: write a guess in place of `None` before you run a cell, and look.

# %%
import math
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: for matrices this small, threads cost more

import matplotlib.pyplot as plt
import numpy as np

import nn
from nn.explain import BLUE, FAST, GREY, Guesses, note, numbers, picture, style

style()
guesses = Guesses()
compare = guesses.compare
digits = nn.data.digits()
x, y = digits.x_train, digits.y_train
network = nn.models.digits_cnn(rng=np.random.default_rng(0))

# %% [markdown]
# ## 1. What "to learn" means
#
# The network gives ten numbers $z$ for an image, the softmax makes probabilities of them, and the loss is
# how much it is surprised by the true class $y$:
#
# $$p_j = \frac{e^{z_j}}{\sum_k e^{z_k}}, \qquad L = -\log p_y = \log \sum_k e^{z_k} - z_y, \qquad
# \frac{\partial L}{\partial z_j} = p_j - [j = y] .$$
#
# The derivative is all that the rest of the network ever gets to know about the error; how it finds its way
# to every weight is chapter 03. A network that knows nothing gives every class the probability $1/10$.
#
# **Before you run the cell:** what will the loss of this *untrained* one be, with random weights?

# %%
yours = None

z = network(nn.Tensor(x[:64])).detach().requires_grad_()
loss = nn.functional.cross_entropy(z, y[:64])
loss.backward()
p = np.exp(z.data) / np.exp(z.data).sum(axis=1, keepdims=True)
print("the derivation and autodiff agree:", np.allclose(z.grad, (p - np.eye(10)[y[:64]]) / 64, atol=1e-7))
compare("loss before training", loss.item(), yours, theory=math.log(10))

# %% [markdown]
# Random weights do not say $1/10$ for everything: they have opinions, and wrong ones cost more than none.
#
# Now it is trained: the loss falls.

# %%
EPOCHS = 3 if FAST else 25
optimizer = nn.optim.Adam(network.parameters(), lr=1e-2, weight_decay=2e-2)
log = nn.train.fit(network, x, y, epochs=EPOCHS, optimizer=optimizer, rng=np.random.default_rng(0),
                   schedule=nn.train.cosine, progress=False)
figure, axes = plt.subplots(figsize=(7, 3.2))
axes.semilogy(range(1, EPOCHS + 1), [epoch.loss for epoch in log], "o-", color=BLUE)
axes.axhline(math.log(10), color=GREY, linestyle=":")
note(axes, "knows nothing: log 10", (EPOCHS, math.log(10)), (0, -16), ha="right")
axes.set(xlabel="epoch", title="loss while training")
plt.show()

# %% [markdown]
# ## 2. What it sees
#
# The 32 filters of the first layer, 3×3 each. Orange multiplies by a negative number, purple by a positive
# one. Find an edge detector, one for each direction, and a corner: nobody told it to look for them.

# %%
filters = network.conv1.weight.data[:, 0]
figure, panels = plt.subplots(4, 8, figsize=(8, 4.2))
for axes, kernel in zip(panels.flat, filters, strict=True):
    picture(axes, kernel, signed=True)
figure.suptitle("first layer, each filter on a scale of its own")
plt.show()

# %% [markdown]
# One digit on its way through the network: each image is one channel after its ReLU, the eight that react
# most to this digit.

# %%
maps, F = nn.Tensor(digits.x_test[:1]), nn.functional
figure, panels = plt.subplots(3, 9, figsize=(11, 4))
picture(panels[0, 0], maps.data[0, 0], "the digit")
network.eval()
for i, row in enumerate(panels, 1):
    with nn.no_grad():
        maps = F.relu(getattr(network, f"bn{i}")(getattr(network, f"conv{i}")(maps)))
    row[0].set_axis_off()
    row[0].text(1.1, 0.5, f"conv{i}", transform=row[0].transAxes, rotation=90, va="center")
    strongest = np.argsort(-maps.data[0].sum(axis=(1, 2)))[:8]
    for axes, channel in zip(row[1:], strongest, strict=True):
        picture(axes, maps.data[0, channel], cmap="cividis")
    maps = F.max_pool2d(maps, 2)
plt.show()

# %% [markdown]
# The first layer still draws the digit. The last one has 2×2 positions left: *what* is there has replaced
# *where*.
#
# ## 3. Where it errs
#
# The test images are of *later* writers. **Before you run the cells:** which two digits will it mix up most
# often? And in percent: how sure is it, in the median, of the answers that are wrong?

# %%
yours = None

with nn.no_grad():
    logits = network(nn.Tensor(digits.x_test)).data
said, true = logits.argmax(axis=1), digits.y_test
errors = np.zeros((10, 10), int)
np.add.at(errors, (true, said), said != true)

figure = plt.figure(figsize=(11, 4.4))
left, right = figure.subfigures(1, 2, width_ratios=(1, 1.4))
axes = left.subplots()
axes.imshow(errors, cmap="Blues", vmax=max(errors.max(), 1))
numbers(axes)
axes.set(xticks=range(10), yticks=range(10), xlabel="the network says", ylabel="it is", title="errors")
wrong = np.flatnonzero(said != true)
for axes, i in zip(right.subplots(2, 5).flat, wrong, strict=False):
    picture(axes, digits.x_test[i, 0], f"{true[i]}, not {said[i]}")
for axes in right.axes[len(wrong):]:
    axes.set_axis_off()
plt.show()

# %% [markdown]
# Would you have read them all? A network is trained to make $-\log p_y$ small on images that it sees again
# and again; nothing tells it to doubt.

# %%
sure = np.exp(logits - logits.max(axis=1, keepdims=True))
sure = 100 * sure.max(axis=1) / sure.sum(axis=1)
compare("probability of wrong answers, median, %", np.median(sure[wrong]), yours)
print(f"of right ones: {np.median(sure[said == true]):.1f} %")
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *A network that looks elsewhere.* Set the filter that you called an edge detector to 0. How many more
#    test images are wrong? And a filter without a shape that you can name?
# 2. *Temperature.* Divide the logits by $T$ before the softmax. Does any answer change? Choose $T$ on
#    `digits.validation_split()`, so that the mean of the largest probability is the accuracy.

# %% [markdown]
# # When an integer product goes wrong
#
# Integers don't round. That is why an int8 network can be computed to the same bits on every machine, and
# why its sums are called exact. They are, until one does not fit into the bits that hold it. Here we find
# out when that is, prove for a network that it can't happen, or show the very image for which it does.
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.

# %%
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: for matrices this small, threads cost more

import matplotlib.pyplot as plt
import numpy as np

import compress
import nn
from compress.saturation import saturating_qgemm, vpmaddubsw, wrong
from nn.explain import FAST, GREY, ORANGE, Guesses, numbers, style

style()
guesses = Guesses()
compare = guesses.compare

# %% [markdown]
# ## 1. Thirty-two bits are enough, nearly always
#
# A layer multiplies codes $x_k \in 0 \dots 255$ of its activations with weights $w_k \in -127 \dots 127$,
# and adds up $K$ such products:
#
# $$y = \sum_{k=1}^{K} (x_k - z)\, w_k + b .$$
#
# No product is larger than $255 \cdot 127$, so that $y$ stays within 32 bits while
# $K \cdot 255 \cdot 127 + |b| < 2^{31}$.
#
# **Before you run the cell:** how large may $K$ be, without a bias?

# %%
yours = None

compare("the largest K", compress.largest_k(127, 255), yours, theory=(2**31 - 1) // (255 * 127))
for weight in (127, 128, 7):
    print(f"weights up to {weight:3}: K up to {compress.largest_k(weight):,}")

# %% [markdown]
# Few layers are that wide. What a kernel adds on the way may leave 32 bits all the same: it is fast to add
# up $\sum x_k w_k$ first and to subtract $z \sum w_k$ afterwards, once a column. That does no harm: integer
# addition is exact *modulo* $2^{32}$, so a sum that fits in the end is right in the end, whatever happened
# in between.
#
# ## 2. Sixteen bits are not
#
# Many processors have no instruction that multiplies bytes and adds the products in 32 bits. They have one
# that adds *two* products in **16** bits. If the sum does not fit, the nearest number that does is taken: it
# *saturates*. Nothing tells you.
#
# **Before you run the cell:** 16 bits hold $-32{,}768 \dots 32{,}767$. Which of these four pairs comes out
# right? And how large may two equal weights be, so that every pair of codes does?

# %%
yours = None

codes = np.array([255, 255, 255, 255, 255, 255, 100, 100], np.uint8)
weights = np.array([127, 127, 127, -127, 64, 64, 127, 127], np.int8)
true = (codes.astype(int) * weights).reshape(-1, 2).sum(axis=1)
for (a, b), (u, w), exact, got in zip(codes.reshape(-1, 2), weights.reshape(-1, 2), true,
                                      vpmaddubsw(codes, weights), strict=True):
    verdict = "" if got == exact else "   WRONG"
    print(f"{a}·{u:4} + {b}·{w:4} = {exact:6,}   the instruction: {got:6,}{verdict}")

largest = max(w for w in range(1, 128) if compress.certify_weights(np.full((2, 1), w, np.int8)).int16)
compare("two equal weights, at most", largest, yours, theory=2**15 // (2 * 255))

# %% [markdown]
# So the condition is on *pairs* of weights. With codes from 0 on, a pair reaches at most 255 times the sum
# of its positive weights, and at least 255 times that of its negative ones; and $255 \cdot 128$ still fits,
# $255 \cdot 129$ does not:
#
# $$w_0^+ + w_1^+ \le 128 \quad\text{and}\quad w_0^- + w_1^- \le 128 .$$
#
# Let the weights be uniform in $-127 \dots 127$. A quarter of all pairs are both positive, and half of these
# lie above the diagonal $w_0 + w_1 = 128$; the same for both negative. **Before you run the cell:** what
# share of the pairs is too large? And then: of sums over $K = 1024$, with random codes, how many in a
# hundred come out wrong?

# %%
yours_pairs, yours_sums = None, None

rng = np.random.default_rng(0)
x = rng.integers(0, 256, (64, 1024)).astype(np.uint8)
uniform = rng.integers(-127, 128, (1024, 64)).astype(np.int8)
normal = rng.standard_normal((1024, 64))
normal = np.rint(127 * normal / np.abs(normal).max(axis=0)).astype(np.int8)  # what Quantize makes

exact = x.astype(np.int64) @ uniform
saturated = saturating_qgemm(x, uniform)
compare("pairs too large, %", 100 * compress.certify_weights(uniform).saturating, yours_pairs,
        theory=100 * 2 * (1 / 4) * (1 / 2))
compare("sums wrong, %", wrong(saturated, exact).share, yours_sums)

figure, panels = plt.subplots(1, 2, figsize=(11, 3.6), sharex=True, sharey=True)
for axes, w, title in zip(panels, (uniform, normal), ("uniform weights", "normal weights"), strict=True):
    right, made = x.astype(np.int64) @ w, saturating_qgemm(x, w)
    axes.axhline(0, color=GREY, linewidth=1)
    axes.plot(right.ravel() / 1000, (made - right).ravel() / 1000, ".", color=ORANGE, markersize=2)
    axes.set(title=f"{title}: {wrong(made, right).share:.0f} % wrong", xlabel="the sum, in thousands")
panels[0].set_ylabel("its error, in thousands")
plt.show()

# %% [markdown]
# One pair in four is too large, and a sum has 512 pairs: hardly any has no pair that saturates. Every error
# pulls towards 0, those of positive pairs down and those of negative ones up, and in part they cancel: a
# network may seem to work.
#
# For normal weights the scale is set by the largest of a column, the others are much smaller, and only few
# pairs are too large. Fewer is not none.
#
# ## 3. Fewer bits, more sums
#
# If two products leave room, a kernel can add several such sums in 16 bits before it widens them, and saves
# instructions. With weights up to $w$ it may add
#
# $$f = \left\lfloor \frac{32{,}767}{2 \cdot 255 \cdot w} \right\rfloor .$$
#
# **Before you run the cell:** how many with 4-bit weights, $w \le 7$?

# %%
yours = None

for bits in (8, 7, 6, 5, 4, 3, 2):
    most = 2 ** (bits - 1) - 1
    f = compress.largest_k(most, 255, bits=16) // 2
    print(f"{bits} bits, weights up to {most:3}: {f or 'not even one'}")
compare("sums of 4-bit weights that may be added", compress.largest_k(7, 255, bits=16) // 2, yours,
        theory=32767 // (2 * 255 * 7))
four = rng.integers(-7, 8, (1024, 64)).astype(np.int8)
print("these random 4-bit weights allow even", compress.certify_weights(four).fold,
      "because the largest seldom meet: a proof from the actual weights gives more than one from their bits")

# %% [markdown]
# ## 4. A proof for a network, or the image that breaks it
#
# Now the digits. `certify` takes each column of each layer, finds the largest and the smallest sum that any
# codes can give, exactly, and compares them with what fits. Where one does not, it writes down the input.
# (Neighbours in $k$ need not be neighbours in the image: $k$ counts the taps of a filter row by row.)

# %%
digits = nn.data.digits()
network = nn.models.digits_cnn(rng=np.random.default_rng(0))
nn.train.fit(network, digits.x_train, digits.y_train, epochs=1 if FAST else 5, progress=False,
             optimizer=nn.optim.Adam(network.parameters(), lr=3e-3), rng=np.random.default_rng(0))
compress.prepare(network, compress.Quantize(), digits.x_train[:512])
program = compress.convert(network)
certificate = compress.certify(program)
print(certificate)
certificate.check(32)  # an error, if an int32 sum could overflow

conv1 = certificate.layers["conv1"]
found = conv1.int16
print()
print(found)
image = found.counter_input
right, made = (sums(image)[:, found.column] for sums in (conv1.sums, conv1.saturating_sums))
figure, panels = plt.subplots(1, 3, figsize=(11, 3.4))
for axes, picture, title in zip(panels, (image, right, made), (
        "an image that breaks conv1", "a channel of it, exactly", "as the instruction has it"), strict=True):
    shown = picture.reshape(8, 8).astype(int)
    reach = np.abs(shown).max() if picture is image else np.abs(right).max()
    axes.imshow(shown, cmap="gray_r" if picture is image else "PuOr", vmin=0 if picture is image else -reach,
                vmax=reach)
    numbers(axes, shown if picture is image else shown / 1000, "{:.0f}" if picture is image else "{:.0f}k",
            fontsize=10)
    axes.set(title=title, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The proof is about *all* images, also those that nobody draws. What about digits? **Before you run the
# cell:** of the sums that the first convolution makes of the test images, how many in a hundred would be
# wrong? And the class of how many of the 360 images would change?

# %%
yours_sums, yours_images = None, None


lines = {line.call.constants["weight"].removesuffix(".weight"): line for line in program.lines
         if "weight" in line.call.constants}


def walk(x, sums):
    """The logits of the network for x, with integer sums by `sums(layer, codes)`; and what conv1 reads."""
    def product(name, codes):
        line, layer = lines[name], certificate.layers[name]
        y = sums(layer, codes) - layer.zero * layer.w.sum(axis=0, dtype=np.int64) + layer.bias
        y = (y * (line.weight().scale * line.inputs[0].grid.scale)).astype(np.float32)  # real again
        y = y.reshape(len(codes), *line.made.shape[1:])
        return y if line.made.grid is None else line.made.grid.quantize(np.maximum(y, 0))  # and a ReLU

    first = lines["conv1"].inputs[0].grid.quantize(x.transpose(0, 2, 3, 1))
    codes = nn.kernels.qmax_pool2d(product("conv1", first), 2, 2)
    codes = product("conv3", nn.kernels.qmax_pool2d(product("conv2", codes), 2, 2))
    return product("fc", codes.transpose(0, 3, 1, 2).reshape(len(x), -1)), first


right, first = walk(digits.x_test, lambda layer, codes: layer.sums(codes))
made, _ = walk(digits.x_test, lambda layer, codes: layer.saturating_sums(codes))
compare("sums of conv1 wrong on the test images, %",
        wrong(conv1.saturating_sums(first), conv1.sums(first)).share, yours_sums)
same = right.argmax(axis=1) == program(digits.x_test).argmax(axis=1)
print(f"this walk and the Program agree on {same.sum()} of {len(same)} images")
compare("images whose class changes", (right.argmax(axis=1) != made.argmax(axis=1)).sum(), yours_images)

# %% [markdown]
# If few or none changed: a network is built to bear small errors, and these saturate only where strong
# strokes meet large weights. That is what makes the fault so hard to find: the accuracy looks right, the
# numbers differ from machine to machine, and one day an image comes that is not like the others. So a kernel
# has to *look*: this library's do when a weight is packed, and take another way, exact and a little slower,
# where a pair does not fit. `espalier bench saturation` shows what other libraries do on your machine.
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *Other pairs.* Sort the rows of `normal` by the weights of its first column before you multiply. (The
#    codes have to be sorted in the same way.) What happens to the share of pairs that are too large, and
#    why? Could you sort so that every pair fits?
# 2. *Half the codes.* `certify_weights(w, high=127)`: which weights are safe if activations have 7 bits?
#    What does it cost, and whom?
# 3. *The other end.* Make two weights of $-128$. What becomes of $255 \cdot (-128) \cdot 2$? Why does
#    `Quantize` leave $-128$ out?
# 4. *A bias.* Find the largest bias with which `certify_weights(uniform, bias).int32` still holds.

# %% [markdown]
# # A language model on a budget: what is a byte worth?
#
# A language model says how probable each next byte is. That is all it does, and it is measured by it: a
# byte of probability $p$ takes $-\log_2 p$ bits. You train one on the text that Python's `help()` prints,
# let it write, let it remember, and then give it 100,000 bytes of file: a small network of floats, or a
# larger one of few bits?
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.

# %%
import bz2
import lzma
import os
from functools import partial

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: for matrices this small, threads cost more

import matplotlib.pyplot as plt
import numpy as np

import compress
import nn
from nn.explain import BLUE, FAST, GREEN, GREY, ORANGE, Guesses, note, style
from nn.language import bits_per_byte, cached, next_token_loss, sample, whole
from nn.models import CachedStep, CharTransformer, char_transformer

WINDOWS, TESTED, CONTEXT = (96, 40, 64) if FAST else (4000, 300, 64)
style()
guesses = Guesses()
compare = guesses.compare

text = nn.data.python_topics()
data = nn.data.windows(text, CONTEXT)
words = data.vocabulary
x, y = data.x_train[-WINDOWS:], data.y_train[-WINDOWS:]
held_out = data.x_test[:TESTED], data.y_test[:TESTED]
print(f"{len(text):,} bytes, {words.size - 1} different ones; {x.size:,} to train on, "
      f"{held_out[0].size:,} held out")
print(words.decode(data.x_test[7]))

# %% [markdown]
# ## 1. Bits per byte
#
# An ideal coder takes $-\log_2 p$ bits for what came with probability $p$ (Shannon 1948; chapter 16 builds
# one). The mean of that over a text that the model has not seen is its **bits per byte**. A model that
# knows nothing of 256 bytes takes 8.
#
# **Before you run the cell:** what takes a model that only knows how often each byte comes? And one that
# knows how often it comes *after the byte before it*?

# %%
yours_alone, yours_pairs = None, None


def counted(order):
    """Bits per byte of the test part, by how often a token comes, after the one before it if order is 1."""
    table = np.full((words.size, words.size), 0.05)
    np.add.at(table, (order * x.ravel(), y.ravel()), 1)
    p = table / table.sum(1, keepdims=True)
    return -np.log2(p[order * held_out[0].ravel(), held_out[1].ravel()]).mean()


alone, pairs = counted(0), counted(1)
compare("bits per byte: frequencies", alone, yours_alone)
compare("bits per byte: pairs", pairs, yours_pairs)
packed = {"bz2": bz2.compress(text), "lzma": lzma.compress(text)}
coders = {name: 8 * len(one) / len(text) for name, one in packed.items()}
print({name: round(bits, 2) for name, bits in coders.items()}, "bits per byte, of all the text")

# %% [markdown]
# ## 2. A transformer
#
# `nn/models/char_transformer.py` reads in one sitting. A token is a row of a table, and so is its place;
# the sum goes through blocks. In a block every token asks all those before it (attention), then each is
# thought over by itself, and both are added to what was there. The last vector is compared with the table
# of tokens: where it points, there is the guess. All tokens of a window are guessed at once, because a mask
# hides what comes later.
#
# $$\text{loss} = \frac{1}{T} \sum_t -\ln p(\text{token}_{t+1} \mid \text{token}_0 \dots \text{token}_t),
# \qquad \text{bits per byte} = \text{loss} / \ln 2 .$$
#
# **Before you run the cell:** the first loss, in bits? (All that it can do is to guess evenly.) And after one
# pass over these windows?

# %%
yours_first, yours_trained = None, None

log = []  # the losses of the last training, in bits


def train(model, rate=5e-3):
    """One pass over the training windows; Adam, at a rate that falls along half a cosine."""
    log.clear()
    nn.train.fit(model, x, y, epochs=1, batch_size=16, loss=next_token_loss, progress=False,
                 optimizer=nn.optim.Adam(model.parameters(), lr=rate), rng=np.random.default_rng(0),
                 schedule=nn.train.cosine, on_step=lambda step, loss: log.append(loss / np.log(2)))
    return model


def network(width=1.0):
    return char_transformer(width, np.random.default_rng(0), words.size, CONTEXT)


def tested(model):
    return bits_per_byte(model, *held_out, words)


model = train(network())
losses = list(log)
trained = tested(model)
compare("bits of the first guesses", losses[0], yours_first, theory=np.log2(words.size))
compare("bits per byte after one pass", trained, yours_trained)

figure, axes = plt.subplots(figsize=(9, 4.2))
axes.plot(losses, color=GREY, linewidth=1)
smooth = np.convolve(losses, np.ones(5) / 5, "valid")
axes.plot(np.arange(len(smooth)) + 2, smooth, color=BLUE)
for name, bits in ({"frequencies": alone, "pairs": pairs} | coders).items():
    axes.axhline(bits, color=ORANGE, linewidth=1, linestyle=":")
    note(axes, name, (len(losses), bits), (0, 3), ha="right", color=ORANGE)
axes.set(xlabel="step", ylabel="bits per byte, on what it trains on")
plt.show()

# %% [markdown]
# It passes the frequencies of single bytes, and one pass is too little to pass those of pairs, which are
# counted in an instant: `python -m compress --network char` trains for five passes. Let it write: draw a
# token from $\text{softmax}(\text{logits}/\tau)$, append it, and ask again. **Before you run it:** what will
# $\tau = 0.3$ look like, and what $\tau = 1.5$?

# %%
for temperature in (0.3, 1.0, 1.5):
    written = sample(whole(model, CONTEXT), words.encode("The "), 40 if FAST else 200,
                     temperature=temperature, rng=np.random.default_rng(1))
    print(f"τ = {temperature}: The {words.decode(written)!r}\n")

# %% [markdown]
# ## 3. To remember is faster than to read again
#
# For each token the whole window was read anew. But what attention wants of the tokens before, their *keys*
# and *values*, has not changed. `CachedStep` reads one token and keeps them; as a Program its cache is a
# pair `state: output → input`. The law: its logits are those of the whole window, but for rounding.
#
# **Before you run the cell:** reading a window of 64 anew does 64 tokens' work for one. How many times as
# fast is a step with the cache, of our network, and of one that is four times as wide, with four blocks and
# windows of 256?

# %%
yours_small, yours_large = None, None


def both(model, example):
    """A model's Program for windows, and that of a step with a cache."""
    return compress.convert(model, example), compress.convert(
        CachedStep(model), CachedStep.example(model, example[:1, :2]), state=CachedStep.state)


program, step = both(model, x[:2])
print(*str(step).splitlines()[-2:], sep="\n")
every, predict = program(x[:1])[0], cached(step, model)
worst = max(np.abs(predict(x[0, :t + 1]) - every[t]).max() for t in range(CONTEXT))
print(f"largest difference of a logit: {worst:.1e}, of logits up to {np.abs(every).max():.0f}")
large = CharTransformer(words.size, 256, 2 if FAST else 4, 4, 256, rng=np.random.default_rng(0))
for name, one, yours in (("ours", model, yours_small), ("a large one", large, yours_large)):
    window = np.resize(x, (2, one.context))
    by_window, by_step = both(one, window)
    calls = {"window": partial(by_window, window[:1]),
             "step": partial(by_step, **CachedStep.example(one, window[:1, :1]))}
    race = nn.timing.race(calls, 0.02 if FAST else 0.2)
    compare(f"{name}: a step with the cache, times as fast", race.faster("step", than="window")[0], yours,
            theory=one.context)

# %% [markdown]
# Not 64 times, and not 256. A product with *one* row reads every weight for two operations, which is bound
# by memory, and each call has a price of its own; the rows of a window share both, and in a network as
# small as ours the price of the calls is all there is. So what runs such models waits for bytes, and few
# bits a weight are milliseconds *there* (chapter 07, §9), and here only bytes.
#
# ## 4. 100,000 bytes
#
# What is the best model in a file of 100,000 bytes? Three candidates. All learn as floats in a first pass
# over the text, and in a second one, slower, with what is attached to them:
#
# * nothing: 4 bytes a weight, so a small network;
# * int8, of weights and activations;
# * 5 bits, coded by rANS (chapter 16): a network with five times as many weights as the first.
#
# **Before you run the cell:** how many bits per byte is the last one better than the first?

# %%
yours = None

BUDGET = 100_000


def rivals():
    """name → (the width that has about so many bytes, what is attached)."""
    few = [compress.Quantize(5, activations=None, scales="mse"), compress.Rans()]
    table = [compress.Quantize(activations=None), compress.Rans()]
    return {"float32": (0.4375, None),
            "int8": (0.875, compress.Recipe({"*": compress.Quantize(), nn.Embedding: compress.Quantize()})),
            "5 bits, rANS": (1.0625, compress.Recipe({"*": few, "token": few, "position": table}))}


points = {}
for name, (width, recipe) in rivals().items():
    base = train(network(width))
    if recipe is not None:
        compress.prepare(base, recipe, x[:64])
    made = compress.convert(train(base, 1e-3), None if recipe else x[:2])
    points[name] = compress.report(made).on_disk, tested(made)
    size, bits = points[name]
    count = sum(p.size for p in network(width).parameters())
    print(f"{name:14}{count:9,} parameters {size:9,} bytes {bits:7.3f} bits per byte")
compare("5 bits less float32 of equal bytes, bits per byte",
        points["5 bits, rANS"][1] - points["float32"][1], yours)

figure, axes = plt.subplots(figsize=(9, 4.4))
for (name, (size, bits)), color in zip(points.items(), (GREY, ORANGE, GREEN), strict=True):
    axes.plot(size / 1000, bits, "o", color=color, markersize=12)
    note(axes, name, (size / 1000, bits), (10, 0), color=color)
axes.axvline(BUDGET / 1000, color=GREY, linestyle=":")
axes.set(xlabel="kB, the file", ylabel="bits per byte, held-out text", xlim=(60, 150))
plt.show()

# %% [markdown]
# The floats lose: most of their bits say nothing about the next byte. Between 8 bits and 5 it is close, and
# the training is so short that it decides, too: a larger network wants more of it. (One seed.
# `python -m compress --network char` trains longer, and has more rows, with their controls.)
#
# ## 5. Is it a compressor?
#
# With a coder the model *is* a compressor of text, and its file has to be sent along. **Before you run the
# cell:** with the file of section 4, does it beat `lzma` on this text?

# %%
yours = None

size, bits = points["5 bits, rANS"]
ours = size + bits * len(text) / 8
theirs = len(packed["lzma"])
print(f"ours: {size:,} of model + {bits * len(text) / 8:,.0f} of text; lzma: {theirs:,}")
compare("ours / lzma, of this text", ours / theirs, yours)
gain = (coders["lzma"] - bits) / 8
print("texts of this kind would have to be at least", f"{size / gain / 1e6:.1f} MB long" if gain > 0 else
      "without an end: it is not better than lzma byte by byte, as it was trained so briefly")

# %% [markdown]
# `lzma` has no model to send: it learns on the way, and forgets. Whoever judges a model by its bits per byte
# alone leaves out the file; for one text that is a good part of the price, for many it is nothing.
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *Where is a token?* Leave the table of positions out. The mask alone tells a token how many it sees:
#    how much worse is the loss?
# 2. *Longer memory.* Double the context with half as many windows in a batch. Is a byte at the end of a
#    window cheaper than one at its beginning? Plot bits per byte against the place.
# 3. *Untie.* With `tied=False` the head has a table of its own. What does it buy, and what in 100,000 bytes?
# 4. *Choose honestly.* Widths and bits above were given. Search for better ones with
#    `data.validation_split(500)`, then look at the held-out text once.

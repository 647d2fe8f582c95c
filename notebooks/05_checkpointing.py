# %% [markdown]
# # What may we forget?
#
# Backward needs what forward computed. So training keeps an activation for every layer and every image until
# the way back has used it, and that, not the weights, is what fills the memory. But everything that was
# computed once can be computed *again*. How much may we forget, what does it cost in time, and does the
# network still learn the same, to the last bit?
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.

# %%
import copy
import gc
import os
import tracemalloc
from math import comb

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy: times are those of one core

import matplotlib.pyplot as plt
import numpy as np

import nn
from nn.context import ambient
from nn.explain import BLUE, DARK, FAST, GREEN, GREY, ORANGE, Guesses, note, style, ticks
from nn.rules import Rule
from nn.tensor import apply

F = nn.functional
style()
guesses = Guesses()
compare = guesses.compare

# %% [markdown]
# ## 1. A meter
#
# A chain of $n$ equal layers, $x_{i+1} = \tanh(x_i W_i)$. The way back through a layer needs its input and,
# as $\tanh' = 1 - \tanh^2$, its output, which is the next one's input: one array a layer. In NumPy:

# %%
rng = np.random.default_rng(0)
weights = [rng.standard_normal((8, 8)) / 8**0.5 for _ in range(5)]
kept, gradients = [rng.standard_normal((4, 8))], []
for w in weights:  # forward: every x is kept
    kept.append(np.tanh(kept[-1] @ w))
g = np.ones_like(kept[-1])  # the loss is the sum of the last
for w in reversed(weights):  # back: the last kept is the first that is needed
    g = g * (1 - kept.pop() ** 2)
    gradients.append(kept[-1].T @ g)
    g = g @ w.T
print(len(gradients), "gradients; what was kept is gone but for the input:", len(kept))

# %% [markdown]
# To *see* the memory of the library, we need a meter. Python can tell how many bytes are alive
# (`tracemalloc` knows NumPy's arrays too), and an operation that does nothing, put between two layers, is
# called exactly when a value passes: on the way forward, on the way back, and when a forward is repeated.


# %%
class Meter:
    """Bytes alive beyond those at the start, read whenever a value passes `here`, in any direction."""

    def __init__(self):
        self.ways, self.alive, self.most = [], [], 0
        self.rule = Rule("meter", "y = x;  dx = g", self.forward, self.back)

    def forward(self, x):
        self.read("again" if ambient.context.replaying else "forward")
        return x, None

    def back(self, g, saved, needs):
        self.read("back")
        return (g,)

    def read(self, way):
        now, most = tracemalloc.get_traced_memory()
        self.ways.append(way)
        self.alive.append(now / 1e6)
        self.most = max(self.most, most / 1e6)

    def here(self, x):
        return apply(self.rule, x)

    def watch(self, step):
        gc.collect()
        tracemalloc.start()
        step()
        tracemalloc.stop()
        return self


# %% [markdown]
# Sixteen layers of width 64, and 4096 rows: an activation is $4096 \cdot 64 \cdot 4$ bytes, a megabyte (1.05
# million bytes); the weights, 16 kB a layer, hardly count. **Before you run the cell:** how many megabytes
# will be alive at most, forward and backward?

# %%
yours = None

layers = [nn.Linear(64, 64, bias=False, rng=rng) for _ in range(16)]
rows = nn.Tensor(rng.standard_normal((4096, 64)).astype(np.float32))


def chain(meter):
    """The layers as functions, with the meter after each."""
    return [lambda x, layer=layer: meter.here(F.tanh(layer(x))) for layer in layers]


def run(segments):
    """A meter that has seen forward and backward, with all but the last of so many segments forgotten."""
    for layer in layers:
        layer.weight.grad = None
    meter = Meter()
    return meter.watch(lambda: nn.checkpoint_sequential(chain(meter), segments, rows).sum().backward())


plain = run(1)
compare("16 layers, megabytes at most", plain.most, yours, theory=16 * 1.05)


def timeline(axes, meter, title):
    """Bytes alive over time, each way in its colour."""
    colours = {"forward": BLUE, "again": GREEN, "back": ORANGE}
    times = range(1, len(meter.ways) + 1)
    axes.bar(times, meter.alive, width=1, color=[colours[way] for way in meter.ways])
    axes.set(title=f"{title}: {meter.most:.1f} MB at most", xlabel="layers passed")


figure, axes = plt.subplots(figsize=(8, 3.8))
timeline(axes, plain, "all kept")
axes.set_ylabel("megabytes alive")
axes.axhline(plain.most, color=GREY, linestyle="--")
note(axes, "while a layer runs", (0, plain.most), (0, -6), color=GREY, va="top")
note(axes, "forward", (6, plain.alive[5]), (0, 18), color=BLUE, ha="right")
note(axes, "back", (27, plain.alive[26]), (0, 18), color=ORANGE)
plt.show()

# %% [markdown]
# A mountain: up by one activation a layer, down by one a layer. (The bars are what is alive after a layer.
# While one runs there are a few more: gradients, and arrays on their way.) The memory of training is *depth
# times batch*.
#
# ## 2. Forget most of it
#
# Cut the $n$ layers into $k$ segments. Forward keeps only the input of each segment. When the way back
# comes to a segment, it runs forward *again* from its input, keeps everything inside, and goes back through
# it. At most alive are $k$ inputs and the $n / k$ layers of one segment:
#
# $$M(k) = k + \frac nk, \qquad M'(k) = 1 - \frac{n}{k^2} = 0 \;\Rightarrow\; k = \sqrt n,\; M = 2\sqrt n$$
#
# (Chen, Xu, Zhang & Guestrin 2016). The price is at most *one more forward pass*; with a backward of two
# forwards (notebook 03) the step takes $4/3$ of the time at most.
#
# **Before you run the cell:** how many megabytes for the 16 layers in 4 segments? Draw the mountain on paper
# first.

# %%
yours = None

forgetful = run(4)
compare("16 layers in 4 segments, megabytes at most", forgetful.most, yours, theory=(4 + 16 / 4) * 1.05)
figure, axes = plt.subplots(figsize=(10, 3.8))
timeline(axes, forgetful, "four segments")
axes.set_ylabel("megabytes alive")
axes.axhline(plain.most, color=GREY, linestyle="--")
note(axes, "all kept", (len(forgetful.ways), plain.most), (0, -18), color=DARK, ha="right")
for way, colour, at in (("forward", BLUE, 8), ("back", ORANGE, 18.5), ("again", GREEN, 22.8)):
    axes.text(at, max(forgetful.alive) + 0.6, way, color=colour, ha="center")
plt.show()
passes = {way: forgetful.ways.count(way) for way in ("forward", "again", "back")}
print("layers passed:", passes)

# %% [markdown]
# Read it from the left. Twelve layers leave one activation in four behind, for the next three segments; the
# last segment is kept whole, because its way back comes at once (that is why it is never repeated). Then a
# green hill for each segment: climb again, come down again, and each time one kept input less.
#
# Now all the ways to cut, on a network of 36 convolutions: the bytes by `nn.profile.measured_peak`, which
# does what our meter does, at every operation (and leaves out the gradients of the weights). **Before you
# run the cell:** for which number of segments are the bytes least? And by how many percent is the step
# longer there?

# %%
yours_segments, yours_longer = None, None

depth = 36
nn.manual_seed(0)
blocks = [nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()) for _ in range(depth)]
network = nn.Sequential(*blocks)
images = nn.Tensor(rng.standard_normal((4 if FAST else 16, 16, 16, 16)).astype(np.float32))
cuts = [1, 2, 3, 4, 6, 9, 12, 18, 24, 36]


def step(segments):
    """Forward and backward through the blocks."""
    nn.checkpoint_sequential(blocks, segments, images).sum().backward()


peaks = {k: nn.profile.measured_peak(lambda k=k: step(k), network.parameters()) / 1e6 for k in cuts}
nn.memory.keep_freed()
times = nn.timing.race({k: lambda k=k: step(k) for k in cuts}, 0.02 if FAST else 0.2)
best = min(peaks, key=peaks.get)
compare("segments with the fewest bytes", best, yours_segments, theory=depth**0.5)
compare("bytes there, % of all kept", 100 * peaks[best] / peaks[1], theory=100 * 2 * depth**0.5 / depth)
compare("time there, % more", 100 * (times[best] / times[1] - 1), yours_longer,
        theory=100 * (1 - 1 / best) / 3)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2))
one, ks = images.data.nbytes / 1e6, np.linspace(1, depth, 200)
left.plot(ks, (ks + depth / ks) * one, color=GREY)
note(left, "k + n/k", (ks[120], (ks[120] + depth / ks[120]) * one), (0, -26), color=DARK)
left.plot(list(peaks), list(peaks.values()), "o", color=BLUE, markersize=9)
left.axvline(depth**0.5, color=GREY, linestyle=":")
note(left, "√n", (depth**0.5, 0.93 * peaks[1]), (5, 0), color=DARK)
left.set(title="megabytes at most", xlabel="segments, k", ylim=(0, None))
right.plot(ks, 1 + (1 - 1 / ks) / 3, color=GREY)
right.plot(list(times), np.array(list(times.values())) / times[1], "o", color=ORANGE, markersize=9)
right.set(title="time of a step, × that without", xlabel="segments, k", ylim=(0.9, None))
plt.show()
print(f"weights, gradients and two averages of Adam: "
      f"{16 * sum(p.size for p in network.parameters()) / 1e6:.1f} MB, whatever is forgotten")

# %% [markdown]
# The grey lines are the derivation. The bytes follow it with a constant on top: what the layer that runs
# needs for itself. Should many segments take longer than it says: each has a price of its own (a checksum,
# a graph that is made anew), which the count of multiply-adds does not know. What is *not* saved is anything
# that belongs to weights; who has a large model and a small batch gains nothing here.
#
# ## 3. What has to be the same
#
# A repeated forward must give the very same numbers, or the gradients belong to another function. Here is
# all of checkpointing in ten lines; it forgets a few things. **Before you run the cell:** which of these are
# wrong with it: the gradients of a network with dropout? The running mean of a batch norm? The gradients of
# the first layer?


# %%
def forget(f, x):
    """f(x), of which only x is kept: naive."""
    def forward(array):
        with nn.no_grad():
            return f(nn.Tensor(array)).data, (array,)

    def vjp(g, saved, needs):
        again = nn.Tensor(saved[0], requires_grad=True)
        f(again).backward(g)  # the parameters inside get their gradients here
        return (again.grad,)

    return apply(Rule("forget", "y = f(x);  dx by running f again", forward, vjp), x)


def gradients_of(part, how, data=False):
    """Gradients of the parameters and buffers after a step on a fresh copy; how(f, x) applies the part."""
    part, x = copy.deepcopy(part), nn.Tensor(rows.data[:64], requires_grad=not data)
    nn.manual_seed(1)
    y = how(part, x)
    if y.requires_grad:
        (y * y).sum().backward()
    return [p.grad for p in part.parameters()], [b for _, b in part.named_buffers()]


def same(one, other):
    """Whether all arrays are equal, bit for bit."""
    equal = all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    return "the same bits" if equal else "DIFFERENT"


parts = {"linear and tanh": nn.Sequential(nn.Linear(64, 64), nn.Tanh()),
         "with dropout": nn.Sequential(nn.Linear(64, 64), nn.Dropout(0.5)),
         "with batch norm": nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64))}
for how in (forget, nn.checkpoint):
    for name, part in parts.items():
        want, got = (gradients_of(part, way) for way in (lambda f, x: f(x), how))
        buffers = f", running statistics {same(want[1], got[1])}" if got[1] else ""
        print(f"{how.__name__:11} {name:16} gradients {same(want[0], got[0])}{buffers}")
    (found, *_), _ = gradients_of(parts["linear and tanh"], how, data=True)
    print(f"{how.__name__:11} x is data: the weight gets", "no gradient" if found is None else "its gradient")

# %% [markdown]
# Three traps, each of them silent:
#
# - **Dropout** draws other numbers the second time. The gradients are those of a network that never ran.
#   `nn.checkpoint` replays the random numbers of `nn.random.generator()`.
# - **Batch norm** counts the batch twice: the outputs are right, the running mean has moved too far, and
#   the network is wrong only when it is *used*. `nn.checkpoint` lets a repetition change nothing.
# - **An input without a gradient**, as images have: nothing leads back into the naive operation, and the
#   weights inside are never trained. `nn.checkpoint` finds what a function closes over.
#
# What it can't replay, it notices, because it keeps a checksum of the output:

# %%
mine = np.random.default_rng(0)  # not nn's generator


def noisy(x):
    return x * nn.Tensor(mine.standard_normal(x.shape).astype(np.float32))


y = nn.checkpoint(noisy, nn.Tensor(rows.data[:4], requires_grad=True))
try:
    y.sum().backward()
except RuntimeError as error:
    print(error)

whole = {}
for k in (1, 2, 4, 16):
    run(k)
    whole[k] = [layer.weight.grad for layer in layers]
print("\n16 layers in 2, 4 or 16 segments, all gradients:", *(same(whole[1], whole[k]) for k in (2, 4, 16)))

# %% [markdown]
# ## 4. Forget even more
#
# A segment that runs again could itself be cut into segments, and so on. What is the best that can be done
# with $s$ places for inputs (that of the first layer takes one), if no layer may run forward more than $r$
# times, the first pass included, before its way back? Let $n(s, r)$ be the longest chain for which that is
# possible. Run ahead and put an input down somewhere. What lies behind it has $s - 1$ places left and may
# run $r$ times. When that is done its place is free again, and what lies before it has $s$ places, but has
# run once already:
#
# $$n(s, r) = n(s - 1, r) + n(s, r - 1) \;\Rightarrow\; n(s, r) = \binom{s + r}{s}$$
#
# It is Pascal's triangle (Griewank & Walther 2000). With $r$ the smallest number for which
# $n \le \binom{s+r}{s}$, all forward steps together are
#
# $$t(n, s) = r\,n - \binom{s + r}{s + 1} .$$
#
# (What a layer's own way back computes does not count.) **Before you run the cell:** how many places does a
# chain of 1000 layers need, if each may run three times? With $\sqrt n$ it is about 62, and each runs twice
# at most.

# %%
yours = None


def least(n, s):
    """Forward steps, at least, for a chain of n layers with s places."""
    r = next(r for r in range(n + 1) if comb(s + r, s) >= n)
    return r * n - comb(s + r, s + 1)


print("10 layers, one place, everything runs again from the start:", least(10, 1), "=", 10 * 9 // 2)
needed = {r: next(s for s in range(1, 1000) if comb(s + r, s) >= 1000) for r in (2, 3, 4, 5, 8)}
compare("places for 1000 layers, r = 3", needed[3], yours)

n, places = 1000, range(2, 200)
figure, axes = plt.subplots(figsize=(10, 4.4))
axes.loglog(places, [least(n, s) / n for s in places], color=BLUE)
axes.plot(list(needed.values()), [least(n, s) / n for s in needed.values()], "o", color=BLUE)
for r, s in needed.items():
    note(axes, f"r = {r}", (s, least(n, s) / n), (4, 6), color=BLUE, fontsize=12)
segments = np.array([6, 8, 12, 20, 32])
axes.loglog(segments + n / segments - 1, 2 - 1 / segments, "s", color=ORANGE, markersize=7)
note(axes, "k segments, k = 32, 20, 12, 8, 6", (200, 2), (0, -30), color=ORANGE, ha="right")
axes.set(title="a chain of 1000 layers", xlabel="inputs that are alive at most", ylabel="forward passes",
         ylim=(1, 40))
ticks(axes, x=(2, 4, 8, 16, 32, 64, 128), y=(1, 2, 5, 10, 20))
plt.show()

# %% [markdown]
# The line bends where $r$ grows by one: a memory just large enough for a bend is well used, a few places
# more buy little. Segments end at $2 \sqrt n$; the best plan goes on, and pays with more passes. A memory
# that grows like $\log n$ is possible, for a time that grows like $n \log n$.
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# They lead to the assignment `memory`, where you write a planner: given a chain of equal layers and so many
# places for inputs, which to keep, never worse than $\sqrt n$, and with the same bits.
#
# 1. *Nested.* Write `run` with checkpoints inside checkpoints: 16 layers in 4 segments of 4, each of which
#    keeps only one layer at a time. Draw its timeline. What is the peak, and how often does each layer run?
# 2. *A schedule.* Plan by hand a chain of 10 layers with 3 places so that no layer runs more than twice
#    before its way back. ($\binom{5}{3} = 10$: it is just possible.) Where does the first input go?
# 3. *Not all layers are equal.* Print `nn.explain` of `digits_cnn` (notebook 03). Which operations keep many
#    bytes but are cheap to repeat? Wrap only these in `nn.checkpoint`, and measure bytes and time.
# 4. *Batch or depth.* With the memory of 36 plain convolutions, how many images can be in a batch once there
#    are 6 segments? Is that worth the longer step? (Notebook 02 knows what a larger batch buys.)
# 5. *Switch it off and on.* Call `train()` and `eval()` on a network with dropout between forward and
#    backward of a checkpoint. What happens, and what should?

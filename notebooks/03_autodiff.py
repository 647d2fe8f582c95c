# %% [markdown]
# # Why one backward costs two forwards
#
# Training runs a network forwards and then backwards. The way back gives the derivative of one number, the
# loss, in *every* weight, a million of them if need be, for the price of about two ways forward. Here we
# find out where the two come from, when it is less or more, what has to be kept for it, and when the other
# direction, derivatives that travel forward, is the better one.
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.

# %%
import inspect
import os
import re

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy: times are those of one core

import matplotlib.pyplot as plt
import numpy as np

import nn
from nn.explain import BLUE, DARK, FAST, GREEN, GREY, ORANGE, Guesses, note, style, ticks
from nn.rules import RULES, Rule
from nn.timing import CLOCK, race

style()
guesses = Guesses()
compare = guesses.compare

# %% [markdown]
# ## 1. The chain rule, from the wrong end
#
# Two layers and a loss, in NumPy:
#
# $$h = \tanh(X W_1 + b_1), \qquad y = h\,W_2, \qquad L = \tfrac12 \lVert y - t \rVert^2 .$$
#
# The chain rule multiplies Jacobians, and as $L$ is one number, they are best multiplied from the *left*:
# what is carried along is then never a matrix, but $g = \partial L / \partial (\text{this value})$, which
# has the shape of the value itself. Each operation turns the $g$ of its output into those of its inputs,
# which is called its *vector–Jacobian product*, and each is one line:
#
# | forward | given $g = \partial L / \partial y$ |
# |---|---|
# | $y = X W$ | $\partial L / \partial X = g\,W^T, \quad \partial L / \partial W = X^T g$ |
# | $y = \tanh x$ | $\partial L / \partial x = g \cdot (1 - y^2)$ |
# | $y = x + b$, the same $b$ for every row | $\partial L / \partial b$: the sum of $g$ over the rows |
#
# The last one is forgotten most often: **what the forward pass repeats, the backward pass adds up.**
#
# **Before you run the cell:** 64 rows go through a layer from 1024 to 1024 numbers. How many gigabytes would
# the Jacobian $\partial y / \partial X$ take, at 4 bytes a number? ($g$ takes 0.26 megabytes.)

# %%
yours = None

rng = np.random.default_rng(0)
X, t = rng.standard_normal((5, 4)), rng.standard_normal((5, 2))
W1, b1, W2 = rng.standard_normal((4, 6)), rng.standard_normal(6), rng.standard_normal((6, 2))


def forward(W1, b1, W2):
    h = np.tanh(X @ W1 + b1)
    y = h @ W2
    return 0.5 * ((y - t) ** 2).sum(), h, y


L, h, y = forward(W1, b1, W2)
g = y - t  # ∂L/∂y
dW2 = h.T @ g
g = g @ W2.T  # ∂L/∂h
g = g * (1 - h**2)  # ∂L/∂(X·W1 + b1)
db1 = g.sum(axis=0)
dW1 = X.T @ g

# Along a random direction (A, b, C) the loss must change as fast as the gradient says.
A, b, C = rng.standard_normal(W1.shape), rng.standard_normal(b1.shape), rng.standard_normal(W2.shape)
s = 1e-5
ahead, behind = (forward(W1 + s * A, b1 + s * b, W2 + s * C)[0] for s in (s, -s))
print("by hand    ", (dW1 * A).sum() + (db1 * b).sum() + (dW2 * C).sum())
print("difference ", (ahead - behind) / (2 * s))
compare("the Jacobian of one layer, gigabytes", 4 * (64 * 1024) ** 2 / 1e9, yours)

# %% [markdown]
# ## 2. Counting
#
# With $N$ rows and a weight of $K \times O$, forward is a product of $N K O$ multiply-adds. Backward has
# two, $g\,W^T$ for the layer before and $X^T g$ for the weight, of exactly as many each. Everything else is
# small beside products. So one backward costs two forwards, except that *the first layer's input needs no
# gradient*:
#
# $$\frac{\text{backward}}{\text{forward}} = 2 - \frac{\text{first layer}}{\text{all layers}} .$$
#
# **Before you run the cell:** what is that factor for the network 64-300-100-10 of fully connected layers?
# (For VGG-16: notebook 13, section 5.)

# %%
yours = None

networks = {  # multiply-adds an image of each layer, forward
    "digits_cnn": [9 * 32 * 64, 9 * 32 * 64 * 16, 9 * 64 * 64 * 4, 2560],
    "digits_mlp": [64 * 300, 300 * 100, 100 * 10]}
derived = {name: 2 - macs[0] / sum(macs) for name, macs in networks.items()}
compare("digits_mlp, backward / forward", derived["digits_mlp"], yours)

# %% [markdown]
# Now by the clock. Four networks: the two for digits, three fully connected layers of 1024, and four
# convolutions from 64 to 64 channels. **Before you run the cell:** for which will the factor be the derived
# one, and for which not? Guess that of `digits_cnn`.

# %%
yours = None

nn.memory.keep_freed()  # as in training: memory that is freed is there again for the next step
BUDGET = 0.05 if FAST else 0.3  # seconds for each of what is timed
wide = 1024 // (1 + FAST)
mlp, cnn = nn.models.digits_mlp(rng=rng), nn.models.digits_cnn(rng=rng)
fc = nn.Sequential(*[nn.Linear(wide, wide, rng=rng) for _ in range(3)])
conv = nn.Sequential(*[nn.Conv2d(64, 64, 3, padding=1, rng=rng) for _ in range(4)])
derived |= {"3 wide layers": 2 - 1 / 3, "4 convolutions": 2 - 1 / 4}
images = nn.data.digits().x_train[:256]
subjects = {"digits_mlp": (mlp, images), "digits_cnn": (cnn, images),
            "3 wide layers": (fc, rng.standard_normal((256, wide)).astype(np.float32)),
            "4 convolutions": (conv, rng.standard_normal((8, 64, 16, 16)).astype(np.float32))}
measured = {}
for name, (model, x) in subjects.items():
    times = race({"forward": lambda m=model, x=x: m(nn.Tensor(x)).sum(),
                  "both": lambda m=model, x=x: m(nn.Tensor(x)).sum().backward()}, BUDGET)
    measured[name] = times["both"] / times["forward"] - 1
    compare(f"{name}, backward / forward in time", measured[name], theory=derived[name],
            yours=yours if name == "digits_cnn" else None)

figure, axes = plt.subplots(figsize=(9, 3.4))
for i, name in enumerate(subjects):
    axes.plot([derived[name], measured[name]], [i, i], color=GREY, zorder=0)
    axes.plot(derived[name], i, "o", color=BLUE, markersize=11, label="multiply-adds" if not i else None)
    axes.plot(measured[name], i, "s", color=ORANGE, markersize=11, label="time" if not i else None)
axes.set(title="backward / forward", yticks=range(4), yticklabels=list(subjects), ylim=(3.5, -0.5))
axes.set_xlim(0, 1.1 * max(2.5, *measured.values()))
axes.legend(frameon=False)
axes.grid(axis="x", alpha=0.3)
plt.show()

# %% [markdown]
# Where products are nearly all of the work, the times should come near the counts (the three products of a
# layer have different shapes, and a kernel is not equally good at all). In a small convolutional network
# they are not: batch norm, ReLU and max-pooling multiply next to nothing, but read and write every
# activation, in both directions. "Two" is a count of multiply-adds, and multiply-adds are not time.
#
# ## 3. The graph, and what it keeps
#
# The library does by rules what we did by hand. A rule has a forward that says what to keep, and a vjp:

# %%
print(inspect.getsource(RULES["linear"].vjp))

digits = nn.data.digits()
loss = nn.functional.cross_entropy(mlp(nn.Tensor(digits.x_train[:64])), digits.y_train[:64])
print(nn.explain(loss))

# %% [markdown]
# Read a line: `t3` was made of `t2` and the weights `w3`, `w4`; it has this shape; so many bytes are kept
# for its way back *that nobody before it keeps already*; and below is its formula. Weights do not count, for
# they are there anyway.
#
# Some operations keep nothing of their own. A linear layer needs its input, and that is what the ReLU before
# it keeps: its output, to see where it was positive.
#
# **Before you run the cell:** the same for the convolutional network, 64 images. Which operation keeps the
# most? How many megabytes do all keep together? (The outputs of all its layers are 44,072 bytes an image:
# notebook 02.)

# %%
yours = None

loss = nn.functional.cross_entropy(cnn(nn.Tensor(digits.x_train[:64])), digits.y_train[:64])
kept = [(op, int(size.replace(",", ""))) for op, size in re.findall(
    r"t\d+ = (\w+)\(.* ([\d,]+) B$", nn.explain(loss), re.MULTILINE)]
compare("kept for backward, megabytes", sum(size for _, size in kept) / 1e6, yours)
print(f"all outputs: {64 * 44_072 / 1e6:.2f} megabytes")

figure, axes = plt.subplots(figsize=(9, 5))
bars = axes.barh([f"{i}  {op}" for i, (op, _) in enumerate(kept, 1)], [size / 1e3 for _, size in kept],
                 color=BLUE)
axes.bar_label(bars, [f"{size / 1e3:,.0f}" if size else "nothing" for _, size in kept], padding=4,
               fontsize=12)
axes.set(title="kilobytes kept for backward, in the order of the forward pass", xticks=[])
axes.invert_yaxis()
plt.show()

loss.backward()
try:
    loss.backward()
except RuntimeError as error:
    print("a second backward:", error)

# %% [markdown]
# Three things that surprise:
#
# - **It is less than the sum of all outputs.** Of the three arrays that convolution, batch norm and ReLU
#   make, two are kept: nobody needs the one in the middle. A max-pool keeps where the largest was, not what.
# - **It is gone afterwards, and not all at once.** The way back drops what an operation kept as soon as it
#   has been through it. That is why a second `backward` refuses. (Notebook 05 watches it.)
# - **What was kept must not change.** The library notices its own writes, such as an optimizer's step between
#   forward and backward, and raises. NumPy's it can't see:

# %%
w = nn.Tensor(np.ones(3), requires_grad=True)
square = (w * w).sum()
w.data[0] = 5  # NumPy writes, and tells nobody
square.backward()
print("the gradient of Σw² at 1, 1, 1 should be 2, 2, 2; it is", w.grad)

# %% [markdown]
# ## 4. Each node once
#
# "Start at the end and call every parent": that is how the way back is often told. A value that is used twice
# has two ways back to it; then everything *before* it is walked twice, and so on. Take $y_{i+1} = y_i + y_i$.
# **Before you run the cell:** with 20 such additions, how many calls are that?

# %%
yours = None


def calls(node):
    """How often a recursion that follows every path is called; a node is the tuple of its parents."""
    return 1 + sum(calls(parent) for parent in node)


node = ()
for _ in range(20):
    node = node, node
compare("calls for 20 additions", calls(node), yours, theory=2**21 - 1)

x = nn.Tensor(np.ones(3), requires_grad=True)
y = x
for _ in range(10_000):
    y = y + 1e-9 * y
start = CLOCK()
y.sum().backward()
print(f"the library: backward through 10,000 such sums in {CLOCK() - start:.2f} s; gradient {x.grad}")

# %% [markdown]
# So a node has to wait until *all* that use it have sent their part, add the parts up, and only then send
# on: a topological order (Kahn 1962). Who takes the last part in place of the sum is wrong at once:
# $x \cdot x$ at 3 has the parts 3 and 3, and its slope is 6.
#
# ## 5. Or forward?
#
# Derivatives can travel forward as well: beside every value goes $\dot x$, how fast it changes along *one*
# direction of the input, $\dot y = J \dot x$ (a *Jacobian–vector product*). One pass gives a column of the
# Jacobian; one pass back gives a row. For $f: R^n \to R^m$ all of it takes
#
# $$n \text{ passes of } 2 \text{ products a layer} \qquad \text{or} \qquad 1 \text{ forward}, \text{ then } m
# \text{ passes of } 1 \text{ product},$$
#
# as a forward pass computes the values anew together with their slopes, and a pass back through fixed
# weights needs $g\,W^T$ alone. They should cost the same where $2 n = m$. A loss has $m = 1$: that is why
# networks are trained in reverse.
#
# **Before you run the cell:** at which $n / m$ do they cross by the clock? And a chain of 64 operations on
# arrays of 400 kB: how many megabytes does each of the two hold at most?

# %%
yours_cross, yours_forward, yours_reverse = None, None, None


def network(n, m, hidden=64):
    """A function from n numbers to m, and a point."""
    first, second = rng.normal(size=(n, hidden)) / n**0.5, rng.normal(size=(hidden, m)) / hidden**0.5
    return lambda x: ((x @ first).tanh() @ second).tanh(), rng.normal(size=n)


shapes = [(8, 128), (16, 64), (32, 32), (64, 16)]
costs = {}
for n, m in shapes:
    f, x = network(n, m)
    costs[n / m] = race({way: lambda f=f, x=x, way=way: nn.jacobian(f, x, way)
                         for way in ("forward", "reverse")}, BUDGET)
ratio = np.log([times["forward"] / times["reverse"] for times in costs.values()])
compare("n/m where they cross", np.exp(np.interp(0, ratio, np.log(list(costs)))), yours_cross, theory=1 / 2)


def chain(x, depth):
    for _ in range(depth):
        x = x.sin()
    return x.sum()


chains = [8, 16, 32, 64]
x, direction = nn.Tensor(rng.normal(size=50_000), requires_grad=True), np.ones(50_000)
back = [nn.profile.measured_peak(lambda d=d: chain(x, d).backward(), [x]) / 1e6 for d in chains]
ahead = [nn.profile.measured_peak(lambda d=d: nn.jvp(lambda v: chain(v, d), x.detach(), direction), []) / 1e6
         for d in chains]
compare("forward mode, 64 operations: megabytes", ahead[-1], yours_forward)
compare("reverse mode, 64 operations: megabytes", back[-1], yours_reverse, theory=64 * 0.4)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4))
left.loglog(list(costs), np.exp(ratio), "o-", color=ORANGE)
left.axhline(1, color=GREY)
left.axvline(0.5, color=GREY, linestyle=":")
note(left, "derived", (0.5, np.exp(ratio[0])), (8, 0), color=DARK)
left.set(title="forward / reverse: time of a Jacobian", xlabel="inputs / outputs, n/m")
ticks(left, x=dict(zip(costs, ("1/16", "1/4", "1", "4"), strict=True)))
left.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
for values, colour, name in ((back, ORANGE, "reverse"), (ahead, BLUE, "forward")):
    right.plot(chains, values, "o-", color=colour)
    note(right, name, (chains[-1], values[-1]), (-6, 8), color=colour, ha="right")
right.set(title="megabytes at most", xlabel="operations in a row", xticks=chains, ylim=(0, None))
plt.show()

# %% [markdown]
# Forward mode keeps nothing: every slope is used at once. Reverse mode pays for one pass with memory.
#
# ## 6. Is it right?
#
# Two ways to believe a wrong gradient. The first: check it with $L = \sum y$, so that $g$ is all ones. Take
# the softmax, whose outputs add up to 1 whatever its input is. **Before you run the cell:** what is the
# derivative of $\sum_j \mathrm{softmax}(x)_j$? So which wrong vjps pass this test?

# %%
def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True), (e / e.sum(axis=-1, keepdims=True),)


def right_vjp(g, saved, needs):
    (y,) = saved
    return (y * (g - (g * y).sum(axis=-1, keepdims=True)),)


def wrong_vjp(g, saved, needs):
    return (-right_vjp(g, saved, needs)[0],)  # a sign


x = rng.standard_normal((2, 3))
for vjp in (right_vjp, wrong_vjp):
    g = vjp(np.ones((2, 3)), softmax(x)[1], [True])[0]
    print(f"{vjp.__name__} with g of ones: largest entry {np.abs(g).max():.1e}")
try:
    nn.gradcheck(Rule("my_softmax", "y = softmax x", softmax, wrong_vjp), x)
except nn.GradcheckError as error:
    print("with a random g:", error)

# %% [markdown]
# The second: a difference quotient that is itself wrong. $(f(x+h) - f(x))/h$ is off by $f'' h / 2$, so a
# small $h$ is good; but it subtracts two nearly equal numbers, whose rounding errors $\varepsilon f$ are
# divided by $h$. The best is $h \approx \sqrt{\varepsilon}$, with an error of about as much. (Two-sided
# differences win some back. A step in the *imaginary* direction subtracts nothing:
# $f'(x) \approx \mathrm{Im}\, f(x + ih)/h$, Squire & Trapp 1998.)
#
# **Before you run the cell:** how many digits are right at best, in float32, where
# $\varepsilon \approx 10^{-7}$?

# %%
yours = None


def f(x):
    return np.exp(x) * np.sin(x)


at, steps = rng.uniform(0.5, 2, 200), 10.0 ** np.arange(-12, 0)
slope, small = np.exp(at) * (np.sin(at) + np.cos(at)), at.astype(np.float32)
ways = {"one-sided, float32": lambda h: (f(small + np.float32(h)) - f(small)) / np.float32(h),
        "one-sided, float64": lambda h: (f(at + h) - f(at)) / h,
        "two-sided, float64": lambda h: (f(at + h) - f(at - h)) / (2 * h),
        "imaginary step": lambda h: f(at + 1j * h).imag / h}
errors = {name: [np.median(np.abs(way(h) / slope - 1)) for h in steps] for name, way in ways.items()}
figure, axes = plt.subplots(figsize=(10, 4.4))
for (name, error), colour, marker in zip(errors.items(), (ORANGE, BLUE, GREEN, DARK), "osD^", strict=True):
    axes.loglog(steps, np.maximum(error, 1e-17), marker + "-", color=colour, label=name)
axes.set(xlabel="h", ylabel="relative error, median", ylim=(1e-18, 30))
axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
best = min(errors["one-sided, float32"])
compare("float32: digits right at the best h", -np.log10(best), yours, theory=3.5)

# %% [markdown]
# That is why `nn.gradcheck` wants float64, uses two-sided differences, and draws $g$ at random. Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# They lead to the assignments `autograd` (eight vjps, and the walk) and `convolution` (its two gradients).
#
# 1. *By hand.* Write the vjps of $y = a / b$, of $y = \log \sum_j e^{x_j}$ over a row, and of $y = \max(x)$
#    over a row. Check each with a random $g$. What do you do about a tie?
# 2. *Broadcasting.* $a$ has the shape (3, 1) and $b$ has (4,). What are the shapes of $a + b$ and of the two
#    gradients? Write a function that gives any $g$ the shape of the input it belongs to.
# 3. *A walk.* Extend `calls` to a walk that carries gradients and visits each node once. You need to know
#    how many users a node has *before* you start. How many numbers do you keep, and when can each go?
# 4. *The adjoint.* A convolution with a fixed filter is a linear map $A$; its vjp is $A^T$. Test
#    $\langle A x, g \rangle = \langle x, A^T g \rangle$ with random $x$ and $g$ for
#    `nn.functional.conv2d`, with a stride of 2 and padding.
# 5. *Frozen layers.* Set `requires_grad = False` for the weights of the first two wide layers of section 2.
#    What should backward / forward be? Measure it. And with the *last* two frozen?

# %% [markdown]
# # Depthwise separable: 8 times fewer multiplications, how much faster?
#
# Winograd's algorithm (chapter 11) computes the same convolution with fewer multiplications. A depthwise
# separable convolution is *another* function, with 8 to 9 times fewer. Is it 8 times faster? We measure, and
# find out what it waits for.
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.

# %%
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one core is compared with one core

import matplotlib.pyplot as plt
import numpy as np

import nn
from nn.explain import BLUE, FAST, GREY, ORANGE, Guesses, roofline, style
from nn.kernels import conv2d, depthwise_conv2d, winograd_conv2d
from nn.timing import race

style()
guesses = Guesses()
compare = guesses.compare
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. Another function
#
# A convolution mixes neighbours *and* channels at once: 9 $C\, O$ multiply-adds a pixel. Do it one after the
# other (Sifre 2014, Chollet 2017): a filter of 3 × 3 for each channel by itself, 9 $C$, then a 1 × 1
# convolution that mixes channels, $C\, O$:
#
# $$\frac{9\,C + C\,O}{9\, C\, O} = \frac1O + \frac19 .$$
#
# That is not the same function: of all 3 × 3 convolutions it reaches those whose filters for an input
# channel are multiples of each other. Networks are *trained* in this form (MobileNet, Howard et al. 2017).
#
# **Before you run the cell:** for 256 channels of 14 × 14 pixels: how many times fewer multiply-adds? How
# many times faster than the direct convolution? Than Winograd's?

# %%
yours_fewer, yours_direct, yours_winograd = None, None, None


def timed(c, pixels):
    """Seconds for one image: of the full convolution, two ways, and of both halves of a separable one."""
    x = rng.standard_normal((1, pixels, pixels, c), np.float32)
    w = rng.standard_normal((c, c, 3, 3), np.float32)
    middle, out = np.empty_like(x), np.empty_like(x)
    full, transformed = conv2d.pack(w), winograd_conv2d.pack(w)
    own, mix = conv2d.pack(w[:, :, :1, :1]), depthwise_conv2d.pack(w[:, :1])
    return race({"direct": lambda: conv2d(x, full, padding=1, out=out),
                 "Winograd": lambda: winograd_conv2d(x, transformed, padding=1, out=out),
                 "depthwise": lambda: depthwise_conv2d(x, mix, padding=1, out=middle),
                 "1 × 1": lambda: conv2d(middle, own, out=out)}, 0.01 if FAST else 0.05)


shapes = [(64, 56), (128, 28), (256, 14)] + [(512, 14)] * (not FAST)
taken = {shape: timed(*shape) for shape in shapes}
seconds = taken[256, 14]
halves = seconds["depthwise"] + seconds["1 × 1"]
compare("256 channels: times fewer multiply-adds", 1 / (1 / 256 + 1 / 9), yours_fewer)
compare("separable over direct: times faster", seconds["direct"] / halves, yours_direct)
compare("separable over Winograd: times faster", seconds["Winograd"] / halves, yours_winograd)

# %%
figure, axes = plt.subplots(figsize=(9, 4.2))
places = np.arange(len(shapes))
bars = {"multiply-adds, fewer": ([1 / (1 / c + 1 / 9) for c, _ in shapes], GREY)}
for name, colour in (("direct", BLUE), ("Winograd", ORANGE)):
    values = [s[name] / (s["depthwise"] + s["1 × 1"]) for s in taken.values()]
    bars[f"faster than {name}"] = values, colour
for i, (name, (values, colour)) in enumerate(bars.items()):
    drawn = axes.bar(places + 0.28 * (i - 1), values, 0.26, color=colour)
    axes.bar_label(drawn, fmt="{:.1f}", padding=2, fontsize=12)
    axes.text(-0.4, 11.6 - 0.9 * i, name, color=colour)
axes.set(xticks=places, xticklabels=[f"{c}\n{p} × {p}" for c, p in shapes], ylim=(0, 12.4), yticks=[],
         title="depthwise separable: times", xlabel="channels and pixels")
plt.show()
for (c, _), s in taken.items():
    print(f"{c} channels: the depthwise half has {9 / (9 + c):.0%} of the multiply-adds, "
          f"{s['depthwise'] / (s['depthwise'] + s['1 × 1']):.0%} of the time")

# %% [markdown]
# ## 2. Why? Work for each byte
#
# Is the depthwise half's share of the time larger than its share of the multiply-adds? Count what each part
# moves. A pixel of a channel is read, 4 bytes, and one is written, 4 bytes. For these 8 bytes the depthwise
# half does 9 multiply-adds, the 1 × 1 half $O$, and the full convolution $9\,O$ (with $O = C$, and filters
# aside):
#
# $$I_\text{depthwise} = \frac98, \qquad I_{1 \times 1} = \frac{O}{8}, \qquad I_\text{full} = \frac{9\,O}{8}
# \quad\text{multiply-adds a byte.}$$
#
# No part is faster than its roof $\min(\text{peak},\; I \cdot \text{bytes a second})$ (notebook 06). More
# channels move the other two to the right; the depthwise half stays where it is.
#
# **Before you run the cell:** what percent of the peak will the depthwise half reach?

# %%
yours = None

c, pixels = 64, 56
seconds, image = taken[c, pixels], 4 * c * pixels**2
source, target = np.ones(image // 4, np.float32), np.empty(image // 4, np.float32)
copied = 2 * image / race({"copy": lambda: np.copyto(target, source)})["copy"]
work = {"depthwise": 9, "1 × 1": c, "direct": 9 * c, "Winograd": 9 * c}  # for a pixel of a channel
points = {name: (macs / 8, macs * image / 4 / seconds[name]) for name, macs in work.items()}
route = nn.kernels.best_route(conv2d)
peak = nn.kernels.peak(route) if route else max(speed for _, speed in points.values())
compare("depthwise: % of the peak (derived: at most)", 100 * points["depthwise"][1] / peak, yours,
        theory=100 * min(1, 9 / 8 * copied / peak))
roofline(peak, {"a copy of as many bytes": copied}, points)
plt.show()

# %% [markdown]
# (Winograd's point counts the multiply-adds of the definition: so it can stand above the peak.)
#
# If the depthwise half stays below even its own roof, there is more to count: between the nearest cache and
# the registers a full convolution loads $R + F$ numbers for a tile of $R\,F$ multiply-adds; with a filter for
# each channel it is a load for every multiply-add, and its loops are short (exercise 2).
#
# Both ideas, Winograd's and this one, take multiplications from what had plenty of them for each byte, and
# leave something that has fewer. It costs least where channels are many and images small. And the fair
# question for a separable layer is not "how many times fewer than direct" but "how many times faster than the
# *best* full convolution, at which accuracy".
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *Separable digits.* Build `nn.models.digits_cnn` with depthwise separable convolutions in place of its
#    second and third. How many points are lost at equal epochs, and what would a dense network of as many
#    weights lose?
# 2. *What bounds it?* Time the depthwise half for images of equal size but 7, 14, … 112 pixels in a row,
#    and for 1 × 1, 3 × 3 and 5 × 5 taps. Is its time proportional to the multiply-adds, to the pixels, or to
#    the rows?

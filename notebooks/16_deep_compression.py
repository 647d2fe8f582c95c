# %% [markdown]
# # Deep Compression: where did each byte go?
#
# Prune, share, code: three steps, each of which is simple, and a file that is many times smaller (Han, Mao &
# Dally 2016). Here every byte of it is accounted for: what the weights *are*, *where* they are, tables that
# explain both, and the rest. What is the least that each part could take? And what did all this not buy?
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.
# (Pruning itself is chapter 08, sharing chapter 09.)

# %%
import copy
import os
import subprocess
import sys
import tempfile
import zlib
from functools import partial
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: for matrices this small, threads cost more

import matplotlib.pyplot as plt
import numpy as np

import compress
import nn
from compress.formats.bits import unpack_bits
from compress.sparse.gaps import gaps_of
from nn.explain import BLUE, DARK, FAST, GREEN, GREY, ORANGE, Guesses, note, style, ticks
from nn.kernels.frequencies import entropy
from nn.kernels.prefix_code import code_lengths, codewords, pack_lengths

BASE, TUNE, SEEDS = (2, 2, 1) if FAST else (15, 10, 3)  # epochs from scratch, epochs after it, repetitions
FILES = tempfile.TemporaryDirectory()  # goes away with the notebook's process
style()
guesses = Guesses()
compare = guesses.compare

# %% [markdown]
# ## 1. Where the weights are
#
# Of $n$ weights a share $p$ is left. To say where costs a column number each (16 bits), or a bit for every
# weight, kept or not ($1/p$ bits for one that is kept). The paper stores the *gap* since the last one, in $g$
# bits: the symbols $0 \dots 2^g - 2$ are gaps that a weight follows, and the symbol $m = 2^g - 1$ is a
# *filler*, which skips $m$ zeros and goes on. If every weight is left with probability $p$, a gap is at least
# $j\,m$ zeros with probability $(1-p)^{jm}$, so that there are $\sum_{j \ge 1} (1-p)^{jm}$ fillers a weight:
#
# $$\text{bits a weight} = \frac{g}{1 - (1-p)^{2^g - 1}} .$$
#
# Few bits want many fillers, many bits are mostly zero. **Before you run the cell:** 10 % are left. Which $g$
# is best, and how many bits a weight is that? (No way to say where is below
# $H(p)/p = -\log_2 p - \frac{1-p}{p} \log_2 (1-p)$, the entropy: 4.69.)

# %%
yours_width, yours_bits = None, None

rng = np.random.default_rng(0)
widths = np.arange(1, 11)
curves = {p: widths / (1 - (1 - p) ** (2.0**widths - 1)) for p in (0.3, 0.1, 0.03)}
gaps = curves[0.1].min()
positions = np.flatnonzero(rng.random(100_000) < 0.1)
found, packed = gaps_of(positions)  # tries every width, and takes the best
compare("10 % left: the best width of a gap, bits", found, yours_width, theory=widths[curves[0.1].argmin()])
compare("10 % left: bits a weight to say where", 8 * len(packed) / len(positions), yours_bits, theory=gaps)

figure, axes = plt.subplots(figsize=(9, 4.4))
for (p, bits), color, at in zip(curves.items(), (GREEN, BLUE, ORANGE), (0, 0, 2), strict=True):
    axes.plot(widths, bits, "o-", color=color)
    axes.plot(widths[bits.argmin()], bits.min(), "o", color=color, markersize=13)
    note(axes, f"{100 * p:.0f} % left", (widths[at], bits[at]), (10, 5), color=color)
    least = entropy(np.array([1000 * p, 1000 * (1 - p)]).round().astype(int)) / (1000 * p)
    axes.plot([1, 10], [least, least], ":", color=color)
axes.axhline(16, color=GREY, linewidth=1)
note(axes, "a column number", (7.2, 16), (0, 6), color=DARK)
note(axes, "dotted: entropy", (8.1, 2.94), (0, -14), color=DARK)
axes.set(xlabel="bits of a gap", ylabel="bits a weight that is left", ylim=(0, 22))
plt.show()

# %% [markdown]
# With $g = 1$ the only gap is 0 and the filler skips one zero: that *is* the mask. In the paper a filler is a
# weight of value 0, which costs a code besides, and the longest gap is $2^g$; with 8 % left and codes of 6
# bits that is $(6 + g)/(1 - 0.92^{2^g})$, 11.8 bits with 5, the width that its Table 2 has. Fillers that are
# weights also need a code that means 0, one value less for the others. Fillers that are gaps need none.
#
# ## 2. The pipeline
#
# The tour's convolutional network, trained three times over from one start: *pruned* to 10 % (but for the
# first layer), pruned and *shared* with 4 bits, and pruned, shared and *coded*. Each is stored in a file.
#
# **Before you run the cells:** how many times smaller than the float32 file is the last one? And what percent
# of its bytes says where the weights are? (What is derived below counts codes of 4 bits and gaps alone.)

# %%
yours_smaller, yours_where = None, None

digits = nn.data.digits()
x, y = digits.x_train, digits.y_train


def train(model, epochs, rate, seed=0, decay=0.0, penalty=None):
    """Adam, at a rate that falls along half a cosine."""
    optimizer = nn.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    nn.train.fit(model, x, y, epochs=epochs, optimizer=optimizer, rng=np.random.default_rng(seed),
                 schedule=nn.train.cosine, progress=False, penalty=penalty)
    return model


def accuracy(model):
    """Percent of the test images."""
    return 100 * nn.train.accuracy(model, digits.x_test, digits.y_test)


def tuned(base, chain, seed=0, rate=3e-3, penalty=None, first=1):
    """A Program: `chain` attached to a copy of `base`, and trained; conv1 has the stages from `first` on."""
    recipe = {"*": chain, "conv1": chain[first:] or None}
    model = compress.prepare(copy.deepcopy(base), recipe, x[:512])
    return compress.convert(train(model, TUNE, rate, seed, penalty=penalty))


bases = [train(nn.models.digits_cnn(rng=np.random.default_rng(seed)), BASE, 1e-2, seed, decay=2e-2)
         for seed in range(SEEDS)]
floats = [compress.convert(train(copy.deepcopy(base), TUNE, 3e-3, seed), x[:512])
          for seed, base in enumerate(bases)]
prune = compress.Prune(0.9, compress.Cubic(end=2 * TUNE * -(-len(x) // 64) // 3))
share = compress.Cluster(bits=4)
stages = {"float32": floats[0], "pruned": tuned(bases[0], [prune]), "shared": tuned(bases[0], [prune, share]),
          "Huffman": tuned(bases[0], [prune, share, compress.Huffman()]),
          "rANS": tuned(bases[0], [prune, share, compress.Rans()])}
files = {name: Path(FILES.name) / f"{name}.safetensors" for name in stages}
for name, program in stages.items():
    compress.save(program, files[name])
print("coding is lossless:", np.array_equal(stages["shared"](x), stages["Huffman"](x)))

# %% [markdown]
# Of each file, what its bytes are: the *payload* says what the weights are, *indices* say where; the *header*
# what is computed, in which order, and where each array lies. The sum has to be what `ls -l` shows, or the
# cell ends with an error.

# %%
PARTS = {"payload": BLUE, "indices": ORANGE, "tables": GREEN, "biases": GREY, "header": "#ccc"}
accounts = {}
print(f"{'':10}" + "".join(f"{part:>10}" for part in PARTS) + f"{'sum':>10}{'ls -l':>10}")
for name, program in stages.items():
    report, sizes = compress.report(program), dict.fromkeys(PARTS, 0)
    for constant, items in report.items.items():
        for what, count in items.items():
            sizes["biases" if constant.endswith(".bias") else what] += count
    accounts[name] = sizes = sizes | {"header": report.header}
    total, size = sum(sizes.values()), os.path.getsize(files[name])
    print(f"{name:10}" + "".join(f"{count:10,}" for count in sizes.values()) + f"{total:10,}{size:10,}")
    assert total == size
bounds = [w.entropies() for name, w in stages["Huffman"].constants.items() if name.endswith("weight")]
print("entropy   ", *(f"{sum(b.get(what, 0) for b in bounds):9,.0f}" for what in ("payload", "indices")))
full, size = os.path.getsize(files["float32"]), os.path.getsize(files["Huffman"])
where = 100 * accounts["Huffman"]["indices"] / size
compare("prune, share, code: times smaller", full / size, yours_smaller, theory=32 / (0.1 * (4 + gaps)))
compare("of its bytes say where the weights are, %", where, yours_where, theory=100 * gaps / (4 + gaps))

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), width_ratios=(1, 1.5))
for axes, names in ((left, list(stages)[:2]), (right, list(stages)[2:])):
    below = np.zeros(len(names))
    for part, color in PARTS.items():
        heights = np.array([accounts[name][part] / 1000 for name in names])
        bars = axes.bar(names, heights, 0.6, below, color=color, label=part, alpha=0.8)
        if axes is right:
            axes.bar_label(bars, [f"{accounts[name][part]:,}" for name in names], label_type="center")
        below += heights
    axes.bar_label(bars, [f"{os.path.getsize(files[name]):,}" for name in names], padding=4)
    axes.set(ylabel="kB", ylim=(0, 1.12 * below.max()))
right.set_xlim(-0.5, 4.1)
right.legend(frameon=False, loc="center right", reverse=True)
plt.show()

# %% [markdown]
# Another scale on the right! Pruning leaves a tenth of the values, and a new cost, to say where. Sharing cuts
# the values to an eighth and does nothing about where. Coding takes about a tenth of both, and the header is
# shorter since there is no array of its own for each weight. In the end the *values*, almost all of the
# first bar, are less than a third. Tables are codebooks, scales of folded batch norm, and those of the codes:
# who counts codes alone reports a file that is on no disk.
#
# ## 3. Entropy, and whole bits
#
# Sixteen values do not come equally often. Shannon (1948): symbols with probabilities $p_s$ take at least
# $H = -\sum_s p_s \log_2 p_s$ bits each, $-\log_2 p_s$ for the symbol $s$. A codeword has a whole number of
# bits $\ell_s$. No codeword may begin another, so a codeword of $\ell$ bits claims $2^{-\ell}$ of all
# continuations, and (Kraft 1949)
#
# $$\sum_s 2^{-\ell_s} \le 1 .$$
#
# $\ell_s = \lceil -\log_2 p_s \rceil$ satisfies that, and costs less than $H + 1$; Huffman's (1952) is the
# best there is. A *canonical* code sorts by length, so that its lengths tell all of it. **Before you run the
# cell:** the 16 values of `conv3` have codes of 4 bits. How many are the entropy, and Huffman's code?

# %%
yours_entropy, yours_huffman = None, None

weight = stages["shared"].constants["conv3.weight"]
codes = unpack_bits(weight.held["codes"], 4, weight.macs())
counts = np.bincount(codes, minlength=16)
n, H = len(codes), entropy(counts) / len(codes)
lengths = code_lengths(counts)
compare("bits a code of conv3: entropy", H, yours_entropy)
compare("bits a code of conv3: Huffman", counts @ lengths / n, yours_huffman)
print(f"Kraft's sum: {np.sum(0.5 ** lengths[lengths > 0])}; its table: {len(pack_lengths(lengths))} bytes")

figure, axes = plt.subplots(figsize=(11, 4.2))
at = 0.0
for s, word in zip(*codewords(lengths), strict=True):
    depth, claim, deserved = int(lengths[s]), 0.5 ** lengths[s], -np.log2(counts[s] / n)
    axes.bar(at, depth, claim, align="edge", color="#cfe2f0", edgecolor=BLUE)
    axes.plot([at, at + claim], [deserved] * 2, color=ORANGE, linewidth=3)
    texts = {0: f"{word:0{depth}b}", max(depth, deserved): f"{weight.held['codebook'][s]:.3f} × {counts[s]}"}
    for below, text in texts.items() if claim > 0.02 else ():
        axes.text(at + claim / 2, below + 0.2, text, ha="center", va="top", rotation=90, fontsize=11)
    at += claim
axes.set(xlim=(0, 1), ylim=(10, 0), ylabel="bits", xlabel="what each codeword claims: Kraft's sum is 1",
         title=r"codeword; its value × how often (orange: the bits that this deserves, $-\log_2 p$)")
plt.show()

# %% [markdown]
# Where a bar ends above the orange line, the codeword is shorter than its symbol deserves, and others pay for
# that. All in all whole bits lose little *here*, since no value is very frequent.
#
# ## 4. Less than a bit
#
# Take symbols of two kinds, one of which comes 98 times in 100. The entropy is 0.14 bits, and Huffman's code
# has 1: there is no shorter codeword. *Asymmetric numeral systems* (Duda 2013) have none. Symbols become the
# digits of one large number. A decimal digit $s$ is appended by $x' = 10\,x + s$ and costs $\log_2 10$ bits.
# To let frequent ones cost less, take $M$ slots, $f_s$ for the symbol $s$, from $b_s = \sum_{r<s} f_r$ on:
#
# $$x' = \lfloor x / f_s \rfloor\,M + b_s + (x \bmod f_s), \qquad
# \log_2 x' \approx \log_2 x + \log_2 \frac{M}{f_s} .$$
#
# $x' \bmod M$ is a slot of $s$, so a decoder knows it, and goes back: $x = f_s \lfloor x'/M \rfloor +
# (x' \bmod M) - b_s$. Python's integers are as long as they need to be. **Before you run the cell:** how many
# bits a symbol does it take?

# %%
yours = None

message = (rng.random(2000) < 0.02).astype(int)
M, f, b, number = 1024, [1004, 20], [0, 1004], 1
for s in message[::-1]:
    number = number // f[s] * M + b[s] + number % f[s]
compare("bits a symbol, 98 % of one kind", number.bit_length() / 2000, yours,
        theory=entropy(np.bincount(message)) / 2000)
read, rest = [], number
for _ in message:
    s = int(rest % M >= b[1])
    rest = f[s] * (rest // M) + rest % M - b[s]
    read.append(s)
print("read back:", read == message.tolist(), "what is left:", rest)

# %% [markdown]
# The library keeps only 32 bits of the number and writes the lowest out as it grows. (Its Huffman takes up to
# eight such narrow symbols as one, the other way below one bit: exercise 2.)
#
# And in our file? Compare the last three lines of the table in section 2. Entropy coding is *finished*: what
# looks at single symbols gains no more than a percent. Why then does rANS, nearer to the bound, hardly give a
# smaller file? Its table has frequencies, not lengths, and each stream ends with a state of 4 bytes: in
# layers of a few thousand symbols that is as much as whole bits lose.
#
# ## 5. Training that pays for entropy
#
# Whoever wants fewer bits needs other *weights*. With $-\log_2 p(q_i)$ bits for the code $q_i$ of weight $i$,
#
# $$L + \lambda \sum_i -\log_2 p(q_i)$$
#
# is loss and bits in one currency; $\lambda$ is what a bit may cost. A code has no slope, so bits are
# interpolated between neighbouring codes: `compress.rate`, the `penalty` of `fit`. There is no `Prune` in
# what follows, only integers of 4 bits. **Before you run the cell:** with $\lambda = 4 \cdot 10^{-6}$, how
# many times smaller does the file get than with 0? And what percent of all weights becomes 0?

# %%
yours_smaller, yours_zeros = None, None

paid = {}
for price in (0, 1e-6, 4e-6, 1.6e-5):
    rows = []
    for seed, base in enumerate(bases):
        program = tuned(base, [compress.Quantize(4), compress.Rans()], seed, 1e-3, first=0,
                        penalty=lambda model, price=price: price * compress.rate(model))
        weights = [w.decode().ravel() for name, w in program.constants.items() if name.endswith("weight")]
        zeros = 100 * np.mean(np.concatenate(weights) == 0)
        rows.append((compress.report(program).on_disk, accuracy(program), zeros))
    paid[price] = np.mean(rows, axis=0)
    print("λ = {:7g}: {:8,.0f} bytes, {:.2f} %, zeros {:.0f} %".format(price, *paid[price]))
compare("paying 4e-6 a bit: times smaller than for nothing", paid[0][0] / paid[4e-6][0], yours_smaller)
compare("paying 4e-6 a bit: zeros, %", paid[4e-6][2], yours_zeros)

# %% [markdown]
# Nobody asked for zeros. The most frequent code is the cheapest, so weights go there, which makes it cheaper
# still: pruning, as a *consequence* of paying for bits, in each layer as much as the loss allows.
#
# ## 6. The rival
#
# A small dense network of int8 needs neither gaps nor codes. With the same bytes and the same epochs: is it
# as good? **Before you run the cell:** prune, share, code less the dense one of equal bytes, in points?

# %%
yours = None

coded = [tuned(base, [prune, share, compress.Huffman()], seed) for seed, base in enumerate(bases)]
wanted = np.mean([compress.report(program).on_disk for program in coded])


def int8(model):
    """A copy in int8, untrained."""
    return compress.prepare(copy.deepcopy(model), compress.Quantize(), x[:512])


def rival(seed):
    """A dense network of int8 whose file has as many bytes, trained as long."""
    small = nn.models.nearest(partial(nn.models.digits_cnn, rng=np.random.default_rng(seed)), wanted,
                              size=lambda model: compress.report(compress.convert(int8(model))).on_disk)
    train(small, BASE, 1e-2, seed, decay=2e-2)
    return compress.convert(train(int8(small), TUNE, 3e-4, seed))


dense = [rival(seed) for seed in range(SEEDS)]
ours, theirs, whole = (np.array([accuracy(program) for program in some]) for some in (coded, dense, floats))
compare("prune, share, code less float32, points", (ours - whole).mean())
compare("prune, share, code less int8 of equal bytes, points", (ours - theirs).mean(), yours)
print("seed by seed:", *(ours - theirs).round(2))

figure, axes = plt.subplots(figsize=(9.5, 4.6))
axes.plot([row[0] / 1000 for row in paid.values()], [row[1] for row in paid.values()], "D-", color=GREEN,
          label="4 bits, paying λ a bit, rANS")
for price, (size, right, _) in paid.items():
    note(axes, f"λ = {price:g}", (size / 1000, right), (4, -16), fontsize=11, color=GREEN)
for found, look, name in ((ours, "o", "prune, share, code"), (theirs, "s", "small and dense, int8")):
    axes.errorbar(wanted / 1000, found.mean(), np.ptp(found) / 2, fmt=look, capsize=3, markersize=9,
                  label=name, color=BLUE if found is ours else ORANGE)
axes.axhline(whole.mean(), color="black", linewidth=1)
note(axes, "float32, 234 kB", (27, whole.mean()), (0, 5), ha="right")
axes.legend(frameon=False, loc="lower right", fontsize=11)
axes.set(xlabel="kB, the file", ylabel="test accuracy, %", xlim=(5, 28), xscale="log")
ticks(axes, x=[5, 7, 10, 15, 20, 25])
plt.show()

# %% [markdown]
# One test image is 0.28 points: is the distance larger than the bars (the range of the seeds)? The green line
# costs one line of training, and no recipe of sparsities, layer by layer.
#
# ## 7. What it did not buy
#
# A *new* process, which has seen no training, loads the file and runs it. What multiplies, and what does it
# hold in memory? **Before you run both cells:** how many times as fast as float32 is the compressed network,
# with one image, and with 256?

# %%
CODE = """
import sys, zlib, compress, nn
program = compress.load(sys.argv[1])
print(program.bound, zlib.crc32(program(nn.data.digits().x_test).tobytes()))
"""
command = [sys.executable, "-X", "utf8", "-c", CODE, files["Huffman"]]
print(subprocess.check_output(command, encoding="utf-8"))
print("the checksum of its outputs here:", zlib.crc32(stages["Huffman"](digits.x_test).tobytes()))

# %%
yours_single, yours_many = None, None

programs = {"float32": floats[0], "prune, share, code": stages["Huffman"],
            "int8, full size": compress.convert(int8(bases[0])), "int8, equal bytes": dense[0]}
ratios = {}
for count in (1, 256):
    calls = {name: partial(program, digits.x_test[:count]) for name, program in programs.items()}
    seconds = nn.timing.race(calls, 0.02 if FAST else 0.1)
    ratios[count] = {name: seconds.faster(name, than="float32")[0] for name in programs}
print(f"{'':20}{'multiply-adds':>14}{'in memory':>11}{'x faster, 1':>13}{'256 images':>12}")
for name, program in programs.items():
    print(f"{name:20}{program.macs:14,}{program.nbytes:11,}{ratios[1][name]:13.2f}{ratios[256][name]:12.2f}")
compare("1 image: times as fast as float32", ratios[1]["prune, share, code"], yours_single)
compare("256 images: times as fast as float32", ratios[256]["prune, share, code"], yours_many)

# %% [markdown]
# The codes are decoded once, when the file is loaded; what runs is `sparse_conv2d` and `spmm_csr`, on floats
# and column numbers, four times as many bytes as the file. A seventh of the multiply-adds is left: does the
# time fall as much? And compare the int8 rows, which need no indices. The authors knew: to run *this* form
# fast they built a chip (EIE, Han et al. 2016). On a processor that you can buy, Deep Compression is for what
# is sent and kept, downloads and flash memory. For milliseconds take integers, or whole filters away
# (chapters 07 and 08b). Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *The next byte.* In the last bar biases, scales and header are as much as the values. Which could be
#    smaller, by how much, and what would it cost? (The scales come from folding batch norm.)
# 2. *Eight as one.* Draw the bits a symbol of section 4 against the share of the rarer one, 0.01 to 0.5: of
#    Huffman's code, of Huffman's code of bytes (`np.packbits`), of rANS, tables counted. Where do they cross?
# 3. *Where, once more.* The entropy of a gap stream is not the entropy of the positions, if rows or columns
#    are emptier than others. Code the gaps of `conv3` along columns. Are there fewer bytes?
# 4. *Choose honestly.* Learning rates and $\lambda$ were chosen with a look at the test images. Choose with
#    `digits.validation_split()`, also 3 bits and `[Prune(0.9), Quantize(4), Rans()]`. Does the figure stay?
# 5. *Flip a bit* of the file. How often does `compress.load` notice, and how?

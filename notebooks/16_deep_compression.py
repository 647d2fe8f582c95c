# %% [markdown]
# # Deep Compression: where did each byte go?
#
# Prune, share, code, store: three steps, each of which is simple, and a file that is many times smaller (Han,
# Mao & Dally 2016). Here every byte of that file is accounted for: what the weights *are*, *where* they are,
# the tables that explain both, and what is none of these. Each part has a lower bound that can be derived, so
# that we know what is still to gain. And what did all of it not buy?
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
from nn.kernels.frequencies import entropy, table
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


def gap_bits(p, g):
    """Bits a weight, of gaps in g bits, with fillers."""
    return g / (1 - (1 - p) ** (2.0**g - 1))


def entropy_of(p):
    """Bits a symbol at least, if it is 1 with probability p and else 0."""
    return -p * np.log2(p) - (1 - p) * np.log2(1 - p)


positions = np.flatnonzero(rng.random(100_000) < 0.1)
found, packed = gaps_of(positions)  # tries every width, and takes the best
derived = gap_bits(0.1, widths)
compare("10 % left: the best width of a gap, bits", found, yours_width, theory=widths[derived.argmin()])
compare("10 % left: bits a weight to say where", 8 * len(packed) / len(positions), yours_bits,
        theory=derived.min())

figure, axes = plt.subplots(figsize=(9, 4.4))
for p, color, at, shift in ((0.3, GREEN, 1, (-4, -24)), (0.1, BLUE, 1, (8, 4)), (0.03, ORANGE, 3, (8, 4))):
    bits = gap_bits(p, widths)
    axes.plot(widths, bits, "o-", color=color)
    axes.plot(widths[bits.argmin()], bits.min(), "o", color=color, markersize=13)
    note(axes, f"{100 * p:.0f} % left", (at, gap_bits(p, at)), shift, color=color)
    axes.plot([1, 10], [entropy_of(p) / p] * 2, ":", color=color)
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
same = np.array_equal(stages["shared"](digits.x_test), stages["Huffman"](digits.x_test))
print("coding is lossless, the outputs are equal to the bit:", same)

# %% [markdown]
# Of each file, what its bytes are. The rest of a file is its *header*, which says what is computed, in which
# order, and where each array lies. `os.path.getsize` is what `ls -l` shows: if one byte of it were not in our
# list, the next cell would end with an error.

# %%
PARTS = {"what they are": BLUE, "where they are": ORANGE, "tables": GREEN, "biases": GREY, "header": "#ccc"}


def parts_of(program):
    """The bytes of its file, by what they are."""
    report, sizes = compress.report(program), dict.fromkeys(PARTS, 0)
    for name, items in report.items.items():
        if name.endswith(".bias"):
            sizes["biases"] += sum(items.values())
        else:
            sizes["what they are"] += items["payload"]
            sizes["where they are"] += items.get("indices", 0)
            sizes["tables"] += items.get("tables", 0)
    return sizes | {"header": report.header}


accounts = {name: parts_of(program) for name, program in stages.items()}
print(f"{'':10}" + "".join(f"{part:>16}" for part in PARTS) + f"{'sum':>10}{'ls -l':>10}")
for name, sizes in accounts.items():
    size = os.path.getsize(files[name])
    print(f"{name:10}" + "".join(f"{sizes[part]:16,}" for part in PARTS)
          + f"{sum(sizes.values()):10,}{size:10,}")
    assert sum(sizes.values()) == size
bounds = [w.entropies() for name, w in stages["Huffman"].constants.items() if name.endswith("weight")]
bounds = [sum(bound.get(what, 0) for bound in bounds) for what in ("payload", "indices")]
print(f"{'entropy':10}{bounds[0]:16,.0f}{bounds[1]:16,.0f}")
last = accounts["Huffman"]
size = sum(last.values())
gaps = derived.min()
compare("prune, share, code: times smaller", sum(accounts["float32"].values()) / size, yours_smaller,
        theory=32 / (0.1 * (4 + gaps)))
compare("of its bytes say where the weights are, %", 100 * last["where they are"] / size, yours_where,
        theory=100 * gaps / (4 + gaps))

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), width_ratios=(1, 1.5))
for axes, names in ((left, list(stages)[:2]), (right, list(stages)[2:])):
    below = np.zeros(len(names))
    for part, color in PARTS.items():
        heights = np.array([accounts[name][part] / 1000 for name in names])
        bars = axes.bar(names, heights, 0.6, below, color=color, label=part, alpha=0.8)
        if axes is right:
            axes.bar_label(bars, [f"{accounts[name][part]:,}" for name in names], label_type="center",
                           fontsize=11)
        below += heights
    axes.bar_label(bars, [f"{os.path.getsize(files[name]):,}" for name in names], padding=4)
    axes.set(ylabel="kB", ylim=(0, 1.12 * below.max()))
right.set_xlim(-0.5, 4.1)
handles, labels = right.get_legend_handles_labels()
right.legend(handles[::-1], labels[::-1], frameon=False, loc="center right", fontsize=11)
plt.show()

# %% [markdown]
# Another scale on the right! Pruning leaves a tenth of the values, and a new cost, to say where. Sharing cuts
# the values to an eighth and does nothing about where. Then coding takes 10 to 20 % from both, and the
# header is shorter because names of arrays are gone. In the last bar the *values*, which the network began
# with and nothing else, are less than a third. Tables are codebooks, the scales of folded batch norm, and
# the codes' own tables; who counts only codes would report a file that is nowhere on the disk.
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
# cell:** the 16 values of `conv3` have codes of 4 bits. How many bits does the entropy ask for? And how many
# does Huffman's code take?

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
    if claim > 0.02:
        look = {"ha": "center", "va": "top", "rotation": 90, "fontsize": 11}
        axes.text(at + claim / 2, 0.2, f"{word:0{depth}b}", **look)
        axes.text(at + claim / 2, max(depth, deserved) + 0.2,
                  f"{weight.held['codebook'][s]:.3f} × {counts[s]}", **look)
    at += claim
axes.set(xlim=(0, 1), ylim=(10, 0), ylabel="bits", xlabel="what each codeword claims: Kraft's sum is 1",
         title=r"codeword; its value × how often (orange: the bits that this deserves, $-\log_2 p$)")
plt.show()

# %% [markdown]
# Where the end of a bar lies above the orange line, the codeword is shorter than its symbol deserves, and
# others pay for that. All in all it is within a few percent of $H$: the loss of whole bits is small *here*,
# since no value is very frequent.
#
# ## 4. Less than a bit
#
# Take symbols of two kinds, one of which comes 98 times in 100. The entropy is 0.14 bits, and Huffman's code
# has 1: there is no shorter codeword. *Asymmetric numeral systems* (Duda 2013) have no codewords. All
# symbols become the digits of one large number. In the decimal system a digit $s$ is appended by
# $x' = 10\,x + s$, and each costs $\log_2 10$ bits. To let frequent ones cost less, take $M$ slots, $f_s$ of
# them for the symbol $s$ from $b_s = \sum_{r<s} f_r$ on:
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
M, f, b = 1024, [1004, 20], [0, 1004]

number = 1
for s in message[::-1]:
    number = number // f[s] * M + b[s] + number % f[s]
print(f"2000 symbols are the number {str(number)[:20]}… of {len(str(number))} digits")
compare("bits a symbol, 98 % of one kind", number.bit_length() / 2000, yours,
        theory=entropy(np.bincount(message)) / 2000)
read, rest = [], number
for _ in message:
    s = int(rest % M >= b[1])
    rest = f[s] * (rest // M) + rest % M - b[s]
    read.append(s)
print("read back:", read == message.tolist(), "and what is left is", rest)

# %% [markdown]
# The library keeps only 32 bits of the number and writes the lowest out as it grows. (Its Huffman takes up to
# eight of such narrow symbols as one, which is the other way below one bit.) How far both are from the bound,
# with 10,000 symbols and their tables counted:

# %%
probabilities = np.array([0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01])
taken = {"Huffman": [], "Huffman, 8 as one": [], "rANS": []}
for p in probabilities:
    bits = rng.permutation(np.arange(10_000) < 10_000 * p).astype(np.uint8)
    for name, symbols in (("Huffman", bits), ("Huffman, 8 as one", np.packbits(bits))):
        lengths_of = code_lengths(np.bincount(symbols))
        data = nn.kernels.huffman_encode(symbols, lengths_of, streams=1)
        taken[name].append(8 * (len(data) + len(pack_lengths(lengths_of))) / len(bits))
    frequencies, header = table(np.bincount(bits))
    data = nn.kernels.rans_encode(bits, frequencies, lanes=1)
    taken["rANS"].append(8 * (len(data) + len(header)) / len(bits))

figure, axes = plt.subplots(figsize=(9, 4.4))
for (name, values), color, marker in zip(taken.items(), (GREY, ORANGE, BLUE), "sDo", strict=True):
    axes.loglog(probabilities, values, marker, color=color, label=name, markersize=9)
curve = np.geomspace(0.009, 0.5, 100)
axes.loglog(curve, entropy_of(curve), color="black", linewidth=1, label="entropy")
axes.legend(frameon=False)
axes.set(xlabel="probability of the rarer symbol", ylabel="bits a symbol")
ticks(axes, x=[0.01, 0.02, 0.05, 0.1, 0.2, 0.5], y=[0.1, 0.2, 0.5, 1])
plt.show()

# %% [markdown]
# And in our file? Compare the last three lines of the table in section 2: the bytes of all streams, and their
# bound.
#
# Entropy coding is *finished*: nothing that looks at single symbols gains more than a percent. Why then does
# rANS, nearer to the bound, hardly give a smaller file? Its table has frequencies, not lengths, and each
# stream ends with a state of 4 bytes: in layers of a few thousand symbols that is as much as whole bits lose.
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

prices = [0, 1e-6, 4e-6, 1.6e-5]
paid = {price: [] for price in prices}
for price in prices:
    for seed, base in enumerate(bases):
        program = tuned(base, [compress.Quantize(4), compress.Rans()], seed, 1e-3, first=0,
                        penalty=lambda model, price=price: price * compress.rate(model))
        weights = [w.decode().ravel() for name, w in program.constants.items() if name.endswith("weight")]
        zeros = 100 * np.mean(np.concatenate(weights) == 0)
        paid[price].append((compress.report(program).on_disk, accuracy(program), zeros))
paid = {price: np.mean(rows, axis=0) for price, rows in paid.items()}
for price, (size, right, zeros) in paid.items():
    print(f"λ = {price:7g}: {size:8,.0f} bytes, {right:.2f} %, zeros {zeros:.0f} %")
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
    note(axes, f"λ = {price:g}", (size / 1000, right), (4, 9), fontsize=10, color=GREEN)
for found, color, marker, name in ((ours, BLUE, "o", "prune, share, code"),
                                   (theirs, ORANGE, "s", "small and dense, int8")):
    axes.errorbar(wanted / 1000, found.mean(), np.ptp(found) / 2, marker=marker, color=color, capsize=3,
                  linestyle="", markersize=9, label=name)
axes.axhline(whole.mean(), color="black", linewidth=1)
note(axes, "float32, 234 kB", (27, whole.mean()), (0, 5), ha="right")
axes.legend(frameon=False, loc="lower right", fontsize=11)
axes.set(xlabel="kB, the file", ylabel="test accuracy, %", xlim=(5, 28), xscale="log")
ticks(axes, x=[5, 7, 10, 15, 20, 25])
plt.show()

# %% [markdown]
# One test image is 0.28 points: is the distance larger than the bars (the range of the seeds)? The green line
# costs one line of code in the training and needs no recipe of sparsities, layer by layer.
#
# ## 7. What it did not buy
#
# A *new* process, which has seen no training, loads the file and runs it. What does it hold in memory, and
# what multiplies? **Before you run the next cell but one:** how many times as fast as float32 is the
# compressed network, with one image, and with 256?

# %%
CODE = """
import sys, zlib, compress, nn
program = compress.load(sys.argv[1])
print(program.bound, zlib.crc32(program(nn.data.digits().x_test).tobytes()))
"""
process = subprocess.run([sys.executable, "-c", CODE, files["Huffman"]], capture_output=True, text=True,
                         check=True)
listing, checksum = process.stdout.rsplit(maxsplit=1)
print(listing)
same = int(checksum) == zlib.crc32(stages["Huffman"](digits.x_test).tobytes())
print("the same outputs, to the bit:", same)

# %%
yours_single, yours_many = None, None

programs = {"float32": floats[0], "prune, share, code": stages["Huffman"],
            "int8, full size": compress.convert(int8(bases[0])), "int8, equal bytes": dense[0]}
for name, program in programs.items():
    print(f"{name:18} {program.macs:8,} multiply-adds, {program.nbytes:8,} bytes in memory")
for count, yours in ((1, yours_single), (256, yours_many)):
    seconds = nn.timing.race({name: partial(program, digits.x_test[:count])
                              for name, program in programs.items()}, 0.02 if FAST else 0.1)
    for name in list(programs)[2:]:
        times, spread = seconds.faster(name, than="float32")
        print(f"{count} at once, {name}: {times:.2f} ± {spread:.2f} times as fast as float32")
    compare(f"{count} at once, prune, share, code: times as fast as float32",
            seconds.faster("prune, share, code", than="float32")[0], yours)

# %% [markdown]
# The codes are decoded once, when the file is loaded; what runs is `spmm_csr`, on floats and column numbers,
# several times as many bytes as the file has. A seventh of the multiply-adds is left. Does the time
# fall as much? And compare both int8 rows, which leave nothing out. The authors knew: to run *this* form fast
# they built a machine for it (EIE, Han et al. 2016). On a processor that you can buy, Deep Compression is for
# what is sent and kept: downloads, flash memory, the radio. For milliseconds take integers, or whole filters
# away (chapters 07 and 08).
#
# Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *The next byte.* In the last bar biases, scales and header are as much as the values. Which could be
#    smaller, by how much, and what would it cost? (The scales come from folding batch norm.)
# 2. *Where, once more.* The entropy of a gap stream is not the entropy of the positions, if rows or columns
#    are emptier than others. Code the gaps of `conv3` along columns. Are there fewer bytes?
# 3. *Its own way.* What do `[Prune(0.9), Quantize(4), Rans()]` and `Cluster` with 3 and 5 bits cost? Draw all
#    of them into the figure of section 6.
# 4. *Flip a bit* of the file. How often does `compress.load` notice, and how?

# %% [markdown]
# # Low rank and tensor trains: what is small about a layer?
#
# A product of two thin matrices has fewer numbers than the matrix that it makes, and a *tensor train* is a
# product of many small cores. Both work if the matrix has something to leave out. Is that the weight? Or
# what the weight makes of the images that there are? And when numbers have been saved: are multiply-adds
# saved, is time?
#
# As in the tour: derive before you code, write a guess in place of `None` before you run a cell, and look.

# %%
import copy
import os
from functools import partial
from math import prod, sqrt

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: for matrices this small, threads cost more

import matplotlib.pyplot as plt
import numpy as np

import compress
import nn
from nn.explain import BLUE, FAST, GREEN, GREY, ORANGE, Guesses, note, style, ticks
from nn.kernels.tt_matmul import multiply_adds

BASE, TUNE, SEEDS = (3, 2, 1) if FAST else (15, 10, 3)  # epochs from scratch, epochs after it, repetitions
style()
guesses = Guesses()
compare = guesses.compare
digits = nn.data.digits()
x, y = digits.x_train, digits.y_train


def train(model, epochs, rate, seed=0, decay=0.0):
    """Adam, at a rate that falls along half a cosine."""
    optimizer = nn.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    nn.train.fit(model, x, y, epochs=epochs, optimizer=optimizer, rng=np.random.default_rng(seed),
                 schedule=nn.train.cosine, progress=False)
    return model


def accuracy(model):
    """Percent of the test images."""
    return 100 * nn.train.accuracy(model, digits.x_test, digits.y_test)


# %% [markdown]
# ## 1. Two spectra
#
# A convolution is a matrix product: each neighbourhood of the image, written as a row $x$ of $9 I$ numbers,
# times $W^\top$ with $W$ of shape $(O, 9 I)$. The singular values of $W$ say how well a matrix of rank $r$
# can replace it (Eckart & Young 1936):
#
# $$\min_{\text{rank } r} \lVert W - M \rVert^2 = \sum_{i > r} \sigma_i^2 .$$
#
# But nobody looks at $W$. What the next layer sees are the *responses* $y = W x$, and neighbourhoods of
# images are not any vectors: most of them look alike. With the second moments $C = \overline{x x^\top}$
#
# $$\overline{\lVert W x - M x \rVert^2} = \lVert (W - M)\, C^{1/2} \rVert^2 ,$$
#
# so what counts is the spectrum of $W C^{1/2}$: its squared singular values are the eigenvalues of
# $\overline{y y^\top}$.
#
# The layer is `conv3` of the convolutional network, 64 outputs from 576 inputs. **Before you run the
# cell:** how many of 64 directions hold 90 % of $\sum \sigma_i^2$ of $W$? And of its responses to the
# training images (without their mean)?

# %%
yours_weight, yours_responses = None, None

network = train(nn.models.digits_cnn(rng=np.random.default_rng(0)), 2 if FAST else 12, 1e-2).eval()
F = nn.functional
with nn.no_grad():
    maps = F.max_pool2d(F.relu(network.bn1(network.conv1(nn.Tensor(x)))), 2)
    maps = F.max_pool2d(F.relu(network.bn2(network.conv2(maps))), 2).data
padded = np.pad(maps, [(0, 0), (0, 0), (1, 1), (1, 1)])
patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))  # image, channel, 2, 2, 3, 3
patches = patches.transpose(0, 2, 3, 1, 4, 5).reshape(-1, 576).astype(float)
W = network.conv3.weight.data.reshape(64, 576).astype(float)
Y = patches @ W.T
mean = Y.mean(axis=0)
spectra = {"the weight": np.linalg.svd(W, compute_uv=False) ** 2,
           "its responses": np.linalg.svd(Y - mean, compute_uv=False) ** 2,
           "its inputs": np.linalg.svd(patches - patches.mean(axis=0), compute_uv=False) ** 2}


def rank_for(share, energies):
    """How many of the largest hold this share of the sum."""
    return int(np.searchsorted(np.cumsum(energies) / energies.sum(), share)) + 1


for name, energies in spectra.items():
    print(f"{name} ({len(energies)}): 90 % in {rank_for(0.9, energies)}, 99 % in {rank_for(0.99, energies)}")
compare("directions with 90 % of the weight", rank_for(0.9, spectra["the weight"]), yours_weight)
compare("directions with 90 % of the responses", rank_for(0.9, spectra["its responses"]), yours_responses)

figure, axes = plt.subplots(figsize=(9, 4.4))
for (name, energies), color, at in zip(spectra.items(), (ORANGE, BLUE, GREY), (22, 22, 48), strict=True):
    left_out = 100 * (1 - np.cumsum(energies) / energies.sum())[:63]
    axes.semilogy(np.arange(1, 64), left_out, color=color, linestyle="--" if color == GREY else "-")
    note(axes, name, (at, left_out[at - 1]), (6, 12), color=color)
axes.set(xlabel="rank kept", ylabel="energy left out, %", ylim=(0.01, 110), xlim=(0, 64))
ticks(axes, y=[100, 10, 1, 0.1, 0.01])
plt.show()

# %% [markdown]
# ## 2. Cut for the weight, or for the responses
#
# The best $M$ for the responses comes from the same theorem. With the eigenvectors $U_r$ of the covariance
# of $y$ that belong to its $r$ largest eigenvalues (Zhang et al. 2015),
#
# $$M = U_r\,(U_r^\top W), \qquad y \approx U_r U_r^\top (y - \bar y) + \bar y ,$$
#
# and the best for the weight has the left singular vectors of $W$ for $U_r$. Both are $r\,(64 + 576)$
# numbers in place of $64 \cdot 576$: fewer, while $r < 57.6$.
#
# **Before you run the cell:** cut `conv3` to rank 12 and train no further. What accuracy is left, in
# percent, with the singular vectors of the weight? With those of the responses?

# %%
yours_weight, yours_responses = None, None


def cut(rank, basis):
    """A copy of the network whose conv3 goes through `rank` of these directions."""
    U = basis[:, :rank]
    model = copy.deepcopy(network)
    model.conv3.weight.data = (U @ (U.T @ W)).reshape(64, 64, 3, 3).astype(np.float32)
    model.bn3.running_mean -= (mean - U @ (U.T @ mean)).astype(np.float32)  # what was cut of the mean
    return model


bases = {"the weight": np.linalg.svd(W)[0],
         "its responses": np.linalg.svd((Y - mean).T, full_matrices=False)[0]}
ranks = [2, 4, 8, 12, 16, 24, 32, 48]
found = {name: [accuracy(cut(rank, basis)) for rank in ranks] for name, basis in bases.items()}
compare("rank 12 for the weight: accuracy, %", found["the weight"][3], yours_weight)
compare("rank 12 for the responses: accuracy, %", found["its responses"][3], yours_responses)

errors = {}
for name, basis in bases.items():
    cuts = [(Y - mean) - (Y - mean) @ basis[:, :rank] @ basis[:, :rank].T for rank in ranks]
    errors[name] = [100 * np.linalg.norm(cut) / np.linalg.norm(Y - mean) for cut in cuts]
figure, panels = plt.subplots(1, 2, figsize=(12, 4.2))
for axes, curves, title in zip(panels, (errors, found), ("error of the responses, %", "test accuracy, %"),
                               strict=True):
    for (name, values), color, marker in zip(curves.items(), (ORANGE, BLUE), "so", strict=True):
        axes.plot(ranks, values, marker + "-", color=color, label=f"cut for {name}")
    axes.axvline(57.6, color=GREY, linestyle=":")
    axes.set(xlabel="rank of conv3 (dotted: no fewer numbers)", title=title, xlim=(0, 62), ylim=(0, 102))
panels[1].axhline(accuracy(network), color="black", linewidth=1)
panels[1].legend(frameon=False, loc=(0.3, 0.3))
plt.show()

# %% [markdown]
# The same number of numbers and of multiply-adds, and no training: all that is different is *what* was to
# be near. On the left the blue curve is below the other one: that is the theorem. The accuracy follows it
# only roughly, since the loss does not weigh all responses alike. Still: "this weight is not low-rank" is
# no reason to give up. (It works the other way round, too: directions in which the training images are poor
# are cut, and an image from elsewhere may need them.)
#
# ## 3. Tensor trains
#
# A tensor $A$ with $d$ indices is in the tensor-train format if every entry is a product of small matrices,
# one for each index (Oseledets 2011):
#
# $$A[i_1, \dots, i_d] = G_1[i_1]\; G_2[i_2] \cdots G_d[i_d], \qquad
# G_k[i_k] \text{ of shape } (r_{k-1}, r_k), \quad r_0 = r_d = 1 .$$
#
# For example $A[i, j, k] = i + j + k$. It is no product, but
#
# $$i + j + k = \begin{pmatrix} i & 1 \end{pmatrix} \begin{pmatrix} 1 & 0 \\ j & 1 \end{pmatrix}
# \begin{pmatrix} 1 \\ k \end{pmatrix} .$$
#
# **Before you run the cell:** on a grid of $3 \times 4 \times 5$ the tensor has 60 numbers. How many has
# the train?

# %%
yours = None


def tt_svd(A, eps=0.0):
    """The cores of A with a relative error of at most eps, and the error that each SVD made."""
    cores, errors, rest, rank = [], [], A, 1
    delta = max(eps / sqrt(A.ndim - 1), 1e-14) * np.linalg.norm(A)
    for n in A.shape[:-1]:
        u, s, vt = np.linalg.svd(rest.reshape(rank * n, -1), full_matrices=False)
        tails = np.sqrt(np.cumsum(s[::-1] ** 2))[::-1]  # tails[r]: the error of keeping r
        keep = max(1, np.count_nonzero(tails > delta))
        errors.append(np.append(tails, 0)[keep])
        cores.append(u[:, :keep].reshape(rank, n, keep))
        rest, rank = s[:keep, None] * vt[:keep], keep
    return [*cores, rest.reshape(rank, A.shape[-1], 1)], np.array(errors)


def build(cores):
    """The tensor of these cores."""
    full = cores[0]
    for core in cores[1:]:
        full = np.tensordot(full, core, axes=1)
    return full.reshape([core.shape[1] for core in cores])


i, j, k = np.ogrid[:3, :4, :5]
A = (i + j + k).astype(float)
cores, _ = tt_svd(A)
print("cores:", *[core.shape for core in cores], "largest difference:", np.abs(build(cores) - A).max())
compare("numbers in the train of i + j + k", sum(core.size for core in cores), yours,
        theory=3 * 2 + 2 * 4 * 2 + 2 * 5)

# %% [markdown]
# How did `tt_svd` find that, and how wrong can it be? It writes $A$ as a matrix whose rows are the first
# index, and cuts its SVD: $A = U C + E_1$ with $\lVert E_1 \rVert = \varepsilon_1$. The columns of $U$ are
# orthonormal, and $E_1$ is orthogonal to them. Then it does the same to the smaller tensor $C$, which
# becomes $\hat C$. By Pythagoras
#
# $$\lVert A - U \hat C \rVert^2 = \lVert E_1 \rVert^2 + \lVert U (C - \hat C) \rVert^2
# = \varepsilon_1^2 + \lVert C - \hat C \rVert^2 ,$$
#
# and so on: $\lVert A - B \rVert^2 = \varepsilon_1^2 + \dots + \varepsilon_{d-1}^2$. Who cuts each SVD at
# $\varepsilon_k \le \varepsilon \lVert A \rVert / \sqrt{d - 1}$ has a relative error of at most
# $\varepsilon$ in the end.
#
# Three tensors of $16^4 = 65{,}536$ numbers: a smooth function, random numbers, and a *trained weight* of
# $256 \times 256$, with the digits of its row and column numbers in pairs. **Before you run the cell:**
# with an error of 10 %, what share of the numbers is left of each, in percent?

# %%
yours_smooth, yours_random, yours_weight = None, None, None

wide = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(),
                     nn.Linear(256, 10))
train(wide, BASE, 3e-3, decay=1e-3)
weight = wide[3].weight.data.astype(float).reshape(16, 16, 16, 16).transpose(0, 2, 1, 3)  # digits in pairs
grid = np.ogrid[:16, :16, :16, :16]
tensors = {"smooth": 1 / (1.0 + sum(grid)), "trained weight": weight,
           "random": np.random.default_rng(0).standard_normal((16,) * 4)}
asked, shares = np.geomspace(1e-4, 0.9, 9), {}
for name, A in tensors.items():
    for eps in [*asked, 0.1]:
        cores, errors = tt_svd(A, eps)
        shares[name, eps] = 100 * sum(core.size for core in cores) / A.size
    error, bound = (np.linalg.norm(off) / np.linalg.norm(A) for off in (build(cores) - A, errors))
    print(f"{name}, {eps:.0%} asked for: error {error:.6f}, √Σε² {bound:.6f}")
for name, yours in zip(tensors, (yours_smooth, yours_weight, yours_random), strict=True):
    compare(f"{name}, error 10 %: share of the numbers, %", shares[name, 0.1], yours)

figure, axes = plt.subplots(figsize=(9, 4.4))
for name, color in zip(tensors, (GREEN, BLUE, GREY), strict=True):
    axes.loglog(100 * asked, [shares[name, eps] for eps in asked], "o-", color=color)
    at = asked[4 if name == "trained weight" else 0]  # above its line, which another may cover
    note(axes, name, (100 * at, shares[name, at]), (6, 8), color=color)
axes.axhline(100, color="black", linewidth=1)
note(axes, "as many as without", (1, 100), (0, -16))
axes.set(xlabel="error allowed, %", ylabel="numbers stored, %", ylim=(0.05, 900))
ticks(axes, x=[0.01, 0.1, 1, 10, 100], y=[0.1, 1, 10, 100])
plt.show()

# %% [markdown]
# The bound is no estimate, it is the error itself, to the last digits. And a train can be *larger* than the
# tensor: its ranks are then those of the unfoldings, and the cores between repeat what the tensor says
# once. Is the trained weight nearer to the smooth tensor or to the random one? If it is to the random one,
# cutting alone will not do (section 5).
#
# ## 4. Three numbers that are not one
#
# A layer of $1024 \to 1024$ as three cores with modes $8 \cdot 16 \cdot 8$ on both sides, of rank $r$. What
# is saved?
#
# - **numbers**: $8 \cdot 8\, r + r \cdot 16 \cdot 16\, r + r \cdot 8 \cdot 8$ in place of $1024^2$;
# - **multiply-adds**: the input is contracted with one core after the other. With a core $(r, i, o, r')$,
#   all other indices of the input and the output so far are carried along:
#   $\sum_k r_{k-1}\, i_k\, o_k\, r_k \cdot (\text{what is carried})$;
# - **time**: three thin products with a rearrangement between, in place of one large one.
#
# **Before you run the cell:** $r = 8$. How many times fewer numbers are that, how many times fewer
# multiply-adds, and how many times as fast is it with 64 inputs?

# %%
yours_numbers, yours_macs, yours_time = None, None, None

rng = np.random.default_rng(0)
ranks, modes, rows = [1, 2, 4, 8, 16, 32], (8, 16, 8), rng.standard_normal((64, 1024), np.float32)
out = np.empty((64, 1024), np.float32)
dense = nn.kernels.gemm.pack(rng.standard_normal((1024, 1024), np.float32))
jobs = {"dense": partial(nn.kernels.gemm, rows, dense, out=out)}
fewer = {"numbers": [], "multiply-adds": []}
for rank in ranks:
    shapes = [(a, n, n, b) for a, n, b in zip((1, rank, rank), modes, (rank, rank, 1), strict=True)]
    cores = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    fewer["numbers"].append(1024**2 / sum(map(prod, shapes)))
    fewer["multiply-adds"].append(1024**2 / min(multiply_adds(shapes, order) for order in (True, False)))
    jobs[rank] = partial(nn.kernels.tt_matmul, rows, nn.kernels.tt_matmul.pack(cores), out=out)
seconds = nn.timing.race(jobs, 0.02 if FAST else 0.1)
fewer["time"] = [seconds["dense"] / seconds[rank] for rank in ranks]
for name, yours in (("numbers", yours_numbers), ("multiply-adds", yours_macs), ("time", yours_time)):
    compare(f"rank 8: times less, {name}", fewer[name][3], yours)

figure, axes = plt.subplots(figsize=(9, 4.4))
for (name, times), color, marker in zip(fewer.items(), (GREEN, BLUE, ORANGE), "^os", strict=True):
    axes.loglog(ranks, times, marker + "-", color=color)
    note(axes, name, (ranks[-1], times[-1]), (8, {"multiply-adds": 9, "time": -9}.get(name, 0)), color=color)
axes.axhline(1, color="black", linewidth=1)
note(axes, "as much as dense", (1, 1), (0, -16))
axes.set(xlabel="rank", ylabel="times less", xlim=(0.9, 100))
ticks(axes, x=ranks, y=[1, 10, 100, 1000])
plt.show()

# %% [markdown]
# A report that gives only the first number is true and says little about the third. What became of the
# rest? A number of a core is used again and again: few numbers, many multiplications. And thin products
# keep a processor's multipliers less busy than one large product.
#
# ## 5. Trained cores, and the rival
#
# A cut is a start. `compress.TensorTrain` trains the *cores*, and looks for the best weights of this form.
# Beside it, as always, the small dense network of equal bytes and equal epochs. First look at what a cut
# loses. With two cores, `fc1` of the 64-300-100-10 network is a matrix with the digits of its row and column
# numbers in pairs, $8 \cdot 15$ by $8 \cdot 20$, and its SVD is cut:

# %%
base = train(nn.models.digits_mlp(rng=np.random.default_rng(0)), BASE, 1e-2, decay=1e-3)
w = base.fc1.weight.data.astype(float)
paired = w.reshape(15, 20, 8, 8).transpose(2, 0, 3, 1).reshape(120, 160)
figure, axes = plt.subplots(figsize=(7, 3.4))
for name, matrix, color, marker in (("the matrix itself", w, GREY, "s"), ("in pairs", paired, BLUE, "o")):
    tails = np.sqrt(np.cumsum(np.linalg.svd(matrix, compute_uv=False)[::-1] ** 2)[::-1]) / np.linalg.norm(w)
    numbers = np.arange(0, len(tails), 4) * sum(matrix.shape)
    axes.plot(numbers, 100 * tails[::4], marker + "-", color=color, label=name, markersize=5)
axes.axvline(w.size, color=ORANGE, linestyle="--")
note(axes, "as many as without", (w.size, 60), (-6, 0), ha="right", color=ORANGE)
axes.set(xlabel="numbers stored", ylabel="error, %", xlim=(0, 1.15 * w.size), title="fc1: what a cut loses")
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# A trained weight is no low-rank matrix, and in pairs it is cut worse than as the matrix it is: nothing in
# this small layer runs along those pairs.
#
# **Before you run the cell:** two cores of rank 4 in the first two layers of that network.
# What is its accuracy after cutting, after training, and what is the rival's, in percent?

# %%
yours_cut, yours_trained, yours_rival = None, None, None

ranks, results, sizes = [2, 4, 8, 16], {"cut": [], "trained": [], "rival": []}, []
for seed in range(SEEDS):
    base = train(nn.models.digits_mlp(rng=np.random.default_rng(seed)), BASE, 1e-2, seed, decay=1e-3)
    for rank in ranks:
        recipe = {"*": compress.TensorTrain(rank=rank, cores=2), "fc3": None}
        model = compress.prepare(copy.deepcopy(base), recipe, x[:512])
        results["cut"].append(accuracy(model))
        results["trained"].append(accuracy(train(model, TUNE, 9e-3, seed)))
        numbers = sum(p.size for p in model.parameters())
        sizes.append(4 * numbers)
        make = partial(nn.models.digits_mlp, rng=np.random.default_rng(seed))  # of a width
        small = nn.models.nearest(make, numbers)
        train(small, BASE, 1e-2, seed, decay=1e-3)
        results["rival"].append(accuracy(train(small, TUNE, 3e-3, seed)))
results = {name: np.reshape(values, (SEEDS, -1)).mean(axis=0) for name, values in results.items()}
for name, yours in (("cut", yours_cut), ("trained", yours_trained), ("rival", yours_rival)):
    compare(f"rank 4, {name}: accuracy, %", results[name][1], yours)
program = compress.convert(model)  # the last one: rank 16
print("\n", program.bound, sep="")

figure, panels = plt.subplots(1, 2, figsize=(12, 4.2))
for (name, values), color, marker in zip(results.items(), (ORANGE, BLUE, GREEN), "so^", strict=True):
    told = {"cut": "train, cut only", "trained": "train, cores trained", "rival": "small and dense"}[name]
    for axes in panels[:1 if name == "cut" else 2]:
        axes.plot(np.array(sizes[:len(ranks)]) / 1000, values, marker + "-", color=color, label=told)
panels[0].legend(frameon=False, loc="lower right")
panels[0].set(xlabel="kB of parameters", title="test accuracy, %", xlim=(0, None), ylim=(0, 102))
panels[1].set(xlabel="kB of parameters", title="the upper two, enlarged", xlim=(0, None))
plt.show()
compress.explain.cores(program.constants["fc1.weight"])  # what is stored of it: boxes, and their bonds
plt.show()

# %% [markdown]
# `tt_matmul` multiplies with one core after the other; the large matrix is never built. Whether the train
# was worth it, the right picture says. It was made for layers of millions of weights: there a rival of
# equal bytes would have hardly any units left. Your guesses:

# %%
print(guesses)

# %% [markdown]
# ## Exercises
# 1. *Fewer images.* Find the directions of section 2 with 20 training images only. How does the accuracy at
#    rank 12 change? And with 20 images of the digit 1?
# 2. *Decay.* Train the network of section 1 with `decay=2e-2`. What happens to the two spectra, and why is
#    that good news for whoever wants to cut?
# 3. *Another order.* Reverse the indices of the three tensors of section 3 (`A.transpose(3, 2, 1, 0)`), and
#    take the weight without pairing its digits. Do the ranks change, does the bound?
# 4. *Rank of a sum.* Show that $\sin(i + j + k)$ has a train of ranks 2 (addition theorem), write its
#    cores, and check with `tt_svd`. What about $\sin(i \cdot j)$?
# 5. *The plain matrix.* `TensorTrain(rank=6, in_modes=(64, 1), out_modes=(1, 300))` is the plain matrix, with
#    nearly as many numbers as rank 8 in pairs. Use it in section 5. Which is better after training?
#
# Assignment 8, `factoring`, has you write TT-SVD with its bound, and Winograd's algorithm (notebook 11).

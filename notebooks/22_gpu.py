# %% [markdown]
# # On a GPU: from a thread an element to tensor cores
#
# A GPU multiplies some hundred times as fast as a core, if numbers reach it in time. A program for one is
# written for one thread, and thousands run it at once; what they share, and when, is the programmer's. So
# two questions decide everything: how many bytes does a multiplication cost, and who has written what I read?
#
# Here both are answered without a GPU. `nn.cuda.Trial` compiles a kernel for an emulation: a block's threads
# take turns, in whatever order you say, and every access to memory is counted and looked at. What would
# be garbage now and then on a device is a sentence here. Where there is a GPU, the last sections use it.
#
# Before you run a cell, write a guess in place of `None`.

# %%
import matplotlib.pyplot as plt
import numpy as np

import compress
import nn
from nn import cuda
from nn.explain import BLUE, FAST, GREEN, GREY, ORANGE, Guesses, style
from nn.kernels import qgemm, use

if cuda.why_not():
    print(f"{cuda.why_not()} This chapter runs on the emulation.")
    cuda.emulate()
else:
    print(f"on {cuda.library().name}")
SIDE = 64 if FAST else 128  # of the matrices
style()
guesses = Guesses()
compare = guesses.compare
rng = np.random.default_rng(0)
a, b = (rng.integers(-128, 128, (SIDE, SIDE), np.int8) for _ in range(2))
WANT = a.astype(np.int32) @ b.astype(np.int32)


def tried(trial, *more, order=0):
    """The product by a kernel of ours, and what it has read of global memory for each multiplication."""
    c = trial.product(SIDE, a, b, cuda.nothing(SIDE, SIDE, dtype=np.int32), *more, order=order)[-1]
    print("right" if (c == WANT).all() else f"wrong in {(c != WANT).sum()} of {c.size} places")
    return trial.counts["bytes of global memory read"] / SIDE**3


# %% [markdown]
# ## 1. A thread an element
#
# A launch is a grid of blocks, a block up to 1024 threads. Each finds out who it is from `blockIdx` and
# `threadIdx`, and computes its element of $C = AB$, bytes in, 32 bits out. The last line of the source is
# the host's: how many blocks of how many threads.
#
# **Before you run the cell:** how many bytes are read for each multiplication?

# %%
yours_naive = None

NAIVE = """
__global__ void naive(int n, const int8_t *a, const int8_t *b, int *c) {
    const int row = blockIdx.y * blockDim.y + threadIdx.y, column = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= n || column >= n) return;
    int sum = 0;
    for (int k = 0; k < n; ++k) sum += a[row * n + k] * b[k * n + column];
    c[row * n + column] = sum;
}
API int product(int n, const void *a, const void *b, void *c, void *stream) {
    const dim3 block(16, 16), grid(ceil_div(n, 16), ceil_div(n, 16));
    LAUNCH(naive, grid, block, 0, stream, n, (const int8_t *)a, (const int8_t *)b, (int *)c);
    return launched();
}
"""
compare("a thread an element, bytes a multiplication", tried(cuda.Trial(NAIVE)), yours_naive, theory=2)

# %% [markdown]
# Each number of $A$ is fetched once for every column of $C$. Caches hide some of that and not all: what they
# give, every thread of the device asks for.
#
# What if the question at the edge is wrong? On a device this reads whatever lies behind the array, and
# nobody says so.

# %%
try:
    tried(cuda.Trial(NAIVE.replace("k < n", "k <= n")))
except cuda.EmulationError as error:
    print(error)

# %% [markdown]
# ## 2. What a block shares
#
# A block has some 100 kB of shared memory, as near as a cache and under your command. Its threads fetch a
# tile of $A$ and one of $B$ together, wait for each other, and multiply from there. With tiles of $T \times
# T$ every byte that was fetched serves for $T$ multiplications.
#
# **Before you run the cell:** bytes a multiplication, with $T = 16$?

# %%
yours_tiles = None

TILES = """
enum { T = 16 };
__global__ void tiles(int n, const int8_t *a, const int8_t *b, int *c) {
    SHARED(int8_t, of_a, [T][T]);
    SHARED(int8_t, of_b, [T][T]);
    const int x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * T + y, column = blockIdx.x * T + x;
    int sum = 0;
    for (int k = 0; k < n; k += T) {
        of_a[y][x] = a[row * n + k + x];
        of_b[y][x] = b[(k + y) * n + column];
        __syncthreads();   // all is there
        for (int i = 0; i < T; ++i) sum += of_a[y][i] * of_b[i][x];
        __syncthreads();   // all have read it
    }
    c[row * n + column] = sum;
}
API int product(int n, const void *a, const void *b, void *c, void *stream) {
    const dim3 block(T, T), grid(n / T, n / T);
    LAUNCH(tiles, grid, block, 0, stream, n, (const int8_t *)a, (const int8_t *)b, (int *)c);
    return launched();
}
"""
compare("tiles of 16 x 16, bytes a multiplication", tried(cuda.Trial(TILES)), yours_tiles, theory=2 / 16)

# %% [markdown]
# ## 3. Who has written what I read?
#
# Take the second barrier away. A quick thread may then fetch the next tile over numbers that a slow one
# still reads.
#
# **Before you run the cell:** a block's threads run forward, in reverse, or in random order. In how many of
# the three is the *result* wrong, if nobody looks at the accesses? And in how many does the emulation say so?

# %%
yours_said = None

without = cuda.Trial(TILES.replace("__syncthreads();   // all have read it", ""))
said = 0
for order, name in enumerate(("forward", "reverse", "random")):
    try:
        tried(without, order=order)
    except cuda.EmulationError as error:
        said += 1
        print(f"{name}: {error}")
compare("orders in which the missing barrier is found", said, yours_said, theory=3)

# %% [markdown]
# The emulation does not wait for a wrong number. Of each byte it keeps who wrote it last, who read it last,
# and how many barriers ago; two accesses of different threads with no barrier between them, one of them a
# write, are a race, whichever came first today.
#
# ## 4. How many bytes a multiplication may cost
#
# An H200's memory gives 4.8 TB/s, its tensor cores 1,979 tera-operations of 8-bit integers a second, two for
# each multiplication (both from its data sheet). So a multiplication may cost $4.8 \cdot 2/1979$ bytes.
#
# **Before you run the cell:** how large must a tile be, then, if one fetches for a multiplication in a tile
# of $T \times T$ sums $2/T$ bytes?

# %%
yours_side = None

may_cost = 4.8 * 2 / 1979
compare("side of a tile that keeps tensor cores busy", 2 / may_cost, yours_side)

# %% [markdown]
# That is more sums than one thread has registers, or one block of 256 threads: 65,536 registers of a
# multiprocessor hold 128 × 256 sums and what else is needed. The rest is for the cache, which sees the same
# tiles of $A$ and $B$ from many blocks at once.
#
# These are the rungs of the library's own `qgemm`, and what each has read (on the emulation; on a GPU
# nobody counts):

# %%
x, y = cuda.to_device(a.view(np.uint8)), qgemm.pack(b)
rungs = [v for v in qgemm.variants() if v.backend == "cuda"]
costs = {}
if cuda.library().emulated:
    for variant in rungs:
        with use(variant):
            operand = cuda.DEVICE_KERNELS["qgemm"].pack(y)
            cuda.library().counts()
            qgemm(x, operand).numpy()
        counts = cuda.library().counts()
        name = variant.name.removeprefix("qgemm_cuda_")
        costs[name] = counts["bytes of global memory read"] / SIDE**3
        print(f"{name}: {costs[name]:.3f} bytes a multiplication, {counts['products of a warp']} products "
              f"of a warp, {counts['bank conflicts']} bank conflicts")

if costs:
    figure, axes = plt.subplots(figsize=(8, 3.2))
    axes.barh(list(costs), list(costs.values()), color=[GREY, BLUE, GREEN, ORANGE][:len(costs)])
    axes.axvline(may_cost, color="black", linestyle="--")
    axes.text(may_cost, -0.75, " what tensor cores allow", fontsize=9)
    axes.set(xscale="log", xlabel=f"bytes of global memory for a multiplication, {SIDE} × {SIDE} × {SIDE}")
    axes.invert_yaxis()
    plt.show()

# %% [markdown]
# With matrices as small as these a large tile is cut off at the edge, and reads what it does not need to.
# `few` is for at most 16 rows, where nothing is read twice; here it reads $B$ again for each 16.
#
# ## 5. Thirty-two threads and one product
#
# A tensor core multiplies for a whole warp: $16 \times 32$ bytes of $A$ by $32 \times 8$ of $B$, in one
# instruction (`mma.sync.m16n8k32`). Each thread brings four bytes in each of six registers and takes four
# sums. Which ones? That is fixed, and a kernel has to have them there. With lane $= 4g + t$:

# %%
def holders(rows, columns, lane_of):
    return np.array([[lane_of(i, j) for j in range(columns)] for i in range(rows)])


of_a = holders(16, 32, lambda i, k: 4 * (i % 8) + k % 16 // 4)
of_b = holders(32, 8, lambda k, j: 4 * j + k % 16 // 4)
of_d = holders(16, 8, lambda i, j: 4 * (i % 8) + j // 2)
figure, axes = plt.subplots(1, 3, figsize=(10, 4.2), width_ratios=[32, 8, 8])
for ax, lanes, name in zip(axes, (of_a, of_b, of_d), ("A, 16 × 32 bytes", "B, 32 × 8", "D, 16 × 8 sums"),
                           strict=True):
    ax.imshow(lanes, cmap="twilight", vmin=0, vmax=31)
    for i in range(lanes.shape[0]):
        for j in range(0, lanes.shape[1], 4 if lanes is of_a else 1):
            if lanes is not of_b or i % 4 == 0:
                ax.text(j, i, lanes[i, j], fontsize=6, color="white", va="center",
                        ha="left" if lanes is of_a else "center")
    ax.set(title=name, xticks=[], yticks=[])
figure.suptitle("the lane that holds each number")
plt.show()

# %% [markdown]
# Both $A$ and $B$ are held along $k$, four neighbours in a register. So $B$ is stored by columns. One
# instruction, `ldmatrix`, brings eight rows of 16 bytes from shared memory to where they belong.
#
# ## 6. Banks
#
# Shared memory has 32 banks of four bytes. Eight rows of 16 bytes come in one step if they touch every bank
# once. If rows are 128 bytes apart, all eight begin in the same bank, and come one after the other.
#
# **Before you run the cell:** `product` loads 16 rows of $A$ in four pieces and 8 rows of $B$ in two. Each
# piece of eight rows that conflicts has seven rows wait. How many wait, with rows 128 bytes apart? 32? 48?

# %%
yours_128, yours_32, yours_48 = None, None, None

WARP = """
__global__ void product_of_a_warp(const uint8_t *a, const int8_t *b, int *d, int apart) {
    DYNAMIC_SHARED(memory);
    const int lane = threadIdx.x, t = lane % 4, g = lane / 4;
    for (int i = lane; i < 24 * 32; i += 32)
        memory[i / 32 * apart + i % 32] = i < 512 ? a[i] : (uint8_t)b[i - 512];
    __syncthreads();
    uint32_t x[4], w[2];
    int sum[4] = {};
    ldmatrix_x4(x, memory + lane % 16 * apart + lane / 16 * 16);
    ldmatrix_x2(w, memory + (16 + lane % 8) * apart + lane / 8 % 2 * 16);
    mma_m16n8k32<true>(sum, x, w);
    for (int i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum[i];
}
API int product(const void *a, const void *b, void *d, int apart, void *stream) {
    LAUNCH(product_of_a_warp, 1, 32, 24 * apart, stream, (const uint8_t *)a, (const int8_t *)b, (int *)d,
           apart);
    return launched();
}
"""
warp = cuda.Trial(WARP)
tall, thin = rng.integers(0, 256, (16, 32), np.uint8), rng.integers(-128, 128, (8, 32), np.int8)
for apart, yours, theory in ((128, yours_128, 42), (32, yours_32, 24), (48, yours_48, 0)):
    *_, d = warp.product(tall, thin, cuda.nothing(16, 8, dtype=np.int32), apart)
    assert (d == tall.astype(int) @ thin.T).all()
    compare(f"rows that wait, {apart} bytes apart", warp.counts["bank conflicts"], yours, theory)

# %% [markdown]
# Rows of 48 bytes waste a third of the memory. The library's kernels keep rows of 64 bytes and put their
# pieces in another order in each row (`csrc/cuda/int8_tiles.h` draws it): no conflict, and no byte lost.
#
# ## 7. Copies that are on their way
#
# While one tile is multiplied the next should be coming. `cp.async` copies from global to shared memory
# without the thread; one waits for it by number. Wait for one too few, and the tile is whatever it was:
# on a device mostly the right one, because the copy was quick.

# %%
COPIES = """
__global__ void doubled(const float *x, float *y) {
    SHARED(float, tile, [2][64]);
    const int i = threadIdx.x;
    for (int stage = 0; stage < 2; ++stage) {
        if (i < 16) cp_async16(&tile[stage][4 * i], x + 4 * i, 16);
        cp_async_commit();
    }
    cp_async_wait<LATE>();      // until all copies but the last LATE have arrived
    __syncthreads();
    y[i] = tile[0][i] + tile[1][i];
}
API int run(const void *x, void *y, void *stream) {
    LAUNCH(doubled, 1, 64, 0, stream, (const float *)x, (float *)y);
    return launched();
}
"""
numbers = np.arange(64, dtype=np.float32)
for late in "01":
    try:
        _, doubled = cuda.Trial(COPIES.replace("LATE", late)).run(numbers, cuda.nothing(64))
        print("all but", late, "waited for:", (doubled == 2 * numbers).all())
    except cuda.EmulationError as error:
        print("all but", late, "waited for:", error)

# %% [markdown]
# ## 8. A whole network
#
# A converted network is a list of calls. `program.to("cuda")` runs the list there: its weights are put on
# the device once, images cross, logits come back, and nothing in between. Element-wise steps that follow
# one another are one launch. Integers are the same to the last bit.

# %%
model = nn.models.digits_cnn(rng=np.random.default_rng(0)).eval()
images = rng.standard_normal((2, 1, 8, 8)).astype(np.float32)
compress.prepare(model, compress.Quantize(), images)
program = compress.convert(model)
here, there = program.bind(), program.to("cuda")
print(there)
print("the same integers:", (here(images) == there(images)).all())

# %% [markdown]
# ## 9. How fast
#
# The emulation says nothing of time. On a GPU, this is the ladder in tera-operations a second, and `espalier
# bench cuda` holds it beside PyTorch's products:

# %%
if cuda.library().emulated:
    print("not run on a GPU here: no time is given")
else:
    side = 4096
    x = cuda.to_device(rng.integers(0, 256, (side, side), np.uint8))
    operand = cuda.DEVICE_KERNELS["qgemm"].pack(qgemm.pack(rng.integers(-128, 128, (side, side), np.int8)))
    out = cuda.empty((side, side), np.int32)
    for variant in rungs:
        with use(variant):
            qgemm(x, operand, out=out)
            start, stop = cuda.Event().record(), cuda.Event()
            for _ in range(10):
                qgemm(x, operand, out=out)
            ms = start.until(stop.record()) / 10
        print(f"{variant.name}: {2 * side**3 / ms / 1e9:.1f} TOP/s")
print(guesses)

# %% [markdown]
# ## Exercises
#
# 1. *Four sums a thread.* Let each thread of section 2 compute $2 \times 2$ sums. How many bytes of *shared*
#    memory does a multiplication cost then? (`trial.counts` knows.)
# 2. *Turned.* Store $B$ by columns and read it by rows of the warp. What changes in the counts, and what
#    would on a device, which fetches 32 bytes at least?
# 3. *Half a warp.* Return from half the threads of section 6 before `ldmatrix`. What does the emulation say,
#    and what would a device do?
# 4. *A swizzle.* Keep rows of section 6 32 bytes apart, and put piece $p$ of row $r$ at place
#    $p \oplus f(r)$. Which $f$ leaves no conflict?
# 5. *Too many barriers.* Which of the library's rungs has a barrier more than it needs? Take one away and ask
#    the laws (`python -m pytest tests/nn/cuda -k qgemm`).

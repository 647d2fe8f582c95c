/* Kernels that are right and look wrong, or wrong and look right: what the emulation once took for the other. */
typedef const float *In;
typedef float *Out;

/* Each thread reads its neighbour's number, and when all of the warp have, adds it to its own. Right. */
__global__ void exchange_in_place(In x, Out y) {
    SHARED(float, tile, [32]);
    const int i = static_cast<int>(threadIdx.x);
    tile[i] = x[i];
    __syncwarp();
    const float other = tile[i ^ 1];
    __syncwarp();
    tile[i] += other;
    y[i] = tile[i];
}
API int run_exchange(const void *x, void *y, void *stream) {
    LAUNCH(exchange_in_place, 1, 32, 0, stream, static_cast<In>(x), static_cast<Out>(y));
    return launched();
}

/* All add to one number; the last thread then writes it, or reads it: only its own addition is in order with that. */
__global__ void add_and_touch(In x, Out y, int writes) {
    atomicAdd(y, x[threadIdx.x]);
    if (threadIdx.x != 31) return;
    if (writes)
        *y = 0;
    else
        y[1] = *y;
}
API int run_add_and_touch(const void *x, void *y, int blocks, int writes, void *stream) {
    LAUNCH(add_and_touch, blocks, 32, 0, stream, static_cast<In>(x), static_cast<Out>(y), writes);
    return launched();
}

/* Six floats from x[at] to y[to]: by assignment, as an argument, as a result, or as bytes. */
struct Six { float v[6]; };
__device__ float ends(Six s) { return sinf(s.v[0]) + sinf(s.v[5]); }
__device__ Six of(float v) { return {{v, v, v, v, v, v}}; }
__global__ void six(In x, Out y, int at, int to, int how) {
    const Six *from = reinterpret_cast<const Six *>(x + at);
    Six *target = reinterpret_cast<Six *>(y + to);
    if (how == 0) *target = *from;
    if (how == 1) *target = of(x[at]);
    if (how == 2) y[to] = ends(*from);
    if (how == 3) memcpy(target, from, sizeof(Six));
    if (how == 4) memset(target, 0, sizeof(Six));
}
API int run_six(const void *x, void *y, int at, int to, int how, void *stream) {
    LAUNCH(six, 1, 1, 0, stream, static_cast<In>(x), static_cast<Out>(y), at, to, how);
    return launched();
}

/* Neighbours write the bytes of one word: right; or one of them all of the word. */
__global__ void bytes(In x, Out y, int word) {
    reinterpret_cast<uint8_t *>(y)[threadIdx.x] = static_cast<uint8_t>(x[threadIdx.x]);
    if (word && threadIdx.x == 5) y[0] = 0;
}
API int run_bytes(const void *x, void *y, int word, void *stream) {
    LAUNCH(bytes, 1, 16, 0, stream, static_cast<In>(x), static_cast<Out>(y), word);
    return launched();
}

/* A variable of the program, which all blocks share: read, or written. */
__device__ float shared_by_all = 2;
__global__ void variable(In x, Out y, int writes) {
    if (writes) shared_by_all = x[threadIdx.x];
    y[threadIdx.x] = shared_by_all;
}
API int run_variable(const void *x, void *y, int writes, void *stream) {
    LAUNCH(variable, 1, 32, 0, stream, static_cast<In>(x), static_cast<Out>(y), writes);
    return launched();
}

/* Stacks: calls within calls, or one large array. */
__device__ float deep(volatile float *p, int n) {
    volatile float here[16];
    here[n % 16] = *p;
    return n ? deep(here + n % 16, n - 1) + here[n % 16] : 0;
}
__global__ void stacks(In x, Out y, int calls, int large) {
    volatile float v = x[threadIdx.x];
    y[threadIdx.x] = large ? 0 : deep(&v, calls);
}
template <int SIZE> __global__ void large(In x, Out y) {
    volatile float v[SIZE];
    v[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = v[threadIdx.x];
}
API int run_stacks(const void *x, void *y, int calls, int size, void *stream) {
    if (size)
        LAUNCH(large<40000>, 1, 32, 0, stream, static_cast<In>(x), static_cast<Out>(y));
    else
        LAUNCH(stacks, 1, 32, 0, stream, static_cast<In>(x), static_cast<Out>(y), calls, size);
    return launched();
}

/* Two functions, each with a shared array that it calls tile. */
__device__ float turned(float x) {
    SHARED(float, tile, [32]);
    tile[threadIdx.x] = x;
    __syncthreads();
    return tile[31 - threadIdx.x];
}
__device__ float turned_behind(float x) {
    SHARED(float, tile, [64]);
    tile[threadIdx.x + 32] = x;
    __syncthreads();
    return tile[63 - threadIdx.x];
}
__global__ void two_tiles(In x, Out y) {
    const float first = turned(x[threadIdx.x]);
    y[threadIdx.x] = first + turned_behind(x[threadIdx.x]);
}
API int run_two_tiles(const void *x, void *y, void *stream) {
    LAUNCH(two_tiles, 1, 32, 0, stream, static_cast<In>(x), static_cast<Out>(y));
    return launched();
}

/* A launch that a device refuses, or not. */
__global__ void sized(In x, Out y) {
    if (blockIdx.x || blockIdx.y || blockIdx.z || threadIdx.y || threadIdx.z) return;
    y[threadIdx.x] = x[threadIdx.x];
}
API int run_sized(const void *x, void *y, unsigned blocks, unsigned rows, int high, int bytes, int allowed, void *stream) {
    if (cudaFuncSetAttribute(sized, cudaFuncAttributeMaxDynamicSharedMemorySize, allowed)) return 1;
    LAUNCH(sized, dim3(blocks, rows), dim3(8, 1, high), bytes, stream, static_cast<In>(x), static_cast<Out>(y));
    return launched();
}

/* A shuffle, or a meeting, of a part of a warp. */
__global__ void half_a_warp(In x, Out y, unsigned mask, int shuffles) {
    const float mine = x[threadIdx.x];
    if (!shuffles) __syncwarp(mask);
    y[threadIdx.x] = shuffles ? __shfl_xor_sync(mask, mine, 1) : mine;
}
API int run_half_a_warp(const void *x, void *y, unsigned mask, int shuffles, void *stream) {
    LAUNCH(half_a_warp, 1, 32, 0, stream, static_cast<In>(x), static_cast<Out>(y), mask, shuffles);
    return launched();
}

/* Waits for a number that another thread writes, or would. */
__global__ void spins(In x, Out y) {
    volatile float *flag = y;
    while (*flag != x[0]) {}
}
API int run_spins(const void *x, void *y, void *stream) {
    LAUNCH(spins, 1, 1, 0, stream, static_cast<In>(x), static_cast<Out>(y));
    return launched();
}

/* One copy of `read` bytes to `to`: closed by a commit or not, and overwritten on its way or not. */
__global__ void one_copy(In x, Out y, int to, int read, int commits, int overwrites) {
    SHARED(float, tile, [8]);
    cp_async16(tile + to, x, read);
    if (commits) cp_async_commit();
    if (overwrites) tile[to + 3] = 1;
    cp_async_wait<0>();
    y[0] = tile[to];
}
API int run_one_copy(const void *x, void *y, int to, int read, int commits, int overwrites, void *stream) {
    LAUNCH(one_copy, 1, 1, 0, stream, static_cast<In>(x), static_cast<Out>(y), to, read, commits, overwrites);
    return launched();
}

/* A ring of `stages` tiles: while one is read the next ones are on their way. `meets`: before it is filled anew. */
template <int BUT> __global__ void ring(In x, Out y, int stages, int meets) {
    SHARED(float, tile, [4][32]);
    const int i = static_cast<int>(threadIdx.x);
    for (int k = 0; k < stages - 1; ++k) {
        if (i < 8) cp_async16(&tile[k][4 * i], x + 4 * i, 16);
        cp_async_commit();
    }
    float sum = 0;
    for (int k = 0; k < 6; ++k) {
        cp_async_wait<BUT>();
        __syncthreads();
        sum += tile[k % stages][31 - i];
        if (meets) __syncthreads();
        if (i < 8 && k + stages - 1 < 6) cp_async16(&tile[(k + stages - 1) % stages][4 * i], x + 4 * i, 16);
        cp_async_commit();
    }
    y[i] = sum;
}
API int run_ring(const void *x, void *y, int stages, int but, int meets, void *stream) {
    if (but == 2)
        LAUNCH(ring<2>, 1, 32, 0, stream, static_cast<In>(x), static_cast<Out>(y), stages, meets);
    else
        LAUNCH(ring<1>, 1, 32, 0, stream, static_cast<In>(x), static_cast<Out>(y), stages, meets);
    return launched();
}

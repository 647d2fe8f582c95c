/* Small kernels, each right but for the fault that its name says: what the emulation must find, and must not. */
enum { N = 64 };   // threads, and floats

/* Each thread writes one number and reads its neighbour's. */
__global__ void neighbours(const float *x, float *y, int barrier, int off) {
    SHARED(float, tile, [N]);
    const int i = static_cast<int>(threadIdx.x);
    tile[i] = x[i];
    if (barrier == 1) __syncthreads();
    if (barrier == 2) __syncwarp();
    y[i] = tile[(i + off) % N];
}
API int run_neighbours(const void *x, void *y, int barrier, int off, void *stream) {
    LAUNCH(neighbours, 1, N, 0, stream, static_cast<const float *>(x), static_cast<float *>(y), barrier, off);
    return launched();
}

/* Reads x[i + off], and writes y[i + to], vectors of `wide` floats. */
__global__ void moves(const float *x, float *y, int off, int to, int wide) {
    const int i = static_cast<int>(threadIdx.x);
    if (wide == 4 && i < N / 4)
        *reinterpret_cast<float4 *>(y + 4 * i) = *reinterpret_cast<const float4 *>(x + 4 * i + off);
    if (wide == 1) y[i + to] = x[i + off];
}
API int run_moves(const void *x, void *y, int off, int to, int wide, void *stream) {
    LAUNCH(moves, 1, N, 0, stream, static_cast<const float *>(x), static_cast<float *>(y), off, to, wide);
    return launched();
}

/* A shared array of which one entry in `step` is written, and all are read; or one read `beyond` its end. */
__global__ void unwritten(float *y, int step, int beyond) {
    SHARED(float, tile, [N]);
    SHARED(float, next, [N]);
    const int i = static_cast<int>(threadIdx.x);
    if (i % step == 0) tile[i] = 1;
    next[i] = 2;
    __syncthreads();
    y[i] = tile[i + beyond] + next[i];
}
API int run_unwritten(void *y, int step, int beyond, void *stream) {
    LAUNCH(unwritten, 1, N, 0, stream, static_cast<float *>(y), step, beyond);
    return launched();
}

/* Threads below `most` meet; the others are gone. */
__global__ void half_a_barrier(float *y, int most) {
    const int i = static_cast<int>(threadIdx.x);
    if (i >= most) return;
    __syncthreads();
    y[i] = 1;
}
API int run_half(void *y, int most, void *stream) {
    LAUNCH(half_a_barrier, 1, N, 0, stream, static_cast<float *>(y), most);
    return launched();
}

/* Blocks of 32 threads sum up: each into its own place, or all into one, with atomics or without. */
__global__ void sums(float *y, int apart, int atomic) {
    float *mine = y + apart * static_cast<int>(blockIdx.x);
    float sum = 1;
    for (int by = 16; by; by /= 2) sum += __shfl_down_sync(~0u, sum, by);
    if (threadIdx.x) return;
    if (atomic)
        atomicAdd(mine, sum);
    else
        *mine = sum;
}
API int run_sums(void *y, int blocks, int apart, int atomic, void *stream) {
    LAUNCH(sums, blocks, 32, 0, stream, static_cast<float *>(y), apart, atomic);
    return launched();
}

/* Two copies on their way to shared memory, of which all but `but` groups are waited for before both are read. */
template <int BUT> __global__ void copies(const float *x, float *y, int barrier) {
    SHARED(float, tile, [2][N]);
    const int i = static_cast<int>(threadIdx.x);
    for (int stage = 0; stage < 2; ++stage) {
        if (i < N / 4) cp_async16(&tile[stage][4 * i], x + 4 * i, i ? 16 : 8);
        cp_async_commit();
    }
    cp_async_wait<BUT>();
    if (barrier) __syncthreads();
    y[i] = tile[0][i] + tile[1][i];
}
API int run_copies(const void *x, void *y, int but, int barrier, void *stream) {
    if (but)
        LAUNCH((copies<1>), 1, N, 0, stream, static_cast<const float *>(x), static_cast<float *>(y), barrier);
    else
        LAUNCH((copies<0>), 1, N, 0, stream, static_cast<const float *>(x), static_cast<float *>(y), barrier);
    return launched();
}

/* One product of 16 x 32 by 32 x 8 bytes, rows `step` bytes apart in shared memory; lanes from `most` on do not come. */
__global__ void product(const uint8_t *a, const int8_t *b, int32_t *d, int step, int most) {
    DYNAMIC_SHARED(memory);
    const int lane = static_cast<int>(threadIdx.x), t = lane % 4, g = lane / 4;
    for (int i = lane; i < 24 * 32; i += 32)
        memory[i / 32 * step + i % 32] = i < 512 ? a[i] : static_cast<uint8_t>(b[i - 512]);
    __syncthreads();
    if (lane >= most) return;
    uint32_t x[4], w[2];
    int32_t sum[4] = {};
    ldmatrix_x4(x, memory + lane % 16 * step + lane / 16 * 16);
    ldmatrix_x2(w, memory + (16 + lane % 8) * step + lane / 8 % 2 * 16);
    mma_m16n8k32<true>(sum, x, w);
    for (int i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum[i];
}
API int run_product(const void *a, const void *b, void *d, int step, int most, void *stream) {
    LAUNCH(product, 1, 32, 24 * step, stream, static_cast<const uint8_t *>(a), static_cast<const int8_t *>(b),
           static_cast<int32_t *>(d), step, most);
    return launched();
}

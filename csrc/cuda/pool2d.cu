/* avg_pool2d, qmax_pool2d, qavg_pool2d: what a window of a channel comes to. A thread a number of y, a warp 32 channels
   side by side. A number of x is read once for each window that it lies in, where windows overlap from the cache; where
   they do not, all is read once, and the memory of the device is the limit. */
#include "convolution.h"

/* What the pixels of a window come to, one after the other, padding (null) among them. */
struct Mean {
    typedef float Number;
    float sum;
    __device__ explicit Mean(int) : sum(0) {}
    __device__ void meet(const float *x) {
        if (x) sum = __fadd_rn(sum, *x);
    }
    __device__ float result(int64_t pixels) const { return __fdiv_rn(sum, static_cast<float>(pixels)); }
};

/* A NaN is greater than all. */
template <class Type> struct Greatest {
    typedef Type Number;
    Type y;
    __device__ explicit Greatest(Type least) : y(least) {}
    __device__ void meet(const Type *x) {
        if (x && (*x > y || *x != *x)) y = *x;
    }
    __device__ Type result(int64_t) const { return y; }
};

/* Of codes, of which `zero` stands for 0, also in padding: the sum is exact, the quotient a float32. */
struct MeanOfCodes {
    typedef uint8_t Number;
    int64_t sum;
    int zero;
    __device__ explicit MeanOfCodes(int zero) : sum(0), zero(zero) {}
    __device__ void meet(const uint8_t *x) { sum += x ? *x : zero; }
    __device__ uint8_t result(int64_t pixels) const {
        const float mean = __fdiv_rn(static_cast<float>(sum), static_cast<float>(pixels));
        return static_cast<uint8_t>(rintf(__fadd_rn(mean, -static_cast<float>(zero))) + static_cast<float>(zero));
    }
};

template <class Met, class First> __global__ void pool2d(Patches p, First first, typename Met::Number *out) {
    typedef typename Met::Number Number;
    const nn_cuda_convolution &g = p.g;
    const int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= positions(g) * g.channels) return;
    const Window window = window_of(p, static_cast<int>(at % g.channels), at / g.channels);
    Met met(first);
    for (int a = 0; a < g.kernel_height; ++a)
        for (int b = 0; b < g.kernel_width; ++b) met.meet(reinterpret_cast<const Number *>(patch(p, window, {a, b, 0})));
    out[at] = met.result(static_cast<int64_t>(g.kernel_height) * g.kernel_width);
}

template <class Met, class First>
static int launch(const nn_cuda_convolution &g, const void *x, First first, void *out, void *stream) {
    typedef typename Met::Number Number;
    const Patches p(g, x, sizeof(Number), 0);
    const dim3 grid(static_cast<unsigned>(ceil_div(positions(g) * g.channels, 256)));
    LAUNCH((pool2d<Met, First>), grid, 256, 0, stream, p, first, static_cast<Number *>(out));
    return launched();
}

/* The geometry is that of a filter for each channel. */
API int nn_cuda_avg_pool2d(nn_cuda_convolution *g, const void *x, void *out, void *stream) {
    return launch<Mean>(*g, x, 0, out, stream);
}
API int nn_cuda_qmax_pool2d(nn_cuda_convolution *g, int floats, const void *x, void *out, void *stream) {
    if (floats) return launch<Greatest<float>>(*g, x, -INFINITY, out, stream);
    return launch<Greatest<uint8_t>>(*g, x, 0, out, stream);
}
API int nn_cuda_qavg_pool2d(nn_cuda_convolution *g, const void *x, int zero, void *out, void *stream) {
    return launch<MeanOfCodes>(*g, x, zero, out, stream);
}

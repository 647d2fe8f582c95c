/* codebook_gemm: codes of 4 or 8 bits into a codebook (codes.h), by float or int8 activations. */
#include "coded.h"

template <int BITS, int COPIES> static int looked(int rung, const nn_cuda_looked &w, int m, const float *a,
                                                  const nn_cuda_rounded *into, float *out, void *stream) {
    const Looked<BITS> of = {w};
    const Looked<BITS, COPIES> often = {w};
    return into ? coded_int8(rung, of, m, a, *into, out, stream) : coded(rung, of, often, m, a, out, stream);
}

/* a: (M, K). into: room for it as integers, or null. */
API int nn_cuda_codebook_gemm(int rung, int bits, nn_cuda_looked *w, int m, const void *a, nn_cuda_rounded *into,
                              void *out, void *stream) {
    const float *const rows = static_cast<const float *>(a);
    float *const y = static_cast<float *>(out);
    return bits == 4 ? looked<4, 1>(rung, *w, m, rows, into, y, stream)
                     : looked<8, 32>(rung, *w, m, rows, into, y, stream);
}

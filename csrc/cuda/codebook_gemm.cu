/* codebook_gemm: codes of 4 or 8 bits into a codebook (codes.h), by float or int8 activations. */
#include "coded.h"

template <int BITS, int COPIES> static int looked(int rung, const nn_cuda_looked &w, int m, const void *a, const void *s,
                                                  int stride, void *out, void *stream) {
    const Looked<BITS> of = {w};
    const Looked<BITS, COPIES> often = {w};
    float *const y = static_cast<float *>(out);
    if (s)
        return coded_int8(rung, of, m, stride, 1, static_cast<const int8_t *>(a), static_cast<const float *>(s), y, stream);
    return coded(rung, of, often, m, static_cast<const float *>(a), y, stream);
}

/* a: (M, K) floats; or, where there are scales s (M), (M, stride) integers. */
API int nn_cuda_codebook_gemm(int rung, int bits, nn_cuda_looked *w, int m, const void *a, const void *s, int stride, void *out,
                              void *stream) {
    return bits == 4 ? looked<4, 1>(rung, *w, m, a, s, stride, out, stream)
                     : looked<8, 32>(rung, *w, m, a, s, stride, out, stream);
}

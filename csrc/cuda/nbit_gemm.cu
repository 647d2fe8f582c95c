/* nbit_gemm: codes of 2 to 4 bits with scales (codes.h), by float or int8 activations. */
#include "coded.h"

template <int BITS> static int nbit(int rung, const nn_cuda_scaled &w, int m, const void *a, const void *s, int stride, int blocks,
                                    void *out, void *stream) {
    const Scaled<BITS> of = {w};
    float *const y = static_cast<float *>(out);
    if (s)
        return coded_int8(rung, of, m, stride, blocks, static_cast<const int8_t *>(a), static_cast<const float *>(s), y, stream);
    return coded(rung, of, of, m, static_cast<const float *>(a), y, stream);
}

/* a: (M, K) floats; or, where there are scales s (M, blocks), (M, stride) integers. */
API int nn_cuda_nbit_gemm(int rung, int bits, nn_cuda_scaled *w, int m, const void *a, const void *s, int stride, int blocks,
                          void *out, void *stream) {
    return bits == 2 ? nbit<2>(rung, *w, m, a, s, stride, blocks, out, stream)
         : bits == 3 ? nbit<3>(rung, *w, m, a, s, stride, blocks, out, stream)
                     : nbit<4>(rung, *w, m, a, s, stride, blocks, out, stream);
}

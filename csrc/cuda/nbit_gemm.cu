/* nbit_gemm: codes of 2 to 4 bits with scales (codes.h), by float or int8 activations. */
#include "coded.h"

template <int BITS> static int nbit(int rung, const nn_cuda_scaled &w, int m, const float *a,
                                    const nn_cuda_rounded *into, float *out, void *stream) {
    const Scaled<BITS> of = {w};
    return into ? coded_int8(rung, of, m, a, *into, out, stream) : coded(rung, of, of, m, a, out, stream);
}

/* a: (M, K). into: room for it as integers, or null. */
API int nn_cuda_nbit_gemm(int rung, int bits, nn_cuda_scaled *w, int m, const void *a, nn_cuda_rounded *into, void *out,
                          void *stream) {
    const float *const rows = static_cast<const float *>(a);
    float *const y = static_cast<float *>(out);
    return bits == 2 ? nbit<2>(rung, *w, m, rows, into, y, stream)
         : bits == 3 ? nbit<3>(rung, *w, m, rows, into, y, stream)
                     : nbit<4>(rung, *w, m, rows, into, y, stream);
}

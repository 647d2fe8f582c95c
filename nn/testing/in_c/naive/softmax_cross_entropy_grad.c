/* softmax_cross_entropy_grad: g times p, less g at the right class. */
#include "softmax_cross_entropy_grad.h"

SIGNATURE
{
    for (int64_t n = 0; n < N; n++) {
        for (int64_t c = 0; c < C; c++)
            out[n * C + c] = p[n * C + c] * g[n];
        out[n * C + classes[n]] -= g[n];
    }
    return 0;
}

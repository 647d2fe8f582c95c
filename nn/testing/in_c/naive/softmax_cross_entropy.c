/* softmax_cross_entropy: a row less its largest entry, so that nothing overflows. NaN is the largest. */
#include <math.h>
#include "softmax_cross_entropy.h"

SIGNATURE
{
    for (int64_t n = 0; n < N; n++) {
        float most = x[n * C];
        for (int64_t c = 1; c < C; c++)
            most = x[n * C + c] > most || isnan(x[n * C + c]) ? x[n * C + c] : most;
        double total = 0;
        for (int64_t c = 0; c < C; c++)
            total += exp((double)(x[n * C + c] - most));
        for (int64_t c = 0; c < C; c++)
            p[n * C + c] = (float)(exp((double)(x[n * C + c] - most)) / total);
        losses[n] = (float)(log(total) - (double)(x[n * C + classes[n]] - most));
    }
    return 0;
}

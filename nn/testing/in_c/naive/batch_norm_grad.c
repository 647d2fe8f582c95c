/* batch_norm_grad: two sums a column, and dx of them, in double. dx may not be wanted. */
#include "batch_norm_grad.h"

SIGNATURE
{
    for (int64_t c = 0; c < C; c++) {
        double sum = 0, product = 0, factor = (double)inverse[c] * (weight ? weight[c] : 1);
        for (int64_t m = 0; m < M; m++) {
            sum += g[m * C + c];
            product += g[m * C + c] * ((double)x[m * C + c] - mean[c]) * inverse[c];
        }
        db[c] = (float)sum;
        dw[c] = (float)product;
        for (int64_t m = 0; m < M && dx; m++) {
            double normal = ((double)x[m * C + c] - mean[c]) * inverse[c];
            dx[m * C + c] = (float)((g[m * C + c] - sum / (double)M - normal * product / (double)M) * factor);
        }
    }
    return 0;
}

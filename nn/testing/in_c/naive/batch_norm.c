/* batch_norm: the mean, then the squares around it, column by column, in double. */
#include <math.h>
#include "batch_norm.h"

SIGNATURE
{
    for (int64_t c = 0; c < C; c++) {
        double sum = 0, squares = 0;
        for (int64_t m = 0; m < M; m++)
            sum += x[m * C + c];
        for (int64_t m = 0; m < M; m++)
            squares += (x[m * C + c] - sum / (double)M) * (x[m * C + c] - sum / (double)M);
        mean[c] = (float)(sum / (double)M);
        var[c] = (float)(squares / (double)M);
        inverse[c] = (float)(1 / sqrt(var[c] + eps));
        double factor = (double)inverse[c] * (weight ? weight[c] : 1);
        for (int64_t m = 0; m < M; m++)
            y[m * C + c] = (float)(((double)x[m * C + c] - mean[c]) * factor + (bias ? bias[c] : 0));
    }
    return 0;
}

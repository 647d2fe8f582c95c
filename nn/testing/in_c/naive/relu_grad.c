/* relu_grad: what comes back where y is positive, or NaN. */
#include "relu_grad.h"

SIGNATURE
{
    for (int64_t i = 0; i < size; i++)
        out[i] = y[i] <= 0 ? 0 : g[i];
    return 0;
}

/* relu: a number at a time; NaN is not <= 0 and stays. */
#include "relu.h"

SIGNATURE
{
    for (int64_t i = 0; i < size; i++)
        out[i] = x[i] <= 0 ? 0 : x[i];
    return 0;
}

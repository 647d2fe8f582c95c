/* gelu: x times the part of a normal distribution below x, in double. */
#include <math.h>
#include "gelu.h"

SIGNATURE
{
    for (int64_t i = 0; i < size; i++)
        out[i] = (float)(x[i] * (1 + erf(x[i] * sqrt(0.5))) / 2);
    return 0;
}

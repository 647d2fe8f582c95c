/* erf: the C library's, in double. */
#include <math.h>
#include "erf.h"

SIGNATURE
{
    for (int64_t i = 0; i < size; i++)
        out[i] = (float)erf((double)x[i]);
    return 0;
}

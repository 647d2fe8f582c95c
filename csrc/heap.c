/* What becomes of memory that is freed. Only glibc is known to need telling; elsewhere this does nothing. */
#include "kernels.h"

#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

enum { LARGEST = 32 << 20 }; /* bytes: glibc takes no higher threshold */

void nn_keep_freed_memory(int bytes)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, LARGEST); /* blocks up to this come from the heap */
    mallopt(M_TRIM_THRESHOLD, bytes);   /* of which so much may lie free at its end */
#else
    (void)bytes;
#endif
}

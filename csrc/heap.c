/* What becomes of memory that is freed. Only glibc is known to need telling; elsewhere this does nothing. */
#include "isa.h"

#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

enum { LARGEST = 32 << 20 }; /* bytes: glibc takes no higher threshold */

/* Has the C library keep up to so many bytes that are freed, where it would give them back to the system. */
API void nn_keep_freed_memory(int bytes)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, LARGEST); /* blocks up to this come from the heap */
    mallopt(M_TRIM_THRESHOLD, bytes);   /* of which so much may lie free at its end */
#else
    (void)bytes;
#endif
}

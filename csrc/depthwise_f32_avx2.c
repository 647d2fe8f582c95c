/* depthwise_f32 and depthwise_wgrad_f32 with AVX2. */
#include "vec_avx2.h"

#if NN_X86
#define TARGET TARGET_avx2
#define NAMED(family) family##_9x8_avx2
#include "depthwise_f32.h"
#endif

/* depthwise_f32 and depthwise_wgrad_f32 with AVX-512. */
#include "vec_avx512.h"

#if NN_X86
#define TARGET TARGET_avx512
#define NAMED(family) family##_9x16_avx512
#include "depthwise_f32.h"
#endif

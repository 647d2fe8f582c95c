/* depthwise_f32 and depthwise_wgrad_f32 in plain C: the ones to read first. */
#include "vec_scalar.h"

#define TARGET TARGET_scalar
#define NAMED(family) family##_9x4_scalar
#include "depthwise_f32.h"

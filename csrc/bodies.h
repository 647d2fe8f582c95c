/* The bodies of all families of micro-kernels, and of each the tiles that micro.def lists for an instruction set, whose
 * words the header vec_*.h that was included before this one defines. */
#pragma once

#include "codes.h"
#include "csr.h"
#include "depthwise_f32.h"
#include "requantize.h"
#include "taps.h"
#include "wgrad.h"

#define MICRO(family, mr, nr, features, step) \
    IN_##features(BODY_##family(family##_##mr##x##nr##_##features, features, mr, nr))
#include "micro.def"

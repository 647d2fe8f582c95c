/* The bodies of all families of micro-kernels, and of each the tiles that micro.def lists for an instruction set, whose
 * words the header vec_*.h that was included before this one defines. */
#pragma once

#include "attention_row.h"
#include "bits.h"
#include "bsr.h"
#include "codes.h"
#include "codes_int8.h"
#include "conv2d_f32.h"
#include "csr.h"
#include "depthwise_f32.h"
#include "depthwise_u8s8.h"
#include "exp2.h"
#include "halves.h"
#include "nbit_bodies.h"
#include "nm.h"
#include "pow2.h"
#include "requantize.h"
#include "saturated.h"
#include "softmax_f32.h"

#define MICRO(family, mr, nr, features, step)                                                                      \
    IN_##features(family##_micro family##_##mr##x##nr##_##features;                                                \
                  BODY_##family(family##_##mr##x##nr##_##features, features, mr, nr))
#include "micro.def"

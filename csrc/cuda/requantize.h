/* What happens to the exact sum of a product of integers before it is stored:

       acc + bias                                                               as int32 (kind 0), modulo 2^32
       clamp(round_half_even(float32(acc + bias) * scale) + out_zero, low, high)     as uint8 (1) or int8 (2)

   (Jacob et al. 2018, eq. 5.) Where there are multipliers, the product with the scale is rounded in integers instead, as
   gemmlowp and TFLite do (nn/kernels/fixed_point.py): scale = multiplier * 2^-(31 + shift). bias, scale, multiplier and
   shift are one a column; a null bias is 0, a null scale the one number. */
#pragma once

#include "device.h"

API_TYPE typedef struct {
    const int32_t *bias;
    const float *scale;
    const int32_t *multiplier, *shift;
    float one_scale;
    int kind, out_zero, low, high;
} nn_cuda_requantize;

/* sum * multiplier * 2^-(31 + shift), rounded twice: to the upper half of 64 bits, a half up, and again where that is
   shifted right, a half away from zero. */
__device__ inline int64_t fixed_point(int32_t sum, int32_t multiplier, int shift) {
    int64_t x = shift < 0 ? static_cast<int64_t>(sum) * (int64_t{1} << -shift) : sum;
    x = min(max(x, static_cast<int64_t>(INT32_MIN)), static_cast<int64_t>(INT32_MAX));
    const int64_t y = (x * multiplier + (int64_t{1} << 30)) >> 31, right = max(shift, 0);
    const int64_t size = ((y < 0 ? -y : y) + (int64_t{1} << right >> 1)) >> right;
    return y < 0 ? -size : size;
}

/* The code that a sum becomes. float32 holds every sum of a rounded number below 2^24 and a zero point; what is larger
   is clamped anyway. */
__device__ inline int requantized(const nn_cuda_requantize &how, int32_t sum, int column) {
    if (how.multiplier) {
        const int64_t code = fixed_point(sum, how.multiplier[column], how.shift[column]) + how.out_zero;
        return static_cast<int>(min(max(code, static_cast<int64_t>(how.low)), static_cast<int64_t>(how.high)));
    }
    const float scale = how.scale ? how.scale[column] : how.one_scale;
    const float rounded = rintf(__fmul_rn(static_cast<float>(sum), scale)) + static_cast<float>(how.out_zero);
    return static_cast<int>(fminf(fmaxf(rounded, static_cast<float>(how.low)), static_cast<float>(how.high)));
}

__device__ inline int32_t with_bias(const nn_cuda_requantize &how, int32_t sum, int column) {
    const uint32_t bias = how.bias ? static_cast<uint32_t>(how.bias[column]) : 0;
    return static_cast<int32_t>(static_cast<uint32_t>(sum) + bias);
}

/* Store the sum of a column at out[at]. */
__device__ inline void store(const nn_cuda_requantize &how, void *out, int64_t at, int32_t sum, int column) {
    sum = with_bias(how, sum, column);
    if (how.kind == 0)
        static_cast<int32_t *>(out)[at] = sum;
    else
        static_cast<uint8_t *>(out)[at] = static_cast<uint8_t>(requantized(how, sum, column));
}

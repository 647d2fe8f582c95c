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

/* What of all this belongs to one column: read once, used for every row of it. */
struct Column {
    uint32_t added;                         // the bias; integer kernels add more that is the same for a column
    float scale;
    int32_t multiplier;
    int shift;
};
__device__ inline Column column_of(const nn_cuda_requantize &how, int column) {
    Column c = {how.bias ? static_cast<uint32_t>(how.bias[column]) : 0, how.one_scale, 0, 0};
    if (how.scale) c.scale = how.scale[column];
    if (how.multiplier) c.multiplier = how.multiplier[column], c.shift = how.shift[column];
    return c;
}

/* The sum as int32, kind 0. */
__device__ inline int32_t total(const Column &column, int32_t sum) {
    return static_cast<int32_t>(static_cast<uint32_t>(sum) + column.added);
}

/* The code that a sum becomes, kinds 1 and 2. float32 holds every sum of a rounded number below 2^24 and a zero point;
   what is larger is clamped anyway. */
__device__ inline int requantized(const nn_cuda_requantize &how, const Column &column, int32_t sum) {
    sum = total(column, sum);
    if (how.multiplier) {
        const int64_t code = fixed_point(sum, column.multiplier, column.shift) + how.out_zero;
        return static_cast<int>(min(max(code, static_cast<int64_t>(how.low)), static_cast<int64_t>(how.high)));
    }
    const float rounded = rintf(__fmul_rn(static_cast<float>(sum), column.scale)) + static_cast<float>(how.out_zero);
    return static_cast<int>(fminf(fmaxf(rounded, static_cast<float>(how.low)), static_cast<float>(how.high)));
}

/* Store the sum of a column at out[at]. */
__device__ inline void store(const nn_cuda_requantize &how, void *out, int64_t at, int32_t sum, const Column &column) {
    if (how.kind == 0)
        static_cast<int32_t *>(out)[at] = total(column, sum);
    else
        static_cast<uint8_t *>(out)[at] = static_cast<uint8_t>(requantized(how, column, sum));
}
__device__ inline void store(const nn_cuda_requantize &how, void *out, int64_t at, int32_t sum, int column) {
    store(how, out, at, sum, column_of(how, column));
}

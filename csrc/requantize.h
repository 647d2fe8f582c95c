/* The end of a tile of qgemm: its sums, with all that belongs to their rows and columns, become a tile of the result,
 * int32 or requantised to 8 bits (Jacob et al. 2018, eq. 5). With a float scale:
 *
 *     y = clamp(round_half_even((float)sum * scale) + zero, low, high)
 *
 * Clamping first, to low - zero .. high - zero, gives the same, since the bounds are integers; then |x| <= 510, and
 * the conversion to an integer can't overflow. One multiplication, nothing to fuse: every instruction set gives the
 * same bits. In fixed point (eq. 6), scale = multiplier * 2^-(31 + shift), with two roundings:
 *
 *     y = clamp(round_half_away(floor((sum * multiplier + 2^30) / 2^31) / 2^shift) + zero, low, high)
 *
 * The products are exact in 64 bits. nn/kernels/fixed_point.py says more. */
#pragma once

#include "rows.h"

/* What happens around the sum of products of qgemm. Absent vectors are 0. */
API typedef struct {
    int a_signed, a_zero;
    const void *b_zero, *bias; /* int32[n] */
    const void *scales;        /* float[n], or 0: `scale` for all columns */
    double scale;
    int out_size;              /* 4: the int32 sum itself; 1: requantised to 8 bits, clamped to low..high */
    int out_zero, low, high;
    int fixed;                 /* requantised in fixed point */
    const void *doubles;       /* double[n] in the place of `scales` */
} nn_qgemm_around;

typedef struct {          /* of the columns of a tile */
    _Alignas(LINE) uint32_t add[MAX_NR]; /* added to each sum of products: bias - z Σ b + K z w */
    uint32_t minus[MAX_NR];              /* -w, to be multiplied by the sum of the row */
    float scale[MAX_NR];
    int32_t multiplier[MAX_NR], right[MAX_NR], left[MAX_NR]; /* in fixed point, of which one shift is 0 */
    int any_left;
} columns;

/* Whether the scales of n columns are what they must be; nn/kernels/requantization.py says which is not. */
static inline int scale_is_good(int fixed, double scale)
{
    const float nearest = (float)scale;
    return fixed ? scale >= 0x1p-32 && scale <= 0x1p29 : nearest > 0 && nearest <= 3.402823466e38f;
}
static inline int scales_are_good(int64_t n, const nn_qgemm_around *around)
{
    const float *floats = around->scales;
    const double *doubles = around->doubles;
    int good = 1;
    for (int64_t i = 0; floats && i < n; i++)
        good &= scale_is_good(around->fixed, floats[i]);
    for (int64_t i = 0; doubles && i < n; i++)
        good &= scale_is_good(around->fixed, doubles[i]);
    return good;
}

/* scale = multiplier * 2^-(31 + shift). A double has 53 bits from its first one on, of which the multiplier has 31: the
 * others are rounded. Where that gives 2^31, it is 2^30 and the next exponent. */
static inline int32_t fixed_point(double scale, int *shift)
{
    uint64_t bits;
    memcpy(&bits, &scale, sizeof bits);
    const uint64_t multiplier = ((bits & 0xfffffffffffff) + 0x10000000200000) >> 22, over = multiplier >> 31;
    *shift = 1022 - (int)(bits >> 52) - (int)over;
    return (int32_t)(multiplier - (over << 30));
}

/* What multiplies the sums of the columns from n0 on, of n: `wide` columns, a multiple of 16. */
static inline void scale_columns(const nn_qgemm_around *around, int64_t n, int64_t n0, int64_t wide, columns *c)
{
    const float *floats = around->scales;
    const double *doubles = around->doubles;
    const int64_t inside = smaller(wide, n - n0);
    for (int64_t j = 0; j < wide; j++)
        c->scale[j] = (float)around->scale;
    if (floats)
        memcpy(c->scale, floats + n0, (size_t)inside * sizeof *floats);
    for (int64_t j = 0; doubles && j < inside; j++)
        c->scale[j] = (float)doubles[n0 + j];
    c->any_left = 0;
    for (int64_t j = 0; around->fixed && j < wide; j++) {
        int shift = 0;
        const int64_t i = smaller(n0 + j, n - 1);
        c->multiplier[j] = fixed_point(doubles ? doubles[i] : floats ? floats[i] : around->scale, &shift);
        c->right[j] = shift > 0 ? shift : 0;
        c->left[j] = shift < 0 ? -shift : 0;
        c->any_left |= shift < 0;
    }
}

/* rows x cols of a tile, whose rows are nr numbers apart, to their place in the result, whose rows are ldo apart.
 * row_sums: 0, or Σ a' of each row. */
typedef void requantize_micro(int rows, int cols, int nr, const int32_t *tile, const uint32_t *row_sums,
                              const columns *c, const nn_qgemm_around *around, void *out, int64_t ldo);

/* Sixteen columns at a time, all rows of the tile: what belongs to the columns and the bounds stay in registers. A last
 * piece that is narrower goes by way of `piece`. */
#define BODY_requantize(NAME, ISA, MR, NR)                                                                         \
    TARGET_##ISA void NAME(int rows, int cols, int nr, const int32_t *tile, const uint32_t *row_sums,              \
                           const columns *c, const nn_qgemm_around *around, void *out, int64_t ldo)                \
    {                                                                                                              \
        enum { NV = PANEL / LANES };                                                                               \
        const int size = around->out_size;                                                                         \
        const V_I low = SPREAD_I(around->low - around->out_zero);                                                  \
        const V_I high = SPREAD_I(around->high - around->out_zero);                                                \
        const V_I out_zero = SPREAD_I(around->out_zero);                                                           \
        char piece[4 * MAX_TILE];                                                                                  \
        for (int j = 0; j < cols; j += PANEL) {                                                                    \
            int whole = cols - j >= PANEL;                                                                         \
            char *y = whole ? (char *)out + j * size : piece;                                                      \
            int64_t stride = size * (whole ? ldo : PANEL);                                                         \
            V_I add[NV], minus[NV], sum[NV];                                                                       \
            EACH_VECTOR add[v] = LOAD_I(c->add + j + v * LANES);                                                   \
            EACH_VECTOR minus[v] = LOAD_I(c->minus + j + v * LANES);                                               \
            if (size == 4) {                                                                                       \
                EACH_ROW_OF_SUMS(STORE_ANY_I(y + 4 * v * LANES, sum[v]))                                           \
            } else if (!around->fixed) {                                                                           \
                const V_F lowest = FLOATS(low), highest = FLOATS(high);                                            \
                V_F scale[NV];                                                                                     \
                EACH_VECTOR scale[v] = LOAD_F(c->scale + j + v * LANES);                                           \
                EACH_ROW_OF_SUMS(V_F x = MULTIPLY_F(FLOATS(sum[v]), scale[v]);                                     \
                                 V_I q = ROUNDED(LESSER_F(GREATER_F(x, lowest), highest));                         \
                                 STORE_BYTES(y + v * LANES, ADD_I(q, out_zero)))                                   \
            } else {                                                                                               \
                V_I multiplier[NV], right[NV], half[NV];                                                           \
                EACH_VECTOR multiplier[v] = LOAD_I(c->multiplier + j + v * LANES);                                 \
                EACH_VECTOR right[v] = LOAD_I(c->right + j + v * LANES);                                           \
                EACH_VECTOR half[v] = SHIFT_RIGHT_I(SHIFT_LEFT_I(SPREAD_I(1), right[v]), SPREAD_I(1));             \
                EACH_ROW_OF_SUMS(if (c->any_left) sum[v] = SHIFTED_LEFT(sum[v], LOAD_I(c->left + j + v * LANES));  \
                                 V_I x = UPPER_PRODUCT(sum[v], multiplier[v]);                                     \
                                 V_I q = SIGNED_AS(SHIFT_RIGHT_I(ADD_I(ABSOLUTE_I(x), half[v]), right[v]), x);     \
                                 STORE_BYTES(y + v * LANES, ADD_I(LESSER_I(GREATER_I(q, low), high), out_zero)))   \
            }                                                                                                      \
            for (int i = 0; !whole && i < rows; i++)                                                               \
                memcpy((char *)out + (i * ldo + j) * size, piece + i * PANEL * size, (size_t)((cols - j) * size)); \
        }                                                                                                          \
    }
#define EACH_VECTOR UNROLL for (int v = 0; v < NV; v++)
#define EACH_ROW_OF_SUMS(...)                                                                                      \
    for (int i = 0; i < rows; i++, y += stride) {                                                                  \
        EACH_VECTOR sum[v] = ADD_I(LOAD_I(tile + i * nr + j + v * LANES), add[v]);                                 \
        if (row_sums)                                                                                              \
            EACH_VECTOR sum[v] = ADD_I(sum[v], MULTIPLY_I(SPREAD_I((int)row_sums[i]), minus[v]));                  \
        EACH_VECTOR { __VA_ARGS__; }                                                                               \
    }

/* v * 2^left; what leaves int32 becomes -2^31 or 2^31 - 2^left. (That is less than 2^31 - 1, to which gemmlowp
 * saturates, but times a multiplier of 2^30 / 2^31 or more far beyond 8 bits all the same.) */
#define SHIFTED_LEFT(v, left) SHIFT_LEFT_I(LESSER_I(GREATER_I(v, ~MOST_LEFT(left)), MOST_LEFT(left)), left)
#define MOST_LEFT(left) SHIFT_RIGHT_I(SPREAD_I(INT32_MAX), left)

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

#ifdef TARGET /* the words of an instruction set are known (vec_*.h) */
/* v * 2^left; what leaves int32 becomes -2^31 or 2^31 - 2^left. (That is less than 2^31 - 1, to which gemmlowp
 * saturates, but times a multiplier of 2^30 / 2^31 or more far beyond 8 bits all the same.) */
#define SHIFTED_LEFT(v, left) SHIFT_LEFT_I(LESSER_I(GREATER_I(v, ~MOST_LEFT(left)), MOST_LEFT(left)), left)
#define MOST_LEFT(left) SHIFT_RIGHT_I(SPREAD_I(INT32_MAX), left)

/* A vector of sums in fixed point. `left`: 0, or shifts to the left, which come first. */
TARGET static INLINE V_I in_fixed_point(V_I sum, V_I multiplier, V_I right, V_I half, const int32_t *left, V_I high)
{
    if (left)
        sum = SHIFTED_LEFT(sum, LOAD_I(left));
    V_I x = UPPER_PRODUCT(sum, multiplier);
    return LESSER_I(SIGNED_AS(SHIFT_RIGHT_I(ADD_I(ABSOLUTE_I(x), half), right), x), high);
}

/* The sums of nv vectors of columns, from column j on, as bytes to y, whose rows are `stride` apart. What belongs to the
 * columns and the bounds stay in registers. Four vectors become one of bytes: a row of four, or as many rows of 16 columns
 * (of the last of these some may have been there before). They are made as uint8 less `low`, which ends them at 0. */
TARGET static INLINE void to_bytes(const int nv, const int fixed, const int with_rows, int rows, int nr,
                                   const int32_t *tile, const uint32_t *row_sums, const columns *c, int j,
                                   const nn_qgemm_around *around, char *y, int64_t stride)
{
    const int at_once = 4 / nv;
    const V_I high = SPREAD_I(around->high - around->out_zero);
    const V_I zero = SPREAD_I((int)((unsigned)(around->out_zero - around->low) % 0x10000 * 0x10001u));
    const V_I low = SPREAD_I((int)((unsigned)around->low % 0x100 * 0x01010101u));
    const V_F lowest = FLOATS(SPREAD_I(around->low - around->out_zero)), highest = FLOATS(high);
    const int32_t *left = c->any_left ? c->left + j : 0;
    V_I add[4], multiplier[4], right[4], half[4];
    V_F scale[4];
    int64_t from[4], to[4];
    UNROLL for (int r = 0; r < at_once; r++) {
        from[r] = smaller(r, rows - 1) * nr;
        to[r] = smaller(r, rows - 1) * stride;
    }
    EACH_VECTOR(nv) {
        add[v] = LOAD_I(c->add + j + v * LANES);
        scale[v] = LOAD_F(c->scale + j + v * LANES);
        multiplier[v] = LOAD_I(c->multiplier + j + v * LANES);
        right[v] = LOAD_I(c->right + j + v * LANES);
        half[v] = SHIFT_RIGHT_I(SHIFT_LEFT_I(SPREAD_I(1), right[v]), SPREAD_I(1));
    }
    tile += j;
    for (int i = 0; i < rows; i += at_once, tile += at_once * nr, y += at_once * stride) {
        V_I q[4];
        if (i + at_once > rows && rows > at_once) {
            tile -= (i + at_once - rows) * nr;
            y -= (i + at_once - rows) * stride;
            i = rows - at_once;
        }
        UNROLL for (int r = 0; r < at_once; r++) EACH_VECTOR(nv) {
            V_I sum = ADD_I(LOAD_I(tile + from[r] + v * LANES), add[v]);
            if (with_rows)
                sum = ADD_I(sum, MULTIPLY_I(SPREAD_I((int)row_sums[smaller(i + r, rows - 1)]),
                                            LOAD_I(c->minus + j + v * LANES)));
            if (fixed)
                q[r * nv + v] = in_fixed_point(sum, multiplier[v], right[v], half[v], left ? left + v * LANES : 0, high);
            else
                q[r * nv + v] = ROUNDED_FROM(lowest, LESSER_F(MULTIPLY_F(FLOATS(sum), scale[v]), highest));
        }
        const V_I all = ADD_BYTES(BYTES_OF_FOUR(q[0], q[1], q[2], q[3], zero), low);
        if (at_once == 1)
            STORE_ANY_I(y, all);
        else {
            STORE_PANEL(y + to[0], all, 0);
            STORE_PANEL(y + to[1], all, 1);
            if (at_once == 4) {
                STORE_PANEL(y + to[2], all, 2);
                STORE_PANEL(y + to[3], all, 3);
            }
        }
    }
}

/* The same as int32. */
TARGET static INLINE void as_they_are(int rows, int nr, const int32_t *tile, const uint32_t *row_sums, const columns *c,
                                      int j, char *y, int64_t stride)
{
    enum { NV = PANEL / LANES };
    V_I add[NV], minus[NV];
    EACH_VECTOR(NV) {
        add[v] = LOAD_I(c->add + j + v * LANES);
        minus[v] = LOAD_I(c->minus + j + v * LANES);
    }
    for (int i = 0; i < rows; i++, y += stride) {
        const V_I row_sum = SPREAD_I(row_sums ? (int)row_sums[i] : 0);
        EACH_VECTOR(NV) {
            V_I sum = ADD_I(LOAD_I(tile + i * nr + j + v * LANES), add[v]);
            STORE_ANY_I(y + 4 * v * LANES, row_sums ? ADD_I(sum, MULTIPLY_I(row_sum, minus[v])) : sum);
        }
    }
}

/* Four vectors of columns at a time, if not too much belongs to them; then 16 columns. A last piece that is narrower goes
 * by way of `piece`. */
#define BODY_requantize(NAME, ISA, MR, NR)                                                                         \
    TARGET_##ISA void NAME(int rows, int cols, int nr, const int32_t *tile, const uint32_t *row_sums,              \
                           const columns *c, const nn_qgemm_around *around, void *out, int64_t ldo)                \
    {                                                                                                              \
        const int size = around->out_size;                                                                         \
        char piece[4 * MAX_TILE];                                                                                  \
        int j = 0;                                                                                                 \
        for (; size == 1 && !around->fixed && !row_sums && j + 4 * LANES <= cols; j += 4 * LANES)                  \
            to_bytes(4, 0, 0, rows, nr, tile, 0, c, j, around, (char *)out + j, ldo);                              \
        for (; j < cols; j += PANEL) {                                                                             \
            int whole = cols - j >= PANEL;                                                                         \
            char *y = whole ? (char *)out + j * size : piece;                                                      \
            int64_t stride = size * (whole ? ldo : PANEL);                                                         \
            if (size == 4)                                                                                         \
                as_they_are(rows, nr, tile, row_sums, c, j, y, stride);                                            \
            else if (around->fixed)                                                                                \
                to_bytes(PANEL / LANES, 1, row_sums != 0, rows, nr, tile, row_sums, c, j, around, y, stride);      \
            else if (row_sums)                                                                                     \
                to_bytes(PANEL / LANES, 0, 1, rows, nr, tile, row_sums, c, j, around, y, stride);                  \
            else                                                                                                   \
                to_bytes(PANEL / LANES, 0, 0, rows, nr, tile, 0, c, j, around, y, stride);                         \
            for (int i = 0; !whole && i < rows; i++)                                                               \
                memcpy((char *)out + (i * ldo + j) * size, piece + i * PANEL * size, (size_t)((cols - j) * size)); \
        }                                                                                                          \
    }
#endif

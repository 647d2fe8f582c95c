/* What vpmaddubsw loses where pairs of weights do not fit, worked out apart.
 *
 * Of int8 weights as they are, scaled so that the largest of a column is 127, about one pair of neighbours in sixty can
 * saturate (vec_avx2.h). rows_u8s7 multiplies all of b, as others do, and what is lost there is added beforehand. Say
 * b0, b1 > 0 with b0 + b1 > 128, and c = 255 - a, the complement. Then
 *
 *     a0 b0 + a1 b1 = 255 (b0 + b1) - (c0 b0 + c1 b1)
 *
 * and what lies above 32767, the most that vpmaddubsw gives, is
 *
 *     lost = max(E - (c0 b0 + c1 b1), 0)    with  E = 255 (b0 + b1) - 32767 <= 32003
 *
 * In 16 bits: vpmaddubsw again, whose own saturation changes nothing since E is smaller, and a subtraction that stops at
 * 0. For b0, b1 < 0 the same with their magnitudes, E = 255 (|b0| + |b1|) - 32768 and the other sign.
 *
 * A group of 16 rows is a vector: pair p of all of them lies together in a copy of c, group[p][16][2], the rows in the order
 * in which 16 bits become 32 (UNPACKED). Up to four pairs of a column and a sign, a chunk, are subtracted at a time. */
#pragma once

#include "rows.h"
#include "strided.h"

enum { GROUP = 16, IN_CHUNK = 4, MANY_GROUPS = 2 };

/* Pairs of one column and one sign. Of each its place in a group, in bytes, its magnitudes, twice, and E, twice; zeros where
 * there is none. one: the sign as two int16, 1 or -1; column: of the panel. */
API typedef struct {
    int32_t pair[4];
    uint32_t b[4], excess[4];
    uint32_t one;
    int32_t column, unused[2];
} nn_chunk;

/* tile[16 · groups][16] = what is lost in rows of the groups, which are `bytes` apart, by the pairs of a panel. */
typedef void saturated_micro(int64_t chunks, const nn_chunk *chunk, const char *c, int64_t bytes, int groups,
                             int32_t *tile);

/* c of a group: of 16 rows, `row_bytes` apart, of `cells` cells each. */
static inline void complement_pairs(int64_t cells, const char *rows, int64_t row_bytes, char *group)
{
    enum { AT_ONCE = 64 };
    _Alignas(LINE) uint32_t turned[AT_ONCE][GROUP];
    uint16_t(*pair)[GROUP] = (uint16_t(*)[GROUP])group;
    for (int64_t k = 0; k < cells; k += AT_ONCE) {
        const int64_t some = smaller(AT_ONCE, cells - k);
        for (int quarter = 0; quarter < 4; quarter++) { /* rows 0 ... 3, 8 ... 11, 4 ... 7, 12 ... 15 */
            const int row = quarter / 2 * 4 + quarter % 2 * 8;
            copy_strided(some, 4, (const float *)(rows + row * row_bytes) + k, 1, row_bytes / 4,
                         (float *)&turned[0][4 * quarter], GROUP);
        }
        for (int64_t q = 0; q < some; q++, pair += 2)
            for (int i = 0; i < GROUP; i++) {
                pair[0][i] = (uint16_t)~turned[q][i];
                pair[1][i] = (uint16_t)(~turned[q][i] >> 16);
            }
    }
}

#ifdef SIGNED_PAIRS /* the words of an instruction set that has vpmaddubsw, or none (vec_*.h) */
TARGET static INLINE void lost(int64_t chunks, const nn_chunk *chunk, const char *c, int64_t bytes, const int groups,
                               int32_t *tile)
{
    enum { NV = GROUP / 2 / LANES };
    _Alignas(LINE) int32_t sum[PANEL][MANY_GROUPS][GROUP];
    for (int j = 0; j < PANEL; j++)
        UNROLL for (int i = 0; i < groups * GROUP; i += LANES) STORE_I(sum[j][0] + i, ZERO_I());
    for (; chunks > 0; chunks--, chunk++) {
        const V_I one = SPREAD_I((int32_t)chunk->one);
        V_I b[IN_CHUNK], excess[IN_CHUNK];
        UNROLL for (int e = 0; e < IN_CHUNK; e++) b[e] = SPREAD_I((int32_t)chunk->b[e]);
        UNROLL for (int e = 0; e < IN_CHUNK; e++) excess[e] = SPREAD_I((int32_t)chunk->excess[e]);
        UNROLL for (int g = 0; g < groups; g++)
            UNROLL for (int v = 0; v < NV; v++) {
                V_I x[IN_CHUNK];
                UNROLL for (int e = 0; e < IN_CHUNK; e++)
                    x[e] = ABOVE(excess[e], LOAD_I(c + g * bytes + chunk->pair[e] + 4 * v * LANES), b[e]);
                const V_I even = ADD_16(x[0], x[1]), odd = ADD_16(x[2], x[3]);
                UNROLL for (int half = 0; half < 2; half++) {
                    int32_t *of_rows = sum[chunk->column][g] + v * LANES + half * GROUP / 2;
                    STORE_I(of_rows, SIGNED_PAIRS(LOAD_I(of_rows), UNPACKED(half, even, odd), one));
                }
            }
    }
    copy_strided(groups * GROUP, PANEL, (const float *)sum, 1, MANY_GROUPS * GROUP, (float *)tile, PANEL);
}

#define BODY_saturated(NAME, ISA, MR, NR)                                                                          \
    TARGET_##ISA void NAME(int64_t chunks, const nn_chunk *chunk, const char *c, int64_t bytes, int groups,        \
                           int32_t *tile)                                                                          \
    {                                                                                                              \
        if (groups == MANY_GROUPS)                                                                                 \
            lost(chunks, chunk, c, bytes, MANY_GROUPS, tile);                                                      \
        else                                                                                                       \
            lost(chunks, chunk, c, bytes, 1, tile);                                                                \
    }
#endif

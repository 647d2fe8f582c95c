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
 * A group of eight rows is a vector: cell q of all eight lies together in a copy of c, group[q][8][4]. Up to four pairs
 * of a column and a sign, a chunk, are summed before they leave 16 bits. */
#pragma once

#include "rows.h"
#include "strided.h"

enum { GROUP = 8, IN_CHUNK = 4, MANY_GROUPS = 4 };

/* Pairs of one column and one sign. Of each the place of its cell in a group, in bytes, and at the place that it has in
 * the cell: its magnitudes, and E. A pair that is none has zeros there. one: the sign as two int16, 1 or -1; column: of
 * the panel. */
API typedef struct {
    int32_t cell[4];
    uint32_t b[4], excess[4];
    uint32_t one;
    int32_t column, unused[2];
} nn_chunk;

/* tile[8 · groups][16] = what is lost in rows of the groups, which are `bytes` apart, by the pairs of a panel. */
typedef void saturated_micro(int64_t chunks, const nn_chunk *chunk, const char *c, int64_t bytes, int groups,
                             int32_t *tile);

#ifdef SIGNED_PAIRS /* the words of an instruction set that has vpmaddubsw, or none (vec_*.h) */
TARGET static INLINE void lost(int64_t chunks, const nn_chunk *chunk, const char *c, int64_t bytes, const int groups,
                               int32_t *tile)
{
    enum { NV = GROUP / LANES };
    _Alignas(LINE) int32_t sum[PANEL][MANY_GROUPS][GROUP];
    memset(sum, 0, sizeof sum);
    for (; chunks > 0; chunks--, chunk++) {
        V_I total[MANY_GROUPS][NV], one = SPREAD_I((int32_t)chunk->one);
        UNROLL for (int e = 0; e < IN_CHUNK; e++) {
            const V_I b = SPREAD_I((int32_t)chunk->b[e]), excess = SPREAD_I((int32_t)chunk->excess[e]);
            UNROLL for (int g = 0; g < groups; g++)
                UNROLL for (int v = 0; v < NV; v++) {
                    V_I x = ABOVE(excess, LOAD_I(c + g * bytes + chunk->cell[e] + 4 * v * LANES), b);
                    total[g][v] = e ? ADD_16(total[g][v], x) : x;
                }
        }
        int32_t(*of_column)[GROUP] = sum[chunk->column];
        UNROLL for (int g = 0; g < groups; g++)
            UNROLL for (int v = 0; v < NV; v++)
                STORE_I(of_column[g] + v * LANES, SIGNED_PAIRS(LOAD_I(of_column[g] + v * LANES), total[g][v], one));
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
            for (; groups > 0; groups--, c += bytes, tile += GROUP * PANEL)                                        \
                lost(chunks, chunk, c, bytes, 1, tile);                                                            \
    }
#endif

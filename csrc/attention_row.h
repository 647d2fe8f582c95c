/* One query's attention, with nothing copied: rows of K and of V are read where they lie (attention_few.c). The words are
 * those of the header vec_*.h that is included before this one. */
#pragma once

#include "loops.h"

#include <math.h>

/* Scores of `keys` keys: products of q (e floats from a line's start, 0 up to a whole line) with rows of k, k_row floats
 * apart. s: from a line's start, with room for a multiple of 16. A lane is a place in the rows; so the sums of as many
 * keys as there are lanes are added across lanes, all at once. */
typedef void attention_scores_micro(int64_t keys, int64_t e, const float *q, const float *k, int64_t k_row, float *s);

#define BODY_attention_scores(NAME, ISA, MR, NR)                                                                   \
    TARGET_##ISA void NAME(int64_t keys, int64_t e, const float *q, const float *k, int64_t k_row, float *s)       \
    {                                                                                                              \
        const int64_t whole = e / LANES * LANES;                                                                   \
        for (int64_t i = 0; i < keys; i += LANES) {                                                                \
            V_F sums[LANES];                                                                                       \
            UNROLL for (int r = 0; r < LANES; r++)                                                                 \
            {                                                                                                      \
                const float *row = k + smaller(i + r, keys - 1) * k_row;                                           \
                sums[r] = ZERO_F();                                                                                \
                for (int64_t j = 0; j < whole; j += LANES)                                                         \
                    sums[r] = MULTIPLY_ADD_F(sums[r], LOAD_F(q + j), LOAD_ANY(row + j));                           \
                if (whole < e)                                                                                     \
                    sums[r] = MULTIPLY_ADD_F(sums[r], LOAD_F(q + whole), LOAD_FIRST(row + whole, e - whole));      \
            }                                                                                                      \
            STORE_F(s + i, SUMS_OF(sums));                                                                         \
        }                                                                                                          \
    }

/* The mean of `keys` rows of v, v_row floats apart, weighted by 2^(s - top) for the largest score, top. s: scores, -inf up
 * to a multiple of 16; they become the weights. out: `columns` floats. sums: top, and what the weights sum to. */
typedef void attention_mean_micro(int64_t keys, int64_t columns, float *s, const float *v, int64_t v_row, float *out,
                                  float *sums);

/* Four rows at a time have sums of their own, so that a multiply-add does not wait for the one before. */
#define WEIGHTED_SUM(j, LOAD)                                                                                      \
    V_F sum[4] = { ZERO_F(), ZERO_F(), ZERO_F(), ZERO_F() };                                                       \
    int64_t k = 0;                                                                                                 \
    for (; k + 4 <= keys; k += 4)                                                                                  \
        UNROLL for (int r = 0; r < 4; r++) sum[r] =                                                                \
            MULTIPLY_ADD_F(sum[r], ALL_F(s[k + r]), LOAD(v + (k + r) * v_row + (j)));                              \
    for (; k < keys; k++)                                                                                          \
        sum[0] = MULTIPLY_ADD_F(sum[0], ALL_F(s[k]), LOAD(v + k * v_row + (j)));                                   \
    const V_F mean = MULTIPLY_F(ADD_F(ADD_F(sum[0], sum[1]), ADD_F(sum[2], sum[3])), share);

#define LOAD_REST(p) LOAD_FIRST(p, columns - whole)
#define BODY_attention_mean(NAME, ISA, MR, NR)                                                                     \
    TARGET_##ISA void NAME(int64_t keys, int64_t columns, float *s, const float *v, int64_t v_row, float *out,     \
                           float *sums)                                                                            \
    {                                                                                                              \
        _Alignas(LINE) float lane[LANES];                                                                          \
        const int64_t padded = round_up(keys, LANES), whole = columns / LANES * LANES;                             \
        V_F highest = ALL_F(-INFINITY), sum_of_weights = ZERO_F();                                                 \
        for (int64_t i = 0; i < padded; i += LANES)                                                                \
            highest = GREATER_F(LOAD_F(s + i), highest);                                                           \
        STORE_F(lane, highest);                                                                                    \
        float top = lane[0], total = 0;                                                                            \
        for (int r = 1; r < LANES; r++)                                                                            \
            top = lane[r] > top ? lane[r] : top;                                                                   \
        const V_F shift = ALL_F(top > -0x1.fffffep127f ? top : -0x1.fffffep127f); /* softmax_f32.h says why */     \
        for (int64_t i = 0; i < padded; i += LANES) {                                                              \
            const V_F weight = exp2_of(SUBTRACT_F(LOAD_F(s + i), shift));                                          \
            STORE_F(s + i, weight);                                                                                \
            sum_of_weights = ADD_F(sum_of_weights, weight);                                                        \
        }                                                                                                          \
        STORE_F(lane, sum_of_weights);                                                                             \
        for (int r = 0; r < LANES; r++)                                                                            \
            total += lane[r];                                                                                      \
        sums[0] = top;                                                                                             \
        sums[1] = total;                                                                                           \
        const V_F share = ALL_F(total == 0 ? 0 : 1 / total);                                                       \
        for (int64_t j = 0; j < whole; j += LANES) {                                                               \
            WEIGHTED_SUM(j, LOAD_ANY)                                                                              \
            STORE_ANY(out + j, mean);                                                                              \
        }                                                                                                          \
        if (whole < columns) {                                                                                     \
            WEIGHTED_SUM(whole, LOAD_REST)                                                                         \
            STORE_FIRST(out + whole, columns - whole, mean);                                                       \
        }                                                                                                          \
    }

/* Scores of 16 queries as the weights of their keys, a key after the other: a lane of a vector is a query, so that
 * nothing is added across lanes. The words are those of the header vec_*.h that is included before this one.
 * Exponentials are of base 2 (exp2.h): the scores come with log2 e as a factor (attention.h).
 *
 * All vectors of a key go together, for a chain of multiply-adds leaves room for another: on AVX2, where there are two, a
 * vector takes 6.8 cycles instead of 9.1 (Zen 4). 16 registers are too few for that and for all constants: what
 * IN_THIS_ORDER names has to be in one in each step, so it is constants that are read anew. */
#pragma once

#include "loops.h"
#include "rows.h"

/* One block of keys on the way to softmax (Milakov & Gimelshein 2018, algorithm 3). s: the scores of each key, `pitch`
 * floats apart; top, total: of each query the largest score so far, and the sum of 2^(score - top). p: the weights
 * 2^(score - top) of each key, 16 floats apart; acc: `rows` rows, acc_pitch floats apart, which were summed with the
 * weights of the blocks before, and are scaled to the new `top`. */
typedef void softmax_f32_micro(int64_t keys, const float *s, int64_t pitch, float *top, float *total, float *p,
                               int64_t rows, float *acc, int64_t acc_pitch);

/* A query whose scores are all -inf has no largest: less the least float they are -inf, too, and weigh 0. */
#define BODY_softmax_f32(NAME, ISA, MR, NR)                                                                        \
    TARGET_##ISA void NAME(int64_t keys, const float *s, int64_t pitch, float *top, float *total, float *p,        \
                           int64_t rows, float *acc, int64_t acc_pitch)                                            \
    {                                                                                                              \
        enum { NV = NR / LANES };                                                                                  \
        V_F highest[NV], shift[NV], scale[NV], sum[NV];                                                            \
        EACH_VECTOR(NV) highest[v] = LOAD_F(top + v * LANES);                                                      \
        for (int64_t k = 0; k < keys; k++)                                                                         \
            EACH_VECTOR(NV) highest[v] = GREATER_F(LOAD_F(s + k * pitch + v * LANES), highest[v]);                 \
        EACH_VECTOR(NV) shift[v] = GREATER_F(highest[v], ALL_F(-0x1.fffffep127f));                                 \
        EACH_VECTOR(NV) scale[v] = SUBTRACT_F(LOAD_F(top + v * LANES), shift[v]);                                  \
        exp2_of_each(NV, scale);                                                                                   \
        EACH_VECTOR(NV) sum[v] = MULTIPLY_F(LOAD_F(total + v * LANES), scale[v]);                                  \
        EACH_VECTOR(NV) STORE_F(top + v * LANES, highest[v]);                                                      \
        for (float *row = acc; row < acc + rows * acc_pitch; row += acc_pitch)                                     \
            EACH_VECTOR(NV) STORE_F(row + v * LANES, MULTIPLY_F(LOAD_F(row + v * LANES), scale[v]));               \
        for (int64_t k = 0; k < keys; k++) {                                                                       \
            V_F weight[NV];                                                                                        \
            EACH_VECTOR(NV) weight[v] = SUBTRACT_F(LOAD_F(s + k * pitch + v * LANES), shift[v]);                   \
            exp2_of_each(NV, weight);                                                                              \
            EACH_VECTOR(NV) IN_THIS_ORDER(shift[v]);                                                               \
            EACH_VECTOR(NV) STORE_F(p + k * NR + v * LANES, weight[v]);                                            \
            EACH_VECTOR(NV) sum[v] = ADD_F(sum[v], weight[v]);                                                     \
        }                                                                                                          \
        EACH_VECTOR(NV) STORE_F(total + v * LANES, sum[v]);                                                        \
    }

/* The gradient of a block of scores: p = 2^(s - lse), ds = p (dp - delta). s, dp: scores and gradients of the weights,
 * of each key, pitches apart; lse, delta: of each query. p, ds: `row` floats from key to key; ds_panel: ds again, 16
 * apart. */
typedef void softmax_grad_f32_micro(int64_t keys, const float *s, int64_t s_pitch, const float *dp, int64_t dp_pitch,
                                    const float *lse, const float *delta, float *p, float *ds, int64_t row,
                                    float *ds_panel);

#define BODY_softmax_grad_f32(NAME, ISA, MR, NR)                                                                   \
    TARGET_##ISA void NAME(int64_t keys, const float *s, int64_t s_pitch, const float *dp, int64_t dp_pitch,       \
                           const float *lse, const float *delta, float *p, float *ds, int64_t row,                 \
                           float *ds_panel)                                                                        \
    {                                                                                                              \
        enum { NV = NR / LANES };                                                                                  \
        V_F shift[NV], mean[NV];                                                                                   \
        EACH_VECTOR(NV) shift[v] = LOAD_F(lse + v * LANES);                                                        \
        EACH_VECTOR(NV) mean[v] = LOAD_F(delta + v * LANES);                                                       \
        for (int64_t k = 0; k < keys; k++) {                                                                       \
            V_F weight[NV], slope[NV];                                                                             \
            EACH_VECTOR(NV) weight[v] = SUBTRACT_F(LOAD_F(s + k * s_pitch + v * LANES), shift[v]);                 \
            exp2_of_each(NV, weight);                                                                              \
            EACH_VECTOR(NV) IN_THIS_ORDER(shift[v]);                                                               \
            EACH_VECTOR(NV) IN_THIS_ORDER(mean[v]);                                                                \
            EACH_VECTOR(NV) slope[v] = SUBTRACT_F(LOAD_F(dp + k * dp_pitch + v * LANES), mean[v]);                 \
            EACH_VECTOR(NV) slope[v] = MULTIPLY_F(slope[v], weight[v]);                                            \
            EACH_VECTOR(NV) STORE_F(p + k * row + v * LANES, weight[v]);                                           \
            EACH_VECTOR(NV) STORE_F(ds + k * row + v * LANES, slope[v]);                                           \
            EACH_VECTOR(NV) STORE_F(ds_panel + k * NR + v * LANES, slope[v]);                                      \
        }                                                                                                          \
    }

/* Scores of 16 queries as the weights of their keys, a key after the other: a lane of a vector is a query, so that
 * nothing is added across lanes. The words are those of the header vec_*.h that is included before this one.
 * Exponentials are of base 2 (exp2.h): the scores come with log2 e as a factor (attention.h). */
#pragma once

#include "loops.h"

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
        for (int c = 0; c < NR; c += LANES) {                                                                      \
            const V_F before = LOAD_F(top + c);                                                                    \
            V_F highest = before;                                                                                  \
            for (int64_t k = 0; k < keys; k++)                                                                     \
                highest = GREATER_F(LOAD_F(s + k * pitch + c), highest);                                           \
            STORE_F(top + c, highest);                                                                             \
            const V_F shift = GREATER_F(highest, ALL_F(-0x1.fffffep127f));                                         \
            const V_F scale = exp2_of(SUBTRACT_F(before, shift));                                                  \
            for (int64_t i = 0; i < rows; i++)                                                                     \
                STORE_F(acc + i * acc_pitch + c, MULTIPLY_F(LOAD_F(acc + i * acc_pitch + c), scale));              \
            V_F sum = MULTIPLY_F(LOAD_F(total + c), scale);                                                        \
            for (int64_t k = 0; k < keys; k++) {                                                                   \
                V_F weight = exp2_of(SUBTRACT_F(LOAD_F(s + k * pitch + c), shift));                                \
                STORE_F(p + k * NR + c, weight);                                                                   \
                sum = ADD_F(sum, weight);                                                                          \
            }                                                                                                      \
            STORE_F(total + c, sum);                                                                               \
        }                                                                                                          \
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
        for (int c = 0; c < NR; c += LANES) {                                                                      \
            const V_F shift = LOAD_F(lse + c), mean = LOAD_F(delta + c);                                           \
            for (int64_t k = 0; k < keys; k++) {                                                                   \
                V_F weight = exp2_of(SUBTRACT_F(LOAD_F(s + k * s_pitch + c), shift));                              \
                V_F slope = MULTIPLY_F(SUBTRACT_F(LOAD_F(dp + k * dp_pitch + c), mean), weight);                   \
                STORE_F(p + k * row + c, weight);                                                                  \
                STORE_F(ds + k * row + c, slope);                                                                  \
                STORE_F(ds_panel + k * NR + c, slope);                                                             \
            }                                                                                                      \
        }                                                                                                          \
    }

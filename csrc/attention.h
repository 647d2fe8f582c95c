/* What attention and its gradient share: where queries, keys and values lie, and a block of scores.
 *
 * Scores are computed with the keys as rows and the queries as columns, S' = K Q': then a lane of a vector is a query
 * (softmax_f32.h), and the weights are, just as they are written, panels or rows of the products that follow. Blocks
 * are the micro-kernels' tiles side by side: columns c .. c + nr-1 are a matrix of all rows, nr floats a row.
 *
 *     block   0 .. nr-1     rows x nr        of a product by `multiply`; rows are filled up to a multiple of mr
 *            nr .. 2nr-1    rows x nr        */
#pragma once

#include "loops.h"
#include "pool.h"
#include "product.h"
#include "rows.h"
#include "softmax_f32.h"
#include "strided.h"

#include <math.h>

/* q (n, heads, l, e), k (n, heads, s, e), v (n, heads, s, v). Distances in elements; those of a row are adjacent. A
 * mask is given for each batch, head, query and key; its distances may be 0. */
API typedef struct {
    int64_t n, heads, l, s, e, v;
    int64_t q_batch, q_head, q_row, k_batch, k_head, k_row, v_batch, v_head, v_row, out_batch, out_head, out_row;
    int64_t mask_batch, mask_head, mask_query, mask_key;
    int mask_bytes; /* of an element: 0, there is no mask; 1, a query may look where it is not 0; 4, floats to add */
    int causal;     /* query i may look at the keys 0 .. i */
    double scale;   /* of the scores */
} nn_attention_geometry;

/* Keys of a block, in whole tiles of all micro-kernels, and queries of a group. */
enum { KEYS = 192, GROUP = 96 };
#define LOG2_E 1.4426950408889634
#define LN_2 0.6931471805599453

/* Floats of a block; and where column c, a multiple of 16, begins in it. */
static inline int64_t room(const nn_micro *by, int64_t rows, int64_t columns)
{
    return round_up(rows, by->mr) * round_up(columns, by->nr);
}
static inline float *column(const nn_micro *by, int64_t rows, int64_t c, float *block)
{
    return block + c / by->nr * by->nr * round_up(rows, by->mr) + c % by->nr;
}

/* For the rows that whole tiles leave over: a smaller tile, as wide, if one takes less time, or 0. (64 rows in tiles of
 * 6 x 16 would be 66; if the last is 4 x 16 they take the time of 64.5.) */
static inline const nn_micro *rest_of(int kernel, int variant, const nn_micro *by, int64_t rows, int64_t columns)
{
    const int64_t left = rows % by->mr;
    const nn_micro *rest = nn_select(kernel, variant, left, columns, 0, 0);
    return rest->nr == by->nr && round_up(left, rest->mr) < by->mr ? rest : 0;
}

/* A product into the first rows of a block of `tall` rows, rows x columns (a multiple of 16) from `steps` steps: A's
 * rows are lda floats apart, B's panels `far`. rest: of rest_of(), or 0. */
static inline void multiply(const nn_micro *by, const nn_micro *rest, int64_t rows, int64_t columns, int64_t steps,
                            const float *a, int64_t lda, const float *b, int64_t far, int add, int64_t tall,
                            float *block)
{
    for (int64_t c = 0; c < columns; c += by->nr) {
        const void *panels[MAX_NR / PANEL];
        float *to = column(by, tall, c, block);
        panels_of_tile(b, 4 * far, c / PANEL, columns / PANEL - 1, by->nr, panels);
        for (int64_t i = 0; i < rows;) {
            const nn_micro *tile = rest && rows - i < by->mr ? rest : by;
            ((rows_micro *)tile->run)(steps, a + i * lda, 4 * lda, panels, add, to + i * by->nr);
            i += tile->mr;
        }
    }
}

/* Rows for two micro-kernels: copies, `pitch` floats apart, and zeros up to a multiple of either mr. */
static inline void copy_padded(const nn_micro *one, const nn_micro *other, int64_t rows, int64_t columns,
                               const float *from, int64_t row, int64_t from_column, float *to, int64_t pitch)
{
    const int64_t padded = larger(round_up(rows, one->mr), round_up(rows, other->mr));
    copy_strided(rows, columns, from, row, from_column, to, pitch);
    memset(to + rows * pitch, 0, (size_t)((padded - rows) * pitch) * 4);
}

/* Panels of the queries' transpose, with the factor that makes scores of base 2. */
static inline void pack_queries(int64_t queries, int64_t e, const float *q, int64_t row, double scale, float *panels)
{
    const float factor = (float)(scale * LOG2_E);
    nn_gemm_pack(e, queries, q, 1, row, panels);
    for (int64_t i = 0; i < round_up(queries, PANEL) * e; i++)
        panels[i] *= factor;
}

/* How many of the keys from k0 on the queries q0 .. q0 + queries-1 may see at all. */
static inline int64_t seen_keys(const nn_attention_geometry *g, int64_t q0, int64_t queries, int64_t k0, int64_t keys)
{
    return g->causal ? larger(smaller(keys, q0 + queries - k0), 0) : keys;
}

/* The mask on a block of scores: what is added, or -inf. mask: of the batch and the head. */
static inline void mask_scores(const nn_attention_geometry *g, const char *mask, const nn_micro *by, int64_t q0,
                               int64_t queries, int64_t k0, int64_t keys, float *block)
{
    const int64_t step = g->mask_query;
    for (int64_t c = 0; c < queries; c += by->nr, block += round_up(keys, by->mr) * by->nr)
        for (int64_t r = 0; r < keys; r++) {
            const int64_t lanes = smaller(by->nr, queries - c), at = (q0 + c) * step + (k0 + r) * g->mask_key;
            const uint8_t *seen = (const uint8_t *)mask + at;
            const float *more = (const float *)(const void *)mask + at;
            float *s = block + r * by->nr;
            if (g->mask_bytes == 1)
                for (int64_t i = 0; i < lanes; i++)
                    s[i] = seen[i * step] ? s[i] : -INFINITY;
            else if (g->mask_bytes)
                for (int64_t i = 0; i < lanes; i++)
                    s[i] += more[i * step] * (float)LOG2_E;
            if (g->causal)
                for (int64_t i = 0, end = smaller(k0 + r - q0 - c, lanes); i < end; i++)
                    s[i] = -INFINITY;
        }
}

/* Where the mask of a head begins. */
static inline const char *mask_of(const nn_attention_geometry *g, const void *mask, int64_t batch, int64_t head)
{
    return (const char *)mask + g->mask_bytes * (batch * g->mask_batch + head * g->mask_head);
}

/* The next so many floats of the scratch, from a line's start. */
static inline float *take(char **scratch, int64_t floats)
{
    float *here = (float *)(void *)*scratch;
    *scratch += round_up(4 * floats, LINE);
    return here;
}

enum { FEW = 4 }; /* queries that attention_few.c takes; `row`: of the chosen instruction set. Returns 0 or NN_NO_MEMORY. */
int nn_attention_few(const nn_micro *row, const nn_attention_geometry *g, const float *q, const float *k,
                     const float *v, const void *mask, float *out, float *lse);

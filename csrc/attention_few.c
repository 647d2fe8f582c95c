/* attention of a few queries, as of the step of a language model over its cache: a query at a time, against all keys.
 *
 *     for each head: on one thread or several       (pool.c)
 *         for each query:
 *             s = k q scale   (+ mask)              attention_row.h
 *             out = mean of v's rows, weighted by 2^s
 *
 * With many queries, copies of keys and values as the micro-kernels of gemm want them are shared by all (attention.c); a
 * few do not repay them. */
#include "attention.h"
#include "attention_row.h"

typedef struct {
    const nn_attention_geometry *g;
    const float *q, *k, *v;
    const void *mask;
    float *out, *lse;
    attention_scores_micro *scores;
    attention_mean_micro *mean;
} work;

/* The mask on the scores of a query: what is added, or -inf. */
static void mask_row(const nn_attention_geometry *g, const char *mask, int64_t query, int64_t keys, float *s)
{
    const uint8_t *seen = (const uint8_t *)mask + query * g->mask_query;
    const float *more = (const float *)(const void *)mask + query * g->mask_query;
    for (int64_t i = 0; g->mask_bytes == 1 && i < keys; i++)
        s[i] = seen[i * g->mask_key] ? s[i] : -INFINITY;
    for (int64_t i = 0; g->mask_bytes == 4 && i < keys; i++)
        s[i] += more[i * g->mask_key] * (float)LOG2_E;
}

/* The heads i0 .. i1. */
static void block(const void *work_, char *scratch, int64_t i0, int64_t i1)
{
    const work *w = work_;
    const nn_attention_geometry *g = w->g;
    const float factor = (float)(g->scale * LOG2_E);
    float *query = take(&scratch, g->e), *s = take(&scratch, g->s);
    memset(query, 0, (size_t)round_up(4 * g->e, LINE));
    for (int64_t i = i0 * g->l; i < i1 * g->l; i++) {
        const int64_t batch = i / g->l / g->heads, head = i / g->l % g->heads, row = i % g->l;
        const int64_t keys = seen_keys(g, row, 1, 0, g->s);
        const float *q = w->q + batch * g->q_batch + head * g->q_head + row * g->q_row;
        float sums[2];
        for (int64_t j = 0; j < g->e; j++)
            query[j] = q[j] * factor;
        w->scores(keys, g->e, query, w->k + batch * g->k_batch + head * g->k_head, g->k_row, s);
        if (g->mask_bytes)
            mask_row(g, mask_of(g, w->mask, batch, head), row, keys, s);
        for (int64_t j = keys; j < round_up(keys, PANEL); j++)
            s[j] = -INFINITY;
        w->mean(keys, g->v, s, w->v + batch * g->v_batch + head * g->v_head, g->v_row,
                w->out + batch * g->out_batch + head * g->out_head + row * g->out_row, sums);
        if (w->lse)
            w->lse[i] = sums[0] * (float)LN_2 + logf(sums[1]);
    }
}

int nn_attention_few(const nn_micro *row, const nn_attention_geometry *g, const float *q, const float *k,
                     const float *v, const void *mask, float *out, float *lse)
{
    const work w = { g, q, k, v, mask, out, lse, BESIDE(attention_scores, row), BESIDE(attention_mean, row) };
    const double cycles = (double)(g->l * g->s) * ((double)(g->e + g->v) / 8 + 8);
    nn_cut cut = nn_cut_rows(g->n * g->heads, 1, 1, cycles * (double)(g->n * g->heads));
    return nn_run_blocks(&cut, round_up(4 * g->e, LINE) + round_up(4 * g->s, LINE), block, &w);
}

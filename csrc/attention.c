/* attention: softmax(q k' scale + mask) v of each head, a block of keys at a time.
 *
 * The softmax needs no second look at a row (Milakov & Gimelshein 2018): of the keys so far it keeps the largest score
 * m, the sum of e^(s - m), and the values summed with these weights; a block with a larger score has both scaled to it.
 * So no matrix of all queries and all keys is ever there (Rabe & Staats 2021), and a block stays in the cache from its
 * scores to its product with the values (Dao et al. 2022).
 *
 *     for 1056 queries of a head: on one thread or several       (pool.c)
 *         q -> panels of q' scale
 *         for 192 keys:  k -> rows, v -> rows of v'             in the L2 cache
 *             for 96 queries that may see them:
 *                 S' = k q'                (+ mask)             micro-kernels of gemm
 *                 m, sum, 2^(S' - m) -> panels; acc scaled      softmax_f32.h
 *                 acc += v' panels                              micro-kernels of gemm
 *         acc / sum -> out, m + log sum -> lse
 *
 * A lane never meets another, and its keys come in order: threads, and how queries are cut, change no bit. */
#include "attention.h"

enum { CHUNK = 11 * GROUP }; /* queries that share the copies of a block of keys */

/* One call. */
typedef struct {
    const nn_attention_geometry *g;
    const float *q, *k, *v;
    const void *mask;
    float *out, *lse;
    struct by {
        const nn_micro *scores, *values, *rest; /* rows for the two products, and for what tiles of v' leave over */
    } whole, last;                              /* of a whole group, and of the last of a head */
    softmax_f32_micro *softmax;
    int64_t chunks, k_pitch, v_pitch;
} work;

/* What a thread works in. */
typedef struct {
    float *q, *k, *v, *s, *p, *acc, *top, *total;
    int64_t acc_room; /* floats of acc of a group */
} rooms;

static const struct by *rows_for(const work *w, int64_t queries) { return queries == GROUP ? &w->whole : &w->last; }

static rooms rooms_of(const work *w, char *scratch, int64_t *bytes)
{
    const nn_attention_geometry *g = w->g;
    const int64_t queries = smaller(CHUNK, round_up(g->l, PANEL)), group = smaller(GROUP, queries);
    char *at = scratch;
    rooms r;
    r.q = take(&at, queries * g->e);
    r.k = take(&at, larger(round_up(KEYS, w->whole.scores->mr), round_up(KEYS, w->last.scores->mr)) * w->k_pitch);
    r.v = take(&at, larger(round_up(g->v, w->whole.values->mr), round_up(g->v, w->last.values->mr)) * w->v_pitch);
    r.s = take(&at, larger(room(w->whole.scores, KEYS, group), room(w->last.scores, KEYS, group)));
    r.p = take(&at, KEYS * group);
    r.acc_room = larger(room(w->whole.values, g->v, group), room(w->last.values, g->v, group));
    r.acc = take(&at, (queries + GROUP - 1) / GROUP * r.acc_room);
    r.top = take(&at, queries);
    r.total = take(&at, queries);
    *bytes = at - scratch;
    return r;
}

/* The results of a group: each of its queries' row of acc', and what its weights sum to. */
static void finish(const work *w, int64_t queries, float *acc, const float *top, const float *total, float *out,
                   float *lse)
{
    const nn_attention_geometry *g = w->g;
    const nn_micro *by = rows_for(w, queries)->values;
    for (int64_t c = 0; c < queries; c += by->nr)
        copy_strided(smaller(by->nr, queries - c), g->v, column(by, g->v, c, acc), 1, by->nr, out + c * g->out_row,
                     g->out_row);
    for (int64_t i = 0; i < queries; i++) {
        const float share = total[i] == 0 ? 0 : 1 / total[i]; /* 0: it may look nowhere */
        float *row = out + i * g->out_row;
        for (int64_t j = 0; j < g->v; j++)
            row[j] *= share;
        if (lse)
            lse[i] = top[i] * (float)LN_2 + logf(total[i]);
    }
}

/* A block of keys, for the queries q0 .. q0 + queries-1 of a head. */
static void add_keys(const work *w, const rooms *r, const char *mask, const float *panels, int64_t q0, int64_t queries,
                     int64_t k0, int64_t keys, float *top, float *total, float *acc)
{
    const nn_attention_geometry *g = w->g;
    const int64_t columns = round_up(queries, PANEL);
    const struct by *by = rows_for(w, queries);
    const nn_micro *scores = by->scores, *values = by->values;
    multiply(scores, 0, keys, columns, g->e, r->k, w->k_pitch, panels, g->e * PANEL, 0, keys, r->s);
    if (g->mask_bytes || (g->causal && k0 + keys > q0 + 1))
        mask_scores(g, mask, scores, q0, queries, k0, keys, r->s);
    for (int64_t c = 0; c < columns; c += PANEL)
        w->softmax(keys, column(scores, keys, c, r->s), scores->nr, top + c, total + c, r->p + c * keys, g->v,
                   column(values, g->v, c, acc), values->nr);
    multiply(values, by->rest, g->v, columns, keys, r->v, w->v_pitch, r->p, keys * PANEL, 1, g->v, acc);
}

/* A chunk of the queries of a head: number i of all. */
static void chunk(const work *w, const rooms *r, int64_t i)
{
    const nn_attention_geometry *g = w->g;
    const int64_t of_head = i / w->chunks, batch = of_head / g->heads, head = of_head % g->heads;
    const int64_t first = i % w->chunks * CHUNK, queries = smaller(CHUNK, g->l - first);
    const float *k = w->k + batch * g->k_batch + head * g->k_head, *v = w->v + batch * g->v_batch + head * g->v_head;
    const char *mask = mask_of(g, w->mask, batch, head);
    pack_queries(queries, g->e, w->q + batch * g->q_batch + head * g->q_head + first * g->q_row, g->q_row, g->scale,
                 r->q);
    memset(r->acc, 0, (size_t)((queries + GROUP - 1) / GROUP * r->acc_room) * 4);
    for (int64_t c = 0; c < round_up(queries, PANEL); c++) {
        r->top[c] = -INFINITY;
        r->total[c] = 0;
    }
    for (int64_t k0 = 0, end = seen_keys(g, first, queries, 0, g->s); k0 < end; k0 += KEYS) {
        const int64_t keys = smaller(KEYS, end - k0);
        copy_padded(w->whole.scores, w->last.scores, keys, g->e, k + k0 * g->k_row, g->k_row, 1, r->k, w->k_pitch);
        copy_padded(w->whole.values, w->last.values, g->v, keys, v + k0 * g->v_row, 1, g->v_row, r->v, w->v_pitch);
        for (int64_t c = 0; c < queries; c += GROUP) {
            const int64_t some = smaller(GROUP, queries - c), seen = seen_keys(g, first + c, some, k0, keys);
            if (seen)
                add_keys(w, r, mask, r->q + c * g->e, first + c, some, k0, seen, r->top + c, r->total + c,
                         r->acc + c / GROUP * r->acc_room);
        }
    }
    for (int64_t c = 0; c < queries; c += GROUP)
        finish(w, smaller(GROUP, queries - c), r->acc + c / GROUP * r->acc_room, r->top + c, r->total + c,
               w->out + batch * g->out_batch + head * g->out_head + (first + c) * g->out_row,
               w->lse ? w->lse + of_head * g->l + first + c : 0);
}

static void block(const void *work_, char *scratch, int64_t i0, int64_t i1)
{
    int64_t bytes;
    const rooms r = rooms_of(work_, scratch, &bytes);
    for (int64_t i = i0; i < i1; i++)
        chunk(work_, &r, i);
}

static struct by rows_of(int variant, const nn_attention_geometry *g, int64_t queries)
{
    const int64_t columns = round_up(queries, PANEL);
    const nn_micro *scores = nn_select(NN_attention, variant, smaller(KEYS, g->s), columns, 0, 0);
    const nn_micro *values = nn_select(NN_attention, variant, g->v, columns, 0, 0);
    return (struct by){ scores, values, rest_of(NN_attention, variant, values, g->v, columns) };
}

/* out (n, heads, l, v); and lse (n, heads, l) without gaps, or 0: the logarithm of the sum of each query's e^score. */
API int nn_attention(int variant, const nn_attention_geometry *g, const void *q, const void *k, const void *v,
                     const void *mask, void *out, void *lse)
{
    const int64_t chunks = (g->l + CHUNK - 1) / CHUNK, all = g->n * g->heads * chunks;
    if (!all)
        return 0;
    work w = { g, q, k, v, mask, out, lse, rows_of(variant, g, GROUP), rows_of(variant, g, g->l % GROUP), 0, chunks,
               copied_row_bytes(4 * g->e) / 4, copied_row_bytes(4 * KEYS) / 4 };
    if (g->l <= FEW)
        return nn_attention_few(w.last.scores, g, q, k, v, mask, out, lse);
    w.softmax = BESIDE(softmax_f32, w.last.scores);
    double cycles = nn_cycles(w.last.scores, g->s, g->l, g->e) + nn_cycles(w.last.values, g->v, g->l, g->s);
    nn_cut cut = nn_cut_rows(all, 1, 1, cycles * (double)(g->n * g->heads));
    int64_t bytes;
    rooms_of(&w, 0, &bytes);
    return nn_run_blocks(&cut, bytes, block, &w);
}

/* attention_grad: the gradients of attention.c, which keeps of its weights the logarithm of what they are divided by.
 *
 * A block of the weights is computed anew where it is needed (Dao et al. 2022, algorithm 4): five products instead of
 * two, and again no matrix of all queries and all keys.
 *
 *     for a head: on one thread
 *         q, g -> panels of q' scale, of g', of q, of g;  delta = sum of g y
 *         for 192 keys:  k, v -> rows;  k -> rows of k'         in the L2 cache
 *             for 96 queries that may see them:
 *                 S' = k q'   dP' = v g'
 *                 P' = 2^(S' - lse)   dS' = P' (dP' - delta)    softmax_f32.h
 *                 dv += P' g   dk += dS' q   dq' += k' dS'
 *             dv, dk scale -> results
 *         dq scale -> results
 *
 * Sums go over keys and queries in order, whatever the threads. */
#include "attention.h"

/* One call. */
typedef struct {
    const nn_attention_geometry *g;
    const float *grad, *q, *k, *v, *y, *lse;
    const void *mask;
    float *dq, *dk, *dv;
    const int64_t *at;                             /* distances of g, dq, dk, dv: of a batch, a head, a row */
    const nn_micro *scores, *for_q, *for_k, *for_v; /* rows for S' and dP', for dq', dk, dv */
    softmax_grad_f32_micro *softmax;
    int64_t k_pitch, v_pitch, key_pitch, query_pitch;
} work;

/* What a thread works in. of_q, of_g: panels of the transposes; q, g: panels. */
typedef struct {
    float *of_q, *of_g, *q, *g, *lse, *delta, *dq, *k, *v, *of_k, *s, *dp, *p, *ds, *ds_panels, *dk, *dv;
    int64_t dq_room;
} rooms;

static rooms rooms_of(const work *w, char *scratch, int64_t *bytes)
{
    const nn_attention_geometry *g = w->g;
    const int64_t queries = round_up(g->l, PANEL), group = smaller(GROUP, queries);
    const int64_t tall = round_up(round_up(KEYS, w->for_k->mr), w->for_v->mr);
    char *at = scratch;
    rooms r;
    r.of_q = take(&at, queries * g->e);
    r.of_g = take(&at, queries * g->v);
    r.q = take(&at, g->l * round_up(g->e, PANEL));
    r.g = take(&at, g->l * round_up(g->v, PANEL));
    r.lse = take(&at, queries);
    r.delta = take(&at, queries);
    r.dq_room = room(w->for_q, g->e, group);
    r.dq = take(&at, (queries + GROUP - 1) / GROUP * r.dq_room);
    r.k = take(&at, round_up(KEYS, w->scores->mr) * w->k_pitch);
    r.v = take(&at, round_up(KEYS, w->scores->mr) * w->v_pitch);
    r.of_k = take(&at, round_up(g->e, w->for_q->mr) * w->key_pitch);
    r.s = take(&at, room(w->scores, KEYS, group));
    r.dp = take(&at, room(w->scores, KEYS, group));
    r.p = take(&at, tall * w->query_pitch);
    r.ds = take(&at, tall * w->query_pitch);
    r.ds_panels = take(&at, KEYS * group);
    r.dk = take(&at, room(w->for_k, KEYS, g->e));
    r.dv = take(&at, room(w->for_v, KEYS, g->v));
    *bytes = at - scratch;
    return r;
}

/* All that is needed of the queries of a head, for all blocks of keys. */
static void prepare_queries(const work *w, const rooms *r, int64_t head, const float *q, const float *grad,
                            const float *y)
{
    const nn_attention_geometry *g = w->g;
    pack_queries(g->l, g->e, q, g->q_row, g->scale, r->of_q);
    nn_gemm_pack(g->v, g->l, grad, 1, w->at[2], r->of_g);
    nn_gemm_pack(g->l, g->e, q, g->q_row, 1, r->q);
    nn_gemm_pack(g->l, g->v, grad, w->at[2], 1, r->g);
    for (int64_t i = 0; i < round_up(g->l, PANEL); i++) {
        float lse = i < g->l ? w->lse[head * g->l + i] : 0, delta = 0;
        for (int64_t j = 0; i < g->l && j < g->v; j++)
            delta += grad[i * w->at[2] + j] * y[i * g->out_row + j];
        r->lse[i] = lse == -INFINITY ? INFINITY : lse * (float)LOG2_E; /* who may look nowhere has weights of 0 */
        r->delta[i] = delta;
    }
    memset(r->dq, 0, (size_t)((g->l + GROUP - 1) / GROUP * r->dq_room) * 4);
}

/* What a block of keys and the queries q0 .. q0 + queries-1 give each other. `seen` of the keys may be seen. */
static void exchange(const work *w, const rooms *r, const char *mask, int64_t q0, int64_t queries, int64_t k0,
                     int64_t keys, int64_t seen)
{
    const nn_attention_geometry *g = w->g;
    const int64_t columns = round_up(queries, PANEL), pitch = w->query_pitch;
    multiply(w->scores, 0, seen, columns, g->e, r->k, w->k_pitch, r->of_q + q0 * g->e, g->e * PANEL, 0, seen, r->s);
    multiply(w->scores, 0, seen, columns, g->v, r->v, w->v_pitch, r->of_g + q0 * g->v, g->v * PANEL, 0, seen, r->dp);
    if (g->mask_bytes || (g->causal && k0 + seen > q0 + 1))
        mask_scores(g, mask, w->scores, q0, queries, k0, seen, r->s);
    for (int64_t c = 0; c < columns; c += PANEL)
        w->softmax(seen, column(w->scores, seen, c, r->s), w->scores->nr, column(w->scores, seen, c, r->dp),
                   w->scores->nr, r->lse + q0 + c, r->delta + q0 + c, r->p + c, r->ds + c, pitch,
                   r->ds_panels + c * seen);
    size_t more = (size_t)(larger(round_up(seen, w->for_v->mr), round_up(seen, w->for_k->mr)) - seen);
    memset(r->p + seen * pitch, 0, more * (size_t)pitch * 4);
    memset(r->ds + seen * pitch, 0, more * (size_t)pitch * 4);
    multiply(w->for_v, 0, seen, round_up(g->v, PANEL), queries, r->p, pitch, r->g + q0 * PANEL, g->l * PANEL, 1, keys,
             r->dv);
    multiply(w->for_k, 0, seen, round_up(g->e, PANEL), queries, r->ds, pitch, r->q + q0 * PANEL, g->l * PANEL, 1, keys,
             r->dk);
    multiply(w->for_q, 0, g->e, columns, seen, r->of_k, w->key_pitch, r->ds_panels, seen * PANEL, 1, g->e,
             r->dq + q0 / GROUP * r->dq_room);
}

/* A block of `rows` rows to its place, or, if it is turned, of `rows` columns; times `scale`. */
static void store(const nn_micro *by, int64_t rows, int64_t columns, int turned, float *block, double scale, float *to,
                  int64_t to_row)
{
    const float factor = (float)scale;
    for (int64_t c = 0, nr = by->nr; c < (turned ? rows : columns); c += nr) {
        float *from = column(by, turned ? columns : rows, c, block);
        if (turned)
            copy_strided(smaller(nr, rows - c), columns, from, 1, nr, to + c * to_row, to_row);
        else
            copy_strided(rows, smaller(nr, columns - c), from, nr, 1, to + c, to_row);
    }
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            to[i * to_row + j] *= factor;
}

/* The heads i0 .. i1. */
static void block(const void *work_, char *scratch, int64_t i0, int64_t i1)
{
    const work *w = work_;
    const nn_attention_geometry *g = w->g;
    int64_t bytes;
    const rooms r = rooms_of(w, scratch, &bytes);
    for (int64_t i = i0; i < i1; i++) {
        const int64_t batch = i / g->heads, head = i % g->heads, *at = w->at;
        const float *k = w->k + batch * g->k_batch + head * g->k_head;
        const float *v = w->v + batch * g->v_batch + head * g->v_head;
        const char *mask = mask_of(g, w->mask, batch, head);
        prepare_queries(w, &r, i, w->q + batch * g->q_batch + head * g->q_head, w->grad + batch * at[0] + head * at[1],
                        w->y + batch * g->out_batch + head * g->out_head);
        for (int64_t k0 = 0; k0 < g->s; k0 += KEYS) {
            const int64_t keys = smaller(KEYS, g->s - k0);
            copy_padded(w->scores, w->scores, keys, g->e, k + k0 * g->k_row, g->k_row, 1, r.k, w->k_pitch);
            copy_padded(w->scores, w->scores, keys, g->v, v + k0 * g->v_row, g->v_row, 1, r.v, w->v_pitch);
            copy_padded(w->for_q, w->for_q, g->e, keys, k + k0 * g->k_row, 1, g->k_row, r.of_k, w->key_pitch);
            memset(r.dk, 0, (size_t)room(w->for_k, keys, g->e) * 4);
            memset(r.dv, 0, (size_t)room(w->for_v, keys, g->v) * 4);
            for (int64_t q0 = 0; q0 < g->l; q0 += GROUP) {
                const int64_t queries = smaller(GROUP, g->l - q0), seen = seen_keys(g, q0, queries, k0, keys);
                if (seen)
                    exchange(w, &r, mask, q0, queries, k0, keys, seen);
            }
            store(w->for_k, keys, g->e, 0, r.dk, g->scale, w->dk + batch * at[6] + head * at[7] + k0 * at[8], at[8]);
            store(w->for_v, keys, g->v, 0, r.dv, 1, w->dv + batch * at[9] + head * at[10] + k0 * at[11], at[11]);
        }
        for (int64_t q0 = 0; q0 < g->l; q0 += GROUP)
            store(w->for_q, smaller(GROUP, g->l - q0), g->e, 1, r.dq + q0 / GROUP * r.dq_room, g->scale,
                  w->dq + batch * at[3] + head * at[4] + q0 * at[5], at[5]);
    }
}

/* dq, dk, dv of y = attention(q, k, v) for its gradient `grad`. distances: of grad, dq, dk, dv, those of a batch, a
 * head and a row of each, int64[12]. lse: what nn_attention gave. */
API int nn_attention_grad(int variant, const nn_attention_geometry *g, const void *distances, const void *grad,
                          const void *q, const void *k, const void *v, const void *y, const void *lse,
                          const void *mask, void *dq, void *dk, void *dv)
{
    const int64_t keys = smaller(KEYS, g->s), columns = smaller(GROUP, round_up(g->l, PANEL));
    const nn_micro *scores = nn_select(NN_attention_grad, variant, keys, columns, 0, 0);
    const work w = { g, grad, q, k, v, y, lse, mask, dq, dk, dv, distances, scores,
                     nn_select(NN_attention_grad, variant, g->e, columns, 0, 0),
                     nn_select(NN_attention_grad, variant, keys, g->e, 0, 0),
                     nn_select(NN_attention_grad, variant, keys, g->v, 0, 0), BESIDE(softmax_grad_f32, scores),
                     copied_row_bytes(4 * g->e) / 4, copied_row_bytes(4 * g->v) / 4, copied_row_bytes(4 * KEYS) / 4,
                     copied_row_bytes(4 * GROUP) / 4 };
    double cycles = 2 * nn_cycles(scores, g->s, g->l, g->e) + 3 * nn_cycles(scores, g->s, g->l, g->v);
    nn_cut cut = nn_cut_rows(g->n * g->heads, 1, 1, cycles * (double)(g->n * g->heads));
    int64_t bytes;
    rooms_of(&w, 0, &bytes);
    return nn_run_blocks(&cut, bytes, block, &w);
}

/* The exponential in it: y = 2^x of rows of 16 numbers x <= 0, from a line's start (exp2.h). */
API int nn_exp2(int variant, int64_t rows, const void *x, void *y)
{
    _Alignas(LINE) static const float zeros[PANEL];
    const nn_micro *row = nn_select(NN_attention_grad, variant, 1, PANEL, 0, 0);
    SCRATCH(float, unread, 2 * rows * LINE);
    BESIDE(softmax_grad_f32, row)(rows, x, PANEL, x, PANEL, zeros, zeros, y, unread, PANEL, unread + rows * PANEL);
    return 0;
}

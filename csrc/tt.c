/* tt_matmul: x times a matrix in the tensor-train format (Oseledets 2011; Novikov et al. 2015, eq. 5), one core after
 * the other, the matrix itself never built.
 *
 * 16 rows of x at a time, transposed: column c of a panel is row c of x. Contracting the last mode i_d first, then
 * i_{d-1}, ..., the numbers between two cores lie as
 *
 *     state [o_{k+1} ... o_d] [i_1 ... i_{k-1}] [i_k, r_k] [16]
 *                 panels, one after the other    one panel
 *
 * and that is the layout of b in gemm: what a core multiplies is packed already, and a step is one product with the
 * core as a matrix (o_k r_{k-1}, i_k r_k). Row (o_k, r_{k-1}) of its result goes to
 *
 *     next  [o_k] [o_{k+1} ... o_d] [i_1 ... i_{k-1}, r_{k-1}] [16]
 *
 * a line at a time: no transposition between two cores. After the last core the state is y, transposed. The other
 * order, i_1 first, is the same on mirrored modes: then x is read and y written with its digits reversed. */
#include "pool.h"
#include "rows.h"

/* A matrix in the tensor-train format: its cores in the order in which they are contracted. `sizes`, int64[4] a
 * core: the mode of x that it takes in, the rank behind that mode, the mode that it puts out, the rank behind that.
 * `cores`: one after the other, each as a matrix (out · rank_out, in · rank_in). */
API typedef struct {
    int64_t n, k;              /* products of the modes out and in */
    int64_t widest;            /* the most numbers that a row of x becomes between two cores; 0 if a size is 0 */
    int64_t count;             /* of the cores */
    int mirrored;              /* the first core belongs to the first (slowest) mode, not to the last */
    const void *cores, *sizes;
} nn_tt;

typedef struct {
    int64_t in, rank_in, out, rank_out;
} core_size;

/* A core under way. */
typedef struct {
    const nn_micro *by;
    const float *core;     /* (out · rank_out, in · rank_in), and rows of zeros that fill its last tile */
    int64_t panels;        /* of the state that it is multiplied by */
} step;

/* next = core · state. */
static void contract(const core_size *c, const step *s, const float *state, float *next)
{
    int64_t rows = c->out * c->rank_out, k = c->in * c->rank_in, panels = s->panels;
    const float *core = s->core;
    rows_micro *multiply = (rows_micro *)s->by->run;
    int mr = s->by->mr, nr = s->by->nr, wide = nr / PANEL;

    for (int64_t p0 = 0; p0 < panels; p0 += wide) {
        _Alignas(LINE) float tile[MAX_TILE];
        const void *b[MAX_NR / PANEL];
        int64_t here = smaller(wide, panels - p0);
        panels_of_tile(state, k * PANEL * 4, p0, panels - 1, nr, b);
        for (int64_t i = 0; i < rows; i += mr) {
            multiply(k, core + i * k, k * 4, b, 0, tile);
            for (int64_t row = i; row < smaller(i + mr, rows); row++) {
                int64_t o = row / c->rank_out, rank = row % c->rank_out;
                float *to = next + ((o * panels + p0) * c->rank_out + rank) * PANEL;
                const float *from = tile + (row - i) * nr;
                for (int64_t p = 0; p < here; p++, to += c->rank_out * PANEL, from += PANEL)
                    memcpy(to, from, PANEL * sizeof *to);
            }
        }
    }
}

/* place[j]: where number j of `all` in a row lies in a state; itself, or with the digits of j (the modes) reversed. */
static void places(const core_size *c, int64_t count, int out, int mirrored, int64_t all, int64_t *place)
{
    int64_t length = 1;
    place[0] = 0;
    for (int64_t digit = 0; digit < count; digit++) { /* from the fastest digit of j to the slowest */
        int64_t at = mirrored ? count - 1 - digit : digit, size = out ? c[at].out : c[at].in;
        all /= size; /* the digits that are left: where they are reversed, one step of this one */
        for (int64_t i = 1; i < size; i++)
            for (int64_t j = 0; j < length; j++)
                place[i * length + j] = place[j] + i * (mirrored ? all : length);
        length *= size;
    }
}

/* One product under way. */
typedef struct {
    const nn_tt *w;
    const float *x;
    const step *steps;         /* one for each core */
    float *out;
    int64_t ldx, ldo;
    const int64_t *from, *to;  /* the places of the numbers of a row, in the first and in the last state */
} product;

/* The rows i0 .. i1 of the result, at most 16. */
static void block(const void *product_, char *scratch, int64_t i0, int64_t i1)
{
    const product *t = product_;
    const core_size *c = t->w->sizes;
    float *state = (float *)scratch, *next = state + t->w->widest * PANEL;
    int64_t n = t->w->n, k = t->w->k, rows = i1 - i0;
    for (int64_t j = 0; j < k; j++) {
        float *line = state + t->from[j] * PANEL;
        for (int64_t i = 0; i < rows; i++)
            line[i] = t->x[(i0 + i) * t->ldx + j];
        for (int64_t i = rows; i < PANEL; i++)
            line[i] = 0;
    }
    for (int64_t i = 0; i < t->w->count; i++) {
        contract(&c[i], &t->steps[i], state, next);
        float *read = state;
        state = next;
        next = read;
    }
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < rows; i++)
            t->out[(i0 + i) * t->ldo + j] = state[t->to[j] * PANEL + i];
}

/* out = x . W, float32. */
API int nn_tt_matmul(int variant, int64_t m, const nn_tt *w, const void *x, int64_t ldx, void *out, int64_t ldo)
{
    int64_t n = w->n, k = w->k, panels = k;
    if (ldx == k && ldo == n && overlap(x, m * k * 4, out, m * n * 4))
        return NN_OVERLAP;
    if (!n)
        return 0;
    for (int64_t i = 0; !w->widest && i < m; i++) /* sums of nothing */
        memset((float *)out + i * ldo, 0, (size_t)n * 4);
    if (!w->widest)
        return 0;
    const core_size *c = w->sizes;
    double cycles = 0; /* of 16 rows of x */
    int64_t numbers = 0;
    for (int64_t s = 0; s < w->count; s++)
        numbers += (c[s].out * c[s].rank_out + MAX_TILE / PANEL) * c[s].in * c[s].rank_in;
    SCRATCH(step, steps, w->count * (int64_t)sizeof(step) + (n + k) * 8 + numbers * 4);
    int64_t *from = (int64_t *)(steps + w->count), *to = from + k;
    places(c, w->count, 0, w->mirrored, k, from);
    places(c, w->count, 1, w->mirrored, n, to);
    const float *packed = w->cores;
    float *core = (float *)(to + n);
    for (int64_t s = 0; s < w->count; s++) {
        int64_t rows = c[s].out * c[s].rank_out, inner = c[s].in * c[s].rank_in;
        panels /= c[s].in;
        const nn_micro *by = nn_select(NN_tt_matmul, variant, rows, panels * PANEL, 0, 0);
        int64_t padded = round_up(rows, by->mr);
        steps[s] = (step){ by, memcpy(core, packed, (size_t)(rows * inner) * 4), panels };
        memset(core + rows * inner, 0, (size_t)((padded - rows) * inner) * 4);
        cycles += nn_cycles(by, rows, panels * PANEL, inner);
        packed += rows * inner;
        core += padded * inner;
        panels *= c[s].out;
    }

    product t = { w, x, steps, out, ldx, ldo, from, to };
    nn_cut cut = nn_cut_rows(m, PANEL, PANEL, cycles * (double)((m + PANEL - 1) / PANEL));
    return nn_run_blocks(&cut, 2 * w->widest * PANEL * 4, block, &t);
}

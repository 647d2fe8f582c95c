/* gemm: the loops around the micro-kernels (Goto & van de Geijn 2008; BLIS, Van Zee & van de Geijn 2015).
 *
 *     for mc rows:  on one thread or several            (pool.c)
 *         for kc of K:  copy the rows' kc elements      a slice of a in the L2 cache (padded: see qgemm.c)
 *             for nr columns:                           a slice of their panels, in L1 / L2
 *                 for mr rows:  micro-kernel -> tile -> out
 *
 * The first slice of K is stored, the others are added. Each element is a sum over a slice in order of k, the slices
 * added in order: so a result depends neither on its tile's shape nor on how the rows are shared
 * among threads, and all variants with FMA give the same bits.
 *
 * Measured, 1024 x 1024 x 1024, one thread of a Zen 4 EPYC at 3.7 GHz, b packed, of the peak of FMA (peak.c):
 * AVX-512 96 %, AVX2 94 %. `bonsai bench gemm` measures it. What a tile costs beside its products (its sums stored,
 * then added to the result, which has left the caches) is why the slices are long: with 256 of K it is 92 %. */
#include "pool.h"
#include "product.h"

#include <string.h>

/* A block of a and a group of panels (64 KB each) in L2. What is decoded is decoded for every block anew, so there it
 * has more rows, and a may come from L3: 48 bytes of it in 12 cycles. */
enum { MC_BYTES = 192 * 1024, MC_BYTES_DECODED = 768 * 1024 };

static inline __attribute__((always_inline)) void
store_body(int rows, int cols, int nr, const float *tile, int add, float *out, int64_t ldo)
{
    for (int i = 0; i < rows; i++, tile += nr, out += ldo)
        for (int j = 0; j < cols; j++)
            out[j] = add ? out[j] + tile[j] : tile[j];
}

typedef void store(int rows, int cols, int nr, const float *tile, int add, float *out, int64_t ldo);
#define STORE(name, TARGET_)                                                                                       \
    TARGET_ static void name(int rows, int cols, int nr, const float *tile, int add, float *out, int64_t ldo)     \
    {                                                                                                              \
        if (add)                                                                                                   \
            store_body(rows, cols, nr, tile, 1, out, ldo);                                                         \
        else                                                                                                       \
            store_body(rows, cols, nr, tile, 0, out, ldo);                                                         \
    }
STORE(store_plain, )
#if NN_X86
STORE(store_avx2, TARGET(AVX2))
STORE(store_avx512, TARGET(AVX512))
#endif

static store *store_for(int needs)
{
#if NN_X86
    if (needs & (ISA_AVX2 | ISA_AVX512))
        return needs & ISA_AVX512 ? store_avx512 : store_avx2;
#endif
    (void)needs;
    return store_plain;
}

/* One product under way. */
typedef struct {
    gemm_micro *micro;
    store *store;
    int mr, nr;
    int64_t row_bytes, copy_bytes; /* from one row of the copy of a to the next; of all of it */
    nn_operands o;
} product;

/* The rows i0 .. i1 of a slice of a, as the micro-kernel reads them, then zeros up to a multiple of mr. */
static void copy_rows(const product *t, int64_t i0, int64_t i1, int64_t k0, int64_t kc, char *to)
{
    for (int64_t i = i0; i < i1; i++, to += t->row_bytes)
        memcpy(to, t->o.a + i * t->o.lda + k0, (size_t)kc * 4);
    memset(to, 0, (size_t)((round_up(i1 - i0, t->mr) - (i1 - i0)) * t->row_bytes));
}

/* The kc elements from k0 on of the panels from p0 on, for one tile; decoded, if they are to be, to `decoded`. */
static void find_panels(const product *t, int64_t p0, int64_t k0, int64_t kc, float *decoded, const void **panels)
{
    const nn_operands *o = &t->o;
    int64_t last = (o->n - 1) / PANEL;
    for (int p = 0; p < t->nr / PANEL; p++, decoded += KC * PANEL) {
        if (p0 + p > last) { /* beyond the last panel: the last again, result not used */
            panels[p] = panels[p - 1];
            continue;
        }
        const uint8_t *slice = o->b + (p0 + p) * o->panel_bytes + k0 * PANEL * o->bits / 8;
        panels[p] = o->decode ? (const void *)decoded : slice;
        if (o->decode)
            o->decode(kc, slice, o->codebook, decoded);
    }
    panels[t->nr / PANEL] = o->codebook;
}

/* The rows i0 .. i1 of the result. */
static void block(const void *product_, char *copy, int64_t i0, int64_t i1)
{
    const product *t = product_;
    const int mr = t->mr, nr = t->nr;
    const int64_t n = t->o.n, k = t->o.k, ldo = t->o.ldo;
    for (int64_t k0 = 0; k0 < k || k0 == 0; k0 += KC) {
        int64_t kc = smaller(KC, k - k0);
        copy_rows(t, i0, i1, k0, kc, copy);
        for (int64_t n0 = 0; n0 < n; n0 += nr) {
            _Alignas(LINE) float tile[MAX_TILE];
            const void *panels[MAX_NR / PANEL + 1];
            find_panels(t, n0 / PANEL, k0, kc, (float *)(copy + t->copy_bytes), panels);
            int64_t cols = smaller(nr, n - n0);
            for (int64_t i = i0; i < i1; i += mr) {
                float *to = t->o.out + i * ldo + n0;
                int64_t high = smaller(mr, i1 - i);
                prefetch_rows(high, cols * 4, to, ldo * 4);
                t->micro(kc, copy + (i - i0) * t->row_bytes, t->row_bytes, panels, 0, tile);
                t->store((int)high, (int)cols, nr, tile, k0 > 0, to, ldo);
            }
        }
    }
}

int nn_product(int variant, int64_t m0, int64_t m1, const nn_operands *o)
{
    const nn_variant_row *v = nn_variant(variant);
    product t = { (gemm_micro *)nn_micro(variant), store_for(v->needs), v->mr, v->nr,
                  copied_row_bytes(4 * smaller(o->k, KC)), 0, *o };
    int64_t most = (o->decode ? MC_BYTES_DECODED : MC_BYTES) / t.row_bytes;
    nn_cut cut = nn_cut_rows(m0, m1, v->mr, most, nn_cycles(variant, m1 - m0, o->n, o->k));
    t.copy_bytes = cut.rows * t.row_bytes;
    return nn_run_blocks(&cut, t.copy_bytes + (o->decode ? v->nr * KC * 4 : 0), block, &t);
}

int nn_gemm(int variant, int64_t m, int64_t m0, int64_t m1, int64_t n, int64_t k, const void *a, int64_t lda,
            const void *b, void *out, int64_t ldo)
{
    if (lda == k && ldo == n && overlap(a, m * k * 4, out, m * n * 4))
        return NN_OVERLAP;
    if (variant < 0)
        variant = nn_select(NN_gemm, m, n, 0);
    nn_operands o = { .n = n, .k = k, .lda = lda, .ldo = ldo, .panel_bytes = k * PANEL * 4, .a = a, .b = b, .out = out,
                      .bits = 32 };
    return nn_product(variant, m0, m1, &o);
}

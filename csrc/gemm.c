/* gemm: the loops around the micro-kernels (Goto & van de Geijn 2008; BLIS, Van Zee & van de Geijn 2015).
 *
 *     for kc of K:                                      slices of a and b that stay in the caches
 *         for mc rows:  copy their kc elements          a in the L2 cache (padded: see qgemm.c)
 *             for nr columns:                           a slice of their panels, in L1 / L2
 *                 for mr rows:  micro-kernel -> tile -> out
 *
 * The first slice of K is stored, the others are added. Each element is a sum over a slice in order of k, the slices
 * added in order: so a result depends neither on its tile's shape nor on how the rows are shared
 * among threads, and all variants with FMA give the same bits.
 *
 * Measured, 1024 x 1024 x 1024, one thread of a Zen 4 EPYC at 3.7 GHz, b packed, of the peak of FMA (peak.c):
 * AVX-512 92 %, AVX2 91 %. `bonsai bench gemm` measures it. */
#include "product.h"

#include <string.h>

enum { MC_BYTES = 192 * 1024 }; /* a block of a in L2 */

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

/* The rows of a tile of the result are a stride apart, where no hardware prefetcher looks: ask for them early. */
static void prefetch(int64_t rows, int64_t cols, const float *out, int64_t ldo)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j += LINE / 4)
            __builtin_prefetch(out + i * ldo + j, 1);
}

int nn_product(const nn_variant_row *v, gemm_micro *micro, int64_t m0, int64_t m1, int64_t n, int64_t k,
               const void *a, int64_t lda, const panel_source *b, void *out, int64_t ldo)
{
    store *store_tile = store_for(v->needs);
    int mr = v->mr, nr = v->nr;

    int64_t row_bytes = copied_row_bytes(4 * smaller(k, KC));
    int64_t mc = round_up(smaller(m1 - m0, 1 + MC_BYTES / row_bytes), mr);
    void *memory;
    char *copy = scratch(mc * row_bytes, &memory);
    if (!copy)
        return NN_NO_MEMORY;

    for (int64_t k0 = 0; k0 < k || k0 == 0; k0 += KC) {
        int64_t kc = smaller(KC, k - k0);
        for (int64_t i0 = m0; i0 < m1; i0 += mc) {
            int64_t rows = smaller(mc, m1 - i0), padded = round_up(rows, mr);
            for (int64_t i = 0; i < rows; i++)
                memcpy(copy + i * row_bytes, (const float *)a + (i0 + i) * lda + k0, (size_t)kc * 4);
            memset(copy + rows * row_bytes, 0, (size_t)((padded - rows) * row_bytes));
            for (int64_t n0 = 0; n0 < n; n0 += nr) {
                _Alignas(LINE) float tile[MAX_TILE];
                const void *panels[MAX_NR / PANEL + 1];
                for (int p = 0; p < nr / PANEL; p++) /* beyond the last panel: the last again, result not used */
                    panels[p] = n0 + p * PANEL < n ? b->find(b->from, n0 / PANEL + p, k0, kc, p) : panels[p - 1];
                panels[nr / PANEL] = b->table;
                int64_t cols = smaller(nr, n - n0);
                for (int64_t i = 0; i < rows; i += mr) {
                    float *to = (float *)out + (i0 + i) * ldo + n0;
                    int64_t high = smaller(mr, rows - i);
                    prefetch(high, cols, to, ldo);
                    micro(kc, copy + i * row_bytes, row_bytes, panels, 0, tile);
                    store_tile((int)high, (int)cols, nr, tile, k0 > 0, to, ldo);
                }
            }
        }
    }
    free(memory);
    return 0;
}

typedef struct {
    const float *panels;
    int64_t k;
} packed_b;

static const void *where_it_lies(const void *from, int64_t p, int64_t k0, int64_t kc, int slot)
{
    const packed_b *b = from;
    (void)kc, (void)slot;
    return b->panels + (p * b->k + k0) * PANEL;
}

int nn_gemm(int variant, int64_t m, int64_t m0, int64_t m1, int64_t n, int64_t k, const void *a, int64_t lda,
            const void *b, void *out, int64_t ldo)
{
    if (lda == k && ldo == n && overlap(a, m * k * 4, out, m * n * 4))
        return NN_OVERLAP;
    if (variant < 0)
        variant = nn_select(NN_gemm, m, n, 0);
    packed_b packed = { b, k };
    panel_source source = { where_it_lies, &packed, 0 };
    return nn_product(nn_variant(variant), (gemm_micro *)nn_micro(variant), m0, m1, n, k, a, lda, &source, out, ldo);
}

/* codebook_gemm with activations of int8: each row of x becomes integers with one scale, as a block of nbit_gemm does, and
 * so does the codebook, which is one row more. A sum of products of these is exact in 32 bits, as k is at most LONGEST_K.
 *
 *     for a block of rows:  quantize them                    int8 in L1 or L2
 *         for nr columns:
 *             for mr rows:  micro-kernel -> tile -> float32(sum) · (scale of the row · scale of the codebook)
 *
 * 128 weights of 4 bits and one row take a load, a shift, two masks, two vpshufb and two vpdpbusd: four cycles on a
 * Zen 4, so 8 MB of codes, which its L3 cache gives in 0.09 ms, take 0.13 ms. */
#include "codes_int8.h"
#include "nbit.h"
#include "pool.h"
#include "product.h"

enum { BLOCK_BYTES = 384 * 1024 }; /* of the copy of rows, of an L2 cache of 1 MB */

/* One product under way. */
typedef struct {
    const nn_micro *by;
    nbit_rows_micro *quantize;
    nn_nbit_b of_row; /* what `quantize` reads: a block that is the row */
    const float *x;
    const uint8_t *codes, *centroids;
    float *out, scale; /* of the codebook */
    int64_t n, ldx, ldo, row_bytes, lines;
    int *bad;
} product;

static nn_nbit_b one_block(int64_t k)
{
    return (nn_nbit_b){ .k = k, .block = k, .blocks = 1, .units = (k + UNIT - 1) / UNIT, .bits = 8 };
}

/* The rows i0 .. i1 of the result. */
static void block(const void *shared, char *rows, int64_t i0, int64_t i1)
{
    const product *t = shared;
    const int mr = t->by->mr, nr = t->by->nr;
    const int64_t count = i1 - i0, last = (t->n - 1) / PANEL;
    int bad = 0;
    if (!t->of_row.k) /* a row without a block, which nothing is said of */
        memset(rows, 0, (size_t)(count * t->row_bytes));
    t->quantize(&t->of_row, count, t->x + i0 * t->ldx, t->ldx, rows, t->row_bytes, &bad);
    if (bad)
        __atomic_store_n(t->bad, 1, __ATOMIC_RELAXED);
    memset(rows + count * t->row_bytes, 0, (size_t)((round_up(count, mr) - count) * t->row_bytes));
    for (int64_t n0 = 0; n0 < t->n; n0 += nr) {
        _Alignas(LINE) int32_t tile[MAX_TILE];
        const void *panels[MAX_NR / PANEL + 1];
        panels_of_tile(t->codes, t->lines * LINE, n0 / PANEL, last, nr, panels);
        panels[nr / PANEL] = t->centroids;
        for (int64_t i = 0; i < count; i += mr) {
            ((rows_micro *)t->by->run)(t->lines, rows + i * t->row_bytes, t->row_bytes, panels, 0, tile);
            for (int64_t r = 0; r < smaller(mr, count - i); r++) {
                float scale, *to = t->out + (i0 + i + r) * t->ldo + n0;
                memcpy(&scale, rows + (i + r) * t->row_bytes, sizeof scale);
                const float of = scale * t->scale;
                for (int64_t j = 0; j < smaller(nr, t->n - n0); j++)
                    to[j] = (float)tile[r * nr + j] * of;
            }
        }
    }
}

int nn_codebook_int8(const nn_micro *by, int64_t m, int64_t n, int64_t k, const float *x, int64_t ldx,
                     const uint8_t *codes, int64_t lines, const float *codebook, int size, float *out, int64_t ldo)
{
    int bad = 0;
    const nn_nbit_b of_codebook = one_block(size);
    _Alignas(LINE) char table[ROW_HEAD + CENTROIDS] = { 0 };
    _Alignas(LINE) uint8_t centroids[2 * CENTROIDS];
    product t = { .by = by, .quantize = BESIDE(nbit_rows, by), .of_row = one_block(k), .x = x, .codes = codes,
                  .centroids = centroids, .out = out, .n = n, .ldx = ldx, .ldo = ldo, .lines = lines, .bad = &bad };
    t.quantize(&of_codebook, 1, codebook, size, table, sizeof table, &bad);
    memcpy(&t.scale, table, sizeof t.scale);
    for (int i = 0; i < CENTROIDS; i++) {
        centroids[i] = (uint8_t)(table[ROW_HEAD + i] + 128);
        centroids[CENTROIDS + i] = (uint8_t)table[ROW_HEAD + i];
    }
    if (!n || bad)
        return bad ? NN_NOT_FINITE : 0;
    t.row_bytes = nbit_row_bytes(&t.of_row);
    nn_cut cut = nn_cut_rows(m, by->mr, 1 + BLOCK_BYTES / t.row_bytes, nn_cycles(by, m, n, lines));
    int status = nn_run_blocks(&cut, round_up(cut.rows, by->mr) * t.row_bytes, block, &t);
    return status ? status : bad ? NN_NOT_FINITE : 0;
}

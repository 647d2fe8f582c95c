/* nbit_gemm: rows of float32 times weights of 2, 3 or 4 bits with a scale for each block of K (ONNX MatMulNBits).
 *
 * With int8 activations each block of a row of a becomes integers once (nbit_rows), and both micro-kernels take the
 * codes of a panel apart in registers, between two multiplications, for all the rows of a tile:
 *
 *     for a block of rows:  quantize them                  int8 in L1 or L2
 *         for 16 columns:                                  a panel, k · bits / 8 · 16 bytes, read once from memory
 *             for mr rows:  micro-kernel -> tile -> out
 *
 * What limits it. One row reads each byte of the weights once: 4 bits with a scale for 32 are 0.625 bytes a weight, so a
 * core that gets 30 GB/s from the L3 cache multiplies 48 weights a nanosecond at best, whatever its instructions. With
 * many rows the multiplies are the bound: of a block of 32, 16 columns and a row eight vpdpbusd, beside which come a
 * conversion, two multiplications and an addition of floats, and one and a half instructions that take codes apart,
 * shared by the rows of a tile.
 *
 * With float32 activations a slice of the panels of a tile is decoded into floats, in L1, and the micro-kernel of gemm
 * multiplies all rows by it; the sums go on in the order of gemm, from slice to slice. For one row, or few, they are
 * decoded in registers. */
#include "nbit.h"
#include "pool.h"

enum { BLOCK_BYTES = 384 * 1024 }; /* of the copy of rows, of an L2 cache of 1 MB */
enum { DECODED_BYTES = 32 * 1024 };

typedef void store_f32_micro(int64_t rows, int64_t cols, const float *from, int64_t ld, float *to, int64_t ldt); /* gemm.c */

/* One product under way. */
typedef struct {
    const nn_micro *by;
    const nn_nbit_b *b;
    nbit_rows_micro *quantize; /* of int8 */
    decode_nbit_micro *decode; /* of floats */
    store_f32_micro *store;
    const float *a;
    float *out;
    int64_t lda, ldo, row_bytes, copy_bytes; /* from a row of the copy to the next; of all of it */
    int *bad;
} product;

/* The rows i0 .. i1 of the result, of rows as int8. */
static void block_of_int8(const void *shared, char *rows, int64_t i0, int64_t i1)
{
    const product *t = shared;
    const int mr = t->by->mr;
    const int64_t all = round_up(i1 - i0, mr);
    blocks_u8s8_micro *multiply = (blocks_u8s8_micro *)t->by->run;
    _Alignas(LINE) float tile[2 * MAX_TILE];
    int bad = 0;
    t->quantize(t->b, i1 - i0, t->a + i0 * t->lda, t->lda, rows, t->row_bytes, &bad);
    if (bad)
        __atomic_store_n(t->bad, 1, __ATOMIC_RELAXED);
    memset(rows + (i1 - i0) * t->row_bytes, 0, (size_t)((all - (i1 - i0)) * t->row_bytes));
    for (int64_t n0 = 0; n0 < t->b->n; n0 += PANEL)
        for (int64_t i = 0; i < i1 - i0; i += mr) {
            multiply(t->b, n0 / PANEL, rows + i * t->row_bytes, t->row_bytes, tile);
            t->store(smaller(mr, i1 - i0 - i), smaller(PANEL, t->b->n - n0), tile, PANEL,
                     t->out + (i0 + i) * t->ldo + n0, t->ldo);
        }
}

/* The same of rows as they are. */
static void block_of_floats(const void *shared, char *rows, int64_t i0, int64_t i1)
{
    const product *t = shared;
    const int mr = t->by->mr, nr = t->by->nr;
    const int64_t count = i1 - i0, all = round_up(count, mr), k = t->b->k, last = (t->b->n - 1) / PANEL;
    const int64_t slice = DECODED_BYTES / 4 / nr / UNIT * UNIT;
    float *decoded = (float *)(rows + t->copy_bytes), *tiles = decoded + slice * nr;
    for (int64_t i = 0; i < count; i++)
        memcpy(rows + i * t->row_bytes, t->a + (i0 + i) * t->lda, (size_t)k * 4);
    memset(rows + count * t->row_bytes, 0, (size_t)((all - count) * t->row_bytes));
    for (int64_t n0 = 0; n0 < t->b->n; n0 += nr) {
        const int64_t first = n0 / PANEL;
        const void *panels[MAX_NR / PANEL];
        panels_of_tile(decoded, slice * PANEL * 4, 0, last - first, nr, panels);
        for (int64_t k0 = 0; k0 < k || k0 == 0; k0 += slice) {
            const int64_t length = smaller(slice, k - k0);
            for (int64_t p = 0; p < nr / PANEL && first + p <= last; p++)
                t->decode(t->b, first + p, k0, length, decoded + p * slice * PANEL);
            for (int64_t i = 0; i < all; i += mr)
                ((rows_micro *)t->by->run)(length, rows + i * t->row_bytes + 4 * k0, t->row_bytes, panels, k0 > 0,
                                           tiles + i * nr);
        }
        t->store(count, smaller(nr, t->b->n - n0), tiles, nr, t->out + i0 * t->ldo + n0, t->ldo);
    }
}

/* The same without a copy, and without one of decoded panels. */
static void block_of_few(const void *shared, char *unused, int64_t i0, int64_t i1)
{
    const product *t = shared;
    const int nr = t->by->nr;
    _Alignas(LINE) float tile[MAX_TILE];
    (void)unused;
    for (int64_t n0 = 0; n0 < t->b->n; n0 += nr)
        for (int64_t i = i0; i < i1; i++) {
            ((blocks_f32_micro *)t->by->run)(t->b, n0 / PANEL, (const char *)(t->a + i * t->lda), 0, tile);
            t->store(1, smaller(nr, t->b->n - n0), tile, nr, t->out + i * t->ldo + n0, t->ldo);
        }
}

/* The cheaper of two ways; a slice is decoded once for all rows. */
static const nn_micro *for_floats(int variant, int64_t m, int64_t n)
{
    const nn_micro *few = nn_select(NN_nbit_gemm, variant, m, n, ~OF(blocks_f32), 0);
    const nn_micro *many = nn_select(NN_nbit_gemm, variant, m, n, ~OF(rows_f32), 0);
    const nn_micro *decoder = nn_beside(FAMILY_decode_nbit, many);
    if (variant >= 0)
        return few == nn_row(variant) ? few : many;
    return nn_cycles(few, m, n, 1) < nn_cycles(many, m, n, 1) + nn_cycles(decoder, 1, n, 1) ? few : many;
}

static int of_floats(int variant, int64_t m, const nn_nbit_b *b, const void *a, int64_t lda, void *out, int64_t ldo)
{
    const nn_micro *by = for_floats(variant, m, b->n);
    product t = { .by = by, .b = b, .decode = BESIDE(decode_nbit, by), .store = BESIDE(store_f32, by), .a = a,
                  .out = out, .lda = lda, .ldo = ldo, .row_bytes = copied_row_bytes(4 * b->k) };
    nn_cut cut = nn_cut_rows(m, by->mr, 1 + BLOCK_BYTES / t.row_bytes, nn_cycles(by, m, b->n, b->k));
    if (by->family == FAMILY_blocks_f32)
        return nn_run_blocks(&cut, 0, block_of_few, &t);
    const int64_t rows = round_up(cut.rows, by->mr);
    t.copy_bytes = rows * t.row_bytes;
    return nn_run_blocks(&cut, t.copy_bytes + DECODED_BYTES + rows * by->nr * 4, block_of_floats, &t);
}

static int of_int8(int variant, int64_t m, const nn_nbit_b *b, const void *a, int64_t lda, void *out, int64_t ldo)
{
    int bad = 0;
    const nn_micro *by = nn_select(NN_nbit_gemm, variant, m, b->n, OF(rows_f32) | OF(blocks_f32), 0);
    product t = { .by = by, .b = b, .quantize = BESIDE(nbit_rows, by), .store = BESIDE(store_f32, by), .a = a,
                  .out = out, .lda = lda, .ldo = ldo, .row_bytes = nbit_row_bytes(b), .bad = &bad };
    nn_cut cut = nn_cut_rows(m, by->mr, 1 + BLOCK_BYTES / t.row_bytes, nn_cycles(by, m, b->n, b->units));
    int status = nn_run_blocks(&cut, round_up(cut.rows, by->mr) * t.row_bytes, block_of_int8, &t);
    return status ? status : bad ? NN_NOT_FINITE : 0;
}

/* out = a . W, float32: a m x k, its rows lda elements apart; with int8 its blocks of a row are rounded to integers. */
API int nn_nbit_gemm(int variant, int64_t m, const nn_nbit_b *b, int int8, const void *a, int64_t lda, void *out,
                     int64_t ldo)
{
    if (lda == b->k && ldo == b->n && overlap(a, m * lda * 4, out, m * ldo * 4))
        return NN_OVERLAP;
    if (!b->n)
        return 0;
    return (int8 ? of_int8 : of_floats)(variant, m, b, a, lda, out, ldo);
}

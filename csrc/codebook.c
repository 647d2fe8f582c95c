/* codebook_gemm: x times the transpose of a W given by codes, W[n][k] = codebook[code[n][k]] (Han et al. 2016).
 *
 * The codes lie in panels of 16 columns of the result, like b of gemm. A line of 64 bytes has four bytes for each column:
 * eight k of 4 bits, or four of 8 bits,
 *
 *     4 bits   | k 0,4 | k 1,5 | k 2,6 | k 3,7 |   the code of the first k in the low half of a byte
 *     8 bits   |  k 0  |  k 1  |  k 2  |  k 3  |
 *
 * so a vector of int32 has a code of 16 columns after one shift, and no instruction takes bytes apart.
 *
 * A dense W never exists. Either a slice of a panel, 1024 k, is decoded into scratch just before the micro-kernel
 * uses it for a block of rows of x; or, for few rows, the codes are looked up in registers between two multiplications.
 * Both add the products in the order of gemm, so both give the bits of gemm with the decoded W.
 *
 * What limits a row of 4 bits is not memory: 8 MB of codes come from an L3 cache in 0.09 ms on a Zen 4 at 3.6 GHz (one
 * core, 90 GB/s), where the floats take 2.4 ms. 16 weights take a shift, vpermps and a multiply-add, each of which
 * keeps two of four pipes of 256 bits busy for a cycle: 1.5 cycles, as a loop of nothing else measures (1.3 without the
 * shift), 0.43 ms for 4096 x 4096, 5.7 times as fast as gemm. Measured are 0.48. Codes of which three in eight are
 * loaded at their byte, not shifted, take 0.47: a load across two lines takes 1.7 cycles. On AVX2 eight weights take six
 * instructions (two vpermps, a blend and two shifts): two cycles, 1.2 ms; 1.1 are measured.
 *
 * 8 bits with VBMI: 64 weights take eight vpermi2b, four blends and eight unpacks, 16 cycles, 1.2 ms; 1.5 are measured.
 * On AVX2 each weight is a load that a shuffle puts into its lane, at two loads a cycle half a cycle, and taking bytes
 * apart as much. */
#include "codes_int8.h"
#include "product.h"

enum { NIBBLES = 16 }; /* codes into a codebook of at most so many floats take 4 bits */

/* How a product is computed: by rows of floats and what decodes these, or by rows of codes alone. */
typedef struct {
    const nn_micro *row, *decoder; /* 0 */
} way;

/* The cheaper one; each panel is decoded once for all rows, which is added to what the rows cost. */
static way cheaper(int variant, int64_t m, int64_t n, int size)
{
    const int nibbles = size <= NIBBLES, decode = nibbles ? FAMILY_decode_u4 : FAMILY_decode_u8;
    const uint64_t int8 = OF(rows_s8u4) | OF(rows_s8u8), codes = OF(rows_f32u4) | OF(rows_f32u8) | int8,
                   other = int8 | (nibbles ? OF(rows_f32u8) : OF(rows_f32u4));
    way by = { nn_select(NN_codebook_gemm, variant, m, n, variant < 0 ? OF(rows_f32) | other : other, 0), 0 };
    if (variant >= 0) {
        by.decoder = by.row->family == FAMILY_rows_f32 ? nn_beside(decode, by.row) : 0;
        return by;
    }
    const way floats = { nn_select(NN_codebook_gemm, variant, m, n, codes, 0), nn_best(decode, nn_features() & variant) };
    return nn_cycles(by.row, m, n, 1) < nn_cycles(floats.row, m, n, 1) + nn_cycles(floats.decoder, 1, n, 1) ? by : floats;
}

/* out = x . W^T, float32, W n x k as panels of codes into a codebook of `size` floats, which has room for 16, or where
 * codes take 8 bits for 256. With int8, rows of x and the codebook are rounded to integers first (codebook_int8.c). */
API int nn_codebook_gemm(int variant, int64_t m, int64_t n, int64_t k, const void *x, int64_t ldx, const void *codes,
                         const void *codebook, int size, int int8, void *out, int64_t ldo)
{
    const int nibbles = size <= NIBBLES;
    const int64_t per_line = nibbles ? PER_LINE_U4 : PER_LINE_U8;
    if (ldx == k && ldo == n && overlap(x, m * k * 4, out, m * n * 4))
        return NN_OVERLAP;
    if (int8) {
        const uint64_t without = OF(rows_f32) | OF(rows_f32u4) | OF(rows_f32u8) |
                                 (nibbles ? OF(rows_s8u8) : OF(rows_s8u4));
        return nn_codebook_int8(nn_select(NN_codebook_gemm, variant, m, n, without, 0), m, n, k, x, ldx, codes,
                                (k + per_line - 1) / per_line, codebook, size, out, ldo);
    }
    const way by = cheaper(variant, m, n, size);
    nn_operands o = { .n = n, .k = k, .lda = ldx, .a_column = 1, .ldo = ldo,
                      .panel_bytes = (k + per_line - 1) / per_line * LINE, .a = x, .b = codes, .out = out,
                      .bits = nibbles ? 4 : 8, .codebook = codebook, .size = size,
                      .decode = by.decoder ? (decode_micro *)by.decoder->run : 0 };
    return nn_product(by.row, by.row, m, &o);
}

/* Bytes a cycle of weights that a core reads from its L3 cache, and from memory where they are more than its share of
 * that (a Zen 4 EPYC at 3.6 GHz, one thread: 75 GB/s and 29 GB/s). */
enum { L2_BYTES = 1 << 20, L3_BYTES = 8 << 20, OF_L3 = 21, OF_MEMORY = 8 };

/* Whether a row takes less time by codes than by gemm with W as floats: their instructions, or what is read of them. */
API int nn_codebook_pays(int variant, int64_t n, int64_t k, int size)
{
    const way by = cheaper(variant, 1, n, size);
    const double bytes = 4.0 * (double)n * (double)k;
    const double coded = nn_cycles(by.row, 1, n, k) + (by.decoder ? nn_cycles(by.decoder, 1, n, k) : 0);
    const double floats = nn_cycles(nn_select(NN_gemm, variant, 1, n, 0, 0), 1, n, k);
    const double read = bytes <= L2_BYTES ? 0 : bytes / (bytes <= L3_BYTES ? OF_L3 : OF_MEMORY);
    return coded < (read > floats ? read : floats);
}

API void nn_codebook_pack(int64_t n, int64_t k, const void *codes, int64_t row, int64_t column, int size, void *panels)
{
    const int64_t per_line = size <= NIBBLES ? PER_LINE_U4 : PER_LINE_U8, lines = (k + per_line - 1) / per_line;
    uint8_t *to = panels;
    memset(panels, 0, (size_t)((n + PANEL - 1) / PANEL * lines * LINE));
    for (int64_t j = 0; j < n; j++) {
        const uint8_t *code = (const uint8_t *)codes + j * row;
        uint8_t *line = to + j / PANEL * lines * LINE + j % PANEL * 4;
        for (int64_t i = 0; i < k; i += per_line, line += LINE)
            for (int64_t in = 0; in < smaller(per_line, k - i); in++)
                line[in % 4] = (uint8_t)(line[in % 4] | code[(i + in) * column] << in / 4 * 4);
    }
}

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
 * What limits a row of 4 bits is not memory: 8 MB of codes come from an L3 cache in 0.09 ms on a Zen 4 at 3.5 GHz (one
 * core, 90 GB/s), where the floats take 2.4 ms. 16 weights take a shift, vpermps and a multiply-add, which have three
 * ports and two cycles each: 11.5 cycles for 128 weights, 0.42 ms for 4096 x 4096. Measured are 0.49. On AVX2 eight
 * weights take six instructions (two vpermps, a blend and two shifts): two cycles, 1.2 ms; 1.1 are measured.
 *
 * 8 bits with VBMI: 64 weights take eight vpermi2b, four blends and eight unpacks, 16 cycles, 1.2 ms. On AVX2 each weight
 * is a load that a shuffle puts into its lane, at two loads a cycle half a cycle, and taking bytes apart as much. */
#include "product.h"

enum { NIBBLES = 16 }; /* codes into a codebook of at most so many floats take 4 bits */

/* The cheaper of two ways; each panel is decoded once for all rows, which is added to what the rows cost. */
static const nn_micro *cheaper(int variant, int64_t m, int64_t n, uint64_t other, int decode)
{
    const nn_micro *row = nn_select(NN_codebook_gemm, variant, m, n, variant < 0 ? OF(rows_f32) | other : other, 0);
    if (variant >= 0)
        return row;
    const nn_micro *floats = nn_select(NN_codebook_gemm, variant, m, n, OF(rows_f32u4) | OF(rows_f32u8), 0);
    const nn_micro *decoder = nn_beside(decode, floats);
    return nn_cycles(row, m, n, 1) < nn_cycles(floats, m, n, 1) + nn_cycles(decoder, 1, n, 1) ? row : floats;
}

/* out = x . W^T, float32, W n x k as panels of codes into a codebook of `size` floats, which has room for 16, or where
 * codes take 8 bits for 256. */
API int nn_codebook_gemm(int variant, int64_t m, int64_t n, int64_t k, const void *x, int64_t ldx, const void *codes,
                         const void *codebook, int size, void *out, int64_t ldo)
{
    const int nibbles = size <= NIBBLES, decode = nibbles ? FAMILY_decode_u4 : FAMILY_decode_u8;
    if (ldx == k && ldo == n && overlap(x, m * k * 4, out, m * n * 4))
        return NN_OVERLAP;
    const nn_micro *row = cheaper(variant, m, n, nibbles ? OF(rows_f32u8) : OF(rows_f32u4), decode);
    const int64_t per_line = nibbles ? PER_LINE_U4 : PER_LINE_U8;
    nn_operands o = { .n = n, .k = k, .lda = ldx, .a_column = 1, .ldo = ldo,
                      .panel_bytes = (k + per_line - 1) / per_line * LINE, .a = x, .b = codes, .out = out,
                      .bits = nibbles ? 4 : 8, .codebook = codebook, .size = size,
                      .decode = row->family == FAMILY_rows_f32 ? (decode_micro *)nn_beside(decode, row)->run : 0 };
    return nn_product(row, row, m, &o);
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

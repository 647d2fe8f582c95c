/* codebook_gemm: x times the transpose of a W given by codes, W[n][k] = codebook[code[n][k]] (Han et al. 2016).
 *
 * The codes lie in panels of 16 columns of the result, like b of gemm, a code where gemm has a float:
 *
 *   4 bits   k, k+1 | cccc ... c |  16 bytes: code of k in the low half, of k + 1 in the high half
 *   8 bits   k      | cccc ... c |  16 bytes
 *
 * A dense W never exists. Either a slice of a panel, 1024 k, is decoded into scratch just before the micro-kernel
 * uses it for a block of rows of x; or, for few rows and 4 bits, the codes are looked up in registers between two
 * multiplications: a codebook of 16 floats is one register of AVX-512 (two of AVX2) and vpermps is the look-up.
 * Both add the products in the order of gemm, so both give the bits of gemm with the decoded W. */
#include "product.h"

enum { NIBBLES = 16 }; /* codes into a codebook of at most so many floats take 4 bits */

/* out = x . W^T, float32, W n x k as panels of codes into a codebook of `size` floats, which has room for 16, or where
 * codes take 8 bits for 256. */
API int nn_codebook_gemm(int variant, int64_t m, int64_t n, int64_t k, const void *x, int64_t ldx, const void *codes,
                         const void *codebook, int size, void *out, int64_t ldo)
{
    const int nibbles = size <= NIBBLES;
    if (ldx == k && ldo == n && overlap(x, m * k * 4, out, m * n * 4))
        return NN_OVERLAP;
    const nn_micro *row = nn_select(NN_codebook_gemm, variant, m, n, OF(rows_f32u4), 0);
    const nn_micro *decoder = nn_beside(nibbles ? FAMILY_decode_u4 : FAMILY_decode_u8, row);
    if (nibbles) {
        const nn_micro *look_up = nn_select(NN_codebook_gemm, variant, m, n, variant < 0 ? OF(rows_f32) : 0, 0);
        /* Each panel is decoded once for all rows, which is added to what the rows cost. */
        if (variant >= 0 || nn_cycles(look_up, m, n, 1) < nn_cycles(row, m, n, 1) + nn_cycles(decoder, 1, n, 1))
            row = look_up;
    }
    nn_operands o = { .n = n, .k = k, .lda = ldx, .a_column = 1, .ldo = ldo,
                      .panel_bytes = (nibbles ? (k + 1) / 2 : k) * PANEL, .a = x, .b = codes, .out = out,
                      .bits = nibbles ? 4 : 8, .codebook = codebook, .size = size,
                      .decode = row->family == FAMILY_rows_f32 ? (decode_micro *)decoder->run : 0 };
    return nn_product(row, row, m, &o);
}

API void nn_codebook_pack(int64_t n, int64_t k, const void *codes, int64_t row, int64_t column, int size, void *panels)
{
    uint8_t *to = panels;
    const int nibbles = size <= NIBBLES;
    for (int64_t n0 = 0; n0 < n; n0 += PANEL)
        for (int64_t i = 0; i < k; i += 1 + nibbles, to += PANEL)
            for (int64_t j = 0; j < PANEL; j++) {
                const uint8_t *code = (const uint8_t *)codes + (n0 + j) * row + i * column;
                int here = n0 + j < n, both = here && nibbles && i + 1 < k;
                to[j] = (uint8_t)((here ? code[0] : 0) | (both ? code[column] << 4 : 0));
            }
}

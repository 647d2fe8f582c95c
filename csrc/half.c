/* half_gemm: float32 rows times a b of 16-bit floats, float16 or bfloat16, which stays so in memory.
 *
 * b lies in panels of 16 columns like that of gemm, 2 bytes where gemm has 4. The micro-kernels make floats of them in
 * registers, and add the products in the order of gemm: they give the bits of gemm with a b of floats. An a of float16
 * is made float32 before, one conversion to n multiplies. */
#include "product.h"

/* The float of a float16, which it holds exactly. Shifted, its exponent is 112 too small: a multiplication, exact for
 * subnormal numbers too. Infinity and NaN have the largest exponent in both formats. */
static float of_float16(uint16_t bits)
{
    const uint32_t size = bits & 0x7fff;
    union { uint32_t bits; float value; } x = { .bits = size << 13 };
    x.value *= 0x1p112f;
    x.bits |= (size >= 0x7c00 ? 0x7f800000u : 0) | (uint32_t)(bits & 0x8000) << 16;
    return x.value;
}

static int product_of_floats(int variant, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, const void *b,
                             int bfloat, void *out, int64_t ldo)
{
    const nn_micro *last = 0; /* for one row the choice of two would take longer than it saves */
    const nn_micro *row = nn_select(NN_half_gemm, variant, m, n, bfloat ? OF(rows_f32f16) : OF(rows_f32bf16),
                                    m > 1 ? &last : 0);
    nn_operands o = { .n = n, .k = k, .lda = lda, .a_column = 1, .ldo = ldo, .panel_bytes = k * PANEL * 2, .a = a,
                      .b = b, .out = out, .bits = 16 };
    return nn_product(row, last ? last : row, m, &o);
}

/* out = a . b, float32. a: float32, or float16. b: panels [ceil(n/16)][k][16] of 16-bit floats, which are bfloat16 or
 * float16. */
API int nn_half_gemm(int variant, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, int a_half,
                     const void *b, int bfloat, void *out, int64_t ldo)
{
    if (lda == k && ldo == n && overlap(a, m * k * (a_half ? 2 : 4), out, m * n * 4))
        return NN_OVERLAP;
    if (!a_half)
        return product_of_floats(variant, m, n, k, a, lda, b, bfloat, out, ldo);
    SCRATCH(float, wide, m * k * 4);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < k; j++)
            wide[i * k + j] = of_float16(((const uint16_t *)a)[i * lda + j]);
    return product_of_floats(variant, m, n, k, wide, k, b, bfloat, out, ldo);
}

/* b, k x n with its rows `row` and its columns `column` elements apart, as panels of 16 columns; zeros beyond b. */
API void nn_half_pack(int64_t k, int64_t n, const void *b, int64_t row, int64_t column, void *panels)
{
    const uint16_t *from = b;
    uint16_t *to = panels;
    for (int64_t n0 = 0; n0 < n; n0 += PANEL)
        for (int64_t i = 0; i < k; i++, to += PANEL)
            for (int64_t j = 0; j < PANEL; j++)
                to[j] = n0 + j < n ? from[i * row + (n0 + j) * column] : 0;
}

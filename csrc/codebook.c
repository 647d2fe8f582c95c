/* codebook_gemm: x times the transpose of a W that is known by codes, W[n][k] = codebook[code[n][k]] (Han et al. 2016).
 *
 * The codes lie in panels of 16 columns of the result, like b of gemm, a code where gemm has a float:
 *
 *   4 bits   k, k+1 | cccc ... c |  16 bytes: code of k in the low half, of k + 1 in the high half
 *   8 bits   k      | cccc ... c |  16 bytes
 *
 * A dense W never exists. Either a slice of a panel, 1024 k, is decoded into scratch just before the micro-kernel of
 * gemm uses it for a block of rows of x; or, for few rows and 4 bits, the codes are looked up in registers between two
 * multiplications: a codebook of 16 floats is one register of AVX-512 (two of AVX2) and vpermps is the look-up.
 * Both add the products in the order of gemm, so both give the bits of gemm with the decoded W. */
#include "micro.h"
#include "product.h"

enum { NIBBLES = 16 }; /* codes into a codebook of at most so many floats take 4 bits */

SAME_AS(gemm_scalar_2x16, codebook_gemm_scalar_2x16)
#if NN_X86
SAME_AS(gemm_6x16_avx2, codebook_gemm_6x16_avx2)
SAME_AS(gemm_1x32_avx2, codebook_gemm_1x32_avx2)
SAME_AS(gemm_12x32_avx512, codebook_gemm_12x32_avx512)
SAME_AS(gemm_6x64_avx512, codebook_gemm_6x64_avx512)
SAME_AS(gemm_8x48_avx512, codebook_gemm_8x48_avx512)
SAME_AS(gemm_1x64_avx512, codebook_gemm_1x64_avx512)
#endif

/* ---- decode, then multiply ---- */

static void decode_nibbles(int64_t kc, const uint8_t *codes, const float *codebook, float *panel)
{
    for (int64_t k = 0; k < kc; k += 2, codes += PANEL, panel += 2 * PANEL)
        for (int j = 0; j < PANEL; j++) {
            panel[j] = codebook[codes[j] & 15];
            panel[PANEL + j] = codebook[codes[j] >> 4];
        }
}

/* Loads beat the gathers of AVX2 and of AVX-512 (Zen 4: 0.43 ns a code against 0.50 and 0.60). */
static void decode_bytes(int64_t kc, const uint8_t *codes, const float *codebook, float *panel)
{
    for (int64_t i = 0; i < kc * PANEL; i++)
        panel[i] = codebook[codes[i]];
}

#if NN_X86

/* vpermps looks at the lowest three (AVX2) or four bits (AVX-512) of an index only: the high half of a byte need not be
 * masked away, and of AVX2's two tables bit 3, moved to the sign, chooses. */
#define CODES2(p) _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p)))
#define LOW2(codebook) _mm256_loadu_ps(codebook)
#define HIGH2(codebook) _mm256_loadu_ps((codebook) + 8)
#define LOOK_UP2(c, low, high)                                                                                     \
    _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, c), _mm256_permutevar8x32_ps(high, c),                          \
                     _mm256_castsi256_ps(_mm256_slli_epi32(c, 28)))
#define NEXT2(c) _mm256_srli_epi32(c, 4)

#define CODES5(p) _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(p)))
#define LOW5(codebook) _mm512_loadu_ps(codebook)
#define HIGH5(codebook) _mm512_setzero_ps()
#define LOOK_UP5(c, low, high) ((void)(high), _mm512_permutexvar_ps(c, low))
#define NEXT5(c) _mm512_srli_epi32(c, 4)

#define DECODE(NAME, TARGET_, V, I, LANES, CODES, LOW, HIGH, LOOK_UP, NEXT, STORE)                                 \
    TARGET_ static void NAME(int64_t kc, const uint8_t *codes, const float *codebook, float *panel)              \
    {                                                                                                              \
        V low = LOW(codebook), high = HIGH(codebook);                                                              \
        for (int64_t k = 0; k < kc; k += 2, codes += PANEL, panel += 2 * PANEL)                                    \
            UNROLL for (int j = 0; j < PANEL; j += LANES) {                                                        \
                I c = CODES(codes + j);                                                                            \
                STORE(panel + j, LOOK_UP(c, low, high));                                                           \
                STORE(panel + PANEL + j, LOOK_UP(NEXT(c), low, high));                                             \
            }                                                                                                      \
    }
DECODE(decode_nibbles_avx2, TARGET(AVX2), __m256, __m256i, 8, CODES2, LOW2, HIGH2, LOOK_UP2, NEXT2, _mm256_store_ps)
DECODE(decode_nibbles_avx512, TARGET(AVX512), __m512, __m512i, 16, CODES5, LOW5, HIGH5, LOOK_UP5, NEXT5,
       _mm512_store_ps)

/* A codebook of 256 floats fits into registers too: vpermi2ps looks up in 32 floats by the lowest five bits of a code,
 * and bits 5, 6, 7 choose among the up to 8 such pairs of registers (0.05 to 0.22 ns a code). */
#define DECODE_BYTES(NAME, PAIRS)                                                                                  \
    TARGET(AVX512) static void NAME(int64_t kc, const uint8_t *codes, const float *codebook, float *panel)       \
    {                                                                                                              \
        __m512 table[2 * PAIRS];                                                                                   \
        UNROLL for (int t = 0; t < 2 * PAIRS; t++) table[t] = _mm512_loadu_ps(codebook + 16 * t);                  \
        for (int64_t k = 0; k < kc; k++, codes += PANEL, panel += PANEL) {                                         \
            __m512i c = CODES5(codes);                                                                             \
            __m512 found[PAIRS];                                                                                   \
            UNROLL for (int t = 0; t < PAIRS; t++)                                                                 \
                found[t] = _mm512_permutex2var_ps(table[2 * t], c, table[2 * t + 1]);                              \
            UNROLL for (int far = 1; far < PAIRS; far *= 2) {                                                      \
                __mmask16 second = _mm512_test_epi32_mask(c, _mm512_set1_epi32(32 * far));                         \
                UNROLL for (int t = 0; t < PAIRS; t += 2 * far)                                                    \
                    found[t] = _mm512_mask_blend_ps(second, found[t], found[t + far]);                             \
            }                                                                                                      \
            _mm512_store_ps(panel, found[0]);                                                                      \
        }                                                                                                          \
    }
DECODE_BYTES(decode_32_avx512, 1)
DECODE_BYTES(decode_64_avx512, 2)
DECODE_BYTES(decode_128_avx512, 4)
DECODE_BYTES(decode_256_avx512, 8)

/* ---- look up while multiplying ---- */

/* As MICRO (micro.h), two steps at a time: the codes of both are in the bytes that are loaded once. Registers: MR * NV
 * sums, NV of codes, NV of weights, 1 of A and the codebook. */
#define LOOK_UP_MICRO(NAME, TARGET_, MR, NR, V, I, LANES, ZERO, CODES, LOW, HIGH, LOOK_UP, NEXT, SPREAD, FMA, STORE) \
    TARGET_ void NAME(int64_t steps, const void *a, int64_t lda, const void *const *b, int add, void *tile)        \
    {                                                                                                              \
        enum { NV = NR / LANES };                                                                                  \
        const float *codebook = b[NR / PANEL];                                                                     \
        const char *row = a, *panel[NR / PANEL];                                                                   \
        V sum[MR][NV], low = LOW(codebook), high = HIGH(codebook);                                                 \
        (void)add;                                                                                                 \
        UNROLL for (int p = 0; p < NR / PANEL; p++) panel[p] = b[p];                                               \
        UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++) sum[i][v] = ZERO();                \
        for (int64_t s = 0; s + 1 < steps; s += 2) {                                                               \
            I c[NV];                                                                                               \
            UNROLL for (int v = 0; v < NV; v++) c[v] = CODES(panel[v * LANES / PANEL] + 8 * s + v * LANES % PANEL); \
            UNROLL for (int half = 0; half < 2; half++) {                                                          \
                V w[NV];                                                                                           \
                UNROLL for (int v = 0; v < NV; v++) w[v] = LOOK_UP(half ? NEXT(c[v]) : c[v], low, high);           \
                UNROLL for (int i = 0; i < MR; i++) {                                                              \
                    V av = SPREAD(four_bytes(row + i * lda + 4 * (s + half)));                                     \
                    UNROLL for (int v = 0; v < NV; v++) sum[i][v] = FMA(sum[i][v], av, w[v]);                      \
                }                                                                                                  \
            }                                                                                                      \
        }                                                                                                          \
        if (steps % 2)                                                                                             \
            UNROLL for (int v = 0; v < NV; v++) {                                                                  \
                I c = CODES(panel[v * LANES / PANEL] + 8 * (steps - 1) + v * LANES % PANEL);                       \
                V w = LOOK_UP(c, low, high);                                                                       \
                UNROLL for (int i = 0; i < MR; i++)                                                                \
                    sum[i][v] = FMA(sum[i][v], SPREAD(four_bytes(row + i * lda + 4 * (steps - 1))), w);            \
            }                                                                                                      \
        UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++)                                    \
            STORE((float *)tile + i * NR + v * LANES, sum[i][v]);                                                  \
    }

#define SPREAD2(word) _mm256_castsi256_ps(_mm256_set1_epi32(word))
#define FMA2(s, a, b) _mm256_fmadd_ps(a, b, s)
#define SPREAD5(word) _mm512_castsi512_ps(_mm512_set1_epi32(word))
#define FMA5(s, a, b) _mm512_fmadd_ps(a, b, s)
#define LOOK_UP_AVX2(MR, NR)                                                                                       \
    LOOK_UP_MICRO(codebook_gemm_lookup_##MR##x##NR##_avx2, TARGET(AVX2), MR, NR, __m256, __m256i, 8,               \
                  _mm256_setzero_ps, CODES2, LOW2, HIGH2, LOOK_UP2, NEXT2, SPREAD2, FMA2, _mm256_store_ps)
#define LOOK_UP_AVX512(MR, NR)                                                                                     \
    LOOK_UP_MICRO(codebook_gemm_lookup_##MR##x##NR##_avx512, TARGET(AVX512), MR, NR, __m512, __m512i, 16,          \
                  _mm512_setzero_ps, CODES5, LOW5, HIGH5, LOOK_UP5, NEXT5, SPREAD5, FMA5, _mm512_store_ps)
LOOK_UP_AVX2(3, 16)
LOOK_UP_AVX2(1, 32)
LOOK_UP_AVX512(4, 64)
LOOK_UP_AVX512(1, 64)

#endif

/* ---- the loops ---- */

static nn_decode *decoder(int size, int needs)
{
    int nibbles = size <= NIBBLES;
#if NN_X86
    if (needs & ISA_AVX512)
        return nibbles ? decode_nibbles_avx512 : size <= 32 ? decode_32_avx512 : size <= 64 ? decode_64_avx512 :
               size <= 128 ? decode_128_avx512 : decode_256_avx512;
    if (nibbles && needs & ISA_AVX2)
        return decode_nibbles_avx2;
#endif
    (void)needs;
    return nibbles ? decode_nibbles : decode_bytes;
}

int nn_codebook_gemm(int variant, int64_t m, int64_t n, int64_t k, const void *x, int64_t ldx,
                     const void *codes, const void *codebook, int size, void *out, int64_t ldo)
{
    int nibbles = size <= NIBBLES;
    if (ldx == k && ldo == n && overlap(x, m * k * 4, out, m * n * 4))
        return NN_OVERLAP;
    variant = nn_select(NN_codebook_gemm, variant, m, n, nibbles ? NEEDS_NIBBLES : 0);
    const nn_variant_row *v = nn_variant(variant);
    nn_operands o = { .n = n, .k = k, .lda = ldx, .a_column = 1, .ldo = ldo, .panel_bytes = (nibbles ? (k + 1) / 2 : k) * PANEL,
                      .a = x, .b = codes, .out = out, .bits = nibbles ? 4 : 8, .codebook = codebook,
                      .decode = v->flags & NEEDS_NIBBLES ? 0 : decoder(size, v->needs) };
    return nn_product(variant, variant, m, &o);
}

void nn_codebook_pack(int64_t n, int64_t k, const void *codes, int64_t row, int64_t column, int size, void *panels)
{
    const uint8_t *from = codes;
    uint8_t *to = panels;
    int nibbles = size <= NIBBLES, together = nibbles ? 2 : 1;
    for (int64_t n0 = 0; n0 < n; n0 += PANEL)
        for (int64_t i = 0; i < k; i += together, to += PANEL)
            for (int64_t j = 0; j < PANEL; j++) {
                const uint8_t *code = from + (n0 + j) * row + i * column;
                int here = n0 + j < n, both = here && nibbles && i + 1 < k;
                to[j] = (uint8_t)((here ? code[0] : 0) | (both ? code[column] << 4 : 0));
            }
}

/* conv2d_weight_grad micro-kernels: outer products of mr channels of a pixel and nr gradients, one for each position.
 *
 *     tile[MR][NR] += sum over s of  x_s · g_s     x_s: MR floats side by side, `offset` bytes into pixel[s]
 *                                                  g_s: the lines line[s] bytes into each panel
 *
 * In micro.h the MR factors of a step lie in MR rows; here they lie side by side, so one pointer does for all. They
 * take up a small part of a pixel: every step reads another line of the cache, which the processor does not foresee as
 * it does those of the panels. So the line of AHEAD steps later is asked for. */
#include "conv2d.h"
#include "floats.h"
#include "micro.h"

#define ADD1(a, b) ((a) + (b))

#define WEIGHT_GRAD(NAME, TARGET_, MR, NR, V, LANES, ZERO, LOAD, STORE, SPREAD, MULTIPLY, ADD)                      \
    TARGET_ void NAME(int64_t steps, const void *const *pixel, int64_t offset, const int64_t *line,                \
                      const void *const *b, void *tile)                                                            \
    {                                                                                                              \
        enum { NV = NR / LANES };                                                                                  \
        const char *panel[NR / PANEL];                                                                             \
        V sum[MR][NV];                                                                                             \
        UNROLL for (int p = 0; p < NR / PANEL; p++) panel[p] = b[p];                                               \
        UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++) sum[i][v] = ZERO();                \
        for (int64_t s = 0; s < steps; s++) {                                                                      \
            const char *x = (const char *)pixel[s] + offset;                                                       \
            __builtin_prefetch((const char *)pixel[s + AHEAD] + offset);                                           \
            V bv[NV];                                                                                              \
            UNROLL for (int v = 0; v < NV; v++)                                                                    \
                bv[v] = LOAD(panel[v * LANES / PANEL] + line[s] + 4 * (v * LANES % PANEL));                        \
            UNROLL for (int i = 0; i < MR; i++) {                                                                  \
                V av = SPREAD(four_bytes(x + 4 * i));                                                              \
                UNROLL for (int v = 0; v < NV; v++) sum[i][v] = MULTIPLY(sum[i][v], av, bv[v]);                    \
            }                                                                                                      \
        }                                                                                                          \
        UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++) {                                  \
            char *to = (char *)tile + 4 * (i * NR + v * LANES);                                                    \
            STORE(to, ADD(LOAD(to), sum[i][v]));                                                                   \
        }                                                                                                          \
    }

WEIGHT_GRAD(conv2d_weight_grad_scalar_2x16, , 2, 16, four, 4, ZERO1, LOAD1, STORE1, spread, ADD_PRODUCT, ADD1)

#if NN_X86

#define WEIGHT_GRAD_AVX2(MR, NR)                                                                                   \
    WEIGHT_GRAD(conv2d_weight_grad_##MR##x##NR##_avx2, TARGET(AVX2), MR, NR, __m256, 8, _mm256_setzero_ps, LOAD2,  \
                STORE2, SPREAD2, FMA2, _mm256_add_ps)
#define WEIGHT_GRAD_AVX512(MR, NR)                                                                                 \
    WEIGHT_GRAD(conv2d_weight_grad_##MR##x##NR##_avx512, TARGET(AVX512), MR, NR, __m512, 16, _mm512_setzero_ps,    \
                LOAD5, STORE5, SPREAD5, FMA5, _mm512_add_ps)

WEIGHT_GRAD_AVX2(6, 16)
WEIGHT_GRAD_AVX2(4, 16)
WEIGHT_GRAD_AVX512(6, 64)
WEIGHT_GRAD_AVX512(4, 64)
WEIGHT_GRAD_AVX512(8, 32)

#endif

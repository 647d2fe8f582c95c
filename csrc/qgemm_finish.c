/* What qgemm does outside its loop over K: copying a, and the epilogue.
 *
 * Requantisation (Jacob et al. 2018, eq. 5, with a float scale):
 *
 *     y = clamp(round_half_even((float)acc * scale) + zero, low, high)
 *
 * 1. Clamping first, to low - zero .. high - zero, gives the same, since the bounds are integers, and makes
 *    |x| <= 510, so that
 *    2. x + 1.5 * 2^23 is rounded to a multiple of 1 by the addition itself, half to even, and the integer stands
 *       in the low bits of the float (Knuth's and everybody's trick). No rounding instruction, in any ISA.
 * The body is plain C; compiled once per instruction set, so that the compiler can use its vectors. One float
 * multiplication and nothing to fuse: all give the same bits. */
#include "qgemm.h"

#include <string.h>

#define MAGIC 12582912.0f     /* 1.5 * 2^23 = 0x4B400000 */
#define MAGIC_BITS 0x4B400000

static inline __attribute__((always_inline)) void
finish_body(int rows, int cols, int nr, const int32_t *tile, const uint32_t *row_sums, const columns *c,
            const nn_qgemm_around *around, void *out, int64_t ldo)
{
    const float low = (float)(around->low - around->out_zero), high = (float)(around->high - around->out_zero);
    const int32_t back = around->out_zero - MAGIC_BITS;
    for (int i = 0; i < rows; i++) {
        uint32_t row_sum = row_sums ? row_sums[i] : 0;
        for (int j0 = 0; j0 < cols; j0 += PANEL) {
            uint32_t acc[PANEL];
            size_t width = (size_t)(cols - j0 < PANEL ? cols - j0 : PANEL);
            for (int j = 0; j < PANEL; j++)
                acc[j] = (uint32_t)tile[i * nr + j0 + j] + c->add[j0 + j] - row_sum * c->zero[j0 + j];
            if (around->out_size == 4) {
                int32_t *to = (int32_t *)out + i * ldo + j0;
                if (width == PANEL)
                    memcpy(to, acc, sizeof acc);
                else
                    memcpy(to, acc, width * sizeof *acc);
                continue;
            }
            uint8_t y[PANEL];
            for (int j = 0; j < PANEL; j++) {
                int32_t bits;
                float x = (float)(int32_t)acc[j] * c->scale[j0 + j];
                x = x < low ? low : x;
                x = x > high ? high : x;
                x += MAGIC;
                memcpy(&bits, &x, sizeof bits);
                y[j] = (uint8_t)(bits + back);
            }
            uint8_t *to = (uint8_t *)out + i * ldo + j0;
            if (width == PANEL)
                memcpy(to, y, sizeof y);
            else
                memcpy(to, y, width);
        }
    }
}

#define FINISH(name, TARGET_)                                                                              \
    TARGET_ static void name(int rows, int cols, int nr, const int32_t *tile, const uint32_t *row_sums,   \
                             const columns *c, const nn_qgemm_around *around, void *out, int64_t ldo)      \
    {                                                                                                      \
        finish_body(rows, cols, nr, tile, row_sums, c, around, out, ldo);                                  \
    }

FINISH(finish_scalar, )
#if NN_X86
FINISH(finish_avx2, TARGET(AVX2))
FINISH(finish_avx512, TARGET(AVX512))
#endif

finish *nn_finish(int isa)
{
#if NN_X86
    if (isa & (ISA_AVX512 | ISA_AVX512VNNI))
        return finish_avx512;
    if (isa & ISA_AVX2)
        return finish_avx2;
#endif
    (void)isa;
    return finish_scalar;
}

/* k bytes, then zeros to a whole cell. flip = 0x80 turns int8 into uint8: a + 128. */
void nn_copy_bytes(int64_t k, const uint8_t *a, uint8_t flip, uint8_t *to)
{
    for (int64_t i = 0; i < k; i++)
        to[i] = a[i] ^ flip;
    for (int64_t i = k; i % QUAD; i++)
        to[i] = 0;
}

/* k bytes as int16 less their zero point, each cell in the order k0 k2 k1 k3, then zeros to a whole cell. */
void nn_copy_wide(int64_t k, const uint8_t *a, int is_signed, int zero, int16_t *to)
{
    int flip = is_signed ? 0x80 : 0, less = zero + flip;
    for (; k >= QUAD; k -= QUAD, a += QUAD, to += QUAD) {
        to[0] = (int16_t)((a[0] ^ flip) - less);
        to[1] = (int16_t)((a[2] ^ flip) - less);
        to[2] = (int16_t)((a[1] ^ flip) - less);
        to[3] = (int16_t)((a[3] ^ flip) - less);
    }
    if (k) {
        memset(to, 0, QUAD * sizeof *to);
        for (int i = 0; i < k; i++)
            to[i == 1 ? 2 : i == 2 ? 1 : 0] = (int16_t)((a[i] ^ flip) - less);
    }
}

/* A panel in 16 bits: each row of 16 cells k0 k1 k2 k3 becomes 16 pairs k0 k2, then 16 pairs k1 k3. */
void nn_widen_panel(int64_t quads, const int8_t *panel, int16_t *to)
{
    for (; quads > 0; quads--, panel += PANEL * QUAD, to += PANEL * QUAD)
        for (int c = 0; c < PANEL; c++) {
            to[2 * c] = panel[QUAD * c];
            to[2 * c + 1] = panel[QUAD * c + 2];
            to[2 * PANEL + 2 * c] = panel[QUAD * c + 1];
            to[2 * PANEL + 2 * c + 1] = panel[QUAD * c + 3];
        }
}

/* What qgemm copies: the rows of a, and for rows_s16s16 the panels of b, as the micro-kernels read them. */
#include "loops.h"
#include "qgemm.h"

/* k bytes, then zeros to a whole cell. flip = 0x80 turns int8 into uint8: a + 128. */
void nn_copy_bytes(int64_t k, const uint8_t *a, uint8_t flip, uint8_t *to)
{
    if (flip)
        for (int64_t i = 0; i < k; i++)
            to[i] = a[i] ^ flip;
    else
        memcpy(to, a, (size_t)k);
    for (int64_t i = k; i % QUAD; i++)
        to[i] = 0;
}

/* k bytes as int16 less their zero point, each cell in the order k0 k2 k1 k3, then zeros to a whole cell. */
UP_TO_AVX2(widen_row, (int64_t k, const uint8_t *a, int is_signed, int zero, int16_t *to), (k, a, is_signed, zero, to))
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

/* A panel in 16 bits: each row of 16 cells k0 k1 k2 k3 becomes 16 pairs k0 k2, then 16 pairs k1 k3. Seen as two 16-bit
 * numbers, little end first, a cell has k1 and k3 in their upper halves; shifts bring either half down with its sign. */
UP_TO_AVX2(widen_panel, (int64_t quads, const int8_t *panel, int16_t *restrict to), (quads, panel, to))
{
    typedef int16_t halves __attribute__((may_alias, aligned(1)));
    for (const halves *half = (const halves *)panel; quads > 0; quads--, half += 2 * PANEL, to += 4 * PANEL)
        for (int c = 0; c < 2 * PANEL; c++) {
            to[c] = (int16_t)((uint16_t)half[c] << 8) >> 8;
            to[2 * PANEL + c] = half[c] >> 8;
        }
}

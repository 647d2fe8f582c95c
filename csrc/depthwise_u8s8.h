/* The bodies of the depthwise micro-kernels of 8-bit integers, and the cells that they read.
 *
 * The multiplies of integers (rows.h) add the products of four bytes, or of two int16, into one int32. In a product of
 * matrices these are neighbours in k; here no sum runs over channels, so they must be taps. A cell is 4 bytes of one
 * channel: what taps that lie one below another meet,
 *
 *     row r      c0 c1 c2 ...
 *     row r+1    c0 c1 c2 ...     ->  | r r+1 r+2 r+3 | r r+1 r+2 r+3 | ...     cells of c0, c1, ... of uint8 (VNNI),
 *     row r+2    c0 c1 c2 ...         |  r      r+1   |  r      r+1   | ...     or of int16 (vpmaddwd)
 *     row r+3    c0 c1 c2 ...
 *
 * and a cell of the filter holds the same taps. What a filter lacks to whole cells are taps of 0. With cells for floats
 * the loop is that of depthwise_f32.h:
 *
 *     tile[p][c] = sum over steps t of w[t][c] · x_t[p][c]         x_t[p]: `step` bytes behind x_t[p - 1]
 *
 * The sums of a tile go through 8 KB of the L1 cache to requantize.h. (To requantise them in registers was slower: both
 * loops start nearly as many vector operations a cycle as there are units for them, and one needs fewer registers.) */
#pragma once

#include "loops.h"

/* For `count` positions and nr channels, a multiple of 16: tile[p][c], modulo 2^32, from the start of a cache line.
 * w: [steps][nr] cells. Of `steps`, at least one, six stay in registers at a time. */
typedef void depthwise_u8s8_micro(int64_t count, int nr, int64_t steps, const char *const *x, int64_t step,
                                  const char *w, int32_t *tile);
typedef depthwise_u8s8_micro depthwise_s16s16_micro;

/* The cells of `pixels` pixels, `pixel` bytes apart: of pixel p and channel c those of the bytes rows[k][p·apart[k] + c]
 * (k: 4 of them, or 2). sign: they are int8, not uint8, which matters for int16. */
typedef void cells_u8_micro(int64_t pixels, int64_t channels, const uint8_t *const *rows, const int64_t *apart, int sign,
                            char *cells, int64_t pixel);
typedef cells_u8_micro cells_s16_micro;

#ifdef TARGET /* the words of an instruction set are known (vec_*.h) */
/* N of the steps from t on, as long as there are N. MULTIPLY(s, a, b): s + a·b. */
#define WEIGH_CELLS(N, MULTIPLY)                                                                                   \
    for (; t + N <= steps; t += N)                                                                                 \
        for (int c = 0; c < nr; c += LANES) {                                                                      \
            V_I weight[N];                                                                                         \
            const char *pixel[N];                                                                                  \
            int32_t *to = tile + c;                                                                                \
            UNROLL for (int i = 0; i < N; i++) weight[i] = LOAD_I(w + 4 * ((t + i) * nr + c));                     \
            UNROLL for (int i = 0; i < N; i++) pixel[i] = x[t + i] + 4 * c;                                        \
            for (int64_t p = 0, at = 0; p < count; p++, at += step, to += nr) {                                    \
                V_I sum = t ? LOAD_I(to) : ZERO_I();                                                               \
                UNROLL for (int i = 0; i < N; i++) sum = MULTIPLY(sum, LOAD_I(pixel[i] + at), weight[i]);          \
                STORE_I(to, sum);                                                                                  \
            }                                                                                                      \
        }
#define DEPTHWISE(NAME, ISA, MULTIPLY)                                                                             \
    TARGET_##ISA void NAME(int64_t count, int nr, int64_t steps, const char *const *x, int64_t step,               \
                           const char *w, int32_t *tile)                                                           \
    {                                                                                                              \
        int64_t t = 0;                                                                                             \
        WEIGH_CELLS(6, MULTIPLY) WEIGH_CELLS(3, MULTIPLY) WEIGH_CELLS(2, MULTIPLY) WEIGH_CELLS(1, MULTIPLY)        \
    }
#define BODY_depthwise_u8s8(NAME, ISA, MR, NR) DEPTHWISE(NAME, ISA, MULTIPLY_ADD_U8S8)
#define BODY_depthwise_s16s16(NAME, ISA, MR, NR) DEPTHWISE(NAME, ISA, MULTIPLY_ADD_S16S16)

/* For each pixel: WIDE for the cells of 32 channels at a time, then LAY for those of 16, from[k] at those channels. What
 * is narrower goes by way of `piece`. */
#define EACH_PIXEL(DEPTH, WIDE, LAY)                                                                               \
    uint8_t piece[DEPTH][PANEL] = { { 0 } };                                                                       \
    const uint8_t *pixel_of[DEPTH], *from[DEPTH];                                                                  \
    UNROLL for (int k = 0; k < DEPTH; k++) pixel_of[k] = rows[k];                                                  \
    for (; pixels; pixels--, cells += pixel) {                                                                     \
        char *to = cells;                                                                                          \
        int64_t left = channels;                                                                                   \
        UNROLL for (int k = 0; k < DEPTH; k++) from[k] = pixel_of[k];                                              \
        UNROLL for (int k = 0; k < DEPTH; k++) pixel_of[k] += apart[k];                                            \
        for (; left >= 2 * PANEL; left -= 2 * PANEL, to += 8 * PANEL) {                                            \
            WIDE;                                                                                                  \
            UNROLL for (int k = 0; k < DEPTH; k++) from[k] += 2 * PANEL;                                           \
        }                                                                                                          \
        for (; left > 0; left -= PANEL, to += 4 * PANEL) {                                                         \
            if (left < PANEL)                                                                                      \
                UNROLL for (int k = 0; k < DEPTH; k++) from[k] = memcpy(piece[k], from[k], (size_t)left);          \
            LAY;                                                                                                   \
            UNROLL for (int k = 0; k < DEPTH; k++) from[k] += PANEL;                                               \
        }                                                                                                          \
    }
#define CELLS_OF(NAME, ISA)                                                                                        \
    TARGET_##ISA void NAME(int64_t pixels, int64_t channels, const uint8_t *const *rows, const int64_t *apart,     \
                           int sign, char *cells, int64_t pixel)
#define BODY_cells_u8(NAME, ISA, MR, NR)                                                                           \
    CELLS_OF(NAME, ISA)                                                                                            \
    {                                                                                                              \
        (void)sign;                                                                                                \
        EACH_PIXEL(4, lay_u8_wide(from[0], from[1], from[2], from[3], (void *)to),                                 \
                   lay_u8(from[0], from[1], from[2], from[3], (void *)to))                                         \
    }
#define BODY_cells_s16(NAME, ISA, MR, NR)                                                                          \
    CELLS_OF(NAME, ISA)                                                                                            \
    {                                                                                                              \
        if (sign) {                                                                                                \
            EACH_PIXEL(2, LAY_TWO(1), lay_s16(from[0], from[1], 1, (void *)to))                                    \
        } else {                                                                                                   \
            EACH_PIXEL(2, LAY_TWO(0), lay_s16(from[0], from[1], 0, (void *)to))                                    \
        }                                                                                                          \
    }
#define LAY_TWO(SIGN)                                                                                              \
    lay_s16(from[0], from[1], SIGN, (void *)to);                                                                   \
    lay_s16(from[0] + PANEL, from[1] + PANEL, SIGN, (void *)(to + 4 * PANEL))
#endif

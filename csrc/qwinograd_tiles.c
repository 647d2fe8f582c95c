/* The transforms of Winograd's algorithm in integers, exact. F(m x m, 3 x 3), m = 2 or 4: with m x m outputs in a tile,
 *
 *     V = B' d B        d: m + 2 x m + 2 pixels
 *     U = H g H'        H = G without its fractions
 *     Y = A' [ sum over channels of U * V ] A
 *
 *               | 4  0 -5  0  1  0 |        | 1  0  0 |
 *               | 0  4  4 -1 -1  0 |        | 1  1  1 |         | 1  1  1  1  1  0 |
 *     m = 4  B' | 0 -4  4  1 -1  0 |    H = | 1 -1  1 |    A' = | 0  1 -1  2 -2  0 | . diag(6, 4, 4, 1, 1, 24) / 24
 *               | 0 -2 -1  2  1  0 |        | 1  2  4 |         | 0  1  1  4  4  0 |
 *               | 0  2 -1 -2  1  0 |        | 1 -2  4 |         | 0  1 -1  8 -8  1 |
 *               | 0  4  0 -5  0  1 |        | 0  0  1 |
 *
 * A row of B' has positive numbers that add up to at most 5, and as many negative ones: |V| <= 10 . 5 . 255 fits in int16,
 * and |U| <= 7 . 7 . 128 too. The rows of A', times 24, 12, 6 and 6, have integers only, so a number of A' M A is 9 . 2^i
 * times the sum of products that the direct algorithm makes, i = 2 .. 6. All this is modulo 2^32, where 9 has an inverse;
 * then a shift gives the sum exactly, if 64 times it fits in int32. (m = 2: the sum comes 4 times.) Whether it does the
 * filters say: no sum exceeds 255 times the sum of the positive, or of the negative weights of a filter (nn_qgemm_pack),
 * which for the weights of most layers allows several hundred channels.
 *
 * Channels are seen as pairs of bytes, whose lower and upper halves a shift brings into 16 bits. So of each 32 channels
 * (or the last 16) the even ones come first, then the odd ones, in V and in U alike. */
#include "qwinograd.h"

/* Vectors of int16 and int32, as wide as the instruction set has, and of 16 bytes. */
#define VECTORS(bytes)                                                                                             \
    typedef int16_t s16_##bytes __attribute__((vector_size(bytes), aligned(1), may_alias));                        \
    typedef uint16_t u16_##bytes __attribute__((vector_size(bytes), aligned(1), may_alias));                       \
    typedef uint32_t u32_##bytes __attribute__((vector_size(bytes), aligned(4), may_alias));                       \
    typedef int32_t s32_##bytes __attribute__((vector_size(bytes), aligned(4), may_alias));
VECTORS(16)
HAVE_avx2(VECTORS(32))

enum { CHUNK = 32 }; /* channels of which the even ones come first */

/* Where the even channels of the pairs from channel c on are; and how far behind them the odd ones. */
static INLINE int64_t even(int64_t c) { return c / CHUNK * CHUNK + c % CHUNK / 2; }
static INLINE int64_t odd_behind(int64_t c, int64_t channels) { return smaller(CHUNK, channels - c / CHUNK * CHUNK) / 2; }

/* t = B' d */
#define INPUT_1D_2(s16, t, t_step, d, d_step)                                                                      \
    do {                                                                                                           \
        const s16 d1 = (d)[d_step], d2 = (d)[2 * d_step];                                                          \
        (t)[0] = (d)[0] - d2;                                                                                      \
        (t)[t_step] = d1 + d2;                                                                                     \
        (t)[2 * t_step] = d2 - d1;                                                                                 \
        (t)[3 * t_step] = d1 - (d)[3 * d_step];                                                                    \
    } while (0)
#define INPUT_1D_4(s16, t, t_step, d, d_step)                                                                      \
    do {                                                                                                           \
        const s16 d1 = (d)[d_step], d2 = (d)[2 * d_step], d3 = (d)[3 * d_step], d4 = (d)[4 * d_step];              \
        const s16 one = d4 - d2, two = (d3 - d1) + (d3 - d1);                                                      \
        (t)[0] = (((d)[0] - d2) << 2) + one;                                                                       \
        (t)[t_step] = ((d1 + d2) << 2) - (d3 + d4);                                                                \
        (t)[2 * t_step] = ((d2 - d1) << 2) + (d3 - d4);                                                            \
        (t)[3 * t_step] = one + two;                                                                               \
        (t)[4 * t_step] = one - two;                                                                               \
        (t)[5 * t_step] = (d)[5 * d_step] - d3 - two - two;                                                        \
    } while (0)

/* V of the halves that HALF gives of pairs of channels, of tiles of M x M. */
#define INPUT_2D(M, bytes, HALF, to)                                                                               \
    {                                                                                                              \
        s16_##bytes d[M + 2], t[(M + 2) * (M + 2)];                                                                \
        UNROLL for (int j = 0; j < M + 2; j++) {                                                                   \
            UNROLL for (int i = 0; i < M + 2; i++)                                                                 \
                d[i] = (s16_##bytes)(*(const u16_##bytes *)(pixels[i * (M + 2) + j] + c) HALF);                    \
            INPUT_1D_##M(s16_##bytes, t + j, (M + 2), d, 1);                                                       \
        }                                                                                                          \
        UNROLL for (int i = 0; i < M + 2; i++) {                                                                   \
            INPUT_1D_##M(s16_##bytes, d, 1, t + i * (M + 2), 1);                                                   \
            UNROLL for (int j = 0; j < M + 2; j++) *(s16_##bytes *)((to) + (i * (M + 2) + j) * plane) = d[j];      \
        }                                                                                                          \
    }

/* `bytes` channels at a time. */
#define INPUT(M, bytes)                                                                                            \
    for (; c + bytes <= channels; c += bytes) {                                                                    \
        INPUT_2D(M, bytes, & 255, v + even(c))                                                                     \
        INPUT_2D(M, bytes, >> 8, v + even(c) + odd_behind(c, channels))                                            \
    }

/* t = H g */
#define FILTER_1D_2(s16, t, t_step, g, g_step)                                                                     \
    do {                                                                                                           \
        const s16 g0 = (g)[0], g1 = (g)[g_step], g2 = (g)[2 * g_step], ends = g0 + g2;                             \
        (t)[0] = g0;                                                                                               \
        (t)[t_step] = ends + g1;                                                                                   \
        (t)[2 * t_step] = ends - g1;                                                                               \
        (t)[3 * t_step] = g2;                                                                                      \
    } while (0)
#define FILTER_1D_4(s16, t, t_step, g, g_step)                                                                     \
    do {                                                                                                           \
        const s16 g0 = (g)[0], g1 = (g)[g_step], g2 = (g)[2 * g_step];                                             \
        const s16 ends = g0 + g2, far = g0 + (g2 << 2), two = g1 + g1;                                             \
        (t)[0] = g0;                                                                                               \
        (t)[t_step] = ends + g1;                                                                                   \
        (t)[2 * t_step] = ends - g1;                                                                               \
        (t)[3 * t_step] = far + two;                                                                               \
        (t)[4 * t_step] = far - two;                                                                               \
        (t)[5 * t_step] = g2;                                                                                      \
    } while (0)

/* U of what WIDENED gives of the halves of pairs. */
#define FILTER_2D(M, bytes, WIDENED, to)                                                                           \
    {                                                                                                              \
        s16_##bytes t[3 * (M + 2)], r[M + 2];                                                                      \
        UNROLL for (int j = 0; j < 3; j++) {                                                                       \
            s16_##bytes g[3];                                                                                      \
            UNROLL for (int i = 0; i < 3; i++)                                                                     \
                g[i] = WIDENED(*(const s16_##bytes *)(panel + ((3 * i + j) * channels + c) * PANEL + at));         \
            FILTER_1D_##M(s16_##bytes, t + j, 3, g, 1);                                                            \
        }                                                                                                          \
        UNROLL for (int i = 0; i < M + 2; i++) {                                                                   \
            FILTER_1D_##M(s16_##bytes, r, 1, t + 3 * i, 1);                                                        \
            UNROLL for (int j = 0; j < M + 2; j++) *(s16_##bytes *)((to) + ((M + 2) * i + j) * plane) = r[j];      \
        }                                                                                                          \
    }
#define LOW(half) ((half) << 8 >> 8)
#define HIGH(half) ((half) >> 8)

/* A cell, 16 filters of four channels, of all nine taps: k0 and k2 of each filter, then k1 and k3. A line of U holds 16
 * pairs of channels. */
#define FILTERS(M, bytes)                                                                                          \
    for (int64_t c = from; c < to; c += QUAD)                                                                      \
        for (int at = 0; at < LINE; at += bytes) {                                                                 \
            int16_t *line = u + (even(c) - from) * PANEL + at / 2;                                                 \
            FILTER_2D(M, bytes, LOW, line)                                                                         \
            FILTER_2D(M, bytes, HIGH, line + odd_behind(c, channels) * PANEL)                                      \
        }

/* y = A' p without its fractions: its rows times 2, or times 24, 12, 6 and 6. In two dimensions this times INVERSE, shifted
 * by the SHIFT of its row and that of its column, is what it stands for. */
#define OUTPUT_1D_2(u32, y, y_step, p, p_step)                                                                     \
    do {                                                                                                           \
        const u32 p1 = (p)[p_step], p2 = (p)[2 * p_step];                                                          \
        (y)[0] = (p)[0] + (p)[0] + p1 + p2;                                                                        \
        (y)[y_step] = p1 - p2 - (p)[3 * p_step] - (p)[3 * p_step];                                                 \
    } while (0)
#define OUTPUT_1D_4(u32, y, y_step, p, p_step)                                                                     \
    do {                                                                                                           \
        const u32 p0 = (p)[0], p5 = (p)[5 * p_step];                                                               \
        const u32 s1 = (p)[p_step] + (p)[2 * p_step], s2 = (p)[3 * p_step] + (p)[4 * p_step];                      \
        const u32 d1 = (p)[p_step] - (p)[2 * p_step], d2 = (p)[3 * p_step] - (p)[4 * p_step];                      \
        (y)[0] = ((p0 + s1) << 2) + (p0 + p0) + s2;                                                                \
        (y)[y_step] = d1 + d1 + d2;                                                                                \
        (y)[2 * y_step] = s1 + s2;                                                                                 \
        (y)[3 * y_step] = d1 + ((p5 + d2) << 1) + (p5 << 2);                                                       \
    } while (0)
#define INVERSE_2 1
#define INVERSE_4 UINT32_C(0x38e38e39) /* 9 times this is 1 modulo 2^32 */
#define SHIFT_2(i) 1
#define SHIFT_4(i) ((i) == 0 ? 3 : (i) == 1 ? 2 : 1)
_Static_assert(TIMES_2 == 1 << 2 * SHIFT_2(0) && TIMES_4 == 1 << 2 * SHIFT_4(0), "what the largest shift takes away");

/* 16 filters of tiles side by side: the pixels of their rows from y on, a line after the other. */
#define OUTPUT(M, bytes)                                                                                           \
    for (; tiles; tiles--, products += PANEL, y += M * PANEL)                                                      \
        for (int at = 0; at < PANEL; at += bytes / 4) {                                                            \
            u32_##bytes d[M + 2], t[M * (M + 2)];                                                                  \
            UNROLL for (int j = 0; j < M + 2; j++) {                                                               \
                UNROLL for (int i = 0; i < M + 2; i++)                                                             \
                    d[i] = *(const u32_##bytes *)(products + (i * (M + 2) + j) * plane + at);                      \
                OUTPUT_1D_##M(u32_##bytes, t + j, (M + 2), d, 1);                                                  \
            }                                                                                                      \
            UNROLL for (int i = 0; i < M; i++) {                                                                   \
                OUTPUT_1D_##M(u32_##bytes, d, 1, t + i * (M + 2), 1);                                              \
                UNROLL for (int j = 0; j < M; j++)                                                                 \
                    *(s32_##bytes *)(y + i * line + j * PANEL + at) =                                              \
                        (s32_##bytes)(d[j] * INVERSE_##M) >> (SHIFT_##M(i) + SHIFT_##M(j));                        \
            }                                                                                                      \
        }

#define TRANSFORMS(isa, bytes, LAST)                                                                               \
    TARGET_##isa void qwinograd_input_##isa(int m, const uint8_t *const *pixels, int64_t channels, int16_t *v,     \
                                            int64_t plane)                                                         \
    {                                                                                                              \
        int64_t c = 0;                                                                                             \
        if (m == 2) {                                                                                              \
            INPUT(2, bytes) LAST(2)                                                                                \
        } else {                                                                                                   \
            INPUT(4, bytes) LAST(4)                                                                                \
        }                                                                                                          \
    }                                                                                                              \
    TARGET_##isa void qwinograd_filters_##isa(int m, const int8_t *panel, int64_t channels, int64_t from,          \
                                              int64_t to, int16_t *u, int64_t plane)                               \
    {                                                                                                              \
        if (m == 2)                                                                                                \
            FILTERS(2, bytes)                                                                                      \
        else                                                                                                       \
            FILTERS(4, bytes)                                                                                      \
    }                                                                                                              \
    TARGET_##isa void qwinograd_output_##isa(int m, int64_t tiles, const int32_t *products, int64_t plane,         \
                                             int32_t *y, int64_t line)                                             \
    {                                                                                                              \
        if (m == 2)                                                                                                \
            OUTPUT(2, bytes)                                                                                       \
        else                                                                                                       \
            OUTPUT(4, bytes)                                                                                       \
    }
#define NONE(M)
#define OF_16(M) INPUT(M, 16)
TRANSFORMS(scalar, 16, NONE)
HAVE_avx2(TRANSFORMS(avx2, 32, OF_16))
HAVE_avx512(TRANSFORMS(avx512, 32, OF_16))

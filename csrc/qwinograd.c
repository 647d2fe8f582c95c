/* qconv2d by Winograd's algorithm (winograd.c), for 3 x 3 filters and stride 1, in integers and exact: F(4x4, 3x3), 36
 * products of int16 for 4 x 4 outputs instead of 144. In floats its errors are large; integers have none.
 *
 *     V = B' d B        d: 6 x 6 pixels. A row of B' has positive numbers of at most 5 and negative ones of at most -5,
 *                       so |V| <= 10 . 5 . 255 fits in int16
 *     U = H g H'        H = D G without the fractions of G. |U| <= 7 . 7 . 128 fits too
 *     Y = A' [ sum over channels of U * V ] A
 *
 *          | 4  0 -5  0  1  0 |        | 1  0  0 |
 *          | 0  4  4 -1 -1  0 |        | 1  1  1 |             | 1  1  1  1  1  0 |
 *     B' = | 0 -4  4  1 -1  0 |    H = | 1 -1  1 |    A' D^-1: | 0  1 -1  2 -2  0 | . diag(6, 4, 4, 1, 1, 24) / 24
 *          | 0 -2 -1  2  1  0 |        | 1  2  4 |             | 0  1  1  4  4  0 |
 *          | 0  2 -1 -2  1  0 |        | 1 -2  4 |             | 0  1 -1  8 -8  1 |
 *          | 0  4  0 -5  0  1 |        | 0  0  1 |
 *
 * The four rows of the last, times 24, 12, 6 and 6, have integers only. So a number of A' M A is 9 . 2^s times the sum s of
 * products that the direct algorithm makes, s = 2 .. 6. All this is modulo 2^32, where 9 has an inverse; and a shift
 * gives the sum exactly, if 64 times it fits in int32. Whether it does the filters say: no sum exceeds 255 times the
 * sum of the positive, or of the negative weights of a filter (nn_qgemm_pack), which for the weights of most layers
 * allows several hundred channels.
 *
 * Filters are kept as bytes and transformed by each block of tiles, a panel at a time, into the L2 cache: what that
 * takes is little beside the products with tens of tiles, and to keep them would take 72 bytes for 9.
 *
 * Channels are seen as pairs of bytes, whose lower and upper halves a shift brings into 16 bits. So of each 32 channels
 * (or the last 16) the even ones come first, then the odd ones, in V and in U alike. */
#include "qwinograd.h"

#include "pool.h"
#include "rows.h"
#include "winograd.h"

enum { OUTPUTS = 4, SIDE = OUTPUTS + 2, XI = SIDE * SIDE };     /* of a tile in one direction; inputs; products */
enum { CHUNK = 32, SLICE = 128 };                               /* channels: the even ones of so many come first; of U */
enum { BLOCK_BYTES = 512 * 1024, FEWEST_TILES = 48, RUN = 8 };  /* of V and M; tiles of a block, that are stored at once */

typedef void qwinograd_input_micro(const uint8_t *const *pixels, int64_t channels, int16_t *v, int64_t plane);
typedef void qwinograd_filters_micro(const int8_t *panel, int64_t channels, int64_t from, int64_t to, int16_t *u,
                                     int64_t plane);
typedef void qwinograd_output_micro(int64_t tiles, const int32_t *m, int64_t plane, int32_t *y, int64_t line);

/* Vectors of int16 and int32, as wide as the instruction set has, and of 16 bytes. */
#define VECTORS(bytes)                                                                                             \
    typedef int16_t s16_##bytes __attribute__((vector_size(bytes), aligned(1), may_alias));                        \
    typedef uint16_t u16_##bytes __attribute__((vector_size(bytes), aligned(1), may_alias));                       \
    typedef uint32_t u32_##bytes __attribute__((vector_size(bytes), aligned(4), may_alias));                       \
    typedef int32_t s32_##bytes __attribute__((vector_size(bytes), aligned(4), may_alias));
VECTORS(16)
HAVE_avx2(VECTORS(32))

/* Where the even channels of the pairs from channel c on are; and how far behind them the odd ones. */
static INLINE int64_t even(int64_t c) { return c / CHUNK * CHUNK + c % CHUNK / 2; }
static INLINE int64_t odd_behind(int64_t c, int64_t channels) { return smaller(CHUNK, channels - c / CHUNK * CHUNK) / 2; }

/* t = B' d */
#define INPUT_1D(s16, t, t_step, d, d_step)                                                                        \
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

/* V of the halves that HALF gives of pairs of channels. */
#define INPUT_2D(bytes, HALF, to)                                                                                  \
    {                                                                                                              \
        s16_##bytes d[SIDE], t[XI];                                                                                \
        UNROLL for (int j = 0; j < SIDE; j++) {                                                                    \
            UNROLL for (int i = 0; i < SIDE; i++)                                                                  \
                d[i] = (s16_##bytes)(*(const u16_##bytes *)(pixels[i * SIDE + j] + c) HALF);                       \
            INPUT_1D(s16_##bytes, t + j, SIDE, d, 1);                                                              \
        }                                                                                                          \
        UNROLL for (int i = 0; i < SIDE; i++) {                                                                    \
            INPUT_1D(s16_##bytes, d, 1, t + i * SIDE, 1);                                                          \
            UNROLL for (int j = 0; j < SIDE; j++) *(s16_##bytes *)((to) + (i * SIDE + j) * plane) = d[j];          \
        }                                                                                                          \
    }

/* `bytes` channels at a time. */
#define INPUT(bytes)                                                                                               \
    for (; c + bytes <= channels; c += bytes) {                                                                    \
        INPUT_2D(bytes, & 255, v + even(c))                                                                        \
        INPUT_2D(bytes, >> 8, v + even(c) + odd_behind(c, channels))                                               \
    }

/* t = H g */
#define FILTER_1D(s16, t, t_step, g, g_step)                                                                       \
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
#define FILTER_2D(bytes, WIDENED, to)                                                                              \
    {                                                                                                              \
        s16_##bytes t[3 * SIDE], r[SIDE];                                                                          \
        UNROLL for (int j = 0; j < 3; j++) {                                                                       \
            s16_##bytes g[3];                                                                                      \
            UNROLL for (int i = 0; i < 3; i++)                                                                     \
                g[i] = WIDENED(*(const s16_##bytes *)(panel + ((3 * i + j) * channels + c) * PANEL + at));         \
            FILTER_1D(s16_##bytes, t + j, 3, g, 1);                                                                             \
        }                                                                                                          \
        UNROLL for (int i = 0; i < SIDE; i++) {                                                                    \
            FILTER_1D(s16_##bytes, r, 1, t + 3 * i, 1);                                                                         \
            UNROLL for (int j = 0; j < SIDE; j++) *(s16_##bytes *)((to) + (SIDE * i + j) * plane) = r[j];          \
        }                                                                                                          \
    }
#define LOW(half) ((half) << 8 >> 8)
#define HIGH(half) ((half) >> 8)

/* A cell, 16 filters of four channels, of all nine taps: k0 and k2 of each filter, then k1 and k3. A line of U holds 16
 * pairs of channels. */
#define FILTERS(bytes)                                                                                             \
    for (int64_t c = from; c < to; c += QUAD)                                                                      \
        for (int at = 0; at < LINE; at += bytes) {                                                                 \
            int16_t *line = u + (even(c) - from) * PANEL + at / 2;                                                 \
            FILTER_2D(bytes, LOW, line)                                                                            \
            FILTER_2D(bytes, HIGH, line + odd_behind(c, channels) * PANEL)                                         \
        }

/* y = the rows of A' D^-1, times 24, 12, 6 and 6, times m */
#define OUTPUT_1D(u32, y, y_step, m, m_step)                                                                       \
    do {                                                                                                           \
        const u32 m0 = (m)[0], m5 = (m)[5 * m_step];                                                               \
        const u32 s1 = (m)[m_step] + (m)[2 * m_step], s2 = (m)[3 * m_step] + (m)[4 * m_step];                      \
        const u32 d1 = (m)[m_step] - (m)[2 * m_step], d2 = (m)[3 * m_step] - (m)[4 * m_step];                      \
        (y)[0] = ((m0 + s1) << 2) + (m0 + m0) + s2;                                                                \
        (y)[y_step] = d1 + d1 + d2;                                                                                \
        (y)[2 * y_step] = s1 + s2;                                                                                 \
        (y)[3 * y_step] = d1 + ((m5 + d2) << 1) + (m5 << 2);                                                       \
    } while (0)
#define NINTH UINT32_C(0x38e38e39) /* 9 times this is 1 modulo 2^32 */
#define SHIFT(i) ((i) == 0 ? 3 : (i) == 1 ? 2 : 1)

/* 16 filters of tiles side by side: the pixels of their rows from y on, a line after the other. */
#define OUTPUT(bytes)                                                                                              \
    for (; tiles; tiles--, m += PANEL, y += OUTPUTS * PANEL)                                                       \
        for (int at = 0; at < PANEL; at += bytes / 4) {                                                            \
            u32_##bytes d[SIDE], t[OUTPUTS * SIDE];                                                                \
            UNROLL for (int j = 0; j < SIDE; j++) {                                                                \
                UNROLL for (int i = 0; i < SIDE; i++)                                                              \
                    d[i] = *(const u32_##bytes *)(m + (i * SIDE + j) * plane + at);                                \
                OUTPUT_1D(u32_##bytes, t + j, SIDE, d, 1);                                                         \
            }                                                                                                      \
            UNROLL for (int i = 0; i < OUTPUTS; i++) {                                                             \
                OUTPUT_1D(u32_##bytes, d, 1, t + i * SIDE, 1);                                                     \
                UNROLL for (int j = 0; j < OUTPUTS; j++)                                                           \
                    *(s32_##bytes *)(y + i * line + j * PANEL + at) =                                              \
                        (s32_##bytes)(d[j] * NINTH) >> (SHIFT(i) + SHIFT(j));                                      \
            }                                                                                                      \
        }

#define TRANSFORMS(isa, bytes, LAST)                                                                               \
    TARGET_##isa void qwinograd_input_##isa(const uint8_t *const *pixels, int64_t channels, int16_t *v,            \
                                            int64_t plane)                                                         \
    {                                                                                                              \
        int64_t c = 0;                                                                                             \
        INPUT(bytes) LAST                                                                                          \
    }                                                                                                              \
    TARGET_##isa void qwinograd_filters_##isa(const int8_t *panel, int64_t channels, int64_t from, int64_t to,     \
                                              int16_t *u, int64_t plane)                                           \
    {                                                                                                              \
        FILTERS(bytes)                                                                                             \
    }                                                                                                              \
    TARGET_##isa void qwinograd_output_##isa(int64_t tiles, const int32_t *m, int64_t plane, int32_t *y,           \
                                             int64_t line)                                                         \
    {                                                                                                              \
        OUTPUT(bytes)                                                                                              \
    }
TRANSFORMS(scalar, 16, )
HAVE_avx2(TRANSFORMS(avx2, 32, INPUT(16)))

/* What one call works with. */
typedef struct {
    nn_conv2d_geometry tiles; /* as positions that meet XI pixels of x */
    const nn_conv2d_geometry *g;
    const nn_qgemm_around *around;
    const nn_qgemm_b *filters;
    const uint8_t *x;
    char *out;
    qwinograd_input_micro *input;
    qwinograd_filters_micro *transform;
    qwinograd_output_micro *output;
    requantize_micro *requantize;
    rows_micro *multiply;
    int mr;
    int64_t c, o;                         /* of a group */
    int64_t pitch, v_plane, u_plane, m_plane; /* numbers from row to row and from xi to xi */
} work;

/* The products of `rows` tiles with the panel p0 of a group, which is transformed first, some channels at a time. */
static void multiply(const work *w, const nn_qgemm_b *b, int64_t n0, int64_t rows, const int16_t *v, int16_t *u,
                     int32_t *m)
{
    const int8_t *filters = (const int8_t *)b->panels + n0 * b->k;
    for (int64_t c = 0; c < w->c; c += SLICE) {
        const int64_t end = smaller(c + SLICE, w->c);
        w->transform(filters, w->c, c, end, u, w->u_plane);
        for (int xi = 0; xi < XI; xi++) {
            const void *panel = u + xi * w->u_plane;
            for (int64_t i = 0; i < rows; i += w->mr)
                w->multiply((end - c) / 2, v + xi * w->v_plane + i * w->pitch + c, w->pitch * 2, &panel, c > 0,
                            m + xi * w->m_plane + i * PANEL);
        }
    }
}

/* The tiles from t0 on, from the filter n0 of a group on, to their places in the result. */
static void store(const work *w, int64_t group, int64_t n0, int64_t t0, int64_t tiles, const int32_t *m, int32_t *y)
{
    const nn_conv2d_geometry *g = w->g;
    const int64_t first = group * w->o, line = RUN * OUTPUTS * PANEL;
    const int cols = (int)smaller(PANEL, w->o - n0), size = w->around->out_size;
    nn_qgemm_around around = of_group(w->around, first);
    columns c;
    nn_column_terms(w->filters + group, &around, around.a_zero, n0, PANEL, &c);
    for (place p = place_of(&w->tiles, 1, t0); tiles > 0;) {
        int64_t run = smaller(smaller(p.left, RUN), tiles), row = p.row * OUTPUTS, column = p.column * OUTPUTS;
        w->output(run, m, w->m_plane, y, line);
        char *out = w->out + (p.image * g->out_image + row * g->out_row + column * g->out_pixel + first + n0) * size;
        for (int i = 0; i < OUTPUTS && row + i < g->rows; i++)
            w->requantize((int)smaller(run * OUTPUTS, g->columns - column), cols, PANEL, y + i * line, 0, &c, &around,
                          out + i * g->out_row * size, g->out_pixel);
        tiles -= run;
        m += run * PANEL;
        p.column += run;
        if (!(p.left -= run))
            next_run(&w->tiles, 1, &p);
    }
}

/* The tiles t0 .. t1. */
static void block(const void *shared, char *scratch, int64_t t0, int64_t t1)
{
    const work *w = shared;
    const int64_t tiles = t1 - t0, rows = round_up(tiles, w->mr);
    int32_t *m = (int32_t *)scratch, *y = m + XI * w->m_plane;
    int16_t *u = (int16_t *)(y + RUN * OUTPUTS * OUTPUTS * PANEL), *v = u + XI * w->u_plane;
    const void **pixels = (const void **)(v + XI * w->v_plane);
    uint8_t *zeros = (uint8_t *)(pixels + XI * tiles);
    memset(zeros, w->around->a_zero, (size_t)w->c);
    for (int64_t group = 0; group < w->g->groups; group++) {
        look_up(&w->tiles, 1, t0, tiles, 1, w->x + group * w->c, 1, zeros, pixels);
        for (int64_t t = 0; t < tiles; t++)
            w->input((const uint8_t *const *)(pixels + t * XI), w->c, v + t * w->pitch, w->v_plane);
        for (int xi = 0; xi < XI; xi++) /* rows that fill the last tile of the micro-kernel */
            memset(v + xi * w->v_plane + tiles * w->pitch, 0, (size_t)((rows - tiles) * w->pitch) * 2);
        for (int64_t n0 = 0; n0 < w->o; n0 += PANEL) {
            multiply(w, w->filters + group, n0, rows, v, u, m);
            store(w, group, n0, t0, tiles, m, y);
        }
    }
}

int nn_can_winograd(const nn_conv2d_geometry *g, const nn_qgemm_b *filters)
{
    const int64_t (*at)[2] = g->at, c = g->c / g->groups;
    int is = g->taps == 9 && g->down == 1 && g->across == 1 && c % 16 == 0 && c > 0;
    for (int64_t i = 0; is && i < g->groups; i++)
        is = filters[i].largest <= INT32_MAX / (255 << 2 * SHIFT(0));
    for (int i = 0; is && i < 9; i++)
        is = at[i][0] - at[0][0] == i / 3 && at[i][1] - at[0][1] == i % 3;
    return is;
}

/* Numbers from row to row of V; tiles of a block at most. */
static int64_t row_of(int64_t channels) { return copied_row_bytes(2 * channels) / 2; }
static int64_t most_tiles(int64_t channels)
{
    return larger(BLOCK_BYTES / (XI * (2 * row_of(channels) + 4 * PANEL)), FEWEST_TILES);
}

int64_t nn_winograd_tiles(const nn_conv2d_geometry *g)
{
    return g->n * ((g->rows + OUTPUTS - 1) / OUTPUTS) * ((g->columns + OUTPUTS - 1) / OUTPUTS);
}

double nn_winograd_cycles(const nn_conv2d_geometry *g, const nn_micro *row)
{
    const int64_t c = g->c / g->groups, o = g->o / g->groups, tiles = nn_winograd_tiles(g);
    const int64_t blocks = (tiles + most_tiles(c) - 1) / most_tiles(c);
    const double transforms = 10 * (double)(tiles * c) + 20 * (double)(tiles * o) + 6 * (double)(blocks * c * o);
    return (double)g->groups * (XI * nn_cycles(row, tiles, o, c / QUAD) + transforms);
}

int nn_qconv2d_by_winograd(const nn_micro *row, const nn_conv2d_geometry *g, const nn_qgemm_around *around,
                           const nn_qgemm_b *filters, const void *x, void *out)
{
    int64_t at[XI][2];
    const int64_t c = g->c / g->groups, o = g->o / g->groups;
    work w = { .tiles = tiles_of(g, OUTPUTS, at), .g = g, .around = around, .filters = filters, .x = x, .out = out,
               .input = BESIDE(qwinograd_input, row), .transform = BESIDE(qwinograd_filters, row),
               .output = BESIDE(qwinograd_output, row), .requantize = BESIDE(requantize, row),
               .multiply = (rows_micro *)row->run, .mr = row->mr, .c = c, .o = o,
               .pitch = row_of(c), .u_plane = smaller(c, SLICE) * PANEL + LINE / 2 };
    const int64_t all = nn_winograd_tiles(g);
    nn_cut cut = nn_cut_rows(all, row->mr, smaller(all, most_tiles(c)), nn_winograd_cycles(g, row));
    w.v_plane = round_up(cut.rows, row->mr) * w.pitch + LINE / 2; /* not a multiple of 4096 bytes either */
    w.m_plane = round_up(cut.rows, row->mr) * PANEL + LINE / 4;
    return nn_run_blocks(&cut, XI * (2 * (w.v_plane + w.u_plane) + 4 * w.m_plane + 8 * cut.rows) +
                         4 * RUN * OUTPUTS * OUTPUTS * PANEL + c, block, &w);
}

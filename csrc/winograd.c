/* winograd_conv2d: 3 x 3 convolution with fewer multiplications (Winograd 1980; Lavin & Gray 2016).
 *
 * In one dimension, F(2,3): two neighbouring outputs of a filter of three from four inputs,
 *
 *     y0 = d0 g0 + d1 g1 + d2 g2          6 multiplications as it stands. With
 *     y1 = d1 g0 + d2 g1 + d3 g2
 *
 *     m0 = (d0 - d2) g0                    m3 = (d1 - d3) g2                          4 are enough:
 *     m1 = (d1 + d2) (g0 + g1 + g2) / 2    m2 = (d2 - d1) (g0 - g1 + g2) / 2
 *
 *     y0 = m0 + m1 + m2                    y1 = m1 - m2 - m3
 *
 * As matrices, y = A' [(G g) * (B' d)], * entry by entry and ' for the transpose. Nested in itself this is F(2x2, 3x3):
 * a tile of 2 x 2 outputs from 4 x 4 inputs with 16 multiplications instead of 36,
 *
 *     Y = A' [ U * V ] A,    U = G g G'  once for a filter (Python does it, pack),    V = B' d B  once for a tile.
 *
 * Channels add up inside the brackets, so for each of the 16 positions xi in a tile
 *
 *     M[xi] (tiles, O) = V[xi] (tiles, C) . U[xi] (C, O)        a product for the micro-kernels of gemm.
 *
 * The loops: for T tiles, as many as keep V and M in the L2 cache,
 *
 *     x  N,H,W,C        each tile's 16 pixels -> B' d B, all channels side by side in the vectors ->
 *     V  [xi][T][C]     rows of an A of the micro-kernel, whole lines (padded: see scratch.h)
 *     U  [xi][O/16][C][16]   panels, as gemm packs its b
 *     M  [xi][O/nr][T/mr][mr][nr]   the micro-kernel's tiles just where it writes them, never copied
 *     out  N,OH,OW,O    A' M A + bias of each tile -> its 4 pixels
 *
 * Tiles are positions of a convolution (conv2d.h) that meet 16 pixels of x and 4 of the result. Where there is no
 * pixel, a line of zeros is read, or a line is written that nobody reads. So tiles at an edge need no code of their
 * own, and padding may have any width.
 *
 * Measured, one image, one thread of a Zen 4 EPYC, in multiply-adds of the direct algorithm, of the peak of FMA: 64
 * channels at 56 x 56 pixels 186 %, 128 at 28 x 28 200 %, 256 at 14 x 14 184 %. Of the time 82 to 87 % are the
 * micro-kernel's, which runs at its peak; the transforms take 3 to 9 % (15 % at 224 x 224, where x and the result come
 * from memory). `espalier bench winograd_conv2d` measures it.
 *
 * A number of the result depends on its own tile only, and sums run over C in order: how tiles are cut into blocks,
 * or among threads, changes no bit, and all variants with FMA give the same bits. */
#include "conv2d.h"
#include "pool.h"
#include "rows.h"
#include "winograd.h"

enum { OUTPUTS = 2, SIDE = OUTPUTS + 2, XI = SIDE * SIDE }; /* of a tile in one direction; inputs; products */

/* t = B' d */
#define INPUT_1D(t, t_step, d, d_step)                                                                             \
    do {                                                                                                           \
        (t)[0] = (d)[0] - (d)[2 * d_step];                                                                         \
        (t)[t_step] = (d)[d_step] + (d)[2 * d_step];                                                               \
        (t)[2 * t_step] = (d)[2 * d_step] - (d)[d_step];                                                           \
        (t)[3 * t_step] = (d)[d_step] - (d)[3 * d_step];                                                           \
    } while (0)

/* y = A' m */
#define OUTPUT_1D(y, y_step, m, m_step)                                                                            \
    do {                                                                                                           \
        (y)[0] = (m)[0] + (m)[m_step] + (m)[2 * m_step];                                                           \
        (y)[y_step] = (m)[m_step] - (m)[2 * m_step] - (m)[3 * m_step];                                             \
    } while (0)

/* v[xi][c] = (B' d B)[xi] of every channel c, the planes of v `plane` floats apart. */
typedef void winograd_input_micro(const float *const *pixels, int64_t channels, float *v, int64_t plane);
/* pixels[.][c] = (A' m A)[.] + bias[c] */
typedef void winograd_output_micro(const float *m, int64_t plane, const float *bias, int64_t channels,
                                   float *const *pixels);

/* All channels go side by side in the vectors, as wide ones as the instruction set has, then narrower ones: vectors as
 * the compiler knows them, whose + and - are those of float. */
#define VECTOR(lanes) typedef float x##lanes __attribute__((vector_size(4 * lanes), aligned(4), may_alias));
VECTOR(4)
HAVE_avx2(VECTOR(8))
HAVE_avx512(VECTOR(16))
typedef float x1;

/* Channels from c on, `lanes` at a time: columns first, then rows. */
#define INPUT(lanes)                                                                                               \
    for (; c + lanes <= channels; c += lanes) {                                                                    \
        x##lanes d[XI], t[XI];                                                                                     \
        UNROLL for (int xi = 0; xi < XI; xi++) d[xi] = *(const x##lanes *)(pixels[xi] + c);                        \
        UNROLL for (int j = 0; j < SIDE; j++) INPUT_1D(t + j, SIDE, d + j, SIDE);                                  \
        UNROLL for (int i = 0; i < XI; i += SIDE) INPUT_1D(d + i, 1, t + i, 1);                                    \
        UNROLL for (int xi = 0; xi < XI; xi++) *(x##lanes *)(v + xi * plane + c) = d[xi];                          \
    }

#define OUTPUT(lanes)                                                                                              \
    for (; c + lanes <= channels; c += lanes) {                                                                    \
        x##lanes d[XI], t[OUTPUTS * SIDE], y[OUTPUTS * OUTPUTS], b = { 0 };                                        \
        if (bias)                                                                                                  \
            b = *(const x##lanes *)(bias + c);                                                                     \
        UNROLL for (int xi = 0; xi < XI; xi++) d[xi] = *(const x##lanes *)(m + xi * plane + c);                    \
        UNROLL for (int j = 0; j < SIDE; j++) OUTPUT_1D(t + j, SIDE, d + j, SIDE);                                 \
        UNROLL for (int i = 0; i < OUTPUTS; i++) OUTPUT_1D(y + i * OUTPUTS, 1, t + i * SIDE, 1);                   \
        UNROLL for (int i = 0; i < OUTPUTS * OUTPUTS; i++) *(x##lanes *)(pixels[i] + c) = y[i] + b;                \
    }

#define TRANSFORMS(isa, WIDEST)                                                                                    \
    TARGET_##isa void winograd_input_##isa(const float *const *pixels, int64_t channels, float *v, int64_t plane)  \
    {                                                                                                              \
        int64_t c = 0;                                                                                             \
        WIDEST(INPUT) INPUT(4) INPUT(1)                                                                            \
    }                                                                                                              \
    TARGET_##isa void winograd_output_##isa(const float *m, int64_t plane, const float *bias, int64_t channels,    \
                                            float *const *pixels)                                                  \
    {                                                                                                              \
        int64_t c = 0;                                                                                             \
        WIDEST(OUTPUT) OUTPUT(4) OUTPUT(1)                                                                         \
    }

#define FROM_4(DO)
#define FROM_8(DO) DO(8)
#define FROM_16(DO) DO(16) DO(8)
TRANSFORMS(scalar, FROM_4)
HAVE_avx2(TRANSFORMS(avx2, FROM_8))
HAVE_avx512(TRANSFORMS(avx512, FROM_16))

/* Memory that a block of tiles takes: V and M, together in the L2 cache, unless U is so large that reading it again
 * for every block would cost more. */
enum { BLOCK_BYTES = 512 * 1024, FEWEST_TILES = 48 };

/* What one call works with. */
typedef struct {
    nn_conv2d_geometry inputs, outputs; /* of the tiles, as positions: the XI pixels that each meets; its pixels of out */
    const float *x, *u, *bias;          /* u: the transformed filters */
    float *out;
    winograd_input_micro *input;
    winograd_output_micro *output;
    rows_micro *multiply;
    int mr, nr;
    int64_t c, o;
    int64_t pitch, v_plane, m_plane;    /* floats from row to row and from xi to xi */
} work;

/* M[xi] = V[xi] . U[xi] for every xi. */
static void multiply(const work *w, int64_t rows, const float *v, float *m_planes)
{
    const float *u = w->u;
    int64_t panels = (w->o + PANEL - 1) / PANEL;
    for (int xi = 0; xi < XI; xi++, u += panels * w->c * PANEL, v += w->v_plane) {
        float *m = m_planes + xi * w->m_plane;
        for (int64_t p0 = 0; p0 < panels; p0 += w->nr / PANEL) {
            const void *b[MAX_NR / PANEL];
            panels_of_tile(u, w->c * PANEL * 4, p0, panels - 1, w->nr, b);
            for (int64_t i = 0; i < rows; i += w->mr, m += w->mr * w->nr)
                w->multiply(w->c, v + i * w->pitch, w->pitch * 4, b, 0, m);
        }
    }
}

/* The tiles t0 .. t1. */
static void block(const void *work_, char *scratch, int64_t t0, int64_t t1)
{
    const work *w = work_;
    int64_t tiles = t1 - t0, rows = round_up(tiles, w->mr);
    float *v = (float *)scratch, *m = v + XI * w->v_plane, *zeros = m + XI * w->m_plane, *unread = zeros + w->c;
    const void **pixels = (const void **)(unread + round_up(w->c + w->o, 2) - w->c);
    memset(zeros, 0, (size_t)w->c * 4);
    look_up(&w->inputs, 1, t0, tiles, 1, w->x, 4, zeros, pixels);
    for (int64_t t = 0; t < tiles; t++)
        w->input((const float *const *)(pixels + t * XI), w->c, v + t * w->pitch, w->v_plane);
    for (int xi = 0; xi < XI; xi++) /* rows that fill the last tile of the micro-kernel */
        memset(v + xi * w->v_plane + tiles * w->pitch, 0, (size_t)((rows - tiles) * w->pitch) * 4);
    multiply(w, rows, v, m);
    look_up(&w->outputs, 1, t0, tiles, 1, w->out, 4, unread, pixels);
    for (int64_t t = 0; t < tiles; t++, pixels += OUTPUTS * OUTPUTS)
        for (int64_t n0 = 0; n0 < w->o; n0 += w->nr) {
            float *to[OUTPUTS * OUTPUTS];
            for (int i = 0; i < OUTPUTS * OUTPUTS; i++)
                to[i] = (float *)pixels[i] + n0;
            const float *bias = w->bias ? w->bias + n0 : 0;
            w->output(m + n0 * rows + t * w->nr, w->m_plane, bias, smaller(w->nr, w->o - n0), to);
        }
}

/* out = x convolved with 3 x 3 filters, stride 1, + bias, which is float[o], or 0. u: the transformed filters, 16
 * matrices c x o in the panels of gemm. */
API int nn_winograd_conv2d(int variant, const nn_conv2d_geometry *g, const void *x, const void *u, const void *bias,
                           void *out)
{
    if (shares_memory(g, x, bias, out))
        return NN_OVERLAP;
    const int64_t down = (g->rows + OUTPUTS - 1) / OUTPUTS, across = (g->columns + OUTPUTS - 1) / OUTPUTS;
    const int64_t all = g->n * down * across, c = g->c, o = g->o;
    if (!all || !o)
        return 0;
    int64_t bytes = XI * 4 * (copied_row_bytes(4 * c) / 4 + round_up(o, PANEL));
    int64_t most = smaller(all, larger(BLOCK_BYTES / bytes, FEWEST_TILES));
    const nn_micro *row = nn_select(NN_winograd_conv2d, variant, most, o, 0, 0);
    work w = { { 0 }, { 0 }, x, u, bias, out, BESIDE(winograd_input, row), BESIDE(winograd_output, row),
               (rows_micro *)row->run, row->mr, row->nr, c, o, copied_row_bytes(4 * c) / 4, 0, 0 };
    static const int64_t of_output[OUTPUTS * OUTPUTS][2] = { { 0, 0 }, { 0, 1 }, { 1, 0 }, { 1, 1 } };
    int64_t of_input[XI][2];
    w.inputs = tiles_of(g, OUTPUTS, of_input);
    w.outputs = (nn_conv2d_geometry){ g->n, g->rows, g->columns, o, g->out_image, g->out_row, g->out_pixel, down,
                                      across, o, 0, 0, 0, OUTPUTS, OUTPUTS, 1, OUTPUTS * OUTPUTS, of_output };
    nn_cut cut = nn_cut_rows(all, w.mr, most, XI * nn_cycles(row, all, o, c));
    w.v_plane = round_up(cut.rows, w.mr) * w.pitch + LINE / 4; /* not a multiple of 4096 bytes either */
    w.m_plane = round_up(cut.rows, w.mr) * round_up(o, w.nr) + LINE / 4;
    return nn_run_blocks(&cut, 4 * (XI * (w.v_plane + w.m_plane) + c + o + 1) + 8 * XI * cut.rows, block, &w);
}

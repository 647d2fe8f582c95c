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
 * Pixels of a tile that are not in the image are read from a line of zeros and written to a line that nobody reads:
 * so a tile at an edge is like any other, and padding may be as wide as it likes.
 *
 * Measured, one image, one thread of a Zen 4 EPYC, in multiply-adds of the direct algorithm, of the peak of FMA: 64
 * channels at 56 x 56 pixels 186 %, 128 at 28 x 28 200 %, 256 at 14 x 14 184 %. Of the time 82 to 87 % are the
 * micro-kernel's, which runs at its peak; the transforms take 3 to 9 % (15 % at 224 x 224, where x and the result come
 * from memory). `espalier bench winograd_conv2d` measures it.
 *
 * A number of the result depends on its own tile only, and sums run over C in order: how tiles are cut into blocks,
 * or among threads, changes no bit, and all variants with FMA give the same bits. */
#include "winograd.h"
#include "rows.h"

/* A 3 x 3 convolution with stride 1. Activations lie N,H,W,C, a pixel's channels adjacent; the distances
 * of images, rows and pixels are in elements. */
API typedef struct {
    int64_t n, height, width, c;           /* images of x, their pixels and channels */
    int64_t top, left;                     /* pixels of padding */
    int64_t x_image, x_row, x_pixel;
    int64_t out_height, out_width, o;
    int64_t out_image, out_row, out_pixel;
} nn_winograd;

/* Memory that a block of tiles takes: V and M, together in the L2 cache, unless U is so large that reading it again
 * for every block would cost more. */
enum { BLOCK_BYTES = 512 * 1024, FEWEST_TILES = 48 };

/* What one call works with. */
typedef struct {
    const nn_winograd *s;
    const float *u;                     /* the transformed filters */
    winograd_input_micro *input;
    winograd_output_micro *output;
    rows_micro *multiply;
    int mr, nr;
    int64_t down, across;               /* tiles of an image */
    int64_t pitch, v_plane, m_plane;    /* floats from row to row and from xi to xi */
    float *v, *m, *zeros, *unread;
} work;

/* The tiles of a block as rows of V. */
static void transform_input(const work *w, const float *x, int64_t t0, int64_t tiles)
{
    const nn_winograd *s = w->s;
    for (int64_t t = 0; t < tiles; t++) {
        int64_t image = (t0 + t) / w->across / w->down;
        int64_t i0 = (t0 + t) / w->across % w->down * OUTPUTS - s->top, j0 = (t0 + t) % w->across * OUTPUTS - s->left;
        const float *pixels[XI];
        for (int i = 0; i < SIDE; i++)
            for (int j = 0; j < SIDE; j++) {
                int inside = i0 + i >= 0 && i0 + i < s->height && j0 + j >= 0 && j0 + j < s->width;
                pixels[i * SIDE + j] =
                    inside ? x + image * s->x_image + (i0 + i) * s->x_row + (j0 + j) * s->x_pixel : w->zeros;
            }
        w->input(pixels, s->c, w->v + t * w->pitch, w->v_plane);
    }
}

/* M[xi] = V[xi] . U[xi] for every xi. */
static void multiply(const work *w, int64_t tiles)
{
    const nn_winograd *s = w->s;
    const float *u = w->u;
    int64_t panels = (s->o + PANEL - 1) / PANEL, rows = round_up(tiles, w->mr);
    for (int xi = 0; xi < XI; xi++, u += panels * s->c * PANEL) {
        float *m = w->m + xi * w->m_plane;
        for (int64_t p0 = 0; p0 < panels; p0 += w->nr / PANEL) {
            const void *b[MAX_NR / PANEL];
            panels_of_tile(u, s->c * PANEL * 4, p0, panels - 1, w->nr, b);
            for (int64_t i = 0; i < rows; i += w->mr, m += w->mr * w->nr)
                w->multiply(s->c, w->v + xi * w->v_plane + i * w->pitch, w->pitch * 4, b, 0, m);
        }
    }
}

/* The rows of M as the pixels of their tiles. */
static void transform_output(const work *w, const float *bias, float *out, int64_t t0, int64_t tiles)
{
    const nn_winograd *s = w->s;
    int64_t rows = round_up(tiles, w->mr);
    for (int64_t t = 0; t < tiles; t++) {
        int64_t image = (t0 + t) / w->across / w->down;
        int64_t i0 = (t0 + t) / w->across % w->down * OUTPUTS, j0 = (t0 + t) % w->across * OUTPUTS;
        for (int64_t n0 = 0; n0 < s->o; n0 += w->nr) {
            float *pixels[OUTPUTS * OUTPUTS];
            for (int i = 0; i < OUTPUTS; i++)
                for (int j = 0; j < OUTPUTS; j++)
                    pixels[i * OUTPUTS + j] =
                        i0 + i < s->out_height && j0 + j < s->out_width
                            ? out + image * s->out_image + (i0 + i) * s->out_row + (j0 + j) * s->out_pixel + n0
                            : w->unread;
            w->output(w->m + n0 * rows + t * w->nr, w->m_plane, bias ? bias + n0 : 0, smaller(w->nr, s->o - n0),
                      pixels);
        }
    }
}

/* out = x convolved + bias, which is float[o], or 0. u: the transformed filters, 16 matrices c x o in the panels of
 * gemm. */
API int nn_winograd_conv2d(int variant, const nn_winograd *s, const void *x, const void *u, const void *bias, void *out)
{
    int64_t pixels = s->n * s->height * s->width, out_pixels = s->n * s->out_height * s->out_width;
    if (s->x_pixel == s->c && s->x_row == s->width * s->c && s->x_image == s->height * s->x_row &&
        s->out_pixel == s->o && s->out_row == s->out_width * s->o && s->out_image == s->out_height * s->out_row &&
        (overlap(x, pixels * s->c * 4, out, out_pixels * s->o * 4) ||
         overlap(bias, s->o * 4, out, out_pixels * s->o * 4)))
        return NN_OVERLAP;
    work w = { .s = s, .u = u };
    w.down = (s->out_height + OUTPUTS - 1) / OUTPUTS;
    w.across = (s->out_width + OUTPUTS - 1) / OUTPUTS;
    int64_t all = s->n * w.down * w.across;
    if (all == 0 || s->o == 0)
        return 0;
    w.pitch = copied_row_bytes(4 * s->c) / 4;
    int64_t bytes = XI * 4 * (w.pitch + round_up(s->o, PANEL));
    int64_t most = smaller(all, BLOCK_BYTES / bytes > FEWEST_TILES ? BLOCK_BYTES / bytes : FEWEST_TILES);
    const nn_micro *row = nn_select(NN_winograd_conv2d, variant, most, s->o, 0);
    w.multiply = (rows_micro *)row->run;
    w.input = BESIDE(winograd_input, row);
    w.output = BESIDE(winograd_output, row);
    w.mr = row->mr;
    w.nr = row->nr;
    most = round_up(most, w.mr);
    w.v_plane = most * w.pitch + LINE / 4; /* not a multiple of 4096 bytes either */
    w.m_plane = most * round_up(s->o, w.nr) + LINE / 4;
    void *memory;
    w.v = scratch((XI * (w.v_plane + w.m_plane) + s->c + w.nr) * 4, &memory);
    if (!w.v)
        return NN_NO_MEMORY;
    w.m = w.v + XI * w.v_plane;
    w.unread = w.m + XI * w.m_plane;
    w.zeros = w.unread + w.nr;
    memset(w.zeros, 0, (size_t)s->c * 4);

    for (int64_t t = 0; t < all; t += most) {
        int64_t tiles = smaller(most, all - t);
        transform_input(&w, x, t, tiles);
        int64_t missing = round_up(tiles, w.mr) - tiles; /* rows that fill the last tile of the micro-kernel */
        for (int xi = 0; missing && xi < XI; xi++)
            memset(w.v + xi * w.v_plane + tiles * w.pitch, 0, (size_t)(missing * w.pitch) * 4);
        multiply(&w, tiles);
        transform_output(&w, bias, out, t, tiles);
    }
    free(memory);
    return 0;
}

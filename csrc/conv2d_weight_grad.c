/* conv2d_weight_grad: dw[o][c][t] = sum over the positions of g[position][o] * x[pixel it meets at tap t][c].
 *
 * A product of matrices whose inner index runs over positions. One step takes one position: mr channels of a pixel,
 * which lie side by side in x and are read there, and nr gradients, from panels of 16:
 *
 *     for a block of positions:                    g of the block, copied into panels, stays in the L2 cache
 *         for each tap:                            list the positions that meet a pixel there: padding adds nothing
 *             for nr filters, mr channels:         micro-kernel -> += tile of that tap
 *
 * and in the end the tiles are taken apart into dw. With few channels (conv2d.h) a row is a copy of the pixels of all
 * taps, and there is but one tap. A block is summed by itself and then added: of 64 images it takes tens of blocks,
 * whose errors add up instead of those of every position (pairwise summation in two levels; Higham 2002, section 4.2).
 * Blocks depend on the shape alone, so all variants with FMA give the same bits. */
#include "conv2d.h"
#include "conv2d_f32.h"

enum { BLOCK_BYTES = 512 * 1024, LEAST = 256, SOON = 8192 }; /* of x and g in a block; positions; bytes */

/* g of `count` positions into panels [ceil(filters/16)][block][16], in the order in which it lies in memory, and what
 * lies SOON behind it asked for. */
static void pack_gradients(const float *y, const int64_t *from, int64_t count, int64_t filters, int64_t block,
                           float *panels)
{
    for (int64_t i = 0; i < count; i++, panels += PANEL) {
        const float *g = y + from[i];
        float *to = panels;
        int64_t n0 = 0;
        for (; n0 + PANEL <= filters; n0 += PANEL, to += block * PANEL) {
            __builtin_prefetch((const char *)(g + n0) + SOON);
            memcpy(to, g + n0, PANEL * sizeof *to);
        }
        for (int64_t j = 0; n0 < filters && j < PANEL; j++)
            to[j] = j < filters - n0 ? g[n0 + j] : 0;
    }
}

/* The positions that meet a pixel at tap t: their pixels, and the bytes to their line in a panel. */
static int64_t list(const nn_conv2d_geometry *g, int64_t i0, int64_t count, int64_t t, const char *x,
                    const void **pixel, int64_t *line)
{
    const int64_t *at = (const int64_t *)g->at + 2 * t;
    int64_t found = 0, run;
    place p = place_of(g, 1, i0);
    for (int64_t n = 0; n < count; n += run, next_run(g, 1, &p)) {
        run = smaller(p.left, count - n); /* positions of one row */
        int64_t i = p.row * g->down + at[0], j = p.column * g->across + at[1];
        if (i < 0 || i >= g->h)
            continue;
        int64_t from = 4 * (p.image * g->x_image + i * g->x_row + j * g->x_pixel), step = 4 * g->across * g->x_pixel;
        for (int64_t l = n; l < n + run; l++, j += g->across, from += step) {
            pixel[found] = (const void *)((uintptr_t)x + (uintptr_t)from); /* overwritten by the next if it is none */
            line[found] = l * LINE;
            found += (uint64_t)j < (uint64_t)g->w;
        }
    }
    return found;
}

/* From y, the gradient of the result (it lies as `out` does in g), the gradient of w: out[o][c/groups][taps]. */
API int nn_conv2d_weight_grad(int variant, const nn_conv2d_geometry *g, const void *x, const void *y, void *out)
{
    int64_t channels = g->c / g->groups, filters = g->o / g->groups, k = g->taps * channels;
    if (!k || !filters)
        return 0;
    int copies = copies_rows(g);
    int64_t taps = copies ? 1 : g->taps, width = copies ? k : channels; /* as the micro-kernel sees it */
    const nn_micro *by = nn_select(NN_conv2d_weight_grad, variant, width, filters, 0, 0);
    wgrad_f32_micro *multiply = (wgrad_f32_micro *)by->run;
    int mr = by->mr, nr = by->nr;

    int64_t positions = g->n * g->rows * g->columns, row_bytes = copies ? copied_row_bytes(4 * (k + FEW)) : 0;
    int64_t block = BLOCK_BYTES / (4 * filters + (copies ? row_bytes : 4 * channels) + 1);
    block = smaller(positions, larger(block, LEAST));
    int64_t across = (filters + nr - 1) / nr, down = (width + mr - 1) / mr, size = mr * nr;
    int64_t sums = taps * across * down * size, panels = round_up(filters, PANEL);
    int64_t lists = 24 * block + 8 * AHEAD + 24 * g->taps;
    SCRATCH(float, sum, 4 * (sums + panels * block) + block * row_bytes + lists);
    float *packed = sum + sums;
    char *copy = (char *)(packed + panels * block);
    const void **pixel = (const void **)(copy + block * row_bytes);
    int64_t *line = (int64_t *)(pixel + block + AHEAD), *from = line + block;
    stretch *s = (stretch *)(from + block);
    int64_t stretches = stretches_of(g, s);
    memset(copy, 0, (size_t)(block * row_bytes)); /* the ends of the rows stay zero */

    for (int64_t group = 0; group < g->groups; group++) {
        const float *images = (const float *)x + group * channels;
        memset(sum, 0, (size_t)sums * 4);
        for (int64_t i0 = 0; i0 < positions; i0 += block) {
            int64_t count = smaller(block, positions - i0);
            destinations(g, 1, i0, count, from);
            pack_gradients((const float *)y + group * filters, from, count, filters, block, packed);
            if (copies)
                copy_rows(g, i0, count, images, s, stretches, copy, row_bytes);
            for (int64_t t = 0; t < taps; t++) {
                int64_t met = copies ? count : list(g, i0, count, t, (const char *)images, pixel, line);
                for (int64_t i = 0; copies && i < count; i++) {
                    pixel[i] = copy + i * row_bytes;
                    line[i] = i * LINE;
                }
                for (int i = 0; i < AHEAD; i++)
                    pixel[met + i] = images; /* only ever asked for, not used */
                float *tile = sum + t * across * down * size;
                for (int64_t n0 = 0; n0 < filters; n0 += nr) {
                    const void *b[MAX_NR / PANEL];
                    panels_of_tile(packed, block * PANEL * 4, n0 / PANEL, (filters - 1) / PANEL, nr, b);
                    for (int64_t c0 = 0; c0 < width; c0 += mr, tile += size)
                        multiply(met, pixel, 4 * (copies ? c0 : smaller(c0, width - mr)), line, b, tile);
                }
            }
        }
        float *to = (float *)out + group * filters * k;
        for (int64_t o = 0; o < filters; o++)
            for (int64_t c = 0; c < channels; c++)
                for (int64_t t = 0; t < g->taps; t++) {
                    int64_t row = copies ? t * channels + c : c, tile = row / mr; /* the last ends where the pixel does */
                    int64_t first = copies ? tile * mr : smaller(tile * mr, width - mr);
                    *to++ = sum[(((copies ? 0 : t) * across + o / nr) * down + tile) * size + (row - first) * nr +
                                o % nr];
                }
    }
    return 0;
}

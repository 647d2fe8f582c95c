/* bconv2d: the convolution of images and filters of +1 and -1, held as bits, by the micro-kernels of bgemm.
 *
 * The words of the pixels that a position meets are gathered tap by tap into a row, as many as a block of rows has, and the
 * row is multiplied by all filters. Where a tap lies outside the image its words are 0. These are the bits of +1, but
 * there shall be a 0. So each filter's sum is too large by the sum of its weights at that tap,
 *
 *     1 · w1 + 1 · w2 + ... + 1 · wC        C channels
 *
 * which is known when filters are packed, and is taken off for the few positions at the border: exact, and no mask is
 * needed anywhere. */
#include "bgemm.h"
#include "conv2d.h"
#include "pool.h"

enum { BLOCK_BYTES = 256 * 1024 }; /* of gathered rows, in L2 */

/* One convolution under way. */
typedef struct {
    nn_bits_product of;
    const nn_conv2d_geometry *g;
    const float *x;       /* words: they are only copied */
    const int32_t *sums;  /* [taps][o], of the weights of a tap */
    int32_t *out;
    int64_t row_bytes, copied; /* of a gathered row; rows that there is room for */
} convolution;

/* The results of the positions i0 .. i0 + rows, less what the taps outside have added. */
static void take_padding_off(const convolution *t, int64_t i0, int64_t rows, int32_t *out)
{
    const nn_conv2d_geometry *g = t->g;
    const int64_t *at = g->at, *last = at + 2 * (g->taps - 1);
    place p = place_of(g, 1, i0);
    for (; rows; rows--, out += g->o, p.column++) {
        if (p.column == g->columns)
            next_run(g, 1, &p);
        const int64_t top = p.row * g->down, left = p.column * g->across;
        if (top + at[0] >= 0 && top + last[0] < g->h && left + at[1] >= 0 && left + last[1] < g->w)
            continue; /* the first tap and the last are inside, so all are */
        for (int64_t k = 0; k < g->taps; k++) {
            const int64_t i = top + at[2 * k], j = left + at[2 * k + 1];
            const int32_t *sums = t->sums + k * g->o;
            if (i < 0 || i >= g->h || j < 0 || j >= g->w)
                for (int64_t o = 0; o < g->o; o++)
                    out[o] -= sums[o];
        }
    }
}

/* The positions i0 .. i1. */
static void block(const void *shared, char *scratch, int64_t i0, int64_t i1)
{
    const convolution *t = shared;
    char *spare = scratch + t->copied * t->row_bytes;
    stretch *s = (stretch *)(spare + nn_bits_spare(&t->of));
    int32_t *out = t->out + i0 * t->g->o;
    copy_rows(t->g, i0, i1 - i0, t->x, s, stretches_of(t->g, s), scratch, t->row_bytes);
    nn_multiply_bits(&t->of, i1 - i0, scratch, t->row_bytes, spare, out, t->g->o);
    take_padding_off(t, i0, i1 - i0, out);
}

/* out = x * w, of images whose pixels are g->c words of `channels` bits, and packed filters. */
API int nn_bconv2d(int variant, const nn_conv2d_geometry *g, int64_t channels, const void *panels, const void *sums,
                   const void *x, void *out)
{
    const int64_t pixels = g->n * g->h * g->w, positions = g->n * g->rows * g->columns, words = g->taps * g->c;
    if (overlap(x, pixels * g->c * 4, out, positions * g->o * 4))
        return NN_OVERLAP;
    if (nn_bits_beyond(pixels, g->c, channels, x, g->c))
        return NN_BAD_BITS;
    if (!g->o)
        return 0;
    convolution t = { nn_bits_product_of(NN_bconv2d, variant, positions, g->o, words, panels, channels * g->taps), g, x,
                      sums, out, copied_row_bytes(4 * words), 0 };
    nn_cut cut = nn_cut_rows(positions, t.of.whole->mr, 1 + BLOCK_BYTES / t.row_bytes,
                             nn_cycles(t.of.whole, positions, g->o, words));
    t.copied = cut.rows;
    int64_t bytes = t.copied * t.row_bytes + nn_bits_spare(&t.of) + g->taps * (int64_t)sizeof(stretch);
    return nn_run_blocks(&cut, bytes, block, &t);
}

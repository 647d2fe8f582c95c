/* im2col: under each position of a convolution the patch of the image that its filter meets, tap by tap.
 *
 * It computes nothing: it copies, a few bytes at a time. Taps that are neighbours in the filter and in the image are
 * copied as one piece. */
#include "windows.h"

/* Windows whose taps are dy rows and dx pixels apart; p.c: the bytes of a pixel. fill: what lies around the image, of
 * `bytes` bytes a number. */
API typedef struct {
    nn_pool p;
    int64_t dy, dx;
    int bytes;
    char fill[4];
} nn_patches;

/* A few bytes without a call: whole pieces, and for the rest a last one that overlaps the one before. */
#define IN_PIECES(size)                                                                                            \
    if (bytes >= size) {                                                                                           \
        for (int64_t i = 0; i + size <= bytes; i += size)                                                          \
            memcpy(to + i, from + i, size);                                                                        \
        memcpy(to + bytes - size, from + bytes - size, size);                                                      \
        return;                                                                                                    \
    }
LOOP copy_bytes(int64_t bytes, const char *restrict from, char *restrict to)
{
    IN_PIECES(32)
    IN_PIECES(16)
    IN_PIECES(8)
    IN_PIECES(4)
    for (int64_t i = 0; i < bytes; i++)
        to[i] = from[i];
}

/* filling: fill, for all taps of a row. */
EVERY_ISA(pass_im2col, (const nn_patches *how, const char *x, char *filling, char *y), (how, x, filling, y))
{
    const nn_pool *p = &how->p;
    const int64_t pixel = p->c, piece = p->kx * pixel, patch = p->ky * piece, dx = how->dx;
    for (int64_t i = 0; i < piece; i++)
        filling[i] = how->fill[i % how->bytes];
    for (int64_t n = 0; n < p->n; n++)
        for (int64_t oy = 0; oy < p->oh; oy++, y += p->ow * patch)
            for (int64_t a = 0; a < p->ky; a++) {
                const int64_t iy = oy * p->sy - p->py + a * how->dy;
                const char *line = iy >= 0 && iy < p->h ? x + (n * p->h + iy) * p->w * pixel : 0;
                char *to = y + a * piece;
                for (int64_t ox = 0; ox < p->ow; ox++, to += patch) {
                    const int64_t left = ox * p->sx - p->px;
                    if (!line)
                        copy_bytes(piece, filling, to);
                    else if (dx == 1 && left >= 0 && left + p->kx <= p->w)
                        copy_bytes(piece, line + left * pixel, to);
                    else
                        for (int64_t b = 0; b < p->kx; b++) {
                            const int64_t ix = left + b * dx;
                            copy_bytes(pixel, ix >= 0 && ix < p->w ? line + ix * pixel : filling, to + b * pixel);
                        }
                }
            }
}

API int nn_im2col(int variant, const nn_patches *how, const void *x, void *y)
{
    SCRATCH(char, filling, how->p.kx * how->p.c);
    PASS_OF(im2col, variant)(how, x, filling, y);
    return 0;
}

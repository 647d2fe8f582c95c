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

/* The same for pieces of at most `wide` bytes, if that is not 0: as many are copied. What is written too far comes before
 * its time, since y is written from its first byte to its last; only at the ends of x and of y is there no room. */
typedef struct {
    const char *x, *y;
} ends;
LOOP move(const int wide, int64_t bytes, const char *from, char *to, const ends *e)
{
    if (wide && e->x - from >= wide && e->y - to >= wide)
        memcpy(to, from, (size_t)wide);
    else
        copy_bytes(bytes, from, to);
}

LOOP patches(const int wide, const nn_patches *how, const char *x, const char **lines, const char *filling, char *y)
{
    const nn_pool *p = &how->p;
    const int64_t pixel = p->c, piece = p->kx * pixel, dx = how->dx;
    const ends e = { x + p->n * p->h * p->w * pixel, y + p->n * p->oh * p->ow * p->ky * piece };
    for (int64_t n = 0; n < p->n; n++)
        for (int64_t oy = 0; oy < p->oh; oy++) {
            for (int64_t a = 0; a < p->ky; a++) {
                const int64_t iy = oy * p->sy - p->py + a * how->dy;
                lines[a] = iy >= 0 && iy < p->h ? x + (n * p->h + iy) * p->w * pixel : 0;
            }
            for (int64_t ox = 0; ox < p->ow; ox++) {
                const int64_t left = ox * p->sx - p->px;
                const int whole = dx == 1 && left >= 0 && left + p->kx <= p->w;
                for (int64_t a = 0; a < p->ky; a++, y += piece) {
                    const char *line = lines[a];
                    if (!line)
                        copy_bytes(piece, filling, y);
                    else if (whole)
                        move(wide, piece, line + left * pixel, y, &e);
                    else
                        for (int64_t b = 0; b < p->kx; b++) {
                            const int64_t ix = left + b * dx;
                            if (ix < 0 || ix >= p->w)
                                copy_bytes(pixel, filling, y + b * pixel);
                            else
                                move(wide, pixel, line + ix * pixel, y + b * pixel, &e);
                        }
                }
            }
        }
}

/* lines: room for where the lines of the image lie that a row of windows meets, and then for `fill` at all taps of a
 * line. */
EVERY_ISA(pass_im2col, (const nn_patches *how, const char *x, const char **lines, char *y), (how, x, lines, y))
{
    const int64_t piece = how->p.kx * how->p.c;
    char *filling = (char *)(lines + how->p.ky);
    for (int64_t i = 0; i < piece; i++)
        filling[i] = how->fill[i % how->bytes];
    if (piece <= 4)
        patches(4, how, x, lines, filling, y);
    else if (piece <= 16)
        patches(16, how, x, lines, filling, y);
    else
        patches(0, how, x, lines, filling, y);
}

API int nn_im2col(int variant, const nn_patches *how, const void *x, void *y)
{
    SCRATCH(const char *, lines, how->p.ky * (int64_t)sizeof(char *) + how->p.kx * how->p.c);
    PASS_OF(im2col, variant)(how, x, lines, y);
    return 0;
}

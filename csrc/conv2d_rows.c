/* Which pixels the positions of a convolution meet: pointers to them, or copies of them (conv2d.h). */
#include "conv2d.h"
#include "loops.h"

enum { MANY = 128, SOME_IMAGES = 8, SMALL_IMAGE = 64 }; /* positions; images, and the positions of one */

void nn_destinations(const nn_conv2d_geometry *g, int64_t together, int64_t i0, int64_t count, int64_t *to)
{
    int64_t run, step = together > 1 ? g->out_image : g->out_pixel;
    for (place p = place_of(g, together, i0); count > 0; count -= run, next_run(g, together, &p)) {
        run = smaller(count, p.left);
        int64_t here = p.image * g->out_image + p.row * g->out_row + p.column * g->out_pixel;
        for (int64_t r = 0; r < run; r++, here += step)
            *to++ = here;
    }
}

void nn_look_up(const nn_conv2d_geometry *g, int64_t together, int64_t i0, int64_t count, int mr, const float *x,
                const float *zeros, const void **pixels)
{
    const int64_t *at = g->at, across = together > 1 ? 0 : g->across; /* between neighbours of a run */
    const uintptr_t step = 4 * (uintptr_t)(together > 1 ? g->x_image : across * g->x_pixel);
    int64_t tile = 0, lane = 0, run; /* pixels[(tile * taps + tap) * mr + lane] */
    place p = place_of(g, together, i0);
    for (int64_t done = 0; done < count; done += run, next_run(g, together, &p)) {
        run = smaller(count - done, p.left);
        for (int64_t t = 0; t < g->taps; t++) {
            int64_t i = p.row * g->down + at[2 * t], j = p.column * g->across + at[2 * t + 1], l = lane;
            const uint64_t width = i >= 0 && i < g->h ? (uint64_t)g->w : 0;
            uintptr_t from = (uintptr_t)x + 4 * (uintptr_t)(p.image * g->x_image + i * g->x_row + j * g->x_pixel);
            const void **to = pixels + (tile * g->taps + t) * mr;
            for (int64_t r = 0; r < run; r++, j += across, from += step) {
                to[l] = (uint64_t)j < width ? (const void *)from : zeros; /* only there it is a pixel's address */
                if (++l == mr) {
                    l = 0;
                    to += g->taps * mr;
                }
            }
        }
        tile += (lane + run) / mr;
        lane = (lane + run) % mr;
    }
    for (; lane % mr; lane++)
        for (int64_t t = 0; t < g->taps; t++)
            pixels[(tile * g->taps + t) * mr + lane] = zeros;
}

int nn_meets_padding(const nn_conv2d_geometry *g)
{
    const int64_t *at = g->at;
    int padding = 0;
    for (int64_t t = 0; t < g->taps; t++)
        padding |= at[2 * t] < 0 || at[2 * t + 1] < 0 || (g->rows - 1) * g->down + at[2 * t] >= g->h ||
                   (g->columns - 1) * g->across + at[2 * t + 1] >= g->w;
    return padding && !nn_copies(g) && (g->n >= SOME_IMAGES || g->n * g->rows * g->columns >= MANY);
}

int64_t nn_together(const nn_conv2d_geometry *g, int mr)
{
    return g->n < SOME_IMAGES ? 1 : g->rows * g->columns <= SMALL_IMAGE ? g->n : mr;
}

void nn_leave_out(const nn_conv2d_geometry *g, int64_t count, int mr, const float *zeros, const void **place)
{
    for (int64_t rows = round_up(count, mr) * g->taps; rows; rows -= mr, place += mr) {
        int l = 0;
        while (l < mr && place[l] == zeros)
            l++;
        if (l == mr)
            place[0] = 0;
    }
}

/* A few floats. (memcpy of a length that is not known costs more than these.) */
LOOP copy_few(float *to, const float *from, int64_t count)
{
    for (; count >= 4; count -= 4, to += 4, from += 4)
        memcpy(to, from, 16);
    for (; count > 0; count--)
        *to++ = *from++;
}

int64_t nn_stretches(const nn_conv2d_geometry *g, stretch *s)
{
    const int64_t *at = g->at;
    int64_t count = 0, adjacent = g->x_pixel == g->c / g->groups;
    for (int64_t t = 0; t < g->taps; t++) {
        stretch *last = s + count - 1;
        if (count && adjacent && at[2 * t] == last->i && at[2 * t + 1] == last->j + last->pixels)
            last->pixels++;
        else
            s[count++] = (stretch){ at[2 * t], at[2 * t + 1], 1 };
    }
    return count;
}

void nn_copy_rows(const nn_conv2d_geometry *g, int64_t i0, int64_t rows, const float *x, const stretch *s,
                  int64_t stretches, char *copy, int64_t row_bytes)
{
    int64_t channels = g->c / g->groups;
    place p = place_of(g, 1, i0);
    for (; rows; rows--, copy += row_bytes, p.column++) {
        float *to = (float *)copy;
        if (p.column == g->columns)
            next_run(g, 1, &p);
        for (int64_t t = 0; t < stretches; t++) {
            int64_t i = p.row * g->down + s[t].i, j = p.column * g->across + s[t].j, pixels = s[t].pixels;
            int inside = i >= 0 && i < g->h;
            int64_t from = inside ? p.image * g->x_image + i * g->x_row + j * g->x_pixel : 0;
            if (inside && j >= 0 && j + pixels <= g->w) {
                copy_few(to, x + from, pixels * channels);
                to += pixels * channels;
            } else
                for (; pixels; pixels--, j++, from += g->x_pixel, to += channels)
                    if (inside && j >= 0 && j < g->w)
                        copy_few(to, x + from, channels);
                    else
                        for (int64_t c = 0; c < channels; c++)
                            to[c] = 0;
        }
    }
}

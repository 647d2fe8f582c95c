/* Which pixels the positions of a convolution meet: pointers to them, or copies of them (conv2d.h). */
#include "conv2d.h"
#include "loops.h"

enum { MANY = 128, SOME_IMAGES = 8, SMALL_IMAGE = 64 }; /* positions; images, and the positions of one */

void nn_destinations(const nn_conv2d_geometry *g, int64_t i0, int64_t count, int64_t *to)
{
    position p = position_of(g, i0);
    for (int64_t i = 0; i < count; i++, next_position(g, &p))
        to[i] = p.image * g->out_image + p.row * g->out_row + p.column * g->out_pixel;
}

void nn_look_up(const nn_conv2d_geometry *g, int64_t i0, int64_t count, int mr, const float *x, const float *zeros,
                const void **place)
{
    const int64_t *at = g->at;
    position first = position_of(g, i0);
    int64_t tile = 0, lane = 0, run; /* place[(tile * taps + tap) * mr + lane] */
    for (int64_t done = 0; done < count; done += run) { /* row by row */
        run = smaller(count - done, g->columns - first.column);
        for (int64_t t = 0; t < g->taps; t++) {
            int64_t i = first.row * g->down + at[2 * t], j = first.column * g->across + at[2 * t + 1], l = lane;
            int inside = i >= 0 && i < g->h; /* if not, i may be so large that its line has no number */
            int64_t line = inside ? first.image * g->x_image + i * g->x_row : 0;
            const void **p = place + (tile * g->taps + t) * mr;
            for (int64_t r = 0; r < run; r++, j += g->across) {
                p[l] = inside && j >= 0 && j < g->w ? x + line + j * g->x_pixel : zeros;
                if (++l == mr) {
                    l = 0;
                    p += g->taps * mr;
                }
            }
        }
        tile += (lane + run) / mr;
        lane = (lane + run) % mr;
        first.column += run - 1;
        next_position(g, &first);
    }
    for (; lane % mr; lane++)
        for (int64_t t = 0; t < g->taps; t++)
            place[(tile * g->taps + t) * mr + lane] = zeros;
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

static position first_by_place(const nn_conv2d_geometry *g, int64_t together, int64_t i)
{
    int64_t all = together * g->rows * g->columns, first = i / all * together;
    int64_t images = smaller(together, g->n - first), place = i % all / images;
    return (position){ place % g->columns, place / g->columns, first + i % all % images };
}

/* How many of the images that are numbered together are left, from p's on. */
static int64_t images_left(const nn_conv2d_geometry *g, int64_t together, const position *p)
{
    return smaller(together - p->image % together, g->n - p->image);
}

static void next_place(const nn_conv2d_geometry *g, int64_t together, position *p)
{
    p->image -= p->image % together;
    if (++p->column == g->columns) {
        p->column = 0;
        if (++p->row == g->rows) {
            p->row = 0;
            p->image += together;
        }
    }
}

void nn_destinations_by_place(const nn_conv2d_geometry *g, int64_t together, int64_t i0, int64_t count, int64_t *to)
{
    int64_t run;
    for (position p = first_by_place(g, together, i0); count > 0; count -= run, next_place(g, together, &p)) {
        run = smaller(count, images_left(g, together, &p));
        int64_t here = p.image * g->out_image + p.row * g->out_row + p.column * g->out_pixel;
        for (int64_t r = 0; r < run; r++, here += g->out_image)
            *to++ = here;
    }
}

void nn_look_up_by_place(const nn_conv2d_geometry *g, int64_t together, int64_t i0, int64_t count, int mr,
                         const float *x, const float *zeros, const void **place)
{
    const int64_t *at = g->at;
    position first = first_by_place(g, together, i0);
    int64_t tile = 0, lane = 0, run; /* place[(tile * taps + tap) * mr + lane] */
    for (int64_t done = 0; done < count; done += run, next_place(g, together, &first)) {
        run = smaller(count - done, images_left(g, together, &first));
        for (int64_t t = 0; t < g->taps; t++) {
            int64_t i = first.row * g->down + at[2 * t], j = first.column * g->across + at[2 * t + 1], l = lane;
            int inside = i >= 0 && i < g->h && j >= 0 && j < g->w;
            const float *from = inside ? x + first.image * g->x_image + i * g->x_row + j * g->x_pixel : zeros;
            int64_t step = inside ? g->x_image : 0;
            const void **p = place + (tile * g->taps + t) * mr;
            for (int64_t r = 0; r < run; r++, from += step) {
                p[l] = from;
                if (++l == mr) {
                    l = 0;
                    p += g->taps * mr;
                }
            }
        }
        tile += (lane + run) / mr;
        lane = (lane + run) % mr;
    }
    for (; lane % mr; lane++)
        for (int64_t t = 0; t < g->taps; t++)
            place[(tile * g->taps + t) * mr + lane] = zeros;
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
    position p = position_of(g, i0);
    for (int64_t r = 0; r < rows; r++, copy += row_bytes, next_position(g, &p)) {
        float *to = (float *)copy;
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

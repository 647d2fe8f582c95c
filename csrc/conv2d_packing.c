/* conv2d of filters that were not packed, as training calls it: they are packed into scratch memory, and that is
 * all that is done with the panels. */
#include "conv2d.h"
#include "scratch.h"

/* w: [o][c/groups][taps] without gaps. */
int nn_conv2d_packing(int variant, const nn_conv2d_geometry *g, const void *x, const void *w, const void *bias,
                      int relu, void *out)
{
    int64_t filters = g->o / g->groups, channels = g->c / g->groups;
    int64_t panels = g->groups * ((filters + PANEL - 1) / PANEL * PANEL) * g->taps * channels * 4;
    void *memory;
    char *packed = scratch(panels + g->taps * 8 + LINE, &memory);
    if (!packed)
        return NN_NO_MEMORY;
    int64_t *offset = (int64_t *)(packed + panels);
    for (int64_t t = 0; t < g->taps; t++)
        offset[t] = t;
    nn_conv2d_pack(g->groups, filters, channels, g->taps, w, filters * channels * g->taps, channels * g->taps, g->taps,
                   offset, packed);
    int status = nn_conv2d(variant, g, x, packed, bias, relu, out);
    free(memory);
    return status;
}

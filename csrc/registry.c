/* The table of all variants, and the choice among them. */
#include "registry.h"

#define KERNEL(kernel, name, needs, mr, nr, step, flags) \
    { NN_##kernel, #name, #needs, ISA_##needs, mr, nr, step, flags },
static const nn_variant_row table[] = {
#include "kernels.def"
};
#undef KERNEL

#define KERNEL(kernel, name, needs, mr, nr, step, flags) (any_micro *)name,
static any_micro *const functions[] = {
#include "kernels.def"
};
#undef KERNEL

#define KERNEL(kernel, name, needs, mr, nr, step, flags) \
    _Static_assert((mr) * (nr) <= MAX_TILE && (nr) <= MAX_NR, #name " is larger than the loops' tile");
#include "kernels.def"
#undef KERNEL

int nn_variant_count(void) { return (int)(sizeof table / sizeof *table); }
const nn_variant_row *nn_variant(int i) { return &table[i]; }
any_micro *nn_micro(int variant) { return functions[variant]; }

double nn_cycles(int variant, int64_t m, int64_t n, int64_t steps)
{
    const nn_variant_row *v = &table[variant];
    return (double)((m + v->mr - 1) / v->mr) * (double)((n + v->nr - 1) / v->nr) * v->step / 10 * (double)steps;
}

/* The cheapest variant that this CPU runs, by nn_cycles. (The length of K multiplies all alike and drops out.) As in
 * YNNPACK, loads and multiplies are counted and nothing is timed, so that the same shapes always run the same
 * code. `has`: the instruction sets that may be used; `flags`: what b allows. With `last`, the columns that its tiles
 * leave over may be another variant's. */
static int cheapest(int kernel, int has, int64_t m, int64_t n, int flags, int *last)
{
    int best = -1, first = 0, of_width[MAX_NR + 1] = { 0 }; /* + 1: what is best for a rest of nr */
    double least = 0;
    while (table[first].kernel != kernel)
        first++;
    for (int i = first; i < nn_variant_count() && table[i].kernel == kernel; i++) { /* its rows lie together */
        const nn_variant_row *v = &table[i];
        if (v->needs & ~has || (v->flags & NEEDS & ~flags))
            continue;
        int64_t rest = last ? n % v->nr : 0;
        int for_rest = i;
        if (rest) {
            if (!of_width[v->nr])
                of_width[v->nr] = 1 + cheapest(kernel, has, m, rest, flags, 0);
            for_rest = of_width[v->nr] - 1;
        }
        double cycles = nn_cycles(i, m, n - rest, 1) + (rest ? nn_cycles(for_rest, m, rest, 1) : 0);
        if (best < 0 || cycles < least) {
            best = i;
            least = cycles;
            if (last)
                *last = for_rest;
        }
    }
    return best;
}

int nn_select_two(int kernel, int variant, int64_t m, int64_t n, int flags, int *last)
{
    if (variant >= 0 && !(table[variant].flags & NEEDS & ~flags))
        return variant;
    int richest = variant < 0 ? 4 + variant : 3; /* a forced row that b does not allow: any that it does */
    return cheapest(kernel, nn_isa_below(richest), m, n, flags, last);
}

int nn_select(int kernel, int variant, int64_t m, int64_t n, int flags)
{
    return nn_select_two(kernel, variant, m, n, flags, 0);
}

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
 * code. `flags`: what b allows. */
int nn_select(int kernel, int64_t m, int64_t n, int flags)
{
    int best = -1, has = nn_isa_mask();
    double least = 0;
    for (int i = 0; i < nn_variant_count(); i++) {
        const nn_variant_row *v = &table[i];
        if (v->kernel != kernel || v->needs & ~has || (v->flags & NEEDS & ~flags))
            continue;
        double cycles = nn_cycles(i, m, n, 1);
        if (best < 0 || cycles < least) {
            best = i;
            least = cycles;
        }
    }
    return best;
}

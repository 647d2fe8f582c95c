/* The table of all micro-kernels, and the choice among them. */
#include "registry.h"

#include <string.h>

/* Their types are known to those who define and call them; here only their addresses matter. */
#define ROW(family, name, features, mr, nr, step) HAVE_##features(void name(void);)
#include "micro.def"

#define ROW(family, name, features, mr, nr, step) \
    HAVE_##features({ FAMILY_##family, #name, #features, NEEDS_##features, mr, nr, step, name },)
static const nn_micro rows[] = {
#include "micro.def"
};

#define KERNEL(kernel, families, beside) { #kernel, families, beside, 0 },
#define ALONE(kernel, family) { #kernel, 1, 0, FAMILY_##family },
static const nn_kernel kernels[] = {
#include "micro.def"
};

/* Where in the table each family begins: FIRST_x is the number of the row that follows, which BEFORE_x gives back to
 * the enum's count. */
#define FAMILY(family) FIRST_##family, BEFORE_##family = FIRST_##family - 1,
#define ROW(family, name, features, mr, nr, step) HAVE_##features(NUMBER_##name,)
enum {
#include "micro.def"
    COUNT
};
#define FAMILY(family) FIRST_##family,
static const int first[] = {
#include "micro.def"
    COUNT
};

#define ROW(family, name, features, mr, nr, step)                                                                  \
    _Static_assert(FAMILY_##family == FAMILY_peak || (nr <= MAX_NR && mr * nr <= MAX_TILE),                                                            \
                   #name " has a tile that is larger than the loops allow for");
#include "micro.def"

_Static_assert(FAMILY_pass_adam_step <= 64, "the families before those of passes are bits of a word");

API int nn_row_count(void) { return COUNT; }
API const nn_micro *nn_row(int i) { return &rows[i]; }
API int nn_kernel_count(void) { return (int)(sizeof kernels / sizeof *kernels); }
API const nn_kernel *nn_kernel_row(int i) { return &kernels[i]; }

double nn_cycles(const nn_micro *row, int64_t m, int64_t n, int64_t steps)
{
    return (double)((m + row->mr - 1) / row->mr) * (double)((n + row->nr - 1) / row->nr) * row->step / 10 *
           (double)steps;
}

/* The cheapest row of these families that needs no feature but `has`. (The length of K multiplies all costs alike and
 * drops out.) As in YNNPACK, loads and multiplies are counted and nothing is timed, so that the same shapes always run
 * the same code. With `last`, the columns that its tiles leave over may be another row's. */
static const nn_micro *cheapest(uint64_t families, int base, int has, int64_t m, int64_t n, const nn_micro **last)
{
    const nn_micro *best = 0, *of_width[MAX_NR + 1]; /* the best for what tiles of so many columns leave over */
    double least = 0;
    if (last)
        memset(of_width, 0, sizeof of_width);
    for (uint64_t left = families; left; left &= left - 1) {
        int family = base + __builtin_ctzll(left);
        for (const nn_micro *row = rows + first[family]; row < rows + first[family + 1]; row++) {
            if (row->needs & ~has)
                continue;
            const nn_micro *for_rest = row;
            int64_t rest = last ? n % row->nr : 0;
            if (rest) {
                if (!of_width[row->nr])
                    of_width[row->nr] = cheapest(families, base, has, m, rest, 0);
                for_rest = of_width[row->nr];
            }
            double cycles = nn_cycles(row, m, n - rest, 1) + (rest ? nn_cycles(for_rest, m, rest, 1) : 0);
            if (!best || cycles < least) {
                best = row;
                least = cycles;
                if (last)
                    *last = for_rest;
            }
        }
    }
    return best;
}

/* Whether bit f is set, of any f. */
static int has_family(uint64_t families, int f) { return f >= 0 && f < 64 && (int)(families >> f & 1); }

const nn_micro *nn_select(int kernel, int variant, int64_t m, int64_t n, uint64_t without, const nn_micro **last)
{
    const int base = kernels[kernel].base;
    uint64_t families = kernels[kernel].families & ~without;
    if (variant < 0 || !has_family(families, rows[variant].family - base))
        return cheapest(families, base, nn_features() & (variant < 0 ? variant : -1), m, n, last);
    if (last)
        *last = &rows[variant];
    return &rows[variant];
}

const nn_micro *nn_best(int family, int has)
{
    const nn_micro *best = 0;
    for (const nn_micro *one = rows + first[family]; one < rows + first[family + 1]; one++)
        if (!(one->needs & ~has) && (!best || one->step < best->step))
            best = one;
    return best;
}

const nn_micro *nn_beside(int family, const nn_micro *row) { return nn_best(family, row->needs); }

/* What kernels.def becomes: prototypes here, the table in registry.c. */
#ifndef NN_REGISTRY_H
#define NN_REGISTRY_H

#include "isa.h"
#include "kernels.h"

enum { PANEL = 16, QUAD = 4 };           /* columns of a panel; k of a cell of qgemm */
enum { MAX_NR = 64, MAX_TILE = 512 };    /* columns and elements of the largest tile of a product */
enum { NEEDS_PAIRS = 1, A16 = 2, B16 = 4, NEEDS_NIBBLES = 8, NEEDS = NEEDS_PAIRS | NEEDS_NIBBLES };

/* tile[mr][nr] = A · B, or with `add` += A · B, on a cache line. A: mr rows, lda bytes apart; b: the nr/16 panels;
 * `steps` steps of 4 bytes of each row and 64 bytes of each panel (micro.h). qgemm: int32 modulo 2^32; gemm: float. */
typedef void qgemm_micro(int64_t steps, const void *a, int64_t lda, const void *const *b, int add, void *tile);
typedef qgemm_micro gemm_micro;
typedef qgemm_micro tt_matmul_micro;
typedef qgemm_micro codebook_gemm_micro; /* NEEDS_NIBBLES: panels of 4-bit codes, and behind them the codebook */
typedef qgemm_micro winograd_conv2d_micro;

/* A row of kernels.def whose micro-kernel is that of a gemm. */
#define SAME_AS(gemm_name, name)                                                                                   \
    void name(int64_t steps, const void *a, int64_t lda, const void *const *b, int add, void *tile)                \
    {                                                                                                              \
        gemm_name(steps, a, lda, b, add, tile);                                                                    \
    }

/* tile[mr][nr] = sum over the taps of A_t · B_t (conv2d_micro.c). rows: [taps][mr] pointers to rows of `steps` floats;
 * b: the nr/16 panels of taps·steps lines. */
typedef void conv2d_micro(int64_t taps, int64_t steps, const void *const *rows, const void *const *b, void *tile);

typedef conv2d_micro conv2d_input_grad_micro;

/* tile[mr][nr] += sum over s of mr floats at pixel[s] + offset times the lines line[s] bytes into the nr/16 panels b
 * (conv2d_weight_grad_micro.c). */
typedef void conv2d_weight_grad_micro(int64_t steps, const void *const *pixel, int64_t offset, const int64_t *line,
                                      const void *const *b, void *tile);

/* A row of `count` positions p, `apart` floats apart: out[p] = sum over the taps t of w[t] · (x[t] + p·step) + bias, for
 * at least one tap; total[t] += sum over p of (g + p·apart) · (x[t] + p·step); channel by channel (depthwise_micro.c). */
typedef void depthwise_conv2d_micro(int64_t count, int64_t channels, int64_t taps, const float *const *x, int64_t step,
                                    const float *w, const float *bias, int relu, float *out, int64_t apart);
typedef depthwise_conv2d_micro depthwise_conv2d_input_grad_micro;
typedef void depthwise_conv2d_weight_grad_micro(int64_t count, int64_t channels, int64_t taps, const float *const *x,
                                                int64_t step, const float *g, int64_t apart, float *const *total);

/* yt[n][nr] = W · xt for the transpose xt[k][nr] of nr rows of x. */
typedef void spmm_csr_micro(int64_t n, const float *xt, const float *values, const void *indices, int wide,
                            const int32_t *indptr, float *yt);

/* One step of Adam on n numbers. */
typedef void adam_step_micro(int64_t n, float *p, const float *g, float *m, float *v, const nn_adam *how,
                             float correction, float rate);
/* The cheapest way through n points at `price` a cluster (kmeans.c); returns the number of its clusters. */
typedef int64_t kmeans1d_micro(int64_t n, double price, const double *sums, const double *weights, double *cost,
                               int32_t *from, int32_t *queue, int32_t *start);

typedef void relu_micro(int64_t n, const float *x, float *y);
typedef void relu_grad_micro(int64_t n, const float *g, const float *y, float *dx);
typedef relu_micro erf_micro;
typedef relu_micro gelu_micro;
typedef relu_grad_micro gelu_grad_micro;

/* wide: room for four doubles a channel. */
typedef void batch_norm_micro(int64_t rows, int64_t channels, const float *x, const float *weight, const float *bias,
                              float eps, float *y, float *mean, float *var, float *inverse, double *wide);
typedef void batch_norm_grad_micro(int64_t rows, int64_t channels, const float *g, const float *x, const float *mean,
                                   const float *inverse, const float *weight, float *dx, float *dw, float *db,
                                   double *wide);

typedef void max_pool2d_micro(const nn_pool *p, const float *x, float *y, uint8_t *winner);
typedef void max_pool2d_grad_micro(const nn_pool *p, const float *g, const uint8_t *winner, float *dx);
typedef void avg_pool2d_micro(const nn_pool *p, const float *x, float *y);
typedef void avg_pool2d_grad_micro(const nn_pool *p, const float *g, float *dx);

/* totals: room for a float a row; half: for half a row. */
typedef void softmax_cross_entropy_micro(int64_t rows, int64_t n, const float *x, const int64_t *classes, float *losses,
                                         float *p, float *totals, float *half);
typedef void softmax_cross_entropy_grad_micro(int64_t rows, int64_t n, const float *g, const float *p,
                                              const int64_t *classes, float *dx);

#define KERNEL(kernel, name, needs, mr, nr, step, flags) kernel##_micro name;
#include "kernels.def"
#undef KERNEL

typedef void any_micro(void);
/* What m x n results of `steps` steps cost a core, about: tiles to compute × cost of a step of one tile. */
double nn_cycles(int variant, int64_t m, int64_t n, int64_t steps);

any_micro *nn_micro(int variant); /* the function of a row, to be cast to its kernel's type */

#endif

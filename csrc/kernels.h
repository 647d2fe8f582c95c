/* The C side of nn.kernels: what Python may call. Plain pointers and numbers; nothing here knows of Python.
 *
 * Every argument has been checked by the Python side. A matrix is a pointer to its element [0][0] and
 * the distance of its rows in elements (it may be negative or 0 in an input); its columns are adjacent.
 * Rows m0 <= i < m1 of a product with m rows are computed, by one thread or several (nn_threads): the bits
 * do not depend on how it is cut. `variant` is a row of kernels.def; or -1: the cheapest by the cost model; or -2, -3, -4:
 * the cheapest that needs no AVX-512, nor AVX-VNNI, nor AVX2. So what a thread has forced comes with each of its calls,
 * and nothing here remembers it: not the threads of the pool, which serve every caller.
 * Products return 0, or why nothing was computed: NN_NO_MEMORY; NN_BAD_SCALE, one is not positive and finite;
 * NN_OVERLAP, the result shares memory with an input; NN_BAD_CLASS, one is not in 0..n-1. Those are looked at here because it costs nanoseconds here
 * and microseconds in Python; overlap only where rows lie without gaps, the rest Python has seen to. */
#ifndef NN_KERNELS_H
#define NN_KERNELS_H

#include <stdint.h>

/* Between these marks: read by cffi (no preprocessor there). */
/* [python */
const char *nn_build_id(void);

/* Instruction sets (isa.c). */
int nn_isa_mask(void);         /* ISA_ bits of this CPU that are in force */
int nn_isa_below(int level);   /* those of level and below: 0 scalar, 1 avx2, 2 avxvnni, 3 avx512 */
void nn_isa_cap(int level);    /* forbid everything above level, to the whole process: said once, before any product */

/* Threads (pool.c). Both return what was before. */
int nn_threads(int count);                  /* how many may share the rows of a product, 1 at first; 0 only asks */
int64_t nn_thread_cycles(int64_t cycles);   /* the least work that each of them must get */

/* The list of all variants: kernels.def as data (registry.c). */
enum {
    NN_gemm,
    NN_qgemm,
    NN_spmm_csr,
    NN_tt_matmul,
    NN_conv2d,
    NN_conv2d_input_grad,
    NN_conv2d_weight_grad,
    NN_depthwise_conv2d,
    NN_depthwise_conv2d_input_grad,
    NN_depthwise_conv2d_weight_grad,
    NN_winograd_conv2d,
    NN_adam_step,
    NN_codebook_gemm,
    NN_kmeans1d,
    NN_relu,
    NN_relu_grad,
    NN_batch_norm,
    NN_batch_norm_grad,
    NN_max_pool2d,
    NN_max_pool2d_grad,
    NN_avg_pool2d,
    NN_avg_pool2d_grad,
    NN_softmax_cross_entropy,
    NN_softmax_cross_entropy_grad,
    NN_erf,
    NN_gelu,
    NN_gelu_grad,
};
typedef struct {
    int kernel;                /* NN_gemm, ... */
    const char *name, *isa;
    int needs;                 /* ISA_ bits */
    int mr, nr;                /* rows and columns of the result that one micro-kernel call computes */
    int step;                  /* cost of one step of its loop over K */
    int flags;
} nn_variant_row;
int nn_variant_count(void);
const nn_variant_row *nn_variant(int i);
int nn_select(int kernel, int variant, int64_t m, int64_t n, int flags);   /* the row that runs */
/* and the one for a last, narrower tile */
int nn_select_two(int kernel, int variant, int64_t m, int64_t n, int flags, int *last);

enum { NN_NO_MEMORY = 1, NN_BAD_SCALE = 2, NN_OVERLAP = 3, NN_BAD_CLASS = 4 };

/* out = a . b, float32 (gemm.c). a: its rows a_row elements apart, its columns a_column. b: panels [ceil(n/16)][k][16],
 * or a matrix like a. */
int nn_gemm(int variant, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row,
            int64_t a_column, const void *b, void *out, int64_t ldo);
int nn_gemm_packing(int variant, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row, int64_t a_column,
                    const void *b, int64_t b_row, int64_t b_column, void *out, int64_t ldo);

/* b of qgemm: panels [ceil(n/16)][ceil(k/4)][16][4] of int8 and the sums of their columns. */
typedef struct {
    const void *panels, *sums;
    int64_t n, k;
    int pairs_fit;             /* vpmaddubsw is exact with this b */
} nn_qgemm_b;

/* b, k x n with its rows and columns that many elements apart, into those layouts (pack.c). nn_qgemm_pack returns
 * pairs_fit. */
void nn_gemm_pack(int64_t k, int64_t n, const void *b, int64_t row, int64_t column, void *panels);
void nn_channels_last(int64_t images, int64_t channels, int64_t pixels, const void *x, void *y);
int nn_qgemm_pack(int64_t k, int64_t n, const void *b, int64_t row, int64_t column, void *panels, void *sums);

/* What happens around the sum of products of qgemm. Absent vectors are 0. */
typedef struct {
    int a_signed, a_zero;
    const void *b_zero, *bias; /* int32[n] */
    const void *scales;        /* float[n], or 0: `scale` for all columns */
    float scale;
    int out_size;              /* 4: the int32 sum itself; 1: requantised to 8 bits, clamped to low..high */
    int out_zero, low, high;
} nn_qgemm_around;

int nn_qgemm(int variant, int64_t m, const nn_qgemm_b *b, const nn_qgemm_around *around,
             const void *a, int64_t lda, void *out, int64_t ldo);

/* out = x . W^T, float32, W in compressed sparse rows (spmm.c). wide: indices are int32, else uint16. */
int nn_spmm_csr(int variant, int64_t m, int64_t n, int64_t k, const void *x, int64_t ldx,
                const void *values, const void *indices, const void *indptr, int wide, void *out, int64_t ldo);

/* A matrix in the tensor-train format (tt.c): its cores in the order in which they are contracted. `sizes`, int64[4] a
 * core: the mode of x that it takes in, the rank behind that mode, the mode that it puts out, the rank behind that.
 * `cores`: one after the other, each as a matrix (out · rank_out, in · rank_in). */
typedef struct {
    int64_t n, k;              /* products of the modes out and in */
    int64_t widest;            /* the most numbers that a row of x becomes between two cores */
    int64_t count;             /* of the cores */
    int mirrored;              /* the first core belongs to the first (slowest) mode, not to the last */
    const void *cores, *sizes;
} nn_tt;

/* out = x . W, float32. */
int nn_tt_matmul(int variant, int64_t m, const nn_tt *w, const void *x, int64_t ldx,
                 void *out, int64_t ldo);

/* A 3 x 3 convolution with stride 1 (winograd.c). Activations lie N,H,W,C, a pixel's channels adjacent; the distances
 * of images, rows and pixels are in elements. */
typedef struct {
    int64_t n, height, width, c;           /* images of x, their pixels and channels */
    int64_t top, left;                     /* pixels of padding */
    int64_t x_image, x_row, x_pixel;
    int64_t out_height, out_width, o;
    int64_t out_image, out_row, out_pixel;
} nn_winograd;

/* out = x convolved + bias, which is float[o], or 0. u: the transformed filters, 16 matrices c x o in the panels of
 * gemm. */
int nn_winograd_conv2d(int variant, const nn_winograd *shape, const void *x, const void *u, const void *bias, void *out);

/* Adam (adam.c): what all tensors of a step share, rounded to float32. rest: 1 - beta. shrink: what weights are
 * multiplied by (AdamW), else 1. l2: decay times the weight is added to the gradient (Adam). */
typedef struct {
    float beta1, beta2, rest1, rest2, eps, shrink, decay;
    int l2;
} nn_adam;

/* `count` tensors, in place on p, m and v; corrections, rates: 1/sqrt(1 - beta2^t) and lr/(1 - beta1^t) of each. */
int nn_adam_step(int variant, int64_t count, void *const *p, const void *const *g, void *const *m, void *const *v,
                 const int64_t *sizes, const nn_adam *how, const float *corrections, const float *rates);

/* out = x . W^T, float32, W n x k as codes into a codebook of `size` floats (codebook.c). Up to 16 of them: panels
 * [ceil(n/16)][ceil(k/2)][16] of bytes with two codes each, and the codebook has room for 16 floats; more: panels
 * [ceil(n/16)][k][16] of bytes, and room for 256. */
int nn_codebook_gemm(int variant, int64_t m, int64_t n, int64_t k, const void *x, int64_t ldx,
                     const void *codes, const void *codebook, int size, void *out, int64_t ldo);
void nn_codebook_pack(int64_t n, int64_t k, const void *codes, int64_t row, int64_t column, int size, void *panels);

/* ends[k]: where the clusters of the cheapest partition of n sorted points end (kmeans.c); 1 <= k <= n < 2^31. sums
 * and weights, double[n + 1]: of weight times point, and of weights, up to each point. */
int nn_kmeans1d(int variant, int64_t n, int64_t k, const void *sums, const void *weights, int64_t *ends);

/* How a result meets images (conv2d.c). Position (i, j) and tap t meet the pixel (i·down + at[t][0],
 * j·across + at[t][1]), or zeros where there is none. Distances in elements; the channels of a pixel are adjacent. */
typedef struct {
    int64_t n, h, w, c;                    /* images, and the size of one */
    int64_t x_image, x_row, x_pixel;       /* distances in x */
    int64_t rows, columns, o;              /* positions in one image of the result; its channels */
    int64_t out_image, out_row, out_pixel; /* distances in out */
    int64_t down, across;                  /* pixels from one position to the next */
    int64_t groups, taps;
    const void *at;                        /* int64[taps][2] */
} nn_conv2d_geometry;

/* Rows are positions, n·rows·columns of them. w: panels [groups][ceil(o/groups/16)][taps][c/groups][16]. bias:
 * float[o], or 0. relu: max(y, 0) of the result. */
int nn_conv2d(int variant, const nn_conv2d_geometry *g, const void *x, const void *w, const void *bias, int relu, void *out);
int nn_conv2d_packing(int variant, const nn_conv2d_geometry *g, const void *x, const void *w, const void *bias,
                      int relu, void *out);    /* w: [o][c/groups][taps] */

/* Those panels: `from` points to the first channel of the first filter; groups, filters and channels are that many
 * elements apart, and tap t begins at offset[t], int64[taps]. */
void nn_conv2d_pack(int64_t groups, int64_t filters, int64_t channels, int64_t taps, const void *from, int64_t group,
                    int64_t filter, int64_t channel, const void *offset, void *panels);

/* Of y = conv2d(x, w), from y, the gradient of the result (as `out` lies in g), that of w: out[o][c/groups][taps]. */
int nn_conv2d_weight_grad(int variant, const nn_conv2d_geometry *g, const void *x, const void *y, void *out);

/* The same with a filter for each channel, o = c = groups (depthwise.c). w and the gradient of the filters: [taps][c]. */
int nn_depthwise_conv2d(int variant, const nn_conv2d_geometry *g, const void *x, const void *w, const void *bias,
                        int relu, void *out);
int nn_depthwise_conv2d_weight_grad(int variant, const nn_conv2d_geometry *g, const void *x, const void *y, void *out);

/* y = x where x > 0 or NaN, else 0; dx = g where y > 0 or NaN, else 0 (relu.c). dx may be g itself. */
int nn_relu(int variant, int64_t n, const void *x, void *y);
int nn_relu_grad(int variant, int64_t n, const void *g, const void *y, void *dx);

/* y = erf x; y = x·Φ(x); dx = g·(Φ(x) + x·φ(x)) (erf.c). */
int nn_erf(int variant, int64_t n, const void *x, void *y);
int nn_gelu(int variant, int64_t n, const void *x, void *y);
int nn_gelu_grad(int variant, int64_t n, const void *g, const void *x, void *dx);

/* Batch normalisation of rows x channels by their own mean and variance, and its gradients (batch_norm.c). weight, bias:
 * or 0. inverse = 1/sqrt(var + eps). dx: or 0, if it is not wanted; or g itself. */
int nn_batch_norm(int variant, int64_t rows, int64_t channels, const void *x, const void *weight, const void *bias,
                  float eps, void *y, void *mean, void *var, void *inverse);
int nn_batch_norm_grad(int variant, int64_t rows, int64_t channels, const void *g, const void *x, const void *mean,
                       const void *inverse, const void *weight, void *dx, void *dw, void *db);

/* Pools (pool2d.c): images n x h x w x c and windows oh x ow of ky x kx pixels, strides sy, sx, padding py, px. */
typedef struct {
    int64_t n, h, w, c, oh, ow, ky, kx, sy, sx, py, px;
} nn_pool;
int nn_max_pool2d(int variant, const nn_pool *p, const void *x, void *y, void *winner);
int nn_max_pool2d_grad(int variant, const nn_pool *p, const void *g, const void *winner, void *dx);
int nn_avg_pool2d(int variant, const nn_pool *p, const void *x, void *y);
int nn_avg_pool2d_grad(int variant, const nn_pool *p, const void *g, void *dx);

/* Softmax and cross entropy of rows x n logits with int64 classes, n > 0, and the gradient (softmax_cross_entropy.c). */
int nn_softmax_cross_entropy(int variant, int64_t rows, int64_t n, const void *x, const void *classes, void *losses,
                             void *p);
int nn_softmax_cross_entropy_grad(int variant, int64_t rows, int64_t n, const void *g, const void *p,
                                  const void *classes, void *dx);
void nn_exp(int64_t n, void *x);            /* the exponential in it, in place, for x <= 0 (exp.h) */

/* Has the C library keep up to so many bytes that are freed, where it would give them back to the system (heap.c). */
void nn_keep_freed_memory(int bytes);

/* Register-only loops that measure what a route could reach at best (peak.c). */
int nn_peak_count(void);
const char *nn_peak_name(int route);
int nn_peak_needs(int route);
double nn_peak(int route, int64_t steps);   /* runs it; returns the multiply-accumulates done */
/* python] */
#endif

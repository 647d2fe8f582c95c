/* The transforms of Winograd's algorithm (winograd.c has the equations): tiles of pixels to rows of V, rows of M to
 * pixels. All channels go side by side in the vectors, as wide ones as the instruction set has, then narrower ones. */
#include "loops.h"
#include "winograd.h"

/* Vectors as the compiler knows them: + and - are those of float. */
#define VECTOR(lanes) typedef float x##lanes __attribute__((vector_size(4 * lanes), aligned(4), may_alias));
VECTOR(4)
HAVE_avx2(VECTOR(8))
HAVE_avx512(VECTOR(16))
typedef float x1;

/* t = B' d */
#define INPUT_1D(t, t_step, d, d_step)                                                                             \
    do {                                                                                                           \
        (t)[0] = (d)[0] - (d)[2 * d_step];                                                                         \
        (t)[t_step] = (d)[d_step] + (d)[2 * d_step];                                                               \
        (t)[2 * t_step] = (d)[2 * d_step] - (d)[d_step];                                                           \
        (t)[3 * t_step] = (d)[d_step] - (d)[3 * d_step];                                                           \
    } while (0)

/* y = A' m */
#define OUTPUT_1D(y, y_step, m, m_step)                                                                            \
    do {                                                                                                           \
        (y)[0] = (m)[0] + (m)[m_step] + (m)[2 * m_step];                                                           \
        (y)[y_step] = (m)[m_step] - (m)[2 * m_step] - (m)[3 * m_step];                                             \
    } while (0)

/* Channels from c on, `lanes` at a time: columns first, then rows. */
#define INPUT(lanes)                                                                                               \
    for (; c + lanes <= channels; c += lanes) {                                                                    \
        x##lanes d[XI], t[XI], row[SIDE];                                                                          \
        UNROLL for (int xi = 0; xi < XI; xi++) d[xi] = *(const x##lanes *)(pixels[xi] + c);                        \
        UNROLL for (int j = 0; j < SIDE; j++) INPUT_1D(t + j, SIDE, d + j, SIDE);                                  \
        UNROLL for (int i = 0; i < SIDE; i++) {                                                                    \
            INPUT_1D(row, 1, t + i * SIDE, 1);                                                                     \
            UNROLL for (int j = 0; j < SIDE; j++) *(x##lanes *)(v + (i * SIDE + j) * plane + c) = row[j];          \
        }                                                                                                          \
    }

#define OUTPUT(lanes)                                                                                              \
    for (; c + lanes <= channels; c += lanes) {                                                                    \
        x##lanes d[XI], t[OUTPUTS * SIDE], y[OUTPUTS], b = { 0 };                                                  \
        if (bias)                                                                                                  \
            b = *(const x##lanes *)(bias + c);                                                                     \
        UNROLL for (int xi = 0; xi < XI; xi++) d[xi] = *(const x##lanes *)(m + xi * plane + c);                    \
        UNROLL for (int j = 0; j < SIDE; j++) OUTPUT_1D(t + j, SIDE, d + j, SIDE);                                 \
        UNROLL for (int i = 0; i < OUTPUTS; i++) {                                                                 \
            OUTPUT_1D(y, 1, t + i * SIDE, 1);                                                                      \
            UNROLL for (int j = 0; j < OUTPUTS; j++)                                                               \
                *(x##lanes *)(pixels[i * OUTPUTS + j] + c) = y[j] + b;                                             \
        }                                                                                                          \
    }

#define TRANSFORMS(isa, WIDEST)                                                                                    \
    winograd_input_micro winograd_input_##isa;                                                                     \
    winograd_output_micro winograd_output_##isa;                                                                   \
    TARGET_##isa void winograd_input_##isa(const float *const *pixels, int64_t channels, float *v, int64_t plane)  \
    {                                                                                                              \
        int64_t c = 0;                                                                                             \
        WIDEST(INPUT) INPUT(4) INPUT(1)                                                                            \
    }                                                                                                              \
    TARGET_##isa void winograd_output_##isa(const float *m, int64_t plane, const float *bias, int64_t channels,    \
                                            float *const *pixels)                                                  \
    {                                                                                                              \
        int64_t c = 0;                                                                                             \
        WIDEST(OUTPUT) OUTPUT(4) OUTPUT(1)                                                                         \
    }

#define FROM_4(DO)
#define FROM_8(DO) DO(8)
#define FROM_16(DO) DO(16) DO(8)
TRANSFORMS(scalar, FROM_4)
HAVE_avx2(TRANSFORMS(avx2, FROM_8))
HAVE_avx512(TRANSFORMS(avx512, FROM_16))

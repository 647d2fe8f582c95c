/* conv2d_input_grad: the micro-kernels of conv2d under its name. The gradient of the images is itself a convolution,
 * of the gradients with the filters turned round (Dumoulin & Visin 2016, section 4); nn/kernels/conv2d_input_grad.py
 * says which, and calls nn_conv2d. */
#include "registry.h"

#define AS_CONV2D(conv2d_name, name)                                                                                 \
    void name(int64_t taps, int64_t steps, const void *const *rows, const void *const *b, void *tile)              \
    {                                                                                                              \
        conv2d_name(taps, steps, rows, b, tile);                                                                   \
    }
AS_CONV2D(conv2d_scalar_2x16, conv2d_input_grad_scalar_2x16)
#if NN_X86
AS_CONV2D(conv2d_6x16_avx2, conv2d_input_grad_6x16_avx2)
AS_CONV2D(conv2d_4x16_avx2, conv2d_input_grad_4x16_avx2)
AS_CONV2D(conv2d_6x64_avx512, conv2d_input_grad_6x64_avx512)
AS_CONV2D(conv2d_8x32_avx512, conv2d_input_grad_8x32_avx512)
AS_CONV2D(conv2d_4x64_avx512, conv2d_input_grad_4x64_avx512)
#endif

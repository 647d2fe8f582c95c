/* Rows of bytes from one matrix to another: parts of arrays that do not lie in one piece, as where arrays are set end to
   end along an axis that is not the first. */
#include "device.h"

template <class Word>
__global__ void copy_rows(int64_t words, int64_t width, const Word *from, int64_t from_pitch, Word *to, int64_t to_pitch) {
    const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < words; i += step) {
        const int64_t row = i / width, at = i - row * width;
        to[row * to_pitch + at] = from[row * from_pitch + at];
    }
}

template <class Word>
static int copy(int64_t rows, int64_t width, const void *from, int64_t from_pitch, void *to, int64_t to_pitch, void *stream) {
    const int64_t size = sizeof(Word), words = rows * (width / size), blocks = min(ceil_div(words, 256), int64_t{1} << 16);
    LAUNCH(copy_rows<Word>, dim3(static_cast<unsigned>(blocks)), dim3(256), 0, stream, words, width / size,
           static_cast<const Word *>(from), from_pitch / size, static_cast<Word *>(to), to_pitch / size);
    return launched();
}

/* All widths and pitches in bytes. It copies 16 at once where all begin at a multiple of that, else 4, else each. */
API int nn_cuda_copy_rows(int64_t rows, int64_t width, const void *from, int64_t from_pitch, void *to, int64_t to_pitch,
                          void *stream) {
    const int64_t all = width | from_pitch | to_pitch | static_cast<int64_t>(reinterpret_cast<uintptr_t>(from)) |
                        static_cast<int64_t>(reinterpret_cast<uintptr_t>(to));
    if (all % 16 == 0) return copy<uint4>(rows, width, from, from_pitch, to, to_pitch, stream);
    if (all % 4 == 0) return copy<uint32_t>(rows, width, from, from_pitch, to, to_pitch, stream);
    return copy<uint8_t>(rows, width, from, from_pitch, to, to_pitch, stream);
}

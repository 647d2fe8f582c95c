/* pointwise: a short list of instructions that every element runs, so that operations that follow one another read and
   write memory once.

   y = max(x * scale + shift, 0) by three kernels moves 6 numbers for each element through memory, where one would move 2;
   and memory is all that such kernels wait for. So Python keeps a list of what is asked of equally large arrays
   (nn/cuda/pending.py), and one launch runs it:

       0 = read x   1 = read scale   2 = multiply 0, 1   3 = read shift   4 = add 2, 3   5 = read 0.0   6 = maximum 4, 5
       write 6

   The numbers are the slots that hold the results, four elements of each thread, in shared memory: there a slot can be
   chosen at run time, registers can't be. A thread reads its own 16 bytes only, next to those of the next thread, so
   there are no bank conflicts and no barrier. An instruction is decoded once for four elements and costs about 20
   instructions of the device, 5 an element; an H200 starts 17e12 a second and reads 1.2e12 floats, so up to 3
   instructions for a number read cost nothing. A block of 128 threads and 8 slots takes 16 KB: 14 blocks, or 1792 of the
   2048 threads that a multiprocessor holds. */
#include "device.h"

constexpr int THREADS = 128, LANES = 4;

/* Of an array: float32, int32, uint8 or bool, int8. Of what is read: one number for all. Of what is written: one int32, to
   which is added how many of the elements are 0. */
enum Kind { FLOAT, INT, BYTE, CHAR, NUMBER, ZEROS };

/* What an instruction makes of floats x, y or integers i, j, of 32 bits. Comparisons make 1 or 0. */
#define INSTRUCTIONS(OF)                                                                                              \
    OF(add_float, real(x + y)) OF(subtract_float, real(x - y)) OF(multiply_float, real(__fmul_rn(x, y)))              \
    OF(divide_float, real(__fdiv_rn(x, y)))                                                                           \
    OF(maximum_float, real(x >= y || x != x ? x : y)) OF(minimum_float, real(x <= y || x != x ? x : y))               \
    OF(negative_float, real(-x)) OF(absolute_float, real(fabsf(x))) OF(sqrt_float, real(sqrtf(x)))                    \
    OF(exp_float, real(expf(x))) OF(log_float, real(logf(x))) OF(tanh_float, real(tanhf(x)))                          \
    OF(erf_float, real(erff(x))) OF(rint_float, real(rintf(x)))                                                       \
    OF(less_float, x < y) OF(less_equal_float, x <= y) OF(equal_float, x == y) OF(isfinite_float, x - x == 0)         \
    OF(add_int, u + v) OF(subtract_int, u - v) OF(multiply_int, u * v)                                                \
    OF(maximum_int, i > j ? u : v) OF(minimum_int, i < j ? u : v)                                                     \
    OF(negative_int, 0 - u) OF(absolute_int, i < 0 ? 0 - u : u) OF(right_shift_int, i >> min(v, 31u))                 \
    OF(less_int, i < j) OF(less_equal_int, i <= j) OF(equal_int, i == j)                                              \
    OF(to_float, real(static_cast<float>(i)))                                                                         \
    OF(difference_to_float, real(static_cast<float>(static_cast<int64_t>(i) - j)))                                    \
    OF(to_int, static_cast<uint32_t>(static_cast<int>(x)))                  \
    OF(to_byte, u & 255) OF(to_char, static_cast<uint32_t>(static_cast<int8_t>(u & 255)))                             \
    OF(to_bool, u != 0) OF(to_bool_of_float, x != 0)

API_TYPE typedef struct {
    const void *at;                                      // null: `number`, by its bits
    int kind;
    unsigned number;
    int flat;                                            // element i of the result meets number i; else by the strides
    int64_t strides[6];                                  // in numbers, of each axis
} nn_cuda_read;
API_TYPE typedef struct {
    void *at;
    int kind, slot;
} nn_cuda_write;
API_TYPE typedef struct { int op, to, a, b; } nn_cuda_instruction;       // op -1: read number a
API_TYPE typedef struct {
    int64_t size, sizes[6];                              // of the result
    int axes, instructions, writes, slots, aligned;      // whether all that is flat starts at a boundary of 16 bytes
    nn_cuda_read read[12];
    nn_cuda_instruction instruction[32];
    nn_cuda_write write[8];
} nn_cuda_pointwise;

enum Operation {
#define NAME(name, value) name,
    INSTRUCTIONS(NAME)
#undef NAME
};

__device__ inline uint32_t real(float x) { return static_cast<uint32_t>(__float_as_int(x)); }

__device__ inline uint32_t number_at(const nn_cuda_read &from, int64_t at) {
    switch (from.kind) {
        case FLOAT: return real(static_cast<const float *>(from.at)[at]);
        case INT: return static_cast<uint32_t>(static_cast<const int32_t *>(from.at)[at]);
        case BYTE: return static_cast<const uint8_t *>(from.at)[at];
        case CHAR: return static_cast<uint32_t>(static_cast<int>(static_cast<const int8_t *>(from.at)[at]));
        default: return from.number;
    }
}

/* Four numbers of the elements first..first+3; those beyond the last are 0. */
__device__ inline void read(const nn_cuda_pointwise &list, const nn_cuda_read &from, int64_t first, uint32_t (&r)[LANES]) {
    const int count = static_cast<int>(min(list.size - first, static_cast<int64_t>(LANES)));
    if (from.kind == NUMBER || from.flat) {
        if (list.aligned && count == LANES && from.kind <= INT) {
            const uint4 four = reinterpret_cast<const uint4 *>(from.at)[first / LANES];
            r[0] = four.x, r[1] = four.y, r[2] = four.z, r[3] = four.w;
        } else if (list.aligned && count == LANES && from.kind <= CHAR) {
            const uchar4 four = reinterpret_cast<const uchar4 *>(from.at)[first / LANES];
            r[0] = four.x, r[1] = four.y, r[2] = four.z, r[3] = four.w;
            if (from.kind == CHAR)
                for (uint32_t &one : r) one = static_cast<uint32_t>(static_cast<int>(static_cast<int8_t>(one)));
        } else {
            for (int l = 0; l < LANES; ++l) r[l] = l < count ? number_at(from, first + l) : 0;
        }
        return;
    }
    int64_t place[6], rest = first, at = 0;              // where the first lies; the next ones are found by counting on
    for (int axis = list.axes - 1; axis >= 0; --axis) {
        const int64_t size = list.sizes[axis], more = rest / size;
        place[axis] = rest - more * size, rest = more;
        at += place[axis] * from.strides[axis];
    }
    for (int l = 0; l < LANES; ++l) {
        r[l] = l < count ? number_at(from, at) : 0;
        for (int axis = list.axes - 1; axis >= 0; --axis) {
            at += from.strides[axis];
            if (++place[axis] < list.sizes[axis]) break;
            at -= place[axis] * from.strides[axis], place[axis] = 0;
        }
    }
}

__device__ inline void write(const nn_cuda_pointwise &list, const nn_cuda_write &to, int64_t first, const uint4 &four) {
    const uint32_t r[LANES] = {four.x, four.y, four.z, four.w};
    const bool whole = list.aligned && list.size - first >= LANES;
    if (to.kind == ZEROS) {
        for (int l = 0; l < LANES && first + l < list.size; ++l)
            if (!r[l]) atomicAdd(static_cast<int *>(to.at), 1);
    } else if (whole && to.kind <= INT) {
        static_cast<uint4 *>(to.at)[first / LANES] = four;
    } else if (whole) {
        static_cast<uchar4 *>(to.at)[first / LANES] = make_uchar4(static_cast<uint8_t>(r[0]), static_cast<uint8_t>(r[1]),
                                                                  static_cast<uint8_t>(r[2]), static_cast<uint8_t>(r[3]));
    } else {
        for (int l = 0; l < LANES && first + l < list.size; ++l)
            if (to.kind <= INT) static_cast<uint32_t *>(to.at)[first + l] = r[l];
            else static_cast<uint8_t *>(to.at)[first + l] = static_cast<uint8_t>(r[l]);
    }
}

__device__ inline void run(int op, const uint32_t (&a)[LANES], const uint32_t (&b)[LANES], uint32_t (&r)[LANES]) {
#define CASE(name, value)                                                                                             \
    case name:                                                                                                        \
        for (int l = 0; l < LANES; ++l) {                                                                             \
            [[maybe_unused]] const uint32_t u = a[l], v = b[l];                                                       \
            [[maybe_unused]] const int i = static_cast<int>(u), j = static_cast<int>(v);                              \
            [[maybe_unused]] const float x = __int_as_float(i), y = __int_as_float(j);                                \
            r[l] = static_cast<uint32_t>(value);                                                                      \
        }                                                                                                             \
        break;
    switch (op) { INSTRUCTIONS(CASE) }
#undef CASE
}

__global__ void pointwise(const nn_cuda_pointwise list) {
    DYNAMIC_SHARED(memory);
    uint4 *slots = reinterpret_cast<uint4 *>(memory) + threadIdx.x;      // slot s of this thread: slots[s * THREADS]
    const int64_t step = static_cast<int64_t>(gridDim.x) * THREADS * LANES;
    for (int64_t first = (static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x) * LANES; first < list.size;
         first += step) {
        for (int n = 0; n < list.instructions; ++n) {
            const nn_cuda_instruction now = list.instruction[n];
            uint32_t r[LANES] = {};
            if (now.op < 0) {
                read(list, list.read[now.a], first, r);
            } else {
                const uint4 p = slots[now.a * THREADS], q = slots[now.b * THREADS];
                const uint32_t a[LANES] = {p.x, p.y, p.z, p.w}, b[LANES] = {q.x, q.y, q.z, q.w};
                run(now.op, a, b, r);
            }
            slots[now.to * THREADS] = make_uint4(r[0], r[1], r[2], r[3]);
        }
        for (int n = 0; n < list.writes; ++n) write(list, list.write[n], first, slots[list.write[n].slot * THREADS]);
    }
}

/* The names of the instructions, in the order of their numbers. */
API const char *nn_cuda_pointwise_names(void) {
    return
#define NAME(name, value) #name " "
        INSTRUCTIONS(NAME);
#undef NAME
}

API int nn_cuda_pointwise_run(nn_cuda_pointwise *list, void *stream) {
    const int64_t blocks = ceil_div(list->size, THREADS * LANES);
    const size_t bytes = static_cast<size_t>(list->slots) * THREADS * sizeof(uint4);
    const nn_cuda_pointwise all = *list;
    LAUNCH(pointwise, dim3(static_cast<unsigned>(min(blocks, int64_t{1} << 16))), dim3(THREADS), bytes, stream, all);
    return launched();
}

/* CUDA's short vectors. One is read and written as a whole, from a boundary of its own size on. */
#pragma once

#include <cstdint>

struct uint3 { unsigned x, y, z; };
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

#define VECTORS(name, type)                                                                          \
    struct alignas(2 * sizeof(type)) name##2 { type x, y; };                                         \
    struct alignas(4 * sizeof(type)) name##4 { type x, y, z, w; };                                   \
    constexpr name##2 make_##name##2(type x, type y) { return {x, y}; }                              \
    constexpr name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
VECTORS(int, int)
VECTORS(uint, unsigned)
VECTORS(float, float)
VECTORS(char, signed char)
VECTORS(uchar, unsigned char)
#undef VECTORS

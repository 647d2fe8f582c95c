/* Weights in few bits on the device: how codes lie in memory, and what they stand for.

   Columns of W (K, N) are together by eight, a panel; k by 32, a unit. A unit of one column is BITS words. Four codes
   of neighbouring k are a quad, bytes of one word when they are decoded, eight quads a unit:

       4 bits     word i    = quad 2 i | quad 2 i + 1 << 4                       one load of 16 bytes
       8 bits     word g    = quad g                                             two
       2 bits     word i    = quad 4 i | .. + 1 << 2 | .. + 2 << 4 | .. + 3 << 6     one of 8 bytes
       3 bits     two words of the lower two bits of each code, as above, and one: bit 2 of quad g, << g

   so a shift and an AND make a quad (of 3 bits, twice that and an OR). In a panel's unit the words that are read
   together lie together, column after column: eight lanes of a warp read 128 bytes of 4-bit codes in one piece, four
   units 512.

   W itself is one of two things, which the kernels here and in coded_few.h, coded_tiles.h are templates of:

       Scaled<BITS>      scale of the block of k and the column, times code - zero of the same (nbit_gemm)
       Looked<BITS>      a number of a codebook (codebook_gemm)

   Of a unit they know a scale, and what a code is before that: a float, or a signed byte. */
#pragma once

#include "device.h"

constexpr int UNIT = 32, PANEL = 8, QUADS = 8;

template <int BITS> struct Codes { uint32_t word[BITS]; };

/* A unit of a column. at: the panel's first unit, and this one's number from there. */
template <int BITS> __device__ inline Codes<BITS> codes_of(const uint32_t *codes, int64_t at, int column) {
    Codes<BITS> c;
    codes += at * PANEL * BITS;
    if constexpr (BITS >= 4) {
        for (int i = 0; i < BITS; i += 4) {
            const uint4 four = *reinterpret_cast<const uint4 *>(codes + i * PANEL + column * 4);
            c.word[i] = four.x, c.word[i + 1] = four.y, c.word[i + 2] = four.z, c.word[i + 3] = four.w;
        }
    } else {
        const uint2 two = *reinterpret_cast<const uint2 *>(codes + column * 2);
        c.word[0] = two.x, c.word[1] = two.y;
        if constexpr (BITS == 3) c.word[2] = codes[2 * PANEL + column];
    }
    return c;
}

template <int BITS> __device__ inline uint32_t quad_of(const Codes<BITS> &c, int g) {
    if constexpr (BITS == 8) return c.word[g];
    if constexpr (BITS == 4) return c.word[g / 2] >> 4 * (g % 2) & 0x0F0F0F0F;
    const uint32_t low = c.word[g / 4] >> 2 * (g % 4) & 0x03030303;
    if constexpr (BITS == 3) return low | (c.word[2] >> g & 0x01010101) << 2;
    return low;
}

/* One quad of a unit, from memory. */
template <int BITS> __device__ inline uint32_t quad_at(const uint32_t *codes, int64_t at, int column, int g) {
    codes += at * PANEL * BITS;
    if constexpr (BITS == 8) return codes[g / 4 * 4 * PANEL + column * 4 + g % 4];
    if constexpr (BITS == 4) return codes[column * 4 + g / 2] >> 4 * (g % 2) & 0x0F0F0F0F;
    const uint32_t low = codes[column * 2 + g / 4] >> 2 * (g % 4) & 0x03030303;
    if constexpr (BITS == 3) return low | (codes[2 * PANEL + column] >> g & 0x01010101) << 2;
    return low;
}

/* Byte i of a quad. */
__device__ inline uint32_t byte_of(uint32_t quad, int i) { return quad >> 8 * i & 255; }

API_TYPE typedef struct {
    const uint32_t *codes;      // (panels, units, 8 BITS) words
    const float *scales;        // (blocks, N)
    const uint8_t *zeros;       // (blocks, N), as codes
    int n, k, units, shift;     // 2^shift units are a block: a division would cost more than all else
} nn_cuda_scaled;

template <int BITS_> struct Scaled {
    static constexpr int BITS = BITS_, TABLE = 0;
    nn_cuda_scaled w;

    struct Unit { float scale, zero; uint32_t zeros; };
    __device__ void fill_floats(unsigned char *) const {}
    __device__ void fill_bytes(unsigned char *) const {}
    __device__ Unit unit(int u, int column) const {
        const int64_t at = static_cast<int64_t>(u >> w.shift) * w.n + column;
        const uint32_t zero = w.zeros[at];
        return {w.scales[at], 8388608.0f + static_cast<float>(zero), zero * 0x01010101};
    }
    __device__ float scale(int block, int column) const { return w.scales[static_cast<int64_t>(block) * w.n + column]; }
    /* The four bytes 4B 00 00 cc are the float 2^23 + code; what is taken from it leaves code - zero, exact. */
    __device__ float number(const Unit &unit, uint32_t quad, int i, const unsigned char *) const {
        return __int_as_float(static_cast<int>(__byte_perm(quad, 0x4B000000, 0x7440 | i))) - unit.zero;
    }
    /* code - zero in each byte: 128 is added before, and taken away after, so that none borrows from the next. */
    __device__ uint32_t bytes(const Unit &unit, uint32_t quad, const unsigned char *) const {
        return ((quad | 0x80808080) - unit.zeros) ^ 0x80808080;
    }
};

API_TYPE typedef struct {
    const uint32_t *codes;
    const float *codebook;      // size numbers
    const int8_t *rounded;      // the same as integers, times scale: the codebook
    float scale;
    int n, k, units, shift, size;       // of which all units are one
} nn_cuda_looked;

/* A codebook lies in shared memory. 16 floats are in 16 banks: whatever codes the lanes of a warp have, no two want
   different words of one bank. Of 256 floats eight lie in each bank, and 32 lanes with random codes wait for 3.1 words
   of the fullest (by simulation). So a kernel that looks up much has COPIES = 32 of each number, side by side, 32 KB:
   lane i reads copy i, which is bank i. (8 copies are not worth their room: 2.9.) As bytes 256 are 64 words: 2. */
template <int BITS_, int COPIES = 1> struct Looked {
    static constexpr int BITS = BITS_, NUMBERS = 1 << BITS, TABLE = NUMBERS * COPIES * 4;
    nn_cuda_looked w;

    struct Unit { float scale; };
    __device__ Unit unit(int, int) const { return {1.0f}; }
    __device__ float scale(int, int) const { return w.scale; }
    __device__ float number(const Unit &, uint32_t quad, int i, const unsigned char *table) const {
        return reinterpret_cast<const float *>(table)[byte_of(quad, i) * COPIES + threadIdx.x % COPIES];
    }
    __device__ uint32_t bytes(const Unit &, uint32_t quad, const unsigned char *table) const {
        uint32_t found = 0;
        for (int i = 0; i < 4; ++i) found |= static_cast<uint32_t>(table[byte_of(quad, i)]) << 8 * i;
        return found;
    }
    __device__ void fill_floats(unsigned char *table) const {
        for (int i = threadIdx.x; i < NUMBERS * COPIES; i += blockDim.x)
            reinterpret_cast<float *>(table)[i] = i / COPIES < w.size ? w.codebook[i / COPIES] : 0.0f;
    }
    __device__ void fill_bytes(unsigned char *table) const {
        for (int i = threadIdx.x; i < NUMBERS; i += blockDim.x)
            table[i] = i < w.size ? static_cast<unsigned char>(w.rounded[i]) : 0;
    }
};

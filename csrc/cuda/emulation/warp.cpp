/* What a warp does together, in plain code: the matrices are put together from the registers of all lanes, in the order
   that mma.h draws, and taken apart again. */
#include "../mma.h"

#include "memory.h"

using namespace emulated;

namespace emulated {
void copies_arrive(unsigned but) { land(but); }
}

void cp_async16(void *shared, const void *global, int read) { copy_later(shared, global, 16, static_cast<size_t>(read)); }
void cp_async_commit() { ++current->groups; }

template <bool A_UNSIGNED> int32_t dp4a(uint32_t a, uint32_t b, int32_t c) {
    for (int i = 0; i < 32; i += 8) {
        const uint32_t x = a >> i & 255;
        c += (A_UNSIGNED ? static_cast<int32_t>(x) : static_cast<int8_t>(x)) * static_cast<int8_t>(b >> i & 255);
    }
    return c;
}
template int32_t dp4a<true>(uint32_t, uint32_t, int32_t);
template int32_t dp4a<false>(uint32_t, uint32_t, int32_t);

/* Eight rows of 16 bytes come in one step if no two of them lie in the same of the eight groups of four banks. */
static void count_conflicts(const uintptr_t rows[8]) {
    bool taken[8] = {};
    for (int i = 0; i < 8; ++i) {
        bool &mine = taken[rows[i] / 16 % 8], same = false;
        for (int j = 0; j < i; ++j) same |= rows[j] == rows[i];
        counts.bank_conflicts += mine && !same;
        mine = true;
    }
}

struct Rows { const void *row; uint32_t *r; };

template <int MATRICES> static void load_matrices(uint32_t *r, const void *row) {
    if (!is_shared(row)) fail("ldmatrix reads what is no shared memory");
    if (reinterpret_cast<uintptr_t>(row) % 16) fail("ldmatrix reads a row from an address that is no multiple of 16");
    Rows mine = {row, r};
    if (current->lane < 8 * MATRICES) accesses(row, 16, READ);
    together("ldmatrix", &mine, [](void *of_lane[WARP]) {
        for (int j = 0; j < MATRICES; ++j) {
            uintptr_t rows[8];
            for (int i = 0; i < 8; ++i) rows[i] = reinterpret_cast<uintptr_t>(static_cast<Rows *>(of_lane[8 * j + i])->row);
            count_conflicts(rows);
            for (int lane = 0; lane < WARP; ++lane)
                memcpy(static_cast<Rows *>(of_lane[lane])->r + j, reinterpret_cast<const char *>(rows[lane / 4]) + lane % 4 * 4, 4);
        }
    });
}
void ldmatrix_x4(uint32_t (&r)[4], const void *row) { load_matrices<4>(r, row); }
void ldmatrix_x2(uint32_t (&r)[2], const void *row) { load_matrices<2>(r, row); }

template <class Sum> struct Mma { Sum *d; const uint32_t *a, *b; };

/* D += A B, where `a(bits, i)` is number i of a register and PER of them are in one. */
template <class Sum, class Wide, int PER, class A, class B> static void multiply(void *of_lane[WARP], A number_a, B number_b) {
    ++counts.products;
    constexpr int K = 8 * PER;
    Wide a[16][K], b[K][8];
    for (int lane = 0; lane < WARP; ++lane) {
        const Mma<Sum> &m = *static_cast<Mma<Sum> *>(of_lane[lane]);
        const int g = lane / 4, t = lane % 4 * PER;
        for (int i = 0; i < PER; ++i) {
            for (int r = 0; r < 4; ++r) a[g + r % 2 * 8][r / 2 * 4 * PER + t + i] = number_a(m.a[r], i);
            for (int r = 0; r < 2; ++r) b[r * 4 * PER + t + i][g] = number_b(m.b[r], i);
        }
    }
    for (int lane = 0; lane < WARP; ++lane) {
        const Mma<Sum> &m = *static_cast<Mma<Sum> *>(of_lane[lane]);
        for (int r = 0; r < 4; ++r) {
            Wide sum = m.d[r];
            for (int k = 0; k < K; ++k) sum += a[lane / 4 + r / 2 * 8][k] * b[k][lane % 4 * 2 + r % 2];
            m.d[r] = static_cast<Sum>(sum);
        }
    }
}

template <bool UNSIGNED> static int64_t byte_of(uint32_t bits, int i) {
    const uint8_t byte = bits >> 8 * i & 255;
    return UNSIGNED ? byte : static_cast<int8_t>(byte);
}
static double half_of(uint32_t bits, int i) { return __half2float({static_cast<uint16_t>(bits >> 16 * i & 0xffff)}); }
static double tf32_of(uint32_t bits, int) { return __int_as_float(static_cast<int>(bits & 0xffffe000)); }

template <bool A_UNSIGNED> void mma_m16n8k32(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    Mma<int32_t> mine = {d, a, b};
    together("mma.m16n8k32", &mine, [](void *of_lane[WARP]) {
        multiply<int32_t, int64_t, 4>(of_lane, byte_of<A_UNSIGNED>, byte_of<false>);
    });
}
template void mma_m16n8k32<true>(int32_t (&)[4], const uint32_t (&)[4], const uint32_t (&)[2]);
template void mma_m16n8k32<false>(int32_t (&)[4], const uint32_t (&)[4], const uint32_t (&)[2]);

void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    Mma<float> mine = {d, a, b};
    together("mma.m16n8k16", &mine, [](void *of_lane[WARP]) { multiply<float, double, 2>(of_lane, half_of, half_of); });
}

void mma_m16n8k8(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    Mma<float> mine = {d, a, b};
    together("mma.m16n8k8", &mine, [](void *of_lane[WARP]) { multiply<float, double, 1>(of_lane, tf32_of, tf32_of); });
}

/* Half of the last bit that stays is added to the magnitude; NaN and infinity stay what they are. */
uint32_t to_tf32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return (bits & 0x7f800000) == 0x7f800000 ? bits : (bits + 0x1000) & 0xffffe000;
}

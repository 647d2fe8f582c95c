/* mma.sp in plain code: A, of which two of four are there, is put at its places (mma.h draws the registers). */
#include "../mma.h"

#include "fibers.h"

using namespace emulated;

struct Sparse {
    int32_t *d;
    const uint32_t *a, *b;
    uint32_t places;
};

static const Sparse &of(void *const *of_lane, int lane) { return *static_cast<Sparse *>(of_lane[lane]); }

template <bool B_UNSIGNED> static void multiply(void *of_lane[WARP]) {
    int64_t a[16][64] = {}, b[64][8];
    for (int row = 0; row < 16; ++row)
        for (int kept = 0; kept < 32; ++kept) {
            const int g = row % 8, low = row / 8;                           // register low + 2 * high of lane 4g + t
            const uint32_t number = of(of_lane, 4 * g + kept % 16 / 4).a[low + kept / 16 * 2] >> kept % 4 * 8;
            const uint32_t places = of(of_lane, 4 * g + low + kept / 16 * 2).places >> kept % 16 / 2 * 4 & 15;
            if ((places & 3) >= places >> 2)
                fail("mma.sp is told of places %u and %u, which do not rise", places & 3, places >> 2);
            a[row][kept / 2 * 4 + (kept % 2 ? places >> 2 : places & 3)] = static_cast<int8_t>(number & 255);
        }
    for (int k = 0; k < 64; ++k)
        for (int column = 0; column < 8; ++column) {
            const uint32_t number = of(of_lane, 4 * column + k % 16 / 4).b[k / 16] >> k % 4 * 8 & 255;
            b[k][column] = B_UNSIGNED ? static_cast<int64_t>(number) : static_cast<int8_t>(number);
        }
    for (int lane = 0; lane < WARP; ++lane)
        for (int i = 0; i < 4; ++i) {
            int64_t sum = of(of_lane, lane).d[i];
            for (int k = 0; k < 64; ++k) sum += a[lane / 4 + i / 2 * 8][k] * b[k][lane % 4 * 2 + i % 2];
            of(of_lane, lane).d[i] = static_cast<int32_t>(sum);
        }
}

template <bool B_UNSIGNED> void mma_sp_m16n8k64(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[4],
                                                uint32_t places) {
    Sparse mine = {d, a, b, places};
    together("mma.sp.m16n8k64", &mine, multiply<B_UNSIGNED>);
}
template void mma_sp_m16n8k64<true>(int32_t (&)[4], const uint32_t (&)[4], const uint32_t (&)[4], uint32_t);
template void mma_sp_m16n8k64<false>(int32_t (&)[4], const uint32_t (&)[4], const uint32_t (&)[4], uint32_t);

/* mma of bits in plain code (mma.h draws the registers). */
#include "../mma.h"

#include "fibers.h"

using namespace emulated;

struct Bits {
    int32_t *d;
    const uint32_t *a, *b;
};

void mma_m16n8k256(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    Bits mine = {d, a, b};
    together("mma.m16n8k256", &mine, [](void *of_lane[WARP]) {
        const auto of = [&](int lane) -> Bits & { return *static_cast<Bits *>(of_lane[lane]); };
        for (int lane = 0; lane < WARP; ++lane)
            for (int i = 0; i < 4; ++i)
                for (int word = 0; word < 8; ++word) {
                    const uint32_t row = of(lane / 4 * 4 + word % 4).a[word / 4 * 2 + i / 2];
                    const uint32_t column = of((lane % 4 * 2 + i % 2) * 4 + word % 4).b[word / 4];
                    of(lane).d[i] += __popc(row & column);
                }
    });
}

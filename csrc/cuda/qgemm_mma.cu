/* qgemm on tensor cores: a warp multiplies 16 x 32 by 32 x 8 numbers with one instruction (int8_tiles.h). */
#include "int8_tiles.h"
#include "qgemm.h"

/* Rung 2, mma: tiles of 64 x 64, four warps of 32 x 32. For 64 bytes of k a block copies (64 + 64) * 64 = 8 KB and does
   2 * 64^3 operations: 64 a byte. An L2 cache that gives 5 to 7 TB/s (what others report of H100) feeds 320 to 450 TOPS
   with that, of 1979. And a warp reads (32 + 32) * 32 = 2 KB of shared memory for 8 instructions, 16 cycles of the 128
   bytes that shared memory gives in one. Larger tiles help with both: the next rung. This one is for results so small
   that large tiles would leave multiprocessors without one: 1024 x 1024 are 256 tiles.

   Rung 3, mma_wide: tiles of 128 x 256, eight warps of 64 x 64, whose sums fill half of the registers (248 a thread,
   none spilled). 24 KB for 2 * 128 * 256 * 64 operations: 171 a byte, 850 to 1200 TOPS of such an L2 cache; and 4 KB of
   shared memory serve 32 instructions, twice as many a byte. Of the main loop's 145 instructions 64 are products, 16
   ldmatrix, 6 copies. Four stages are 96 KB, one block a multiprocessor, also where there are 99 KB (sm_86, sm_89). On
   Hopper mma.sync itself reaches only some 60 % of the peak, which is wgmma's. */
typedef Int8Tile<2, 2, 32, 32, 4> Small;
typedef Int8Tile<2, 4, 64, 64, 4> Wide;

template <class Tile, bool A_UNSIGNED>
__global__ void __launch_bounds__(Tile::THREADS, Tile::THREADS == 128 ? 4 : 1)
    qgemm_mma(nn_cuda_operands c, nn_cuda_zero_points zero, nn_cuda_requantize how) {
    DYNAMIC_SHARED(memory);
    const TileAt at = tile_of_block<Tile>(c.m, c.n);
    const MatrixRows a = {c.a, c.m, c.a_stride}, b = {reinterpret_cast<const uint8_t *>(c.b), c.n, c.kp};
    typename Tile::Sums sums;
    multiply_tile<Tile, A_UNSIGNED>(memory, a, b, at.row, at.column, c.k, sums);
    store_tile<Tile>(memory, sums, at.row, static_cast<int>(at.column), c.m, c.n, zero, how, c.out);
}

template <class Tile, bool A_UNSIGNED>
static int launch(const nn_cuda_operands &c, const nn_cuda_zero_points &zero, const nn_cuda_requantize &how,
                  void *stream) {
    const int status = announce(qgemm_mma<Tile, A_UNSIGNED>, Tile::BYTES);
    if (status) return status;
    LAUNCH((qgemm_mma<Tile, A_UNSIGNED>), tiles<Tile>(c.m, c.n), Tile::THREADS, Tile::BYTES, stream, c, zero, how);
    return launched();
}

API int nn_cuda_qgemm_mma(int wide, nn_cuda_operands *c, nn_cuda_zero_points *zero, nn_cuda_requantize *how,
                          void *stream) {
    const auto run = c->a_unsigned ? wide ? launch<Wide, true> : launch<Small, true>
                                   : wide ? launch<Wide, false> : launch<Small, false>;
    return run(*c, *zero, *how, stream);
}

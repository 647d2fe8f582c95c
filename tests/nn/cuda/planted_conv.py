"""Faults for convolutions, which a law or the emulation finds: (kernel, rung, file, as it is, with the
fault)."""

TILES, GEOMETRY, DEPTHWISE = "register_tiles.h", "convolution.h", "depthwise_tiles.h"

PLANTED = [
    # conv2d: a barrier too few, the buffer that is being read, a tile too far, a NaN that relu takes for 0
    ("conv2d", "tiles", TILES, "that was last\n        __syncthreads();", "that was last"),
    ("conv2d", "tiles", TILES, "put(0);\n    __syncthreads();", "put(0);"),
    ("conv2d", "tiles", TILES, "put(1 - buffer)", "put(buffer)"),
    ("conv2d", "tiles", "convolution_tiles.h", "of_group >= g.filters", "of_group > g.filters"),
    ("conv2d", "tiles", "convolution_tiles.h", "position < positions(g)", "position <= positions(g)"),
    ("conv2d", "tiles", "convolution_tiles.h", "min(tile.position + Mine::row(), positions(p.g) - 1)",
     "tile.position + Mine::row()"),
    ("conv2d", "tiles_wide", "convolution_tiles.h", "BETWEEN = 4 * WORDS - 16 * Tile::CHUNKS_A",
     "BETWEEN = 0"),
    ("conv2d", "tiles", GEOMETRY, "row < static_cast<uint32_t>(g.height)",
     "row <= static_cast<uint32_t>(g.height)"),
    ("conv2d", "tiles", GEOMETRY, "!inside || tap.a >= g.kernel_height", "!inside"),
    ("conv2d", "naive", GEOMETRY, "relu && y < 0 ? 0 : y", "relu ? fmaxf(y, 0) : y"),
    ("conv2d", "naive", "conv2d.cu", "if (at >= positions(g)", "if (at > positions(g)"),
    # qconv2d: padding that is not the zero point, a quotient rounded the wrong way, places of ldmatrix
    ("qconv2d", "tiles", GEOMETRY, " * 0x01010101u", ""),
    ("qconv2d", "tiles", "qconv2d.cu", "dp4a<true>", "dp4a<false>"),
    ("qconv2d", "mma", "qconv2d.cu", "borders + 16 * f.zero.a_zero", "borders"),
    ("qconv2d", "mma", "qconv2d.cu", "min(i, positions(p.g) - 1)", "i"),
    ("qconv2d", "mma", GEOMETRY, "(uint64_t{1} << shift) + by - 1", "(uint64_t{1} << shift)"),
    ("qconv2d", "mma", "int8_tiles.h", "of_a += place_of(lane % 16, half * 2 + lane / 16)",
     "of_a += lane % 16 * 64 + (half * 2 + lane / 16) * 16"),
    ("qconv2d", "mma", "int8_tiles.h", "cp_async_wait<Tile::STAGES - 2>", "cp_async_wait<Tile::STAGES - 1>"),
    ("qconv2d", "mma_wide", "qconv2d.cu", "at.column, row, sums", "at.column, row - 64, sums"),
    # depthwise: a barrier too few, a tile or an image too far, a pixel too few in shared memory
    ("depthwise_conv2d", "tiles", DEPTHWISE, "    __syncthreads();\n", ""),
    ("depthwise_conv2d", "tiles", DEPTHWISE, "line < tile.height", "line <= tile.height"),
    ("depthwise_conv2d", "tiles", DEPTHWISE, "i < g.out_height", "i <= g.out_height"),
    ("depthwise_conv2d", "tiles", DEPTHWISE, "pixel < tile.rows * tile.columns",
     "pixel < tile.rows * tile.columns - 1"),
    ("depthwise_conv2d", "tiles", DEPTHWISE, "inside && mine < pieces", "inside"),
    ("depthwise_conv2d", "tiles", DEPTHWISE, "at + i < bytes", "at + i <= bytes"),
    ("depthwise_conv2d", "naive", "depthwise_conv2d.cu", "if (at >= positions(g)", "if (at > positions(g)"),
    ("qdepthwise_conv2d", "tiles", "qdepthwise_conv2d.cu", "int8_t>(word_of", "uint8_t>(word_of"),
    ("qdepthwise_conv2d", "tiles", "qdepthwise_conv2d.cu", "& 255) << i % 4 * 8", "& 255) << i % 4 * 4"),
    ("qdepthwise_conv2d", "tiles", DEPTHWISE, "    __syncthreads();\n", ""),
]

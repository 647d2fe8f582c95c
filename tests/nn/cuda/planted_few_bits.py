"""Faults for nbit_gemm and codebook_gemm, which a law or the emulation finds."""

FEW, TILES, CODES = "coded_few.h", "coded_tiles.h", "codes.h"
PLANTED = [
    ("nbit_gemm", "naive", "coded.h", "row >= m || column >= w.w.n) return;\n    float sum", "row >= m) return;\n    float sum"),
    ("nbit_gemm", "naive", "activations.h", "rintf(", "roundf("),
    ("nbit_gemm", "few", CODES, "(c.word[2] >> g & 0x01010101) << 2", "(c.word[2] >> g & 0x01010101) << 1"),
    ("nbit_gemm", "few", FEW, "        __syncthreads();\n        UNROLL for (int i = 0; i < PER", "        UNROLL for (int i = 0; i < PER"),
    ("nbit_gemm", "few", FEW, "sum[r] += __shfl_xor_sync(~0u, sum[r], 16);", ""),
    ("nbit_gemm", "few", FEW, "u >= units || column", "u > units || column"),
    ("nbit_gemm", "few", FEW, "if (!(fabsf(scaled) <= 3.4028235e38f))", "if (fabsf(scaled) > 3.4028235e38f)"),
    ("nbit_gemm", "few", FEW, "if ((u & last) != last && u + 1 < units) continue;", "if ((u & last) != last) continue;"),
    ("nbit_gemm", "tiles", TILES, "if (u + 1 < units) step.read(w, m, a, u + 1);", "if (u + 1 < units) step.read(w, m, a, u);"),
    ("nbit_gemm", "tiles", TILES, "tile_a[(u + 1) % 2], tile_w[(u + 1) % 2], u + 1", "tile_a[u % 2], tile_w[u % 2], u + 1"),
    ("nbit_gemm", "tiles", TILES, "u * UNIT + k < w.w.k ? number", "u * UNIT + k <= w.w.k ? number"),
    ("nbit_gemm", "tiles", TILES, "cp_async_wait<0>();", "cp_async_wait<1>();"),
    ("nbit_gemm", "tiles", TILES, "half * 2 + lane / 8 % 2)", "half * 2 + lane / 16)"),
    ("nbit_gemm", "tiles", TILES, "dot[i][j][e] = 0;", ""),
    ("codebook_gemm", "few", CODES, "threadIdx.x % COPIES", "threadIdx.x % (COPIES + 1)"),
    ("codebook_gemm", "few", CODES, "i / COPIES < w.size", "i < w.size"),
    ("codebook_gemm", "tiles", TILES, "w.fill_bytes(table);\n    __syncthreads();", "w.fill_bytes(table);"),
]

"""Faults for qspmm_nm, spmm_nm and bgemm, which a law or the emulation finds."""

PLANTED = [
    ("qspmm_nm", "naive", "qspmm_nm.cu", "group * of + places", "group * kept + places"),
    ("qspmm_nm", "mma", "qspmm_nm.cu", "cp_async_wait<AHEAD - 1>();", "cp_async_wait<AHEAD>();"),
    ("qspmm_nm", "mma", "qspmm_nm.cu", "        __syncthreads();               // this stage", "        // this stage"),
    ("qspmm_nm", "mma", "qspmm_nm.cu", "(row >> 1 & 3)) * 16; }\n__device__ inline int piece_of_x", "(row & 3)) * 16; }\n__device__ inline int piece_of_x"),
    ("qspmm_nm", "mma", "qspmm_nm.cu", "(step + AHEAD) % Tile::STAGES * Tile::STAGE, step", "step % Tile::STAGES * Tile::STAGE, step"),
    ("qspmm_nm", "mma", "qspmm_nm.cu", "w0 / 16 + i) * 2 + half", "w0 / 16 + i) * 2"),
    ("qspmm_nm", "mma", "qspmm_nm.cu", "column0 + row < p.n;", "column0 + row <= p.n;"),
    ("qspmm_nm", "mma", "qspmm_nm.cu", "cp_async_wait<0>();\n    __syncthreads();", "cp_async_wait<0>();"),
    ("qspmm_nm", "mma_wide", "qspmm_nm.cu", "static_cast<uint32_t>(x_zero) *", "1u *"),
    ("spmm_nm", "naive", "spmm_nm.cu", "i / kept * of", "i / of * kept"),
    ("spmm_nm", "few", "spmm_nm.cu", "column < n && i < numbers", "i < numbers"),
    ("spmm_nm", "few", "spmm_nm.cu", "(i + j) / kept * of", "i / kept * of"),
    ("spmm_nm", "few", "spmm_nm.cu", "numbers % 4 == 0", "numbers > 4"),
    ("bgemm", "naive", "bgemm.cu", "i < words; ++i)\n        differ", "i <= words; ++i)\n        differ"),
    ("bgemm", "tiles", "bgemm.cu", "        __syncthreads();\n    }\n    UNROLL for (int i = 0; i < 8", "    }\n    UNROLL for (int i = 0; i < 8"),
    ("bgemm", "tiles", "bgemm.cu", "at < words ? b[", "at <= words ? b["),
    ("bgemm", "mma", "bgemm.cu", "cp_async_wait<MMA_STAGES - 2>();", "cp_async_wait<MMA_STAGES - 1>();"),
    ("bgemm", "mma", "bgemm.cu", "half * 2 + lane / 8 % 2)", "lane / 8 % 2)"),
    ("bgemm", "mma", "bgemm.cu", "stages[next % MMA_STAGES] + HALF_STAGE", "stages[step % MMA_STAGES] + HALF_STAGE"),
    ("bgemm", "mma", "bgemm.cu", "sum += __popc(rows", "sum = __popc(rows"),
]

"""Faults for half_gemm, which a law or the emulation finds: (kernel, rung, file, as it is, the fault)."""

OTHERS = "memory + step % T::STAGES * T::STAGE;\n        Fragments"

PLANTED = [
    ("half_gemm", "mma", "tensor_gemm.h", "wait<T::STAGES - 2>()", "wait<T::STAGES - 1>()"),
    ("half_gemm", "mma", "tensor_gemm.h", "        __syncthreads();\n", ""),
    ("half_gemm", "mma", "tensor_gemm.h", "copy(step + T::STAGES - 1);", "copy(step + T::STAGES);"),
    ("half_gemm", "mma", "tensor_gemm.h", OTHERS, OTHERS.replace("step", "(step + 1)")),
    ("half_gemm", "mma", "tensor_gemm.h", "first + row < rows &&", "first + row <= rows &&"),
    ("half_gemm", "mma", "tensor_gemm.h", "2 * step + lane / 16)", "2 * step + lane / 8 % 2)"),
    ("half_gemm", "mma", "tensor_gemm.h", "lane % 8 + lane / 16 * 8", "lane % 16"),
    ("half_gemm", "mma", "tensor_gemm.h", "x + 1 < n && n % 2 == 0", "x + 1 < n"),
    ("half_gemm", "mma", "tensor_gemm.h", "8 * half + lane / 4", "lane / 4 * 2 + half"),
    ("half_gemm", "mma", "tensor_gemm.h", "row * 128 +", "row * 112 +"),
    ("half_gemm", "mma", "tensor_gemm.h", "row & 7)) * 16", "row & 6)) * 16 / (1 + row % 2)"),
    ("half_gemm", "mma", "tensor_gemm.h", "% T::WARPS_N * T::N8 * 8", "% T::WARPS_N * T::N8 * 4"),
    ("half_gemm", "mma", "rows.cu", "column < columns ? x", "column <= columns ? x"),
    ("half_gemm", "naive", "gemm.h", "x.bits << 16", "x.bits << 15"),
    ("half_gemm", "registers", "half_gemm.cu", "gemm_of<A, Bfloat16>", "gemm_of<A, __half>"),
    ("half_gemm", "mma_large", "tensor_gemm.h", "int half = 0; half < 2", "int half = 0; half < 1"),
]

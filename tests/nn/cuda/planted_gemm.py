"""Faults for gemm, which a law or the emulation finds: (kernel, rung, file, as it is, with the fault)."""

PLANTED = [
    ("gemm", "registers", "gemm.h", "row < rows && at < k", "row <= rows && at < k"),
    ("gemm", "naive", "gemm.h", "row >= m ||", "row > m ||"),
    ("gemm", "naive", "gemm.h", "% across) * columns", "% across) * rows / 2"),
    ("gemm", "shared", "gemm.h", "__syncthreads();\n        if (wanted)", "if (wanted)"),
    ("gemm", "shared", "gemm.h", "__syncthreads();                    // before", "// before"),
    ("gemm", "shared", "gemm.h", "inside && column < n", "inside && column <= n"),
    ("gemm", "shared", "gemm.h", "const bool inside = k0 + x < k", "const bool inside = k0 + x <= k"),
    ("gemm", "registers", "gemm.h", "(of_b[0]);\n    __syncthreads();", "(of_b[0]);"),
    ("gemm", "registers", "gemm.h", "        __syncthreads();\n    }\n    UNROLL", "    }\n    UNROLL"),
    ("gemm", "registers", "gemm.h", "more_a.store(of_a[stage ^ 1])", "more_a.store(of_a[stage])"),
    ("gemm", "registers", "gemm.h", "first ^ (k / 4 * 8)", "first ^ (k / 8 * 8)"),
    ("gemm", "registers", "gemm.h", "y < m && x < n && n % 4 == 0", "y < m && x < n"),
    ("gemm", "registers", "gemm.h", "if (y < m && x + i < n)", "if (y < m && x + i <= n)"),
    ("gemm", "registers", "gemm.h", "k0 + DEPTH >= k", "k0 + 2 * DEPTH >= k"),
    ("gemm", "tf32", "tensor_gemm.h", "to_tf32(__int_as_float(static_cast<int>(r[i])))", "r[i] & 0xffffe000"),
    ("gemm", "tf32", "tensor_gemm.h", "            T::Numbers::rounded(b[j]);", ""),
    ("gemm", "tf32", "tensor_gemm.h", "at < bytes ? 16 : 0", "at <= bytes ? 16 : 0"),
    ("gemm", "tf32", "tensor_gemm.h", "static_cast<int>(ceil_div(bytes, T::STEP))", "int(bytes / T::STEP)"),
]

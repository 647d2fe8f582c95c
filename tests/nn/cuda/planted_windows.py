"""Bugs in transpose, sign_bits, the windows and what joins a list, one at a time; each must be found."""

LIST, WINDOWS = "pointwise.cu", "windows.cu"
PLANTED = [
    ("transpose", "tiled", "transpose.cu", "        __syncthreads();\n        for", "        for"),
    ("transpose", "tiled", "transpose.cu", "if (row + i < rows && ", "if (row + i <= rows && "),
    ("transpose", "tiled", "transpose.cu", "if (column + i < columns && ", "if ("),
    ("sign_bits", "warp", "sign_bits.cu", "column < k && ", ""),
    ("sign_bits", "warp", "sign_bits.cu", "int far = 16", "int far = 8"),
    ("sign_bits", "warp", "sign_bits.cu", "if (threadIdx.x == 0) y[i]", "y[i]"),
    ("im2col", "naive", WINDOWS, "if (i >= size) return;\n    const int row_of",
     "if (i > size) return;\n    const int row_of"),
    ("im2col", "naive", WINDOWS, "column >= w.width", "column > w.width"),
    ("im2col", "naive", WINDOWS, "p.row + down * w.dilation_height", "p.row + down"),
    ("avg_pool2d", "naive", WINDOWS, "w.kernel_height) * w.kernel_width));\n}\n\n/* round",
     "w.kernel_height) * w.kernel_height));\n}\n\n/* round"),
    ("qavg_pool2d", "naive", WINDOWS, "static_cast<uint8_t>(zero));", "uint8_t{0});"),
    ("relu", "pointwise", LIST, "l < LANES && first + l < list.size; ++l)\n            if (to",
     "l < LANES; ++l)\n            if (to"),
    ("relu", "pointwise", LIST, "maximum_float, real(x >= y || x != x ? x : y)",
     "maximum_float, real(fmaxf(x, y))"),
    ("quantize", "pointwise", LIST, "rint_float, real(rintf(x))", "rint_float, real(roundf(x))"),
    ("dequantize", "pointwise", LIST, "if (++place[axis] < list.sizes[axis]) break;", "break;"),
    ("dequantize", "pointwise", LIST, "threadIdx.x) * LANES; first", "threadIdx.x) * (LANES - 1); first"),
]

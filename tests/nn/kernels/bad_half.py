"""Bad arguments of half_gemm: rows of test_bad_input.py."""

import numpy as np

from tests.nn.kernels.wrong_arrays import BAD_MATRIX, SHARED, TYPE, VALUE, F, W, X, bad_float_matrix, bad_out

GOOD = {
    "half_gemm": {"a": X, "b": W.astype(np.float16)},
}
SHAPE = {}  # of the result: (3, 5)
BAD = {
    ("half_gemm", "a"): [
        *bad_float_matrix(np.ones((4, 6), F)), (VALUE, np.ones((4, 6), np.float16), r"\(4, 6\)"),
        (TYPE, np.ones((3, 4), np.uint16), "uint16")],
    ("half_gemm", "b"): [
        *BAD_MATRIX, (TYPE, W, "float32"), (TYPE, W.astype(np.int16), "int16"),
        (TYPE, W.astype(">f2"), "byte-swapped"), (VALUE, W[0].astype(np.float16), r"\(5,\)"),
        (VALUE, np.ones((6, 5), np.uint16), r"\(6, 5\)")],
    ("half_gemm", "out"): bad_out(F, np.int32),
}
OVERLAPS = [
    ("half_gemm", {"a": SHARED.view(np.float16)[:3, :4], "out": SHARED[:3, :5]}),
    ("half_gemm", {"a": SHARED[:3, :4], "out": SHARED[2:5, :5]}),
    ("half_gemm", {"b": SHARED.view(np.uint16)[:4, :5], "out": SHARED[:3, :5]}),
]

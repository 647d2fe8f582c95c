"""Bad arguments of codebook_gemm: rows of test_bad_input.py."""

import re

import numpy as np

from tests.nn.kernels.wrong_arrays import (
    A8,
    NO_ARRAY,
    SHARED,
    TYPE,
    VALUE,
    F,
    W,
    X,
    bad_float_matrix,
    bad_out,
)

GOOD = {
    "codebook_gemm": {"x": X, "indices": np.arange(20, dtype=np.uint8).reshape(5, 4),
                      "codebook": np.ones(20, F)},
}
SHAPE = {}  # of the result: (3, 5)
BAD = {
    ("codebook_gemm", "x"): bad_float_matrix(np.ones((4, 6), F)),
    ("codebook_gemm", "indices"): [
        *NO_ARRAY, (TYPE, None, "None|nothing"), (TYPE, W, "float32"),
        (TYPE, np.ones((5, 4), np.int8), "int8"), (VALUE, A8[0], r"\(4,\)"),
        (VALUE, np.ones((5, 6), np.uint8), r"\(5, 6\)"),
        (VALUE, np.full((5, 4), 20, np.uint8), r"0\.\.19, got 20")],
    ("codebook_gemm", "codebook"): [
        *NO_ARRAY, (TYPE, None, "None|nothing"), (TYPE, np.ones(20), "float64"), (VALUE, W, r"\(4, 5\)"),
        (VALUE, np.ones(0, F), "0"), (VALUE, np.ones(257, F), "257")],
    ("codebook_gemm", "activations"): [(VALUE, what, re.escape(repr(what))) for what in ("int4", None, 8)],
    ("codebook_gemm", "out"): bad_out(F, np.int32),
}
OVERLAPS = [
    ("codebook_gemm", {"x": SHARED[:3, :4], "out": SHARED[2:5, :5]}),
    ("codebook_gemm", {"codebook": SHARED.ravel()[:20], "out": SHARED[:3, :5]}),
]

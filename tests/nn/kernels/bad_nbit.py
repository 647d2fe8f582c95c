"""Bad arguments of nbit_gemm: rows of test_bad_input.py."""

import re

import numpy as np

from tests.nn.kernels.wrong_arrays import (
    NO_ARRAY,
    SHARED,
    TYPE,
    VALUE,
    W8,
    B,
    F,
    W,
    X,
    bad_float_matrix,
    bad_out,
)

GOOD = {
    "nbit_gemm": {"a": X, "codes": W8, "scales": np.ones((1, 5), F), "zeros": np.zeros((1, 5), B)},
}
SHAPE = {}  # of the result: (3, 5)
BAD = {
    ("nbit_gemm", "a"): bad_float_matrix(np.ones((4, 6), F)),
    ("nbit_gemm", "codes"): [
        *NO_ARRAY, (TYPE, None, "None|nothing"), (TYPE, W, "float32"), (TYPE, W8.astype(np.uint8), "uint8"),
        (VALUE, W8[:, 0], r"\(4,\)"), (VALUE, np.ones((6, 5), B), r"\(6, 5\)"),
        (VALUE, np.full((4, 5), 8, B), r"-8\.\.7, got 8\.\.8"),
        (VALUE, np.full((4, 5), -9, B), r"-8\.\.7, got -9\.\.-9")],
    ("nbit_gemm", "scales"): [
        *NO_ARRAY, (TYPE, None, "None|nothing"), (TYPE, np.ones((1, 5)), "float64"), (VALUE, W[0], r"\(5,\)"),
        (VALUE, np.ones((1, 6), F), r"\(1, 6\)"), (VALUE, np.ones((2, 5), F), "K = 4 .*: 1, got 2"),
        (VALUE, np.ones((0, 5), F), "K = 4 .*: 1, got 0")],
    ("nbit_gemm", "zeros"): [
        *NO_ARRAY, (TYPE, np.zeros((1, 5), F), "float32"), (VALUE, np.zeros(5, B), r"\(5,\)"),
        (VALUE, np.zeros((2, 5), B), r"\(2, 5\)"), (VALUE, np.full((1, 5), 8, B), r"-8\.\.7, got 8\.\.8")],
    ("nbit_gemm", "activations"): [(VALUE, what, re.escape(repr(what))) for what in ("int4", None, 8)],
    ("nbit_gemm", "out"): bad_out(F, np.int32),
}
OVERLAPS = [
    ("nbit_gemm", {"a": SHARED[:3, :4], "out": SHARED[2:5, :5]}),
    ("nbit_gemm", {"scales": SHARED[:1, :5], "out": SHARED[:3, :5]}),
]

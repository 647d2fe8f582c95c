"""Bad arguments of the products with sparse matrices in blocks and of N:M: rows of test_bad_input.py."""

import re

import numpy as np

from tests.nn.kernels.wrong_arrays import (
    A8,
    BAD_MATRIX,
    NO_ARRAY,
    SHARED,
    TYPE,
    VALUE,
    B,
    F,
    X,
    bad_float_matrix,
    bad_out,
)

I32 = np.int32
PLACES = np.zeros((5, 1, 2), np.uint8)
GOOD = {
    "spmm_bsr": {"x": X, "blocks": np.ones((2, 4), F), "indices": np.array([0, 3], np.uint16),
                 "indptr": np.array([0, 1, 2], I32), "n": np.array([5], I32)},
    "qspmm_bsr": {"x": A8, "blocks": np.ones((2, 4), B), "indices": np.array([0, 3], np.uint16),
                  "indptr": np.array([0, 1, 2], I32), "n": np.array([5], I32), "bias": np.zeros(5, I32),
                  "scale": np.ones(5, F)},
    "qspmm_csr": {"x": A8, "values": np.ones(2, B), "indices": np.array([0, 3], np.uint16),
                  "indptr": np.array([0, 1, 1, 1, 1, 2], I32), "bias": np.zeros(5, I32),
                  "scale": np.ones(5, F)},
    "spmm_nm": {"x": X, "values": np.ones((5, 1, 2), F), "indices": PLACES},
    "qspmm_nm": {"x": A8, "values": np.ones((5, 1, 2), B), "indices": PLACES, "bias": np.zeros(5, I32),
                 "scale": np.ones(5, F)},
}
SHAPE = {}  # of the result: (3, 5)
NOTHING = [*NO_ARRAY, (TYPE, None, "None|nothing")]


def bad_blocks(dtype):
    shapes = (3, 4), (2, 3), (2, 0), (2,), (2, 4, 1)
    return [*NOTHING, (TYPE, np.ones((2, 4), np.float64), "float64"),
            *((VALUE, np.ones(shape, dtype), re.escape(str(shape))) for shape in shapes)]


INDICES = [*NOTHING, (TYPE, np.array([0, 3]), "int64"), (VALUE, np.zeros(3, np.uint16), "3"),
           (VALUE, np.array([0, 4], np.uint16), r"0\.\.4"), (VALUE, np.array([-1, 3], I32), "-1")]
INDPTR = [*NOTHING, (TYPE, np.array([0, 1, 2]), "int64"), (VALUE, np.array([], I32), "indptr"),
          (VALUE, np.array([1, 1, 2], I32), "0"), (VALUE, np.array([0, 2, 1, 2], I32), "fall"),
          (VALUE, np.array([0, 1, 1], I32), "1"), (VALUE, np.array([0, 1, 3], I32), "3"),
          (VALUE, np.array([[0, 2]], I32), r"\(1, 2\)")]
ROWS = [(TYPE, 5.0, "float"), (TYPE, "5", "str"), (VALUE, 4, r"5\.\.8, got 4"), (VALUE, 9, r"5\.\.8, got 9"),
        (VALUE, np.array([], I32), r"\(0,\)"), (VALUE, np.array([5, 5], I32), r"\(2,\)"),
        (TYPE, np.array([5.0]), "float64")]


def bad_values(dtype):
    shapes = (5, 2), (5, 3, 2), (4, 1, 2), (5, 1, 1)
    return [*NOTHING, (TYPE, np.ones((5, 1, 2), np.float64), "float64"),
            *((VALUE, np.ones(shape, dtype), re.escape(str(shape))) for shape in shapes)]


PLACE = [*NOTHING, (TYPE, PLACES.astype(np.int64), "int64"), (VALUE, PLACES[0], r"\(1, 2\)"),
         (VALUE, PLACES[:4], r"\(4, 1, 2\)"), (VALUE, PLACES + np.uint8(4), r"0\.\.3.*got 4")]
AROUND = {
    "x_zero": [(TYPE, 1.5, "float"), (TYPE, None, "None"), (TYPE, True, "bool"), (VALUE, -1, "-1"),
               (VALUE, 256, "256")],
    "bias": [(TYPE, [0] * 5, "list"), (TYPE, np.zeros(5), "float64"), (VALUE, np.zeros(4, I32), "4"),
             (VALUE, np.zeros((1, 5), I32), r"\(1, 5\)")],
    "scale": [(TYPE, "1", "str"), (VALUE, 0.0, "0"), (VALUE, np.nan, "nan"), (VALUE, np.ones(6, F), "6"),
              (VALUE, np.array([1, 1, np.nan, 1, 1], F), "nan")],
    "out_zero": [(TYPE, 0.5, "float"), (VALUE, 256, "256")],
    "clip": [(TYPE, 3, "3"), (VALUE, (5, 4), r"\(5, 4\)")],
    "out_dtype": [(TYPE, I32, "int32"), (TYPE, "no such", "no such")],
    "out": bad_out(np.uint8, B),
}
BAD = {
    ("spmm_bsr", "x"): bad_float_matrix()[:-1], ("spmm_bsr", "blocks"): bad_blocks(F),
    ("spmm_bsr", "indices"): INDICES, ("spmm_bsr", "indptr"): INDPTR, ("spmm_bsr", "n"): ROWS,
    ("spmm_bsr", "out"): bad_out(F, I32),
    ("qspmm_bsr", "x"): [*BAD_MATRIX, (TYPE, X, "float32"), (VALUE, A8[0], r"\(4,\)")],
    ("qspmm_bsr", "blocks"): bad_blocks(B), ("qspmm_bsr", "n"): ROWS,
    ("qspmm_csr", "x"): [*BAD_MATRIX, (TYPE, X, "float32"), (VALUE, A8[0], r"\(4,\)")],
    ("qspmm_csr", "values"): [*NOTHING, (TYPE, np.ones(2, F), "float32"), (VALUE, np.ones(3, B), "3"),
                              (VALUE, np.ones((2, 1), B), r"\(2, 1\)")],
    ("spmm_nm", "x"): bad_float_matrix()[:-1], ("spmm_nm", "values"): bad_values(F),
    ("spmm_nm", "indices"): PLACE, ("spmm_nm", "out"): bad_out(F, I32),
    ("qspmm_nm", "x"): [*BAD_MATRIX, (TYPE, X, "float32"), (VALUE, A8[0], r"\(4,\)")],
    ("qspmm_nm", "values"): bad_values(B),
    **{(kernel, name): rows for name, rows in AROUND.items()
       for kernel in ("qspmm_bsr", "qspmm_csr", "qspmm_nm")},
}
OVERLAPS = [
    ("spmm_bsr", {"x": SHARED[:3, :4], "out": SHARED[:3, 3:]}),
    ("spmm_bsr", {"blocks": SHARED[:2, :4], "out": SHARED[:3, :5]}),
    ("spmm_nm", {"x": SHARED[:3, :4], "out": SHARED[:3, 3:]}),
    ("spmm_nm", {"values": SHARED[:5, :2].reshape(5, 1, 2), "out": SHARED[:3, :5]}),
    ("qspmm_bsr", {"scale": SHARED[0, :5], "out": SHARED.view(np.uint8)[:3, :5]}),
    ("qspmm_csr", {"scale": SHARED[0, :5], "out": SHARED.view(np.uint8)[:3, :5]}),
    ("qspmm_nm", {"bias": SHARED.view(I32)[0, :5], "out": SHARED.view(np.uint8)[:3, :5]}),
]

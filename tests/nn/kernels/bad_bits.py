"""Bad arguments of bgemm: rows of test_bad_input.py."""

import numpy as np

from tests.nn.kernels.wrong_arrays import BAD_MATRIX, SHARED, TYPE, VALUE, X, bad_out

BITS = np.ones((3, 1), np.uint32)
GOOD = {
    "bgemm": {"a_bits": BITS, "b_bits": np.ones((5, 1), np.uint32), "k": 4},
}
SHAPE = {}  # of the result: (3, 5)
BAD = {
    ("bgemm", "a_bits"): [
        *BAD_MATRIX, (TYPE, BITS.astype(np.int32), "int32"), (TYPE, X, "float32"),
        (VALUE, BITS[0], r"\(1,\)"), (VALUE, np.ones((3, 2), np.uint32), r"\(3, 2\)"),
        (VALUE, 16 * BITS, "4")],
    ("bgemm", "b_bits"): [
        *BAD_MATRIX, (TYPE, BITS.astype(np.uint8), "uint8"), (VALUE, BITS[0], r"\(1,\)"),
        (VALUE, np.ones((5, 2), np.uint32), r"\(5, 2\)"), (VALUE, 16 * BITS, "4")],
    ("bgemm", "k"): [
        (TYPE, 4.0, "float"), (TYPE, True, "bool"), (TYPE, None, "None"), (VALUE, -1, "-1"),
        (VALUE, 33, "33"), (VALUE, 0, "0"), (VALUE, 2**40, str(2**40))],
    ("bgemm", "out"): bad_out(np.int32, np.uint32),
}
OVERLAPS = [
    *[("bgemm", {name: SHARED.view(np.uint32)[:rows, :1], "k": 32, "out": SHARED.view(np.int32)[:3, :5]})
      for name, rows in (("a_bits", 3), ("b_bits", 5))],
]

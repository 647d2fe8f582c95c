"""Arrays to call kernels with, and what is no such array: rows (error, value, what its message must say)."""

import numpy as np

F, B = np.float32, np.int8
X, W = np.ones((3, 4), F), np.ones((4, 5), F)
A8, W8 = np.ones((3, 4), np.uint8), np.ones((4, 5), B)
SHARED = np.ones((8, 8), F)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


TYPE, VALUE = TypeError, ValueError
NO_ARRAY = [(TYPE, [[1.0, 2.0]], "list"), (TYPE, "ones", "str"), (TYPE, 3.0, "float"),
            (TYPE, np.ma.masked_array(X), "masked")]
BAD_MATRIX = [*NO_ARRAY, (TYPE, None, "None|nothing"), (TYPE, X.astype(complex), "complex128"),
              (TYPE, X.astype(object), "object"), (TYPE, X.astype("S3"), "S3|bytes")]


def bad_float_matrix(other=X):
    return [*BAD_MATRIX, (TYPE, X.astype(np.int32), "int32"),
            (TYPE, X.astype(X.dtype.newbyteorder()), "byte-swapped"),
            (VALUE, X[0], r"\(4,\)"), (VALUE, X[None], r"\(1, 3, 4\)"), (VALUE, np.array(F(1)), r"\(\)"),
            (VALUE, other, "6")]


def bad_out(dtype, other):
    good = np.zeros((3, 5), dtype)
    return [*NO_ARRAY, (TYPE, good.astype(np.float64), "float64"), (TYPE, good.astype(other), other.__name__),
            (VALUE, good[:2], r"\(2, 5\)"), (VALUE, good[0], r"\(5,\)"), (VALUE, good[None], r"\(1, 3, 5\)"),
            (VALUE, read_only(good), "read-only"), (VALUE, np.broadcast_to(good[:1], (3, 5)), "read-only"),
            (VALUE, np.zeros((3, 10), dtype)[:, ::2], "strides"),
            (VALUE, np.zeros((5, 3), dtype).T, "strides"), (VALUE, good[:, ::-1], "strides"),
            (VALUE, good[::-1], "strides")]

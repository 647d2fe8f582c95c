"""Bad arguments of shapewise_conv2d: rows of test_bad_input.py."""

import numpy as np

from tests.nn.kernels import bad_convolution
from tests.nn.kernels.bad_convolution import OUT, SHARED, X
from tests.nn.kernels.wrong_arrays import NO_ARRAY, TYPE, VALUE, F

GOOD = {
    "shapewise_conv2d": {"x": X, "w": np.ones((5, 2), F), "columns": np.array([0, 35], np.uint16),
                         "kernel_size": np.array([3, 3], np.int32), "bias": np.zeros(5, F)},
}
SHAPE = {"shapewise_conv2d": OUT.shape}
BAD = {
    ("shapewise_conv2d", "x"): [
        *bad_convolution.BAD["conv2d", "x"][1:-3], (VALUE, np.ones((3, 2, 3, 4), F), r"\(3, 2, 3, 4\)")],
    ("shapewise_conv2d", "w"): [
        *NO_ARRAY, (TYPE, np.ones((5, 2)), "float64"), (VALUE, np.ones((5, 3), F), "3"),
        (VALUE, np.ones(2, F), "2")],
    ("shapewise_conv2d", "columns"): [
        *NO_ARRAY, (TYPE, np.zeros(2, np.int64), "int64"), (VALUE, np.array([0, 36], np.uint16), r"0\.\.35"),
        (VALUE, np.array([-1, 3], np.int32), "-1"), (VALUE, np.array([3, 3], np.uint16), "rise"),
        (VALUE, np.zeros(3, np.uint16), "3")],
    ("shapewise_conv2d", "kernel_size"): [
        (TYPE, np.ones(2, F), "float32"), (TYPE, 1.5, "float"), (TYPE, None, "None"),
        (TYPE, (3, 3, 3), "3, 3, 3"),
        (VALUE, (0, 3), "0"), (VALUE, np.ones((1, 2), np.int32), "1, 2")],
    **{("shapewise_conv2d", name): bad_convolution.BAD["conv2d", name]
       for name in ("bias", "stride", "padding", "dilation", "relu", "out")},
}
OVERLAPS = [
    ("shapewise_conv2d", {"x": SHARED[:108].reshape(X.shape), "out": SHARED[100:115].reshape(OUT.shape)}),
    ("shapewise_conv2d", {"w": SHARED[:10].reshape(5, 2), "out": SHARED[5:20].reshape(OUT.shape)}),
    ("shapewise_conv2d", {"bias": SHARED[:5], "out": SHARED[4:19].reshape(OUT.shape)}),
]

"""What can't be packed, and what was packed for something else, is refused with one clear error."""

import numpy as np
import pytest

from nn import kernels
from tests.nn.kernels.bad_bits import BITS
from tests.nn.kernels.test_bad_input import FILTERS, GOOD
from tests.nn.kernels.wrong_arrays import A8, W8, B, F, W, X


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("kernel", "packed_by", "weight", "argument"), [
    ("gemm", "qgemm", W8, "b"), ("qgemm", "gemm", W, "b"), ("spmm_csr", "gemm", W, "values"),
    ("tt_matmul", "gemm", W, "cores"), ("winograd_conv2d", "gemm", W, "w"), ("conv2d", "gemm", W, "w"),
    ("depthwise_conv2d", "conv2d", FILTERS, "w"),
    ("nbit_gemm", "gemm", W, "codes"), ("codebook_gemm", "gemm", W, "indices"), ("half_gemm", "gemm", W, "b"),
    ("spmm_bsr", "spmm_csr", W, "blocks"), ("spmm_nm", "spmm_bsr", W, "values"),
    ("gemm", "codebook_gemm", (A8, np.ones(2, F)), "b"), ("gemm", "bgemm", (BITS, 4), "b")])
def test_packed_by_another_kernel(kernel, packed_by, weight, argument):
    foreign = getattr(kernels, packed_by).pack(*(weight if isinstance(weight, tuple) else [weight]))
    good = (A8,) if kernel == "qgemm" else (GOOD[kernel].get("x", X),)
    with pytest.raises(TypeError, match=f"^{kernel}: {argument} .*{packed_by}"):
        getattr(kernels, kernel)(*good, foreign)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("kernel", "weight", "shape"), [
    ("gemm", np.ones((6, 5), F), r"\(6, 5\)"), ("qgemm", np.ones((6, 5), B), r"\(6, 5\)"),
    ("spmm_csr", np.ones((5, 6), F), r"\(5, 6\)"), ("half_gemm", np.ones((6, 5), np.float16), r"\(6, 5\)"),
    ("spmm_bsr", np.ones((5, 6), F), r"\(5, 6\)"), ("spmm_nm", np.zeros((5, 8), F), r"\(5, 8\)"),
    ("codebook_gemm", (np.ones((5, 6), np.uint8), np.ones(2, F)), r"\(5, 6\)"),
    ("nbit_gemm", (np.ones((6, 5), B), W[:1]), r"\(6, 5\)"),
    ("tt_matmul", [np.ones((1, 6, 5, 1), F)], r"\(6, 5\)")])
def test_packed_of_another_shape(kernel, weight, shape):
    packed = getattr(kernels, kernel).pack(*(weight if isinstance(weight, tuple) else [weight]))
    with pytest.raises(ValueError, match=rf"^{kernel}: .*\(3, 4\).*{shape}"):
        getattr(kernels, kernel)(A8 if kernel == "qgemm" else X, packed)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("kernel", "error", "weight"), [
    ("gemm", TypeError, (W8,)), ("gemm", ValueError, (W[0],)), ("gemm", TypeError, ([[1.0]],)),
    ("gemm", TypeError, (None,)), ("half_gemm", TypeError, (W,)), ("half_gemm", TypeError, ([1],)),
    ("half_gemm", ValueError, (W[0].astype(np.float16),)),
    ("qgemm", TypeError, (W,)), ("qgemm", TypeError, (W8.astype(np.uint8),)), ("qgemm", ValueError, (W8[0],)),
    ("conv2d", TypeError, (W8,)), ("conv2d", ValueError, (W,)), ("conv2d", TypeError, (None,)),
    *[("conv2d", error, (GOOD["conv2d"]["w"], groups))
      for error, groups in ((ValueError, 2), (ValueError, 0), (TypeError, 1.0))],
    ("depthwise_conv2d", TypeError, (W8,)), ("depthwise_conv2d", ValueError, (W,)),
    ("depthwise_conv2d", ValueError, (FILTERS,)), ("depthwise_conv2d", TypeError, (None,)),
    ("tt_matmul", TypeError, (W,)), ("tt_matmul", ValueError, ([W],)), ("tt_matmul", TypeError, ([W8],)),
    ("winograd_conv2d", TypeError, (W8,)), ("winograd_conv2d", ValueError, (W,)),
    ("winograd_conv2d", ValueError, (np.ones((5, 4, 5, 5), F),)), ("winograd_conv2d", TypeError, (None,)),
    ("codebook_gemm", TypeError, (W, np.ones(2, F))), ("codebook_gemm", ValueError, (A8, np.ones(1, F))),
    ("codebook_gemm", ValueError, (A8[0], np.ones(2, F))), ("codebook_gemm", TypeError, (A8, None)),
    ("nbit_gemm", TypeError, (W,)), ("nbit_gemm", TypeError, (W8, None)),
    ("nbit_gemm", ValueError, (W8, np.ones((2, 5), F))),
    ("nbit_gemm", ValueError, (np.full((4, 5), 4, B), np.ones((1, 5), F), None, 3)),
    ("nbit_gemm", ValueError, (W8, np.ones((1, 5), F), np.full((1, 5), 2, B), 2)),
    ("nbit_gemm", ValueError, (W8, np.ones((1, 5), F), None, 5)),
    ("nbit_gemm", TypeError, (W8, np.ones((1, 5), F), None, 2.0)),
    ("bgemm", TypeError, (W, 4)), ("bgemm", ValueError, (BITS, 33)), ("bgemm", TypeError, (BITS, 4.0)),
    ("bgemm", ValueError, (BITS[0], 4)),
    ("spmm_csr", TypeError, (W8,)), ("spmm_csr", ValueError, (W[0],)), ("spmm_csr", TypeError, (W, W)),
    ("sparse_conv2d", TypeError, (W8,)), ("sparse_conv2d", ValueError, (W,)),
    ("sparse_conv2d", TypeError, (W, W)), ("sparse_conv2d", ValueError, (np.ones((2, 3, 0, 1), F),)),
    ("shapewise_conv2d", TypeError, (W8,)), ("shapewise_conv2d", ValueError, (W,)),
    ("shapewise_conv2d", TypeError, (W, W)), ("shapewise_conv2d", ValueError, (np.ones((2, 3, 0, 1), F),)),
    *[("shapewise_conv2d", error, (np.ones((2, 2), F), np.array(columns, np.int32), 3, c))
      for error, columns, c in (
        (ValueError, [3, 36], 4), (ValueError, [3, 3], 4), (ValueError, [-1, 3], 4), (ValueError, [3], 4),
        (TypeError, [3, 4], 4.5))],
    *[("sparse_conv2d", error, (np.ones(1, F), np.array([index], np.int32), np.array([0, 1], np.int32), 3, c))
      for error, index, c in ((ValueError, 36, 4), (TypeError, 3, 4.5))],
    ("spmm_csr", ValueError, (np.ones(1, F), np.array([4], np.int32), np.array([0, 1], np.int32), 4)),
    ("spmm_csr", TypeError, (np.ones(1, F), np.array([3], np.int32), np.array([0, 1], np.int32), 4.5)),
    ("spmm_csr", ValueError, (np.ones(0, F), np.zeros(0, np.int32), np.zeros(2, np.int32), -1)),
    ("spmm_bsr", TypeError, (W8,)), ("spmm_bsr", ValueError, (W[0],)), ("spmm_bsr", TypeError, (W, W, W)),
    ("spmm_bsr", ValueError, (W, 6)), ("spmm_bsr", ValueError, (W, 16)), ("spmm_bsr", TypeError, (W, 4.0)),
    ("spmm_bsr", ValueError, (np.ones((0, 4), F), np.zeros(0, np.int32), np.zeros(2, np.int32), None, -1)),
    ("spmm_bsr", ValueError, (np.ones((0, 4), F), np.zeros(0, np.int32), np.zeros(2, np.int32), 0, 3)),
    ("qspmm_bsr", TypeError, (W,)), ("qspmm_csr", TypeError, (W,)),
    ("qspmm_csr", ValueError, (np.ones(1, B), np.array([4], np.int32), np.array([0, 1], np.int32), 4)),
    ("qspmm_nm", TypeError, (W,)), ("spmm_nm", TypeError, (W8,)),
    ("spmm_nm", ValueError, (np.ones((4, 6), F),)), ("spmm_nm", ValueError, (np.ones((4, 8), F),)),
    ("spmm_nm", ValueError, (W, 0, 1)), ("spmm_nm", ValueError, (W, 3, 2)),
    ("spmm_nm", TypeError, (W, 1, 2.0)),
    ("spmm_nm", ValueError, (W, 1, 257)), ("spmm_nm", TypeError, (W, 1, 1, 1)),
    ("spmm_nm", ValueError, (np.ones((2, 3, 2), F), np.zeros((2, 3, 2), np.uint8), 11)),
])
def test_bad_weight_to_pack(kernel, error, weight):
    with pytest.raises(error, match=rf"^{kernel}\.pack: "):
        getattr(kernels, kernel).pack(*weight)


@pytest.mark.usefixtures("backend")
def test_bits_beyond_the_last_are_found_when_they_are_packed():
    with pytest.raises(ValueError, match=r"^bgemm: b_bits must have no bit beyond the first k = 4 of a row"):
        kernels.bgemm.pack(16 * BITS, 4)
    with pytest.raises(ValueError, match=r"^bgemm: k must be 4, as b_bits was packed, got 3"):
        kernels.bgemm(BITS, kernels.bgemm.pack(BITS, 4), 3)

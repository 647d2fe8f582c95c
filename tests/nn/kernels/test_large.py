"""Shapes that the laws are too quick for: several cache blocks of rows, long sums, wide results."""

import numpy as np
import pytest

from nn import kernels
from nn.kernels.half_gemm import floats_of
from nn.testing.case import Case, floats, integers
from nn.testing.check import DOMAINS, implementations
from nn.testing.domain_half import as_halves
from nn.testing.laws import answer, equals_specification, same
from tests.nn.kernels.borrowed import asked

FLOAT = [(400, 520, 70), (13, 1100, 200), (1, 3000, 300), (70, 1, 500)]
INTEGER = [(300, 1100, 70), (29, 20000, 33), (1, 5000, 700), (64, 64, 1000), (5, 8192, 17), (5, 8193, 17)]


def all_meet(kernel, case):
    """Every implementation gives what the specification, or float64 within a bound, says of the case."""
    first, *others = asked(kernel)
    wanted = answer(first, case)
    for f in (first, *others):
        try:
            same(f(case), *wanted)
        except AssertionError as error:
            raise AssertionError(f"{f.name} {error}") from error


@pytest.mark.parametrize(("m", "k", "n"), FLOAT)
def test_gemm(m, k, n):
    rng = np.random.default_rng(0)
    all_meet(kernels.gemm, Case((floats(rng, (m, k), "uniform"), floats(rng, (k, n), "uniform"))))


@pytest.mark.parametrize(("m", "k", "n"), FLOAT)
@pytest.mark.parametrize("index", [np.uint16, np.int32])
def test_spmm_csr(m, k, n, index):
    rng = np.random.default_rng(0)
    x, w = floats(rng, (m, k), "uniform"), floats(rng, (n, k), "uniform")
    all_meet(kernels.spmm_csr, DOMAINS["spmm_csr"].storing(x, w, rng.random((n, k)) < 0.1, index))


@pytest.mark.parametrize(("m", "k", "n"), [(200, 520, 70), (29, 20000, 33)])
def test_qspmm_csr(m, k, n):
    rng = np.random.default_rng(0)
    x, w = integers(rng, (m, k), np.uint8, "uniform"), integers(rng, (n, k), np.int8, "uniform")
    options = {"x_zero": 7, "scale": 1e-4}
    all_meet(kernels.qspmm_csr, DOMAINS["qspmm_csr"].storing(x, w, rng.random((n, k)) < 0.3, options=options))


@pytest.mark.parametrize(("m", "k", "n"), FLOAT)
@pytest.mark.parametrize("rows", [4, 8])
def test_spmm_bsr(m, k, n, rows):
    rng = np.random.default_rng(0)
    x, w = floats(rng, (m, k), "uniform"), floats(rng, (n, k), "uniform")
    all_meet(kernels.spmm_bsr, DOMAINS["spmm_bsr"].blocks(x, w, rng.random((-(-n // rows), k)) < 0.1, rows))


@pytest.mark.parametrize(("m", "k", "n"), [(200, 520, 70), (29, 20000, 33)])
def test_qspmm_bsr(m, k, n):
    rng = np.random.default_rng(0)
    x, w = integers(rng, (m, k), np.uint8, "uniform"), integers(rng, (n, k), np.int8, "uniform")
    stored = rng.random((-(-n // 4), k)) < 0.5
    case = DOMAINS["qspmm_bsr"].blocks(x, w, stored, 4, options={"x_zero": 7, "scale": 1e-4})
    all_meet(kernels.qspmm_bsr, case)


@pytest.mark.parametrize(("m", "groups", "n"), [(300, 130, 70), (13, 275, 200), (1, 750, 300), (70, 1, 500)])
def test_spmm_nm(m, groups, n):
    all_meet(kernels.spmm_nm, DOMAINS["spmm_nm"]._make(m, groups, n, (2, 4), "uniform", 0))


@pytest.mark.parametrize(("m", "groups", "n"), [(300, 131, 70), (29, 5000, 33), (1, 750, 300)])
def test_qspmm_nm(m, groups, n):
    all_meet(kernels.qspmm_nm, DOMAINS["qspmm_nm"]._make(m, groups, n, (2, 4), "uniform", 0))


@pytest.mark.parametrize(("shape", "filters", "how"), [
    ((1, 24, 41, 60), (66, 60, 3, 3), {"padding": 1}), ((1, 9, 9, 130), (129, 130, 1, 1), {}),
    ((1, 61, 30, 8), (5, 8, 7, 5), {"stride": (3, 2), "padding": (2, 1), "dilation": (1, 2)})],
    ids=["strips", "channels", "strides"])
def test_sparse_conv2d(shape, filters, how):
    rng = np.random.default_rng(0)
    x, w = floats(rng, shape, "uniform"), floats(rng, filters, "uniform")
    domain = DOMAINS["sparse_conv2d"]
    all_meet(kernels.sparse_conv2d, domain.storing(Case((x,), how), w, rng.random(filters) < 0.1))


@pytest.mark.parametrize(("shape", "filters", "how"), [
    ((1, 24, 41, 60), (66, 60, 3, 3), {"padding": 1}), ((2, 9, 9, 1300), (129, 1300, 1, 1), {}),
    ((1, 61, 30, 8), (5, 8, 7, 5), {"stride": (3, 2), "padding": (2, 1), "dilation": (1, 2)})],
    ids=["blocks", "slices", "strides"])
def test_shapewise_conv2d(shape, filters, how):
    rng = np.random.default_rng(0)
    x, w = floats(rng, shape, "uniform"), floats(rng, filters, "uniform")
    domain = DOMAINS["shapewise_conv2d"]
    all_meet(kernels.shapewise_conv2d, domain.keeping(Case((x,), how), w, rng.random(filters[1:]) < 0.5))


@pytest.mark.parametrize(("m", "k", "n"), FLOAT)
@pytest.mark.parametrize("size", [16, 32, 256])
def test_codebook_gemm(m, k, n, size):
    all_meet(kernels.codebook_gemm, coded(m, k, n, size))


@pytest.mark.parametrize(("m", "k", "n"), INTEGER)
def test_bgemm(m, k, n):
    a, b = (np.where(np.random.default_rng(m).random((rows, k)) < 0.5, -1, 1) for rows in (m, n))
    all_meet(kernels.bgemm, DOMAINS["bgemm"].of(Case(()), a, b))


@pytest.mark.parametrize(("m", "k", "n"), FLOAT)
@pytest.mark.parametrize("dtype", [np.float16, np.uint16])
def test_half_gemm(m, k, n, dtype):
    case = of_halves(m, k, n, dtype)
    all_meet(kernels.half_gemm, case)
    all_meet(kernels.half_gemm, case.on(case.args[0].astype(np.float16), case.args[1]))


def of_halves(m, k, n, dtype):
    rng = np.random.default_rng(0)
    b = rng.standard_normal((k, n), np.float32)
    return Case((floats(rng, (m, k), "uniform"), as_halves(b, dtype)))


@pytest.mark.parametrize("dtype", [np.float16, np.uint16])
@pytest.mark.parametrize("m", [1, 5, 37])
def test_all_variants_with_fma_give_half_gemm_the_bits_of_gemm(m, dtype):
    case = of_halves(m, 1101, 90, dtype)   # two slices of K
    a, b = case.args
    whole = floats_of(b)
    results = {f.name: f(case) for f in implementations(kernels.half_gemm) if "avx" in f.name}
    results |= {f.name: f(Case((a, whole))) for f in implementations(kernels.gemm) if "avx" in f.name}
    assert len({result.tobytes() for result in results.values()}) <= 1, results.keys()


def coded(m, k, n, size):
    rng = np.random.default_rng(0)
    indices = rng.integers(0, size, (n, k), dtype=np.uint8)
    return Case((floats(rng, (m, k), "uniform"), indices, floats(rng, (size,), "uniform")))


@pytest.mark.parametrize(("m", "k", "n", "block"), [
    (400, 520, 70, 32), (13, 1100, 200, 128), (1, 3000, 300, 32), (300, 4500, 20, 64), (3, 70000, 17, 65536)])
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_nbit_gemm(m, k, n, block, bits):
    rng, most, blocks = np.random.default_rng(0), 1 << bits - 1, -(-k // block)
    codes, zeros = (rng.integers(-most, most, (size, n), np.int8) for size in (k, blocks))
    case = Case((floats(rng, (m, k), "uniform"), codes, floats(rng, (blocks, n), "uniform"), zeros))
    all_meet(kernels.nbit_gemm, case)
    options = {"activations": "int8"}    # integers, and floats in one order: the bits of the specification
    want = kernels.nbit_gemm.reference(*case.args, **options)
    for f in asked(kernels.nbit_gemm):
        same(f(case.on(*case.args, **options)), want, f"{f.name} with int8 activations")


@pytest.mark.parametrize("size", [5, 16, 17, 33, 65, 129, 256])
@pytest.mark.parametrize("m", [1, 5, 37])
def test_all_variants_with_fma_give_codebook_gemm_the_bits_of_gemm(m, size):
    case = coded(m, 1101, 90, size)   # two slices of K
    x, indices, codebook = case.args
    dense = np.ascontiguousarray(codebook[indices].T)
    results = {f.name: f(case) for f in implementations(kernels.codebook_gemm) if "avx" in f.name}
    results |= {f.name: f(Case((x, dense))) for f in implementations(kernels.gemm) if "avx" in f.name}
    assert len({result.tobytes() for result in results.values()}) <= 1, results.keys()


@pytest.mark.parametrize(("m", "ins", "outs", "rank"), [
    (40, (4, 5, 6), (10, 6, 5), 20), (3, (2, 7, 8, 8), (4, 4, 4, 4), 4), (17, (40, 30), (30, 40), 25),
    (1, (3,) * 7, (2,) * 7, 3)])
def test_tt_matmul(m, ins, outs, rank):
    rng = np.random.default_rng(0)
    ranks = [1, *[rank] * (len(ins) - 1), 1]
    cores = [floats(rng, (ranks[k], i, o, ranks[k + 1]), "uniform")
             for k, (i, o) in enumerate(zip(ins, outs, strict=True))]
    all_meet(kernels.tt_matmul, Case((floats(rng, (m, int(np.prod(ins))), "uniform"), *cores)))


@pytest.mark.parametrize(("n", "height", "width", "c", "o", "padding"), [
    (1, 31, 33, 70, 130, 1), (3, 14, 14, 300, 17, 0), (40, 2, 2, 64, 64, 1), (1, 3, 400, 5, 9, (0, 2))])
def test_winograd_conv2d(n, height, width, c, o, padding):
    """Several blocks of tiles, images that begin in the middle of one, and sums over many channels."""
    rng = np.random.default_rng(0)
    x, w = floats(rng, (n, height, width, c), "uniform"), floats(rng, (o, c, 3, 3), "uniform")
    options = {"padding": padding, "bias": floats(rng, (o,), "uniform")}
    all_meet(kernels.winograd_conv2d, Case((x, w), options))


@pytest.mark.parametrize(("m", "k", "n"), INTEGER)
@pytest.mark.parametrize("narrow", [True, False], ids=["7bit", "8bit"])
def test_qgemm(m, k, n, narrow):
    """A plain product and a requantised one."""
    rng = np.random.default_rng(0)
    a, b = integers(rng, (m, k), np.uint8, "uniform"), integers(rng, (k, n), np.int8, "uniform") >> narrow
    options = {"a_zero": 7, "b_zero": integers(rng, (n,), np.int8, "uniform"), "scale": 1e-5, "out_zero": 128,
               "bias": np.arange(n, dtype=np.int32) * 1000}
    for case in (Case((a, b)), Case((a, b), options)):
        all_meet(kernels.qgemm, case)


@pytest.mark.parametrize(("a", "b", "options", "k"), [
    (255, 127, {}, 66311), (255, -128, {}, 65793), (255, -128, {"b_zero": 127}, 33025),
    (0, 127, {"a_zero": 255}, 66311), (0, -128, {"a_zero": 255, "b_zero": 127}, 33025)])
def test_longest_sum_that_can_not_overflow(a, b, options, k):
    """K·255·128 ≤ 2³¹ for K ≤ 65,793 (b_zero 0), K·255·255 for K ≤ 33,025: extreme products of one sign."""
    case = Case((np.full((2, k), a, np.uint8), np.full((k, 17), b, np.int8)), options)
    exact = k * (a - options.get("a_zero", 0)) * (b - options.get("b_zero", 0))
    assert abs(exact) < 2**31 <= abs(exact // k * (k + 1))
    for f in asked(kernels.qgemm):
        same(f(case), np.full((2, 17), exact, np.int32), f"{f.name}: {k} times the largest product")


def test_all_variants_with_fma_give_gemm_the_same_bits():
    rng = np.random.default_rng(0)
    case = Case((floats(rng, (37, 700), "uniform"), floats(rng, (700, 90), "uniform")))
    results = {f.name: f(case) for f in implementations(kernels.gemm) if "avx" in f.name}
    assert len({result.tobytes() for result in results.values()}) <= 1, results.keys()


CONVOLUTIONS = [   # x, w, how
    ((2, 19, 21, 40), (70, 40, 3, 3), {"padding": 1}), ((1, 9, 9, 1024), (33, 1024, 3, 3), {"padding": 1}),
    ((70, 8, 8, 1), (40, 1, 3, 3), {"padding": 1}), ((64, 2, 2, 64), (70, 64, 3, 3), {"padding": 1}),
    ((37, 7, 9, 24), (40, 24, 3, 2), {"padding": (2, 1), "stride": (2, 1)}),
    ((11, 16, 18, 16), (20, 16, 3, 3), {"padding": 1}),   # images in groups as large as a tile, and a rest
    ((3, 30, 31, 16), (130, 16, 5, 4), {"stride": 2, "dilation": 3}),
    ((1, 64, 64, 24), (24, 1, 3, 3), {"padding": 1, "groups": 24}), ((5, 1, 900, 12), (20, 12, 1, 9), {})]


def convolution(kernel, x, w, how):
    """A call of the convolution, or of one of its gradients, with these shapes."""
    rng = np.random.default_rng(0)
    how = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **how}
    x, w = floats(rng, x, "uniform"), floats(rng, w, "uniform")
    if kernel is kernels.conv2d:
        return Case((x, w), how)
    g = floats(rng, kernels.conv2d(x, w, **how).shape, "uniform")
    if kernel is kernels.conv2d_input_grad:
        return Case((g, w), {"size": x.shape[1:3], **how})
    return Case((x, g), {"kernel_size": w.shape[2:], **how})


@pytest.mark.long
@pytest.mark.parametrize("kernel", [kernels.conv2d, kernels.conv2d_input_grad, kernels.conv2d_weight_grad],
                         ids=lambda kernel: kernel.name)
@pytest.mark.parametrize(("x", "w", "how"), CONVOLUTIONS, ids=str)
def test_convolutions(kernel, x, w, how):
    case, results = convolution(kernel, x, w, how), {}
    for f in implementations(kernel):
        equals_specification(f, case)
        if "avx" in f.name:
            results[f.name] = f(case).tobytes()
    assert len(set(results.values())) <= 1, "not the same bits"


DEPTHWISE = [   # x, (kH, kW), how
    ((2, 33, 35, 40), (3, 3), {"padding": 1}), ((1, 9, 9, 1024), (3, 3), {"padding": 1}),
    ((3, 20, 21, 1), (5, 5), {"padding": 2}), ((2, 17, 40, 100), (7, 7), {"padding": 3, "stride": 2}),
    ((1, 30, 31, 24), (3, 4), {"stride": (3, 4), "dilation": (5, 2), "padding": (9, 0)}),
    ((70, 4, 4, 64), (3, 3), {"padding": 1, "stride": 2}), ((1, 1, 900, 12), (1, 31), {}),
    ((2, 0, 0, 20), (2, 2), {"padding": 1}), ((2, 5, 6, 20), (1, 1), {"stride": 3})]


@pytest.mark.parametrize("name", ["", "_input_grad", "_weight_grad"])
@pytest.mark.parametrize(("x", "kernel", "how"), DEPTHWISE, ids=str)
def test_depthwise_convolutions(name, x, kernel, how):
    groups = x[3]
    case = convolution(getattr(kernels, f"conv2d{name}"), x, (groups, 1, *kernel), {**how, "groups": groups})
    results = {}
    for f in implementations(getattr(kernels, f"depthwise_conv2d{name}")):
        equals_specification(f, case)
        if "avx" in f.name:
            results[f.name] = f(case).tobytes()
    assert len(set(results.values())) <= 1, "not the same bits"


def test_all_variants_with_fma_give_winograd_conv2d_the_same_bits():
    rng = np.random.default_rng(0)
    x, w = floats(rng, (2, 9, 40, 70), "uniform"), floats(rng, (90, 70, 3, 3), "uniform")
    case = Case((x, w), {"padding": 1})
    results = {f.name: f(case) for f in implementations(kernels.winograd_conv2d) if "avx" in f.name}
    assert len({result.tobytes() for result in results.values()}) <= 1, results.keys()


def test_a_result_too_large_for_memory_is_a_memory_error():
    tall, wide = np.zeros((2**24, 0), np.float32), np.zeros((0, 2**24), np.float32)
    with pytest.raises(MemoryError):
        kernels.gemm(tall, wide)
    with pytest.raises(MemoryError):
        kernels.qgemm(tall.astype(np.uint8), wide.astype(np.int8))


@pytest.mark.skipif(kernels.why_not_c() is not None, reason="NumPy would multiply it for years")
def test_panels_larger_than_a_number_of_64_bits_are_a_memory_error():
    long = np.broadcast_to(np.float32(1), (1, 1 << 60))    # of stride 0: 4 bytes of memory
    with pytest.raises(MemoryError):
        kernels.gemm(long, long.T)

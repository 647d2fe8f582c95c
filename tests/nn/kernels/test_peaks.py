"""What kernels are held against: the route of their multiplies, the speed of a copy, the cost of a call."""

import pytest

from nn import kernels
from nn.kernels import best_route, call_cost, copy_speed, native, peak_routes, peaks, route_of, use

FLOATS = ("gemm", "conv2d", "depthwise_conv2d", "spmm_csr", "sparse_conv2d", "shapewise_conv2d",
          "codebook_gemm", "tt_matmul", "winograd_conv2d", "half_gemm", "spmm_bsr", "spmm_nm")
VECTORS = [route for route in peak_routes() if not route.endswith("_scalar")]
needs_peaks = pytest.mark.skipif(not VECTORS, reason="no vector instructions here")


def test_the_route_of_a_variant_is_what_it_multiplies_with():
    def route(name, isa):
        return route_of(native.Variant(name, "c", isa, (1, 1), 0, 0, 0))

    assert route("rows_f32_6x16_avx2", "avx2") == "fma_avx2"
    assert route("taps_f32_6x64_avx512", "avx512") == "fma_avx512"
    assert route("rows_u8s8_12x32_avx512vnni", "avx512vnni") == "vnni_avx512"
    assert route("rows_u8s7_4x16_avx2", "avx2") == "maddubs_avx2"
    assert route("pass_relu_avx2", "avx2") == ""


@needs_peaks
@pytest.mark.parametrize("isa", ["avx512", "avx2"])
def test_a_kernel_is_held_against_the_richest_instruction_set_in_force(isa):
    if isa not in (kernels.isa(), "avx2"):
        pytest.skip(f"no {isa} here")
    with use(isa):
        assert {best_route(getattr(kernels, name)) for name in FLOATS} == {f"fma_{isa}"}
        assert best_route(kernels.relu) is best_route(kernels.im2col) is None
        integers = best_route(kernels.qgemm)
    assert integers in (("maddubs_avx2", "signed_avx2") if isa == "avx2" else ("vnni_avx512", "maddubs_avx2"))


@needs_peaks
def test_a_row_that_is_forced_decides():
    rows = [row for row in kernels.qgemm.variants() if route_of(row) in peak_routes()]
    assert {route_of(row) for row in rows} >= {"maddubs_avx2"}
    for row in rows:
        with use(row):
            assert best_route(kernels.qgemm) == route_of(row)
            assert best_route(kernels.gemm).startswith("fma_")


@pytest.mark.parametrize("what", ["scalar", "numpy"])
def test_where_no_peak_is_known_there_is_no_route(what):
    if what == "scalar" and kernels.why_not_c():
        pytest.skip("needs the C kernels")
    with use(what):
        assert best_route(kernels.gemm) is best_route(kernels.qgemm) is None


def test_what_a_copy_and_a_call_take_is_measured_once():
    assert 0 < call_cost() == call_cost()
    assert 0 < copy_speed(1) == copy_speed(peaks.SMALLEST)
    assert copy_speed(peaks.SMALLEST + 1) == copy_speed(4 * peaks.SMALLEST) > 0
    assert copy_speed(10 * peaks.LARGEST) == copy_speed(peaks.LARGEST)

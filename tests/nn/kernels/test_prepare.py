"""kernel.prepare: a call whose questions are answered once and which is made again and again."""

import gc
import linecache

import numpy as np
import pytest

from nn import kernels
from tests.nn.kernels.test_bad_input import GOOD as PRODUCTS
from tests.nn.kernels.test_quantized import GOOD as INTEGERS

GOOD = {**{name: PRODUCTS[name] for name in ("gemm", "qgemm", "conv2d", "winograd_conv2d")}, **INTEGERS,
        "relu": {"x": np.arange(-8, 8, dtype=np.float32)}}
CASES = [pytest.param(name, packed, id=f"{name}{'-packed' * packed}") for name in GOOD
         for packed in ((False, True) if getattr(kernels, name).pack else (False,))]


def arguments(name, packed):
    """The kernel, arguments that may be written to, and those that are packed."""
    kernel, good = getattr(kernels, name), {n: np.copy(x) if isinstance(x, np.ndarray) else x
                                            for n, x in GOOD[name].items()}
    which = kernel.contract.packed
    if packed:
        good[which] = kernel.pack(good[which], *([good["groups"]] if "groups" in good else []))
    return kernel, good, next(iter(good))


@pytest.mark.parametrize("what", ["c", "scalar", "numpy"])
@pytest.mark.parametrize(("name", "packed"), CASES)
def test_it_computes_anew_from_what_the_arrays_hold(name, packed, what):
    if what != "numpy" and kernels.why_not_c():
        pytest.skip(kernels.why_not_c())
    kernel, good, first = arguments(name, packed)
    out = np.zeros_like(kernel(**good))
    again = kernel.prepare(**good, out=out)
    for _ in range(2):
        with kernels.use(what):
            want = kernel(**good)
            out[...] = 0
            assert again() is out
        np.testing.assert_array_equal(out, want)
        good[first][...] = good[first][::-1].copy()


@pytest.mark.parametrize(("name", "argument", "before", "after"), [
    ("qgemm", "bias", np.arange(8, dtype=np.int32)[::2], 1000),
    ("qgemm", "scale", np.full(8, 0.01)[::-2], 0.1),
    ("qgemm", "scale", np.array(0.01), 0.1),
    ("qgemm", "b_zero", np.zeros(4, np.int32), 5),
    ("conv2d", "bias", np.zeros(8, np.float32)[::2], 1),
    ("dequantize", "scale", np.ones(8, np.float32)[::2], 2),
    ("requantize", "scale", np.ones(8, np.float32)[::2], 2)])
def test_numbers_beside_the_products_are_read_anew_however_they_lie(name, argument, before, after):
    rng = np.random.default_rng(0)
    kernel = getattr(kernels, name)
    given = {"qgemm": lambda: {"a": rng.integers(0, 256, (3, 8)).astype(np.uint8),
                               "b": kernel.pack(rng.integers(-9, 9, (8, 4)).astype(np.int8))},
             "conv2d": lambda: {"x": np.ones((1, 3, 3, 4), np.float32),
                                "w": kernel.pack(np.ones((4, 4, 2, 2), np.float32))}
             }.get(name, lambda: {"q": rng.integers(0, 60, (3, 4)).astype(np.int32)})()
    gaps = before.ndim and not before.flags.contiguous
    beside = np.repeat(before, 2)[::2] if gaps else before.copy()
    out = np.zeros_like(kernel(**given, **{argument: beside}))
    again = kernel.prepare(**given, **{argument: beside}, out=out)
    first = again().copy()
    beside[...] = after
    np.testing.assert_array_equal(again(), kernel(**given, **{argument: beside}))
    assert (out != first).any()


@pytest.mark.parametrize("disguise", [lambda x: np.repeat(x, 2, axis=-1)[..., ::2], lambda x: x[::-1]],
                         ids=["with gaps", "upside down"])
@pytest.mark.parametrize("name", GOOD)
def test_what_is_not_usual_is_computed_too(name, disguise):
    kernel, good, first = arguments(name, False)
    good[first] = disguise(good[first])
    out = np.zeros_like(kernel(**good))
    kernel.prepare(**good, out=out)()
    np.testing.assert_array_equal(out, kernel(**good))
    np.testing.assert_array_equal(kernel.prepare(**good)(), out)    # without `out`, a new one each time


def test_what_c_looks_at_it_looks_at_in_each_call():
    x, q, out = np.ones(9, np.float32), np.ones((2, 3), np.uint8), np.zeros((2, 3), np.float32)
    scale = np.ones(3, np.float32)
    quantized = kernels.quantize.prepare(x, 0.5, 3, out=np.zeros(9, np.uint8))
    real = kernels.dequantize.prepare(q, scale, out=out)
    assert (quantized() == 5).all()
    assert (real() == 1).all()
    x[7], scale[1] = np.nan, 0
    with pytest.raises(ValueError, match=r"^quantize: x holds NaN or infinity"):
        quantized()
    with pytest.raises(ValueError, match=r"^dequantize: every scale must be positive and finite.*, got 0"):
        real()


@pytest.mark.parametrize("wrong", [{"out": np.zeros((1, 2, 2, 6))}, {"kernel_size": 9}, {"stride": 0},
                                   {"x": np.zeros((1, 4, 4, 6), np.int8)}])
def test_a_bad_argument_is_refused_when_it_is_prepared_or_called(wrong):
    good = {"x": np.zeros((1, 4, 4, 6), np.uint8), "kernel_size": 2, "stride": 2,
            "out": np.zeros((1, 2, 2, 6), np.uint8)}
    kernels.qmax_pool2d.prepare(**good)()
    with pytest.raises((TypeError, ValueError), match=f"^qmax_pool2d: .*{next(iter(wrong))}"):
        kernels.qmax_pool2d.prepare(**{**good, **wrong})()


def test_out_may_not_overlap():
    memory = np.zeros(64, np.uint8)
    with pytest.raises(ValueError, match=r"^requantize: out must not overlap an input"):
        kernels.requantize.prepare(memory[:40], 0.5, out=memory[20:60])()


def test_it_keeps_the_memory_that_it_reads_and_writes():
    x = np.full(100_000, 3, np.float32)
    again = kernels.quantize.prepare(x, 1.0, 0, out=np.zeros(100_000, np.uint8))
    del x
    gc.collect()
    junk = [np.full(100_000, 9, np.float32) for _ in range(3)]
    assert (again() == 3).all()
    assert junk


def test_its_lines_can_be_read():
    kernels.qadd.prepare(**GOOD["qadd"])
    shown = "".join(linecache.getlines("<prepare of qadd>"))
    assert shown.startswith("def qadd(")
    assert "nn_qadd(choice, *given)" in shown or kernels.why_not_c()


@pytest.mark.parametrize("what", ["c", "numpy"])
def test_a_single_number_goes_where_out_says(what):
    if what != "numpy" and kernels.why_not_c():
        pytest.skip(kernels.why_not_c())
    x, out = np.full((), 3, np.float32), np.zeros((), np.uint8)
    with kernels.use(what):
        assert kernels.quantize(x, 0.5, 1, out=out) is out
        assert out == 7
        assert kernels.quantize.prepare(x, 1.0, 1, out=out)() == 4

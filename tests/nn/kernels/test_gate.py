"""The gate of a kernel: what it is made from, what it remembers, what it costs; and every float dtype."""

import inspect
import linecache
import subprocess
import sys
import traceback

import numpy as np
import pytest

from nn import functional as F
from nn import kernels
from nn.kernels.contract import operand
from nn.kernels.kernel import Kernel
from nn.tensor import Tensor
from tests.nn.kernels import bad_convolution
from tests.nn.kernels.test_bad_input import GOOD as PRODUCTS
from tests.nn.kernels.test_training_kernels import GOOD as PASSES

X, W = np.arange(128, dtype=np.float32).reshape(1, 8, 8, 2), np.ones((4, 2, 3, 3), np.float32)
IN_C = pytest.mark.skipif(kernels.why_not_c() is not None, reason="there is no C")


# ---- what it is made from ----

@pytest.mark.parametrize("kernel", kernels.all_kernels(), ids=lambda k: k.name)
def test_a_gate_can_be_read_and_says_what_it_takes(kernel):
    assert kernel.gate.startswith(f"def {kernel.name}(")
    assert linecache.getlines(f"<gate of {kernel.name}>")
    named = [n for n in inspect.signature(kernel).parameters if n != "out"]
    assert named == list(inspect.signature(kernel.reference).parameters)
    assert all(f"{k.name}: " in kernel.__doc__ for k in kernel.contract.arrays.values())


def test_a_debugger_sees_the_lines_of_a_gate():
    try:
        kernels.gemm(np.ones((2, 3), np.float32), np.ones((4, 5), np.float32))
    except ValueError as error:
        shown = "".join(traceback.format_exception(error))
    assert "raise disagree('gemm', 'K'" in shown or kernels.why_not_c()


@pytest.mark.parametrize("text", ["f33[M]", "f32[M", "f32", "f32[M]!", "f32[M] lines"])
def test_what_is_no_type_is_refused(text):
    with pytest.raises((ValueError, KeyError), match=r"x is declared|f33"):
        type("Kernel_same", (Kernel,), {})(lambda x: x, {"x": text, "out": "f32[M]"}).contract  # noqa: B018


def test_a_kernel_without_c_runs_its_specification():
    def twice(x, w, *, times=2):
        return times * (x @ w)

    types = {"x": "f32[M,K]", "w": "f32[K,N]", "out": "f32[M,N]"}
    made = type("Kernel_twice", (Kernel,), {})(twice, types)
    x, out = np.ones((2, 3), np.float32), np.zeros((2, 4), np.float32)
    assert made(x, np.ones((3, 4), np.float32), out=out) is out
    assert (out == 6).all()
    with pytest.raises(ValueError, match=r"^twice: x and w must agree in K, got shapes \(2, 3\) and \(4, "):
        made(x, np.ones((4, 4), np.float32))
    with pytest.raises(ValueError, match=r"^twice: out must have shape \(2, 4\), got \(2, 3\)"):
        made(x, np.ones((3, 4), np.float32), out=x.copy())


def test_an_operand_is_declared_beside_its_type():
    assert operand("f32[K,N]").text == "f32[K,N]"
    assert kernels.gemm.contract.packed == "b"
    assert kernels.spmm_csr.contract.others == ("indices", "indptr")


# ---- every float dtype ----

def packed_by_several(contract, name):
    """Whether it is one of several arrays that are packed together, whose dtypes `pack` looks at."""
    return contract.looked_at and name in (contract.packed, *contract.others)


FLOATS = [(kernel, name) for kernel, good in {**PRODUCTS, **bad_convolution.GOOD, **PASSES}.items()
          for name, x in good.items() if isinstance(x, np.ndarray) and x.dtype == np.float32
          and not packed_by_several(getattr(kernels, kernel).contract, name)]


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
@pytest.mark.parametrize(("kernel", "name"), FLOATS)
def test_other_floats_run_the_specification(kernel, name, dtype):
    good = {**PRODUCTS, **bad_convolution.GOOD, **PASSES}[kernel]
    changed = {**good, name: good[name].astype(dtype)}
    kernel = getattr(kernels, kernel)
    want, got = kernel.reference(**changed), kernel(**changed)
    for a, b in zip(*((x if isinstance(x, tuple) else (x,)) for x in (got, want)), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_other_floats_with_a_packed_operand_and_out():
    x, packed = X.astype(float), kernels.conv2d.pack(W)
    out = np.zeros((1, 6, 6, 4))
    assert kernels.conv2d(x, packed, out=out) is out
    np.testing.assert_array_equal(out, kernels.conv2d.reference(x, W))
    with pytest.raises(TypeError, match=r"^conv2d: out must be float64, got float32"):
        kernels.conv2d(x, packed, out=out.astype(np.float32))


# ---- what it remembers ----

PACKED, IMAGE = kernels.conv2d.pack(W), Tensor(X.transpose(0, 3, 1, 2))
ATTRIBUTES = {
    "conv2d": (lambda **how: kernels.conv2d(X, W, **how),
               {"stride": ([1, 1], [2, 2]), "padding": ([0, 0], [1, 2]), "dilation": ([1, 1], [2, 1])}),
    "packed conv2d": (lambda **how: kernels.conv2d(X, PACKED, **how),
                      {"stride": ([1, 1], [2, 2]), "padding": ([0, 0], [1, 2])}),
    "depthwise_conv2d": (lambda **how: kernels.depthwise_conv2d(X, W[:2, :1], **how),
                         {"stride": ([1, 1], [2, 2]), "padding": ([0, 0], [1, 2])}),
    "winograd_conv2d": (lambda **how: kernels.winograd_conv2d(X, W, **how), {"padding": ([0, 0], [1, 2])}),
    "conv2d_input_grad": (lambda size: kernels.conv2d_input_grad(X, W[:2], size, stride=2),
                          {"size": ([17, 18], [18, 17])}),
    "conv2d_weight_grad": (lambda padding: kernels.conv2d_weight_grad(X, X[:, :4, :4], 2, stride=2,
                                                                      padding=padding),
                           {"padding": ([0, 0], [0, 0])}),
    "max_pool2d": (lambda **how: kernels.max_pool2d(X, **{"kernel_size": 2, "stride": 2, **how})[0],
                   {"kernel_size": ([2, 2], [3, 2]), "stride": ([2, 2], [1, 3]),
                    "padding": ([0, 0], [1, 0])}),
    "avg_pool2d": (lambda **how: kernels.avg_pool2d(X, **{"kernel_size": 2, "stride": 2, **how}),
                   {"kernel_size": ([2, 2], [3, 2]), "stride": ([2, 2], [1, 3])}),
    "F.conv2d": (lambda **how: F.conv2d(IMAGE, Tensor(W), **how).numpy(),
                 {"stride": ([1, 1], [2, 2]), "padding": ([0, 0], [1, 2]), "dilation": ([1, 1], [2, 1])}),
    "F.max_pool2d": (lambda **how: F.max_pool2d(IMAGE, **{"kernel_size": 2, **how}).numpy(),
                     {"kernel_size": ([2, 2], [3, 2]), "stride": ([2, 2], [1, 3])}),
}


@pytest.mark.parametrize("backend", ["numpy", pytest.param("c", marks=IN_C)])
@pytest.mark.parametrize(("what", "name"), [(w, n) for w, (_, names) in ATTRIBUTES.items() for n in names])
def test_a_list_that_changes_between_two_calls_is_read_anew(what, name, backend):
    call, values = ATTRIBUTES[what]
    before, after = values[name]
    changing = list(before)
    with kernels.use(backend):
        first = call(**{name: changing})
        changing[:] = after
        second = call(**{name: changing})
        np.testing.assert_array_equal(first, call(**{name: tuple(before)}))
        np.testing.assert_array_equal(second, call(**{name: tuple(after)}))


@pytest.mark.parametrize("wrong", [1.0, True, np.float64(1), "1", None], ids=lambda x: type(x).__name__)
def test_what_equals_a_good_attribute_and_is_of_another_type_is_refused(wrong):
    packed = kernels.conv2d.pack(W)
    for w in (W, packed):
        kernels.conv2d(X, w, stride=1, groups=1)
        with pytest.raises(TypeError, match=r"^conv2d: stride"):
            kernels.conv2d(X, w, stride=wrong)
        with pytest.raises(TypeError, match=r"^conv2d: stride"):
            kernels.conv2d(X, w, stride=(1, wrong))


def test_a_bias_that_changes_is_read_anew_and_another_is_looked_at():
    packed, bias = kernels.conv2d.pack(W), np.ones(4, np.float32)
    before = kernels.conv2d(X, packed, bias)
    bias += 1
    np.testing.assert_array_equal(kernels.conv2d(X, packed, bias), before + 1)
    np.testing.assert_array_equal(kernels.conv2d(X, packed, np.repeat(bias, 2)[::2]), before + 1)
    with pytest.raises(ValueError, match=r"^conv2d: w and bias must agree in O"):
        kernels.conv2d(X, packed, bias[:3])


def test_no_more_plans_are_kept_than_a_few():
    for width in range(300):
        kernels.max_pool2d(np.zeros((1, 2, width + 2, 1), np.float32), 2, 2)
    assert len(kernels.max_pool2d.plans) <= 256


# ---- what it costs ----

def calls(function):
    """The Python calls that a function makes, and what it gives."""
    seen = []
    sys.setprofile(lambda frame, event, _: event == "call" and seen.append(frame.f_code.co_name))
    try:
        result = function()
    finally:
        sys.setprofile(None)
    return len(seen) - 1, result    # without the function's own


@IN_C
def test_a_convolution_passes_few_calls_on_its_way_to_c_and_back():
    arrays = np.ones((1, 8, 8, 8)), np.ones((8, 8, 3, 3)), np.ones(8)
    x, w, b = (Tensor(a.astype(np.float32), requires_grad=True) for a in arrays)
    g = np.ones((1, 8, 8, 8), np.float32)
    for _ in range(2):
        forward, y = calls(lambda: F.conv2d(x, w, b, padding=1))
        backward, _ = calls(lambda y=y: y.backward(g))
    assert forward <= 45
    assert backward <= 70


def test_a_kernel_may_say_anew_how_it_runs_after_it_was_used():
    def rectified(x):
        return np.maximum(x, 0)

    rectified = type("Kernel_rectified", (Kernel,), {})(rectified, {"x": "f32[...]", "out": "f32[...]"})
    x = np.array([-1, 2], np.float32)
    assert rectified.contract.out
    assert rectified(x).tolist() == [0, 2]
    for call in (None, "nn_relu(x.size, x, out)"):
        rectified.runs(call)
        assert rectified(x, out=np.empty_like(x)).tolist() == [0, 2]


FIRST_USES = """
import sys, threading
sys.setswitchinterval(1e-6)
from nn import kernels
failed = []
def use(name):
    try:
        one = getattr(kernels, name)
        one.pack, one.nothing, one.gate
    except Exception as error:
        failed.append(repr(error))
threads = [threading.Thread(target=use, args=(name,)) for name in ("gemm", "qgemm", "conv2d") * 4]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert not failed, failed
"""


def test_threads_may_use_a_kernel_for_the_first_time_at_once():
    run = subprocess.run([sys.executable, "-c", FIRST_USES], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_of_numpy_are_whole_numbers_and_each_its_own(dtype):
    x, w = np.ones((1, 5, 5, 2), dtype), np.ones((4, 2, 3, 3), dtype)
    one = np.int64(1)
    y = kernels.conv2d(x, w, stride=one, padding=one)
    np.testing.assert_array_equal(y, kernels.conv2d(x, w, stride=1, padding=1))
    np.testing.assert_array_equal(kernels.avg_pool2d(x, 2, 2, one), kernels.avg_pool2d(x, 2, 2, 1))
    for gradient, *given in ((kernels.conv2d_input_grad, y, w[:, :1], 5),
                             (kernels.conv2d_weight_grad, x, y, 3)):
        np.testing.assert_array_equal(gradient(*given, padding=1, groups=np.int64(2)),
                                      gradient(*given, padding=1, groups=2))
    kernels.conv2d(x, w, padding=np.uint8(255))    # whose byte is that of int8 -1
    with pytest.raises(ValueError, match="padding"):
        kernels.conv2d(x, w, padding=np.int8(-1))

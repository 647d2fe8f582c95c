"""check(function, like=kernel) says what is wrong with a function, and never falls over it."""

import subprocess
import sys

import numpy as np
import pytest

import nn
from nn.kernels import gemm, max_pool2d, relu
from nn.testing import check
from nn.testing.case import Case, for_all
from nn.testing.check import DOMAINS

CHANCE = np.random.default_rng(0)    # not one of those that Hypothesis sets to the same number for every case
CALLS: list[int] = []


def forgets_the_tail(a, b):
    y = np.empty((len(a), b.shape[1]), np.float32)
    whole = b.shape[1] // 8 * 8
    y[:, :whole] = gemm.reference(a, b[:, :whole])
    return y


def forgets_the_tail_of_out(a, b, out=None):
    y = np.empty((len(a), b.shape[1]), np.float32) if out is None else out
    y[: len(a) // 4 * 4] = gemm.reference(a[: len(a) // 4 * 4], b)
    return y


def forgets_the_last_channels(x, kernel_size, stride, padding=(0, 0)):
    right, winner = max_pool2d.reference(x, kernel_size, stride, padding)
    y = np.empty_like(right)
    y[..., : x.shape[3] // 4 * 4] = right[..., : x.shape[3] // 4 * 4]
    return y, winner


def adds_what_it_never_wrote(a, b):
    return gemm.reference(a, b) + np.empty(1, np.float32)


def keeps_a_state(a, b):
    CALLS.append(1)
    return gemm.reference(a, b) + np.float32(len(CALLS) % 2)


def throws_dice(a, b):
    return gemm.reference(a, b) + np.float32(CHANCE.random() < 0.5)


def sometimes_raises(a, b):
    if CHANCE.random() < 0.2:
        raise RuntimeError("the cat sat on the keyboard")
    return gemm.reference(a, b)


def writes_into_its_argument(a, b):
    y = gemm.reference(a, b)
    a[...] = 0
    return y


@pytest.mark.parametrize(("function", "like", "law", "said"), [
    (forgets_the_tail, gemm, "writes_all_of_its_result", "1 of 1 entries of the result are never written"),
    (forgets_the_tail_of_out, gemm, "writes_all_of_its_result", "1 of 1 entries of the result are never"),
    (forgets_the_last_channels, max_pool2d, "writes_all_of_its_result", "1 of 1 entries of the result are"),
    (adds_what_it_never_wrote, gemm, "writes_all_of_its_result", "1 of 1 entries of the result are never"),
    (keeps_a_state, gemm, "writes_all_of_its_result", "something else beside the arguments"),
    (throws_dice, gemm, "writes_all_of_its_result", "or on something else beside the arguments"),
    (sometimes_raises, gemm, None, "RuntimeError: the cat sat on the keyboard"),
    (writes_into_its_argument, gemm, "leaves_inputs", "argument 0 after the call"),
])
def test_one_mistake_is_one_line(function, like, law, said):
    report = check(function, like=like, examples=20)
    (failure,) = report.failures
    assert law in (None, failure.law)
    assert said in str(report)
    assert "for (float32(" in str(report)


def test_the_case_is_shown_as_it_was_drawn():
    """And not as the kernel left it."""
    (failure,) = check(writes_into_its_argument, like=gemm, examples=20).failures
    assert "for (float32(1, 1) = [[0.]]" not in failure.message


def test_a_case_that_failed_once_has_failed():
    seen = []

    def fails_the_first_time(case):
        seen.append(case)
        if len(seen) == 4:
            raise AssertionError("the fourth")

    with pytest.raises(AssertionError, match=r"the fourth\n    for .*\n    and it passes when it is tried"):
        for_all(DOMAINS["relu"].cases(), fails_the_first_time, examples=20)


def test_a_case_that_always_fails_says_nothing_of_chance():
    def fails(case: Case):
        raise AssertionError("always")

    with pytest.raises(AssertionError, match=r"^always\n    for \(float32") as caught:
        for_all(DOMAINS["relu"].cases(), fails, examples=5)
    assert "tried again" not in str(caught.value)


@pytest.mark.parametrize(("arguments", "said"), [
    ((keeps_a_state,), "keeps_a_state is not a Kernel; say which one .* like=nn.kernels.gemm"),
    ((keeps_a_state, keeps_a_state), "like must be a Kernel of nn.kernels, got function"),
    ((keeps_a_state, "gemm"), "like must be a Kernel of nn.kernels, got str"),
    ((3,), "kernel must be a Kernel or a function, got int"),
])
def test_what_check_can_not_check(arguments, said):
    with pytest.raises(TypeError, match=f"^check: {said}"):
        check(*arguments)


def test_what_has_no_name_is_checked_too():
    class Gemm:
        def __call__(self, a, b):
            return gemm.reference(a, b)

    assert check(Gemm(), like=gemm, examples=2)
    assert check(np.maximum.__call__, like=relu, examples=1) is not None


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    return done.stdout + done.stderr


def test_check_is_a_function_in_both_packages_and_loads_late():
    program = """
import sys, nn, compress
print("hypothesis" in sys.modules, callable(nn.testing.check), callable(compress.testing.check))
from nn.testing.check import DOMAINS
from compress.testing.check import holds
from nn.testing import check
from compress.testing import check as other
print(callable(check), check is nn.testing.check, other is compress.testing.check)
"""
    assert run(program).split() == ["False", "True", "True", "True", "True", "True"]


@pytest.mark.parametrize("package", ["nn.testing", "compress.testing", "nn.testing.laws"])
def test_without_hypothesis_the_extra_is_named(package):
    said = run(f"import sys; sys.modules['hypothesis'] = None; import {package}")
    assert "ModuleNotFoundError" in said
    assert "pip install 'espalier[test]'" in said


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'nn' has no attribute 'tests'"):
        _ = nn.tests

"""Each law fails where it must: planted wrong kernels, killed by the law that is there for them."""

import ctypes
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from nn.kernels import all_kernels, gemm, qgemm
from nn.testing import memory
from nn.testing.check import DOMAINS, LAWS_OF, check, holds
from nn.testing.laws import Implementation, all_of
from tests.nn.kernels import mutants
from tests.nn.kernels.mutants import MUTANTS

EXAMPLES = 60
for found in sorted(Path(__file__).parent.glob("mutants_*.py")):
    import_module(f"tests.nn.kernels.{found.stem}")  # which adds its own to MUTANTS


@pytest.mark.filterwarnings("ignore:Generating overly large repr")    # of a case that is not shrunk
@pytest.mark.parametrize(("law", "kernel", "name", "run", "pack"), MUTANTS,
                         ids=[f"{row[0].__name__}-{row[1].name}-{row[2]}" for row in MUTANTS])
def test_law_kills(law, kernel, name, run, pack):
    mutant = Implementation(name, DOMAINS[kernel.name], run, mutants.specification(kernel), pack)
    with pytest.raises(AssertionError):
        holds(law, mutant, EXAMPLES, shrink=False)


def test_laws_that_are_asked_together_kill_too_and_say_which():
    law, kernel, name, run, pack = next(row for row in MUTANTS if row[0] is not LAWS_OF[row[1].name][0])
    mutant = Implementation(name, DOMAINS[kernel.name], run, mutants.specification(kernel), pack)
    others = [one for one in LAWS_OF[kernel.name] if one.__name__ == "leaves_inputs"]
    with pytest.raises(AssertionError, match=rf"^{law.__name__}: "):
        holds(all_of([*others, law]), mutant, EXAMPLES, shrink=False)


@pytest.mark.parametrize("kernel", all_kernels(), ids=lambda k: k.name)
def test_every_law_has_a_mutant(kernel):
    killed = {law.__name__ for law, of, *_ in MUTANTS if of is kernel}
    assert {law.__name__ for law in LAWS_OF[kernel.name]} == killed


def peeks(offset):
    """A gemm that reads the byte `offset` after the end, or (negative) before the start, of a."""
    def run(a, b, out=None):
        if a.size:
            low, high = np.lib.array_utils.byte_bounds(a)
            ctypes.string_at(high + offset if offset >= 0 else low + offset, 1)
        return mutants.into(out, gemm.reference(a, b))
    return run


def pokes(a, b, out=None):
    y = mutants.into(out, gemm.reference(a, b))
    if y.size:
        ctypes.memset(np.lib.array_utils.byte_bounds(y)[1], 0, 1)
    return y


@pytest.mark.skipif(memory.why_not() is not None, reason=memory.why_not() or "")
@pytest.mark.parametrize(("run", "where"), [
    (peeks(0), "arguments against the page at their end"),
    (peeks(-1), "arguments against the page at their start"),
    (pokes, "out against the page at its end")], ids=["peeks-after", "peeks-before", "pokes-after"])
def test_guard_pages_kill(run, where):
    with pytest.raises(AssertionError, match=rf"SIGSEGV: {where}\n    for \(float32"):
        memory.stays_inside(Implementation("mutant", DOMAINS["gemm"], run, gemm.reference), EXAMPLES)


def test_check_reports_law_implementation_and_case():
    def my_qgemm(a, b, *, a_zero=0, b_zero=0, bias=None, scale=None, out_zero=0, out_dtype=None, clip=None,
                 rounding="float"):
        return qgemm.reference(a, b, a_zero=0, b_zero=b_zero, bias=bias, scale=scale, out_zero=out_zero,
                               out_dtype=out_dtype, clip=clip, rounding=rounding)

    report = check(my_qgemm, like=qgemm, examples=15)
    assert not report
    assert "shifts_zero_points" in {failure.law for failure in report.failures}
    assert "repeats" not in {failure.law for failure in report.failures}
    text = str(report)
    assert "my_qgemm breaks shifts_zero_points" in text
    assert "A and a_zero both up by 1" in text
    assert "a_zero=" in text


def test_check_is_content_with_the_specification():
    def my_gemm(a, b):
        return gemm.reference(a, b)

    report = check(my_gemm, like=gemm, examples=5)
    assert report, str(report)
    assert report.passed > 10


@pytest.mark.skipif(memory.why_not() is not None, reason=memory.why_not() or "")
def test_check_survives_a_crash():
    def crashes(a, b):
        return gemm.reference(a, b) if len(a) < 5 else ctypes.string_at(0)

    report = check(crashes, like=gemm, examples=20)
    assert [failure.law for failure in report.failures] == ["stays_inside"]
    assert "SIGSEGV: before the first call with guarded memory\n        for (float32(5, " in str(report)

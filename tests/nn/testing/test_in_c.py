"""A kernel of one's own in C: its signature, the worked examples, and what is said of wrong ones."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from nn import kernels
from nn.compiler import compiler
from nn.kernels import conv2d, gemm, qgemm, relu
from nn.testing import in_c
from nn.testing.in_c import BuildError, KernelError, build, built, check, example, header
from nn.testing.in_c.header import BLOCKED, NAIVE
from tests.in_c import in_c as can_be_built

KERNELS = {one.name: one for one in vars(kernels).values() if isinstance(one, kernels.Kernel)}


pytestmark = can_be_built


def written(folder: Path, name: str, *changes: tuple[str, str]) -> Path:
    """The worked example of a kernel, changed."""
    text = example(KERNELS[name])
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / f"{name}.c"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", KERNELS)
def test_each_kernel_has_an_example_that_compiles_on_its_own(name, tmp_path):
    written(tmp_path, name)
    (tmp_path / f"{name}.h").write_text(header(KERNELS[name]))
    done = subprocess.run(
        [*compiler(), "-std=gnu11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", f"{name}.c"],
        cwd=tmp_path, capture_output=True, text=True)
    assert not done.returncode, done.stderr


def test_no_example_is_left_over():
    assert {path.stem for path in NAIVE.glob("*.c")} == set(KERNELS)


@pytest.mark.parametrize("name", [path.stem for path in BLOCKED.glob("*.c")])
def test_blocked_ones_are_right(name, tmp_path):
    path = tmp_path / f"{name}.c"
    path.write_text(example(KERNELS[name], BLOCKED))
    report = check(path, KERNELS[name], examples=10)
    assert report, str(report)


@pytest.mark.parametrize("name", ["gemm", "dequantize", "max_pool2d"])
def test_examples_are_right(name, tmp_path):
    report = check(written(tmp_path, name), KERNELS[name], examples=5)
    assert report, str(report)


@pytest.mark.long
@pytest.mark.parametrize("name", KERNELS)
def test_every_example_is_right(name, tmp_path):
    report = check(written(tmp_path, name), KERNELS[name], examples=20)
    assert report, str(report)


def test_a_signature_is_made_of_the_contract():
    text = " ".join(header(qgemm).split())
    assert ("int qgemm(int64_t M, int64_t K, int64_t N, const void *a, int a_type, const int8_t *b, int64_t "
            "a_zero, const int64_t *b_zero, const int32_t *bias, const double *scale, int64_t out_zero, "
            "int64_t clip_low, int64_t clip_high, const char *rounding, void *out, int out_type);") in text
    assert "int64_t groups, bool relu, float *out);" in " ".join(header(conv2d).split())


SUM = "float sum = 0;"
WRONG = {  # of gemm: the change, the law, what is said
    "reads behind": (("k < K", "k <= K"), "stays_inside", "reads byte 0 of a, the first one behind its last"),
    "writes behind": (("j < N", "j <= N"), "stays_inside", "it writes byte 0 of out, the first one behind"),
    "writes before": (("int64_t i = 0", "int64_t i = -1"), "stays_inside", "writes byte -4 of out, 4 before"),
    "writes const": (("return 0", "if (M * K) ((float *)a)[M * K - 1] += 1; return 0"), "stays_inside",
                     "it writes into a, which is const, at byte "),
    "NULL": ((SUM, "float sum = *(float *volatile)0;"), "stays_inside", "SIGSEGV at address 0x0"),
    "divides": ((SUM, "volatile int none = 0; float sum = 7 / none;"), "stays_inside", "SIGFPE: an integer"),
    "full stack": ((SUM, "volatile char big[1 << 28]; big[0] = 0; float sum = big[0];"), "stays_inside",
                   "the stack is full"),
    "no end": (("return 0", "for (volatile int i = K == 0; i;) {} return 0"), "stays_inside",
               "it does not come back"),
    "exits": (("return 0", "_exit(0); return 0"), "stays_inside", "it ended the process instead of return"),
    "fails": (("return 0", "return 7"), "stays_inside", "it returned 7, wanted 0"),
    "forgets a tail": (("j < N", "j < N / 8 * 8"), "writes_all_of_its_result", "1 of 1 entries of the res"),
    "keeps a state": ((SUM, "static float sum = 0;"), "writes_all_of_its_result", "something else beside"),
    "wrong at k = 7": (("[k * N + j]", "[k * N + (k == 7 ? 0 : j)]"), "equals_specification",
                       "the last call: gemm(M=1, K=8, N=2, a, b, out)"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_of_a_small_case(what, tmp_path):
    change, law, said = WRONG[what]
    path = written(tmp_path, "gemm", change)
    path.write_text("#include <unistd.h>\n" + path.read_text())
    (failure,) = check(path, gemm, examples=20).failures
    assert failure.law == law
    assert said in failure.message
    assert "\n    for (float32(" in failure.message


@pytest.mark.parametrize(("change", "said"), [
    (("+ t]", "+ kH * kW - 1 - t]"), ["4.0 instead of 5.0", "[[1. 2.]]",
                                      "stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1"]),
    ((" * dilation_w", ""), ["2.0 instead of 0.0",
                             "stride=(1, 1), padding=(0, 1), dilation=(1, 2), groups=1"]),
])
def test_windows_are_made_simple_and_numbers_small(change, said, tmp_path):
    report = check(written(tmp_path, "conv2d", change), conv2d)
    for words in said:
        assert words in report.failures[0].message
    assert f"conv2d.c as conv2d: 2 laws hold, {1 + len(report.others)} broken" in str(report)
    assert "is_exact_on_small_integers" in report.others


def test_numbers_of_a_product_are_small(tmp_path):
    (failure,) = check(written(tmp_path, "gemm", ("k < K", "k < K - (K > 5)")), gemm).failures
    assert "56.0 instead of 60.0" in failure.message
    assert "float32(1, 7) = [[1. 2. 3. 4. 5. 1. 2.]]" in failure.message


def test_where_a_nan_is_lost_is_said(tmp_path):
    path = written(tmp_path, "relu", ("x[i] <= 0 ? 0 : x[i]", "x[i] > 0 ? x[i] : 0"))
    (failure,) = check(path, relu).failures
    assert failure.law == "treats_nan_as_the_specification"
    said = "with NaN for the entry [0, 0] of the first argument: result 0[0, 0] is 0.0 instead of nan"
    assert said in failure.message


@pytest.mark.parametrize(("text", "said"), [
    ("int gemm(void) { return 0; }", "conflicting types"),
    ("static int gemn;", "gemm"),
    ("int gemm(", "error"),
    ("#error no", "#error no"),
])
def test_what_can_not_be_built(text, said, tmp_path):
    path = tmp_path / "gemm.c"
    path.write_text(text)
    with pytest.raises(BuildError, match=said):
        build(path, gemm, tmp_path)


def test_there_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        build(tmp_path / "gemm.c", gemm, tmp_path)


def test_a_header_of_the_student_does_not_count(tmp_path):
    path = written(tmp_path, "gemm", ("const float *a, const float *b", "const double *a, const float *b"))
    (tmp_path / "gemm.h").write_text(header(gemm).replace("const float *a", "const double *a"))
    with pytest.raises(BuildError, match="conflicting types"):
        build(path, gemm, tmp_path)


def test_it_is_a_function_with_the_arguments_of_the_kernel(tmp_path):
    rng = np.random.default_rng(0)
    x, w = rng.random((2, 5, 6, 4), np.float32), rng.random((6, 2, 3, 3), np.float32)
    with built(written(tmp_path, "conv2d"), conv2d) as mine:
        np.testing.assert_allclose(mine(x[:, ::-1], w, stride=2, padding=(1, 0), groups=2),
                                   conv2d(x[:, ::-1], w, stride=2, padding=(1, 0), groups=2), rtol=1e-5)
        with pytest.raises(ValueError, match="must have 4 channels"):
            mine(x[..., :3], w, groups=2)


def test_a_new_process_comes_after_a_crash(tmp_path):
    path = written(tmp_path, "relu", ("return 0", "if (size == 3) __builtin_trap(); return 0"))
    with built(path, relu) as mine:
        with pytest.raises(KernelError, match="SIGILL"):
            mine(np.ones(3, np.float32))
        np.testing.assert_array_equal(mine(np.array([-1, 2], np.float32)), [0, 2])


@pytest.mark.parametrize(("body", "said"), [
    ("pause();", "it waits for something"),
    ("setitimer(ITIMER_PROF, &(struct itimerval){0}, 0); for (volatile int i = 1; i;) {}", "a loop without"),
])
def test_what_does_not_come_back_is_ended(body, said, tmp_path, monkeypatch):
    """Waiting, or computing with the timer switched off that would end it."""
    monkeypatch.setattr(in_c.host, "OVERDUE", 0.1)
    path = written(tmp_path, "relu", ("return 0", f"if (size == 3) {{ {body} }} return 0"))
    path.write_text(f"#define _GNU_SOURCE\n#include <sys/time.h>\n#include <unistd.h>\n{path.read_text()}")
    with built(path, relu, seconds=0.1) as mine:
        mine.host.patience = 0.3
        with pytest.raises(KernelError, match=said):
            mine(np.ones(3, np.float32))
        np.testing.assert_array_equal(mine(np.array([-1, 2], np.float32)), [0, 2])


def test_warnings_are_passed_on(tmp_path):
    said = []
    check(written(tmp_path, "relu", ("return 0", "int unused; return 0")), relu, examples=1, tell=said.append)
    assert "unused variable" in "".join(said)

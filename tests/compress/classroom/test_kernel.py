"""The assignment of a kernel in C: what students get compiles, and what they are told when it does not."""

import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

from compress.classroom import marks, sandbox
from compress.classroom.assignment import assignments
from compress.classroom.gemm8 import NAIVE, Runner, contract
from compress.classroom.graded import check
from compress.classroom.mutation import isolated
from compress.classroom.release import copies
from nn.testing.in_c import header
from tests.in_c import in_c

KERNEL = assignments()["kernel"]
COMMAND = "python kernel.py"


pytestmark = in_c


@pytest.fixture
def handout(tmp_path):
    """What a student gets, in a folder."""
    for name, content in copies(KERNEL).items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def run(folder, *names):
    done = subprocess.run([sys.executable, "kernel.py", *names], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_students_get_three_files_and_no_solution(handout):
    assert sorted(path.name for path in handout.iterdir()) == ["gemm8.h", "kernel.c", "kernel.py"]
    assert "return NOT_WRITTEN;" in (handout / "kernel.c").read_text()
    assert "tile(" not in (handout / "kernel.c").read_text()


def test_the_header_is_that_of_the_contract():
    assert (KERNEL.folder / "gemm8.h").read_text(encoding="utf-8") == header(contract(), COMMAND)


def test_a_blank_copy_compiles_and_has_no_points(handout):
    code, out, error = run(handout, "the_product_is_exact", "axes_may_be_empty", "it_is_twice_as_fast")
    assert code == 1
    assert out.count("gemm8 is not written yet") == 3
    assert "0 of 7 points" in out
    assert "error" not in error


@pytest.mark.long
def test_three_loops_are_right_and_not_fast(handout):
    (handout / "kernel.c").write_text(NAIVE)
    code, out, _ = run(handout, "the_product_is_exact", "no_byte_outside_is_touched", "it_is_twice_as_fast")
    assert code == 1
    assert "3/3  the_product_is_exact\n3/3  no_byte_outside_is_touched\n0/2  it_is_twice_as_fast" in out
    assert "times as fast as three loops; wanted 2 times" in out


def test_what_does_not_compile_is_said_once(handout):
    (handout / "kernel.c").write_text("int gemm8(")
    code, out, error = run(handout)
    assert code == 1
    assert not out
    assert error.startswith("kernel.c can't be built:\nkernel.c:1:")


def graded(text, name):
    (one,) = (prop for prop in KERNEL.properties if prop.name == name)
    with isolated(text, KERNEL) as student:
        return check(one, student)


def test_under_the_grader_a_byte_too_far_is_named():
    outcome = graded(NAIVE.replace("j < N", "j <= N"), "no_byte_outside_is_touched")
    assert not outcome.holds
    assert "byte 1 of b, the first one behind its last (b is int8 (1, 1), 1 bytes)" in outcome.message


def test_under_the_grader_the_solution_holds():
    assert graded(marks.solved_copy(KERNEL.answer.read_text(encoding="utf-8")), "axes_may_be_empty").holds


def test_a_kernel_that_ends_its_process_again_and_again_is_not_right():
    outcome = graded(f"#include <unistd.h>\n{NAIVE.replace('return 0', '_exit(0)')}", "the_product_is_exact")
    assert not outcome.holds
    assert "it ended the process instead of returning" in outcome.message


def test_what_a_runner_fills_the_result_with_is_seen(tmp_path):
    (tmp_path / "kernel.c").write_text(NAIVE.replace("out[i * N + j] = sum;", ""))
    ones = np.ones((1, 1), np.uint8)
    with closing(Runner(tmp_path / "kernel.c")) as runner:
        assert runner.gemm8(ones, 0, ones.astype(np.int8), fill=0x55) == 0x55555555


REMEMBERS = NAIVE.replace("int gemm8(", "static int product(") + """
#include <string.h>
static uint8_t old_a[1 << 20]; static int8_t old_b[1 << 20]; static int32_t old[1 << 20];

int gemm8(int64_t M, int64_t K, int64_t N, const uint8_t *a, int64_t a_zero, const int8_t *b, int32_t *out)
{
    if (memcmp(a, old_a, M * K) || memcmp(b, old_b, K * N))
        product(M, K, N, a, a_zero, b, old);
    memcpy(old_a, a, M * K), memcpy(old_b, b, K * N);
    memcpy(out, old, 4 * M * N);
    return 0;
}
"""
LEAVES_OUT = NAIVE.replace("for (int64_t i = 0;",
                           "static int calls; for (int64_t i = calls++ % 4 == 1 ? M : 0;")


def test_a_kernel_that_remembers_products_is_not_faster(tmp_path):
    (tmp_path / "kernel.c").write_text(REMEMBERS)
    a, b = np.ones((128, 512), np.uint8), np.ones((512, 128), np.int8)
    with closing(Runner(tmp_path / "kernel.c")) as runner:
        (product, mine), (_, naive) = runner.timed(a, 0, b, 2), runner.naive(a, 0, b, 2)
    assert (product == 512).all()
    assert mine > naive / 3


def test_a_kernel_that_computes_only_sometimes_is_found(tmp_path):
    (tmp_path / "kernel.c").write_text(LEAVES_OUT)
    ones = np.ones((4, 4), np.uint8)
    with (closing(Runner(tmp_path / "kernel.c")) as runner,
          pytest.raises(AssertionError, match="16 of 16 entries are wrong")):
        runner.timed(ones, 0, ones.view(np.int8), 3)


def test_an_include_of_the_solution_finds_none():
    """The compiler runs where the hand-in does: with its limits."""
    if not sandbox.landlock():
        pytest.skip("needs Landlock")
    outcome = graded(f'#include "{KERNEL.folder / "second.c"}"\n', "axes_may_be_empty")
    assert not outcome.holds
    assert "Permission denied" in outcome.message

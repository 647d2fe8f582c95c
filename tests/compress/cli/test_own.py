"""The commands for a kernel or a technique of one's own: what they print, write and refuse."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

from compress.cli import bench_kernel, check_technique, command
from compress.cli.ladder import chart
from compress.cli.ladder.samples import sample_of
from compress.cli.ladder.text import text
from nn import kernels
from tests.in_c import in_c, why_not

BINARY = """
import numpy as np
from compress import Transform
from compress.formats.straight_through import STRAIGHT_THROUGH
from compress.dense import DenseWeight
from nn.tensor import Tensor, apply

class Mine(Transform):
    def fit(self, w, context):
        return None
    def project(self, w, state):
        return apply(STRAIGHT_THROUGH, w, Tensor(self.encode(w.data, state).decode()))
    def rescaled(self, state, factor):
        return None
    def encode(self, w, state):
        return DenseWeight(np.float32(0.5) * w)
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_new_kernel_is_written_and_is_right(tmp_path, capsys):
    assert command(["new-kernel", "relu", "--to", "mine"]) == 0
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["relu.c", "relu.h"]
    said = capsys.readouterr().out
    assert "espalier check-kernel mine/relu.c --as relu" in said
    assert command(["new-kernel", "relu", "--to", "mine"]) == 2
    assert "mine/relu.h is there already; say --force" in capsys.readouterr().err
    assert command(["new-kernel", "relu", "--to", "mine", "--force"]) == 0
    if why_not() is None:
        capsys.readouterr()
        assert command(["check-kernel", "mine/relu.c", "--as", "relu", "--examples", "3"]) == 0
        assert "laws hold, 0 broken" in capsys.readouterr().out


@in_c
def test_a_wrong_kernel_is_said_to_be(tmp_path, capsys):
    command(["new-kernel", "relu"])
    source = tmp_path / "relu.c"
    source.write_text(source.read_text().replace("i < size", "i <= size"))
    capsys.readouterr()
    assert command(["check-kernel", "relu.c", "--as", "relu"]) == 1
    assert "the first one behind its last" in capsys.readouterr().out
    source.write_text(source.read_text().replace("const float *x", "const double *x"))
    assert command(["check-kernel", "relu.c", "--as", "relu"]) == 1
    out, error = capsys.readouterr()
    assert "conflicting types" in error
    assert "relu.c can't be built as relu" in out


@in_c
def test_what_is_wrong_is_not_timed(tmp_path, capsys):
    command(["new-kernel", "relu"])
    source = tmp_path / "relu.c"
    source.write_text(source.read_text().replace("? 0 :", "? 1 :"))
    capsys.readouterr()
    assert command(["bench-kernel", "relu.c", "--as", "relu"]) == 1
    assert "its result is wrong for 3136×32\nIt is not timed" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "message"), [
    (["new-kernel", "gem"], "'gem' is not one of "),
    (["new-kernel", "gem"], "(did you mean gemm?)"),
    (["check-kernel", "no.c", "--as", "gemm"], "there is no file "),
    (["bench-kernel", "no.c", "--as", "gemm"], "there is no file "),
    (["check-technique", "no.py:Mine"], "there is no file 'no.py'"),
    (["check-technique", "no.py"], "check-technique: wants FILE.py:CLASS; got 'no.py'"),
], ids=" ".join)
def test_bad_input(options, message, capsys):
    assert command(options) == 2
    assert message in capsys.readouterr().err


def test_without_a_compiler(monkeypatch, capsys):
    command(["new-kernel", "gemm"])
    monkeypatch.setenv("CC", "no-such-compiler")
    assert command(["check-kernel", "gemm.c", "--as", "gemm"]) == 2
    assert "check-kernel: there is no C compiler" in capsys.readouterr().err


def test_without_hypothesis():
    program = "import sys; sys.modules['hypothesis'] = None; from compress.cli import command; " \
              "sys.exit(command(['check-kernel', 'gemm.c', '--as', 'gemm']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'espalier[test]'" in done.stderr


@pytest.mark.parametrize(("more", "code", "message"), [
    ("", 1, "Mine() breaks "),
    ("x = (", 2, "mine.py: line 16 is no Python: '(' was never closed"),
    ("import sys; sys.exit(0)", 2, "mine.py: it ends the process in line 16 when it is imported"),
    ("import os; os._exit(0)", 1, "mine.py ended the process with exit code 0 during loading mine.py"),
    ("import no_such_module", 2, "ModuleNotFoundError in line 16 when it is imported"),
    ("Mine = 3", 2, "it is no subclass of compress.Transform: Mine"),
    ("del Mine", 2, "there is no class Mine; such classes are: none"),
    ("Mine.fit = lambda *_: __import__('os')._exit(3)", 1, "with exit code 3 during the law "),
    ("def fit(*_):\n    while True: pass\nMine.fit = fit", 1, "without an end? (line 17, in fit: while True"),
])
def test_a_technique_that_is_wrong(more, code, message, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(f"{BINARY.lstrip()}{more}\n")
    assert command(["check-technique", "mine.py:Mine"]) == code
    assert message in "".join(capsys.readouterr())


def test_a_technique_that_never_comes_back(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(check_technique, "LOADING", 1.5)
    (tmp_path / "mine.py").write_text("while True:\n    pass\n")
    assert command(["check-technique", "mine.py:Mine"]) == 1
    assert "mine.py does not come back from loading mine.py" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="others do not say whether a process waits")
def test_a_technique_that_waits(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(check_technique, "WAITING", 0.4)
    (tmp_path / "mine.py").write_text("import time\ntime.sleep(999)\n")
    assert command(["check-technique", "mine.py:Mine"]) == 1
    said = capsys.readouterr().out
    assert "mine.py does not come back from loading mine.py: it waits for something" in said


# ---- the ladder ----

FOUND = {"work": "2×2×2", "macs": 8_000_000, "bytes": 1_000_000, "numbers": 1000, "route": "fma_avx2",
         "seconds": {"mine.c": 0.004, "naive": 0.008, "ours": 0.001}, "peaks": {"fma_avx2": 16e9},
         "copies": {"these bytes": 50e9, "memory": 20e9}}


def test_a_ladder_has_shares_of_the_peak():
    lines = text("gemm", "mine.c", FOUND).splitlines()
    assert [line.split()[:2] for line in lines[2:5]] == [["naive", "1"], ["→", "mine.c"], ["ours", "8"]]
    assert "50 %" in lines[4]
    assert lines[-1] == ("mine.c: 2 times as fast as the naive one; the fastest (ours) is 4 times as fast as "
                         "it.")


def test_a_pass_is_held_against_a_copy():
    lines = text("relu", "mine.c", {**FOUND, "macs": 0, "route": None, "peaks": {}}).splitlines()
    assert "100 % is a copy of as many bytes here, 50.0 GB/s" in lines[0]
    assert "0.25 GB/s" in lines[3]


def test_the_roofline_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    for name, found in (("gemm", FOUND), ("relu", {**FOUND, "macs": 0, "route": None, "peaks": {}})):
        assert chart.draw(tmp_path / f"{name}.png", name, "mine.c", found)
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_names_are_moved_apart_by_as_little_as_it_takes():
    moved = chart.apart(np.array([0.0, 0.1, 0.2, 5.0]), 1.0)
    np.testing.assert_allclose(moved, [-0.9, 0.1, 1.1, 5.0])


@pytest.mark.parametrize("kernel", kernels.all_kernels(), ids=lambda kernel: kernel.name)
def test_every_kernel_has_a_call_to_be_timed_with(kernel):
    one = sample_of(kernel)
    assert one.said
    inspect.signature(kernel.reference).bind(*one.args, **one.options)


@in_c
@pytest.mark.parametrize("name", ["gemm"])
def test_a_ladder_is_measured(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_kernel, "CHILD", "tests.compress.cli.quick_ladder")
    command(["new-kernel", name])
    assert command(["bench-kernel", f"{name}.c", "--as", name, "--out", "out"]) == 0
    said = capsys.readouterr().out
    for rung in ("naive", f"→ {name}.c", "ours, scalar", "NumPy specification", "times as fast as the naive"):
        assert rung in said
    assert ("There is no blocked kernel beside" in said) == (name != "gemm")


@in_c
@pytest.mark.long
@pytest.mark.parametrize("name", [kernel.name for kernel in kernels.all_kernels()])
def test_every_ladder_is_measured(name, tmp_path, monkeypatch, capsys):
    test_a_ladder_is_measured(name, tmp_path, monkeypatch, capsys)

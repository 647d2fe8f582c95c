"""Ctrl-C: the command ends within a second, in a line, with code 130, and nothing of it runs on."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.compress.cli.test_job import environment

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals of POSIX")


def started(tmp_path, *options):
    command = [sys.executable, "-m", "compress", *options]
    how = {"cwd": tmp_path, "env": environment(), "start_new_session": True, "text": True}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def children(process):
    """The processes that it has started, and those that they have."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = [process.pid]
    for pid in found:
        found += [child for child, parent in parents if parent == pid]
    return found[1:]


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:  # one that nobody has waited for is not
        return stat.read().rpartition(")")[2].split()[0] != "Z"


def answers(process):
    """Whether its handler is there: Python's own, as it starts, is not ours to change."""
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as status:
        caught = next(line for line in status if line.startswith("SigCgt"))
    return int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1


needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")


@needs_proc
@pytest.mark.parametrize("wait", [0, 0.2])
@pytest.mark.parametrize("options", [["--quick"], ["bench", "call"], ["rules"], ["doctor"]])
def test_while_it_imports(tmp_path, options, wait):
    process = started(tmp_path, *options)
    wait_for(lambda: answers(process))
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    if process.returncode == 130:  # else it was done before
        assert error.splitlines()[-1].startswith("espalier: interrupted")
        assert "Traceback" not in error
        assert len(error.splitlines()) <= 2


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_while_workers_train_no_process_stays_and_what_is_kept_is_told(tmp_path, number):
    process = started(tmp_path, "--quick", "--technique", "winograd", "--threads", "2", "--out", "out")
    wait_for(lambda: len(list((tmp_path / "out").glob("*.safetensors"))) or process.poll() is not None)
    workers = children(process)
    (tmp_path / "out" / "cnn-float-seed1.safetensors.0123abcd.part").write_text("half")
    start = time.monotonic()
    process.send_signal(number)
    out, error = process.communicate(timeout=30)
    if process.returncode == 0:
        pytest.skip("it was done before")
    assert time.monotonic() - start < 5  # of a busy machine
    wait_for(lambda: not any(map(alive, workers)))
    if number == signal.SIGKILL:
        return
    assert process.returncode == 128 + number
    assert out == ""
    (line,) = error.splitlines()
    assert line.startswith("espalier: interrupted: kept: ")
    assert " in out, without a report" in line
    assert not list((tmp_path / "out").glob("*.part"))


@needs_proc
def test_a_bench_keeps_its_rows_and_ends_all_that_it_started(tmp_path):
    process = started(tmp_path, "bench", "main_job", "--json")
    wait_for(lambda: len(children(process)) > 2)  # the group's process, the job, its workers
    family = children(process)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error.splitlines()[-1] == "espalier: interrupted: 0 rows were measured"
    assert '"complete": false' in out
    wait_for(lambda: not any(map(alive, family)))

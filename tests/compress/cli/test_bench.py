"""espalier bench: what has to have a row has one, bars are judged right, and only what was measured
counts."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from compress.cli import bench, command
from compress.cli.bench import autograd, call, digits, gemm, modes, one_pass, peers, qgemm, timing, variants
from compress.cli.bench.printing import AsJson, _measured
from compress.cli.bench.row import AT_LEAST, AT_MOST, Row, verdicts
from nn import kernels

ROOT = Path(__file__).resolve().parents[3]
two_threads = bench.group("two_threads")


@pytest.fixture
def quick(monkeypatch):
    """Small matrices, few rounds, no minimum time."""
    monkeypatch.setattr(timing, "TURN", 0.0)
    monkeypatch.setattr(timing, "ROUNDS", 3)
    monkeypatch.setattr(variants, "SIDE", 96)


def row(value, bar=1.0, sense=AT_LEAST, **more):
    return Row("call", "something", value, "s", bar, sense, **more)


# What has to be there


def test_every_kernel_has_its_benchmark():
    registry = (ROOT / "csrc" / "micro.def").read_text(encoding="utf-8")
    registered = set(re.findall(r"^(?:KERNEL|PASS)\((\w+)", registry, re.MULTILINE))
    names = {kernel.name for kernel in kernels.all_kernels()}
    assert registered
    assert registered | names == set(bench.KERNELS) | set(one_pass.KERNELS)
    packing = {kernel.name for kernel in kernels.all_kernels() if kernel.pack}
    assert {kernel.name for kernel, _ in call.calls()} == packing


@pytest.mark.parametrize("name", bench.KERNELS)
def test_every_variant_has_a_row(quick, name):
    kernel = getattr(kernels, name)
    rows = list(bench.group(name).variant_rows(0))
    assert [one.measure.split()[0] for one in rows] == [variant.name for variant in kernel.variants()]
    assert all(one.value > 0 and one.unit in ("GMAC/s", "M values/s") for one in rows)


@pytest.mark.parametrize("name", one_pass.KERNELS)
def test_every_variant_of_a_pass_has_a_row(quick, name):
    rows = list(one_pass.variant_rows(name, 0))
    assert [one.measure.split()[0] for one in rows] == [v.name for v in getattr(kernels, name).variants()]
    assert all(one.value > 0 and one.unit == "GB/s" for one in rows)


def test_every_route_has_its_variants_and_its_bar(quick):
    if kernels.why_not_c() or not kernels.peak_routes():
        pytest.skip("no peak can be measured here")
    routes = {kernels.route_of(v) for v in kernels.qgemm.variants()} & set(kernels.peak_routes())
    assert routes <= set(qgemm.ROUTES)
    used = {kernels.route_of(v) for v in kernels.gemm.variants()} & set(kernels.peak_routes())
    assert used <= set(gemm.ROUTES)


def test_every_group_says_what_it_measures():
    for name in bench.GROUPS:
        assert callable(bench.group(name).rows)
        assert len(bench.summary(name)) > 20


def test_where_forward_and_reverse_cross():
    assert modes._crossing([(0.1, 0.2), (1.0, 2.0), (10.0, 20.0)]).value == pytest.approx(0.5)
    assert modes._crossing([(0.1, 1.0), (1.0, 100.0)]).value == pytest.approx(0.1)
    missing = modes._crossing([(0.1, 2.0), (1.0, 20.0)])
    assert missing.value is None
    assert missing.why


def test_modes_measure_every_shape_and_the_hessian(quick, monkeypatch):
    monkeypatch.setattr(modes, "SIDES", ((2, 20), (20, 2)))
    rows = list(modes.rows(0))
    assert len(rows) == 5
    assert rows[0].value < 1 < rows[1].value
    assert rows[3].value > 1


# Bars


@pytest.mark.parametrize(
    ("value", "bar", "sense", "met"),
    [
        (85.0, 85, AT_LEAST, True),
        (84.99, 85, AT_LEAST, False),
        (120.0, 120, AT_MOST, True),
        (120.1, 120, AT_MOST, False),
        (None, 0.3, AT_LEAST, None),
        (5.0, None, AT_LEAST, None),
    ],
)
def test_verdict(value, bar, sense, met):
    assert row(value, bar, sense).met is met


def test_what_is_not_measured_counts_as_neither():
    rows = [row(2.0), row(0.5), row(None, why="needs the extra bench"), row(3.0, bar=None)]
    assert verdicts(rows) == {"met": 1, "missed": 1, "not measured": 1}


def test_a_row_shows_value_bar_verdict_and_context():
    one = row(2.0, context={"µs": {"ours": 2.0, "PyTorch": 23.456}, "seeds": [1.5, 2.0]})
    measure, result, note = one.text().splitlines()
    assert measure == "something"
    assert result.split("    ") == ["", "2 s", "bar: at least 1", "met"]
    assert note.strip() == "µs ours 2, PyTorch 23.5; seeds 1.5 2"
    assert "MISSED" in row(0.5).text()
    assert "needs the extra bench" in row(None, why="needs the extra bench").text()
    assert max(map(len, one.text(24).splitlines())) <= 24


@pytest.mark.parametrize(("points", "met"), [(9.0, True), (0.31, True), (-0.3, True), (-0.31, False)])
def test_a_bar_on_loss_has_one_side(points, met):
    """Better than float is no fault."""
    found = digits._difference("int8", [0.5 + points / 100], [0.5])
    assert found.value == pytest.approx(points)
    assert found.met is met


# The command


@pytest.mark.parametrize(("value", "code"), [(2.0, 0), (0.5, 1), (None, 0)])
def test_exit_code(monkeypatch, capsys, value, code):
    monkeypatch.setattr(bench, "_measured", lambda name: [row(value)])
    assert command(["bench", "call"]) == code
    shown = capsys.readouterr()
    assert "something" in shown.out
    assert "call (1 of 1)" in shown.err


def test_json(monkeypatch, capsys):
    measured = row(0.5, context={"GMAC/s": {"ours": 1.0}})
    monkeypatch.setattr(bench, "_measured", lambda name: [measured])
    assert command(["bench", "call", "gemm", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["bars"] == {"met": 0, "missed": 2, "not measured": 0}
    assert answer["rows"][0] == {**vars(measured), "met": False, "command": "espalier bench call"}
    assert answer["machine"]["numpy"] == np.__version__


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["text", "json"])
def test_a_row_is_printed_before_the_next_is_measured(monkeypatch, capsys, as_json):
    def measured(name):
        for i in range(3):
            yield row(2.0 + i)
            shown = capsys.readouterr().out
            assert (f'"value": {2.0 + i}' if as_json else f"    {2 + i} s") in shown

    monkeypatch.setattr(bench, "_measured", measured)
    assert command(["bench", "call", *as_json]) == 0


def test_json_of_a_run_that_is_cut_off_is_whole(capfd):
    printer = AsJson({"cpu": "µ"}, None)
    printer.add(row(2.0))
    printer.add(row(0.5))
    assert _measured(printer.rows[:1]) == "1 row was measured"
    assert printer.cut_off() == "2 rows were measured"
    answer = json.loads(capfd.readouterr().out)
    assert [one["value"] for one in answer["rows"]] == [2.0, 0.5]
    assert answer["bars"] == {"met": 1, "missed": 1, "not measured": 0}
    assert answer["complete"] is False


def test_unknown_name(capsys):
    assert command(["bench", "gem"]) == 2
    assert "'gem' is not one of startup, call" in capsys.readouterr().err


def test_list(capsys):
    assert command(["bench", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(bench.GROUPS)


def test_a_group_that_fails_is_a_bug(monkeypatch, capsys):
    monkeypatch.setattr(bench, "GROUPS", ("broken",))  # for which the child finds no module
    monkeypatch.setattr(bench, "summary", lambda name: name)
    assert command(["bench"]) == 3
    assert "the process that measures broken ended with code 1" in capsys.readouterr().err


# A group's process


def child(name, **environment):
    program = f"from compress.cli.bench import child; child.SECONDS = 0; child.main({name!r})"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [Row(**json.loads(line)) for line in done.stdout.splitlines()]


def test_child_writes_nothing_but_json():
    rows = child("call")
    assert len(rows) == len(call.calls())
    for one in rows:
        assert (one.value is None) == bool(kernels.why_not_c())


def test_without_c_kernels_nothing_is_met_or_missed():
    rows = child("call", NN_BACKEND="numpy", NN_ISA="")
    assert [(one.met, one.bar, one.sense) for one in rows] == [(None, call.BAR, AT_MOST)] * len(rows)
    assert all("NN_BACKEND=numpy" in one.why for one in rows)


def test_without_peers_nothing_is_met_or_missed(monkeypatch):
    monkeypatch.setattr(peers, "missing", lambda *packages: "needs the extra bench")
    rows = [*autograd.rows(0), qgemm._against_peers((1, 4, 4), 0, "normal", 1.0)]
    assert [one.met for one in rows] == [None, None]
    assert rows[0].why == "needs the extra bench"


def test_missing_names_the_extra_and_the_package():
    assert peers.missing("numpy") is None
    assert peers.missing("numpy", "no_such_package") == "needs the extra bench (no_such_package missing)"


# Fairness


def test_contestants_take_turns(quick):
    order = []
    contestants = {name: timing.timer("note(name)", note=order.append, name=name) for name in "AB"}
    times = timing.interleaved(contestants, 0)
    after = order[-12:]  # three rounds: one call that does not count and one that does, of each
    assert after == ["A", "A", "B", "B"] * 3
    assert times["A"].rounds == 3
    assert 0 < times["A"].least <= times["A"].median


def turns_as_planned(monkeypatch, planned):
    """What is timed takes what is planned: the loop of the peak, the call, the loop, the call, …."""
    left = iter(planned)
    monkeypatch.setattr(timing.kernels, "peak_loop", lambda route: lambda steps: 8.0)
    monkeypatch.setattr(timing, "_calls", lambda one: 1)
    monkeypatch.setattr(timing, "_turn", lambda one, calls: timing.Turn(*next(left)))


def test_a_share_is_held_against_the_mean_of_the_peak_around_each_round(quick, monkeypatch):
    peaks, calls = [2.0, 6.0, 2.0, 2.0], [4.0, 1.0, 0.5]  # 8 a turn: 2, 2 and 4 a second around the calls
    planned = [turn for pair in zip(peaks, calls, strict=False) for turn in pair] + peaks[3:]
    turns_as_planned(monkeypatch, [(seconds, True) for seconds in planned])
    found = timing.share_of_peak("any", timing.timer("pass"), macs=1, seconds=0)
    assert found.share == 0.5  # of 1/8, 1/2 and 1/2
    assert (found.before, found.after, found.peak) == (4.0, 4.0, 2.0)
    assert (found.times.median, found.times.rounds) == (1.0, 3)


def test_a_round_counts_only_if_the_peak_around_it_was_undisturbed_too(monkeypatch):
    monkeypatch.setattr(timing, "ROUNDS", 3)
    planned = [(1.0, True)] * 13  # six rounds; a disturbed loop spoils two of them, a disturbed call one
    planned[2] = planned[9] = (50.0, False)
    turns_as_planned(monkeypatch, planned)
    clock = iter([0.0] * 4 + [9.0])
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    found = timing.share_of_peak("any", timing.timer("pass"), macs=4, seconds=1)
    assert found.times.rounds == 3
    assert (found.share, found.times.median, found.peak) == (0.5, 1.0, 8.0)


def test_two_threads_are_measured_by_the_wall_clock_and_end(quick):
    if kernels.why_not_c():
        pytest.skip("needs the C kernels")
    before = kernels.thread_count()
    x, w = np.ones((64, 64), np.float32), np.eye(64, dtype=np.float32)
    found = two_threads.row(kernels.gemm, "gemm 64³", 64**3, 0, 1.8, a=x, b=w)
    assert kernels.thread_count() == before
    if found.value is None:
        assert "one core" in found.why
    else:
        assert found.value > 0
        assert found.context["GMAC/s"].keys() == {"one", "two"}


def test_disturbed_turns_count_only_where_too_few_are_not():
    turns = [timing.Turn(float(i), quiet=i % 2 == 0) for i in range(2 * timing.ROUNDS)]
    assert timing._quiet(turns) == turns[::2]
    assert timing._quiet(turns[:-1]) == turns[:-1:2]
    assert timing._quiet(turns[1:-1]) == turns[1:-1]


def test_a_peer_with_another_result_counts_and_is_told(quick, monkeypatch):
    """What a peer has wrong stands beside the ratio."""
    if kernels.why_not_c():
        pytest.skip("needs the C kernels")

    def fake(result):
        return peers.Peer(timing.timer("pass"), lambda: result)

    work = qgemm.product(4, 8, 16, "64")
    expected = kernels.qgemm.reference(work.a, work.b, **work.around)
    monkeypatch.setattr(peers, "missing", lambda *packages: None)
    monkeypatch.setattr(peers, "torch_qgemm", lambda *a, **k: {"PyTorch wrong": fake(expected ^ 1)})
    monkeypatch.setattr(peers, "onnx_qgemm", lambda *a, **k: fake(expected))
    found = qgemm._against_peers((4, 8, 16), 0, "64", 0.9)
    assert found.context["wrong results"] == {"PyTorch wrong": "100.0%", "onnxruntime": "0.0%"}
    assert "PyTorch wrong" in found.context["GMAC/s"]
    assert found.value > 0
    monkeypatch.setattr(peers, "torch_qgemm", lambda *a, **k: {"PyTorch": fake(expected)})
    assert "wrong results" not in qgemm._against_peers((4, 8, 16), 0, "64", 0.9).context


@pytest.mark.parametrize(("isa", "kinds"), [("avx2", ["normal", "127", "64"]), ("avx512", ["normal"])])
def test_peers_are_measured_with_the_weights_that_quantize_makes(monkeypatch, isa, kinds):
    """And without vpdpbusd with those that are hardest, and with 7 bits too."""
    monkeypatch.setattr(qgemm, "isa", lambda: isa)
    monkeypatch.setattr(peers, "missing", lambda *packages: "not here")
    monkeypatch.setattr(qgemm, "why_not_c", lambda: None)
    for name in ("_of_peak", "_two_threads"):
        monkeypatch.setattr(qgemm, name, lambda *rest: row(1.0))
    monkeypatch.setattr(qgemm, "variant_rows", lambda seconds: [])
    measures = [one.measure for one in qgemm.rows(0) if "against" in one.measure]
    assert measures == [f"qgemm {m}×{k}×{n} → uint8, {qgemm.SAID[kind]}, against PyTorch and onnxruntime"
                        for kind in kinds for m, k, n in qgemm.SHAPES]


@pytest.mark.parametrize("kind", ["normal", "127", "64"])
def test_the_weights_of_the_bench_are_what_they_say(kind):
    b = qgemm.product(3, 500, 20, kind).b
    largest = np.abs(b.astype(int)).max(axis=0)
    assert (largest == 127).all() if kind == "normal" else largest.max() <= int(kind)
    assert (b.std() < 45) == (kind in ("normal", "64"))


def test_peers_compute_the_same_integers():
    """In a process of its own: PyTorch brings its own OpenMP, and warns as it is imported."""
    if peers.missing("torch", "onnxruntime", "onnx"):
        pytest.skip("needs the extra bench")
    program = (
        "import numpy as np\n"
        "from compress.cli.bench import peers, qgemm\n"
        "from nn.kernels import qgemm as ours\n"
        "work = qgemm.product(5, 64, 32, '64')\n"
        "found = peers.torch_qgemm(work.a, work.b, **work.around)\n"
        "found['onnxruntime'] = peers.onnx_qgemm(work.a, work.b, **work.around)\n"
        "assert len(found) > 1\n"
        "for name, peer in found.items():\n"
        "    peer.timer.timeit(1)\n"
        "    assert np.array_equal(peer.result(), ours.reference(work.a, work.b, **work.around)), name\n"
        "from compress.cli.bench import qconv2d\n"
        "from nn.kernels import qconv2d as ours\n"
        "x, w, around = qconv2d.layer(16, 8)\n"
        "found = peers.onnx_qconv2d(x, w // 2, **around)\n"
        "want = ours.reference(x, w // 2, **around, padding=1)\n"
        "found |= peers.torch_qconv2d(x, w // 2, **around)\n"
        "for name, peer in found.items():\n"
        "    peer.timer.timeit(1)\n"
        "    assert np.mean(peer.result() != want) < 0.01, name  # (PyTorch's onednn rounds a tie away)\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)

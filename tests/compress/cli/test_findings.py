"""What the ledger says of its times: a spread, a warning on a busy machine, and what did not pay, and why."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from compress.cli import beside
from compress.cli.findings import disturbed, unpaid
from compress.cli.report_html import page
from compress.program.profile import Profile, StepProfile
from tests.compress.cli.ledgers import ledger


def step(call, kernel, milliseconds, macs=0, **more):
    how = {"route": "fma_avx2", "peak": 1e11, "copy": 1e10, "empty": 1e-6, **more}
    return StepProfile(call, kernel, "", call, macs, 0, 1000, 1000, 1e-3 * milliseconds, **how)


def profile(*steps):
    return Profile("cnn", {"N": 256}, "avx2", steps, 3e-3, 3e-3, 9)


FLOAT = profile(step("one", "conv2d", 1.0, 10**8), step("two", "conv2d", 1.4, 14 * 10**7),
                step("pool", "max_pool", 0.5), step("three", "relu", 0.1))


def some_rows(**faster):
    rows = [row for row in ledger().rows if row.network == "cnn" and not row.control]
    return [replace(row, faster=faster.get(row.technique.partition(" ")[0], 1.5), milliseconds=3.0, macs=2e5,
                    profile=FLOAT) for row in rows]


def test_what_did_not_pay_is_told_with_where_its_time_goes():
    rows = some_rows(float=1.0, winograd=0.96, int8=1.0)
    rows[1] = replace(rows[1], macs=1e5, milliseconds=3.1, profile=profile(
        step("one", "conv2d", 0.9, 10**8), step("two", "im2col", 0.3),
        step("two", "winograd_conv2d", 1.8, 12 * 10**6), step("pool", "max_pool", 0.1)))
    first, base, where, why, above = unpaid(rows, "C (avx2)")
    assert first == "slower than float here (kernels C (avx2)): cnn winograd (0.96×)"
    assert base == "  cnn float: 3.00 ms: 80% conv2d at 100 GMAC/s (100% of peak), 17% max_pool"
    assert where == ("  cnn winograd: 0.50× the multiply-adds; 3.10 ms: 58% winograd_conv2d at 6.7 GMAC/s "
                     "(7% of peak), 29% conv2d at 111 GMAC/s (111% of peak)")
    assert why == ("    slow: two takes 2.10 ms (im2col and winograd_conv2d), float 1.40 ms (conv2d); "
                   "winograd_conv2d: far from every bound, the nearest is compute: at 7% of the peak of "
                   "fma_avx2 (100 GMAC/s)")
    assert above.startswith("  above 100% of peak: ")
    assert unpaid(some_rows(float=1.0), "") == []


def test_the_page_and_json_have_the_slow_call_too():
    rows = some_rows(float=1.0)
    i = next(i for i, row in enumerate(rows) if row.technique == "int8")
    steps = step("x.u8", "quantize", 2.0), step("one", "qgemm", 0.5, 10**8)
    rows[i] = replace(rows[i], faster=0.5, milliseconds=2.5, profile=profile(*steps))
    some = replace(ledger(), rows=tuple(rows))
    told = "slow: x.u8 takes 2.00 ms (quantize), float has no such call; quantize: "
    assert told in page(some, {}, {})
    assert told in "".join(some.notes())
    answer = json.loads(json.dumps(some.to_json()))["rows"]
    assert answer[i]["slow"]["call"] == "x.u8"
    assert answer[i]["slow"]["step"]["seconds"] == pytest.approx(2e-3)
    assert answer[i]["profile"]["steps"][1]["of_peak"] == pytest.approx(2.0)
    assert [row["slow"] for row in answer if row["technique"] != "int8"] == [None] * (len(rows) - 1)


BUSY, WAVERS = "other programs had the core for", "the float network beside itself is off by"


@pytest.mark.parametrize(
    ("busy", "spread", "told"),
    [(0.01, 0.02, set()), (0.3, 0.02, {BUSY}), (0.0, 0.23, {WAVERS}), (0.3, 0.3, {BUSY, WAVERS})],
)
def test_times_that_are_uncertain_are_told_with_what_shows_it(busy, spread, told):
    rows = [replace(row, spread=spread) for row in some_rows()]
    warning = "".join(disturbed(rows, busy))
    assert {sign for sign in (BUSY, WAVERS) if sign in warning} == told
    assert ("WARNING: the machine was busy" in warning) == (BUSY in told)
    some = replace(ledger(), rows=tuple(rows), busy=busy)
    assert sum("WARNING: " in note for note in some.notes()) == bool(told)
    assert page(some, {}, {}).count("WARNING: ") == bool(told)


class Fake:
    """A Program that takes so long, by a clock of its own."""

    def __init__(self, name, seconds, order):
        self.name, self.took, self.order = name, seconds, order

    def __call__(self, x):
        self.order.append(self.took)
        beside.now += self.took * beside.drift
        beside.drift *= 1.05  # the machine gets slower and slower

    def profile(self, x, rounds, clock):
        return profile()


def test_rows_are_timed_beside_their_float_whatever_the_machine_does(monkeypatch):
    order = []
    monkeypatch.setattr(beside, "now", 0.0, raising=False)
    monkeypatch.setattr(beside, "drift", 1.0, raising=False)
    monkeypatch.setattr(beside, "CLOCK", lambda: beside.now)
    monkeypatch.setattr(beside, "time", SimpleNamespace(perf_counter=lambda: 2 * beside.now))
    fakes = {"float": ("cnn", 1.0), "small": ("cnn", 0.5), "mlp": ("mlp", 9.0)}
    programs = {name: Fake(*fake, order) for name, fake in fakes.items()}
    found = beside.times(programs, np.zeros(1), rounds=9)
    assert order[:12] == [1, 1, 1, 1, 1, 1, 0.5, 0.5, 9, 9, 9, 9]  # each call once that does not count
    assert found["float"].faster == found["mlp"].faster == 1
    assert found["small"].faster == pytest.approx(2, rel=0.15)  # though the machine became 200 times slower
    assert found["small"].spread < 0.01
    assert found["small"].milliseconds == pytest.approx(found["float"].milliseconds / found["small"].faster)
    assert found["small"].busy == pytest.approx(0.5)

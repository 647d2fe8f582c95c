"""A profile of a Program: its bytes and multiply-adds are those of the shapes, its sums add up."""

import json
from itertools import count

import numpy as np
import pytest

import compress
import nn
from compress.program import profile as profiles
from compress.program.profile import COLUMNS, StepProfile
from nn import kernels

DIGITS = nn.data.digits().x_train
FIGURES = ("macs", "inputs", "operand", "written", "seconds", "best")


@pytest.fixture(scope="module")
def programs():
    """digits_cnn in float and on integers."""
    model = nn.models.digits_cnn(rng=np.random.default_rng(0))
    real = compress.convert(model, DIGITS[:64], algorithm="direct")
    compress.prepare(model, compress.Quantize(), DIGITS[:64])
    return real, compress.convert(model)


def test_bytes_and_macs_are_those_of_the_shapes(programs):
    real, _ = programs
    found = {step.output: step for step in real.profile(DIGITS[:3], rounds=1).steps}
    pixels, weight = 3 * 4 * 4, 64 * 32 * 9  # of the second convolution, after the first pool
    conv = found["relu_1"]
    assert (conv.kernel, conv.call, conv.made) == ("conv2d", "relu_1", "f32 (N, 4, 4, 64)")
    assert conv.macs == pixels * weight
    assert (conv.inputs, conv.operand, conv.written) == (4 * pixels * 32, 4 * (weight + 64), 4 * pixels * 64)
    assert conv.intensity == conv.macs / conv.nbytes
    view = found["x.nhwc"]
    assert (view.macs, view.nbytes) == (0, 0), "one channel: the images lie there already"
    pool = found["max_pool2d"]
    assert (pool.macs, pool.inputs, pool.operand, pool.written) == (0, 4 * 3 * 64 * 32, 0, 4 * 3 * 16 * 32)
    assert pool.of_peak is None


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("images", [1, 16])
def test_its_sums_are_those_of_the_program(programs, which, images):
    program = programs[which]
    found = program.profile(DIGITS[:images], rounds=2)
    assert found.dims == {"N": images}
    assert found.rounds == 2
    assert [step.output for step in found.steps] == [step.output for step in program.bound.steps]
    assert found.total.macs == images * program.macs
    assert found.total.operand == program.nbytes
    for by in ("kernel", "call"):
        parts = found.by(by)
        assert set(parts) == {getattr(step, by) for step in found.steps}
        for figure in FIGURES:
            total = sum(getattr(one, figure) for one in parts.values())
            assert total == pytest.approx(getattr(found.total, figure))
    assert set(found.by("call")) == {call.output for call in program.calls}


def test_every_step_is_timed_by_the_clock_that_it_is_given(programs):
    real, _ = programs
    ticks = count()
    found = real.profile(DIGITS[:2], rounds=3, clock=lambda: float(next(ticks)))
    assert [(step.seconds, step.best) for step in found.steps] == [(1, 1)] * len(found.steps)
    assert found.seconds == found.best == 1


def test_it_stops_when_its_seconds_are_over_but_not_at_once(programs):
    real, _ = programs
    assert real.profile(DIGITS[:2], seconds=0).rounds == profiles.FEWEST
    with pytest.raises(ValueError, match="rounds must be at least 1, got 0"):
        real.profile(DIGITS[:2], rounds=0)
    with pytest.raises((TypeError, ValueError)):
        real.profile(DIGITS[:2].astype(np.float64))


def test_the_result_of_a_run_is_not_touched(programs):
    real, _ = programs
    before = real(DIGITS[:4])
    kept = before.copy()
    real.profile(DIGITS[4:8], rounds=1)
    assert np.array_equal(before, kept)
    assert np.array_equal(real(DIGITS[:4]), kept)


@pytest.mark.parametrize("isa", ["avx512", "avx2"])
def test_a_product_is_held_against_the_peak_of_its_route(programs, isa):
    if kernels.why_not_c() or isa not in (kernels.isa(), "avx2") or not kernels.peak_routes():
        pytest.skip(f"no {isa} here")
    real, integer = programs
    with kernels.use(isa):
        for program, kernel in ((real, "conv2d"), (integer, "qgemm")):
            found = program.profile(DIGITS[:16], rounds=3)
            assert found.kernels == isa
            products = [step for step in found.steps if step.kernel == kernel]
            assert products
            for step in products:
                assert step.route == kernels.best_route(getattr(kernels, kernel))
                assert step.peak > 1e9
                assert step.of_peak == pytest.approx(step.macs_per_second / step.peak)
            others = [step for step in found.steps if not step.macs]
            assert {step.route for step in others} == {None}


def test_without_c_there_is_no_peak(programs):
    real, _ = programs
    with kernels.use("numpy"):
        found = real.profile(DIGITS[:2], rounds=1)
    assert {step.route for step in found.steps} == {None}
    assert {step.bound_by for step in found.steps} <= {"memory", "call"}


def test_what_bounds_a_step_is_the_longest_of_what_it_takes_at_least():
    how = {"seconds": 4e-3, "route": "fma", "peak": 1e11, "copy": 1e10, "empty": 1e-6}
    step = StepProfile("y", "gemm", "", "y", 2 * 10**8, 10**6, 10**6, 10**6, **how)
    assert step.least == pytest.approx({"compute": 2e-3, "memory": 3e-4, "call": 1e-6})
    assert (step.bound_by, step.of_bound, step.of_peak) == ("compute", pytest.approx(0.5), pytest.approx(0.5))
    assert step.why() == "bound by compute: at 50% of the peak of fma (100 GMAC/s)"
    copied = StepProfile("y", "pool", "", "y", 0, 10**7, 0, 10**7, **{**how, "peak": 0.0})
    assert (copied.bound_by, copied.of_peak) == ("memory", None)
    assert copied.why() == "bound by memory: at 50% of the speed of a copy (10.0 GB/s)"
    small = StepProfile("y", "relu", "", "y", 0, 10, 0, 10, **{**how, "seconds": 1e-5})
    assert small.why() == "far from every bound, the nearest is call: an empty one (1.0 µs) takes 10% of that"


def test_it_can_be_sorted_printed_and_written_as_json(programs):
    _, integer = programs
    found = integer.profile(DIGITS[:16], rounds=2)
    for by in ("seconds", "macs", "nbytes", "of_peak", "kernel"):
        figures = [getattr(step, by) for step in found.sorted(by).steps]
        there = [figure for figure in figures if figure is not None]
        assert there == sorted(there, reverse=True)
        assert figures == there + [None] * (len(figures) - len(there))
    head, columns, _, *lines = str(found).splitlines()
    assert head.startswith("DigitsCNN (N = 16), kernels ")
    assert all(name in columns for name in COLUMNS)
    for step, line in zip(found.steps, lines, strict=False):
        assert line.startswith(f"{step.output} = {step.kernel} ")
        assert line.endswith("%") == bool(step.nbytes), "what moves nothing has no share of a copy's speed"
    assert lines[len(found.steps)].startswith("all steps ")
    assert lines[len(found.steps) + 1].startswith(f"slowest: {found.slowest.output} = ")
    answer = json.loads(json.dumps(found.to_json()))
    assert answer["total"]["macs"] == 16 * integer.macs
    assert [step["nbytes"] for step in answer["steps"]] == [step.nbytes for step in found.steps]


def test_lengths_that_move_count_as_they_are():
    """Of attention, which multiplies by the square of a sequence's length."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, rng=np.random.default_rng(0)).eval()
    x = np.random.default_rng(1).standard_normal((2, 5, 8)).astype(np.float32)
    program = compress.convert(layer, x, dims={"src": ("N", "S")})
    short, long = (program.profile(np.ones((2, s, 8), np.float32), rounds=1) for s in (3, 6))
    for a, b in zip(short.steps, long.steps, strict=True):
        assert b.macs == (4 if "attention" in a.kernel else 2) * a.macs
        assert b.written == 2 * a.written
    attention = next(step for step in short.steps if "attention" in step.kernel)
    assert attention.macs == 2 * 2 * 3 * 3 * (4 + 4)  # 2 examples, 2 heads, 3×3 pairs of vectors of 4

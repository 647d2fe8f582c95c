"""When pruning tightens: schedules that never fall and land exactly; and a training that follows one."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress import Cubic, Iterative, Linear, Once, Prune


@given(st.sampled_from([Linear, Cubic]), st.integers(0, 50), st.integers(1, 200), st.integers(1, 60))
def test_it_starts_at_0_never_falls_and_lands_on_1_exactly(kind, begin, span, every):
    """Also where `every` does not divide the span: the last change is at the end all the same."""
    schedule = kind(end=begin + span, begin=begin, every=every)
    values = [schedule.fraction(t) for t in range(begin + span + 3)]
    assert values[: begin + 1] == [0.0] * (begin + 1)
    assert values[-3:] == [1.0] * 3
    assert all(0 <= a <= b <= 1 for a, b in pairwise(values))


@given(st.integers(0, 50), st.integers(1, 200))
def test_cubic_is_the_papers_equation(begin, span):
    """Zhu & Gupta (2017), eq. 1: s_t = s_f + (s_i − s_f)(1 − (t − t₀)/(nΔt))³ with s_i = 0."""
    schedule = Cubic(end=begin + span, begin=begin)
    for t in range(begin, begin + span + 1):
        assert schedule.fraction(t) == pytest.approx(1 - (1 - (t - begin) / span) ** 3, abs=1e-12)


@given(st.integers(0, 50), st.integers(1, 200))
def test_linear_is_linear(begin, span):
    schedule = Linear(end=begin + span, begin=begin)
    for t in range(begin, begin + span + 1):
        assert schedule.fraction(t) == pytest.approx((t - begin) / span, abs=1e-12)


@given(st.integers(1, 20), st.integers(1, 30), st.integers(0, 40), st.floats(0.01, 1))
def test_iterative_cuts_in_rounds_never_falls_and_lands_on_1_exactly(rounds, every, begin, ratio):
    schedule = Iterative(rounds, every, begin, ratio)
    values = [schedule.fraction(t) for t in range(schedule.end + 3)]
    assert values[:begin] == [0.0] * begin
    assert values[-3:] == [1.0] * 3
    assert all(0 <= a <= b <= 1 for a, b in pairwise(values))
    assert len(set(values) - {0.0}) <= rounds
    changes = [t for t in range(1, len(values)) if values[t] != values[t - 1]]
    assert all((t - begin) % every == 0 for t in changes)


@given(st.integers(1, 12), st.floats(0.3, 0.99))
def test_equal_and_geometric_cuts(rounds, sparsity):
    """Equal ones prune as many weights each, geometric ones the same part of those that are left."""
    equal, keep = Iterative(rounds, 10), (1 - sparsity) ** (1 / rounds)
    geometric = Iterative(rounds, 10, ratio=keep)
    for cut in range(1, rounds + 1):
        step = 10 * (cut - 1)
        assert equal.fraction(step) == pytest.approx(cut / rounds)
        assert 1 - sparsity * geometric.fraction(step) == pytest.approx(keep**cut)


@pytest.mark.parametrize(
    "bad", [{"rounds": 0, "every": 1}, {"rounds": 2, "every": 0}, {"rounds": 2, "every": 1, "begin": -1},
            {"rounds": 2, "every": 1, "ratio": 0.0}, {"rounds": 2, "every": 1, "ratio": 1.5}], ids=str)
def test_rounds_of_nothing_are_refused(bad):
    with pytest.raises(ValueError, match="Iterative: "):
        Iterative(**bad)


@pytest.mark.parametrize("bad", [{"rounds": 2.0, "every": 1}, {"rounds": 2, "every": None}], ids=str)
def test_rounds_are_whole_numbers(bad):
    with pytest.raises(TypeError, match="must be an int"):
        Iterative(**bad)


def test_it_changes_every_so_many_steps_only():
    values = [Cubic(end=12, begin=2, every=4).fraction(t) for t in range(14)]
    assert values[2:6] == [0.0] * 4
    assert len(set(values[6:10])) == 1
    assert len(set(values[10:12])) == 1
    assert values[12] == 1.0
    assert len(set(values)) == 4


def test_once_is_all_from_the_start():
    assert Once().fraction(0) == Once().fraction(100) == 1.0


@pytest.mark.parametrize(
    "bad", [{"end": 0}, {"end": 3, "begin": 3}, {"end": 3, "begin": -1}, {"end": -5}], ids=str
)
@pytest.mark.parametrize("kind", [Linear, Cubic])
def test_a_span_of_nothing_is_refused(bad, kind):
    """Its part of the time would be a division by zero."""
    with pytest.raises(ValueError, match=f"{kind.__name__}: needs 0 <= begin < end"):
        kind(**bad)


def test_every_must_be_positive():
    with pytest.raises(ValueError, match="every must be at least 1"):
        Cubic(end=3, every=0)


@pytest.mark.parametrize(
    "bad", [{"end": 2.5}, {"end": True}, {"end": 5, "begin": "1"}, {"end": 5, "every": None}], ids=str
)
def test_steps_are_whole_numbers(bad):
    with pytest.raises(TypeError, match="must be an int"):
        Cubic(**bad)


@pytest.mark.parametrize(
    "build",
    [lambda p: nn.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-3), nn.optim.Adam],
    ids=["sgd", "adam"],
)
def test_a_pruned_network_trains_and_ends_at_exactly_its_sparsity(build):
    digits = nn.data.digits()
    x, y = digits.x_train[:256], digits.y_train[:256]
    model = nn.models.digits_mlp(0.2, rng=np.random.default_rng(0))
    compress.prepare(model, Prune(0.9, Cubic(end=6, every=2)), x)
    counts = []

    def look(step, loss):
        w = model.fc1.weight
        counts.append(np.count_nonzero(w.data))
        assert np.array_equal(w.data != 0, w.parametrization.states[0].mask != 0)

    nn.train.fit(
        model, x, y, epochs=2, batch_size=64, optimizer=build(model.parameters()), on_step=look,
        rng=np.random.default_rng(0), progress=False,
    )  # fmt: skip
    size = model.fc1.weight.size
    assert counts[-3:] == [size - round(0.9 * size)] * 3
    assert counts == sorted(counts, reverse=True)
    program = compress.convert(model)
    for name in ("fc1", "fc2", "fc3"):
        weight = program.constants[f"{name}.weight"]
        assert weight.macs() == np.prod(weight.shape) - round(0.9 * np.prod(weight.shape))


@pytest.mark.parametrize("recipe", [
    Prune(0.8, Cubic(end=8)), Prune(0.8, Iterative(3, 3)), [Prune(0.8, Cubic(end=8)), compress.Cluster(3)],
    compress.RigL(0.8, 12, every=2), compress.Quantize(freeze=6), compress.LearnedStep(freeze=6)], ids=repr)
def test_a_new_optimizer_goes_on_where_the_last_one_stood(recipe):
    """Twelve steps are twelve steps, whether one optimizer takes them or three: to the same bits."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 8, 10)).astype(np.float32), rng.integers(0, 4, (12, 8))

    def trained(*parts):
        drawn = np.random.default_rng(1)
        model = nn.Sequential(nn.Linear(10, 12, rng=drawn), nn.ReLU(), nn.Linear(12, 4, rng=drawn))
        compress.prepare(model, {"0": recipe}, x[0])
        chain, batches, seen = model[0].weight.parametrization, iter(zip(x, y, strict=True)), []
        for steps in parts:
            optimizer = nn.optim.SGD(model.parameters(), lr=0.01)
            for _ in range(steps):
                inputs, targets = next(batches)
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(nn.Tensor(inputs)), targets).backward()
                optimizer.step()
                seen.append((chain.finished(), chain.frozen()))
        return seen, chain.state_arrays() | {"w": model[0].weight.data.copy()}

    (seen, whole), (again, parts) = trained(12), trained(3, 4, 5)
    assert seen == again
    assert seen[-1] == (True, True)
    for name, array in whole.items():
        np.testing.assert_array_equal(parts[name], array, err_msg=name)

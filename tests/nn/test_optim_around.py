"""Clipping, averages of weights, and schedules, against PyTorch's record and what their definitions say."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn import optim
from nn.optim import AveragedModel, clip_grad_norm_, clip_grad_value_
from nn.optim.schedules import Chain, Cosine, Linear, MultiStep, OneCycle, Step, WarmUp
from nn.parameter import Parameter

RECORD = np.load(Path(__file__).parents[1] / "golden" / "torch_training.npz")
T = 20
SCHEDULES = {
    "step": Step(3 / T, 0.5),
    "multistep": MultiStep((4 / T, 7 / T, 15 / T), 0.3),
    "linear": Linear(0.25, 1.0),
    "cosine": Cosine(0.05),
    "one_cycle": OneCycle(steps=T),
    "one_cycle_linear": OneCycle(0.6, 10, 100, linear=True, steps=T),
    "warm_up": WarmUp(Cosine(), 5 / T, 0.1),
}


# Schedules


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_that_of_pytorch_at_every_step(name):
    factors = [SCHEDULES[name](k / T) for k in range(T)]
    np.testing.assert_allclose(factors, RECORD[name], rtol=1e-12, atol=1e-15)


@given(st.integers(1, 2000), st.data())
def test_a_border_belongs_to_what_comes_after(steps, data):
    """However the fractions round: ⌊k/every⌋ falls have been at step k."""
    every = data.draw(st.integers(1, steps))
    k = data.draw(st.integers(0, steps - 1))
    assert Step(every / steps, 0.5)(k / steps) == 0.5 ** (k // every)
    at = every / steps
    before_and_after = Chain((Linear(0, 0), Linear(1, 1)), (at,)) if at < 1 else Linear(0, 0)
    assert before_and_after(k / steps) == (k >= every)


def test_the_ends_of_schedules():
    assert nn.train.cosine(0) == 1
    assert nn.train.cosine(0.5) == 0.5
    assert OneCycle()(0) == pytest.approx(1 / 25)
    assert OneCycle()(0.3) == 1
    assert OneCycle()(1) == pytest.approx(1 / (25 * 1e4))
    assert OneCycle(pct_start=0)(0) == OneCycle(pct_start=1)(1) == 1
    assert WarmUp(Step(0.5))(0) == 0
    assert Chain([Cosine()], [])(0.25) == Cosine()(0.25)


THREE = Chain((Step(0.5), OneCycle(), Cosine()), (0.2, 0.3))


@pytest.mark.parametrize("schedule", [*SCHEDULES.values(), THREE])
def test_a_schedule_prints_as_what_builds_it(schedule):
    again = eval(repr(schedule), vars(optim.schedules))
    assert again == schedule
    assert again(0.31) == schedule(0.31)


@pytest.mark.parametrize(
    ("kind", "wanted", "build"),
    [
        (ValueError, "Step: every .*got 0", lambda: Step(0)),
        (TypeError, "Step: gamma", lambda: Step(0.1, "a")),
        (ValueError, "MultiStep: milestones must rise", lambda: MultiStep((0.5, 0.2))),
        (ValueError, "MultiStep: milestones .*got 30", lambda: MultiStep((30, 80))),
        (ValueError, "Linear: end .*nan", lambda: Linear(1, math.nan)),
        (ValueError, "Cosine: end", lambda: Cosine(-0.1)),
        (ValueError, "OneCycle: pct_start", lambda: OneCycle(1.1)),
        (ValueError, "OneCycle: div_factor", lambda: OneCycle(div_factor=0)),
        (ValueError, "OneCycle: steps", lambda: OneCycle(steps=0)),
        (ValueError, "2 schedules have 1 borders, got 2", lambda: Chain((Cosine(), Cosine()), (0.1, 0.2))),
        (TypeError, r"Chain: schedules\[1\]", lambda: Chain((Cosine(), 3), (0.1,))),
        (ValueError, r"WarmUp: until .*\(0, 1\)", lambda: WarmUp(Cosine(), 1.0)),
    ],
)
def test_a_bad_schedule_is_refused(kind, wanted, build):
    with pytest.raises(kind, match=wanted):
        build()


def test_fit_schedules_every_group_and_gives_the_rates_back():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    groups = [{"params": list(layer.parameters()), "lr": lr} for layer, lr in zip(
        (getattr(model, "0"), getattr(model, "1")), (0.1, 0.2), strict=True)]
    optimizer, seen = optim.SGD(groups), []
    x, y = np.ones((8, 2), np.float32), np.arange(8) % 2
    nn.train.fit(model, x, y, epochs=1, batch_size=2, optimizer=optimizer, rng=np.random.default_rng(0),
                 schedule=Linear(1, 0), progress=False,
                 on_step=lambda *_: seen.append([group["lr"] for group in optimizer.param_groups]))
    np.testing.assert_allclose(seen, np.outer([1, 0.75, 0.5, 0.25], [0.1, 0.2]))
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.2]


# Clipping


def with_gradients(*gradients):
    params = [Parameter(np.zeros(np.shape(g))) for g in gradients]
    for p, g in zip(params, gradients, strict=True):
        p.grad = np.array(g)
    return params


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [2.0, 100.0])
def test_clipping_is_that_of_pytorch(norm_type, max_norm):
    params = with_gradients(RECORD["gradient0"], RECORD["gradient1"])
    key = f"norm{norm_type:g}.{max_norm:g}"
    assert clip_grad_norm_(params, max_norm, norm_type) == pytest.approx(float(RECORD[key]), rel=1e-12)
    for i, p in enumerate(params):
        np.testing.assert_allclose(p.grad, RECORD[f"{key}.{i}"], rtol=1e-12)


def test_clipping_happens_in_place_and_passes_over_what_has_no_gradient():
    p, q = with_gradients([3.0, 4.0], [0.0])
    q.grad, gradient = None, p.grad
    assert clip_grad_norm_([p, q], 10) == 5
    assert p.grad.tolist() == [3, 4]
    assert clip_grad_norm_(iter([p, q]), 0.5) == 5
    np.testing.assert_allclose(p.grad, [0.3, 0.4], rtol=1e-6)
    assert p.grad is gradient
    assert q.grad is None
    assert clip_grad_norm_([q], 1) == clip_grad_norm_([], 1) == clip_grad_norm_([], 1, math.inf) == 0
    assert clip_grad_norm_(p, 0) == pytest.approx(0.5)
    assert not p.grad.any()


def test_float32_gradients_whose_squares_overflow_are_clipped():
    p = Parameter(np.zeros(2, np.float32))
    p.grad = np.array([3e30, 4e30], np.float32)
    assert clip_grad_norm_(p, 5) == pytest.approx(5e30)
    np.testing.assert_allclose(p.grad, [3, 4], rtol=1e-6)
    assert p.grad.dtype == np.float32


@pytest.mark.parametrize("norm_type", [2.0, 1.0, math.inf])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_norm_that_is_not_finite(norm_type, bad):
    params = with_gradients([1.0, 2.0], [bad, 1.0])
    with pytest.raises(RuntimeError, match=f"clip_grad_norm_: .*{bad}"):
        clip_grad_norm_(params, 1, norm_type, error_if_nonfinite=True)
    assert params[0].grad.tolist() == [1, 2]
    got = clip_grad_norm_(params, 1, norm_type)
    assert math.isnan(got) if math.isnan(bad) else got == math.inf
    assert np.isnan(params[0].grad).all() if math.isnan(bad) else not params[0].grad.any()


@pytest.mark.parametrize("clip", [optim.clip_grad_norm_, optim.clip_grad_value_])
def test_a_clipped_gradient_that_a_graph_still_needs_is_found(clip):
    p = nn.Tensor([1.0, 2.0], requires_grad=True)
    (p**3).sum().backward(create_graph=True)
    penalty = (p.grad * p.grad).sum()
    clip(p, 0.1)
    with pytest.raises(RuntimeError, match="overwritten"):
        penalty.backward()


def test_values_are_clamped_in_place():
    p, q = with_gradients([-3.0, 0.5, math.nan], [math.inf])
    clip_grad_value_([p, q], 1)
    np.testing.assert_array_equal(p.grad, [-1, 0.5, math.nan])
    assert q.grad.tolist() == [1]
    clip_grad_value_(q, 0)
    assert q.grad.tolist() == [0]


@pytest.mark.parametrize(
    ("kind", "wanted", "call"),
    [
        (TypeError, "clip_grad_norm_: parameters must", lambda p: clip_grad_norm_(3, 1)),
        (TypeError, r"clip_grad_norm_: parameters\[0\]", lambda p: clip_grad_norm_([3], 1)),
        (TypeError, "clip_grad_norm_: max_norm", lambda p: clip_grad_norm_(p, "1")),
        (ValueError, "clip_grad_norm_: max_norm .*-1", lambda p: clip_grad_norm_(p, -1)),
        (ValueError, "clip_grad_norm_: max_norm .*nan", lambda p: clip_grad_norm_(p, math.nan)),
        (ValueError, "clip_grad_norm_: norm_type .*0", lambda p: clip_grad_norm_(p, 1, 0)),
        (ValueError, "clip_grad_value_: clip_value .*-1", lambda p: clip_grad_value_(p, -1)),
        (TypeError, r"clip_grad_value_: parameters\[0\]", lambda p: clip_grad_value_([np.ones(2)], 1)),
    ],
)
def test_bad_clipping_is_refused(kind, wanted, call):
    with pytest.raises(kind, match=wanted):
        call(with_gradients([3.0, 4.0]))


def test_fit_clips():
    x, y = np.ones((8, 2), np.float32) * 100, np.arange(8) % 2
    model = nn.Linear(2, 2)
    before = [p.data.copy() for p in model.parameters()]
    nn.train.fit(model, x, y, epochs=1, batch_size=8, optimizer=optim.SGD(model.parameters(), lr=1.0),
                 rng=np.random.default_rng(0), clip_norm=1e-3, progress=False)
    moved = math.sqrt(sum(((p.data - b) ** 2).sum() for p, b in zip(model.parameters(), before, strict=True)))
    assert moved == pytest.approx(1e-3, rel=0.01)


# Averages


@pytest.mark.parametrize(("name", "decay"), [("swa", None), ("ema", 0.9)])
def test_averages_are_those_of_pytorch(name, decay):
    layer = nn.Linear(3, 2, bias=False)
    layer.weight = Parameter(np.zeros((2, 3)))
    average = AveragedModel(layer, decay)
    for weight, want in zip(RECORD["weights"], RECORD[name], strict=True):
        layer.weight.data[...] = weight
        average.update_parameters()
        with average.applied():
            np.testing.assert_allclose(layer.weight.data, want, rtol=1e-12)
        np.testing.assert_array_equal(layer.weight.data, weight)


def network():
    return nn.Sequential(nn.Linear(4, 3, rng=np.random.default_rng(0)), nn.BatchNorm1d(3))


def test_buffers_are_averaged_if_asked():
    x = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    model = network()
    plain, both = AveragedModel(model), AveragedModel(model, use_buffers=True)
    norm, means = getattr(model, "1"), []
    for _ in range(3):
        model(nn.Tensor(x))
        means.append(norm.running_mean.copy())
        plain.update_parameters()
        both.update_parameters()
    with plain.applied():
        np.testing.assert_array_equal(norm.running_mean, means[-1])
    with both.applied():
        np.testing.assert_allclose(norm.running_mean, np.mean(means, 0), rtol=1e-6)


def test_an_average_follows_weights_that_were_given_new_arrays():
    layer = nn.Linear(2, 2)
    average = AveragedModel(layer)
    for value in (1, 3):
        layer.weight.data = np.full((2, 2), value, np.float32)
        average.update_parameters()
    with average.applied():
        np.testing.assert_array_equal(layer.weight.data, 2)
    np.testing.assert_array_equal(layer.weight.data, 3)


def test_while_swapped_in_an_average_is_left_alone():
    average = AveragedModel(network())
    average.swap()
    for call in (average.update_parameters, average.state_dict, lambda: average.applied().__enter__()):
        with pytest.raises(RuntimeError, match="swapped in"):
            call()
    model = network()
    with pytest.raises(TypeError, match="not swapped in"):
        nn.train.fit(model, np.ones((2, 4), np.float32), np.arange(2), epochs=1, average=average,
                     optimizer=optim.SGD(model.parameters()), rng=np.random.default_rng(0))
    average.swap()
    average.update_parameters()


def test_a_swap_is_seen_by_a_backward_that_needed_the_old_values():
    layer = nn.Linear(2, 2)
    loss = (layer.weight * layer.weight).sum()
    AveragedModel(layer).swap()
    with pytest.raises(RuntimeError, match="overwritten"):
        loss.backward()


def test_the_state_of_an_average():
    model = network()
    average, other = AveragedModel(model, 0.5), AveragedModel(network(), 0.5)
    for p in model.parameters():
        p.data += 1
    average.update_parameters()
    other.load_state_dict(average.state_dict())
    assert other.n_averaged == 1
    assert all((a == b).all() for a, b in zip(average._averages, other._averages, strict=True))
    state = average.state_dict()
    state["average.0"], state["more"] = np.zeros(3), state.pop("average.1")
    with pytest.raises(ValueError, match=r"missing: average.1; unexpected: more; average.0 is"):
        other.load_state_dict(state)
    assert other.n_averaged == 1


def test_update_bn_measures_the_data_anew():
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (60, 4)).astype(np.float32)
    model = network().eval()
    optim.update_bn(model, x, batch_size=20)
    norm, seen = getattr(model, "1"), getattr(model, "0")(nn.Tensor(x)).data.reshape(3, 20, 3)
    np.testing.assert_allclose(norm.running_mean, seen.mean((0, 1)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.running_var, seen.var(1, ddof=1).mean(0), rtol=1e-4)
    assert norm.momentum == 0.1
    assert not norm.training
    optim.update_bn(nn.Linear(4, 2), x)
    for bad in ({"x": x[:0]}, {"x": [1]}, {"x": x, "batch_size": 0}):
        with pytest.raises(ValueError, match="update_bn"):
            optim.update_bn(model, **bad)


def test_fit_averages_and_resumes_to_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 4)).astype(np.float32), rng.integers(0, 3, 40)

    def run(stop=None, **how):
        model = network()
        average = AveragedModel(model, 0.8, use_buffers=True)

        def until(step, loss):
            if step == stop:
                raise KeyboardInterrupt

        try:
            nn.train.fit(model, x, y, epochs=2, batch_size=8, optimizer=optim.AdamW(model.parameters(), 0.01),
                         rng=np.random.default_rng(1), average=average, clip_norm=1.0, progress=False,
                         on_step=until, **how)
        except KeyboardInterrupt:
            return None
        with average.applied():
            return model.state_dict()

    whole, path = run(), tmp_path / "run"
    assert run(stop=7, checkpoint=path, every=3) is None
    resumed = run(checkpoint=path, every=3)
    assert all(whole[key].tobytes() == value.tobytes() for key, value in resumed.items())
    model = network()
    with pytest.raises(ValueError, match=r"clip_norm was 1.0, is None; average was Av.*, is None"):
        nn.train.fit(model, x, y, epochs=2, batch_size=8, optimizer=optim.AdamW(model.parameters(), 0.01),
                     rng=np.random.default_rng(1), checkpoint=path, progress=False)

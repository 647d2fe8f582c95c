"""Learned step size: its gradient, its beginning, its way through training, folding and files."""

import numpy as np
import pytest

import compress
import nn
from compress.techniques.learned_step import LEARNED_STEP
from nn import functional as F
from nn.tensor import Tensor


def attached(bits, w):
    parameter = nn.Parameter(w)
    compress.Chain([compress.LearnedStep(bits)]).attach(parameter, compress.Context())
    return parameter, parameter.parametrization.states[0].scale


def test_its_gradients_hold_their_declared_formula():
    nn.gradcheck(LEARNED_STEP)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_a_step_begins_at_twice_the_mean_and_moves_by_the_divided_sum(bits):
    rng = np.random.default_rng(bits)
    w, g = rng.standard_normal((2, 5, 40)).astype(np.float32)
    parameter, step = attached(bits, w)
    highest = 2 ** (bits - 1) - 1
    np.testing.assert_allclose(step.data, 2 * np.abs(w).mean(axis=1) / highest**0.5, rtol=1e-6)
    (parameter.parametrized() * Tensor(g)).sum().backward()
    v = w / step.data[:, None]
    slope = np.where(np.abs(v) <= highest, np.rint(v) - v, highest * np.sign(v))
    wanted = (g * slope).sum(axis=1) / (40 * highest) ** 0.5
    np.testing.assert_allclose(step.grad, wanted, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(parameter.grad, np.where(np.abs(v) <= highest, g, 0))


def test_weights_and_steps_are_trained_side_by_side_and_apart_from_decay():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(20, 12, rng=rng), nn.ReLU(), nn.Linear(12, 3, rng=rng))
    x, y = rng.standard_normal((60, 20)).astype(np.float32), rng.integers(0, 3, 60)
    compress.prepare(model, compress.LearnedStep(2), x)
    steps = [model[i].weight.parametrization.states[0].scale for i in (0, 2)]
    others = [p for p in model.parameters() if not any(p is step for step in steps)]
    assert {p.shape for p in others} == {(12, 20), (12,), (3, 12), (3,)}
    optimizer = nn.optim.Adam([{"params": others, "weight_decay": 0.1}, {"params": steps}], lr=1e-2)
    before = [step.data.copy() for step in steps]
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(Tensor(x)), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert all((step.data != old).all() for step, old in zip(steps, before, strict=True))
    assert all((step.data > 0).all() for step in steps)
    model.eval()
    np.testing.assert_array_equal(model(Tensor(x)).data, compress.convert(model)(x))


def test_folded_norms_and_files(tmp_path):
    digits, rng = nn.data.digits(), np.random.default_rng(0)
    model, x = nn.models.digits_cnn(0.25, rng=rng), digits.x_train[:64]
    model(Tensor(x))
    model.bn2.weight.data *= np.float32(-1)
    compress.prepare(model, compress.LearnedStep(3, activations="uint4", ranges="mse"), x)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(Tensor(x)), digits.y_train[:64]).backward()
        optimizer.step()
    model.eval()
    program, wanted = compress.convert(model), model(Tensor(x)).data
    np.testing.assert_array_equal(program(x), wanted)
    compress.save(program, tmp_path / "p")
    np.testing.assert_array_equal(compress.load(tmp_path / "p")(x), wanted)
    twin = nn.models.digits_cnn(0.25, rng=np.random.default_rng(1))
    compress.prepare(twin, compress.LearnedStep(3, activations="uint4", ranges="mse"), x)
    twin.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(twin.eval()(Tensor(x)).data, wanted)


@pytest.mark.parametrize(("said", "how"), [
    ("integers with a scale for each channel; got binary", {"weights": "binary"}),
    ("integers with a scale for each channel; got int4-tensor", {"weights": "int4-tensor"}),
    ("has a gradient of its own", {"gradient": "ewgs"}), ("has a gradient of its own", {"scales": "mse"})])
def test_what_it_does_not_take(said, how):
    with pytest.raises(ValueError, match=f"LearnedStep: .*{said}"):
        compress.LearnedStep(**how)

"""Quantization-aware training: what is simulated is what runs, and the gradient goes straight through."""

import copy

import numpy as np
import pytest

import compress
import nn
from compress.formats.straight_through import CLIPPED_STRAIGHT_THROUGH, STRAIGHT_THROUGH
from compress.simulate import FOLDED_BIAS, FOLDED_WEIGHT, Simulation
from nn import functional as F


class Residual(nn.Module):
    """Strides, a pool, a sum, a batch norm without a layer of its own before it, and a bias."""

    def __init__(self, rng):
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1, bias=False, rng=rng)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1, rng=rng)
        self.bn2 = nn.BatchNorm2d(6)
        self.fc1 = nn.Linear(6 * 9, 8, rng=rng)
        self.fc2 = nn.Linear(8, 3, rng=rng)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.avg_pool2d(F.relu(self.bn2(self.conv2(x)) + x), 2)
        return self.fc2(F.relu(self.fc1(F.flatten(x, 1))))


def prepared(seed=0):
    rng = np.random.default_rng(seed)
    model = Residual(rng)
    for norm in (model.bn1, model.bn2):
        norm.running_mean[...] = rng.normal(size=6)
        norm.running_var[...] = rng.uniform(0.3, 3, size=6)
        norm.weight.data = rng.normal(size=6).astype(np.float32)
    x = rng.normal(size=(40, 2, 6, 6)).astype(np.float32)
    y = rng.integers(0, 3, 40)
    compress.prepare(model, compress.Quantize(), x)
    return model, x, y


def steps(model, x, y, count):
    optimizer = nn.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(count):
        optimizer.zero_grad()
        F.cross_entropy(model(nn.Tensor(x)), y).backward()
        optimizer.step()


def outputs(model, x):
    model.eval()
    with nn.no_grad():
        return model(nn.Tensor(x)).data, compress.convert(model)(x)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [0, 1, 7])
def test_the_simulation_is_the_program(seed, count):
    model, x, y = prepared(seed)
    model.train()
    steps(model, x, y, count)
    simulated, run = outputs(model, x)
    np.testing.assert_array_equal(simulated, run)


def test_every_value_on_a_grid_is_an_integer_of_the_program():
    model, x, _ = prepared()
    program = compress.convert(model)
    made = program.every_value(x)
    assert any(array.dtype == np.uint8 for array in made.values())
    np.testing.assert_array_equal(made[program.output], program(x))


def test_training_moves_weights_ranges_and_loss_but_not_the_running_statistics():
    model, x, y = prepared()
    before = model.state_dict()
    ranges = dict(model.parametrization.ranges)
    with nn.no_grad():
        first = F.cross_entropy(model(nn.Tensor(x)), y).item()
    model.train()
    steps(model, x, y, 30)
    after = model.state_dict()
    for name in before:
        if name.startswith("parametrization."):
            continue  # ranges: see below
        if "running" in name or "num_batches" in name:
            np.testing.assert_array_equal(before[name], after[name], err_msg=name)
        elif name != "conv2.bias":  # which batch norm takes in
            assert np.any(before[name] != after[name]), name
    assert any(model.parametrization.ranges[name] != ranges[name] for name in ranges)
    model.eval()
    with nn.no_grad():
        assert F.cross_entropy(model(nn.Tensor(x)), y).item() < first - 0.2
        ranges = dict(model.parametrization.ranges)
        model(nn.Tensor(3 * x))
    assert model.parametrization.ranges == ranges  # evaluation does not move them


def test_its_gradient_is_nearly_that_of_the_float_network():
    """8 bits are close to float: so are the gradients of all parameters, if none is lost on the way."""
    model, x, y = prepared(1)
    plain = copy.deepcopy(model)
    plain.parametrization = None
    for _, parameter in plain.named_parameters():
        parameter.parametrization = None
    model.eval()
    plain.eval()
    for network in (model, plain):
        F.cross_entropy(network(nn.Tensor(x)), y).backward()
    wanted = dict(plain.named_parameters())
    for name, parameter in model.named_parameters():
        g, h = parameter.grad.ravel(), wanted[name].grad.ravel()
        assert np.linalg.norm(g - h) < 0.12 * np.linalg.norm(h), name


def test_clipped_activations_pass_no_gradient():
    model, x, _ = prepared()
    model.parametrization.ranges = {name: (0.0, 1e-6)
                                    for name in model.parametrization.ranges}    # everything is clipped
    model.eval()
    model(nn.Tensor(x)).sum().backward()
    assert not np.any(model.conv1.weight.grad)
    assert np.any(model.fc2.bias.grad)


def test_copies_train_apart():
    model, x, y = prepared()
    other = copy.deepcopy(model)
    other.train()
    steps(other, x, y, 3)
    fresh, _, _ = prepared()
    np.testing.assert_array_equal(outputs(model, x)[0], outputs(fresh, x)[0])
    np.testing.assert_array_equal(*outputs(other, x))


def test_pruned_weights_stay_pruned_under_quantization():
    rng = np.random.default_rng(0)
    model = nn.models.digits_mlp(rng=rng)
    digits = nn.data.digits()
    x, y = digits.x_train[:64], digits.y_train[:64]
    compress.prepare(model, [compress.Prune(0.75), compress.Quantize()], x)
    steps(model, x, y, 5)
    simulated, run = outputs(model, x)
    np.testing.assert_array_equal(simulated, run)
    codes = compress.convert(model).constants["fc1.weight"].decode()
    assert np.count_nonzero(codes == 0) >= round(0.75 * codes.size)
    F.cross_entropy(model(nn.Tensor(x)), y).backward()
    mask = model.fc1.weight.parametrization.states[0].mask
    assert not np.any(model.fc1.weight.grad[mask == 0])


def test_without_an_example_there_is_no_simulation_and_convert_observes():
    model = nn.models.digits_mlp(rng=np.random.default_rng(0))
    compress.prepare(model, compress.Quantize())
    assert model.parametrization is None
    x = nn.data.digits().x_train[:32]
    assert compress.convert(model, x)(x).shape == (32, 10)


def test_a_recipe_without_quantize_has_no_simulation():
    model = nn.models.digits_mlp(rng=np.random.default_rng(0))
    compress.prepare(model, compress.Prune(0.5), nn.data.digits().x_train[:8])
    assert not isinstance(model.parametrization, Simulation)


RULES = [STRAIGHT_THROUGH, CLIPPED_STRAIGHT_THROUGH, FOLDED_WEIGHT, FOLDED_BIAS]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_surrogate_rules_hold_their_declared_formula(rule):
    nn.gradcheck(rule)


def test_what_the_program_would_refuse_the_simulation_refuses():
    model, x = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), np.zeros((4, 1, 8, 8), np.float32)
    compress.prepare(model, compress.Quantize(), x + 1)
    with pytest.raises(ValueError, match=r"Sequential: x must have shape \(N, 1, 8, 8\); got \(4, 1, 9, 9\)"):
        model(np.zeros((4, 1, 9, 9), np.float32))
    with pytest.raises(TypeError, match=r"Sequential: x must be a float32 array; got float64"):
        model(x.astype(np.float64))
    assert model(x[:0]).shape == (0, 2, 6, 6)
    for bad in (np.nan, np.inf):
        model[0].weight.data[0, 0, 1, 1] = bad
        with pytest.raises(nn.train.Diverged, match=r"Sequential: 0\.weight holds NaN or infinity"):
            model(x)
        with pytest.raises(ValueError, match=r"Sequential: 0\.weight holds NaN or infinity"):
            model.eval()(x)
        model.train()


def test_a_run_that_stops_goes_on_to_the_same_bits(tmp_path):
    class Stop(Exception):
        pass

    def run(path, stop_after=None):
        model, x, y = prepared()

        def on_step(step, loss):
            if step == stop_after:
                raise Stop

        nn.train.fit(
            model, x, y, epochs=4, batch_size=16, optimizer=nn.optim.Adam(model.parameters(), lr=1e-2),
            rng=np.random.default_rng(0), progress=False, checkpoint=path, every=1, on_step=on_step,
        )  # fmt: skip
        return model

    whole = run(tmp_path / "whole")
    with pytest.raises(Stop):
        run(tmp_path / "stopped", stop_after=7)
    again = run(tmp_path / "stopped")
    assert again.parametrization.ranges == whole.parametrization.ranges
    for name, array in whole.state_dict().items():
        np.testing.assert_array_equal(array, again.state_dict()[name], err_msg=name)

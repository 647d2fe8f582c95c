"""Batch norm by the batch's statistics while integers are trained: folded with running ones, corrected."""

import numpy as np
import pytest

import compress
import nn
from compress.correction import Statistics, corrected
from compress.simulate import FOLDED_WEIGHT
from nn import functional as F
from nn.tensor import Tensor, apply


class Net(nn.Module):
    """A convolution with a bias, one without, and a linear layer, each with its norm."""

    def __init__(self, rng):
        self.conv1, self.bn1 = nn.Conv2d(2, 6, 3, padding=1, rng=rng), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 6, 3, bias=False, rng=rng), nn.BatchNorm2d(6, affine=False)
        self.fc1, self.bn3 = nn.Linear(6 * 16, 8, rng=rng), nn.BatchNorm1d(8, momentum=None)
        self.fc2 = nn.Linear(8, 3, rng=rng)

    def forward(self, x):
        x = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return self.fc2(F.relu(self.bn3(self.fc1(F.flatten(x, 1)))))


def prepared(freeze, **how):
    rng = np.random.default_rng(0)
    model, x, y = Net(rng), rng.normal(size=(40, 2, 6, 6)).astype(np.float32), rng.integers(0, 3, 40)
    model.conv1.bias.data[:] = rng.normal(size=6)
    for norm in (model.bn1, model.bn2, model.bn3):
        norm.running_mean[...] = rng.normal(size=norm.num_features)
        norm.running_var[...] = rng.uniform(0.3, 3, size=norm.num_features)
    model.bn1.weight.data[:] = rng.normal(size=6)
    compress.prepare(model, compress.Quantize(freeze=freeze, **how), x)
    return model.train(), x, y


def trained(model, x, y, count):
    optimizer = nn.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(count):
        optimizer.zero_grad()
        F.cross_entropy(model(nn.Tensor(x)), y).backward()
        optimizer.step()


def buffers(model):
    return {name: array.copy() for name, array in model.named_buffers()}


# The formula, in float64

@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_without_rounding_it_is_batch_norm_forward_and_backward(affine, bias):
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=(5, 2, 4, 4)), rng.normal(size=(3, 2, 3, 3)), *rng.normal(size=(3, 3))]
    cotangent, eps = Tensor(rng.normal(size=(5, 3, 2, 2))), 1e-3
    start = rng.normal(size=3), rng.uniform(0.5, 2, 3)

    def results(layer):
        x, w, b, gamma, beta = tensors = [Tensor(array, requires_grad=True) for array in arrays]
        running = Statistics(*(array.copy() for array in start))
        y = layer(x, w, b if bias else None, *((gamma, beta) if affine else (None, None)), running)
        (y * cotangent).sum().backward()
        return [y.data, *running, *(one.grad for one in tensors if one.grad is not None)]

    def norm(x, w, b, gamma, beta, running):
        return F.batch_norm(F.conv2d(x, w, b), *running, gamma, beta, True, 0.1, eps)

    def by_correction(x, w, b, gamma, beta, running):
        s = 1 / np.sqrt(running[1] + eps)
        factor = s if gamma is None else gamma.data * s
        target = Tensor(w.data * factor[:, None, None, None])
        folded = apply(FOLDED_WEIGHT, w, gamma, target, spread=s, mean=s)
        y, batch = corrected(lambda w, b: F.conv2d(x, w, b), (folded, w), b, gamma, beta, running, eps)
        running.follow(batch, 0.1)
        return y

    for got, wanted in zip(results(by_correction), results(norm), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)


def test_one_value_a_channel_has_no_deviation():
    model, x, _ = prepared(5)
    with pytest.raises(ValueError, match="batch norm: training wants more than one value per channel"):
        model(nn.Tensor(x[:1]))


# In a network

def test_it_is_close_to_batch_norm_in_floats_and_so_are_the_running_statistics():
    model, x, _ = prepared(100, activations="int8-dynamic")
    plain = Net(np.random.default_rng(0))
    plain.load_state_dict({name: array for name, array in model.state_dict().items()
                           if "parametrization" not in name})
    with nn.no_grad():
        got, wanted = model(nn.Tensor(x)).data, plain.train()(nn.Tensor(x)).data
    assert np.abs(got - wanted).max() < 0.05 * np.abs(wanted).max()
    for name, array in plain.named_buffers():
        np.testing.assert_allclose(buffers(model)[name], array, rtol=0.02, atol=0.02, err_msg=name)


def test_the_weights_are_folded_with_the_running_deviation_whatever_the_batch(monkeypatch):
    """Else each batch would round them to other integers."""
    seen = []
    monkeypatch.setattr("compress.simulate.corrected", lambda product, weights, *rest: (
        seen.append(weights[0].data.copy()), corrected(product, weights, *rest))[1])
    for factor in (1, 3):
        model, x, _ = prepared(100)
        model(nn.Tensor(factor * x + 1))
    np.testing.assert_array_equal(seen[0], seen[3])
    program = compress.convert(prepared(100)[0])
    np.testing.assert_array_equal(seen[0], program.constants["conv1.weight"].decode())


class Smooth(Net):
    """Without the kinks of a ReLU, across which a rounded number jumps."""

    def forward(self, x):
        x = F.tanh(self.bn2(self.conv2(F.tanh(self.bn1(self.conv1(x))))))
        return self.fc2(F.tanh(self.bn3(self.fc1(F.flatten(x, 1)))))


def test_its_gradient_is_nearly_that_of_batch_norm_in_floats():
    model, plain = (Smooth(np.random.default_rng(0)) for _ in range(2))
    x, y = np.random.default_rng(1).normal(size=(40, 2, 6, 6)).astype(np.float32), np.arange(40) % 3
    compress.prepare(model, compress.Quantize(freeze=9, activations="int8-dynamic"), x)
    for network in (model, plain):
        F.cross_entropy(network.train()(nn.Tensor(x)), y).backward()
    wanted = dict(plain.named_parameters())
    for name, parameter in model.named_parameters():
        g, h = parameter.grad.ravel(), wanted[name].grad.ravel()
        if name not in ("conv1.bias", "fc1.bias"):  # which the norm takes out again
            assert np.linalg.norm(g - h) < 0.05 * np.linalg.norm(h), name


def test_a_norm_that_two_layers_share_follows_both():
    class Shared(nn.Module):
        def __init__(self):
            rng = np.random.default_rng(0)
            self.a, self.b, self.norm = nn.Linear(4, 5, rng=rng), nn.Linear(5, 5, rng=rng), nn.BatchNorm1d(5)

        def forward(self, x):
            return self.norm(self.b(F.relu(self.norm(self.a(x)))))

    model, x = Shared(), np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32)
    twin = Shared().train()
    compress.prepare(model, compress.Quantize(freeze=9, activations="int8-dynamic"), x)
    model.train()(nn.Tensor(x))
    twin(nn.Tensor(x))
    assert int(model.norm.num_batches_tracked) == 2
    np.testing.assert_allclose(model.norm.running_mean, twin.norm.running_mean, atol=0.01)
    np.testing.assert_allclose(model.norm.running_var, twin.norm.running_var, atol=0.01)
    np.testing.assert_array_equal(model.eval()(nn.Tensor(x)).data, compress.convert(model)(x))


def test_the_bias_of_a_convolution_counts_in_the_running_mean():
    """Dropped in training and used in evaluation, it would shift every channel."""
    model, x, _ = prepared(100)
    made = F.conv2d(nn.Tensor(x), model.conv1.weight.data, model.conv1.bias.data, padding=1).data
    before = model.bn1.running_mean.copy()
    model(nn.Tensor(x))
    wanted = before + 0.1 * (made.mean(axis=(0, 2, 3)) - before)
    np.testing.assert_allclose(model.bn1.running_mean, wanted, atol=2e-3)
    model.conv1.bias.grad = None
    model(nn.Tensor(x)).sum().backward()
    assert np.abs(model.conv1.bias.grad).max() < 1e-3 * np.abs(model.bn1.bias.grad).max()  # taken out again


@pytest.mark.parametrize("how", [{}, {"bits": 4, "activations": "uint4"}, {"activations": "int8-dynamic"},
                                 {"bits": 3, "scales": "mse", "ranges": "mse"}], ids=str)
@pytest.mark.parametrize("count", [2, 6])
def test_in_evaluation_the_simulation_is_the_program(how, count):
    """Before the statistics stand still, and after."""
    model, x, y = prepared(4, **how)
    trained(model, x, y, count)
    np.testing.assert_array_equal(model.eval()(nn.Tensor(x)).data, compress.convert(model)(x))


def test_statistics_move_until_the_step_that_was_chosen_and_then_stand_still():
    model, x, y = prepared(3)
    before = buffers(model)
    trained(model, x, y, 3)
    after = buffers(model)
    assert all(np.any(before[name] != after[name]) for name in before)
    assert int(model.bn1.num_batches_tracked) == 3
    trained(model, x, y, 2)  # by a new optimizer, whose first step is the weights' fourth
    assert model.conv1.weight.parametrization.frozen()
    still, program = buffers(model), compress.convert(model)
    with nn.no_grad():
        np.testing.assert_array_equal(model(nn.Tensor(x)).data, program(x))  # in training, too
    assert all(np.array_equal(still[name], array) for name, array in buffers(model).items())
    other, _, _ = prepared(0)
    before = buffers(other)
    trained(other, x, y, 2)
    assert all(np.array_equal(before[name], array) for name, array in buffers(other).items())


def test_it_trains_and_goes_on_from_a_checkpoint(tmp_path):
    class Stop(Exception):
        pass

    def run(path, stop_after=None):
        model, x, y = prepared(6, bits=4)

        def on_step(step, loss):
            if step == stop_after:
                raise Stop

        nn.train.fit(model, x, y, epochs=4, batch_size=16, rng=np.random.default_rng(0), progress=False,
                     optimizer=nn.optim.Adam(model.parameters(), lr=1e-2), checkpoint=path, every=1,
                     on_step=on_step)
        return model

    whole = run(tmp_path / "whole")
    with pytest.raises(Stop):
        run(tmp_path / "stopped", stop_after=4)
    again = run(tmp_path / "stopped")
    for name, array in whole.state_dict().items():
        np.testing.assert_array_equal(array, again.state_dict()[name], err_msg=name)


def test_numbers_that_leave_float32_are_told_as_divergence():
    model, x, _ = prepared(5)
    model.bn1.weight.data[:] = 1e38
    model.bn1.bias.data[:] = 3e38
    with np.errstate(all="ignore"), pytest.raises((nn.train.Diverged, ValueError), match="Net: "):
        model(nn.Tensor(x))
    with pytest.raises(ValueError, match="Net: x becomes NaN or infinite"):
        prepared(5)[0](nn.Tensor(np.full_like(x, np.nan)))


@pytest.mark.parametrize("lr", [1e4, 1e20, 1e38])
def test_training_that_leaves_the_integers_range_is_diverged_and_its_step_is_undone(lr):
    model, x, y = prepared(99, ranges="mse")
    before = [buffers(model)]
    with np.errstate(all="ignore"), pytest.raises(nn.train.Diverged, match="smaller learning rate") as said:
        nn.train.fit(model, x, y, epochs=20, batch_size=8, rng=np.random.default_rng(3), progress=False,
                     optimizer=nn.optim.SGD(model.parameters(), lr=lr),
                     on_step=lambda *_: before.append(buffers(model)))
    assert f"at step {len(before)}: " in str(said.value)
    for name, array in buffers(model).items():
        np.testing.assert_array_equal(array, before[-1][name], err_msg=name)


@pytest.mark.parametrize("wrong", [-1, 1.5, "late"])
def test_what_is_no_step_is_refused(wrong):
    with pytest.raises(ValueError, match="Quantize: freeze must be a step"):
        compress.Quantize(freeze=wrong)

"""Gradients example by example in one pass back are those that nn.curvature finds by a pass for each."""

import numpy as np
import pytest

import nn
from compress import layer_gradients
from compress.examples import Example
from compress.layer_gradients import LayerGradients
from nn.curvature import gauss_newton_diag, per_sample_grads
from nn.functional import cross_entropy, mse_loss


class Convolutions(nn.Module):
    """With a stride, padding, groups and a batch norm."""

    def __init__(self, rng):
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 4, 3, padding=1, rng=rng), nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 6, (3, 2), stride=2, groups=2, rng=rng)
        self.fc = nn.Linear(6 * 3 * 3, 3, rng=rng)

    def forward(self, x):
        return self.fc(self.second(self.norm(self.first(x)).relu()).relu().flatten(1))


class Sequences(nn.Module):
    """A linear layer over sequences, read twice, and a convolution of signals, which multiplies with another
    array than its weight."""

    def __init__(self, rng):
        super().__init__()
        self.twice, self.signal = nn.Linear(4, 4, rng=rng), nn.Conv1d(4, 2, 2, rng=rng)
        self.fc = nn.Linear(2 * 4, 3, rng=rng)

    def forward(self, x):
        x = self.twice(self.twice(x).relu())
        return self.fc(self.signal(x.transpose(1, 2)).relu().flatten(1))


SHAPES = {Convolutions: (2, 7, 6), Sequences: (5, 4)}


@pytest.fixture(params=SHAPES, scope="module")
def network(request):
    rng = np.random.default_rng(0)
    model = request.param(rng).eval()
    x = rng.standard_normal((11, *SHAPES[request.param])).astype(np.float32)
    return model, x, rng.integers(0, 3, 11), [name for name, p in model.named_parameters() if p.ndim > 1]


def gradients_of(model, x, y, loss=None):
    example = Example.of("test", x)
    return LayerGradients(model, example.trace(model), example, y, loss)


def close(got, wanted):
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_each_example_has_its_own_gradient(network, monkeypatch):
    model, x, y, names = network
    wanted = per_sample_grads(model, cross_entropy, x, y)
    for rows, most in ((256, 2**22), (4, 200)):  # in parts, too
        monkeypatch.setattr(layer_gradients, "ROWS", rows)
        monkeypatch.setattr(layer_gradients, "MOST", most)
        found = gradients_of(model, x, y)
        for name in names:
            close(np.concatenate(list(found.of_loss(name))), wanted[name])


def test_the_curvature_is_that_of_gauss_and_newton(network):
    model, x, y, names = network
    wanted, found = gauss_newton_diag(model, cross_entropy, x, y), gradients_of(model, x, None)
    for name in names:
        close(found.curvature(name), wanted[name])


def test_the_square_of_the_mean_and_the_labels_of_the_data_are_something_else(network):
    """Mutants of the curvature (trap 26): the comparison finds them."""
    model, x, y, names = network
    found = gradients_of(model, x, y)
    for name in names:
        gradients = np.concatenate(list(found.of_loss(name)))
        for mutant in (np.square(gradients.mean(axis=0)), np.square(gradients).mean(axis=0)):
            with pytest.raises(AssertionError):
                close(mutant, found.curvature(name))


def test_a_loss_of_ones_own(network):
    model, x, _, names = network
    y = np.random.default_rng(1).standard_normal((11, 3)).astype(np.float32)
    found = gradients_of(model, x, y, mse_loss)
    curvature = gauss_newton_diag(model, lambda out, t: mse_loss(out, nn.Tensor(t)), x, y)
    grads = per_sample_grads(model, lambda out, t: mse_loss(out, nn.Tensor(t)), x, y)
    for name in names:
        close(found.curvature(name), curvature[name])
        close(np.concatenate(list(found.of_loss(name))), grads[name])
    with pytest.raises(ValueError, match="labels are drawn from the model for cross-entropy"):
        found.curvature(names[0], 1)
    with pytest.raises(ValueError, match="at its targets: give prepare targets="):
        gradients_of(model, x, None, mse_loss).curvature(names[0])
    with pytest.raises(ValueError, match="not convex in the outputs"):
        gradients_of(model, x, y, lambda out, t: -mse_loss(out, t)).curvature(names[0])


def test_labels_drawn_from_the_model_have_the_same_expectation(network):
    model, x, _, names = network
    found = gradients_of(model, x, None)
    exact = found.curvature(names[0])
    drawn = found.curvature(names[0], 300, seed=3)
    assert np.abs(drawn - exact).max() < 0.2 * exact.max()
    assert np.array_equal(drawn, gradients_of(model, x, None).curvature(names[0], 300, seed=3))


def test_it_follows_the_model_once_that_is_prepared():
    rng = np.random.default_rng(0)
    model = Convolutions(rng).eval()
    x, y = rng.standard_normal((9, 2, 7, 6)).astype(np.float32), rng.integers(0, 3, 9)
    found = gradients_of(model, x, y)
    before = found.curvature("fc.weight")
    model.first.weight.data = model.first.weight.data * np.float32(2)
    model.norm.running_var[...] = 3
    assert np.array_equal(found.curvature("fc.weight"), before)
    found.follow(model)
    close(found.curvature("fc.weight"), gauss_newton_diag(model, cross_entropy, x, y)["fc.weight"])


def test_what_has_no_gradients_example_by_example_is_refused():
    rng = np.random.default_rng(0)
    model, x = Convolutions(rng).eval(), np.zeros((4, 2, 7, 6), np.float32)
    with pytest.raises(ValueError, match=r"one for each of the example's 4 inputs; got shape \(3,\)"):
        gradients_of(model, x, np.zeros(3, int))
    with pytest.raises(ValueError, match=r"fc.weight is scored by the gradient of the loss: give prepare t"):
        next(gradients_of(model, x, None).of_loss("fc.weight"))

    class Images(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 3, rng=rng)

        def forward(self, x):
            return self.conv(x)

    with pytest.raises(ValueError, match=r"the network gives shape \(4, 3, 5, 4\), wanted logits \(N, C\)"):
        gradients_of(Images(), x, None).curvature("conv.weight")

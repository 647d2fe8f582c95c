"""Diagonals of curvature: PyTorch's numbers, the identities between the three matrices, and means of squares
that are not squares of means."""

from pathlib import Path

import numpy as np
import pytest

import nn
from nn import functional as F

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "torch_modes.npz")
NAMES = ("0.weight", "0.bias", "2.weight", "2.bias")


class Tanh(nn.Module):
    def forward(self, x):
        return x.tanh()


def recorded():
    """The network of tests/golden/record_modes.py, in float64, with its data."""
    model = nn.Sequential(nn.Linear(3, 5), Tanh(), nn.Linear(5, 4))
    for name, p in model.named_parameters():
        p.data = GOLDEN[f"network.{name}"]
    return model, GOLDEN["network.x"], np.arange(6) % 4


def small(seed=0, sizes=(3, 4, 3)):
    rng = np.random.default_rng(seed)
    model = nn.Sequential(nn.Linear(*sizes[:2], rng=rng), nn.ReLU(), nn.Linear(*sizes[1:], rng=rng))
    return model, rng.normal(size=(8, sizes[0])).astype(np.float32), rng.integers(0, sizes[-1], 8)


# Per-sample gradients


def test_per_sample_gradients_are_pytorchs():
    model, x, y = recorded()
    found = nn.per_sample_grads(model, F.cross_entropy, x, y)
    for name in NAMES:
        np.testing.assert_allclose(found[name], GOLDEN[f"network.alone.{name}"], rtol=1e-9, atol=1e-12)


def test_their_mean_is_the_gradient_of_the_batch():
    model, x, y = small()
    found = nn.per_sample_grads(model, F.cross_entropy, x, y)
    F.cross_entropy(model(nn.Tensor(x)), y).backward()
    for name, p in model.named_parameters():
        np.testing.assert_allclose(found[name].mean(0), p.grad, rtol=1e-4, atol=1e-6)


def test_what_takes_no_part_has_gradient_zero_and_no_grad_is_touched():
    class Partly(nn.Module):
        def __init__(self, used):
            self.used, self.unused = used, nn.Linear(2, 2)

        def forward(self, x):
            return self.used(x)

    used, x, y = small()
    model = Partly(used)
    found = nn.per_sample_grads(model, F.cross_entropy, x, y)
    np.testing.assert_array_equal(found["unused.weight"], np.zeros((8, 2, 2)))
    assert all(p.grad is None for p in model.parameters())


# The Hessian


def test_the_hessians_diagonal_is_pytorchs():
    model, x, y = recorded()
    weights = list(model.parameters())
    found = nn.hessian_diag(lambda *_: F.cross_entropy(model(nn.Tensor(x)), y), weights)
    for name, diagonal, w in zip(NAMES, found, weights, strict=True):
        want = np.diagonal(GOLDEN[f"network.hessian.{name}"]).reshape(w.shape)
        np.testing.assert_allclose(diagonal, want, rtol=1e-8, atol=1e-11)


def test_hutchinsons_estimate_is_unbiased_and_as_uncertain_as_theory_says():
    """Its variance is Σⱼ≠ᵢ Hᵢⱼ² over the number of samples."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(6, 6))
    a = a + a.T

    def f(x):
        return (x @ (a @ x)) * 0.5

    n = 4000
    found = nn.hessian_diag(f, np.ones(6), samples=n, rng=np.random.default_rng(1))
    deviation = np.sqrt(((a - np.diag(np.diag(a))) ** 2).sum(1) / n)
    assert (np.abs(found - np.diag(a)) < 4 * deviation).all()
    assert (np.abs(found - np.diag(a)) > 0).any()
    again = nn.hessian_diag(f, np.ones(6), samples=n, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(found, again)


def test_hutchinson_is_exact_on_a_diagonal_hessian():
    x = np.array([1.0, -2.0, 3.0])
    for samples in (None, 1):
        np.testing.assert_allclose(nn.hessian_diag(lambda x: (x**3).sum(), x, samples), 6 * x)


# Gauss–Newton and Fisher


def test_gauss_newton_is_j_transposed_h_j():
    """From the Jacobian of the outputs and the known second derivative of cross-entropy, diag(p) − p·pᵀ."""
    model, x, y = recorded()
    found = nn.gauss_newton_diag(model, F.cross_entropy, x, y)
    for name, p in model.named_parameters():
        kept, want = p.data, np.zeros(p.shape)
        for n in range(len(x)):

            def outputs(w, n=n, p=p):
                p._data, p._operation = w._data, w._operation
                return model(nn.Tensor(x[n : n + 1]))[0]

            j = nn.jacobian(outputs, kept, "reverse").reshape(4, -1)
            p._data, p._operation = kept, True
            q = F.softmax(model(nn.Tensor(x[n : n + 1]))).data[0]
            want += np.einsum("ci,cd,di->i", j, np.diag(q) - np.outer(q, q), j).reshape(p.shape) / len(x)
        if np.abs(want).max() > 0:
            np.testing.assert_allclose(found[name], want, rtol=1e-7, atol=1e-12)


def test_for_cross_entropy_the_fisher_matrix_is_the_gauss_newton_matrix():
    """Martens (2014): the expectation over the model's labels, taken exactly."""
    model, x, y = recorded()
    p = F.softmax(model(nn.Tensor(x))).data
    exact = {name: 0.0 for name in NAMES}
    for label in range(4):
        grads = nn.per_sample_grads(model, F.cross_entropy, x, np.full(6, label))
        for name in NAMES:
            weight = p[:, label].reshape(-1, *(1,) * (grads[name].ndim - 1))
            exact[name] = exact[name] + (weight * grads[name] ** 2).mean(0)
    found = nn.gauss_newton_diag(model, F.cross_entropy, x, y)
    sampled = nn.fisher_diag(model, x, samples=3000, rng=np.random.default_rng(0))
    for name in NAMES:
        np.testing.assert_allclose(found[name], exact[name], rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(sampled[name], exact[name], rtol=0.25, atol=0.03 * exact[name].max())


def test_for_mean_squares_of_a_linear_model_it_is_the_hessian():
    rng = np.random.default_rng(0)
    model, x, y = nn.Linear(3, 2, rng=rng), rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    for p in model.parameters():
        p.data = p.data.astype(np.float64)
    weights = list(model.parameters())
    hessian = nn.hessian_diag(lambda *_: F.mse_loss(model(nn.Tensor(x)), y), weights)
    found = nn.gauss_newton_diag(model, F.mse_loss, x, y)
    for (name, _), want in zip(model.named_parameters(), hessian, strict=True):
        np.testing.assert_allclose(found[name], want, rtol=1e-9)


def test_the_empirical_fisher_is_a_mean_of_squares_and_no_square_of_a_mean():
    model, x, y = small()
    found = nn.fisher_diag(model, x, y)
    grads = nn.per_sample_grads(model, F.cross_entropy, x, y)
    for name, g in grads.items():
        np.testing.assert_allclose(found[name], (g.astype(np.float64) ** 2).mean(0), rtol=1e-5, atol=1e-10)
        assert not np.allclose(found[name], g.mean(0) ** 2, rtol=1e-2)


def test_at_full_accuracy_the_empirical_fisher_collapses_and_so_would_the_others_only_with_certainty():
    """A network that is right and rather certain: its own labels are nearly the data's, but not always."""
    model, x, _ = small()
    y = model(nn.Tensor(x)).data.argmax(1)
    model[2].weight.data *= 40
    model[2].bias.data *= 40
    empirical = nn.fisher_diag(model, x, y)["2.bias"].sum()
    true = nn.gauss_newton_diag(model, F.cross_entropy, x, y)["2.bias"].sum()
    assert (model(nn.Tensor(x)).data.argmax(1) == y).all()
    assert empirical < true / 2


def test_the_labels_come_from_the_generator():
    model, x, _ = small()
    one, again, other = (
        nn.fisher_diag(model, x, rng=np.random.default_rng(s))["0.weight"] for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    nn.manual_seed(3)
    first = nn.fisher_diag(model, x)["0.weight"]
    nn.manual_seed(3)
    np.testing.assert_array_equal(first, nn.fisher_diag(model, x)["0.weight"])


# What they refuse


def test_batch_norm_has_to_be_in_evaluation_mode():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    x, y = np.ones((4, 3), np.float32), np.array([0, 1, 0, 1])
    running = model[1].running_mean.copy()
    for call in (
        lambda: nn.per_sample_grads(model, F.cross_entropy, x, y),
        lambda: nn.fisher_diag(model, x),
        lambda: nn.gauss_newton_diag(model, F.cross_entropy, x, y),
    ):
        with pytest.raises(ValueError, match=r"batch norm '1' is in training mode, .* model\.eval\(\)"):
            call()
    np.testing.assert_array_equal(model[1].running_mean, running)
    model.eval()
    assert nn.per_sample_grads(model, F.cross_entropy, x, y)["1.weight"].shape == (4, 4)


def test_bad_input():
    model, x, y = small()
    with pytest.raises(TypeError, match=r"^fisher_diag: model must be an nn\.Module, got function"):
        nn.fisher_diag(lambda x: x, x)
    with pytest.raises(ValueError, match=r"^per_sample_grads: x has 8 examples and y is of shape \(3,\)"):
        nn.per_sample_grads(model, F.cross_entropy, x, y[:3])
    with pytest.raises(ValueError, match="wanted at least one example"):
        nn.fisher_diag(model, x[:0])
    with pytest.raises(ValueError, match=r"^per_sample_grads: the loss gave shape \(1, 3\)"):
        nn.per_sample_grads(model, lambda out, y: out, x, y)
    with pytest.raises(ValueError, match=r"^gauss_newton_diag: the loss is not convex"):
        nn.gauss_newton_diag(model, lambda out, y: -(out**2).sum(), x, y)
    with pytest.raises(ValueError, match=r"^hessian_diag: samples is 0"):
        nn.hessian_diag(lambda x: x.sum(), np.ones(2), samples=0)

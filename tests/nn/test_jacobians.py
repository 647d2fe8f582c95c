"""Jacobians both ways, and products with the Hessian, against differences and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn import functional as F
from nn import jacobians as module
from nn.testing.arrays import arrays, shapes


def quadratic(seed, n):
    """f(x) = ½ xᵀ·A·x + b·x, A symmetric: its Hessian is A."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, n)), rng.normal(size=n)
    a = a + a.T
    return a, lambda x: (x @ (a @ x)) * 0.5 + x @ b


# Jacobians


@given(shapes(0, 2), st.data())
def test_forward_and_reverse_agree_and_are_what_differences_measure(shape, data):
    x = data.draw(arrays(shape, 0.5, 1.5))
    w = np.random.default_rng(0).normal(size=(max(x.size, 1), 3))

    def f(x):
        return (x.reshape(-1) @ w).tanh() * x.sum()

    forward, reverse, auto = (nn.jacobian(f, x, mode) for mode in ("forward", "reverse", "auto"))
    assert forward.shape == reverse.shape == (3, *shape)
    np.testing.assert_allclose(forward, reverse, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(auto, reverse, rtol=1e-12, atol=1e-13)
    for at in np.ndindex(shape):
        step = np.zeros(shape)
        step[at] = 1e-6
        slope = (f(nn.Tensor(x + step)).data - f(nn.Tensor(x - step)).data) / 2e-6
        np.testing.assert_allclose(forward[(slice(None), *at)], slope, rtol=1e-6, atol=1e-8)


def test_auto_goes_the_cheaper_way(monkeypatch):
    went = []
    for name in ("jvp", "pulled_back"):
        real = getattr(module, name)
        monkeypatch.setattr(module, name,
                            lambda *args, name=name, real=real: went.append(name) or real(*args))
    few, many = np.ones(3), np.ones(40)
    nn.jacobian(lambda x: x.sum().expand(30), few)
    nn.jacobian(lambda x: x[:3], many)
    nn.jacobian(lambda x: x * x, few)  # as many in as out: back, which is half the price
    assert went == ["jvp"] * 3 + ["pulled_back"] * (3 + 3)


def test_of_a_constant_and_of_float32():
    for mode in ("forward", "reverse"):
        np.testing.assert_array_equal(
            nn.jacobian(lambda x: nn.Tensor([1.0, 2.0]), np.ones(3), mode), np.zeros((2, 3))
        )
        assert nn.jacobian(lambda x: x * 2, np.ones(3, np.float32), mode).dtype == np.float32
        assert nn.jacobian(lambda x: x * 2, np.ones((0, 3)), mode).shape == (0, 3, 0, 3)


def test_of_a_gradient_is_the_hessian():
    a, f = quadratic(0, 4)
    found = nn.jacobian(lambda x: nn.grad(f(x), x, create_graph=True)[0], np.ones(4), "reverse")
    np.testing.assert_allclose(found, a, rtol=1e-12, atol=1e-12)


def test_a_jacobian_touches_no_grad():
    x = nn.Tensor(np.ones(3), requires_grad=True)
    for mode in ("forward", "reverse"):
        nn.jacobian(lambda x: x * x, x, mode)
    assert x.grad is None


# Products with the Hessian


@given(st.integers(0, 1000), st.integers(1, 6))
def test_hvp_of_a_quadratic_is_a_product(seed, n):
    a, f = quadratic(seed, n)
    v = np.random.default_rng(seed + 1).normal(size=n)
    np.testing.assert_allclose(nn.hvp(f, np.ones(n), v), a @ v, rtol=1e-10, atol=1e-10)


def test_hvp_is_symmetric_and_the_gradient_of_a_jvp():
    rng = np.random.default_rng(0)
    x, u, v = rng.normal(size=(3, 2, 4))

    def f(x):
        return (F.softmax(x) * x.exp()).sum() ** 2

    hu, hv = nn.hvp(f, x, u), nn.hvp(f, x, v)
    np.testing.assert_allclose(np.vdot(u, hv), np.vdot(v, hu), rtol=1e-10)
    leaf = nn.Tensor(x, requires_grad=True)
    np.testing.assert_allclose(nn.grad(nn.jvp(f, leaf, v)[1], leaf)[0], hv, rtol=1e-9, atol=1e-11)


def test_hvp_of_several_tensors_and_of_a_models_own():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.ReLU(), nn.Linear(4, 2, rng=rng))
    x, y = rng.normal(size=(5, 3)).astype(np.float32), np.array([0, 1, 0, 1, 1])
    weights = list(model.parameters())
    v = [rng.normal(size=w.shape).astype(np.float32) for w in weights]
    found = nn.hvp(lambda *_: F.cross_entropy(model(x), y), weights, v)
    before = nn.grad(F.cross_entropy(model(x), y), weights)
    with nn.no_grad():
        for w, d in zip(weights, v, strict=True):
            w += 1e-3 * d
    after = nn.grad(F.cross_entropy(model(x), y), weights)
    for h, a, b, w in zip(found, after, before, weights, strict=True):
        assert h.shape == w.shape
        assert h.dtype == np.float32
        np.testing.assert_allclose(h, (a - b) / 1e-3, rtol=0.05, atol=2e-3)
        assert w.grad is None


def test_hvp_of_what_is_linear_or_constant_is_zero():
    for f in (lambda x: x.sum(), lambda x: nn.Tensor(1.0), lambda x: F.relu(x).sum()):
        np.testing.assert_array_equal(nn.hvp(f, np.ones(3), np.ones(3)), np.zeros(3))
    x = nn.Tensor(np.array(2.0), requires_grad=True)
    assert nn.hvp(lambda x: x, x, np.array(1.0)) == 0


# What they refuse


def test_bad_input():
    with pytest.raises(ValueError, match=r"^jacobian: mode is 'both'"):
        nn.jacobian(lambda x: x, np.ones(2), "both")
    with pytest.raises(TypeError, match=r"^jacobian: f must give one Tensor, it gave a float"):
        nn.jacobian(lambda x: 1.0, np.ones(2))
    with pytest.raises(TypeError, match="only floats have gradients"):
        nn.jacobian(lambda x: x, np.ones(2, int))
    with pytest.raises(ValueError, match=r"^hvp: v\[0\] has shape \(2,\), wanted \(3,\)"):
        nn.hvp(lambda x: x.sum(), np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match=r"^hvp: 2 tensors and 1 directions"):
        nn.hvp(lambda x, y: x.sum(), [np.ones(3), np.ones(2)], [np.ones(3)])
    with pytest.raises(ValueError, match=r"^hvp: f gave shape \(3,\), wanted one element"):
        nn.hvp(lambda x: x * x, np.ones(3), np.ones(3))
    with pytest.raises(TypeError, match=r"^hvp: f must give one Tensor"):
        nn.hvp(lambda x: 0.0, np.ones(3), np.ones(3))
    with pytest.raises(TypeError, match=r"^hvp: x\[0\] was computed"):
        nn.hvp(lambda x: x.sum(), nn.Tensor(np.ones(3), requires_grad=True) * 2, np.ones(3))


def test_hvp_of_a_network_in_float32_is_that_in_float64():
    """Through convolution, batch norm in training, relu, pooling and cross-entropy."""
    products = []
    for dtype in (np.float64, np.float32):
        rng = np.random.default_rng(0)
        model = nn.models.digits_cnn(rng=rng)
        x, y = nn.Tensor(rng.normal(size=(8, 1, 8, 8)).astype(dtype)), rng.integers(0, 10, 8)
        for p in model.parameters():
            p.data = p.data.astype(dtype)
        v = rng.normal(size=model.conv1.weight.shape).astype(dtype)
        products.append(nn.hvp(lambda w: F.cross_entropy(model(x), y), model.conv1.weight, v))    # noqa: B023
        assert products[-1].dtype == dtype
    assert np.linalg.norm(products[1] - products[0]) < 1e-3 * np.linalg.norm(products[0])

"""Gradients through rounding that a recipe chooses, latent weights, and activations that are signs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress.formats.ewgs import DELTA, SCALED_STRAIGHT_THROUGH
from compress.formats.format import format_named
from compress.formats.straight_through import GRADIENTS
from nn import functional as F
from nn.tensor import Tensor, apply


def hard_tanh(x):
    return x.clamp(-1, 1)


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_scaled_gradients_are_the_derivative_of_their_formula(seed, clipped):
    """dx = g + δ·|g|·(x − Q(x))/length: for a fixed g, of Σ g·x + δ/2·|g|·(x − Q(x))²/length."""
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=(2, 3, 4))
    target, length = np.clip(np.rint(x), -1, 1), rng.uniform(1, 3, (3, 1))
    ends, inside = ((-1.2, 1.3), (x >= -1.2) & (x <= 1.3)) if clipped else (None, True)
    leaf = Tensor(x, requires_grad=True)
    y = apply(SCALED_STRAIGHT_THROUGH, leaf, Tensor(target), length=length, ends=ends, delta=DELTA)
    np.testing.assert_array_equal(y.data, target)
    (y * Tensor(g)).sum().backward()

    def formula(x):
        return g * x + DELTA / 2 * np.abs(g) * (x - target) ** 2 / length

    wanted = (formula(x + 1e-5) - formula(x - 1e-5)) / 2e-5
    np.testing.assert_allclose(leaf.grad, np.where(inside, wanted, 0), rtol=1e-6, atol=1e-9)


def test_a_number_that_is_pushed_towards_the_edge_of_its_step_goes_faster():
    x = Tensor(np.float32([0.4, 0.4, -0.4]), requires_grad=True)  # all become 0, and are 1 step from −1 and 1
    y = GRADIENTS["ewgs"](x, np.zeros(3, np.float32), 2.0)
    (y * Tensor(np.float32([-1, 1, 1]))).sum().backward()
    assert abs(x.grad[0]) < 1 < x.grad[1]  # a step of descent is against the gradient: the first grows
    assert abs(x.grad[2]) < 1


@pytest.mark.parametrize("weights", ["int2", "int4-tensor", "int3-block32", "ternary", "binary", "pow2"])
def test_weights_get_the_scaled_gradient_in_units_of_their_format(weights):
    """Times 1000 the weights and their scales are, and the gradient is the same."""
    form, grads = format_named(weights), []
    w, g = np.random.default_rng(0).standard_normal((2, 5, 40)).astype(np.float32)
    for unit in (1, 1024):
        latent = Tensor(unit * w, requires_grad=True)
        scales = unit * form.scales(w)
        (form.straight_through(latent, scales, "ewgs") * Tensor(g)).sum().backward()
        grads.append(latent.grad)
        reals = form.to_reals(form.to_codes(unit * w, scales), scales)
        ends = form.dequantize(np.array([form.lowest, form.highest], form.dtype), np.float32(1))
        length = (ends[1] - ends[0]) * form.spread(scales, w.shape)
        wanted = g + DELTA * np.abs(g) * (unit * w - reals) / length
        np.testing.assert_allclose(latent.grad, wanted, rtol=1e-5)
    np.testing.assert_array_equal(*grads)


def trained(recipe, seed=0, activation=F.relu, count=2):
    """A small network after some steps, and its input."""
    digits, rng = nn.data.digits(), np.random.default_rng(seed)
    model = nn.models.digits_cnn(0.25, rng=rng, activation=activation)
    x, y = digits.x_train[:64], digits.y_train[:64]
    model(Tensor(x))  # statistics of its norms
    compress.prepare(model, recipe, x)
    optimizer = nn.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(count):
        optimizer.zero_grad()
        F.cross_entropy(model(Tensor(x)), y).backward()
        optimizer.step()
    return model.eval(), x


def test_the_gradient_of_a_recipe_is_that_of_its_weights_and_of_its_activations():
    """One layer scaled: its own weights and what is before it get other gradients, what is behind it not."""
    recipes = [compress.Quantize(2, activations="uint2", gradient=one) for one in GRADIENTS]
    models = [trained({"*": compress.Quantize(), "conv2": one}, count=0)[0] for one in recipes]
    x, y = nn.data.digits().x_train[:64], nn.data.digits().y_train[:64]
    for model in models:
        F.cross_entropy(model(Tensor(x)), y).backward()
    one, other = (dict(model.named_parameters()) for model in models)
    for name in ("conv3.weight", "fc.weight", "bn3.weight"):
        np.testing.assert_array_equal(one[name].grad, other[name].grad)
    for name in ("conv2.weight", "conv1.weight"):
        near, far = one[name].grad.ravel(), other[name].grad.ravel()
        assert 0 < np.linalg.norm(near - far) < 0.3 * np.linalg.norm(near), name


@pytest.mark.parametrize("recipe", [
    compress.Quantize(1, activations="sign", clip=0.05), compress.Quantize(1, clip=0.05),
    [compress.Prune(0.5), compress.Quantize(weights="ternary", clip=0.05)]])
def test_latent_weights_stay_within_their_clip(recipe):
    model, x = trained(recipe, activation=hard_tanh)
    weights = [p for name, p in model.named_parameters() if p.parametrization is not None]
    assert all(np.abs(p.data).max() == np.float32(0.05) for p in weights)
    np.testing.assert_array_equal(model(Tensor(x)).data, compress.convert(model)(x))


def test_signs_of_activations_have_the_gradient_of_hard_tanh():
    """It ends where the number is beyond ±1: there no small step changes its sign."""
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(6, 6, rng=rng), nn.Linear(6, 3, rng=rng)).eval()
    x = rng.standard_normal((50, 6)).astype(np.float32)
    compress.prepare(model, {"1": compress.Quantize(1, activations="sign")}, x)
    y = model[0](Tensor(x)).data
    weight = model[1].weight.parametrization.project(model[1].weight).data
    model(Tensor(x)).sum().backward()
    through = np.where(np.abs(y) <= 1, weight.sum(axis=0), 0)
    np.testing.assert_allclose(model[0].bias.grad, through.sum(axis=0), rtol=1e-4)
    assert (np.abs(y) > 1).any()


@pytest.mark.parametrize("gamma", [1.5, -1.5])
def test_a_norm_before_a_sign_is_a_threshold_which_turns_with_its_factor(gamma):
    """sign(γ·(y − μ)/σ + β) is whether y is above μ − σ·β/γ, or below it where γ < 0."""
    rng = np.random.default_rng(1)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False, rng=rng), nn.BatchNorm2d(4),
                          nn.Conv2d(4, 3, 1, rng=rng)).eval()
    norm = model[1]
    norm.weight.data = np.full(4, gamma, np.float32)
    norm.bias.data = rng.uniform(-0.3, 0.3, 4).astype(np.float32)
    norm.running_mean[...], norm.running_var[...] = rng.uniform(-0.3, 0.3, 4), rng.uniform(0.5, 2, 4)
    x = rng.integers(0, 256, (20, 1, 8, 8)).astype(np.float32)  # integers: all sums of ±s are exact
    compress.prepare(model, {"0": compress.Quantize(1), "2": compress.Quantize(1, activations="sign")}, x)
    program = compress.convert(model)
    signs = np.sign(model[0].weight.data)
    size = np.abs(model[0].weight.data).reshape(4, -1).mean(axis=1)
    sums, _ = nn.rules.RULES["conv2d"].forward(x.astype(np.float64), signs.astype(np.float64), None, stride=1,
                                               padding=0, dilation=1, groups=1)
    y = sums * size.reshape(-1, 1, 1)
    sigma = np.sqrt(norm.running_var + norm.eps)
    threshold = (norm.running_mean - sigma * norm.bias.data / gamma).reshape(-1, 1, 1)
    wanted = np.where((y >= threshold) == (gamma > 0), 1, -1)
    (made,) = [array for name, array in program.every_value(x).items() if set(np.unique(array)) == {-1, 1}]
    near = np.abs(y - threshold) < 0.01 * np.abs(y).mean()  # the bias is rounded to the scale of the sums
    assert near.mean() < 0.05
    np.testing.assert_array_equal(made.transpose(0, 3, 1, 2)[~near], wanted[~near])


@pytest.mark.parametrize(("said", "how"), [
    ("the gradient 'ewgs' is in units of integers; float16 are floats", {
        "gradient": "ewgs", "weights": "float16"}),
    ("the gradient 'ewgs' is in units of integers; float8_e4m3fn are floats", {
        "gradient": "ewgs", "weights": "float8_e4m3fn"}),
    ("gradient must be one of straight-through, ewgs; got 'lsq'", {"gradient": "lsq"}),
    ("clip must be a positive number, or None; got 0", {"clip": 0}),
    ("clip must be a positive number, or None; got nan", {"clip": float("nan")}),
    ("clip must be a positive number, or None; got 'one'", {"clip": "one"})])
def test_other_gradients_and_clips_are_refused(said, how):
    with pytest.raises(ValueError, match=f"Quantize: {said}"):
        compress.Quantize(**how)
    assert repr(compress.Quantize(1, gradient="ewgs", clip=1.0)) == (
        "Quantize(weights='binary', gradient='ewgs', clip=1.0)")

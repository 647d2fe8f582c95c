"""`model.half()` converts: 2 bytes a weight, and what the network computes, but for the order of sums."""

import numpy as np
import pytest

import compress
import nn
from compress.lower.halves import without_halves
from compress.stored import as_matrix, gamma
from nn import functional as F
from nn.models import digits_cnn, digits_mlp


def images(n=5):
    return np.random.default_rng(1).normal(size=(n, 1, 8, 8)).astype(np.float32)


def trained(make):
    """Halved, with statistics of norms that are not 0 and 1."""
    model = make(rng=np.random.default_rng(0))
    digits = nn.data.digits()
    optimizer = nn.optim.Adam(model.parameters(), lr=3e-3)
    nn.train.fit(model, digits.x_train[:256], digits.y_train[:256], epochs=1, optimizer=optimizer,
                 rng=np.random.default_rng(0))
    return model.eval().half()


@pytest.mark.parametrize("make", [digits_cnn, digits_mlp])
def test_a_network_of_halves_is_stored_in_half_and_computes_the_same(make, tmp_path):
    model, x = trained(make), images()
    program = compress.convert(model, x)
    np.testing.assert_allclose(program(x), model(nn.Tensor(x)).data, rtol=1e-5, atol=1e-5)
    weights = [one for one in program.constants.values() if isinstance(one, compress.stored.Stored)]
    assert weights
    for weight in weights:
        assert weight.kind == "float16"
        assert weight.arrays()["values"].nbytes == 2 * np.prod(weight.shape)
    steps = {step.kernel for step in program.profile(x).steps}
    assert "half_gemm" in steps
    assert not steps & {"gemm", "conv2d"}
    compress.save(program, tmp_path / "half.safetensors")
    whole = compress.convert(make(rng=np.random.default_rng(0)), x)
    compress.save(whole, tmp_path / "whole.safetensors")
    half, float32 = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "whole"))
    assert half < 0.53 * float32
    assert np.array_equal(compress.load(tmp_path / "half.safetensors")(x), program(x))


@pytest.mark.parametrize("factor", [1, 1e-5, 3e4])
def test_the_program_is_within_the_bound_of_two_float32_sums(factor):
    """Also where the factors of a norm are so small or large that, multiplied into float16, the weights would
    lose digits or overflow."""
    rng = np.random.default_rng(0)
    conv, norm = nn.Conv2d(3, 8, 3, padding=1, rng=rng), nn.BatchNorm2d(8)
    norm.weight.data = (factor * rng.choice([-1.0, 1.0], 8) * rng.uniform(0.5, 2, 8)).astype(np.float32)
    norm.running_mean[:] = rng.normal(size=8).astype(np.float32)
    norm.running_var[:] = rng.uniform(0.1, 4, 8).astype(np.float32)
    model, x = nn.Sequential(conv, norm).eval().half(), rng.normal(size=(4, 3, 6, 6)).astype(np.float32)
    y = model(nn.Tensor(x)).data
    program = compress.convert(model, x)
    w, b, mean, var, gain, shift = (np.asarray(one, np.float64) for one in (
        conv.weight.data, conv.bias.data, norm.running_mean, norm.running_var, norm.weight.data,
        norm.bias.data))
    b, mean, shift = (np.abs(one)[:, None, None] for one in (b, mean, shift))
    scale = (np.abs(gain) / np.sqrt(var + norm.eps))[:, None, None]
    sums = F.conv2d(np.abs(x, dtype=np.float64), np.abs(w), padding=1).data
    # K products, K − 1 sums, and no more than six roundings for bias, mean, factor and shift; on both sides.
    bound = 2 * gamma(27 + 6) * (scale * (sums + b + mean) + shift)
    assert (np.abs(program(x) - y.astype(np.float64)) <= bound).all()
    weight = program.constants["0.weight"]
    exact = weight.multipliers().astype(np.float64) * np.sign(gain)[:, None]
    assert np.array_equal(exact, as_matrix(w))    # the float16 numbers themselves


def test_float16_inputs_are_float32_to_a_program():
    model, x = trained(digits_cnn), images().astype(np.float16)
    program = compress.convert(model, x)
    assert program.inputs["x"].dtype == "float32"
    assert program(x).dtype == np.float32
    assert np.array_equal(program(x), program(x.astype(np.float32)))
    with pytest.raises(TypeError, match="x must be a float32 array; got float64"):
        program(x.astype(np.float64))


class Words(nn.Module):
    """Activations are float16 here: an Embedding gives them out as they are."""

    def __init__(self, rng):
        super().__init__()
        self.embedding = nn.Embedding(50, 32, rng=rng)
        self.block = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True, rng=rng)
        self.out = nn.Linear(32, 50, rng=rng)

    def forward(self, words):
        return self.out(self.block(self.embedding(words)))


class Parts(nn.Module):
    """Parts of weights, and a weight in another shape."""

    def __init__(self, rng):
        super().__init__()
        self.w = nn.Parameter(rng.normal(size=(12, 8)).astype(np.float32))
        self.scale = nn.Parameter(rng.normal(size=(1, 6)).astype(np.float32))

    def forward(self, x):
        return F.linear(x, self.w[:6]) * self.scale + F.linear(x, self.w[6:].reshape(8, 6).T)


class Between(nn.Module):
    """The network itself rounds to float16, where its author wants that."""

    def __init__(self, rng):
        super().__init__()
        self.first, self.second = nn.Linear(8, 8, rng=rng), nn.Linear(8, 8, rng=rng)

    def forward(self, x):
        return self.second(self.first(x).half().relu())


def signal(rng):
    return nn.Sequential(nn.Conv1d(3, 8, 3, padding=1, rng=rng), nn.BatchNorm1d(8), nn.ReLU(),
                         nn.Conv1d(8, 8, 3, groups=4, rng=rng), nn.Conv1d(8, 8, 3, groups=8, rng=rng))


@pytest.mark.parametrize(("make", "shape", "tolerance"), [
    (Words, None, 2e-3), (Parts, (4, 8), 1e-5), (Between, (4, 8), 2e-3), (signal, (4, 3, 12), 1e-5)])
def test_other_networks(make, shape, tolerance, tmp_path):
    rng = np.random.default_rng(0)
    model = make(rng).eval().half()
    x = rng.integers(0, 50, (3, 7)) if shape is None else rng.normal(size=shape).astype(np.float32)
    program = compress.convert(model, x)
    y = model(x if shape is None else nn.Tensor(x)).data
    assert program(x).dtype == y.dtype
    np.testing.assert_allclose(program(x).astype(np.float64), y.astype(np.float64), atol=tolerance)
    assert "half_gemm" in str(program.bind())
    compress.save(program, tmp_path / "small.safetensors")
    assert np.array_equal(compress.load(tmp_path / "small.safetensors")(x), program(x))


def test_a_network_without_halves_stays_as_it_is():
    graph = nn.trace(digits_cnn(rng=np.random.default_rng(0)).eval(), images())
    again = without_halves(graph)
    assert str(again) == str(graph)
    assert not again.parametrizations


def test_a_weight_that_overflowed_when_it_became_float16_is_named():
    model = nn.Sequential(nn.Linear(4, 3, rng=np.random.default_rng(0)))
    model[0].weight.data[1, 2] = 1e6
    with np.errstate(over="ignore"):
        model.half()
    with pytest.raises(ValueError, match=r"^convert: 0\.weight holds NaN or infinity"):
        compress.convert(model, np.ones((2, 4), np.float32))


def test_a_network_of_halves_is_not_prepared():
    """It is trained as float32, and becomes float16 afterwards, or by Quantize(weights="float16")."""
    model = nn.Sequential(nn.Linear(4, 3)).half()
    with pytest.raises(ValueError, match=r"^prepare: 0\.weight is float16, .* model\.to\(np\.float32\)"):
        compress.prepare(model, compress.Quantize(), np.ones((2, 4), np.float32))

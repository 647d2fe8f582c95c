"""Attention in linear time: the estimates' means and variances, what is causal, what the layers refuse."""

import numpy as np
import pytest

import nn
from nn import functional as F
from nn.layers.linear_attention import gaussian

E, DRAWS = 4, 40_000


def pair(norm, seed=0):
    """Two vectors x and y (float64) of this length."""
    x, y = np.random.default_rng(seed).standard_normal((2, E))
    return norm * x / np.linalg.norm(x), norm * y / np.linalg.norm(y)


def estimates(layer, x, y):
    """e^(x·y) by each ω of a layer alone."""
    inner, half = layer.projected(nn.Tensor(np.stack([x, y]) * layer.embed_dim ** 0.25))
    a, b = (inner - half).exp().data
    return a * b


def near(draws, mean):
    """The mean of draws is within four standard errors (one of 16,000 random tests fails)."""
    return abs(draws.mean() - mean) < 4 * draws.std() / len(draws) ** 0.5


@pytest.mark.parametrize("norm", [0.25, 0.5, 1.0])
def test_positive_features_are_unbiased_with_the_variance_that_the_formula_says(norm):
    x, y = pair(norm)
    layer = nn.FavorAttention(E, DRAWS, orthogonal=False, rng=np.random.default_rng(1))
    draws = estimates(layer, x, y)
    assert near(draws, np.exp(x @ y))
    variance = np.exp(2 * x @ y) * (np.exp(np.sum((x + y) ** 2)) - 1)
    squares = (draws - np.exp(x @ y)) ** 2
    assert near(squares, variance)


def test_without_the_half_in_both_exponents_they_are_biased():
    """exp(ω·x − ‖x‖²), as some slides have it, has the mean e^(x·y)·e^(−½‖x‖² − ½‖y‖²)."""
    x, y = pair(1.0)
    layer = nn.FavorAttention(E, DRAWS, orthogonal=False, rng=np.random.default_rng(1))
    wrong = estimates(layer, x, y) * np.exp(-0.5 * x @ x - 0.5 * y @ y)
    assert not near(wrong, np.exp(x @ y))
    assert near(wrong, np.exp(x @ y - 1))


def test_trigonometric_features_are_unbiased():
    x, y = pair(0.5)
    layer = nn.RandomFourierAttention(E, DRAWS, orthogonal=False, rng=np.random.default_rng(2))
    inner, half = (t.data for t in layer.projected(nn.Tensor(np.stack([x, y]) * E ** 0.25)))
    assert near(np.exp(half.sum()) * np.cos(inner[0] - inner[1]), np.exp(x @ y))


def test_orthogonal_projections_are_at_right_angles_and_vary_less():
    omega = gaussian(2 * E, E, True, np.random.default_rng(0)).astype(float)
    for block in (omega[:E], omega[E:]):
        off = block @ block.T
        np.testing.assert_allclose(off - np.diag(np.diag(off)), 0, atol=1e-5)
    x, y = pair(0.5)
    spread = []
    for orthogonal in (False, True):
        rng = np.random.default_rng(3)
        means = [estimates(nn.FavorAttention(E, E, orthogonal, rng=rng), x, y).mean() for _ in range(500)]
        spread.append(np.std(means))
    assert spread[1] < spread[0]


def test_orthogonal_projections_have_no_bias():
    """Each row is normal: with the signs that LAPACK leaves, row i never points to one side of axis i."""
    rng = np.random.default_rng(4)
    rows = np.stack([gaussian(E, E, True, rng) for _ in range(4000)]).astype(float)
    for axis in range(E):
        assert near(rows[:, axis, axis], 0)
    x, y = pair(0.5)
    for sign in (1, -1):
        means = np.exp(rows @ (sign * (x + y)) - 0.5 * (x @ x + y @ y)).mean(1)
        assert near(means, np.exp(x @ y))


def inputs(length, seed=0, width=16, spread=0.25):
    rng = np.random.default_rng(seed)
    q, k = (rng.standard_normal((2, length, width)) * spread for _ in range(2))
    return q, k, rng.standard_normal((2, length, 3))


def test_the_error_falls_as_the_root_of_the_features():
    """q, k of standard deviation ¼; from 64 to 1024 features it is to fall to a quarter."""
    q, k, v = inputs(96)
    want = F.scaled_dot_product_attention(q, k, v).data
    errors = []
    for features in (64, 256, 1024):
        layers = [nn.FavorAttention(16, features, orthogonal=False, eps=0.0, rng=np.random.default_rng(seed))
                  for seed in range(12)]
        errors.append(np.sqrt(np.mean([np.mean((layer(q, k, v).data - want) ** 2) for layer in layers])))
    slope = np.polyfit(np.log([64, 256, 1024]), np.log(errors), 1)[0]
    assert abs(slope + 0.5) < 0.1


LAYERS = {"favor": lambda rng: nn.FavorAttention(16, 32, eps=0.0, rng=rng),
          "fourier": lambda rng: nn.RandomFourierAttention(16, 256, rng=rng),
          "rfa": lambda rng: nn.RandomFeatureAttention(16, 256, rng=rng)}


def features(layer, x):
    """φ of an array x."""
    phi, m = layer.of(nn.Tensor(x))
    return phi.data * np.exp(m.data)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("length", [1, 5, 128, 300])
def test_causal_is_the_sum_over_the_past(name, length):
    q, k, v = inputs(length)
    layer = LAYERS[name](np.random.default_rng(0))
    weights = features(layer, q) @ features(layer, k).mT * np.tri(length)
    want = weights @ v / weights.sum(-1, keepdims=True)
    np.testing.assert_allclose(layer(q, k, v, is_causal=True).data, want, rtol=1e-9, atol=1e-12)


CAUSAL = LAYERS | {"favor with eps": lambda rng: nn.FavorAttention(16, 32, eps=1e-3, rng=rng),
                   "softmax": lambda rng: F.scaled_dot_product_attention}


@pytest.mark.parametrize("spread", [0.25, 9.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CAUSAL)
def test_a_causal_layer_sees_no_future_to_the_bit(name, dtype, spread):
    """Keys to come are also so long that e^m of all before would be 0 beside theirs."""
    layer = CAUSAL[name](np.random.default_rng(0))
    q, k, v = (x.astype(dtype) for x in inputs(300))
    want = layer(q, k, v, is_causal=True).data
    rng = np.random.default_rng(1)
    for at in (0, 1, 100, 127, 128, 129, 298):
        later = [x.copy() for x in (k, v)]
        for x in later:
            x[:, at + 1:] = spread * rng.standard_normal(x[:, at + 1:].shape)
        got = layer(q, *later, is_causal=True).data
        np.testing.assert_array_equal(got[:, :at + 1], want[:, :at + 1])
        assert np.isfinite(got).all()


def test_gradients_of_a_causal_layer_are_those_of_the_sum():
    """Of the product of all queries and keys, masked; some of three chunks."""
    arrays = inputs(260, spread=0.5)
    g = np.random.default_rng(5).standard_normal(arrays[2].shape)
    for name in ("favor with eps", "fourier", "rfa"):
        layer, found = CAUSAL[name](np.random.default_rng(0)), []
        for chunked in (True, False):
            q, k, v = (nn.Tensor(x, requires_grad=True) for x in arrays)
            if chunked:
                y = layer(q, k, v, is_causal=True)
            else:
                (a, _), (b, m) = layer.of(q), layer.of(k)
                weights = a @ b.mT * m.mT.exp() * np.tri(260)
                y = weights @ v / weights.sum(-1, keepdim=True)
            (y * g).sum().backward()
            found.append([x.grad for x in (q, k, v)])
        for got, want in zip(*found, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-8 * np.abs(want).max())


@pytest.mark.parametrize("name", LAYERS)
def test_a_factor_of_a_query_or_of_all_keys_cancels(name):
    """The largest exponents are subtracted consistently: what overflows float32 gives what float64 gives."""
    q, k, v = inputs(40, spread=6.0)
    layer = LAYERS[name](np.random.default_rng(0))
    layer.eps = 1e-6
    got = layer(*(x.astype(np.float32) for x in (q, k, v))).data
    assert np.isfinite(got).all()
    if name == "favor":
        np.testing.assert_allclose(got, layer(q, k, v).data, rtol=0.02, atol=0.02)


def test_nystroms_method_is_exact_with_a_landmark_for_each_key():
    q, k, v = inputs(24, spread=1.0)
    got = nn.NystromAttention(24, iterations=40)(q, k, v).data
    np.testing.assert_allclose(got, F.scaled_dot_product_attention(q, k, v).data, atol=1e-6)


@pytest.mark.parametrize(("queries", "keys"), [(1, 30), (5, 30), (12, 30), (30, 1), (30, 5), (30, 12)])
def test_nystroms_method_is_exact_with_a_landmark_for_each_query_or_each_key(queries, keys):
    """With F the weights between queries and landmarks of keys, A those among landmarks, and B those between
    landmarks of queries and keys, F·A⁺·B: for a landmark a query F = A and A·A⁺ = 1, for one a key A⁺·A = 1
    and B = A. Of other lengths A is not square."""
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, n, 16)) for n in (queries, keys, keys))
    got = nn.NystromAttention(12, iterations=60)(q, k, v).data
    np.testing.assert_allclose(got, F.scaled_dot_product_attention(q, k, v).data, atol=1e-6)


@pytest.mark.parametrize("name", [*LAYERS, "nystrom"])
@pytest.mark.parametrize(("queries", "keys"), [(0, 0), (0, 4), (4, 0)])
def test_without_keys_all_is_0_and_without_queries_there_is_nothing(name, queries, keys):
    rng = np.random.default_rng(0)
    layer = LAYERS[name](rng) if name in LAYERS else nn.NystromAttention(4)
    for causal in (False, True)[:1 + (name != "nystrom" and queries == keys)]:
        shapes = ((2, n, 16) for n in (queries, keys, keys))
        inputs = [nn.Tensor(rng.standard_normal(shape), requires_grad=True) for shape in shapes]
        y = layer(*inputs, is_causal=causal)
        assert y.shape == (2, queries, 16)
        assert not y.data.any()
        y.sum().backward()
        assert not any(x.grad.any() for x in inputs)


@pytest.mark.parametrize("name", [*LAYERS, "nystrom"])
def test_they_train_inside_multihead_attention(name):
    rng = np.random.default_rng(0)
    layer = LAYERS[name](rng) if name in LAYERS else nn.NystromAttention(4)
    model = nn.MultiheadAttention(32, 2, batch_first=True, attention=layer, rng=rng)
    x = nn.Tensor(rng.standard_normal((2, 9, 32), np.float32), requires_grad=True)
    y, weights = model(x, x, x, need_weights=False)
    assert y.shape == (2, 9, 32)
    assert weights is None
    y.sum().backward()
    for p in model.parameters():
        assert np.isfinite(p.grad).all()
    assert np.abs(x.grad).max() > 0
    with pytest.raises(ValueError, match=r"need_weights=False"):
        model(x, x, x)


@pytest.mark.parametrize(("call", "said"), [
    (lambda: nn.FavorAttention(0), r"FavorAttention: embed_dim"),
    (lambda: nn.FavorAttention(4, features=0), r"FavorAttention: features"),
    (lambda: nn.NystromAttention(0), r"NystromAttention: landmarks"),
    (lambda: nn.NystromAttention()(*inputs(5), is_causal=True), r"is_causal is not possible"),
    (lambda: nn.FavorAttention(16)(*inputs(5)[:2], np.ones((2, 4, 3))), r"Attention: query \(2, 5, 16\)"),
    (lambda: nn.FavorAttention(16)(inputs(5)[0], *inputs(6)[1:], is_causal=True), r"many queries as keys"),
    (lambda: nn.NystromAttention(2)(np.ones((2, 5, 4)), *np.ones((2, 3, 5, 4))), r"last two must broadcast")])
def test_what_does_not_fit_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


@pytest.mark.parametrize("name", [*LAYERS, "nystrom"])
@pytest.mark.parametrize("size", [0.0, 1e-4, 1.0, 300.0])
def test_float16_is_computed_in_float32_and_rounded_once(name, size):
    """Squares of 10⁻⁴ are 0 in float16, and those of 300 infinite."""
    q, k, v = (x.astype(np.float16) for x in inputs(9, spread=size))
    layer = LAYERS[name](np.random.default_rng(0)) if name in LAYERS else nn.NystromAttention(4)
    layer.eps = 1e-6
    wide = layer(*(x.astype(np.float32) for x in (q, k, v))).data
    np.testing.assert_array_equal(layer(q, k, v).data, wide.astype(np.float16))


def test_settings_and_widths_that_do_not_fit_are_refused():
    for layer in (nn.FavorAttention, nn.RandomFourierAttention, nn.RandomFeatureAttention):
        with pytest.raises(ValueError, match=r"Attention\(8.* of shape \(…, L, 8\), got \(2, 5, 16\)"):
            layer(8)(*inputs(5))
    for eps in (-1e-6, 2, np.nan, "1"):
        with pytest.raises(ValueError, match=r"FavorAttention: eps must be a number in 0\.\.1"):
            nn.FavorAttention(4, eps=eps)
    for sigma in (0, -1.0, 1e-60, 1e60, np.inf, None):
        with pytest.raises(ValueError, match=r"sigma must be a number in 1\.17549e-38\.\.3"):
            nn.RandomFeatureAttention(4, sigma=sigma)


def dropped(*inputs):
    return F.scaled_dot_product_attention(*inputs, dropout_p=0.5)


@pytest.mark.parametrize("layer", [nn.FavorAttention(4), nn.NystromAttention(2), dropped,
                                   F.scaled_dot_product_attention])
@pytest.mark.parametrize("dtype", [int, bool])
def test_integers_are_no_queries_keys_or_values(layer, dtype):
    for i, name in enumerate(("query", "key", "value")):
        arrays = [np.ones((2, 3, 4), dtype if i == j else np.float32) for j in range(3)]
        with pytest.raises(TypeError, match=rf"ttention: {name} is {np.dtype(dtype)}, wanted floats"):
            layer(*arrays)

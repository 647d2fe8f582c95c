"""The rate term: what it counts, its gradient, and that training by it makes codes cheaper."""

import numpy as np
import pytest

import compress
import nn
from compress import Cluster, Prune, Quantize, rate
from compress.rate import RATE
from nn.tensor import Tensor, apply


def layer(*stages, seed=0, shape=(12, 40)):
    model = nn.Sequential(nn.Linear(shape[1], shape[0]))
    rng = np.random.default_rng(seed)
    model[0].weight.data = rng.standard_normal(shape).astype(np.float32)
    return compress.prepare(model, list(stages))


def entropy(codes):
    """Bits a code, of the frequencies as they are."""
    p = np.unique(codes, return_counts=True)[1] / codes.size
    return float(-(p * np.log2(p)).sum())


def codes_of(model):
    weight = model[0].weight
    return weight.parametrization.encode(weight.data).codes()


def test_at_whole_codes_it_is_what_an_ideal_coder_takes():
    model = layer(Quantize(4))
    weight = model[0].weight
    weight.data = weight.parametrized().data  # on the grid; the largest stays, and so does the scale
    codes = codes_of(model).astype(int)
    counts = np.bincount(codes.ravel() + 7, minlength=15) + 0.5
    wanted = -np.log2(counts / counts.sum())[codes + 7].sum()
    assert float(rate(model).data) == pytest.approx(wanted, rel=1e-4)
    assert float(rate(model).data) / codes.size == pytest.approx(entropy(codes), rel=0.1)


def test_its_gradient_is_its_slope():
    rng = np.random.default_rng(0)
    bits = rng.uniform(1, 6, 7)
    x = rng.uniform(0.1, 0.9, 20) + rng.integers(-5, 5, 20)
    nn.gradcheck(lambda w: apply(RATE, w, scale=np.full(20, 0.25), lowest=-3, bits=bits), x * 0.25)


def test_beyond_the_last_code_nothing_pulls():
    w = Tensor(np.array([-9.0, 9.0, 0.5]), requires_grad=True)
    apply(RATE, w, scale=np.ones(3), lowest=-2, bits=np.array([5.0, 3, 1, 3, 5])).backward()
    np.testing.assert_array_equal(w.grad, [0, 0, 2])


def test_training_by_it_makes_codes_cheaper_and_keeps_pruned_weights():
    model = layer(Prune(0.5), Quantize(5))
    mask = model[0].weight.parametrization.states[0].mask == 1
    before = entropy(codes_of(model)[mask])
    optimizer = nn.optim.SGD(model.parameters(), lr=2e-3)
    for _ in range(60):
        optimizer.zero_grad()
        rate(model).backward()
        optimizer.step()
    after = codes_of(model)
    assert (after[~mask] == 0).all()
    assert entropy(after[mask]) < 0.85 * before


def test_pruned_weights_are_not_counted():
    model = layer(Prune(0.5), Quantize(8))
    optimizer = nn.optim.SGD(model.parameters(), lr=1.0)
    rate(model).backward()
    mask = model[0].weight.parametrization.states[0].mask
    np.testing.assert_array_equal(model[0].weight.grad[mask == 0], 0)
    assert (model[0].weight.grad[mask == 1] != 0).mean() > 0.5
    assert optimizer is not None


@pytest.mark.parametrize("stage", [Cluster(4), Quantize(weights="float16"), Prune(0.5)])
def test_without_such_codes_it_says_so(stage):
    with pytest.raises(ValueError, match="no weight of this Sequential"):
        rate(layer(stage))


def test_fit_takes_it_as_a_penalty():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((32, 40)).astype(np.float32), rng.integers(0, 12, 32)
    bits = {}
    for worth in (0.0, 0.01):
        model = layer(Quantize(5))
        nn.train.fit(model, x, y, epochs=20, batch_size=8, rng=np.random.default_rng(2), progress=False,
                     optimizer=nn.optim.Adam(model.parameters(), lr=1e-2),
                     penalty=lambda model, worth=worth: worth * rate(model))
        bits[worth] = entropy(codes_of(model))
    assert bits[0.01] < 0.8 * bits[0.0]

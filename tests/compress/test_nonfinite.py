"""NaN and infinity: a Program makes of them what the network makes of them, and integers refuse them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress import Cluster, Prune, Quantize, TensorTrain
from compress.program.algorithms import ALGORITHMS
from compress.program.not_finite import not_finite
from tests.compress.networks import networks

BAD = [np.inf, -np.inf, np.nan]


def kinds(array):
    """What each number is: finite 0, NaN 1, ∞ 2, −∞ 3."""
    return np.select([np.isnan(array), np.isposinf(array), np.isneginf(array)], [1, 2, 3], 0)


def same(program, model, x):
    with np.errstate(all="ignore"), nn.no_grad():
        wanted, got = model.eval()(nn.Tensor(x)).data, program(x)
    np.testing.assert_array_equal(kinds(got), kinds(wanted))
    got, wanted = got[np.isfinite(wanted)], wanted[np.isfinite(wanted)]
    np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-3 * (1 + np.abs(wanted).max(initial=0)))


def spoiled(rng, shape, count):
    x = rng.normal(size=shape).astype(np.float32)
    for value in rng.choice(BAD, count):
        x.reshape(-1)[rng.integers(x.size)] = value
    return x


@pytest.mark.parametrize("value", BAD)
def test_infinity_times_a_pruned_weight_is_nan(value):
    model = nn.Sequential(nn.Linear(3, 6, bias=False))
    model[0].weight.data[:] = [[1, 2, 3], [0, 1, 0], [0, 0, 2], [-1, 0, 0], [0, 0, 0], [0, 5, 6]]
    compress.prepare(model, Prune(0.5))    # prunes nothing but zeros: there are ten of them
    program = compress.convert(model, np.ones((2, 3), np.float32))
    got = program(np.array([[value, 1, 1], [1, 2, 3]], np.float32))
    np.testing.assert_array_equal(got[0], [value, np.nan, np.nan, -value, np.nan, np.nan])
    np.testing.assert_array_equal(got[1], [14, 2, 6, -1, 0, 28])


RECIPES = [Prune(0.6), Cluster(2), [Prune(0.6), Cluster(2)], None]


@given(networks(), st.sampled_from(RECIPES), st.sampled_from(ALGORITHMS), st.integers(1, 3))
def test_a_program_makes_of_them_what_the_network_does(drawn, recipe, algorithm, count):
    for name in drawn.layers() if recipe is not None else ():
        try:
            compress.prepare(drawn.model, {name: recipe})
        except ValueError:
            pass    # too small a layer to be shared
    program = compress.convert(drawn.model, drawn.example, algorithm=algorithm)
    same(program, drawn.model, spoiled(drawn.rng, drawn.example.shape, count))


@pytest.mark.parametrize("rank", [1, 2, (2, 3)])
def test_a_tensor_train_is_the_product_with_its_weight(rank):
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(12, 8, rng=rng))
    compress.prepare(model, TensorTrain(rank))
    program = compress.convert(model, spoiled(rng, (2, 12), 0))
    for _ in range(20):
        same(program, model, spoiled(rng, (3, 12), 2))


@pytest.mark.parametrize("stages", [[Prune(0.8)], [Prune(0.8), Cluster(2)], [TensorTrain(2)], []],
                         ids=["csr", "pruned-shared", "tensor-train", "winograd"])  # fmt: skip
def test_rows_beside_one_that_is_not_finite_keep_their_bits(stages):
    rng = np.random.default_rng(0)
    layer = nn.Linear(16, 12, rng=rng) if stages else nn.Conv2d(3, 4, 3, rng=rng)
    model = nn.Sequential(layer)
    if stages:
        compress.prepare(model, stages)
    x = rng.normal(size=(4, 16) if stages else (4, 3, 6, 6)).astype(np.float32)
    program = compress.convert(model, x, algorithm="winograd")
    before = program(x)
    x[2].reshape(-1)[5] = np.nan
    np.testing.assert_array_equal(program(x)[[0, 1, 3]], before[[0, 1, 3]])


@pytest.mark.parametrize(("x", "wanted"), [
    (np.zeros((0, 3)), None), (np.ones((2, 3)), None), (np.full((2, 3), 3e30), None),
    ([[1, np.inf], [1, 2]], [True, False]), ([[3e30, 1], [np.nan, 1]], [False, True]),
    ([[np.inf, -np.inf], [3e38, 1]], [True, False]),
], ids=["empty", "finite", "large", "infinity", "nan", "both"])  # fmt: skip
def test_which_rows_are_not_finite(x, wanted):
    got = not_finite(np.array(x, np.float32))
    assert got is None if wanted is None else got.tolist() == wanted


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("training", [True, False])
def test_integers_refuse_them_in_the_simulation_as_in_the_program(value, training):
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(4, 6, rng=rng), nn.ReLU(), nn.Linear(6, 2, rng=rng))
    x = rng.normal(size=(8, 4)).astype(np.float32)
    for recipe in (Quantize(), {"2": Quantize()}):
        twin = compress.prepare(nn.Sequential(*model), recipe, x).train(training)
        program = compress.convert(twin)
        bad = x.copy()
        bad[3, 1] = value
        said = "holds NaN or infinity; no integer stands for it"
        with np.errstate(invalid="ignore"):
            with pytest.raises(ValueError, match=said):
                program(bad)
            with pytest.raises(ValueError, match=said):
                twin(nn.Tensor(bad))
        compress.unprepare(twin)

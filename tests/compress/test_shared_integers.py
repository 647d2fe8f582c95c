"""Shared weights of integers, and activations that become int8 inside of the call."""

import numpy as np
import pytest

import compress
import nn
from compress import Cluster, Huffman, Prune
from compress.formats.format import format_named
from compress.techniques.shared_integers import PrunedSharedIntegers, SharedIntegers
from nn.kernels import codebook_gemm
from nn.kernels.nbit_gemm import quantized
from nn.tensor import Tensor
from tests.compress.test_cluster import normal
from tests.compress.test_dynamic import drawn
from tests.compress.test_shared import Normed

DYNAMIC = "int8-dynamic"


def mlp(seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Linear(20, 30, rng=rng), nn.ReLU(), nn.Linear(30, 7, rng=rng))


def trained(model, recipe, x, steps=4):
    """The model, prepared, after so many steps."""
    compress.prepare(model, recipe, x)
    optimizer = nn.optim.Adam(model.train().parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        (model(Tensor(x)) ** 2).sum().backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize(("bits", "kernel"), [(4, "codebook_gemm"), (5, "qgemm")])
@pytest.mark.parametrize("before", [[], [Prune(0.5, compress.Cubic(end=2))]], ids=["shared", "pruned"])
def test_what_trains_is_what_runs_from_a_file(bits, kernel, before, tmp_path):
    x = drawn((20,))
    model = trained(mlp(), {"0": [*before, Cluster(bits, activations=DYNAMIC), Huffman()],
                            "2": Cluster(3, activations=DYNAMIC)}, x)
    program = compress.convert(model)
    assert str(program.bound).count(f"= {kernel}(") == (2 if bits == 4 else 1)
    assert "rounded to int8 in rows" in str(program.bound)
    with nn.no_grad():
        np.testing.assert_array_equal(program(x), model(Tensor(x)).data)
    compress.save(program, tmp_path / "p")
    np.testing.assert_array_equal(compress.load(tmp_path / "p")(x), program(x))
    compress.certify(program).check(32)
    with pytest.raises(ValueError, match="x holds NaN or infinity; no integer stands for it"):
        program(np.full_like(x, np.nan))


def test_the_sums_are_those_of_the_formula_integer_for_integer():
    x = drawn((20,))
    model = trained(mlp(), {"0": Cluster(4, activations=DYNAMIC)}, x)
    (centroids, codes), weight = codes_of(model), compress.convert(model).constants["0.weight"]
    p, t = quantized(centroids[None], 16)
    np.testing.assert_array_equal(weight.multipliers(), p[0][codes])
    assert np.abs(weight.multipliers()).max() == 127
    q, s = quantized(x, 20)
    sums = q.astype(np.int64) @ weight.multipliers().T.astype(np.int64)
    made = codebook_gemm(x, weight.operand(), activations="int8") * weight.scale
    np.testing.assert_array_equal(made, sums.astype(np.float32) * s * t[0])


def codes_of(model):
    (state,) = model[0].weight.parametrization.states
    return state.centroids.data, state.codes


def test_a_value_gets_the_gradients_of_its_members_as_the_rounded_row_makes_them():
    x, g = drawn((20,)), normal(9, 30)
    layer = nn.Linear(20, 30, bias=False, rng=np.random.default_rng(0))
    model = nn.Sequential(layer)
    compress.prepare(model, Cluster(4, activations=DYNAMIC), x)
    (model.train()(Tensor(x)) * Tensor(g)).sum().backward()
    _, codes = codes_of(model)
    s = np.abs(x).max(axis=1, keepdims=True) / np.float32(127)
    by_weight = g.T @ (np.rint(x / s) * s)
    wanted = np.bincount(codes.ravel(), by_weight.ravel(), 16)
    (state,) = layer.weight.parametrization.states
    np.testing.assert_allclose(state.centroids.grad, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


@pytest.mark.parametrize("stages", [[Cluster(4, activations=DYNAMIC)],
                                    [Prune(0.8), Cluster(4, activations=DYNAMIC)]], ids=["shared", "pruned"])
def test_batch_norm_of_both_signs_becomes_a_scale_beside_the_integers(stages, tmp_path):
    """A linear layer whose channels have both signs multiplies the integers themselves."""
    model, x = Normed(), normal(7, 2, 5, 5)
    compress.prepare(model, stages, x)
    program = compress.convert(model.eval())
    arrays = program.constants["fc.weight"].arrays()
    assert arrays["codebook"].dtype == np.int8
    assert arrays["scale"].shape == (9,)
    assert str(program.bound).count("= qconv2d(") == str(program.bound).count("= qgemm(") == 1
    with nn.no_grad():
        np.testing.assert_array_equal(program(x), model(Tensor(x)).data)
    compress.save(program, tmp_path / "p")
    np.testing.assert_array_equal(compress.load(tmp_path / "p")(x), program(x))


def test_a_layer_waits_for_the_schedule_before_it_as_floats():
    x, model = drawn((20,)), mlp()
    compress.prepare(model, {"0": [Prune(0.5, compress.Cubic(end=3)), Cluster(2, activations=DYNAMIC)]}, x)
    optimizer = nn.optim.SGD(model.train().parameters(), lr=1e-3)
    distinct = []
    for _ in range(4):
        optimizer.zero_grad()
        model(Tensor(x)).sum().backward()
        optimizer.step()
        distinct.append(len(np.unique(model[0].weight.data)))
    assert distinct[1] > 100
    assert distinct[-1] <= 4


def test_a_network_of_zeros_and_one_that_is_tiny_have_a_product():
    for size in (0.0, 1e-40):
        codes = np.arange(12, dtype=np.uint8).reshape(3, 4) % 4
        weight = SharedIntegers(codes, np.zeros(4, np.int8), np.float32([size]))
        assert not weight.decode().any()
        assert not codebook_gemm(normal(2, 4), weight.operand(), activations="int8").any()


@pytest.mark.parametrize("other", ["uint8", "int4-dynamic", "int8-block", "int7", 8])
def test_other_activations_are_refused(other):
    with pytest.raises(ValueError, match="activations must be 'int8-dynamic', or None for reals; got "):
        Cluster(4, activations=other)
    assert Cluster(4, activations=format_named(DYNAMIC)) == Cluster(4, activations=DYNAMIC)


ALL = SharedIntegers(np.arange(60, dtype=np.uint8).reshape(10, 6) % 5, np.int8([-127, -3, 0, 9, 100]),
                     normal(10))
LEFT = PrunedSharedIntegers(np.arange(3, 60, 4), np.arange(15, dtype=np.uint8) % 4, np.int8([-5, 3, 7, 127]),
                            (10, 6), np.float32([0.5]))


@pytest.mark.parametrize("weight", [ALL, LEFT], ids=["all", "left"])
@pytest.mark.parametrize(("name", "spoil", "message"), [
    ("codebook", lambda c: c // 2, "the largest of a codebook of integers is ±127, unless all are 0; got"),
    ("codebook", lambda c: np.where(np.abs(c) == 127, np.int8(-128), c), "is ±127, .* got -128"),
    ("codebook", lambda c: c.astype(np.float32), "codebook must be int8"),
    ("codebook", lambda c: c[:1], "code [1-4] is none of the 1|do not fill"),
    ("scale", lambda s: np.ones(3, np.float32), "scale must be one number or 10; got 3"),
    ("scale", lambda s: s[:0], "scale must be one number or 10; got 0"),
    ("scale", lambda s: s * np.float32(np.nan), "scale must be finite")])
def test_a_file_that_holds_something_else_is_refused(weight, name, spoil, message):
    arrays = weight.arrays()
    np.testing.assert_array_equal(type(weight).from_arrays(arrays, (10, 6)).decode(), weight.decode())
    with pytest.raises(ValueError, match=message):
        type(weight).from_arrays(arrays | {name: spoil(arrays[name])}, (10, 6))

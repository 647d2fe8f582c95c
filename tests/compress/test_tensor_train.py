"""Tensor trains: TT-SVD and its error, modes and ranks, training through the cores, the way to a Program."""

from functools import reduce
from math import prod

import numpy as np
import pytest

import compress
import nn
from compress import Chain, Context, Prune, Quantize, TensorTrain
from compress.techniques.tensor_train import TensorTrainWeight, product
from compress.techniques.tt_svd import balanced_modes, equalized, tt_svd
from compress.testing.laws_stored import product as stored_product
from nn.kernels import tt_matmul
from nn.tensor import Tensor

FIT = Context("weight", "linear")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def error(transform, w):
    """‖w − project(w)‖ and the bound."""
    state = transform.fit(w, FIT)
    seen = transform.project(Tensor(w), state).data
    return np.linalg.norm(w - seen.astype(np.float64)), transform.bound(w, state)


def ranks(state):
    return [core.shape[3] for core in state.cores[:-1]]


# TT-SVD ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(12, 30), (1, 60), (31, 17), (64, 27), (1, 1)])
@pytest.mark.parametrize("cores", [1, 2, 3, 4])
def test_full_rank_is_exact(shape, cores):
    w = normal(*shape)
    found, bound = error(TensorTrain(eps=0.0, cores=cores), w)
    assert found <= bound <= 3e-4 * np.linalg.norm(w)


def test_a_train_is_found_again():
    rng = np.random.default_rng(0)
    shapes = [(1, 4, 3, 2), (2, 5, 4, 3), (3, 6, 5, 1)]
    w = product(tuple(Tensor(rng.standard_normal(shape)) for shape in shapes)).data.astype(np.float32)
    transform = TensorTrain(eps=1e-6, in_modes=(4, 5, 6), out_modes=(3, 4, 5))
    assert ranks(transform.fit(w, FIT)) == [2, 3]
    found, bound = error(TensorTrain(rank=(2, 3), in_modes=(4, 5, 6), out_modes=(3, 4, 5)), w)
    assert found <= bound <= 1e-4 * np.linalg.norm(w)


def test_a_sum_of_indices_has_ranks_of_two():
    """i₁ + i₂ + i₃ = (i₁ 1)·((1 0), (i₂ 1))·(1; i₃): 32 numbers for 60 on 3 × 4 × 5."""
    w = np.indices((3, 4, 5)).sum(axis=0).reshape(1, 60).astype(np.float32)
    transform = TensorTrain(eps=1e-6, in_modes=(3, 4, 5), out_modes=(1, 1, 1))
    state = transform.fit(w, FIT)
    assert ranks(state) == [2, 2]
    assert transform.encode(w, state).arrays()["cores"].size == 32
    found, bound = error(transform, w)
    assert found <= bound < 1e-3


def test_the_error_is_between_the_best_of_one_cut_and_of_all():
    """max εₖ ≤ ‖A − TT‖ ≤ √(Σ εₖ²), εₖ the best error of the k-th unfolding (Oseledets 2011, theorem 2.2)."""
    tensor = np.random.default_rng(0).standard_normal((6, 8, 10, 5))
    cores, discarded = tt_svd(tensor, (3, 4, 2), 0.0)
    train = reduce(lambda a, b: np.tensordot(a, b, axes=(-1, 0)), cores)[0, ..., 0]
    tails = [np.linalg.norm(np.linalg.svd(tensor.reshape(prod(tensor.shape[:k]), -1))[1][rank:])
             for k, rank in ((1, 3), (2, 4), (3, 2))]
    found = np.linalg.norm(tensor - train)
    assert max(tails) <= found <= np.linalg.norm(tails)
    assert found == pytest.approx(discarded, rel=1e-12)


@pytest.mark.parametrize("eps", [0.5, 0.1, 1e-3])
def test_ranks_are_the_fewest_that_eps_allows(eps):
    tensor = np.random.default_rng(1).standard_normal((6, 7, 8)) * 0.8 ** np.arange(8)
    cores, discarded = tt_svd(tensor, None, eps)
    assert discarded <= eps * np.linalg.norm(tensor)
    kept = cores[0].shape[-1]
    _, first = tt_svd(tensor, (kept - 1, 8), 0.0)
    assert first > eps / np.sqrt(2) * np.linalg.norm(tensor)


def test_small_singular_values_keep_their_digits():
    """By way of AᵀA, values below 10⁻⁸ of the largest would be noise."""
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.standard_normal((20, 20)))[0] for _ in range(2))
    s = 10.0 ** -np.arange(20.0)
    cores, discarded = tt_svd(u * s @ v.T, (10,), 0.0)
    assert discarded == pytest.approx(np.linalg.norm(s[10:]), rel=1e-4)
    assert np.abs(cores[0][0].T @ cores[0][0] - np.eye(10)).max() < 1e-13


def test_zeros_keep_one_singular_value():
    w = np.zeros((6, 10), np.float32)
    state = TensorTrain(eps=0.5).fit(w, FIT)
    assert ranks(state) == [1, 1]
    assert error(TensorTrain(eps=0.5), w)[0] == 0


def test_equalized_cores_are_the_same_product_with_entries_of_one_size():
    cores, _ = tt_svd(1e6 * np.random.default_rng(0).standard_normal((6, 8, 10)), None, 0.0)
    even = equalized(cores)
    a, b = (reduce(lambda a, b: np.tensordot(a, b, axes=(-1, 0)), train) for train in (cores, even))
    assert np.allclose(a, b, rtol=1e-13, atol=0)
    sizes = [np.sqrt(np.mean(core**2)) for core in even]
    assert max(sizes) < 3 * min(sizes)


# Modes and ranks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "count", "modes"), [
    (300, 3, (5, 6, 10)), (64, 3, (4, 4, 4)), (100, 2, (10, 10)), (784, 4, (4, 4, 7, 7)), (31, 3, (1, 1, 31)),
    (62, 2, (2, 31)), (1, 3, (1, 1, 1)), (7, 1, (7,)), (25088, 6, (4, 4, 4, 7, 7, 8))])  # fmt: skip
def test_balanced_modes(n, count, modes):
    assert balanced_modes(n, count) == modes


def test_modes_interleave_in_c_order():
    """A Kronecker product of matrices (o × i) is a train of rank 1: digit k of a row meets a column's."""
    rng = np.random.default_rng(0)
    w = reduce(np.kron, (rng.standard_normal(shape) for shape in ((3, 2), (4, 5), (2, 3)))).astype(np.float32)
    found, bound = error(TensorTrain(rank=1, in_modes=(2, 5, 3), out_modes=(3, 4, 2)), w)
    assert found <= bound <= 1e-5 * np.linalg.norm(w)
    assert error(TensorTrain(rank=1, in_modes=(3, 5, 2), out_modes=(2, 4, 3)), w)[0] > 0.1 * np.linalg.norm(w)


def test_primes_become_a_product_of_low_rank():
    w = normal(31, 17)
    s = np.linalg.svd(w.astype(np.float64))[1]
    found, _ = error(TensorTrain(rank=5), w)
    assert found == pytest.approx(np.linalg.norm(s[5:]), rel=1e-5)
    assert TensorTrain(rank=5).modes(w.shape) == ((17, 1, 1), (1, 1, 31))


@pytest.mark.parametrize(
    ("rank", "numbers", "smaller"), [(1, 144, 713_614), (2, 528, 194_622), (4, 2016, 50_972)]
)
def test_parameters_of_novikov(rank, numbers, smaller):
    """25088 × 4096 of VGG-16 (Novikov et al. 2015, table 2): the counts follow from the shapes."""
    ins, outs = (2, 7, 8, 8, 7, 4), (4,) * 6
    bonds = [1, *[rank] * 5, 1]
    cores = [normal(bonds[k], ins[k], outs[k], bonds[k + 1], seed=k) for k in range(6)]
    weight = TensorTrainWeight(cores)
    assert weight.shape == (4096, 25088)
    assert weight.arrays()["cores"].size == numbers
    assert 25088 * 4096 // numbers == smaller
    x = normal(2, 25088)
    want = tt_matmul.reference(x.astype(np.float64), [core.astype(np.float64) for core in cores])
    assert np.abs(stored_product(weight, x) - want).max() < 1e-5 * np.abs(want).max()


def test_tensor_train_of_large_rank_is_capped_where_a_cut_has_less():
    state = TensorTrain(rank=8, in_modes=(2, 4, 4), out_modes=(2, 4, 4)).fit(normal(32, 32), FIT)
    assert ranks(state) == [4, 8]


@pytest.mark.parametrize(("options", "kind", "message"), [
    ({}, ValueError, "either rank or eps"), ({"rank": 2, "eps": 0.1}, ValueError, "either rank or eps"),
    ({"rank": 0}, ValueError, "rank .*at least 1"), ({"rank": 2.0}, TypeError, "rank must be whole"),
    ({"rank": True}, TypeError, "rank must be whole"), ({"rank": [2, 2]}, TypeError, "rank must be whole"),
    ({"rank": (2, 0)}, ValueError, "rank .*at least 1"), ({"eps": 1.0}, ValueError, "eps .*got 1.0"),
    ({"eps": -0.1}, ValueError, "eps .*got -0.1"), ({"eps": "small"}, TypeError, "eps must be a number"),
    ({"eps": float("nan")}, ValueError, "eps .*got nan"), ({"rank": 2, "cores": 0}, ValueError, "cores"),
    ({"rank": 2, "in_modes": (4, 0)}, ValueError, "in_modes .*at least 1"),
    ({"rank": 2, "in_modes": ()}, ValueError, "in_modes"),
    ({"rank": 2, "out_modes": 4}, TypeError, "out_modes"),
    ({"rank": 2, "in_modes": (4, 4), "out_modes": (2, 2, 2)}, ValueError, r"equally many; got \(4, 4\)"),
])  # fmt: skip
def test_bad_options(options, kind, message):
    with pytest.raises(kind, match=f"^TensorTrain: .*{message}"):
        TensorTrain(**options)


@pytest.mark.parametrize(("options", "message"), [
    ({"rank": 2, "in_modes": (4, 4)}, r"in_modes \(4, 4\) multiply to 16; weight \(12, 30\) needs 30"),
    ({"rank": 2, "out_modes": (4, 4)}, r"out_modes \(4, 4\) multiply to 16; weight \(12, 30\) needs 12"),
    ({"rank": 200}, "weight: rank 200; the largest possible is 10"),
    ({"rank": 2, "cores": 1}, "weight: rank 2; the largest possible is 1"),
    ({"rank": (10, 7)}, "rank 7 between cores 2 and 3; the largest possible is 6"),
    ({"rank": (1, 13)}, "rank 13 between cores 2 and 3; the largest possible is 6"),
    ({"rank": (2, 2, 2)}, r"has 2 ranks between its 3 cores; got \(2, 2, 2\)"),
])  # fmt: skip
def test_what_does_not_fit_the_weight(options, message):
    with pytest.raises(ValueError, match=f"^TensorTrain: .*{message}"):
        TensorTrain(**options).fit(normal(12, 30), FIT)


# Training ----------------------------------------------------------------------------------------


def test_gradients_of_the_cores():
    rng = np.random.default_rng(0)
    cores = [rng.standard_normal(shape) for shape in ((1, 2, 3, 2), (2, 3, 2, 3), (3, 2, 2, 1))]
    scale = rng.standard_normal(12)
    nn.gradcheck(lambda *cores: product(cores), *cores)
    nn.gradcheck(lambda *cores: product(cores, scale), *cores)


def prepared(recipe, build=nn.models.digits_mlp, example=None):
    model = build(0.2, rng=np.random.default_rng(0))
    return compress.prepare(model, recipe, nn.data.digits().x_train[:64] if example is None else example)


def train(model, optimizer, epochs=3):
    data = nn.data.digits()
    return nn.train.fit(model, data.x_train[:640], data.y_train[:640], epochs=epochs, optimizer=optimizer,
                        rng=np.random.default_rng(0), progress=False)  # fmt: skip


def test_the_cores_are_trained_and_the_program_has_them(tmp_path):
    model = prepared({"*": TensorTrain(rank=2), "fc3": None})
    cores = model.fc1.weight.parametrization.states[0].cores
    trained = list(model.parameters())
    assert all(any(core is one for one in trained) for core in cores)
    assert not any(one is model.fc1.weight for one in trained)
    before = [core.data.copy() for core in cores]
    log = train(model, nn.optim.Adam(model.parameters(), lr=1e-2))
    assert log[-1].loss < log[0].loss
    assert all(np.any(core.data != was) for core, was in zip(cores, before, strict=True))
    assert np.array_equal(model.fc1.weight.data, model.fc1.weight.parametrized().data)
    errors = compress.weight_errors(model)
    assert errors.measured == 0 <= errors.certified < 1e-5
    program = compress.convert(model)
    assert str(program.bound).count("tt_matmul") == 2
    x = nn.data.digits().x_test[:50]
    with nn.no_grad():
        want = model.eval()(Tensor(x)).data
    assert np.abs(program(x) - want).max() < 1e-4
    compress.save(program, tmp_path / "tt.safetensors")
    assert np.array_equal(compress.load(tmp_path / "tt.safetensors")(x), program(x))
    fc1 = program.constants["fc1.weight"]
    assert compress.report(program).items["fc1.weight"]["payload"] == 4 * sum(core.size for core in cores)
    assert program.macs < 4000 + fc1.macs() + program.constants["fc2.weight"].macs()


def test_an_optimizer_built_before_is_refused():
    model = nn.models.digits_mlp(0.2, rng=np.random.default_rng(0))
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    compress.prepare(model, {"fc1": TensorTrain(rank=2)})
    with pytest.raises(RuntimeError, match="after preparing"):
        train(model, optimizer, 1)


def test_a_state_is_saved_and_restored_in_place():
    model = prepared({"fc1": TensorTrain(rank=2)})
    chain = model.fc1.weight.parametrization
    cores, saved = chain.states[0].cores, chain.state_arrays()
    train(model, nn.optim.Adam(model.parameters(), lr=1e-2), 1)
    changed = chain.state_arrays()
    assert any(np.any(changed[name] != array) for name, array in saved.items())
    chain.load_state(saved)
    assert all(a is b for a, b in zip(chain.states[0].cores, cores, strict=True))
    assert all(np.array_equal(array, saved[name]) for name, array in chain.state_arrays().items())


def test_cores_are_trained_beside_quantized_layers():
    model = prepared({"fc1": TensorTrain(rank=2), "fc2": Quantize(), "fc3": Quantize()})
    data = nn.data.digits()
    nn.functional.cross_entropy(model(data.x_train[:32]), data.y_train[:32]).backward()
    assert all(np.any(core.grad) for core in model.fc1.weight.parametrization.states[0].cores)
    log = train(model, nn.optim.Adam(model.parameters(), lr=3e-3))
    assert log[-1].loss < log[0].loss
    with nn.no_grad():
        want = model.eval()(data.x_test[:50]).data
    assert np.array_equal(compress.convert(model)(data.x_test[:50]), want)


# The way into a Program --------------------------------------------------------------------------


class Normed(nn.Module):
    """Linear layers with a batch norm between them."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.fc1, self.norm = nn.Linear(12, 20, rng=rng), nn.BatchNorm1d(20)
        self.fc2 = nn.Linear(20, 3, rng=rng)
        self.norm.weight.data[...] = rng.uniform(-2, 2, 20)
        self.norm.running_mean[...] = rng.standard_normal(20)
        self.norm.running_var[...] = rng.uniform(0.5, 2, 20)

    def forward(self, x):
        return self.fc2(nn.functional.relu(self.norm(self.fc1(x))))


def test_batch_norm_is_folded_into_a_scale_beside_the_cores():
    model, x = Normed(), normal(9, 12)
    compress.prepare(model, {"fc1": TensorTrain(rank=3)}, x)
    program = compress.convert(model.eval())
    assert "scale" not in [call.op for call in program.calls]
    assert program.constants["fc1.weight"].arrays()["scale"].shape == (20,)
    with nn.no_grad():
        assert np.abs(program(x) - model(Tensor(x)).data).max() < 1e-5


def test_convolutions_are_refused_and_nothing_is_attached():
    model = nn.models.digits_cnn(0.2, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"^TensorTrain: conv1\.weight must be the weight .* linear"):
        compress.prepare(model, TensorTrain(rank=1))
    assert all(parameter.parametrization is None for parameter in model.parameters())


@pytest.mark.parametrize("stages", [[TensorTrain(rank=2), Quantize()], [TensorTrain(rank=2), Prune(0.5)],
                                    [Prune(0.5), TensorTrain(rank=2)], [Quantize(), TensorTrain(rank=2)]])
def test_chains_that_would_destroy_are_refused(stages):
    with pytest.raises(ValueError, match=r"would destroy .*(RANK|SUPPORT|GRID)"):
        Chain(stages)


GOOD = TensorTrainWeight([normal(1, 3, 2, 2), normal(2, 2, 5, 1)], np.ones(10, np.float32)).arrays()


@pytest.mark.parametrize(("change", "message"), [
    ({"cores": GOOD["cores"].astype(np.float64)}, r"cores must be finite float32 \(any,\); got float64"),
    ({"cores": GOOD["cores"] * np.float32(np.nan)}, "cores must be finite"),
    ({"cores": GOOD["cores"][:-1]}, "31 numbers"),
    ({"scale": GOOD["scale"][:-1]}, r"scale must be finite float32 \(10,\); got float32 \(9,\)"),
    ({"scale": GOOD["scale"] * np.float32(np.inf)}, "scale must be finite"),
    ({"shapes": GOOD["shapes"].astype(np.int64)}, "shapes must be int32"),
    ({"shapes": GOOD["shapes"][:, :3]}, "shapes must be int32"),
    ({"shapes": GOOD["shapes"] * np.int32(-1)}, "shapes must be positive"),
    ({"shapes": GOOD["shapes"][:1]}, "do not multiply"), ({"shapes": GOOD["shapes"][:0]}, "do not multiply"),
    ({"shapes": GOOD["shapes"][::-1].copy()}, "rank"),
    ({"shapes": np.array([[1, 6, 10, 1]] + [[1, 1, 1, 1]] * 32, np.int32)}, "numbers"),
])  # fmt: skip
def test_a_file_with_bad_cores_is_refused(change, message):
    assert TensorTrainWeight.from_arrays(GOOD, (10, 6)).shape == (10, 6)
    with pytest.raises(ValueError, match=message):
        TensorTrainWeight.from_arrays(GOOD | change, (10, 6))

"""Chains: orders that would destroy something are refused; stages follow one another."""

import copy

import numpy as np
import pytest

import compress
import nn
from compress import Chain, Cluster, Context, Invariant, Prune, Quantize, TensorTrain
from nn.tensor import Tensor


class Shares(Quantize):
    """Stands for weight sharing: makes levels, keeps what is pruned."""

    keeps = frozenset({Invariant.SUPPORT})
    makes = frozenset({Invariant.LEVELS})


class Factors(Quantize):
    """Stands for a low-rank factorisation: a product of factors has no zeros left, and no levels."""

    keeps = frozenset()
    makes = frozenset({Invariant.RANK})


def weight(shape=(4, 6), seed=0):
    return nn.Parameter(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@pytest.mark.parametrize(
    "stages",
    [[Prune(0.5), Quantize()], [Quantize(), Prune(0.5)], [Prune(0.5), Cluster()], [Prune(0.5), Shares()]],
    ids=str,
)
def test_orders_that_keep_everything_are_allowed(stages):
    assert Chain(stages).stages == tuple(stages)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([Cluster(), Prune(0.5)], r"Prune after Cluster would destroy the few values .* \(LEVELS\)"),
        ([Cluster(), Quantize()], r"Quantize after Cluster would destroy the few values .* \(LEVELS\)"),
        ([Cluster(), Cluster()], r"Cluster after Cluster would destroy the few values .* \(LEVELS\)"),
        ([Quantize(), Cluster()], r"Cluster after Quantize would destroy multiples of a scale \(GRID\)"),
        ([Cluster(), TensorTrain(rank=1)], r"TensorTrain after Cluster would destroy the few values"),
        ([TensorTrain(rank=1), Cluster()], r"Cluster after TensorTrain would destroy the rank \(RANK\)"),
        (
            [Shares(), Quantize()],
            r"Quantize after Shares would destroy the few values .* \(LEVELS\), which Shares made",
        ),
        ([Prune(0.5), Factors()], r"Factors after Prune would destroy which weights are zero \(SUPPORT\)"),
        ([Prune(0.5), Quantize(), Factors()], r"Factors after Prune"),
        ([Factors(), Prune(0.5)], r"Prune after Factors would destroy the rank \(RANK\)"),
        ([Quantize(), Quantize()], r"Quantize after Quantize would destroy multiples of a scale \(GRID\)"),
    ],
    ids=["pruned-levels", "quantized-levels", "levels-twice", "shared-grid", "factored-levels", "shared-rank",
         "levels", "support", "first-of-three", "rank", "grid"],
)
def test_an_order_that_would_destroy_something_is_refused_and_says_what(stages, message):
    with pytest.raises(ValueError, match=message):
        Chain(stages)


def test_nothing_is_no_chain():
    with pytest.raises(ValueError, match="at least one transform"):
        Chain([])


@pytest.mark.parametrize("wrong", [None, 0.5, Prune, Chain([Prune(0.5)])], ids=str)
def test_only_transforms_are_stages(wrong):
    with pytest.raises(TypeError, match="stage 1 is no transform"):
        Chain([Prune(0.5), wrong])


def test_attach_fits_a_chain_of_its_own_to_each_weight():
    chain, a, b = Chain([Prune(0.5)]), weight(seed=0), weight(seed=1)
    chain.attach(a, Context())
    chain.attach(b, Context())
    assert chain.states is None
    assert a.parametrization is not b.parametrization
    assert not np.array_equal(a.parametrization.states[0].mask, b.parametrization.states[0].mask)


def test_a_later_stage_is_fitted_to_what_the_earlier_ones_leave():
    w = nn.Parameter(np.array([[1, 2, 100], [1, 50, 3]], np.float32))
    chain = Chain([Quantize(), Prune(4 / 6)]).attach(w, Context())
    np.testing.assert_array_equal(np.flatnonzero(chain.states[1].mask), [2, 4])
    chain = Chain([Prune(5 / 6), Quantize()])
    chain.fit(w.data, Context())
    np.testing.assert_allclose(chain.states[1].scale, [100 / 127, 1])  # the second channel is all zeros


def test_a_weight_takes_one_chain():
    w = weight()
    Chain([Prune(0.5)]).attach(w, Context("fc.weight"))
    with pytest.raises(ValueError, match=r"fc\.weight: it has a parametrization already \(Chain\(\[Prune\("):
        Chain([Quantize()]).attach(w, Context("fc.weight"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_no_number_is_refused(value):
    w = weight()
    w.data[1, 2] = value
    with pytest.raises(ValueError, match=r"fc\.weight: the weight holds NaN or infinity"):
        Chain([Quantize()]).attach(w, Context("fc.weight"))
    assert w.parametrization is None


def test_an_empty_weight_is_refused():
    with pytest.raises(ValueError, match=r"weight: the weight is empty \(shape \(0, 3\)\)"):
        Chain([Quantize()]).fit(np.zeros((0, 3), np.float32), Context())


def test_an_unfitted_chain_says_so():
    with pytest.raises(RuntimeError, match="has not been fitted"):
        Chain([Quantize()]).project(Tensor(np.ones((2, 2), np.float32)))


def test_the_bound_is_the_sum_of_the_stages_and_none_if_one_has_none():
    class Unbounded(Prune):
        def bound(self, w, state):
            return None

    w = weight()
    both = Chain([Prune(0.5), Quantize()])
    both.fit(w.data, Context())
    first, second = both.stages
    pruned = first.project(Tensor(w.data), both.states[0]).data
    wanted = first.bound(w.data, both.states[0]) + second.bound(pruned, both.states[1])
    assert both.bound(w.data) == wanted
    unknown = Chain([Unbounded(0.5), Quantize()])
    unknown.fit(w.data, Context())
    assert unknown.bound(w.data) is None


def test_models_with_views_are_copied_whole():
    model = nn.models.digits_mlp(0.1, rng=np.random.default_rng(0))
    compress.prepare(model, [Prune(0.5), Quantize()])
    twin = copy.deepcopy(model)
    assert twin.fc1.weight.parametrization is not model.fc1.weight.parametrization
    assert twin.fc1.weight.parametrization.stages == model.fc1.weight.parametrization.stages
    x = nn.Tensor(np.ones((2, 1, 8, 8), np.float32))
    np.testing.assert_array_equal(twin(x).data, model(x).data)


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 1.5, float("nan"), float("inf")])
def test_a_sparsity_that_is_no_fraction_is_refused(sparsity):
    with pytest.raises(ValueError, match=r"sparsity must be in \[0, 1\)"):
        Prune(sparsity)


@pytest.mark.parametrize("sparsity", ["0.5", None, True, [0.5]], ids=str)
def test_a_sparsity_that_is_no_number_is_refused(sparsity):
    with pytest.raises(TypeError, match="sparsity must be a number"):
        Prune(sparsity)


@pytest.mark.parametrize("bits", [9, 0, -8, 16, "8", None, 4.0, True], ids=str)
def test_bits_outside_1_to_8_are_refused(bits):
    with pytest.raises(ValueError, match="bits must be in 1…8"):
        Quantize(bits)


@pytest.mark.parametrize("schedule", [3, "cubic", compress.Cubic], ids=["number", "text", "class"])
def test_a_schedule_must_be_one(schedule):
    with pytest.raises(TypeError, match="schedule must be"):
        Prune(0.5, schedule)

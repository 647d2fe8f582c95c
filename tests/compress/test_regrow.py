"""RigL: at constant density the weights that matter least give way to those that would matter most."""

import copy
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress import Cluster, Quantize, RigL
from compress.pruning.erk import erk
from compress.techniques.regrow import moved


def layer(technique=None, seed=0):
    one = nn.Linear(12, 10, rng=np.random.default_rng(seed))
    return one if technique is None else compress.prepare(one, {"": technique})


def train(one, optimizer, steps, seed=0):
    """Steps on random numbers; a mask after each."""
    rng, masks = np.random.default_rng(seed), []
    for _ in range(steps):
        optimizer.zero_grad()
        (one(nn.Tensor(rng.standard_normal((4, 12)).astype(np.float32))) ** 2).sum().backward()
        optimizer.step()
        masks.append(one.weight.parametrization.states[0].mask.copy())
    return masks


def adam(one):
    return nn.optim.Adam(one.parameters(), lr=0.05, weight_decay=0.1)


def test_the_mask_moves_every_so_often_at_constant_density_and_stops_at_three_quarters():
    masks = train(one := layer(RigL(0.5, steps=16, every=3)), adam(one), 16)
    changed = [t for t in range(2, 17) if not np.array_equal(masks[t - 2], masks[t - 1])]
    assert changed == [3, 6, 9]
    assert {int(mask.sum()) for mask in masks} == {60}


def test_what_was_just_dropped_may_grow_again_and_keeps_its_value():
    w = np.array([1, 2, 3, 0, 0], np.float32)
    mask = (w != 0).astype(np.float32)
    np.testing.assert_array_equal(moved(w, mask, np.array([9, 0, 0, 1, 8]), 1 / 3), mask)
    np.testing.assert_array_equal(moved(w, mask, np.array([0, 9, 9, 1, 8]), 1 / 3), [0, 1, 1, 0, 1])


def test_the_share_that_is_dropped_falls_along_a_cosine():
    technique = RigL(0.5, steps=400, every=10, share=0.4)
    assert technique.end == 300
    assert technique.drops(0) == pytest.approx(0.4)
    assert technique.drops(150) == pytest.approx(0.2)
    assert technique.drops(100) == pytest.approx(0.3)
    assert technique.drops(300) == pytest.approx(0)


def test_the_gradient_that_chooses_is_dense_and_the_step_replaces_that_of_the_optimizer():
    """Pruned weights have one too, in the probe; the weight has none, so that no momentum builds up."""
    one = layer(RigL(0.5, steps=8, every=2))
    optimizer = adam(one)
    train(one, optimizer, 1)
    before, state = one.weight.data.copy(), one.weight.parametrization.states[0]
    optimizer.zero_grad()
    (one(nn.Tensor(np.ones((1, 12), np.float32))) ** 2).sum().backward()
    assert one.weight.grad is None
    assert np.all(state.probe.grad != 0)
    old = state.mask
    optimizer.step()
    stays = (old != 0) & (state.mask != 0)
    np.testing.assert_array_equal(one.weight.data[stays], before[stays])
    assert not one.weight.data[~stays].any()


def test_the_averages_of_new_weights_alone_begin_anew():
    one = layer(RigL(0.5, steps=8, every=2, share=1.0))
    optimizer = adam(one)
    train(one, optimizer, 1)
    old = one.weight.parametrization.states[0].mask
    train(one, optimizer, 1, seed=1)
    new = one.weight.parametrization.states[0].mask
    grown, kept = (new > old), (new != 0) & (old != 0)
    assert grown.any()
    for moments in optimizer.state.values():
        (own,) = [array for array in moments if array.shape == one.weight.shape]
        assert not own[grown].any()
        assert own[kept].all()


@given(st.integers(1, 9), st.sampled_from([
    RigL(0.5, steps=10, every=2), [RigL(0.5, steps=10, every=3), Quantize()],
    [RigL(0.5, steps=8, every=2), Cluster(2)]]))
def test_training_goes_on_to_the_bit(stop, recipe):
    one = layer(recipe)
    optimizer = nn.optim.SGD(one.parameters(), lr=0.05, momentum=0.9)
    train(one, optimizer, stop)
    other = layer(recipe, seed=1)
    other.load_state_dict(one.state_dict())
    continued = nn.optim.SGD(other.parameters(), lr=0.05, momentum=0.9)
    continued.load_state_dict(optimizer.state_dict())
    for model, how in ((one, optimizer), (other, continued)):
        train(model, how, 10 - stop, seed=2)
    np.testing.assert_array_equal(one.weight.data, other.weight.data)


def test_an_optimizer_that_is_new_counts_on():
    one = layer(RigL(0.5, steps=40, every=4))
    train(one, adam(one), 6)
    masks = train(one, adam(one), 6)
    assert [t for t in range(6) if t and not np.array_equal(masks[t], masks[t - 1])] == [1, 5]


def test_it_is_copied_pickled_and_stored_as_any():
    one = layer(RigL(0.8, steps=8, every=2))
    train(one, adam(one), 3)
    for twin in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        train(twin, adam(twin), 2)
    x = np.ones((1, 12), np.float32)
    program = compress.convert(one, x)
    assert program.constants["weight"].macs() == 24
    np.testing.assert_allclose(program(x), one(nn.Tensor(x)).data, rtol=1e-5)


def test_a_frozen_weight_keeps_its_mask():
    one = nn.Linear(12, 10, rng=np.random.default_rng(0))
    one.weight.requires_grad = False
    compress.prepare(one, {"": RigL(0.5, steps=8, every=2)})
    masks = train(one, nn.optim.SGD(one.parameters(), lr=0.1), 5)
    assert all(np.array_equal(mask, masks[0]) for mask in masks)


@pytest.mark.parametrize(("settings", "error", "message"), [
    ({"sparsity": 1.0}, ValueError, r"RigL: sparsity must be in \[0, 1\)"),
    ({"steps": 0}, ValueError, "steps must be a whole number >= 1"),
    ({"every": 0}, ValueError, "every must be a whole number"),
    ({"share": 1.5}, ValueError, "share must be in"), ({"until": 0}, ValueError, "until must be in"),
    ({"score": "best"}, ValueError, "score must be"),
    ({"every": 75}, ValueError, "the mask would never move: .* every 75 steps and end before step 75"),
    ({"sparsity": "much"}, TypeError, "sparsity must be a number")])
def test_what_is_out_of_range_is_refused(settings, error, message):
    with pytest.raises(error, match=message):
        RigL(**{"sparsity": 0.5, "steps": 100, "every": 10, **settings})


def test_a_mask_of_another_density_is_refused():
    with pytest.raises(ValueError, match=r"the mask prunes 60 weights, where RigL\(.* prunes 96"):
        layer(RigL(0.8, steps=8, every=2)).load_state_dict(layer(RigL(0.5, steps=8, every=2)).state_dict())


# Erdős–Rényi–Kernel ------------------------------------------------------------------------------

LENET = {"fc1": (300, 784), "fc2": (100, 300), "fc3": (10, 100)}


def test_erk_of_lenet_300_100():
    """fc3 would have a density of more than 1: it is dense, and the others are sparser for it."""
    density = {name: 1 - sparsity for name, sparsity in erk(LENET, 0.9).items()}
    assert density == pytest.approx({"fc1": 0.0796, "fc2": 0.2302, "fc3": 1.0}, abs=5e-5)


SHAPES = st.one_of(st.tuples(*[st.integers(1, 300)] * 2),
                   st.tuples(*[st.integers(1, 40)] * 2, *[st.integers(1, 5)] * 2))


@given(st.dictionaries(st.sampled_from("abcdef"), SHAPES, min_size=1), st.floats(0, 0.999))
def test_erk_keeps_the_whole_and_no_layer_is_more_than_dense(shapes, sparsity):
    found = erk(shapes, sparsity)
    assert list(found) == list(shapes)
    assert all(0 <= one < 1 for one in found.values())
    sizes = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    pruned = sum(Fraction(found[name]) * size for name, size in sizes.items())
    assert float(pruned / sum(sizes.values())) == pytest.approx(sparsity, abs=1e-9)
    ratios = {(1 - found[name]) * sizes[name] / sum(shapes[name]) for name in shapes if found[name]}
    assert not ratios or max(ratios) == pytest.approx(min(ratios), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("shapes", "sparsity"),
                         [({}, 0.5), (LENET, 1.0), (LENET, -0.1), ({"a": (0, 3)}, 0.5)])
def test_erk_of_nothing_is_refused(shapes, sparsity):
    with pytest.raises(ValueError, match="erk: "):
        erk(shapes, sparsity)

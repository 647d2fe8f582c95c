"""Proximal steps: what they minimise, that they resume, and what a batch norm makes of a penalty."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from compress.proximal import Proximal, soft_threshold
from compress.pruning.pattern import pattern_named
from nn.train import fit

SEEDS = st.integers(0, 2**32 - 1)
PATTERNS = ("element", "row", "column", "4x1", "filter", "channel", "shape")


def optimal(w, v, amount, labels):
    """v minimises ½·‖v − w‖² + amount·Σ √n·‖v_g‖: in each group w − v = amount·√n·v/‖v‖, or where v is 0,
    ‖w‖ ≤ amount·√n (the subgradients at 0 are a ball)."""
    for group in range(labels.max() + 1):
        at = labels == group
        size, threshold = np.linalg.norm(v[at]), amount * np.sqrt(np.count_nonzero(at))
        if size:
            assert np.allclose(w[at] - v[at], threshold * v[at] / size, rtol=0, atol=1e-9)
        else:
            assert np.linalg.norm(w[at]) <= threshold * (1 + 1e-12)


@given(SEEDS, st.sampled_from(PATTERNS), st.floats(0, 2))
def test_a_step_minimises_what_it_should(seed, name, amount):
    rng, pattern = np.random.default_rng(seed), pattern_named(name)
    w = rng.standard_normal((6, 2, 2, 3))
    v = soft_threshold(w, amount, pattern)
    optimal(w, v, amount, pattern.labels(w.shape))
    if name == "element":
        assert np.allclose(v, np.sign(w) * np.maximum(np.abs(w) - amount, 0), rtol=0, atol=1e-15)
        assert np.array_equal(v, soft_threshold(w, amount))


def hard(w, amount, pattern):
    """A mutant: what is above the threshold stays as it is."""
    return np.where(soft_threshold(w, amount, pattern), w, 0)


def without_sizes(w, amount, pattern):
    """A mutant: the same threshold for groups of all sizes."""
    each = np.sqrt(w.size / pattern.groups(w.shape))
    return soft_threshold(w, amount / each, pattern)


@pytest.mark.parametrize("mutant", [hard, without_sizes])
def test_the_law_kills_mutants(mutant):
    rng, pattern = np.random.default_rng(0), pattern_named("row")
    w = rng.standard_normal((4, 8))
    optimal(w, soft_threshold(w, 0.5, pattern), 0.5, pattern.labels(w.shape))
    with pytest.raises(AssertionError):
        optimal(w, mutant(w, 0.5, pattern), 0.5, pattern.labels(w.shape))


def test_nothing_is_lost_at_0():
    w = np.zeros((2, 3), np.float32)
    for pattern in (None, pattern_named("row")):
        for amount in (0.0, 0.1):
            assert not soft_threshold(w, amount, pattern).any()


def data():
    """Is it brighter on the left or on the right?"""
    x = np.random.default_rng(0).standard_normal((64, 1, 6, 6)).astype(np.float32)
    return x, (x[:, 0, :, :3].mean(axis=(1, 2)) > x[:, 0, :, 3:].mean(axis=(1, 2))).astype(int)


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(1)
        self.conv = nn.Conv2d(1, 6, 3, bias=False, rng=rng)
        self.norm = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6 * 16, 3, rng=rng)

    def forward(self, x):
        return self.fc(self.norm(self.conv(x)).relu().flatten(1))


def trained(groups, strength=0.02, epochs=4, stop=None, checkpoint=None, build=nn.optim.SGD):
    x, y = data()
    model = Small()
    optimizer = build(model.parameters(), lr=0.05)
    proximal = Proximal(model, optimizer, strength, groups)

    def on_step(step, loss):
        proximal(step, loss)
        if step == stop:
            raise KeyboardInterrupt

    fit(model, x, y, epochs=epochs, optimizer=optimizer, rng=np.random.default_rng(2), batch_size=16,
        schedule=nn.train.cosine, on_step=on_step, checkpoint=checkpoint, every=3, progress=False)
    return model


@pytest.mark.parametrize(("build", "strength"), [(nn.optim.SGD, 0.1), (nn.optim.Adam, 0.4)])
def test_training_ends_with_exact_zeros(build, strength):
    some, dense = (trained({"fc.weight": "element"}, one, build=build) for one in (strength, 0))
    assert np.mean(some.fc.weight.data == 0) > 0.2
    assert np.all(dense.fc.weight.data != 0)
    columns = trained({"fc.weight": "column", "conv.*": None}, strength, build=build).fc.weight.data == 0
    assert np.any(columns.all(axis=0))
    assert np.array_equal(columns.any(axis=0), columns.all(axis=0))


def test_the_learning_rate_is_that_of_the_step():
    """Each of two steps takes λ times its own rate from a weight that has no gradient."""
    model = Small()
    optimizer = nn.optim.SGD([{"params": [model.conv.weight, model.norm.weight], "lr": 0.5},
                              {"params": [model.fc.weight], "lr": 0.25}])
    proximal = Proximal(model, optimizer, 0.1, {"norm.weight": "element", "fc.weight": "element"})
    before = model.fc.weight.data.copy()
    proximal()
    assert np.allclose(model.norm.weight.data, 1 - 0.05)
    optimizer.param_groups[0]["lr"] = 0.1
    proximal()
    assert np.allclose(model.norm.weight.data, 1 - 0.06)
    left = np.sign(before) * np.maximum(np.abs(before) - 0.05, 0)
    assert np.allclose(model.fc.weight.data, left, atol=1e-7)


def test_a_run_that_is_killed_resumes_to_the_same_bits(tmp_path):
    groups = {"conv.weight": "filter", "fc.weight": "column"}
    whole = trained(groups)
    with pytest.raises(KeyboardInterrupt):
        trained(groups, stop=8, checkpoint=tmp_path / "run")
    again = trained(groups, checkpoint=tmp_path / "run")
    for name, array in whole.state_dict().items():
        assert array.tobytes() == again.state_dict()[name].tobytes(), name


def test_before_a_batch_norm_a_penalty_only_shrinks_scales():
    """The network does not see how large a filter is (but for ε), so the penalty takes from all filters
    alike, and can be paid by scaling: the weights shrink to a fraction, and outputs hardly move. On γ it
    chooses: some filters are gone for good, others bear the whole function."""
    x, _ = data()
    model = Small().train()
    with nn.no_grad():
        before = model(nn.Tensor(x)).data
        model.conv.weight.data = model.conv.weight.data * np.float32(0.1)
        after = model(nn.Tensor(x)).data
    assert np.abs(after - before).max() < 1e-2 * np.abs(before).max()  # a tenth of the penalty

    dense, filters, gammas = (trained({name: pattern}, strength, epochs=60) for name, pattern, strength in (
        ("conv.weight", "filter", 0.0), ("conv.weight", "filter", 0.1), ("norm.weight", "element", 0.3)))
    first, sizes = (np.linalg.norm(one.conv.weight.data.reshape(6, -1), axis=1) for one in (dense, filters))
    assert np.all((sizes > 0) & (sizes < 0.06 * first))               # all have shrunk, none is gone,
    assert nn.train.accuracy(filters, *data()) == 1                   # and it was paid by nothing
    gone = gammas.norm.weight.data == 0
    assert 0 < np.count_nonzero(gone) < 6                             # of γ some are exactly 0
    with nn.no_grad():
        given = gammas.eval().norm(gammas.conv(nn.Tensor(x))).data
    assert np.all(np.ptp(given[:, gone], axis=(0, 2, 3)) == 0)        # whose channels say nothing any more


def test_what_cant_be_thresholded_is_refused():
    model = Small()
    optimizer = nn.optim.SGD([model.conv.weight, model.norm.weight], lr=0.1)
    for groups, error in (({"conv": "filter"}, "no parameter is called 'conv'; there are conv.weight"),
                          ({"fc.weight": "element"}, "fc.weight is not trained by this optimizer"),
                          ({"conv.weight": "2x"}, "Proximal: pattern must be a Pattern or one of"),
                          ({"norm.weight": "element", "conv.weight": "2:4"},
                           "conv.weight: the pattern '2:4' says how many .* no groups that could become 0"),
                          ({"conv.weight": "5000x1", "fc.weight": "row"}, "fc.weight is not trained")):
        with pytest.raises(ValueError, match=error):
            Proximal(model, optimizer, 0.1, groups)
    with pytest.raises(ValueError, match="strength"):
        Proximal(model, optimizer, -0.1, {"conv.weight": "filter"})
    with pytest.raises(TypeError, match="groups"):
        Proximal(model, optimizer, 0.1, "filter")

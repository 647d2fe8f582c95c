"""Which channels go: those with the least score of their group, to a share of channels or of the work."""

import numpy as np
import pytest

import compress
import nn
from compress.examples import Example
from compress.prepare import Known
from compress.pruning.score import SCORES, score_named


def example(*shape, n=4):
    return np.random.default_rng(1).normal(size=(n, *shape)).astype(np.float32)


def cnn():
    return nn.models.digits_cnn(0.5, np.random.default_rng(0)).eval()


def macs(model, x):
    return compress.convert(model, x, algorithm="direct").macs


def channels(model):
    return model.conv1.out_channels, model.conv2.out_channels, model.conv3.out_channels


@pytest.mark.parametrize("share", [0.75, 0.5, 0.25])
@pytest.mark.parametrize("globally", [False, True])
def test_a_budget_of_multiply_adds_is_met_closely(share, globally):
    model, x = cnn(), example(1, 8, 8)
    small = compress.prune_channels(model, x, macs=share, globally=globally, multiple=1)
    assert 0.85 * share < macs(small, x) / macs(model, x) <= share
    assert compress.convert(small, x)(x).shape == (4, 10)


def test_a_share_of_the_channels_goes():
    model, x = cnn(), example(1, 8, 8)    # 16, 32 and 32 channels
    assert channels(compress.prune_channels(model, x, fraction=0.5, multiple=1)) == (8, 16, 16)
    assert channels(compress.prune_channels(model, x, fraction=0.25, multiple=1)) == (12, 24, 24)
    assert channels(compress.prune_channels(model, x, fraction=0)) == (16, 32, 32)
    assert sum(channels(compress.prune_channels(model, x, fraction=0.5, globally=True, multiple=1))) == 40
    assert channels(compress.prune_channels(model, x, fraction=0.96, multiple=1)) == (1, 1, 1)


def test_what_stays_is_a_multiple_where_that_is_less_work():
    model, x = cnn(), example(1, 8, 8)
    assert channels(compress.prune_channels(model, x, macs=0.5, multiple=8)) == (8, 24, 24)
    assert channels(compress.prune_channels(model, x, macs=0.5))[1:] == (16, 16)


def test_the_score_is_the_sum_over_the_whole_group():
    """A channel with a small filter that is read with large weights stays."""
    model, x = cnn(), example(1, 8, 8)
    model.conv1.weight.data[:] = 1
    model.conv2.weight.data[:] = 1
    model.conv1.weight.data[3] = 0.1    # 9 numbers
    model.conv2.weight.data[:, 3] = 2   # 32·9 numbers
    model.conv2.weight.data[:, 5] = 0.5
    small = compress.prune_channels(model, x, fraction=1 / 80, globally=True, multiple=1)
    assert small.surgery.channels == {"conv1": [5]}


def test_a_score_of_ones_own():
    model, x, seen = cnn(), example(1, 8, 8), {}

    def first(name, w):
        """Channels count the more the further in front they are."""
        seen[name] = w.shape
        return np.broadcast_to(-np.arange(float(len(w))).reshape(-1, *[1] * (w.ndim - 1)), w.shape) + 100

    small = compress.prune_channels(model, x, fraction=0.5, score=first, multiple=1)
    assert set(seen) == {"conv1.weight", "conv2.weight", "conv3.weight", "fc.weight"}
    assert small.surgery.channels["conv1"] == list(range(8, 16))


@pytest.mark.parametrize("score", sorted(SCORES))
def test_every_score_of_pruning_has_a_say(score):
    """What a channel counts is the sum of the saliencies of all weights that go with it."""
    model, x, y = cnn(), example(1, 8, 8, n=20), np.arange(20) % 10
    small = compress.prune_channels(model, x, fraction=0.5, score=score, multiple=1, targets=y)
    graph = nn.trace(model, x[:2])
    known = Known.of(model, graph, Example.of("test", x), y)
    first, second = (score_named(score).saliency(w, known.context(name, w)) for name, w in (
        ("conv1.weight", model.conv1.weight.data), ("conv2.weight", model.conv2.weight.data)))
    counts = first.sum(axis=(1, 2, 3), dtype=np.float64) + second.sum(axis=(0, 2, 3), dtype=np.float64)
    assert small.surgery.channels["conv1"] == sorted(np.argsort(counts, kind="stable")[:8].tolist())


def test_scores_choose_otherwise_than_magnitude():
    model, x, y = cnn(), example(1, 8, 8, n=20), np.arange(20) % 10
    ours = [name for name, one in SCORES.items() if one.__module__.startswith("compress.")]  # not a test's
    chosen = {score: str(compress.prune_channels(model, x, fraction=0.5, score=score, targets=y
                                                 ).surgery.channels) for score in ours}
    assert len(set(chosen.values())) == len(ours) - 1    # "l1" is "magnitude"


def test_a_residual_network_to_half_of_its_work():
    model, x = nn.models.small_resnet(rng=np.random.default_rng(0)).eval(), example(1, 32, 32, n=2)
    small = compress.prune_channels(model, x, macs=0.5)
    assert 0.4 < macs(small, x) / macs(model, x) <= 0.5
    assert small.conv.out_channels == small.stage1.conv2.out_channels == small.stage2.shortcut.in_channels
    assert small.stage3.conv2.out_channels == small.stage3.shortcut.out_channels == small.fc.in_features
    with nn.no_grad():
        wanted = compress.recalibrate(small, x)(nn.Tensor(x)).data
    np.testing.assert_allclose(compress.convert(small, x)(x), wanted, rtol=1e-3, atol=1e-3)


def test_a_network_without_channels_that_could_go_says_why():
    model = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 2))
    with pytest.raises(ValueError, match=r"no channel of this Sequential can be removed: kept: of 0.weight "
                                         r"each output, for layer_norm in 1 acts along it"):
        compress.prune_channels(model, example(4), fraction=0.5)


@pytest.mark.parametrize(("settings", "error", "said"), [
    ({}, ValueError, "wants macs, the share of the multiply-adds to be left, or fraction, .*; got neither"),
    ({"macs": 0.5, "fraction": 0.5}, ValueError, "got both"),
    ({"fraction": 1}, ValueError, r"fraction must be in \[0, 1\), got 1"),
    ({"fraction": -0.1}, ValueError, r"fraction must be in \[0, 1\), got -0.1"),
    ({"fraction": float("nan")}, ValueError, "fraction must be"),
    ({"fraction": "half"}, TypeError, "fraction must be a number, got 'half'"),
    ({"macs": 1.5}, ValueError, r"macs must be in \[0, 1\], got 1.5"),
    ({"macs": 1e-9}, ValueError, r"multiply-adds are left when each group has one channel; wanted 0\.0%"),
    ({"macs": 0.5, "multiple": 0}, ValueError, "multiple"),
    ({"macs": 0.5, "score": "best"}, ValueError, "prune_channels: score must be .*one of .*magnitude"),
    ({"macs": 0.5, "score": 3}, ValueError, "prune_channels: score must be a Score or one of .*; got 3"),
    ({"macs": 0.5, "score": "taylor"}, ValueError, "give prepare targets="),
    ({"macs": 0.5, "score": lambda name, w: abs(w), "targets": np.zeros(4)}, ValueError, "are for a Score"),
    ({"macs": 0.5, "score": lambda name, w: w[0]}, ValueError, "must be finite and have its shape"),
    ({"macs": 0.5, "score": lambda name, w: w * np.nan}, ValueError, "must be finite and have its shape")])
def test_bad_input(settings, error, said):
    with pytest.raises(error, match=said):
        compress.prune_channels(cnn(), example(1, 8, 8), **settings)

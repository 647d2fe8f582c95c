"""All scores against the oracle, on layers of small trained networks."""

import copy

import numpy as np
import pytest

import compress
import nn
from compress.pruning.score import SCORES
from compress.regret import rank_scores


@pytest.fixture(scope="module")
def trained():
    """Four inputs of which two matter, through two hidden units."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((120, 4)).astype(np.float32)
    y = (x[:, 0] + 0.5 * x[:, 1] + 0.3 * rng.standard_normal(120) > 0).astype(int)
    model = nn.Sequential(nn.Linear(4, 2, rng=rng), nn.ReLU(), nn.Linear(2, 2, rng=rng))
    nn.train.fit(model, x, y, epochs=20, optimizer=nn.optim.Adam(model.parameters(), lr=0.02), rng=rng,
                 batch_size=20, progress=False)
    return model, x, y


def test_only_scores_that_know_what_a_layer_reads_survive_a_change_of_units(trained):
    """The first input in eighths, and its weights by eight smaller: the same function, the same losses of all
    masks; and a magnitude now takes what matters most for what matters least."""
    model, x, y = trained
    scores = ["random", "magnitude", "taylor", "obd", "obs"]
    other, read = copy.deepcopy(model), x.copy()
    read[:, 0] *= 8
    other[0].weight.data[:, 0] /= 8
    before = other.state_dict()
    first, second = (rank_scores(one, "0", some, y, scores=scores)
                     for one, some in ((model, x), (other, read)))
    for name in scores:
        assert np.all(first.regrets[name] >= 0)
        assert first.regrets[name].shape == (7,)
        if name in ("random", "taylor", "obd"):
            assert np.allclose(first.regrets[name], second.regrets[name], atol=1e-5)
    assert second.regrets["magnitude"].mean() > 2 * first.regrets["magnitude"].mean()
    assert second.regrets["obd"].mean() < 0.5 * second.regrets["magnitude"].mean()
    assert second.regrets["obd"].mean() < second.regrets["random"].mean()
    for found in (first, second):
        means = [regrets.mean() for regrets in found.regrets.values()]
        assert means == sorted(means)
    assert all(np.array_equal(array, before[name]) for name, array in other.state_dict().items())
    assert other.training


def test_masks_may_be_measured_with_the_weights_moved(trained):
    """Surgery's masks are best with its own update; and no mask is worse with it, in the layer's outputs."""
    model, x, _ = trained
    with nn.no_grad():
        wanted = model[0](nn.Tensor(x)).data

    def outputs(logits, y):
        return float(np.square(logits - y).sum())

    alone = nn.Sequential(nn.Linear(4, 2))
    alone.load_state_dict({"0.weight": model[0].weight.data, "0.bias": model[0].bias.data})
    moved = rank_scores(alone, "0", x, wanted, scores=["random", "obs"], settle="obs", measure=outputs)
    assert moved.regrets["obs"].mean() < 0.1 * moved.regrets["random"].mean()


def test_every_score_there_is_and_groups(trained):
    model, x, y = trained
    ranking = rank_scores(model, "0", x, y, pattern="column")
    ours = {name for name, one in SCORES.items() if one.__module__.startswith("compress.")}
    assert ours <= set(ranking.regrets)
    assert all(len(regrets) == 3 for regrets in ranking.regrets.values())
    assert all(name in str(ranking) for name in ours)


def test_what_cant_be_ranked_is_refused(trained):
    model, x, y = trained
    for layer, pattern, error in (("fc", "element", r"no layer with a weight is called 'fc'; there"),
                                  ("0", "filter", "0.weight: the pattern 'filter' is for"),
                                  ("0", "2:4", "0.weight: the pattern '2:4' has no masks of other counts")):
        with pytest.raises(ValueError, match=error):
            rank_scores(model, layer, x, y, pattern=pattern)
    wide = nn.Linear(17, 1)
    with pytest.raises(ValueError, match="no layer with a weight is called ''"):
        rank_scores(wide, "", np.zeros((2, 17), np.float32), np.zeros(2, int))
    wide = nn.Sequential(wide)
    with pytest.raises(ValueError, match="needs 1 to 16 groups, numbered from 0; got 17"):
        rank_scores(wide, "0", np.zeros((2, 17), np.float32), np.zeros(2, int), scores=["l1"])
    pruned = compress.prepare(nn.Sequential(nn.Linear(2, 2)), compress.Prune(0.5))
    with pytest.raises(ValueError, match=r"0.weight: it is prepared already"):
        rank_scores(pruned, "0", np.zeros((2, 2), np.float32), np.zeros(2, int))

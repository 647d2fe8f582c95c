"""What fit makes small: losses of one's own, penalties on the model, and how right it is in the end."""

import numpy as np
import pytest

import nn


def regression(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, 3)).astype(np.float32)
    y = (x @ np.array([[1.0], [-2.0], [0.5]], np.float32) + 0.3).astype(np.float32)
    return nn.Linear(3, 1, rng=np.random.default_rng(1)), x, y


def run(model, x, y, **how):
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    return nn.train.fit(model, x, y, epochs=how.pop("epochs", 3), optimizer=optimizer, batch_size=16,
                        rng=np.random.default_rng(2), **how)


def test_a_regression_by_a_loss_of_ones_own():
    model, x, y = regression()
    log = run(model, x, y, loss=nn.functional.mse_loss, epochs=30)
    assert log[-1].loss < 1e-3 < log[0].loss
    assert all(epoch.accuracy is None for epoch in log)
    np.testing.assert_allclose(model.weight.data, [[1.0, -2.0, 0.5]], atol=0.01)


def test_a_loss_is_that_of_the_batch_and_a_penalty_is_added_to_it():
    found = []
    for penalty in (None, lambda model: 0.01 * (model.weight**2).sum()):
        model, x, y = regression()
        seen = []
        run(model, x, y, loss=lambda out, target: ((out - target) ** 2).sum(), penalty=penalty, epochs=1,
            on_step=lambda step, loss, seen=seen: seen.append(loss))
        found.append(seen)
    model, x, y = regression()
    order = next(iter(nn.data.batches(x, y, 16, np.random.default_rng(2))))
    first = float(((model(order[0]).data - order[1]) ** 2).sum())
    np.testing.assert_allclose(found[0][0], first, rtol=1e-6)
    np.testing.assert_allclose(found[1][0], first + 0.01 * (model.weight.data**2).sum(), rtol=1e-6)


def test_a_penalty_shrinks_the_weights_as_weight_decay_does():
    weights = []
    for decay, penalty in ((0.2, None), (0.0, lambda m: 0.1 * sum((p * p).sum() for p in m.parameters()))):
        model, x, y = regression()
        optimizer = nn.optim.SGD(model.parameters(), lr=0.05, weight_decay=decay)
        nn.train.fit(model, x, y, epochs=4, optimizer=optimizer, rng=np.random.default_rng(0),
                     loss=nn.functional.mse_loss, penalty=penalty)
        weights.append(model.weight.data)
    np.testing.assert_allclose(*weights, rtol=1e-5)


def test_classes_count_with_another_loss_too_and_cross_entropy_is_the_default():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)).astype(np.float32), rng.integers(0, 3, 30)
    logs = [run(nn.Linear(4, 3, rng=np.random.default_rng(0)), x, y, **how)
            for how in ({}, {"loss": nn.functional.cross_entropy}, {"loss": nn.CrossEntropyLoss()})]
    assert logs[0] == logs[1] == logs[2]
    assert 0 <= logs[1][0].accuracy <= 1


def test_outputs_may_be_anything_that_the_loss_takes():
    class Two(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Linear(3, 1), nn.Linear(3, 2)

        def forward(self, x):
            return self.a(x), self.b(x)

    def loss(outputs, targets):
        return nn.functional.mse_loss(outputs[0], targets) + (outputs[1] ** 2).mean()

    _, x, y = regression()
    log = run(Two(), x, y, loss=loss, augment=lambda x, y, rng: (x + 0, y))
    assert log[-1].loss < log[0].loss
    model = Two()
    model.a.weight.data[:] = 1e38
    with pytest.raises(nn.train.Diverged, match="first layer whose output is not finite is 'a'"):
        run(model, 100 * x, y, loss=loss)


@pytest.mark.parametrize(("error", "message", "how"), [
    (TypeError, "loss must be a function, got str", {"loss": "mse"}),
    (TypeError, "penalty must be a function, got float", {"penalty": 0.1}),
    (TypeError, "loss must give a scalar Tensor, it gave a float", {"loss": lambda out, y: 1.0}),
    (ValueError, r"loss must give a scalar Tensor, .* of shape \(16, 1\)", {"loss": lambda out, y: out}),
    (TypeError, "penalty must give a scalar Tensor, it gave a int", {"penalty": lambda m: 0}),
    (TypeError, "y must be an array of integer classes", {"loss": None}),
    (ValueError, "y has NaN or infinity in row 7", {"y": np.where(np.arange(40) == 7, np.nan, 0)[:, None]}),
    (ValueError, r"y \(N, …\) with the same N", {"y": np.zeros((39, 1))}),
    (TypeError, "y must be an array of numbers", {"y": [1.0] * 40}),
])
def test_what_cannot_be_made_small_is_refused_by_name(error, message, how):
    model, x, y = regression()
    before = model.state_dict()
    with pytest.raises(error, match=message):
        run(model, x, how.pop("y", y), **{"loss": nn.functional.mse_loss, **how})
    np.testing.assert_array_equal(model.weight.data, before["weight"])


@pytest.mark.parametrize(("changed", "differs"), [
    ({"loss": nn.functional.l1_loss}, "loss was <function mse_loss>, is <function l1_loss>"),
    ({"penalty": None}, "penalty was <function .*>, is None"),
    ({"penalty": "other"}, "penalty, the code was #.*, is #"),
    ({"penalty": "stronger"}, "penalty, the code was #.*, is #"),
])
def test_a_checkpoint_knows_the_loss_and_the_penalty(tmp_path, changed, differs):
    def weighed(strength):
        return lambda model: strength * (model.weight**2).sum()

    penalties = {"stronger": weighed(0.2), "other": lambda model: 0.1 * (model.weight**2).mean(), None: None}
    model, x, y = regression()
    how = {"loss": nn.functional.mse_loss, "penalty": weighed(0.1), "checkpoint": tmp_path / "run"}
    log = run(model, x, y, **how)
    again, *_ = regression()
    assert run(again, x, y, **how) == log    # it goes on from the end
    np.testing.assert_array_equal(again.weight.data, model.weight.data)
    if "penalty" in changed:
        changed = {"penalty": penalties[changed["penalty"]]}
    with pytest.raises(ValueError, match=differs):
        run(regression()[0], x, y, **{**how, **changed})


# Top-k accuracy


def test_topk_accuracy_by_hand():
    outputs = np.array([[0.1, 0.9, 0.5, 0.3], [0.9, 0.1, 0.5, 0.3], [1.0, 1.0, 1.0, 1.0]], np.float32)
    classes = np.array([2, 1, 1])
    for k, right in ((1, 0), (2, 2), (3, 2), (4, 3)):    # of equals the lower classes come first
        assert nn.train.accuracy(lambda x: x, outputs, classes, k=k) == right / 3
    for k in (0, 5, True, 1.5):
        with pytest.raises(ValueError, match="k"):
            nn.train.accuracy(lambda x: x, outputs, classes, k=k)


def test_topk_accuracy_is_the_rank_of_the_class():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 7)).astype(np.float32), rng.integers(0, 7, 300)
    rank = (x > x[np.arange(300), y][:, None]).sum(1)
    for k in range(1, 8):
        assert nn.train.accuracy(lambda x: x, x, y, k=k) == np.mean(rank < k)

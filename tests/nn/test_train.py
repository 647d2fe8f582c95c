"""The training loop: the same seed gives the same weights, it learns, and it stops where it must."""

import numpy as np
import pytest

import nn
from nn import data, models, train
from nn.optim import SGD, Adam


def rng(seed=0):
    return np.random.default_rng(seed)


def blobs(n=90):
    """Three well separated classes in the plane."""
    y = np.arange(n) % 3
    centres = np.array([[0, 2], [2, -1], [-2, -1]], np.float32)
    return centres[y] + rng().normal(0, 0.3, (n, 2)).astype(np.float32), y


def network(seed=0):
    return nn.Sequential(nn.Linear(2, 8, rng=rng(seed)), nn.ReLU(), nn.Linear(8, 3, rng=rng(seed)))


def run(model, x, y, **changes):
    settings = {"epochs": 3, "optimizer": Adam(model.parameters(), 0.05), "rng": rng(), "batch_size": 16}
    return train.fit(model, x, y, **{**settings, "progress": False, **changes})


def test_it_learns_and_logs():
    x, y = blobs()
    model = network()
    log = run(model, x, y, epochs=20)
    assert len(log) == 20
    assert log[-1].loss < 0.1 < log[0].loss
    assert log[-1].accuracy == 1
    assert train.accuracy(model, x, y) == 1


def test_the_same_seed_gives_the_same_weights():
    x, y = blobs()
    states = []
    for seed in (0, 0, 1):
        model = network()
        run(model, x, y, rng=rng(seed))
        states.append(model.state_dict())
    assert all((states[0][name] == states[1][name]).all() for name in states[0])
    assert any((states[0][name] != states[2][name]).any() for name in states[0])


def test_digits_are_learned():
    digits = data.digits().validation_split()
    model = models.digits_mlp(0.3, rng=rng())
    run(model, digits.x_train, digits.y_train, epochs=4, optimizer=Adam(model.parameters(), 3e-3))
    assert train.accuracy(model, digits.x_test, digits.y_test) > 0.85


def test_the_log_is_of_the_whole_epoch_and_steps_are_counted():
    x, y = blobs(50)
    model = network()
    seen = []
    optimizer = SGD(model.parameters(), lr=0.0)
    log = run(model, x, y, optimizer=optimizer, epochs=2, on_step=lambda *step: seen.append(step))
    assert [step for step, _ in seen] == list(range(1, 9))
    logits = model(nn.Tensor(x))
    whole = nn.functional.cross_entropy(logits, y).item()
    for epoch in log:
        np.testing.assert_allclose(epoch.loss, whole, rtol=1e-5)
        assert epoch.accuracy == (logits.data.argmax(1) == y).mean()


def test_a_schedule_scales_the_learning_rate_and_gives_it_back():
    x, y = blobs(32)
    model = network()
    optimizer, seen = SGD(model.parameters(), lr=0.5), []
    settings = {"optimizer": optimizer, "schedule": train.cosine, "epochs": 4}
    run(model, x, y, **settings, on_step=lambda *_: seen.append(optimizer.lr))
    assert optimizer.lr == 0.5
    assert len(seen) == 8
    assert seen[0] == 0.5
    assert seen == sorted(seen, reverse=True)
    np.testing.assert_allclose(seen[4], 0.25)
    assert train.cosine(0) == 1
    assert train.cosine(1) == 0


def test_modes_come_back_as_they_were():
    x, y = blobs(20)
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3))
    model[1].eval()
    before = [module.training for _, module in model.named_modules()]
    run(model, x, y, epochs=1)
    assert model[1].num_batches_tracked == 2
    train.accuracy(model, x, y)
    assert model[1].num_batches_tracked == 2
    assert [module.training for _, module in model.named_modules()] == before
    with pytest.raises(ValueError, match="outputs"):
        run(model, x, y + 3)
    assert model[1].num_batches_tracked == 2
    assert [module.training for _, module in model.named_modules()] == before


def test_a_loss_that_is_not_finite_names_the_layer_and_changes_nothing():
    x, y = blobs()
    model = nn.Sequential({"first": network(), "norm": nn.BatchNorm1d(3)})
    run(model, x, y)
    model.first[2].weight.data[0, 0] = np.inf
    before = model.state_dict()
    with pytest.raises(FloatingPointError, match=r"loss is nan at step 1: .*'first\.2'") as caught:
        run(model, x, y)
    assert caught.value.layer == "first.2"
    after = model.state_dict()
    assert all((before[name] == after[name]).all() for name in before)
    assert not any("forward" in vars(module) for _, module in model.named_modules())


def test_a_learning_rate_that_is_far_too_large_ends_in_divergence_not_in_warnings():
    x, y = blobs()
    model = network()
    with pytest.raises(train.Diverged, match="smaller learning rate"):
        run(model, x, y, optimizer=SGD(model.parameters(), lr=1e30), epochs=20)


def test_accuracy_records_no_graph():
    class Watched(nn.Module):
        def __init__(self):
            self.inner = network()
            self.recorded = []

        def forward(self, x):
            out = self.inner(x)
            self.recorded.append(out.requires_grad)
            return out

    model = Watched()
    train.accuracy(model, X, Y)
    assert model.recorded == [False]


def test_accuracy_takes_any_callable_and_counts_the_short_batch():
    x, y = blobs(50)
    table = np.eye(3)[y]
    table[:10] = table[:10, [1, 2, 0]]
    rows = {row.tobytes(): out for row, out in zip(x, table, strict=True)}

    def lookup(inputs):
        return np.stack([rows[row.tobytes()] for row in inputs])

    for batch_size in (7, 50, 256):
        assert train.accuracy(lookup, x, y, batch_size=batch_size) == 0.8


def test_zero_epochs_change_nothing():
    x, y = blobs()
    model = network()
    before = model.state_dict()
    assert run(model, x, y, epochs=0) == []
    assert all((model.state_dict()[name] == before[name]).all() for name in before)


def test_a_bar_is_shown_when_wanted_only(capsys):
    x, y = blobs(20)
    for progress, shown in ((None, False), (False, False), (True, True), ("digits", True)):
        run(network(), x, y, epochs=1, progress=progress)
        err = capsys.readouterr().err
        assert ("step" in err) == shown
        assert ("digits" in err) == (progress == "digits")


X, Y = blobs(6)


@pytest.mark.parametrize(
    ("kind", "wanted", "change"),
    [
        (ValueError, "same N > 0", {"x": X[:0], "y": Y[:0]}),
        (ValueError, "same N > 0", {"y": Y[:5]}),
        (ValueError, "same N > 0", {"y": np.eye(3, dtype=int)[Y]}),
        (ValueError, "same N > 0", {"x": X[:, 0]}),
        (TypeError, "x must be an array of numbers", {"x": X.astype(str)}),
        (TypeError, "x must be an array of numbers", {"x": X.tolist()}),
        (TypeError, "y must be an array of integer", {"y": Y.astype(float)}),
        (ValueError, "row 2", {"x": np.where(np.arange(6)[:, None] == 2, np.nan, X).astype(np.float32)}),
        (ValueError, "class -1", {"y": Y - 1}),
        (ValueError, "class 3, but the model has 3", {"y": Y + 1}),
        (ValueError, "epochs", {"epochs": -1}),
        (ValueError, "epochs", {"epochs": 1.5}),
        (ValueError, "batch_size", {"batch_size": 0}),
        (TypeError, "rng", {"rng": 0}),
        (TypeError, "model", {"model": lambda x: x}),
        (TypeError, "optimizer", {"optimizer": "adam"}),
        (ValueError, "logits", {"model": nn.Sequential(nn.Flatten(0, 1))}),
    ],
)
def test_what_can_not_be_trained_on_is_refused(kind, wanted, change):
    model = network()
    before = model.state_dict()
    settings = {"model": model, "x": X, "y": Y, "epochs": 1, "rng": rng(), "progress": False}
    settings["optimizer"] = SGD(model.parameters(), lr=1.0)
    with pytest.raises(kind, match=wanted):
        train.fit(**{**settings, **change})
    assert all((model.state_dict()[name] == before[name]).all() for name in before)


@pytest.mark.parametrize(
    ("kind", "wanted", "model", "x", "y"),
    [
        (TypeError, "model", 3, X, Y),
        (ValueError, "same N > 0", network(), X[:0], Y[:0]),
        (TypeError, "y must be", network(), X, Y * 1.0),
        (ValueError, "must give", lambda x: x[:, 0], X, Y),
        (ValueError, "must give", lambda x: x[:1], X, Y),
    ],
)
def test_what_can_not_be_measured_is_refused(kind, wanted, model, x, y):
    with pytest.raises(kind, match=wanted):
        train.accuracy(model, x, y)

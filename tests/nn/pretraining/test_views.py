"""Contrastive pre-training: its views, what the network under the head is given, and that it learns."""

import numpy as np
import pytest

import nn
from nn.data.augment import Compose, Flip, Noise, Rotate, Shift
from nn.pretraining import Contrastive, ProjectionHead, Views, contrastive_loss

CHANGE = Compose((Shift(1), Rotate(15)))


def rng(seed=0):
    return np.random.default_rng(seed)


def images(n=12):
    return rng(1).uniform(0.1, 1, (n, 1, 8, 8)).astype(np.float32), np.arange(n) % 10


def test_views_are_two_draws_of_the_change():
    x, y = images()
    one = rng(5)
    first, second = Noise(0.1)(x, y, one)[0], Noise(0.1)(x, y, one)[0]
    views, labels = Views(Noise(0.1))(x, y, rng(5))
    np.testing.assert_array_equal(views, np.stack([first, second], 1))
    assert labels is y
    assert (views[:, 0] != views[:, 1]).any((1, 2, 3)).all()
    assert views.dtype == x.dtype
    np.testing.assert_array_equal(Views(Flip(1))(x, y, rng())[0], np.stack([x[..., ::-1]] * 2, 1))


def test_each_view_goes_through_the_network_by_itself_and_pairs_stay_together():
    model, (x, y) = nn.models.digits_mlp(0.2, rng=rng()), images()
    joined = Contrastive(model, 20, rng=rng(1))
    views, _ = Views(Noise(0.1))(x, y, rng())
    out = joined(nn.Tensor(views))
    assert out.shape == (12, 2, 64)
    for i in range(2):
        alone = joined.head(model.features(nn.Tensor(views[:, i])))
        np.testing.assert_allclose(out.data[:, i], alone.data, rtol=1e-5, atol=1e-6)
    loss = contrastive_loss(0.3)(out, nn.Tensor(y))
    assert loss.item() == nn.functional.nt_xent(out.data[:, 0], out.data[:, 1], 0.3).item()


def test_the_last_layer_is_not_touched_and_the_others_are_trained():
    model, (x, y) = nn.models.digits_cnn(0.2, rng=rng()), images(64)
    before = {name: value.copy() for name, value in model.state_dict().items()}
    joined = Contrastive(model, model.fc.weight.shape[1], rng=rng(1))
    log = nn.train.fit(joined, x, y, epochs=8, batch_size=32, rng=rng(), progress=False,
                       optimizer=nn.optim.Adam(joined.parameters(), 1e-2), augment=Views(CHANGE),
                       loss=contrastive_loss(0.5))
    assert log[-1].loss < log[0].loss
    for name, value in model.state_dict().items():
        assert (value == before[name]).all() == name.startswith("fc."), name


def test_the_labels_are_not_looked_at():
    x, y = images(32)
    found = []
    for labels in (y, np.zeros_like(y)):
        joined = Contrastive(nn.models.digits_mlp(0.1, rng=rng()), 10, rng=rng(1))
        nn.train.fit(joined, x, labels, epochs=1, rng=rng(), progress=False, augment=Views(CHANGE),
                     optimizer=nn.optim.Adam(joined.parameters()), loss=contrastive_loss())
        found.append(joined.state_dict())
    assert all((found[0][name] == found[1][name]).all() for name in found[0])


def test_other_views_of_new_images_are_found():
    """Of images that it has not seen: how often the nearest of 285 other views is that of the same image."""
    digits, model, right = nn.data.digits().validation_split(), nn.models.digits_mlp(0.5, rng=rng()), []
    joined = Contrastive(model, 50, rng=rng(1))
    views, _ = Views(CHANGE)(digits.x_test[:143], digits.y_test[:143], rng(2))
    for epochs in (0, 10):
        nn.train.fit(joined, digits.x_train, digits.y_train, epochs=epochs, batch_size=256, rng=rng(),
                     optimizer=nn.optim.Adam(joined.parameters(), 3e-3), augment=Views(CHANGE),
                     loss=contrastive_loss(), progress=False)
        z = joined(nn.Tensor(views)).data.reshape(286, -1)
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        nearest = (z @ z.T - 2 * np.eye(286)).argmax(1)
        right.append(np.mean(nearest == np.arange(286) ^ 1))
    assert right[1] > right[0] + 0.1


class NoFeatures(nn.Module):
    pass


@pytest.mark.parametrize(("error", "message", "call"), [
    (TypeError, "Views: change must be a function", lambda: Views(3)),
    (TypeError, r"Views: change must return two arrays \(x, y\), got ndarray",
     lambda: Views(lambda x, y, rng: x)(*images(), rng())),
    (TypeError, r"Compose: steps\[1\] must return two arrays \(x, y\), got tuple",
     lambda: Views(Compose((Shift(1), lambda x, y, rng: (x, None))))(*images(), rng())),
    (ValueError, r"Views: change must give images of one shape, got \(12, 1, 8, [1-7]\) and",
     lambda: Views(lambda x, y, rng: (x[..., :rng.integers(1, 8)], y))(*images(), rng())),
    (TypeError, "Contrastive: network must be a Module, got int", lambda: Contrastive(3, 10)),
    (TypeError, r"method features\(x\), which NoFeatures has not", lambda: Contrastive(NoFeatures(), 10)),
    (ValueError, "Contrastive: in_features must be .*got 0",
     lambda: Contrastive(nn.models.digits_mlp(0.1), 0)),
    (ValueError, r"views must be \(N, 2, …\).*\(4, 1, 8, 8\)",
     lambda: Contrastive(nn.models.digits_mlp(0.1), 10)(nn.Tensor(images(4)[0]))),
    (ValueError, "contrastive_loss: temperature must be > 0 .*got 0", lambda: contrastive_loss(0)),
    (TypeError, "contrastive_loss: temperature", lambda: contrastive_loss(None)),
    (TypeError, "Contrastive: head must be a Module, got int",
     lambda: Contrastive(nn.models.digits_mlp(0.1), 10, head=3)),
    (TypeError, "Contrastive: wanted a Tensor or an array, got list",
     lambda: Contrastive(nn.models.digits_mlp(0.1), 10)([1])),
    (TypeError, "contrastive_loss: z must be a Tensor or an array, got int",
     lambda: contrastive_loss()(3, None)),
    (ValueError, r"contrastive_loss: z must be \(N, 2, D\).*got \(4, 3, 8\)",
     lambda: contrastive_loss()(nn.zeros(4, 3, 8), None)),
    (ValueError, r"contrastive_loss: z must be \(N, 2, D\).*got \(4, 8\)",
     lambda: contrastive_loss()(nn.zeros(4, 8), None)),
    (ValueError, "nt_xent: wants at least 2 images, got 1: a batch of one",
     lambda: contrastive_loss()(nn.Tensor(np.ones((1, 2, 3), np.float32)), None))])
def test_bad_input_is_refused(error, message, call):
    with pytest.raises(error, match=message):
        call()


def test_views_may_be_an_array_and_none():
    x, y = images(4)
    views, _ = Views(CHANGE)(x, y, rng())
    joined = Contrastive(nn.models.digits_mlp(0.1, rng=rng()), 10, rng=rng(1))
    np.testing.assert_array_equal(joined(views).data, joined(nn.Tensor(views)).data)
    assert joined(views[:0]).shape == (0, 2, 64)


def test_a_last_batch_of_one_is_refused_by_name():
    x, y = images(9)
    joined = Contrastive(nn.models.digits_mlp(0.1, rng=rng()), 10, rng=rng(1))
    with pytest.raises(ValueError, match="a batch of one"):
        nn.train.fit(joined, x, y, epochs=1, batch_size=4, rng=rng(), progress=False, augment=Views(CHANGE),
                     optimizer=nn.optim.Adam(joined.parameters()), loss=contrastive_loss())


def test_the_head_is_two_layers():
    head = ProjectionHead(5, 7, 3, rng=rng())
    h = rng(1).normal(size=(4, 5)).astype(np.float32)
    want = np.maximum(h @ head.fc1.weight.data.T + head.fc1.bias.data, 0) @ head.fc2.weight.data.T
    np.testing.assert_allclose(head(nn.Tensor(h)).data, want + head.fc2.bias.data, rtol=1e-5, atol=1e-6)

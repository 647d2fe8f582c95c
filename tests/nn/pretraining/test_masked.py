"""Masked pre-training: what is hidden, that only it counts, and that it learns."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn.pretraining import Masks, Reconstruction, reconstruction_loss


def rng(seed=0):
    return np.random.default_rng(seed)


def images(n=12, c=1, h=8, w=8):
    return rng(1).uniform(0.1, 1, (n, c, h, w)).astype(np.float32), np.arange(n) % 10


@given(size=st.sampled_from([1, 2, 4]), hidden=st.floats(0.01, 0.99), c=st.integers(1, 3),
       n=st.integers(0, 5), seed=st.integers(0, 99))
def test_as_many_patches_as_were_asked_for_are_0_and_the_target_is_the_image(size, hidden, c, n, seed):
    x, y = images(n, c, 8, 12)
    kept = x.copy()
    masked, targets = Masks(size, hidden)(x, y, rng(seed))
    assert (x == kept).all()
    np.testing.assert_array_equal(targets[:, 0], x)
    mask = targets[:, 1]
    np.testing.assert_array_equal(masked, np.where(mask == 1, 0, x))
    assert (mask == mask[:, :1]).all(), "channels share it"
    patches = mask[:, 0].reshape(n, 8 // size, size, 12 // size, size)
    assert (patches == patches[:, :, :1, :, :1]).all()
    many = 8 * 12 // size**2
    hidden_ones = patches[:, :, 0, :, 0].reshape(n, many).sum(axis=1)
    assert (hidden_ones == min(max(round(hidden * many), 1), many - 1)).all()
    again = Masks(size, hidden)(x, y, rng(seed))
    assert (again[0] == masked).all()


def test_every_patch_is_hidden_as_often():
    x, y = images(4000)
    mask = Masks(4, 0.25)(x, y, rng())[1][:, 1, 0, ::4, ::4].reshape(4000, 4)
    assert (mask.sum(axis=1) == 1).all()
    assert np.abs(mask.mean(axis=0) - 0.25).max() < 4 * (0.25 * 0.75 / 4000) ** 0.5


@given(st.integers(0, 99))
def test_only_what_is_hidden_counts(seed):
    x, y = images(5)
    _, targets = Masks(2, 0.5)(x, y, rng(seed))
    mask = targets[:, 1].astype(bool)
    made = nn.Tensor(rng(seed).normal(size=x.shape).astype(np.float32), requires_grad=True)
    loss = reconstruction_loss(made, nn.Tensor(targets))
    loss.backward()
    assert loss.item() == pytest.approx(np.mean((made.data - x)[mask] ** 2, dtype=np.float64), rel=1e-5)
    assert not made.grad[~mask].any()
    assert made.grad[mask].any()
    seen = nn.Tensor(np.where(mask, x, 99).astype(np.float32))
    assert reconstruction_loss(seen, nn.Tensor(targets)).item() == 0


def test_the_last_layer_is_not_touched_and_hidden_pixels_are_learned():
    digits, model = nn.data.digits().validation_split(), nn.models.digits_mlp(0.5, rng=rng())
    before = {name: value.copy() for name, value in model.state_dict().items()}
    joined = Reconstruction(model, 50, (1, 8, 8), rng=rng(1))
    log = nn.train.fit(joined, digits.x_train, digits.y_train, epochs=6, rng=rng(), augment=Masks(),
                       optimizer=nn.optim.Adam(joined.parameters(), 3e-3), loss=reconstruction_loss,
                       progress=False)
    assert log[-1].accuracy is None
    variance = digits.x_train.var(axis=0).mean()  # the loss of the mean image
    assert log[-1].loss < 0.9 * variance
    for name, value in model.state_dict().items():
        assert (value == before[name]).all() == name.startswith("fc3."), name


@pytest.mark.parametrize(("error", "message", "call"), [
    (ValueError, "Masks: size must be .*got 0", lambda: Masks(0)),
    (ValueError, "Masks: hidden must be in .*got 0", lambda: Masks(2, 0)),
    (ValueError, "Masks: hidden .*got 1", lambda: Masks(2, 1)),
    (ValueError, "8×8 are not several whole patches of 3×3", lambda: Masks(3)(*images(), rng())),
    (ValueError, "8×8 are not several whole patches of 8×8", lambda: Masks(8)(*images(), rng())),
    (ValueError, r"Masks: x must be images .*\(4, 64\)",
     lambda: Masks()(images(4)[0].reshape(4, 64), np.arange(4), rng())),
    (TypeError, "Masks: x must be a NumPy array", lambda: Masks()([1.0], np.arange(1), rng())),
    (TypeError, "Masks: rng must be a numpy.random.Generator, got int", lambda: Masks()(*images(), 3)),
    *((ValueError, rf"Reconstruction: image must be a shape \(C, H, W\), got {re.escape(str(image))}",
      lambda image=image: Reconstruction(nn.models.digits_mlp(0.1), 10, image))
      for image in (8, (8, 8), None)),
    *((ValueError, rf"Reconstruction: image\[2\] must be a whole number >= 1, got {n}",
       lambda n=n: Reconstruction(nn.models.digits_mlp(0.1), 10, (1, 8, n))) for n in (0, -8, 8.5)),
    (ValueError, "Reconstruction: in_features must be a whole number",
     lambda: Reconstruction(nn.models.digits_mlp(0.1), 1.5, (1, 8, 8))),
    (TypeError, "reconstruction_loss: targets must be a Tensor, got int",
     lambda: reconstruction_loss(nn.zeros(2, 1, 8, 8), 3)),
    (TypeError, "Reconstruction: network must be a Module", lambda: Reconstruction(None, 3, (1, 8, 8))),
    (ValueError, "reconstruction_loss: nothing is hidden",
     lambda: reconstruction_loss(nn.zeros(2, 1, 8, 8), nn.zeros(2, 2, 1, 8, 8))),
    (ValueError, r"want targets \(N, 2, …\).*\(2, 1, 8, 8\)",
     lambda: reconstruction_loss(nn.Tensor(images(2)[0]), nn.Tensor(images(2)[0])))])
def test_bad_input_is_refused(error, message, call):
    with pytest.raises(error, match=message):
        call()

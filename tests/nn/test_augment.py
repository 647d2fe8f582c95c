"""Augmentation: what each does to an image, worked out by hand, and that a seed decides all of it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn.data.augment import Compose, Crop, Cutout, Flip, Mixup, Noise, Rotate, Shift, rotated
from tests.nn import killed

ALL = [Flip(), Crop(5, 1), Crop(), Shift(2), Rotate(30), Noise(0.1), Cutout(3), Mixup(10, 0.4)]
EVERYTHING = Compose(ALL)
SHAPES = st.tuples(st.integers(0, 5), st.integers(1, 3), st.integers(5, 9), st.integers(5, 9))


def rng(seed=0):
    return np.random.default_rng(seed)


def batch(shape=(20, 2, 6, 7), dtype=np.float32):
    """Images without a 0, and classes."""
    return rng(1).uniform(1, 2, shape).astype(dtype), rng(2).integers(0, 10, shape[0])


# Of all


@pytest.mark.parametrize("augment", [*ALL, EVERYTHING], ids=lambda a: repr(a)[:20])
@given(SHAPES, st.sampled_from([np.float32, np.float64]), st.integers(0, 99))
def test_a_seed_decides_the_bits_and_nothing_is_written_to(augment, shape, dtype, seed):
    x, y = batch(shape, dtype)
    kept = x.copy(), y.copy()
    (a, b), (again, b_again) = augment(x, y, rng(seed)), augment(x, y, rng(seed))
    assert a.tobytes() == again.tobytes()
    assert b.tobytes() == b_again.tobytes()
    assert a.dtype == dtype
    assert len(a) == len(b) == len(x)
    assert (x == kept[0]).all()
    assert (y == kept[1]).all()
    assert not np.shares_memory(a, x)


@pytest.mark.parametrize("augment", [a for a in ALL if not isinstance(a, Noise)], ids=lambda a: repr(a))
def test_channels_share_what_is_drawn(augment):
    x, y = batch()
    x[:, 1] = x[:, 0]
    a, _ = augment(x, y, rng())
    np.testing.assert_array_equal(a[:, 1], a[:, 0])
    assert len({image.tobytes() for image in a}) == len(x)


@pytest.mark.parametrize("augment", [*ALL, EVERYTHING], ids=lambda a: repr(a)[:20])
def test_it_prints_as_what_builds_it(augment):
    assert eval(repr(augment), vars(nn.data.augment)) == augment


def test_composed_steps_follow_each_other_with_one_generator():
    x, y = batch()
    one, together = rng(), Compose([Flip(), Noise(0.1)])(x, y, rng())
    want = Noise(0.1)(*Flip()(x, y, one), one)
    np.testing.assert_array_equal(together[0], want[0])
    np.testing.assert_array_equal(Compose(())(x, y, rng())[0], x)


# Of each


@pytest.mark.parametrize(("p", "low", "high"), [(0.0, 0, 0), (1.0, 400, 400), (0.25, 70, 130)])
def test_flip(p, low, high):
    x, y = batch((400, 1, 5, 6))
    a, b = Flip(p)(x, y, rng())
    flipped = (a == x[..., ::-1]).all((1, 2, 3))
    assert ((a == x).all((1, 2, 3)) ^ flipped).all()
    assert low <= flipped.sum() <= high
    assert b is y


def windows(x, size, padding):
    """Every window that a crop may take, by its place."""
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    high, wide = size
    return {(i, j): padded[:, i:i + high, j:j + wide] for i in range(padded.shape[1] - high + 1)
            for j in range(padded.shape[2] - wide + 1)}


@pytest.mark.parametrize(("augment", "size", "padding"), [
    (Crop(4, 0), (4, 4), 0), (Crop(3, 1), (3, 3), 1), (Crop(None, 2), (6, 7), 2), (Shift(1), (6, 7), 1),
    (Shift(0), (6, 7), 0), (Crop(8, 1), (8, 8), 1)])
def test_crop_and_shift_take_every_window_there_is(augment, size, padding):
    x, y = batch((1, 2, 6, 7))
    a, _ = augment(np.repeat(x, 500, axis=0), np.repeat(y, 500), rng())
    there = {window.tobytes() for window in windows(x[0], size, padding).values()}
    assert {image.tobytes() for image in a} == there
    assert a.shape == (500, 2, *size)


@pytest.mark.parametrize(("turns", "degrees"), [(0, 0), (1, 90), (2, 180), (3, -90), (4, 360)])
def test_quarter_turns_move_pixels(turns, degrees):
    x, _ = batch((3, 2, 6, 6))
    np.testing.assert_allclose(rotated(x, degrees), np.rot90(x, turns, (2, 3)), rtol=1e-6)
    np.testing.assert_allclose(rotated(x, np.full(3, degrees)), rotated(x, degrees))


@given(st.floats(-180, 180))
def test_a_turned_plane_is_a_turned_plane(degrees):
    """Bilinear means give a linear function its exact value; where the image ends, 0."""
    n, angle = 9, math.radians(degrees)
    down, across = np.mgrid[:n, :n] - (n - 1) / 2
    x = (10 + 0.3 * down - 0.5 * across)[None, None]
    sin, cos = math.sin(angle), math.cos(angle)
    sy, sx = across * sin + down * cos, across * cos - down * sin
    inside = np.maximum(np.abs(sy), np.abs(sx)) <= (n - 1) / 2 - 1e-9
    outside = np.maximum(np.abs(sy), np.abs(sx)) >= (n + 1) / 2
    turned = rotated(x, degrees)[0, 0]
    np.testing.assert_allclose(turned[inside], (10 + 0.3 * sy - 0.5 * sx)[inside], rtol=1e-12)
    assert not turned[outside].any()


def test_rotate_draws_angles_up_to_the_largest():
    x, y = batch((200, 1, 6, 6))
    a, _ = Rotate(20)(x, y, rng())
    angles = rng().uniform(-20, 20, 200)
    np.testing.assert_array_equal(a, rotated(x, angles))
    np.testing.assert_allclose(Rotate(0)(x, y, rng())[0], x, rtol=1e-6)


def test_noise_is_normal():
    x, y = batch((100, 3, 8, 8))
    noise = Noise(0.5)(x, y, rng())[0].astype(float) - x
    assert abs(noise.mean()) < 4 * 0.5 / math.sqrt(x.size)
    assert noise.std() == pytest.approx(0.5, rel=0.02)
    assert (Noise(0)(x, y, rng())[0] == x).all()


@pytest.mark.parametrize("size", [1, 2, 3, 99])
def test_cutout_sets_a_square_to_0(size):
    x, y = batch((300, 2, 6, 7))
    a, _ = Cutout(size)(x, y, rng())
    hole = a == 0
    assert ((a == x) | hole).all()
    sizes = set()
    for image in hole[:, 0]:
        rows, columns = image.any(1).sum(), image.any(0).sum()
        assert image.sum() == rows * columns, "a rectangle"
        sizes.add((rows, columns))
    half = math.ceil(size / 2)
    assert max(sizes) == (min(size, 6), min(size, 7))
    assert min(sizes) == (min(half, 6), min(half, 7)), "in the corner at the top and left"
    where = hole[:, 0].sum(0)
    assert (where > 0).all(), "no pixel is safe"


def test_mixup_mixes_pairs_and_their_classes_alike():
    x, y = batch((30, 1, 5, 5), np.float64)
    x[:, 0, 0, 0] = y                       # an image that tells its class
    a, b = Mixup(10, 1.0)(x, y, rng())
    assert b.shape == (30, 10)
    assert b.dtype == x.dtype
    np.testing.assert_allclose(b.sum(1), 1)
    np.testing.assert_allclose(b @ np.arange(10), a[:, 0, 0, 0], rtol=1e-12)
    share = max(b[0])
    assert {round(v, 9) for v in np.unique(b)} <= {0, 1, round(share, 9), round(1 - share, 9)}
    again, c = Mixup(10, 1.0)(a, b, rng(1))
    np.testing.assert_allclose(c @ np.arange(10), again[:, 0, 0, 0], rtol=1e-12)
    np.testing.assert_array_equal(Mixup(10, 0)(x, y, rng())[0], x)


X, Y = batch((4, 1, 5, 5))


@pytest.mark.parametrize(("error", "message", "call"), [
    (ValueError, "Flip: p must be .*got 1.5", lambda: Flip(1.5)),
    (ValueError, "Flip: p .*got nan", lambda: Flip(math.nan)),
    (TypeError, "Flip: p must be a number, got 'x'", lambda: Flip("x")),
    (ValueError, "Crop: size must be >= 1, got 0", lambda: Crop(0)),
    (TypeError, "Crop: padding .*1.5", lambda: Crop(3, 1.5)),
    (ValueError, "Crop: size 8 is more than an image of 5×5 with padding 1", lambda: Crop(8, 1)(X, Y, rng())),
    (ValueError, "Shift: pixels .*-1", lambda: Shift(-1)),
    (ValueError, "Rotate: degrees .*361", lambda: Rotate(361)),
    (ValueError, "Noise: std .*inf", lambda: Noise(math.inf)),
    (TypeError, "Cutout: size .*True", lambda: Cutout(True)),
    (ValueError, "Mixup: alpha .*-1", lambda: Mixup(3, -1)),
    (TypeError, "Mixup: classes .*None", lambda: Mixup(None)),
    (ValueError, r"Mixup: y must be in 0\.\.2", lambda: Mixup(3)(X, np.array([0, 1, 2, 3]), rng())),
    (ValueError, r"Mixup: y must be integers .*\(4, 2\)", lambda: Mixup(3)(X, np.ones((4, 2)), rng())),
    (TypeError, r"Compose: steps\[1\]", lambda: Compose((Flip(), 3))),
    (TypeError, "Noise: x must be a NumPy array, got list", lambda: Noise()(X.tolist(), Y, rng())),
    (TypeError, "Rotate: x must be floats, got int64", lambda: Rotate()(X.astype(int), Y, rng())),
    (ValueError, r"Cutout: x must be images .*\(4, 25\)", lambda: Cutout()(X.reshape(4, 25), Y, rng())),
    (ValueError, "Shift: x and y .*equally many rows", lambda: Shift()(X, Y[:3], rng())),
    (TypeError, "Flip: rng must be a numpy.random.Generator, got int", lambda: Flip()(X, Y, 0)),
])
def test_bad_settings_and_batches_are_refused(error, message, call):
    with pytest.raises(error, match=message):
        call()


# In training


def brightness(x, y, rng):
    """An augmentation of one's own, for rows that are no images."""
    return x * rng.uniform(0.9, 1.1, (len(x), 1)).astype(x.dtype), y


def half_and_half(x, y, rng):
    order, share = rng.permutation(len(x)), np.float32(rng.random())
    soft = np.eye(3, dtype=np.float32)[y]
    return share * x + (1 - share) * x[order], share * soft + (1 - share) * soft[order]


class Stop(Exception):
    pass


@pytest.mark.parametrize("augment", [brightness, half_and_half])
@pytest.mark.parametrize("prefetch", [0, 3])
def test_a_run_with_augmentation_resumes_to_the_same_bits(tmp_path, monkeypatch, augment, prefetch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    whole = killed.train(epochs=2, augment=augment)
    plain = killed.train(epochs=2)
    assert whole["0.weight"].tobytes() != plain["0.weight"].tobytes()
    for at in (1, 5, 7, 8, 13):
        def stop(step, loss, at=at):
            if step == at:
                raise Stop

        how = {"epochs": 2, "augment": augment, "prefetch": prefetch}
        with pytest.raises(Stop):
            killed.train(tmp_path / f"{at}", 2, on_step=stop, **how)
        end = killed.train(tmp_path / f"{at}", 2, **how)
        assert {k: v.tobytes() for k, v in end.items()} == {k: v.tobytes() for k, v in whole.items()}


def test_prefetch_without_augmentation_changes_no_bit():
    a, b = killed.train(epochs=1), killed.train(epochs=1, prefetch=2)
    assert {k: v.tobytes() for k, v in a.items()} == {k: v.tobytes() for k, v in b.items()}


def test_a_checkpoint_of_another_augmentation_is_refused(tmp_path):
    killed.train(tmp_path / "run", epochs=1, augment=brightness)
    with pytest.raises(ValueError, match="augment was <function brightness>, is None"):
        killed.train(tmp_path / "run", epochs=1)


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize(("error", "message", "augment"), [
    (TypeError, "augment must be a function", 3),
    (TypeError, r"augment must return two arrays .*ndarray", lambda x, y, rng: x),
    (ValueError, r"must return x \(16, …\).*\(15, 6\)", lambda x, y, rng: (x[1:], y)),
    (ValueError, r"must return .*float64 \(16,\)", lambda x, y, rng: (x, y * 0.5)),
    (ValueError, r"probabilities \(16, 2\), but the model logits \(16, 3\)",
     lambda x, y, rng: (x, np.ones((len(x), 2), np.float32))),
    (ZeroDivisionError, "division", lambda x, y, rng: 1 / 0),
])
def test_a_bad_augmentation_is_refused(error, message, augment, prefetch):
    model = killed.network()
    before = model.state_dict()
    with pytest.raises(error, match=message):
        killed.train(model=model, augment=augment, prefetch=prefetch)
    assert all((model.state_dict()[name] == before[name]).all() for name in before)


def test_shifted_digits_are_learned_better_with_shifts():
    """What augmentation is for: a network that saw digits at their places alone fails on moved ones."""
    digits = nn.data.digits().validation_split()
    moved, _ = Shift(1)(digits.x_test, digits.y_test, rng(5))
    right = []
    for augment in (None, Shift(1)):
        model = nn.models.digits_mlp(0.3, rng=rng())
        nn.train.fit(model, digits.x_train, digits.y_train, epochs=8, rng=rng(), progress=False,
                     augment=augment, optimizer=nn.optim.Adam(model.parameters(), 3e-3))
        right.append(nn.train.accuracy(model, moved, digits.y_test))
    assert right[1] > right[0] + 0.05

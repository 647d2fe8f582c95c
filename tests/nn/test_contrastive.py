"""NT-Xent: PyTorch's numbers (recorded by record_contrastive.py), and its laws, each of which a planted
mutant breaks."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn import functional as F
from nn.functional import nt_xent

RECORDED = np.load(Path(__file__).parents[1] / "golden" / "torch_contrastive.npz")


@pytest.mark.parametrize("i", range(4))
def test_values_and_gradients_are_those_of_pytorch(i):
    a, b = (nn.Tensor(RECORDED[f"{name}{i}"], requires_grad=True) for name in "ab")
    temperature = float(RECORDED["temperature"][i])
    loss = nt_xent(a, b, temperature)
    loss.backward()
    np.testing.assert_allclose(loss.item(), RECORDED[f"mean{i}"], rtol=1e-12)
    each = nt_xent(a, b, temperature, reduction="none").data
    np.testing.assert_allclose(each, RECORDED[f"none{i}"], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(a.grad, RECORDED[f"da{i}"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(b.grad, RECORDED[f"db{i}"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(nt_xent(a, b, temperature, reduction="sum").item(), each.sum(), rtol=1e-12)


# Laws: each takes a loss(a, b, temperature), as nt_xent is one, and a seed.


def pairs(seed):
    """Two views of some images, and a temperature."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(2, 7), rng.integers(2, 6)
    return *rng.normal(size=(2, *shape)), float(rng.uniform(0.1, 2))


def value(loss, *arguments):
    return loss(*arguments).item()


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def identical_views_of_orthogonal_images(loss, seed):
    """Each view has itself at cosine 1 and 2N − 2 others at 0: log(1 + (2N − 2)·e^(−1/τ))."""
    *_, temperature = pairs(seed)
    n = 2 + seed % 5
    z = np.eye(n, n + 1)
    close(value(loss, z, z, temperature), np.log1p((2 * n - 2) * np.exp(-1 / temperature)))


def opposite_views_of_two_images(loss, seed):
    """±e₁ and ±e₂: the right one is the farthest, at −1, two others at 0: log(1 + 2·e^(1/τ))."""
    *_, temperature = pairs(seed)
    z = np.eye(2)
    close(value(loss, z, -z, temperature), np.log1p(2 * np.exp(1 / temperature)))


def only_directions_count(loss, seed):
    a, b, temperature = pairs(seed)
    scale = np.random.default_rng(seed).uniform(0.01, 100, (2, len(a), 1))
    close(value(loss, a * scale[0], b * scale[1], temperature), value(loss, a, b, temperature))


def the_order_of_pairs_does_not_count(loss, seed):
    a, b, temperature = pairs(seed)
    order = np.random.default_rng(seed).permutation(len(a))
    close(value(loss, a[order], b[order], temperature), value(loss, a, b, temperature))


def which_view_is_first_does_not_count(loss, seed):
    a, b, temperature = pairs(seed)
    close(value(loss, b, a, temperature), value(loss, a, b, temperature))


def a_rotation_of_all_does_not_count(loss, seed):
    a, b, temperature = pairs(seed)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(a.shape[1],) * 2))[0]
    close(value(loss, a @ turn, b @ turn, temperature), value(loss, a, b, temperature))


def it_is_within_its_bounds(loss, seed):
    """The cosines are within ±1, so all is between log(1 + (2N − 2)·e^(∓2/τ))."""
    a, b, temperature = pairs(seed)
    low, high = (np.log1p((2 * len(a) - 2) * np.exp(sign * 2 / temperature)) for sign in (-1, 1))
    assert low - 1e-9 <= value(loss, a, b, temperature) <= high + 1e-9


def the_gradient_is_across_each_row(loss, seed):
    """A row that grows changes nothing: its gradient has no part along it."""
    a, b, temperature = pairs(seed)
    a, b = nn.Tensor(a, requires_grad=True), nn.Tensor(b, requires_grad=True)
    loss(a, b, temperature).backward()
    for x in (a, b):
        assert np.abs(x.grad).max() > 0
        close((x.grad * x.data).sum(1), 0)


LAWS = [identical_views_of_orthogonal_images, opposite_views_of_two_images, only_directions_count,
        the_order_of_pairs_does_not_count, which_view_is_first_does_not_count,
        a_rotation_of_all_does_not_count, it_is_within_its_bounds, the_gradient_is_across_each_row]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@given(seed=st.integers(0, 2**31))
def test_it_is_lawful(law, seed):
    law(nt_xent, seed)


def mutant(a, b, temperature, normalized=lambda z: z / z.norm(dim=1, keepdim=True), itself=-np.inf,
           scale=lambda s, t: s / t, other=None, rows=None):
    """nt_xent, with one thing wrong."""
    z, n = normalized(F.cat([nn.Tensor(a) if isinstance(a, np.ndarray) else a, b])), len(a)
    similarity = scale(z @ z.T, temperature)
    if itself is not None:
        similarity = similarity.masked_fill(np.eye(2 * n, dtype=bool), itself)
    right = np.roll(np.arange(2 * n), n) if other is None else other(n)
    return F.cross_entropy(similarity[:rows and rows(n)], right[:rows and rows(n)])


def in_order(a, b, temperature):
    """The first pair counts twice."""
    each = nt_xent(a, b, temperature, reduction="none")
    return (each.sum() + each[0]) / (len(each) + 1)


def centred(a, b, temperature):
    """Less the mean of all: no rotation, scale or order tells, but what the images are."""
    z = F.cat([nn.Tensor(a) if isinstance(a, np.ndarray) else a, b])
    z = z - z.mean(0, keepdim=True)
    return nt_xent(z[:len(a)], z[len(a):], temperature)


def axis_for_axis(a, b, temperature):
    """|x| in place of x."""
    a, b = (nn.Tensor(x) if isinstance(x, np.ndarray) else x for x in (a, b))
    return nt_xent(a.abs(), b.abs(), temperature)


KILLED_BY = {  # mutant → a law that it breaks
    "lengths count": (lambda *x: mutant(*x, normalized=lambda z: z), only_directions_count),
    "a length of all rows": (lambda *x: mutant(*x, normalized=lambda z: z / z.norm()),
                             the_gradient_is_across_each_row),
    "itself is one of the others": (lambda *x: mutant(*x, itself=None), identical_views_of_orthogonal_images),
    "itself counts as 0": (lambda *x: mutant(*x, itself=0.0), opposite_views_of_two_images),
    "times the temperature": (lambda *x: mutant(*x, scale=lambda s, t: s * t),
                              identical_views_of_orthogonal_images),
    "the next is the right one": (lambda *x: mutant(*x, other=lambda n: np.roll(np.arange(2 * n), 1)),
                                  the_order_of_pairs_does_not_count),
    "one way only": (lambda *x: mutant(*x, rows=lambda n: n), which_view_is_first_does_not_count),
    "a sum": (lambda *x: nt_xent(*x, reduction="sum"), it_is_within_its_bounds),
    "the first counts twice": (in_order, the_order_of_pairs_does_not_count),
    "centred": (centred, the_gradient_is_across_each_row),
    "without signs": (axis_for_axis, a_rotation_of_all_does_not_count)}


@pytest.mark.parametrize("name", KILLED_BY)
def test_a_mutant_breaks_a_law(name):
    loss, law = KILLED_BY[name]
    broken = 0
    for seed in range(10):
        try:
            law(loss, seed)
        except AssertionError:
            broken += 1
    assert broken >= 5


def test_each_law_kills_a_mutant():
    assert {law for _, law in KILLED_BY.values()} == set(LAWS)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_derivatives_are_those_of_differences(temperature):
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 3, 4))
    assert nn.gradcheck(lambda a, b: nt_xent(a, b, temperature), a, b, order=2)


def test_float16_is_rounded_once():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 3)).astype(np.float16)
    loss = nt_xent(a, b, 0.05)
    assert loss.dtype == np.float16
    assert loss.data == nt_xent(a.astype(np.float32), b.astype(np.float32), 0.05).data.astype(np.float16)


def test_rows_of_zeros_have_no_direction_and_a_finite_loss():
    a, b = np.zeros((2, 4, 3))
    x = nn.Tensor(a, requires_grad=True)
    loss = nt_xent(x, b)
    loss.backward()
    assert loss.item() == pytest.approx(np.log(7))
    assert np.isfinite(x.grad).all()


def test_a_low_temperature_does_not_overflow():
    a, b = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)
    assert np.isfinite(nt_xent(a, b, 1e-3).item())


@pytest.mark.parametrize(("error", "message", "call"), [
    (ValueError, "at least 2 images, got 1: a batch of one",
     lambda: nt_xent(np.ones((1, 4)), np.ones((1, 4)))),
    (ValueError, "at least 2 images, got 0", lambda: nt_xent(np.ones((0, 4)), np.ones((0, 4)))),
    (ValueError, "nt_xent: temperature must be > 0 .*got 0", lambda: nt_xent(np.eye(2), np.eye(2), 0)),
    (ValueError, "nt_xent: temperature .*got -0.5", lambda: nt_xent(np.eye(2), np.eye(2), -0.5)),
    (ValueError, "nt_xent: temperature .*got nan", lambda: nt_xent(np.eye(2), np.eye(2), np.nan)),
    (TypeError, "nt_xent: temperature must be a number", lambda: nt_xent(np.eye(2), np.eye(2), "warm")),
    (ValueError, r"input \(2, 2\) and other \(3, 3\) must both be \(N, D\)",
     lambda: nt_xent(np.eye(2), np.eye(3))),
    (ValueError, r"must both be \(N, D\)", lambda: nt_xent(np.ones((2, 2, 2)), np.ones((2, 2, 2)))),
    (ValueError, "reduction", lambda: nt_xent(np.eye(2), np.eye(2), reduction="median"))])
def test_bad_input_is_refused(error, message, call):
    with pytest.raises(error, match=message):
        call()

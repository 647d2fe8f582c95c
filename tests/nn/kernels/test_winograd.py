"""What F(2×2, 3×3) rests on: its matrices, the filters it keeps, an error no larger than a plain sum's."""

import pickle
import sys

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from nn.kernels import winograd_conv2d

spec = sys.modules["nn.kernels.winograd_conv2d"]
U = 2.0**-24


def test_the_matrices_make_a_convolution():
    """y[p] = Σ d[i]·g[k] over i = p + k: in one dimension every way through a product cancels but those."""
    ways = np.einsum("px,xi,xk->pik", spec.AT, spec.BT, spec.G)
    p, i, k = np.indices(ways.shape)
    assert np.array_equal(ways, i == p + k)
    assert np.array_equal(spec.G_BACK @ spec.G, np.eye(3))


def test_it_multiplies_four_times_for_six():
    """F(2,3) has 4 products for 2 outputs of 3 taps; nested, 16 for 36 (Lavin & Gray 2016, §4.1)."""
    products, outputs = spec.AT.shape[1], spec.AT.shape[0]
    assert (products, outputs * 3) == (4, 6)
    assert (outputs * 3) ** 2 / products**2 == 2.25


FILTERS = {
    "normal": np.random.default_rng(0).standard_normal((20, 7, 3, 3)),
    "of every size": np.random.default_rng(1).standard_normal((20, 7, 3, 3))
    * 10.0 ** np.random.default_rng(2).integers(-30, 30, (20, 7, 3, 3)),
    "one large": np.where(np.arange(9).reshape(3, 3) == 4, 1e30, 1e-30) * np.ones((2, 2, 1, 1)),
    "powers of 2 and their neighbours": np.nextafter(np.float32(2), np.float32(0)) * np.ones((2, 2, 3, 3)),
    "subnormal": np.random.default_rng(3).integers(-99, 99, (4, 4, 3, 3)) * 2.0**-149,
    "zeros": np.zeros((2, 2, 3, 3)),
}


@pytest.mark.parametrize("w", FILTERS.values(), ids=FILTERS)
def test_kept_filters_transform_exactly(w):
    """In rational arithmetic (float64 holds these sums): U in float32 is G g Gᵀ, and leads back to g."""
    w = w.astype(np.float32)
    kept = spec.exactly_transformed(w)
    total = np.abs(w.astype(np.float64)).sum((2, 3), keepdims=True)
    assert np.all(np.abs(kept.astype(np.float64) - w) <= U * total * (1 + 2.0**-20) + 2.0**-148)
    u = spec.G.astype(np.float64) @ kept.astype(np.float64) @ spec.G.T
    assert np.array_equal(u.astype(np.float32), u)
    assert np.array_equal(winograd_conv2d.pack(w).unpack(), kept)
    assert np.array_equal(spec.exactly_transformed(kept), kept)


def test_small_integers_are_kept_as_they_are():
    w = np.random.default_rng(0).integers(-1000, 1000, (5, 4, 3, 3)).astype(np.float32)
    assert np.array_equal(winograd_conv2d.pack(w).unpack(), w)


def test_transformed_filters_take_16_numbers_for_9():
    packed = winograd_conv2d.pack(np.ones((64, 32, 3, 3), np.float32))
    assert packed.nbytes == 64 * 32 * 16 * 4
    assert str(packed) == f"<winograd_conv2d operand 64x32x3x3, {packed.nbytes} bytes>"


def test_a_packed_filter_survives_pickling_to_the_bit():
    x = np.random.default_rng(0).standard_normal((2, 5, 5, 7), np.float32)
    packed = winograd_conv2d.pack(np.random.default_rng(1).standard_normal((9, 7, 3, 3), np.float32))
    again = pickle.loads(pickle.dumps(packed))
    assert np.array_equal(winograd_conv2d(x, again), winograd_conv2d(x, packed))


@pytest.mark.parametrize("channels", [16, 64])
def test_no_less_exact_than_adding_up_the_products_one_by_one(channels):
    """Lavin & Gray (2016, table 6): F(2×2) is more exact than the direct sum in float32."""
    rng = np.random.default_rng(channels)
    x = rng.uniform(-1, 1, (1, 24, 24, channels)).astype(np.float32)
    w = rng.uniform(-1, 1, (channels, channels, 3, 3)).astype(np.float32)
    patches = sliding_window_view(x, (3, 3), axis=(1, 2)).reshape(22 * 22, channels * 9)
    columns = np.ascontiguousarray(w.reshape(channels, channels * 9).T)
    exact, direct = patches.astype(np.float64) @ columns, np.zeros((22 * 22, channels), np.float32)
    for k in range(channels * 9):
        direct += patches[:, k, None] * columns[k]
    ours = winograd_conv2d(x, w).reshape(exact.shape)
    assert np.abs(ours - exact).max() < np.abs(direct - exact).max()


def test_a_call_like_the_last_one_but_for_its_types_is_refused():
    """What a packed operand remembers of its last call must not let a bool or a float pass for 1."""
    x, packed = np.ones((1, 4, 4, 2), np.float32), winograd_conv2d.pack(np.ones((3, 2, 3, 3), np.float32))
    winograd_conv2d(x, packed, padding=1)
    for padding in (True, 1.0):
        with pytest.raises(TypeError, match=r"padding is .*, wanted an int"):
            winograd_conv2d(x, packed, padding=padding)
    assert winograd_conv2d(x, packed, padding=(1, 0)).shape == (1, 4, 2, 3)
    assert winograd_conv2d(x, packed, padding=1).shape == (1, 4, 4, 3)
    assert winograd_conv2d(np.ones((1, 4, 5, 2), np.float32), packed, padding=1).shape == (1, 4, 5, 3)

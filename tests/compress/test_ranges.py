"""Ranges of activations and scales of weights: how they are found, and what bad data makes of them."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress.formats.format import format_named
from compress.ranges.average import Average
from compress.ranges.histogram import BINS, Histogram
from compress.ranges.minmax import MinMax
from compress.ranges.mse import LeastSquares, best_range
from compress.ranges.observer import OBSERVERS

UINT8 = format_named("uint8")
STYLES = {"normal": lambda rng, n: rng.standard_normal(n), "laplace": lambda rng, n: rng.laplace(size=n),
          "relu": lambda rng, n: rng.standard_normal(n).clip(0), "above": lambda rng, n: 3 + rng.random(n),
          "below": lambda rng, n: -rng.exponential(size=n)}


def sample(style, n=500, seed=0):
    return STYLES[style](np.random.default_rng(seed), n).astype(np.float32)


def network(seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Linear(6, 16, rng=rng), nn.ReLU(), nn.Linear(16, 16, rng=rng), nn.ReLU(),
                         nn.Linear(16, 3, rng=rng)).eval()


# The histogram: when the range grows, bins are merged, and nothing is lost.

NUMBERS = st.lists(st.floats(-2.0**100, 2.0**100, width=32), min_size=1, max_size=9)


@given(st.lists(NUMBERS, min_size=1, max_size=5),
       st.randoms(use_true_random=False))
def test_a_histogram_does_not_depend_on_the_order_in_which_its_range_grew(batches, random):
    batches = [np.array(batch, np.float32) for batch in batches]
    whole, parts = Histogram(), Histogram()
    whole.add(np.concatenate(batches))
    for batch in random.sample(batches, len(batches)):
        parts.add(batch)
    assert (parts.exponent, parts.first) == (whole.exponent, whole.first)
    np.testing.assert_array_equal(parts.counts, whole.counts)
    assert parts.counts.sum() == sum(map(len, batches))
    assert len(parts.counts) <= BINS
    width = 2.0**whole.exponent
    for number in np.concatenate(batches).astype(np.float64):
        assert whole.counts[int(np.floor(number / width)) - whole.first] > 0


def test_bins_stand_for_their_mean_and_0_for_itself():
    histogram = Histogram()
    histogram.add(np.float32([0, 0, 0, 1000, 1000.25, -5]))
    values, counts = histogram.points()
    assert values.tolist() == [-5, 0, 1000.125]
    assert counts.tolist() == [1, 3, 2]


# The range with the least squared error

def squared_error(form, low, high, x):
    grid = form.fit(low, high)
    return float(np.square(grid.dequantize(grid.quantize(x)) - x, dtype=np.float64).sum())


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("style", STYLES)
def test_no_other_range_errs_less(style, bits):
    """All pairs of ends in steps of 1/40, by the sample itself."""
    form, x = format_named(f"uint{bits}"), np.sort(sample(style))
    low, high = min(x[0], 0.0), max(x[-1], 0.0)
    parts = np.arange(1, 41) / 40
    least = min(squared_error(form, a * low, b * high, x)
                for a in (parts if low else [1]) for b in (parts if high else [1]))
    found = LeastSquares()
    for batch in np.split(x, 5):
        found.see(batch)
    assert squared_error(form, *found.range(form), x) <= 1.01 * least
    assert squared_error(form, *best_range(x, np.ones(len(x)), form), x) <= 1.01 * least


def test_at_few_bits_the_largest_are_clipped_and_at_eight_hardly():
    x = sample("normal", 5000)
    widths = {bits: np.ptp(LeastSquares.of_batch(x, format_named(f"uint{bits}"))) / np.ptp(x)
              for bits in (2, 4, 8)}
    assert widths[2] < widths[4] < widths[8]
    assert widths[2] < 0.5
    assert widths[8] > 0.9


# The moving average: begun by the first batch; one that begins with 0 is too small for hundreds of batches.

def test_an_average_begins_with_the_first_batch():
    average = Average()
    average.see(np.float32([-2, 4]))
    assert average.range(UINT8) == (-2, 4)
    average.see(np.float32([-1, 14]))
    assert average.range(UINT8) == pytest.approx((-1.9, 5.0))


def test_training_goes_on_from_the_calibrated_range():
    model, x = network(), sample("normal", 600).reshape(100, 6)
    compress.prepare(model, compress.Quantize(), x)
    before = dict(model.parametrization.ranges)
    made = np.maximum(x @ model[0].weight.parametrized().data.T + model[0].bias.data, 0)
    model.train()(nn.Tensor(x))
    low, high = model.parametrization.ranges["1"]
    assert before["1"][1] == pytest.approx(made.max(), rel=0.01)
    assert high == pytest.approx(before["1"][1] + 0.01 * (made.max() - before["1"][1]), rel=1e-3)
    assert low == 0


def test_ranges_are_those_of_evaluation_whatever_mode_the_model_is_in():
    """With the batch's statistics in the norms they would be others than those that are met later."""
    rng, x = np.random.default_rng(0), sample("normal", 600).reshape(100, 6)
    model = nn.Sequential(nn.Linear(6, 8, rng=rng), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3, rng=rng))
    model[1].running_var[:] = 9
    found = []
    for training in (True, False):
        twin = copy.deepcopy(model).train(training)
        compress.prepare(twin, compress.Quantize(), x)
        found.append(twin.parametrization.ranges)
        assert twin.training == training
        np.testing.assert_array_equal(twin[1].running_var, 9)
    assert found[0] == found[1]


# In a recipe, for each edge

def test_each_edge_has_the_range_that_its_layer_wants():
    model, x = network(), sample("laplace", 3000).reshape(500, 6)
    hidden = model[1](model[0](nn.Tensor(x))).data
    later = model[3](model[2](nn.Tensor(hidden))).data
    recipe = {"0": compress.Quantize(activations="uint2", ranges="mse"),
              "2": compress.Quantize(ranges="average"), "4": compress.Quantize(bits=4)}
    compress.prepare(model, recipe, x)
    ranges = model.parametrization.ranges
    assert ranges["x"] == pytest.approx(LeastSquares.of_batch(x, format_named("uint2")), rel=1e-6)
    average, widest = Average(), MinMax()
    for start in range(0, 500, Average.rows):
        average.see(hidden[start:start + Average.rows])
    widest.see(later)
    assert ranges["1"] == pytest.approx(average.range(UINT8), rel=1e-5)
    assert ranges["3"] == pytest.approx(widest.range(UINT8), rel=1e-5)
    grid = compress.convert(model).values["x.u8"].grid
    assert grid.scale == pytest.approx(np.ptp(ranges["x"]) / 3, rel=1e-5)


def test_layers_that_are_prepared_later_have_their_own_ranges_and_the_first_keep_theirs():
    model, x = network(), sample("laplace", 600).reshape(100, 6)
    compress.prepare(model, {"0": compress.Quantize()}, x)
    model.parametrization.ranges["x"] = (-1.0, 1.0)  # as training may have left it
    compress.prepare(model, {"2": compress.Quantize(activations="uint2", ranges="mse")})
    ranges = model.parametrization.ranges
    assert ranges["x"] == (-1.0, 1.0)
    assert 0 < ranges["1"][1] < model[1](model[0](nn.Tensor(x))).data.max()


@pytest.mark.parametrize("ranges", OBSERVERS)
def test_in_training_ranges_follow_what_the_observer_makes_of_each_batch(ranges):
    model, x = network(), sample("normal", 600).reshape(100, 6)
    compress.prepare(model, compress.Quantize(activations="uint2", ranges=ranges), x)
    twin = copy.deepcopy(model)
    model.train()(nn.Tensor(x))
    np.testing.assert_array_equal(model.eval()(nn.Tensor(x)).data, compress.convert(model)(x))
    for name in ("1", "3"):
        (_, before), (_, after) = (one.parametrization.ranges[name] for one in (twin, model))
        assert abs(after - before) < 0.02 * before
        assert after != before


def test_where_a_range_clips_no_gradient_passes_and_inside_all_of_it():
    """Straight through the rounding, but not through the clipping: else what is clipped would be pushed on
    for ever."""
    rng = np.random.default_rng(0)
    model, x = nn.Sequential(nn.Linear(6, 3, rng=rng)), sample("laplace", 600).reshape(100, 6)
    compress.prepare(model, compress.Quantize(activations="uint2", ranges="mse"), x)
    grid = compress.convert(model).values["x.u8"].grid
    low, high = (grid.scale * (end - grid.zero) for end in (0, 3))
    given, g = nn.Tensor(x, requires_grad=True), rng.standard_normal((100, 3)).astype(np.float32)
    (model.train()(given) * nn.Tensor(g)).sum().backward()
    inside = (x >= low) & (x <= high)
    assert 0.01 < 1 - inside.mean() < 0.5
    assert not given.grad[~inside].any()
    wanted = g @ compress.convert(model).constants["0.weight"].decode()
    np.testing.assert_allclose(given.grad[inside], wanted[inside], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("wrong", "said"), [({"ranges": "widest"}, "ranges must be one of"),
                                             ({"ranges": 3}, "ranges must be one of"),
                                             ({"scales": "max"}, "scales must be one of minmax, mse")])
def test_what_is_no_way_to_find_a_range_is_refused(wrong, said):
    with pytest.raises(ValueError, match=f"Quantize: {said}"):
        compress.Quantize(**wrong)
    said = repr(compress.Quantize(ranges="mse", scales="mse"))
    assert said == "Quantize(bits=8, ranges='mse', scales='mse')"


# Calibration data on which ranges go wrong

@pytest.mark.parametrize("ranges", OBSERVERS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_where_they_are_given_and_where_they_come_to_be(ranges, bad):
    x = sample("normal", 60).reshape(10, 6)
    recipe = compress.Quantize(ranges=ranges)
    spoiled = x.copy()
    spoiled[7, 2] = bad
    with pytest.raises(ValueError, match="prepare: example holds NaN or infinity"):
        compress.prepare(network(), recipe, spoiled)
    model = network()
    model[0].weight.data[:] = 3e38
    with pytest.raises(ValueError, match="calibration: 0 becomes NaN or infinite on the example"):
        compress.prepare(model, recipe, np.abs(x) + 1)
    assert model.parametrization is None


@pytest.mark.parametrize("ranges", OBSERVERS)
@pytest.mark.parametrize(("value", "reached"),
                         [(0.0, 1.0), (2.5, 2.5), (-2.5, 2.5), (1e-42, 1.0), (3e38, 3e38)])
def test_a_constant_has_a_grid_with_0_and_with_the_constant(ranges, value, reached):
    """Nothing but zeros, and what is below the normal numbers, has the scale 1."""
    observer = OBSERVERS[ranges]()
    for _ in range(3):
        observer.see(np.full((4, 5), value, np.float32))
    low, high = observer.range(UINT8)
    grid = UINT8.fit(low, high)
    assert np.isfinite([low, high, grid.scale]).all()
    there = grid.dequantize(grid.quantize(np.float32([0, value])))
    assert there[0] == 0
    assert abs(there[1] - value) <= 1e-6 * reached


@pytest.mark.parametrize("ranges", OBSERVERS)
@pytest.mark.parametrize("style", ["above", "below"])
def test_a_range_without_0_gets_it_before_there_is_a_scale(ranges, style):
    x = sample(style, 600).reshape(100, 6)
    model = compress.prepare(network(), compress.Quantize(ranges=ranges), x)
    grid = compress.convert(model).values["x.u8"].grid
    assert 0 <= grid.zero <= 255
    assert grid.dequantize(grid.quantize(np.zeros(1, np.float32)))[0] == 0
    off = np.abs(grid.dequantize(grid.quantize(x)) - x)
    assert np.median(off) < grid.scale / 2


@pytest.mark.parametrize("ranges", OBSERVERS)
def test_an_example_of_nothing_but_zeros_converts(ranges):
    model = compress.prepare(network(), compress.Quantize(ranges=ranges), np.zeros((10, 6), np.float32))
    x = sample("normal", 60).reshape(10, 6)
    np.testing.assert_array_equal(model(nn.Tensor(x)).data, compress.convert(model)(x))


class Two(nn.Module):
    def __init__(self):
        self.a, self.b = nn.Linear(6, 4), nn.Linear(5, 4)

    def forward(self, x, y):
        return self.a(x) + self.b(y)


def test_calibration_data_of_another_shape_is_refused():
    x = np.zeros((10, 6), np.float32)
    with pytest.raises(ValueError, match="5"):
        compress.prepare(network(), compress.Quantize(), x[:, :5])
    with pytest.raises(ValueError, match="at least one input"):
        compress.prepare(network(), compress.Quantize(), x[:0])
    with pytest.raises(ValueError, match=r"y must have shape \(N, 5\), N being 10; got \(9, 5\)"):
        compress.prepare(Two(), compress.Quantize(), (x, np.zeros((9, 5), np.float32)))
    model = compress.prepare(Two(), compress.Quantize(), (x, x[:, :5]))
    with pytest.raises(ValueError, match="5"):
        compress.convert(model, (x, x))


@pytest.mark.parametrize("ranges", OBSERVERS)
@given(st.lists(NUMBERS, min_size=1, max_size=4), st.integers(1, 8))
def test_a_range_lies_within_what_was_seen_and_0(ranges, batches, bits):
    observer, form = OBSERVERS[ranges](), format_named(f"uint{bits}")
    for batch in batches:
        observer.see(np.array(batch, np.float32))
    low, high = observer.range(form)
    every = [0.0, *np.concatenate(batches)]
    tiny = 1e-6 * (max(every) - min(every))
    assert min(every) - tiny <= low <= high <= max(every) + tiny
    assert form.fit(low, high).scale > 0


# Scales of weights

@pytest.mark.parametrize("name", ["int2", "int3", "int4", "int4-tensor", "int3-block32"])
def test_no_other_scale_of_weights_errs_less(name):
    """A thousand scales of one group after another; the first has one large weight."""
    form = format_named(name)
    w = np.random.default_rng(1).laplace(size=(3, 64)).astype(np.float32)
    w[0, 0] = 30
    scales = form.scales(w, squares=True)
    size = {"tensor": w.size, "channel": 64}.get(form.grouping, 32)
    for group, scale in zip(w.reshape(-1, size), scales.reshape(-1), strict=True):
        tried = np.abs(group).max() / form.highest * (np.arange(1, 1001, dtype=np.float32)[:, None] / 1000)
        off = form.dequantize(form.quantize(group, tried), tried) - group
        mine = form.dequantize(form.quantize(group, scale), scale) - group
        assert np.square(mine).sum() <= 1.01 * np.square(off).sum(axis=1).min()


def test_powers_of_two_are_clipped_by_a_power_of_two():
    form, w = format_named("pow2"), np.random.default_rng(1).standard_normal((1, 500)).astype(np.float32)
    w[0, 0], w[0, 1:] = 200, 0.5 + np.abs(w[0, 1:])
    widest, least = form.scales(w), form.scales(w, squares=True)
    assert (np.frexp(least)[0] == 0.5).all()
    errors = [np.linalg.norm(form.to_reals(form.to_codes(w, one), one) - w) for one in (widest, least)]
    assert errors[1] <= errors[0]
    narrow = w[:, 1:].clip(0.6, 0.7)
    assert form.scales(narrow, squares=True) <= form.scales(narrow)
    stage = compress.Quantize(weights="pow2", scales="mse")
    state = stage.fit(w, compress.Context())
    assert np.linalg.norm(stage.encode(w, state).decode() - w) <= stage.bound(w, state)


def test_weights_at_few_bits_err_less_with_clipping_and_within_the_bound():
    w = np.random.default_rng(0).standard_normal((8, 200)).astype(np.float32)
    off = {}
    for scales in ("minmax", "mse"):
        stage = compress.Quantize(bits=3, scales=scales)
        state = stage.fit(w, compress.Context())
        off[scales] = np.linalg.norm(stage.encode(w, state).decode() - w)
        assert off[scales] <= stage.bound(w, state)
    assert off["mse"] < 0.8 * off["minmax"]
    zero = compress.Quantize(bits=3, scales="mse").fit(np.zeros((2, 3), np.float32), compress.Context())
    assert zero.scale.tolist() == [1, 1]


def test_a_batch_norm_that_is_folded_takes_its_scales_along():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(6, 16, rng=rng), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3, rng=rng))
    model[1].weight.data[:] = rng.normal(size=16)
    x = sample("normal", 600).reshape(100, 6)
    compress.prepare(model, compress.Quantize(bits=3, scales="mse", ranges="mse"), x)
    optimizer = nn.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        model.train()(nn.Tensor(x)).sum().backward()
        optimizer.step()
    np.testing.assert_array_equal(model.eval()(nn.Tensor(x)).data, compress.convert(model)(x))

"""What convert would refuse is refused by prepare, with the way out; what prepare takes can be trained and
converted.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress import Cluster, Cubic, Prune, Quantize, TensorTrain
from nn import functional as F
from tests.net import Net


def network():
    rng = np.random.default_rng(0)
    return nn.Sequential(nn.Linear(6, 9, rng=rng), nn.ReLU(), nn.Linear(9, 5, rng=rng))


def inputs(*shape):
    return np.random.default_rng(1).normal(size=shape or (24, 6)).astype(np.float32)


def train(model, epochs=2, lr=0.05):
    """Six steps an epoch."""
    y = np.random.default_rng(2).integers(0, 5, 24)
    nn.train.fit(model, inputs(), y, epochs=epochs, batch_size=4, rng=np.random.default_rng(3),
                 optimizer=nn.optim.SGD(model.parameters(), lr=lr))  # fmt: skip
    return model


SCHEDULED = [Prune(0.5, Cubic(end=7)), [Prune(0.5, Cubic(begin=2, end=9)), Cluster(2)],
             [Prune(0.4, Cubic(end=12)), Quantize()]]  # fmt: skip
ENDED = [None, Prune(0.5), Cluster(2), Cluster(3), Quantize(), TensorTrain(2), TensorTrain(1),
         [Prune(0.3), Cluster(2)], [Prune(0.5), Quantize()], [Prune(0.9), Cluster(4)]]  # fmt: skip
CHOICES = st.sampled_from(ENDED + SCHEDULED)


@given(CHOICES, CHOICES, st.booleans())
def test_what_prepare_takes_is_trained_and_converted(first, second, example):
    model = network()
    try:
        compress.prepare(model, {"0": first, "2": second}, *[inputs()][:example])
    except ValueError:
        assert all(p.parametrization is None for _, p in model.named_parameters())
        return
    train(model)
    program = compress.convert(model, None if example else inputs())
    if example or Quantize() not in (first, second):
        wanted = model.eval()(nn.Tensor(inputs())).data
        quantized = any(
            isinstance(w.parametrization.stages[-1], Quantize) for w in (model[0].weight, model[2].weight)
            if w.parametrization is not None)    # fmt: skip
        if example or not quantized:
            np.testing.assert_allclose(program(inputs()), wanted, rtol=1e-4, atol=1e-5)


def test_a_layer_waits_for_its_schedule_beside_a_quantized_one():
    recipe = {"0": [Prune(0.5, Cubic(end=3)), Cluster(2)], "2": Quantize()}
    model = compress.prepare(network(), recipe, inputs())
    with pytest.raises(ValueError, match="schedule stands at step 0 of 3"):
        compress.convert(model)
    program = compress.convert(train(model))
    np.testing.assert_array_equal(program(inputs()), model.eval()(nn.Tensor(inputs())).data)
    assert len(np.unique(program.constants["0.weight"].decode())) == 4


@pytest.mark.parametrize("schedule", [compress.Once(), Cubic(end=6), Cubic(begin=100, end=200, every=7)])
@pytest.mark.parametrize("example", [True, False])
def test_too_few_weights_for_the_values_are_found_before_training(schedule, example):
    model = network()
    with pytest.raises(ValueError, match=r"Cluster: 0\.weight has 6 different values, .* choose fewer bits"):
        compress.prepare(model, {"0": [Prune(0.9, schedule), Cluster(3)]}, *[inputs()][:example])
    assert model[0].weight.parametrization is None
    assert not hasattr(model, "prepared")


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
@pytest.mark.parametrize("recipe", [Prune(0.5), Cluster(2), Quantize(), TensorTrain(2)])
def test_a_weight_that_is_not_float32_is_refused(dtype, recipe):
    model = network()
    for parameter in model.parameters():
        parameter.data = parameter.data.astype(dtype)
    said = rf"0\.weight is {np.dtype(dtype)}, and a Program computes in float32; .* model\.to\(np\.float32\)"
    for example in ([], [inputs()]):
        with pytest.raises(ValueError, match=f"prepare: {said}"):
            compress.prepare(model, recipe, *example)
    if dtype is np.float64:
        with pytest.raises(ValueError, match=f"convert: {said}"):
            compress.convert(model, inputs())
    for parameter in model.parameters():
        parameter.data = parameter.data.astype(np.float32)
    assert compress.convert(compress.prepare(model, recipe), inputs())(inputs()).shape == (24, 5)


@pytest.mark.parametrize("k", [66_311, 66_312, 70_000])
def test_sums_that_could_leave_int32_are_refused(k):
    layer = nn.Linear(k, 1, bias=False)
    layer.weight.data[:] = 1
    x, model = np.ones((2, k), np.float32), nn.Sequential(layer)
    if k <= 66_311:
        program = compress.convert(compress.prepare(model, Quantize(), x))
        np.testing.assert_allclose(program(x), [[k], [k]], rtol=1e-5)
        return
    for example in ([], [x]):
        with pytest.raises(ValueError, match=rf"prepare: 0\.weight has {k:,} weights .* or prune it first"):
            compress.prepare(model, Quantize(), *example)
    layer.weight.data[0, ::3] = 0.5
    compress.prepare(model, [Prune(0.3), Quantize()], x)
    assert compress.convert(model)(x).shape == (2, 1)


@pytest.mark.parametrize("example", [True, False])
@pytest.mark.parametrize("recipe", [Prune(0.5), Cluster(2), Quantize()], ids=str)
@pytest.mark.parametrize("groups", [2, 4])
def test_convolutions_in_groups_are_compressed_too(groups, recipe, example):
    x = inputs(12, 4, 5, 5)
    model = nn.Sequential(nn.Conv2d(4, 8, 3, groups=groups, rng=np.random.default_rng(0)), nn.ReLU())
    compress.prepare(model, recipe, *[x][:example])
    program = compress.convert(model, None if example else x)
    wanted = model.eval()(nn.Tensor(x)).data
    atol = 0.02 * np.abs(wanted).max() if recipe == Quantize() and not example else 1e-5
    np.testing.assert_allclose(program(x), wanted, rtol=1e-4, atol=atol)


@pytest.mark.parametrize(("forward", "shape"), [
    (lambda m, x: F.gelu(m.fc(x)), (6,)),
    (lambda m, x: m.fc(x) * 2.0, (6,)),
    (lambda m, x: m.fc(x) + 1.0, (6,)),
    (lambda m, x: m.fc(x), (3, 6)),
    (lambda m, x: m.fc(x).reshape(-1, 3, 2), (6,)),
    (lambda m, x: F.adaptive_max_pool2d(m.conv(x), 2), (6, 5, 5)),
    (lambda m, x: m.grouped(m.conv(x)), (6, 5, 5)),
    (lambda m, x: F.linear(x, m.fc.weight * 2.0), (6,)),
], ids=["gelu", "times", "plus", "three-dimensions", "reshape", "uneven-pool", "groups",
        "computed"])  # fmt: skip
@pytest.mark.parametrize("recipe", [Prune(0.5), Quantize()])
def test_an_operation_without_a_kernel_is_trained_and_converted(forward, shape, recipe):
    rng = np.random.default_rng(0)
    model = Net(forward, fc=nn.Linear(6, 6, rng=rng), conv=nn.Conv2d(6, 6, 1, rng=rng),
                grouped=nn.Conv2d(6, 6, 1, groups=2, rng=rng))  # fmt: skip
    x = inputs(5, *shape)
    compress.prepare(model, {"fc": recipe, "conv": recipe}, x)
    optimizer = nn.optim.SGD(model.parameters(), 0.01)
    model(nn.Tensor(x)).sum().backward()
    optimizer.step()
    wanted = model.eval()(nn.Tensor(x)).data
    np.testing.assert_allclose(compress.convert(model)(x), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["bias", "weight", "running_var"])
def test_statistics_that_cannot_be_folded_are_refused(name):
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5))
    value = getattr(model[1], name)
    (value.data if isinstance(value, nn.Tensor) else value)[2] = np.nan
    with pytest.raises(ValueError, match=rf"prepare: 1\.{name} holds NaN or infinity; convert would"):
        compress.prepare(model, {"0": Prune(0.5)}, inputs())


@pytest.mark.parametrize("recipe", [None, Prune(0.5), Quantize(), Cluster(2), TensorTrain(2)])
def test_a_branch_that_leads_nowhere_is_not_asked_for(recipe):
    def forward(m, x):
        F.gelu(m.aside(x)).mean()
        return m.fc(x)

    rng = np.random.default_rng(0)
    model = Net(forward, fc=nn.Linear(6, 5, rng=rng), aside=nn.Linear(6, 5, rng=rng))
    if recipe is not None:
        compress.prepare(model, recipe, inputs())
    program = compress.convert(model, inputs())
    wanted = model.eval()(nn.Tensor(inputs())).data
    np.testing.assert_allclose(program(inputs()), wanted, rtol=1e-4, atol=1e-5)
    assert not any(name.startswith("aside") for name in program.constants)


DIVERGING = [Quantize(), {"2": Quantize()}, Quantize(ranges="mse", scales="mse"), [Prune(0.5), Quantize()],
             *({"0": first, "2": Quantize()} for first in (Cluster(2), TensorTrain(2), SCHEDULED[1]))]


@pytest.mark.parametrize("lr", [1e4, 1e12, 1e25, 1e38])
@pytest.mark.parametrize("recipe", DIVERGING, ids=str)
def test_training_that_leaves_the_integers_range_is_diverged(recipe, lr):
    model = compress.prepare(network(), recipe, inputs())
    optimizer, y = nn.optim.SGD(model.parameters(), lr=lr), np.random.default_rng(2).integers(0, 5, 24)
    ranges = [model.parametrization.ranges]    # before each step
    with np.errstate(all="ignore"), pytest.raises(nn.train.Diverged, match="smaller learning rate") as said:
        nn.train.fit(model, inputs(), y, epochs=20, batch_size=4, rng=np.random.default_rng(3),
                     optimizer=optimizer,
                     on_step=lambda *_: ranges.append(model.parametrization.ranges))    # fmt: skip
    assert str(said.value).startswith("fit: ")
    assert f"at step {len(ranges)}: " in str(said.value)
    assert said.value.layer in (None, "0", "1", "2")
    assert model.parametrization.ranges == ranges[-1]

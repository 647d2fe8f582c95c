"""A float or pruned Program computes what its model computes, on random networks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from tests.compress.networks import Residual, every_value, exactly, networks

EXAMPLES = st.integers(0, 2**32 - 1)


def agrees(program, model, x):
    """Every line of the program into its own buffer or into shared ones, the numbers are the model's."""
    wanted, bound = exactly(model, x)
    got = program(x)
    assert got.dtype == np.float32
    assert got.shape == wanted.shape
    assert np.all(np.abs(got - wanted) <= bound), f"off by {np.max(np.abs(got - wanted) / bound)} bounds"
    np.testing.assert_array_equal(every_value(program, x)[program.output], got)


@given(networks())
def test_float_program_is_the_model(drawn):
    program = compress.convert(drawn.model, drawn.example)
    agrees(program, drawn.model, drawn.x)
    agrees(program, drawn.model, drawn.example)  # another batch, then the first again
    agrees(program, drawn.model, drawn.x)


@given(networks(), st.sampled_from([0.0, 0.5, 0.9]), st.integers(0, 3))
def test_pruned_program_is_the_model_through_its_views(drawn, sparsity, steps):
    layers = drawn.layers()
    chosen = {name: compress.Prune(sparsity) for name in layers if drawn.rng.random() < 0.7}
    if not chosen:
        return
    compress.prepare(drawn.model, chosen, drawn.example)
    for _ in range(steps):
        for name, module in drawn.model.named_modules():
            if name in chosen:
                module.weight.parametrization.update(module.weight, 1)
    agrees(compress.convert(drawn.model), drawn.model, drawn.x)


@pytest.mark.parametrize("recipe", [None, compress.Prune(0.5), compress.Cluster(3), compress.Quantize(
    weights="int4", activations=None)], ids=repr)
def test_an_output_layer_may_have_the_weight_of_the_embedding(recipe):
    """One constant, in its stored form, whoever reads it first."""
    class Tied(nn.Module):
        def __init__(self):
            rng = np.random.default_rng(0)
            self.words, self.last = nn.Embedding(20, 6, rng=rng), nn.Linear(6, 20, rng=rng)
            self.last.weight = self.words.weight

        def forward(self, x):
            return self.last(nn.functional.relu(self.words(x))) + self.words.weight.parametrized().sum(1)

    model, x = Tied().eval(), np.array([[1, 2, 3], [4, 19, 0]])
    if recipe is not None:
        compress.prepare(model, {"last": recipe}, x)
    with nn.no_grad():
        wanted = model(nn.Tensor(x)).data
    np.testing.assert_allclose(compress.convert(model, x)(x), wanted, rtol=1e-5, atol=1e-5)


@given(st.lists(st.permutations([1, 2, 3]), min_size=2, max_size=4))
def test_a_value_and_its_permutations_lie_in_one_place_and_are_told_apart(orders):
    """Each output is an order of one value, which nothing but the output asks for."""
    class Turned(nn.Module):
        def __init__(self):
            self.conv = nn.Conv2d(1, 4, 3, padding=1, rng=np.random.default_rng(0))

        def forward(self, x):
            made = self.conv(x)
            return tuple(made.permute(0, *order) for order in orders)

    model, x = Turned().eval(), np.random.default_rng(1).normal(size=(2, 1, 4, 4)).astype(np.float32)
    got = compress.convert(model, x)(x)
    for wanted, found in zip(model(nn.Tensor(x)), got.values(), strict=True):
        np.testing.assert_allclose(found, wanted.data, rtol=1e-6, atol=1e-6)


def test_the_models_mode_weights_and_views_stay():
    model = nn.models.digits_cnn(0.25, rng=np.random.default_rng(0)).train()
    example = nn.data.digits().x_train[:8]
    compress.prepare(model, compress.Quantize(), example)
    before, parametrization = model.state_dict(), model.conv2.weight.parametrization
    compress.convert(model)
    assert model.training
    assert model.conv2.weight.parametrization is parametrization
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_program_keeps_nothing_of_the_model():
    model = nn.Sequential(nn.Linear(4, 3))
    x = np.ones((2, 4), np.float32)
    program = compress.convert(model, x)
    before = program(x)
    for parameter in model.parameters():
        parameter.data[...] = 0
    np.testing.assert_array_equal(program(x), before)


def test_a_network_that_ends_in_an_image_gives_it_channels_first():
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    x = np.random.default_rng(0).normal(size=(2, 2, 6, 4)).astype(np.float32)
    agrees(compress.convert(model, x), model, x)
    compress.prepare(model, compress.Quantize(), x)
    assert compress.convert(model)(x).shape == (2, 3, 3, 2)


def test_the_input_may_be_read_in_several_ways():
    class Both(nn.Module):
        def __init__(self):
            self.conv, self.fc = nn.Conv2d(1, 2, 3), nn.Linear(16, 8)

        def forward(self, x):
            return nn.functional.flatten(self.conv(x), 1) + self.fc(nn.functional.flatten(x, 1))

    model, x = Both(), np.random.default_rng(0).normal(size=(3, 1, 4, 4)).astype(np.float32)
    agrees(compress.convert(model, x), model, x)


def test_a_sum_of_a_value_with_itself():
    model = nn.Sequential(nn.Linear(3, 3), Residual(nn.Flatten()))
    x = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    agrees(compress.convert(model, x), model, x)


def test_a_network_without_layers():
    x = np.random.default_rng(0).normal(size=(3, 2, 4, 4)).astype(np.float32)
    for model in (nn.Sequential(), nn.Sequential(nn.ReLU()), nn.Sequential(nn.Flatten())):
        program = compress.convert(model, x)
        np.testing.assert_array_equal(program(x), model(nn.Tensor(x)).data)


def test_layers_and_tied_weights_that_are_used_twice():
    class Twice(nn.Module):
        def __init__(self):
            rng = np.random.default_rng(0)
            self.fc, self.norm = nn.Linear(5, 5, bias=False, rng=rng), nn.BatchNorm1d(5)
            self.tied = nn.Linear(5, 5, rng=rng)
            self.tied.weight = self.fc.weight
            self.norm.running_var[:] = 3

        def forward(self, x):
            return self.tied(self.fc(self.norm(self.fc(x))))

    model, x = Twice(), np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    program = compress.convert(model, x)
    agrees(program, model, x)
    assert sum(isinstance(c, compress.Stored) for c in program.constants.values()) == 1


@pytest.mark.parametrize("stride", [np.int64(2), (np.int32(2), 2)])
def test_numpys_integers_are_plain_ones_in_the_program(stride, tmp_path):
    model = nn.Sequential(nn.Conv2d(1, 2, 3, stride=stride), nn.AvgPool2d(np.int64(2)))
    x = np.random.default_rng(0).normal(size=(3, 1, 9, 9)).astype(np.float32)
    program = compress.convert(model, x)
    agrees(program, model, x)
    compress.save(program, tmp_path / "p")


def test_modules_may_be_called_like_what_lies_between_them():
    """The values between a layer's input and output have names too: no module's name may be taken."""

    class Block(nn.Module):
        def __init__(self, rng):
            self.product, self.u8, self.s32 = (nn.Linear(4, 4, rng=rng) for _ in range(3))
            self.weight = nn.Linear(4, 4, rng=rng).weight

        def forward(self, x):
            x = self.s32(self.u8(nn.functional.relu(self.product(x))))
            return nn.functional.linear(x, self.weight) + x

    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    model = nn.Sequential({"b": Block(np.random.default_rng(0)), "x": nn.Linear(4, 2)})
    agrees(compress.convert(model, x), model, x)
    compress.prepare(model, {"*": compress.Quantize()}, x)
    program = compress.convert(model)
    with nn.no_grad():
        np.testing.assert_array_equal(program(x), model.eval()(nn.Tensor(x)).data)


def test_a_bias_that_another_op_reads_is_not_taken_for_a_missing_one():
    class Net(nn.Module):
        def __init__(self, rng):
            self.fc = nn.Linear(3, 3, rng=rng)
            self.other = nn.Linear(3, 3, rng=rng)

        def forward(self, x):
            x = nn.functional.linear(x, self.fc.weight)
            return nn.functional.linear(x, self.other.weight, self.fc.bias)

    model, x = Net(np.random.default_rng(0)), np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    agrees(compress.convert(model, x), model, x)

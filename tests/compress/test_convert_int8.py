"""An integer Program, integer for integer, against a simulation; recipes that mix float, int8 and pruned."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress.formats.affine import INT8, UINT8
from compress.formats.format import Grid
from compress.program.ops.pointwise import codes_of
from compress.sparse.form import SparseForm
from tests.compress.networks import every_value, networks
from tests.compress.simulation import integers

CHOICES = (
    None,
    compress.Quantize(),
    compress.Prune(0.5),
    [compress.Prune(0.7), compress.Quantize()],
    [compress.Quantize(), compress.Prune(0.3)],
)


def agrees(model, program, x):
    for name, (wanted, got) in integers(model, program, x).items():
        np.testing.assert_array_equal(got, wanted, err_msg=name)
    np.testing.assert_array_equal(program(x), every_value(program, x)[program.output])


@given(networks())
def test_int8_program_equals_the_simulation(drawn):
    if not drawn.layers():
        return
    compress.prepare(drawn.model, compress.Quantize(), drawn.example)
    program = compress.convert(drawn.model)
    agrees(drawn.model, program, drawn.x)
    agrees(drawn.model, program, drawn.example)
    assert sum(step.kernel in ("qgemm", "qconv2d") for step in program.bound.steps) == len(drawn.layers())


@given(networks(), st.randoms(use_true_random=False))
def test_mixed_recipes(drawn, random):
    recipe = {name: random.choice(CHOICES) for name in drawn.layers()}
    if not any(recipe.values()):
        return
    compress.prepare(drawn.model, recipe, drawn.example)
    program = compress.convert(drawn.model)
    agrees(drawn.model, program, drawn.x)
    for name, choice in recipe.items():
        last = choice[-1] if isinstance(choice, list) else choice
        stored = program.constants[f"{name}.weight"]
        if isinstance(last, compress.Prune):
            assert isinstance(stored, SparseForm)  # whichever takes the fewest bytes
        else:
            assert stored.kind.removesuffix("-masked") == ("dense" if last is None else "int8")


def test_digits_cnn_stays_on_integers_from_the_first_layer_to_the_last():
    model = nn.models.digits_cnn(0.5, rng=np.random.default_rng(0))
    x = nn.data.digits().x_train[:64]
    model(nn.Tensor(x))
    compress.prepare(model, compress.Quantize(), x)
    program = compress.convert(model)
    agrees(model, program, nn.data.digits().x_test[:32])
    dtypes = [step.made.dtype for step in program.bound.steps]
    assert dtypes == ["float32"] + ["uint8"] * 7 + ["int32", "float32"]


def test_the_sum_of_a_residual_is_one_of_integers():
    class Net(nn.Module):
        def __init__(self):
            rng = np.random.default_rng(0)
            self.a, self.b, self.fc = (nn.Linear(6, 6, rng=rng) for _ in range(3))

        def forward(self, x):
            x = self.a(x)
            return self.fc(nn.functional.relu(x + self.b(x)))

    model, x = Net(), np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    compress.prepare(model, compress.Quantize(), x)
    program = compress.convert(model)
    agrees(model, program, x)
    assert [step.kernel for step in program.bound.steps] == [
        "quantize", "qgemm", "qgemm", "qadd", "qgemm", "dequantize"]


def test_a_quantized_layer_used_twice_has_a_bias_and_scales_for_each_use():
    class Twice(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(5, 5, rng=np.random.default_rng(0))

        def forward(self, x):
            return self.fc(nn.functional.relu(self.fc(x)))

    model, x = Twice(), 30 * np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    compress.prepare(model, compress.Quantize(), x)
    program = compress.convert(model)
    agrees(model, program, x)
    with nn.no_grad():
        wanted = model(nn.Tensor(x)).data
    assert np.abs(program(x) - wanted).max() < 0.03 * np.abs(wanted).max()
    assert sum(isinstance(c, compress.Stored) for c in program.constants.values()) == 1


def test_relu_on_the_grid_keeps_real_zero():
    """A ReLU that something else stands before runs on integers, where 0 is the zero point."""
    model = nn.Sequential(
        nn.Linear(4, 8, rng=np.random.default_rng(0)),
        nn.Flatten(),
        nn.ReLU(),
        nn.Linear(8, 2, rng=np.random.default_rng(1)),
    )
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    compress.prepare(model, compress.Quantize(), x)
    program = compress.convert(model)
    agrees(model, program, x)
    (relu,) = [call for call in program.calls if call.op == "clip"]
    assert program.values[relu.output].grid.zero > 0


def test_constant_and_zero_activations():
    """A calibration batch of zeros, dead channels, a single example."""
    model = nn.Sequential(nn.Linear(4, 8, rng=np.random.default_rng(0)), nn.ReLU(), nn.Linear(8, 2))
    for example in (np.zeros((3, 4), np.float32), -np.ones((1, 4), np.float32)):
        model[0].weight.parametrization = model[2].weight.parametrization = None
        model[0].bias.data[:] = -100  # every ReLU is dead
        compress.prepare(model, compress.Quantize(), example)
        program = compress.convert(model)
        agrees(model, program, example)
        np.testing.assert_allclose(program(example)[0], model[2].bias.data, rtol=1e-2, atol=1e-2)


def test_a_bias_far_larger_than_its_products_fits_int32():
    model = nn.Sequential(nn.Linear(4, 3, rng=np.random.default_rng(0)), nn.ReLU(), nn.Linear(3, 2))
    model[0].weight.data *= 1e-6
    model[0].bias.data[:] = [1e5, -1e5, 0]
    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    compress.prepare(model, compress.Quantize(), x)
    program = compress.convert(model)
    agrees(model, program, x)
    with nn.no_grad():
        wanted = model(nn.Tensor(x)).data
    np.testing.assert_allclose(program(x), wanted, rtol=0.02, atol=0.02 * np.abs(wanted).max())


def test_values_beyond_the_calibrated_range_are_clamped():
    model = nn.Sequential(nn.Linear(2, 2, bias=False))
    model[0].weight.data[:] = np.eye(2)
    compress.prepare(model, compress.Quantize(), np.array([[-1, 1]], np.float32))
    out = compress.convert(model)(np.array([[5, -5], [1e30, -1e30]], np.float32))
    np.testing.assert_allclose(out, [[1, -1], [1, -1]], atol=0.01)


@pytest.mark.parametrize("what", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_where_it_would_become_an_integer(what):
    model = nn.Sequential(nn.Linear(2, 2))
    compress.prepare(model, compress.Quantize(), np.ones((3, 2), np.float32))
    program = compress.convert(model)
    before = program(np.ones((1, 2), np.float32))
    with pytest.raises(ValueError, match=r"x\.u8 = quantize\(x.*: x holds NaN or infinity"):
        program(np.array([[1, what]], np.float32))
    np.testing.assert_array_equal(program(np.ones((1, 2), np.float32)), before)


def test_channels_that_a_folded_batch_norm_spreads_keep_their_digits_per_channel_only():
    """Krishnamoorthi (2018), §3.1.1 and table 2: after folding, channels differ so much that one scale for
    all leaves the small ones no integers; a scale per channel gives each its 127.
    """
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False, rng=rng), nn.BatchNorm2d(16)).eval()
    spread = 10 ** np.linspace(-1, 1, 16)  # 100×
    model[1].weight.data[:] = spread * rng.choice([-1, 1], 16)
    x = rng.normal(size=(64, 3, 8, 8)).astype(np.float32)
    compress.prepare(model, compress.Quantize(), x)
    packed = compress.convert(model).constants["0.weight"]
    folded = model[0].weight.data * (model[1].weight.data / np.sqrt(1 + 1e-5)).reshape(-1, 1, 1, 1)

    def error(w):  # of each channel, relative
        return np.linalg.norm((w - folded).reshape(16, -1), axis=1) / np.linalg.norm(
            folded.reshape(16, -1), axis=1
        )

    one_scale = np.abs(folded).max() / 127
    per_tensor = error(np.rint(folded / one_scale) * one_scale)
    per_channel = error(packed.decode())
    assert per_channel.max() < 0.01
    assert per_tensor.max() > 0.2
    assert per_tensor[spread > 5].max() < 0.01  # only the small channels collapse


@pytest.mark.parametrize("part", ["bias", "scale", "weight"])
def test_the_simulation_notices_a_single_wrong_number(part):
    model = nn.Sequential(
        nn.Linear(4, 6, rng=np.random.default_rng(0)),
        nn.ReLU(),
        nn.Linear(6, 2, rng=np.random.default_rng(1)),
    )
    x = np.random.default_rng(2).normal(size=(40, 4)).astype(np.float32)
    compress.prepare(model, compress.Quantize(), x)
    right = compress.convert(model)
    constants, grids = dict(right.constants), dict(right.grids)
    if part == "bias":
        constants["0.bias"] = constants["0.bias"] + 40
    elif part == "scale":
        grids["1"] = Grid(grids["1"].format, grids["1"].scale * 1.02, grids["1"].zero)
    else:
        w = constants["0.weight"]
        constants["0.weight"] = INT8.stored(np.clip(w.codes() + 1, -127, 127).astype(np.int8), w.scale)
    wrong = compress.Program(right.name, right.inputs, right.outputs, right.calls, constants, grids)
    agrees(model, right, x)
    with pytest.raises(AssertionError):
        agrees(model, wrong, x)


@pytest.mark.parametrize("dead", [False, True], ids=["", "nothing but zeros comes in"])
def test_a_channel_without_weights_keeps_its_bias(dead):
    """No weight decides its scale; with a scale of 1 a bias below half of x_scale would round to 0."""
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(6, 5, rng=rng), nn.ReLU(), nn.Linear(5, 3, rng=rng))
    x = rng.uniform(0, 0.1, (20, 6)).astype(np.float32)
    if dead:
        model[0].weight.data[:], model[0].bias.data[:] = 0, -1
    model[2].weight.data[1:] = 0
    model[2].bias.data[1:] = 0.0037, 0
    compress.prepare(model, compress.Quantize(), x)
    out = compress.convert(model)(x)
    np.testing.assert_allclose(out[:, 1:], np.broadcast_to(model[2].bias.data[1:], (20, 2)), rtol=1e-6)


def divisors(n):
    return [d for d in range(1, n + 1) if n % d == 0]


@pytest.mark.parametrize("recipe", CHOICES[:3], ids=["float", "int8", "csr"])
@pytest.mark.parametrize("kind", [nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d])
def test_adaptive_pools_that_divide_the_image(kind, recipe):
    x = np.random.default_rng(0).normal(size=(5, 2, 6, 4)).astype(np.float32)
    for size in [1, 2, None, (None, 1), *((h, w) for h in divisors(6) for w in divisors(4))]:
        rng = np.random.default_rng(1)
        layers = nn.Conv2d(2, 3, 3, padding=1, rng=rng), nn.ReLU(), kind(size), nn.Flatten()
        features = nn.Sequential(*layers)(nn.Tensor(x)).shape[1]
        model = nn.Sequential(*layers, nn.Linear(features, 4, rng=rng))
        if recipe is not None:
            compress.prepare(model, recipe, x)
        program = compress.convert(model, x)
        np.testing.assert_allclose(program(x), model.eval()(nn.Tensor(x)).data, rtol=1e-4, atol=1e-5)
        if isinstance(recipe, compress.Quantize):
            agrees(model, compress.convert(model), x)


@pytest.mark.parametrize(("clip", "codes"), [
    (None, None), ((0.0, None), (50, 255)), ((0.0, 6.0), (50, 62)), ((None, 6.0), (0, 62)),
    ((-1e9, 1e9), (0, 255)), ((9.0, 6.0), (62, 62))], ids=str)
def test_a_clip_is_a_range_of_codes(clip, codes):
    """Where its ends cross, the upper one is what min(max(x, low), high) gives."""
    assert codes_of(clip, Grid(UINT8, 0.5, 50)) == codes

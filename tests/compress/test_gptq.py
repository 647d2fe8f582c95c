"""GPTQ in a network: what its layers read, what is refused, how it goes with pruning, folding, training."""

import copy

import numpy as np
import pytest

import compress
import nn
from compress import GPTQ, Prune, Quantize
from compress.examples import Example
from compress.layer_inputs import LayerInputs
from compress.stored import as_matrix
from nn import functional as F


def images(n=64):
    return nn.data.digits().x_train[:n]


def mlp(seed=0):
    return nn.models.digits_mlp(0.2, rng=np.random.default_rng(seed)).eval()


def cnn(seed=0):
    """With statistics of its own, so that there is something to fold."""
    model = nn.models.digits_cnn(0.2, rng=np.random.default_rng(seed))
    model.train()
    for _ in range(20):
        model(nn.Tensor(images()))
    model.bn2.weight.data[::2] *= -3
    return model.eval()


def weights(model):
    return {name: p for name, p in model.named_parameters() if p.parametrization is not None}


def state(parameter):
    return parameter.parametrization.states[-1]


# What layers read


def test_a_linear_layer_s_hessian_is_that_of_its_inputs_rounded_before_it():
    model, x = mlp(), images()
    compress.prepare(model, GPTQ(bits=3, activations=None), x)
    read = x.reshape(len(x), -1)
    for layer in (model.fc1, model.fc2, model.fc3):
        wanted = 2 * read.T.astype(np.float64) @ read / len(x)
        found = state(layer.weight).hessian
        np.testing.assert_allclose(found.matrix[0], wanted, rtol=1e-4, atol=1e-5 * wanted.max())
        assert found.count == len(x)
        seen = layer.weight.parametrization.project(layer.weight).data
        read = np.maximum(read @ seen.T + layer.bias.data, 0)


@pytest.mark.parametrize(("groups", "stride", "padding", "dilation"),
                         [(1, 1, 1, 1), (2, 2, 0, 1), (4, 1, 2, 2)])
def test_a_convolution_s_hessian_is_that_of_its_patches(groups, stride, padding, dilation, monkeypatch):
    monkeypatch.setattr("compress.layer_inputs.MOST", 100)  # a few images at a time
    rng = np.random.default_rng(0)
    layer = nn.Conv2d(4, 8, 3, stride=stride, padding=padding, dilation=dilation, groups=groups, rng=rng)
    x, change = rng.normal(size=(7, 4, 9, 8)).astype(np.float32), rng.normal(size=layer.weight.shape)
    model = compress.prepare(nn.Sequential(layer), GPTQ(bits=4), x)
    moved = F.conv2d(nn.Tensor(x), nn.Tensor(change.astype(np.float32)), None, stride=stride, padding=padding,
                     dilation=dilation, groups=groups).data
    norm = model[0].weight.parametrization.norm(change)
    assert norm == pytest.approx(np.sqrt(np.mean(np.sum(moved.astype(np.float64) ** 2, axis=1))), rel=1e-5)


def test_layers_are_rounded_in_the_order_in_which_they_run():
    class Backwards(nn.Module):
        def __init__(self):
            rng = np.random.default_rng(0)
            self.last, self.first = nn.Linear(5, 3, rng=rng), nn.Linear(4, 5, rng=rng)

        def forward(self, x):
            return self.last(F.relu(self.first(x)))

    model, x = Backwards(), np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32)
    compress.prepare(model, GPTQ(bits=2, activations=None), x)
    seen = model.first.weight.parametrization.project(model.first.weight).data
    read = np.maximum(x @ seen.T + model.first.bias.data, 0)
    np.testing.assert_allclose(state(model.last.weight).hessian.matrix[0], 2 * read.T @ read / 30, rtol=1e-5)


def test_a_signal_is_convolved_and_two_layers_with_one_weight_are_seen_together():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv1d(2, 4, 3, rng=rng), nn.ReLU(), nn.Conv1d(4, 2, 3, rng=rng))
    x = rng.normal(size=(5, 2, 12)).astype(np.float32)
    compress.prepare(model, GPTQ(bits=4), x)
    assert state(model[0].weight).hessian.count == 5 * 10
    assert state(model[2].weight).hessian.matrix.shape == (1, 12, 12)
    shared = nn.Sequential(nn.Linear(3, 3, rng=rng), nn.ReLU(), nn.Linear(3, 3, rng=rng))
    shared[2].weight = shared[0].weight
    compress.prepare(shared, {"0": GPTQ(bits=4)}, rng.normal(size=(6, 3)).astype(np.float32))
    assert state(shared[0].weight).hessian.count == 12


# What is refused


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: GPTQ(damping=0), ValueError, r"GPTQ: damping must be in \(0, 1\], got 0"),
    (lambda: GPTQ(damping=np.nan), ValueError, "GPTQ: damping must be"),
    (lambda: GPTQ(damping="much"), TypeError, "GPTQ: damping must be a number"),
    (lambda: GPTQ(activation_order=1), TypeError, "GPTQ: activation_order must be True or False"),
    (lambda: GPTQ(weights="int4-tensor"), ValueError, "GPTQ: rounds row by row.*int4-tensor has none"),
    (lambda: GPTQ(bits=9), ValueError, r"bits must be in 1…8; got 9"),
])  # fmt: skip
def test_settings_that_cannot_be(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_without_an_example_it_says_what_to_do():
    model = mlp()
    with pytest.raises(ValueError, match=r"GPTQ: fc1\.weight is rounded by what its layer reads: give "
                                         "prepare an example batch of inputs, or take Quantize"):
        compress.prepare(model, GPTQ(bits=3))
    assert not weights(model)


def test_the_example_of_an_earlier_prepare_serves():
    model = compress.prepare(mlp(), {"fc1": Quantize()}, images())
    compress.prepare(model, {"fc2": GPTQ(bits=3)})
    assert state(model.fc2.weight).hessian.count == len(images())


def test_activations_that_overflow_are_named():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    model[0].weight.data[:] = 3e38
    with pytest.raises(ValueError, match=r"calibration: what 2\.weight is multiplied with holds NaN or inf"):
        compress.prepare(model, GPTQ(bits=4, activations=None), np.full((2, 3), 3e38, np.float32))
    assert not weights(model)


def test_a_layer_that_does_not_run_has_no_inputs():
    class Idle(nn.Module):
        def __init__(self):
            self.used, self.idle = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x):
            return self.used(x)

    model, x = Idle(), np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"idle\.weight: no convolution or linear layer multiplies with it"):
        compress.prepare(model, GPTQ(bits=4), x)
    compress.prepare(model, {"used": GPTQ(bits=4)}, x)


# Inputs and weights on which it could go wrong


@pytest.mark.parametrize("what", ["dead", "all-dead", "few", "one", "constant", "zero", "zero-block",
                                  "one-channel"])
@pytest.mark.parametrize("form", ["int3", "int3-block32"])
def test_odd_layers_round_to_something_sound(what, form):
    rng = np.random.default_rng(0)
    layer, x = nn.Linear(70, 4, rng=rng), rng.normal(size=(200, 70)).astype(np.float32)
    w = layer.weight.data
    match what:
        case "dead":
            x[:, ::3] = 0
        case "all-dead":
            x[:] = 0
        case "few":
            x = x[:5]
        case "one":
            x = x[:1]
        case "constant":
            w[:] = 0.25
        case "zero":
            w[:] = 0
        case "zero-block":
            w[1, :32] = 0
        case "one-channel":
            w[2] = 0
    model = compress.prepare(nn.Sequential(layer), GPTQ(weights=form), x)
    chain = layer.weight.parametrization
    seen = chain.project(layer.weight).data
    assert np.isfinite(seen).all()
    assert np.abs(seen).max() <= np.abs(w).max() * 1.000001
    assert chain.norm(w - seen) <= chain.bound(w)
    if what in ("all-dead", "dead"):  # nothing to make good with, nothing to make good for
        where = slice(None, None, 1 if what == "all-dead" else 3)
        np.testing.assert_array_equal(seen[:, where], found_nearest(w, form)[:, where])
    if what == "all-dead":
        assert chain.bound(w) == 0
    if what in ("zero", "constant"):
        np.testing.assert_allclose(seen, w, rtol=1e-6)
    assert compress.convert(model)(x).shape == (len(x), 4)


def found_nearest(w, form):
    """Rounded to the nearest."""
    one = Quantize(weights=form)
    return one.project(nn.Tensor(w), one.fit(w, compress.Context())).data


# What it buys, and what it says it costs


@pytest.mark.parametrize("build", [mlp, cnn])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_outputs_err_less_than_with_the_nearest_and_never_more_than_certified(build, bits):
    model, x = build(), images(128)
    model = compress.prepare(model, GPTQ(bits, activations=None), x)
    inputs = LayerInputs(model, nn.trace(model, x[:3]), Example.of("test", x))
    for name, weight in weights(model).items():
        (stage,), chain, w = weight.parametrization.stages, weight.parametrization, weight.data
        seen = chain.project(weight).data
        mine, nearest = chain.norm(w - seen), chain.norm(w - found_nearest(w, f"int{bits}"))
        assert mine < nearest
        certified, clipped = stage.certificate(w, state(weight))
        assert mine <= certified
        assert 0 <= clipped <= w.size
        moved = inputs.hessian(name).norm(as_matrix(w - seen))
        assert moved == pytest.approx(mine, rel=1e-3)
    errors = compress.weight_errors(model)
    assert 0 < errors.measured <= errors.certified


def test_codes_that_are_clipped_are_counted():
    w = np.array([[1.0, 1.0, 0.1]], np.float32)
    x = np.array([[1, 0, 0], [0, 1, 20], [0, 0, 1e-3]], np.float32)
    model = nn.Sequential(nn.Linear(3, 1, bias=False))
    model[0].weight.data = w
    compress.prepare(model, GPTQ(2, activations=None, damping=1e-6), x)
    (stage,), found = model[0].weight.parametrization.stages, state(model[0].weight)
    certified, clipped = stage.certificate(w, found)
    assert clipped == 1  # 0.1 becomes 0; the input beside it is a twentieth as loud, and would become 3
    assert model[0].weight.parametrization.norm(w - stage.project(nn.Tensor(w), found).data) <= certified


def test_a_certificate_after_pruning_is_in_the_norm_of_the_outputs():
    model, x = mlp(), images()
    compress.prepare(model, [Prune(0.5), GPTQ(3)], x)
    for weight in weights(model).values():
        chain, seen = weight.parametrization, weight.parametrization.project(weight).data
        assert np.count_nonzero(seen) <= weight.size - round(weight.size / 2)
        assert chain.norm(weight.data - seen) <= chain.bound(weight.data)
    w, hessian = model.fc3.weight.data, state(model.fc3.weight).hessian
    chain = compress.Chain([GPTQ(3), Prune(0.5)])
    chain.fit(w, compress.Context(hessian=lambda: hessian))
    assert chain.bound(w) is None  # two norms, and no bound of one by the other


# In a network


@pytest.mark.parametrize("build", [mlp, cnn])
@pytest.mark.parametrize("recipe", [GPTQ(3), GPTQ(3, activations=None), [Prune(0.6), GPTQ(4)],
                                    GPTQ(weights="int4-block32"), GPTQ(2, rounding="fixed-point")])
def test_what_is_simulated_is_what_its_program_computes(build, recipe, tmp_path):
    model, x = compress.prepare(build(), recipe, images()), nn.data.digits().x_test[:30]
    program = compress.convert(model)
    with nn.no_grad():
        wanted = model(nn.Tensor(x)).data
    if model.parametrization is None:  # weights only: floats
        np.testing.assert_allclose(program(x), wanted, rtol=1e-3, atol=1e-3)
    else:
        np.testing.assert_array_equal(program(x), wanted)
    compress.save(program, tmp_path / "p")
    np.testing.assert_array_equal(compress.load(tmp_path / "p")(x), program(x))


def test_a_norm_is_folded_without_rounding_anew():
    model = compress.prepare(cnn(), GPTQ(3, activations=None), images())
    program = compress.convert(model)
    for layer, norm in ((model.conv1, model.bn1), (model.conv2, model.bn2)):
        factor = norm.weight.data / np.sqrt(norm.running_var + norm.eps)
        folded = program.constants[f"{'conv1' if layer is model.conv1 else 'conv2'}.weight"]
        signs = np.sign(factor).astype(int)[:, None]
        np.testing.assert_array_equal(folded.codes(), signs * as_matrix(state(layer.weight).codes))


def test_it_trains_and_goes_on_from_its_state():
    model, x = compress.prepare(mlp(), [Prune(0.5, compress.Cubic(end=2)), GPTQ(3)], images()), images()
    optimizer, labels = nn.optim.SGD(model.parameters(), lr=0.05), nn.data.digits().y_train[:64]
    before = state(model.fc1.weight).codes.copy()
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(nn.Tensor(x)), labels).backward()
        optimizer.step()
    assert np.any(state(model.fc1.weight).codes != before)
    other = compress.prepare(mlp(1), [Prune(0.5, compress.Cubic(end=2)), GPTQ(3)], images())
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(compress.convert(other)(x), compress.convert(model)(x))
    twin = copy.deepcopy(model)
    np.testing.assert_array_equal(compress.convert(twin)(x), compress.convert(model)(x))
    wrong = model.state_dict()
    name = next(name for name in wrong if name.endswith("codes"))
    wrong[name] = wrong[name] + np.int8(100)
    with pytest.raises(ValueError, match="a code is outside -3…3"):
        other.load_state_dict(wrong)


def test_it_says_what_it_is():
    assert repr(GPTQ(3)) == "GPTQ(bits=3)"
    assert repr(GPTQ(4, activations=None, damping=0.1, activation_order=False)) == (
        "GPTQ(bits=4, activations=None, damping=0.1, activation_order=False)")


@pytest.mark.parametrize("how", [{"gradient": "ewgs"}, {"clip": 1.0}])
def test_what_it_does_not_do_is_refused(how):
    with pytest.raises(ValueError, match="GPTQ: it has neither another gradient"):
        compress.GPTQ(3, **how)

"""What prepare and convert refuse, clearly, and that nothing is half done when they do."""

import copy

import numpy as np
import pytest

import compress
import nn
from nn import functional as F
from tests.net import Net


def mlp():
    return nn.models.digits_mlp(0.1, rng=np.random.default_rng(0))


def images(n=4):
    return nn.data.digits().x_train[:n]


def parametrizations(model):
    return [p.parametrization for _, p in model.named_parameters() if p.parametrization is not None]


# prepare


def test_it_returns_the_model_with_views_on_the_weights_only():
    model = mlp()
    assert compress.prepare(model, compress.Prune(0.5)) is model
    assert [p.parametrization is not None for _, p in model.named_parameters()] == [True, False] * 3


def test_what_it_notes_is_copied_with_the_model():
    model = compress.prepare(mlp(), compress.Quantize(), images())
    twin = copy.deepcopy(model)
    np.testing.assert_array_equal(compress.convert(twin)(images()), compress.convert(model)(images()))


@pytest.mark.parametrize(
    ("model", "recipe", "example", "error", "message"),
    [
        (lambda x: x, compress.Quantize(), None, TypeError, r"model must be an nn\.Module; got function"),
        (mlp(), "quantize", None, TypeError, "a choice is a transform"),
        (mlp(), {"conv": compress.Quantize()}, None, ValueError, "'conv' fits no layer"),
        (mlp(), {"fc1": None}, None, ValueError, "chooses no layer"),
        (nn.Sequential(nn.ReLU()), compress.Quantize(), None, ValueError, "fits no layer"),
        (mlp(), compress.Quantize(), images().tolist(), TypeError, "must be a float32 array; got list"),
        (mlp(), compress.Quantize(), images().astype(np.float64), TypeError, "float32 array; got float64"),
        (mlp(), compress.Quantize(), images(0), ValueError, r"at least one input; got shape \(0, 1, 8, 8\)"),
        (mlp(), compress.Quantize(), images().ravel(), ValueError, r"at least one input; got shape \(256,\)"),
        (mlp(), compress.Quantize(), images() * np.nan, ValueError, "example holds NaN or infinity"),
        (mlp(), compress.Quantize(), images()[:, :, 1:], ValueError, "wanted an input of shape"),
    ],
    ids=[
        "no-module", "no-recipe", "no-such-layer", "nothing-chosen", "no-layer", "list", "float64", "empty",
        "vector", "nan", "shape",
    ],
)  # fmt: skip
def test_bad_arguments(model, recipe, example, error, message):
    with pytest.raises(error, match=message):
        compress.prepare(model, recipe, example)
    if isinstance(model, nn.Module):
        assert not parametrizations(model)
        assert not hasattr(model, "prepared")


def test_a_tensor_will_do_for_an_example():
    model = compress.prepare(mlp(), compress.Quantize(), nn.Tensor(images()))
    assert compress.convert(model)(images()).shape == (4, 10)


def test_a_forward_that_cannot_be_written_down_is_refused_before_anything_is_attached():
    model = Net(lambda m, x: m.fc(x) if x.sum() > 0 else x, fc=nn.Linear(3, 3))
    with pytest.raises(nn.TraceError, match="trace"):
        compress.prepare(model, compress.Quantize(), np.ones((1, 3), np.float32))
    assert not parametrizations(model)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_bad_weight_is_named_and_no_other_is_touched(value):
    model = mlp()
    model.fc2.weight.data[1, 1] = value
    with pytest.raises(ValueError, match=r"fc2\.weight: the weight holds NaN or infinity"):
        compress.prepare(model, compress.Quantize())
    assert not parametrizations(model)


def test_a_second_view_is_refused_and_the_first_stays():
    model = compress.prepare(mlp(), {"fc2": compress.Prune(0.5)})
    (before,) = parametrizations(model)
    with pytest.raises(
        ValueError, match=r"fc2\.weight has a parametrization already \(Chain\(\[Prune.*one weight, one chain"
    ):
        compress.prepare(model, compress.Quantize())
    assert parametrizations(model) == [before]


def test_two_layers_with_one_weight_need_one_choice():
    model = Net(lambda m, x: m.b(m.a(x)), a=nn.Linear(3, 3), b=nn.Linear(3, 3))
    model.b.weight = model.a.weight
    with pytest.raises(ValueError, match=r"a and b have one weight between them; choose for one of them"):
        compress.prepare(model, compress.Quantize())
    assert not parametrizations(model)
    compress.prepare(model, {"a": compress.Quantize()}, np.ones((2, 3), np.float32))
    program = compress.convert(model)
    assert [step.kernel for step in program.bound.steps].count("qgemm") == 2


def test_layers_may_be_prepared_one_after_another():
    """The example and the simulation of the first time serve the second, if it brings none."""
    both = compress.prepare(mlp(), {"fc1": compress.Quantize(), "fc2": compress.Prune(0.5)}, images())
    model = compress.prepare(mlp(), {"fc1": compress.Quantize()}, images())
    compress.prepare(model, {"fc2": compress.Prune(0.5)})
    x = nn.data.digits().x_test[:20]
    np.testing.assert_array_equal(compress.convert(model)(x), compress.convert(both)(x))
    with nn.no_grad():
        np.testing.assert_array_equal(model.eval()(nn.Tensor(x)).data, compress.convert(model)(x))


def test_a_later_quantize_is_simulated_on_the_first_example():
    model = compress.prepare(mlp(), {"fc2": compress.Prune(0.5)}, images())
    compress.prepare(model, {"fc1": compress.Quantize()})
    x = nn.data.digits().x_test[:20]
    with nn.no_grad():
        np.testing.assert_array_equal(model.eval()(nn.Tensor(x)).data, compress.convert(model)(x))


@pytest.mark.parametrize("build", [nn.optim.Adam, lambda p: nn.optim.SGD(p, lr=0.1)], ids=["adam", "sgd"])
def test_an_optimizer_built_before_prepare_is_refused_at_its_step(build):
    model = mlp()
    optimizer = build(model.parameters())
    compress.prepare(model, compress.Prune(0.5))
    F.cross_entropy(model(nn.Tensor(images())), np.zeros(4, np.int64)).backward()
    before = model.state_dict()
    with pytest.raises(RuntimeError, match="build the optimizer after preparing"):
        optimizer.step()
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


# convert


def test_no_module():
    with pytest.raises(TypeError, match=r"convert: model must be an nn\.Module; got ndarray"):
        compress.convert(np.ones(3))


def test_no_example():
    for model in (mlp(), compress.prepare(mlp(), compress.Quantize())):
        with pytest.raises(ValueError, match="convert: needs an example batch, here or at prepare"):
            compress.convert(model)


def test_bad_examples():
    with pytest.raises(TypeError, match="convert: example must be a float32 array; got float64"):
        compress.convert(mlp(), images().astype(np.float64))
    with pytest.raises(ValueError, match="convert: example holds NaN or infinity"):
        compress.convert(mlp(), images() + np.float32(np.inf))


def test_the_example_given_to_convert_goes_before_that_of_prepare():
    model = nn.Sequential(nn.Linear(2, 2, bias=False))
    model[0].weight.data[:] = np.eye(2)
    compress.prepare(model, compress.Quantize(), np.array([[-1, 1]], np.float32))
    x = np.array([[-4, 4]], np.float32)
    np.testing.assert_allclose(compress.convert(model)(x), [[-1, 1]], atol=0.02)
    np.testing.assert_allclose(compress.convert(model, x)(x), [[-4, 4]], atol=0.05)


@pytest.mark.parametrize(
    ("forward", "shape", "op"),
    [
        (lambda m, x: F.softmax(m.fc(x)), (3,), "softmax"),
        (lambda m, x: m.fc(x) * 2.0, (3,), "mul"),
        (lambda m, x: m.fc(x) + 1.0, (3,), "add"),
        (lambda m, x: F.linear(x, m.fc.weight * 2.0), (3,), None),
        (lambda m, x: F.linear(x, F.relu(m.fc.weight)), (3,), None),
        (lambda m, x: F.linear(x, m.fc.weight, F.flatten(m.fc.bias)), (3,), None),
        (lambda m, x: m.fc(m.row) + x, (3,), "add"),
        (lambda m, x: m.fc(x), (2, 3), None),
        (lambda m, x: m.grouped(x), (2, 4, 4), None),
        (lambda m, x: m.norm(x), (2, 2), None),
        (lambda m, x: x.reshape(-1, 2, 2), (4,), None),
    ],
    ids=[
        "softmax", "times-number", "plus-number", "weight-times", "weight-relu", "bias-reshaped",
        "layer-on-a-parameter", "three-dimensions", "groups", "batch-norm-3d", "reshape",
    ],
)  # fmt: skip
def test_what_has_no_kernel_runs_its_rule_and_says_so(forward, shape, op):
    model = Net(forward, fc=nn.Linear(3, 3), grouped=nn.Conv2d(2, 2, 3, groups=2), norm=nn.BatchNorm1d(2))
    model.row = nn.Parameter(np.ones((1, 3), np.float32))
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    program = compress.convert(model, x)
    np.testing.assert_allclose(program(x), model.eval()(nn.Tensor(x)).data, rtol=1e-5, atol=1e-6)
    assert op is None or f"numpy: {op}" in [call.op for call in program.calls]
    assert op is None or f"numpy: {op}(" in str(program)


@pytest.mark.parametrize(("forward", "said"), [
    (lambda m, x: F.softmax(m.b(m.a(x))), "softmax: it has no integer form"),
    (lambda m, x: m.b(m.act(m.a(x))),
     "gelu in module 'act': it has no integer form, and integer=True was asked for; on integers there are "
     "add, .*relu.*, conv2d, linear, .*, or leave integer=True away, and it runs on reals"),
    (lambda m, x: m.b(F.log_softmax(F.relu(m.a(x)) + m.a(x))), "log_softmax: it has no integer form"),
    (lambda m, x: m.b(m.plain(m.a(x))),
     r"linear in module 'plain': it has no integer form, .*; give its weight Quantize\(\) in the recipe of"),
    (lambda m, x: m.b(m.norm(x)), "batch_norm_eval in module 'norm': .*; put it right behind a convolution"),
    (lambda m, x: F.relu(m.b(m.a(x)) + x),
     r"add: what it reads, or what reads it, has no integer form, .*; put it between layers under Quantize"),
])
def test_integers_only_refuses_what_leaves_them_by_name(forward, said):
    model = Net(forward, **{name: nn.Linear(4, 4) for name in ("a", "b", "plain")}, act=nn.GELU(),
                norm=nn.BatchNorm1d(4))
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    compress.prepare(model, {"a": compress.Quantize(), "b": compress.Quantize()}, x)
    compress.convert(model)
    with pytest.raises(ValueError, match=f"convert: {said}"):
        compress.convert(model, integer=True)


def test_integers_only_takes_what_stays_on_them():
    model = nn.models.digits_cnn(0.1, rng=np.random.default_rng(0))
    compress.prepare(model, compress.Quantize(), images())
    assert str(compress.convert(model, integer=True)) == str(compress.convert(model))


@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("then", [[], [compress.Quantize()]], ids=["alone", "before-int8"])
def test_a_schedule_that_has_not_ended_is_refused(steps, then):
    recipe = {"fc2": [compress.Prune(0.8, compress.Cubic(end=5)), *then]}
    model = compress.prepare(mlp(), recipe, images())
    for step in range(1, steps + 1):
        for parametrization in parametrizations(model):
            for _, parameter in model.named_parameters():
                if parameter.parametrization is parametrization:
                    parametrization.update(parameter, step)
    with pytest.raises(
        ValueError, match=rf"fc2\.weight: Prune: the schedule stands at step {steps} of 5 .* of 0\.8;"
    ):
        compress.convert(model)


@pytest.mark.parametrize("what", ["fc1.weight", "fc2.bias"])
def test_weights_that_became_nan_in_training_are_named(what):
    model = compress.prepare(mlp(), compress.Quantize(), images())
    dict(model.named_parameters())[what].data[...] = np.nan
    with pytest.raises(ValueError, match=f"convert: {what} holds NaN or infinity"):
        compress.convert(model)


def test_statistics_that_became_nan_are_named():
    model = nn.models.digits_cnn(0.1, rng=np.random.default_rng(0))
    model.bn2.running_var[0] = np.nan
    with pytest.raises(ValueError, match=r"convert: bn2\.running_var holds NaN or infinity"):
        compress.convert(model, images())


def test_a_variance_below_zero_has_no_root():
    model = nn.models.digits_cnn(0.1, rng=np.random.default_rng(0))
    model.bn2.running_var[0] = -1
    with pytest.raises(ValueError, match=r"bn2\.running_var holds a variance below 0"):
        compress.convert(model, images())


def test_weights_whose_fold_overflows_are_refused():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    model[1].weight.data[:] = 1e30
    model[0].weight.data[:] = 1e30
    with pytest.raises(ValueError, match=r"0\.weight leaves float32 when the batch norm after it"):
        compress.convert(model, np.ones((2, 3), np.float32))


def test_activations_that_overflow_are_refused():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    model[0].weight.data[:] = 3e38
    with pytest.raises(ValueError, match="calibration: 0 becomes NaN or infinite on the example"):
        compress.prepare(model, compress.Quantize(), np.full((2, 3), 3e38, np.float32))
    assert model.parametrization is None
    assert model[0].weight.parametrization is None


def test_a_network_that_is_pruned_first_is_observed_pruned():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 8)).astype(np.float32)
    model = nn.Sequential(nn.Linear(8, 30, rng=rng), nn.ReLU(), nn.Linear(30, 4, rng=rng))
    model[0].bias.data[:] = 0
    compress.prepare(model, [compress.Prune(0.8), compress.Quantize()], x)
    pruned = model[0].weight.data * model[0].weight.parametrization.states[0].mask
    _, high = model.parametrization.ranges["1"]
    assert high == pytest.approx(np.maximum(x @ pruned.T, 0).max(), rel=1e-6)
    other = nn.Sequential(nn.Linear(8, 4, rng=rng))
    compress.prepare(other, [compress.Prune(0.8), compress.Quantize()])
    w = other[0].weight.data
    kept = np.abs(w) >= np.sort(np.abs(w), axis=None)[round(0.8 * w.size)]
    wanted = x @ (w * kept).T + other[0].bias.data
    np.testing.assert_allclose(compress.convert(other, x)(x), wanted, atol=0.03 * np.abs(wanted).max())


def test_a_model_keeps_a_prepared_of_its_own():
    model = mlp()
    model.prepared = "mine"
    with pytest.raises(ValueError, match=r"prepare: .* has a 'prepared' of its own.*choose another"):
        compress.prepare(model, compress.Quantize(), images())
    with pytest.raises(ValueError, match="unprepare: nothing is attached"):
        compress.unprepare(model)
    assert compress.convert(model, images())(images()).shape == (4, 10)
    assert model.prepared == "mine"

"""A network as data: what a trace holds, what it refuses, and that running it is running the model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from nn import functional as F
from nn.context import ambient
from tests.net import Net


def images(n=2, channels=1, size=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, channels, size, size)).astype(np.float32)


def residual(m, x):
    x = F.relu(m.norm(m.conv(x)))
    return m.fc(F.flatten(F.relu(x + m.inner(x)), 1))


def residual_net(rng=None):
    rng = np.random.default_rng(0) if rng is None else rng
    net = Net(
        residual,
        conv=nn.Conv2d(1, 3, 3, padding=1, rng=rng),
        norm=nn.BatchNorm2d(3),
        inner=nn.Conv2d(3, 3, 1, rng=rng),
        fc=nn.Linear(48, 5, rng=rng),
    )
    net.norm.running_mean[:] = rng.normal(size=3)
    net.norm.running_var[:] = rng.uniform(0.5, 2, size=3)
    return net


def evaluated(model, x):
    training = model.training
    model.eval()
    with nn.no_grad():
        out = model(nn.Tensor(x)).data
    model.train(training)
    return out


# What it holds


def test_nodes_carry_ops_names_attributes_shapes_and_modules():
    graph = nn.trace(residual_net(), images(2, size=4))
    assert [node.op for node in graph.nodes] == [
        "conv2d", "batch_norm_eval", "relu", "conv2d", "add", "relu", "reshape", "linear",
    ]  # fmt: skip
    first, norm, relu, inner, add, _, flat, last = graph.nodes
    assert first.inputs == ("x", "conv.weight", "conv.bias")
    assert first.attrs == {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    assert (first.module, norm.module, relu.module) == ("conv", "norm", "")
    assert norm.inputs == ("conv", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var")
    assert add.inputs == (relu.output, inner.output)
    assert flat.shape == ("N", 48)
    assert (graph.input, graph.output, last.shape) == ("x", "fc", ("N", 5))


def test_constants_are_the_models_arrays_under_their_state_dict_names():
    model = residual_net()
    graph = nn.trace(model, images(1, size=4))
    own = dict(model.named_parameters())
    assert set(graph.constants) <= set(model.state_dict())
    assert graph.constants["inner.weight"] is own["inner.weight"].data
    assert graph.constants["norm.running_var"] is model.norm.running_var


def test_attributes_that_a_call_left_out_have_their_defaults():
    for layer in (nn.AdaptiveAvgPool2d(2), nn.AdaptiveMaxPool2d(2), nn.AvgPool2d(2), nn.MaxPool2d(2)):
        (pool,) = nn.trace(nn.Sequential(layer), images(1, size=4)).nodes
        assert pool.attrs.keys() == {"kernel_size", "stride", "padding"}


def test_missing_bias_is_none():
    graph = nn.trace(nn.Sequential(nn.Linear(3, 2, bias=False)), np.zeros((1, 3), np.float32))
    assert graph.nodes[0].inputs == ("x", "0.weight", None)
    assert graph.run(np.ones((4, 3), np.float32)).shape == (4, 2)


def test_producer_and_users():
    graph = nn.trace(residual_net(), images(1, size=4))
    relu = next(node for node in graph.nodes if node.op == "relu")
    assert graph.producer(relu.output) is relu
    assert graph.producer("x") is None
    assert graph.producer("conv.weight") is None
    assert [node.op for node in graph.users(relu.output)] == ["conv2d", "add"]
    assert graph.users("fc") == []


def test_printed_it_has_a_line_for_each_node():
    text = str(nn.trace(nn.models.digits_cnn(), images(1)))
    lines = text.splitlines()
    assert lines[0] == "graph: x (N, 1, 8, 8) → fc, 13 nodes"
    assert len(lines) == 14
    assert "conv1 = conv2d(x, conv1.weight, None, stride=(1, 1)" in lines[1]
    assert lines[-1].split() == ["fc", "=", "linear(reshape,", "fc.weight,", "fc.bias)", "(N,", "10)"]


def test_numbers_and_arrays_in_forward_become_constants():
    shift = np.arange(3, dtype=np.float32)
    graph = nn.trace(Net(lambda m, x: x * 2.0 + nn.Tensor(shift)), np.zeros((1, 3), np.float32))
    assert sorted(float(a.sum()) for a in graph.constants.values()) == [2.0, 3.0]
    np.testing.assert_array_equal(graph.run(np.ones((2, 3), np.float32)), np.ones((2, 3)) * 2 + shift)


def test_one_module_called_twice_gives_two_nodes_with_the_same_weight():
    net = Net(lambda m, x: m.fc(F.relu(m.fc(x))), fc=nn.Linear(4, 4))
    graph = nn.trace(net, np.zeros((1, 4), np.float32))
    assert [node.output for node in graph.nodes] == ["fc", "relu", "fc_1"]
    assert graph.nodes[0].inputs[1:] == graph.nodes[2].inputs[1:] == ("fc.weight", "fc.bias")
    x = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_array_equal(graph.run(x), evaluated(net, x))


def test_two_names_of_one_weight_are_one_constant():
    net = Net(lambda m, x: m.b(m.a(x)), a=nn.Linear(4, 4), b=nn.Linear(4, 4))
    net.b.weight = net.a.weight
    graph = nn.trace(net, np.zeros((1, 4), np.float32))
    assert [node.inputs[1] for node in graph.nodes] == ["a.weight", "a.weight"]


def test_names_of_values_and_of_parameters_never_meet():
    net = Net(lambda m, x: m.x(x), x=nn.Linear(2, 2))
    net.relu = nn.Parameter(np.ones(2, np.float32))
    net.compute = lambda m, x: F.relu(m.x(x)) * m.relu
    graph = nn.trace(net, np.zeros((1, 2), np.float32))
    names = [graph.input, *graph.constants, *(node.output for node in graph.nodes)]
    assert len(set(names)) == len(names)
    x = np.random.default_rng(1).normal(size=(3, 2)).astype(np.float32)
    np.testing.assert_array_equal(graph.run(x), evaluated(net, x))


def test_a_weights_view_is_named_not_opened():
    model = residual_net()
    compress.prepare(model, {"inner": compress.Prune(0.9)})
    graph = nn.trace(model, images(1, size=4))
    assert graph.parametrizations == {"inner.weight": model.inner.weight.parametrization}
    assert [node.op for node in graph.nodes].count("mul") == 0
    assert np.all(graph.constants["inner.weight"])


# Running it


@pytest.mark.parametrize("build", [nn.models.digits_cnn, nn.models.digits_mlp])
def test_run_is_the_models_forward_in_evaluation_mode(build):
    model = build(0.25, rng=np.random.default_rng(0))
    model(nn.Tensor(images(16, seed=1)))  # moves the running statistics
    graph = nn.trace(model, images(1))
    for n in (1, 5, 16):
        x = images(n, seed=n)
        np.testing.assert_array_equal(graph.run(x), evaluated(model, x))


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_a_trace_holds_for_batches_of_any_size(traced, run, seed):
    model = residual_net(np.random.default_rng(seed))
    graph = nn.trace(model, images(traced, size=4))
    x = images(run, size=4, seed=seed)
    np.testing.assert_array_equal(graph.run(x), evaluated(model, x))


def test_watch_sees_every_value_once_in_order():
    graph = nn.trace(residual_net(), images(1, size=4))
    watched = {}
    out = graph.run(images(3, size=4), watch=lambda name, array: watched.setdefault(name, array))
    assert list(watched) == ["x", *(node.output for node in graph.nodes)]
    assert watched["fc"] is out
    assert all(len(array) == 3 for array in watched.values())


def test_run_leaves_the_input_and_the_constants_alone():
    model = residual_net()
    graph = nn.trace(model, images(1, size=4))
    x = images(2, size=4)
    before, state = x.copy(), model.state_dict()
    graph.run(x)
    np.testing.assert_array_equal(x, before)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[name])


def test_dropout_is_absent_in_evaluation_mode():
    graph = nn.trace(nn.Sequential(nn.Dropout(0.5), nn.ReLU()), np.zeros((1, 3), np.float32))
    assert [node.op for node in graph.nodes] == ["relu"]


# What it restores


def mixed_modes():
    model = residual_net().train()
    model.norm.training = False
    return model, [module.training for _, module in model.named_modules()]


def test_modes_and_statistics_are_as_before():
    model, modes = mixed_modes()
    state = model.state_dict()
    nn.trace(model, images(2, size=4))
    assert [module.training for _, module in model.named_modules()] == modes
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[name])
    assert ambient.context.tracer is None


def test_modes_and_tracer_are_restored_after_an_error_too():
    model, modes = mixed_modes()
    with pytest.raises(ValueError, match="wanted an input of shape"):
        nn.trace(model, images(1, channels=2, size=4))
    assert [module.training for _, module in model.named_modules()] == modes
    assert ambient.context.tracer is None
    assert model(nn.Tensor(images(2, size=4))).shape == (2, 5)


def test_gradients_still_flow_afterwards():
    model = residual_net()
    nn.trace(model, images(1, size=4))
    model(nn.Tensor(images(2, size=4))).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


# What it refuses

STEERED = {
    "bool": lambda m, x: x if x.sum() > 0 else -x,
    "float": lambda m, x: x * float(x.sum()),
    "int": lambda m, x: x * int(x.sum()),
    "item": lambda m, x: x * x.sum().item(),
    "numpy": lambda m, x: nn.Tensor(np.tanh(x.numpy())),
    "array": lambda m, x: nn.Tensor(np.asarray(x)),
    "write": lambda m, x: x.copy_(np.zeros(3, np.float32)),
}


@pytest.mark.parametrize("forward", STEERED.values(), ids=STEERED)
def test_a_path_that_depends_on_values_is_refused(forward):
    with pytest.raises(nn.TraceError, match="trace"):
        nn.trace(Net(forward), np.ones((1, 3), np.float32))
    assert ambient.context.tracer is None


def test_shapes_may_steer():
    net = Net(lambda m, x: F.relu(x) if x.shape[1] > 2 else x + x)
    assert nn.trace(net, np.ones((1, 3), np.float32)).nodes[0].op == "relu"
    assert nn.trace(net, np.ones((1, 2), np.float32)).nodes[0].op == "add"


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda m, x: nn.Tensor(np.tanh(x.data)), "does not come from its input"),
        (lambda m, x: m.w + 1, "does not come from its input"),
        (lambda m, x: m.w, "does not come from its input"),
        (lambda m, x: None, "must return one Tensor; it returned NoneType"),
        (lambda m, x: x.data, "must return one Tensor; it returned ndarray"),
    ],
    ids=["around-the-engine", "of-a-parameter", "a-parameter", "nothing", "an-array"],
)
def test_an_output_that_is_no_function_of_the_input_is_refused(forward, message):
    net = Net(forward)
    net.w = nn.Parameter(np.ones((1, 3), np.float32))
    with pytest.raises(nn.TraceError, match=message):
        nn.trace(net, np.ones((1, 3), np.float32))


@pytest.mark.parametrize(
    "example",
    [np.float32(1), np.ones(3, np.float32), np.ones((0, 3), np.float32)],
    ids=["scalar", "vector", "empty"],
)
def test_an_example_without_a_batch_is_refused(example):
    with pytest.raises(ValueError, match="example needs a batch"):
        nn.trace(Net(lambda m, x: x + x), example)


def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match=r"trace: model must be an nn\.Module; got function"):
        nn.trace(lambda x: x, np.ones((1, 3), np.float32))


def test_a_copy_is_the_value_that_it_copies():
    class Copies(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(4, 4, rng=np.random.default_rng(0))

        def forward(self, x):
            return self.fc(x.clone().contiguous()).detach().relu().clone()

    graph = nn.trace(Copies(), np.ones((2, 4), np.float32))
    assert [node.op for node in graph.nodes] == ["linear", "relu"]
    assert nn.trace(nn.Identity(), np.ones((2, 4), np.float32)).nodes == ()

"""The module tree and the layers: PyTorch's names, start and numbers; errors that say who and what."""

import copy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nn
from nn import files
from nn import functional as F
from nn.models import DigitsCNN
from nn.parameter import Parameter
from nn.parametrize import Parametrization

GOLDEN = Path(__file__).parents[1] / "golden"


class Twin(nn.Module):
    """A tree with a shared child, a shared weight, a buffer and an attribute that is none of them."""

    def __init__(self):
        self.first = nn.Linear(2, 2)
        self.second = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU())
        self.again = self.first
        self.tied = self.second[0].weight
        self.register_buffer("seen", np.zeros(2))
        self.note = "text"

    def forward(self, x):
        return self.second(self.again(self.first(x)))


def tensor(*shape):
    return nn.Tensor(np.random.default_rng(0).normal(size=shape).astype(np.float32))


def recorded_model():
    model = DigitsCNN((4, 6, 5))
    model.load_state_dict(files.load(GOLDEN / "torch_cnn.safetensors"))
    return model, np.load(GOLDEN / "torch_cnn.npz")


# Against PyTorch's record


def test_weights_from_pytorch_load_unchanged_and_give_its_outputs():
    model, record = recorded_model()
    out = model.eval()(nn.Tensor(record["x"]))
    np.testing.assert_allclose(out.data, record["evaluated"], rtol=1e-5, atol=1e-5)


def test_a_training_step_gives_pytorchs_gradients_and_statistics():
    model, record = recorded_model()
    out = model(nn.Tensor(record["x"]))
    loss = F.cross_entropy(out, record["y"])
    loss.backward()
    np.testing.assert_allclose(out.data, record["trained"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss.item(), record["loss"], rtol=1e-5)
    for name, p in model.named_parameters():
        np.testing.assert_allclose(p.grad, record[f"grad.{name}"], rtol=1e-3, atol=1e-5, err_msg=name)
    for name, buffer in model.named_buffers():
        np.testing.assert_allclose(buffer, record[f"after.{name}"], rtol=1e-5, err_msg=name)


def test_the_state_has_pytorchs_keys_and_dtypes():
    states = DigitsCNN((4, 6, 5)).state_dict(), files.load(GOLDEN / "torch_cnn.safetensors")
    ours, theirs = ({name: (a.dtype, a.shape) for name, a in state.items()} for state in states)
    assert ours == theirs


# The start


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 3), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_weights_start_uniform_within_one_over_root_fan_in(n_in, n_out, k, seed):
    nn.manual_seed(seed)
    for layer, fan_in in ((nn.Linear(n_in, n_out), n_in), (nn.Conv2d(n_in, n_out, k), n_in * k * k)):
        for p in (layer.weight, layer.bias):
            assert p.dtype == np.float32
            assert p.requires_grad
            assert (abs(p.data) <= fan_in**-0.5 * (1 + 1e-6)).all()


def test_the_start_fills_its_range():
    layer = nn.Linear(100, 200, rng=np.random.default_rng(0))
    assert layer.weight.data.max() > 0.0999
    np.testing.assert_allclose(layer.weight.data.std(), 0.1 / 3**0.5, rtol=0.02)


def test_the_seed_decides_the_start():
    def weight(seed):
        nn.manual_seed(seed)
        return nn.Linear(3, 3).weight.data

    np.testing.assert_array_equal(weight(1), weight(1))
    assert (weight(1) != weight(2)).any()
    a, b = (nn.Conv2d(2, 2, 3, rng=np.random.default_rng(5)).weight.data for _ in range(2))
    np.testing.assert_array_equal(a, b)


# The tree


def test_names_of_the_tree():
    model = Twin()
    assert [name for name, _ in model.named_modules()] == ["", "first", "second", "second.0", "second.1"]
    assert [name for name, _ in model.named_parameters()] == ["tied", "first.weight", "first.bias"]
    assert [name for name, _ in model.named_buffers()] == ["seen"]
    assert list(model.state_dict()) == [
        "tied", "seen", "first.weight", "first.bias", "second.0.weight", "again.weight", "again.bias",
    ]  # fmt: skip
    assert len(list(model.parameters())) == 3


def test_a_copy_is_a_model_of_its_own():
    model = Twin()
    twin = copy.deepcopy(model)
    assert twin.again is twin.first
    assert twin.tied is twin.second[0].weight
    twin.first.weight.data[...] = 7
    twin.seen += 1
    twin.eval()
    assert (model.first.weight.data != 7).all()
    assert (model.seen == 0).all()
    assert model.first.training
    assert isinstance(twin.first.weight, Parameter)
    assert twin.first.weight.requires_grad


class Scaled(Parametrization):
    """A parametrization with something of its own to train."""

    def __init__(self):
        self.scale = Parameter(np.ones((), np.float32))

    def project(self, parameter):
        return parameter * self.scale

    def trainables(self, parameter):
        return [parameter, self.scale]


def test_a_view_stands_between_weight_and_layer_and_survives_a_copy():
    layer = nn.Linear(2, 2)
    x = tensor(3, 2)
    plain = layer(x).data
    layer.weight.parametrization = parametrization = Scaled()
    np.testing.assert_array_equal(layer(x).data, plain)
    twin = copy.deepcopy(layer)
    parametrization.scale.data[...] = 0
    np.testing.assert_array_equal(layer(x).data, np.broadcast_to(layer.bias.data, (3, 2)))
    np.testing.assert_array_equal(twin(x).data, plain)
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    assert [
        p is q
        for p, q in zip(layer.parameters(), [layer.weight, parametrization.scale, layer.bias], strict=True)
    ]
    twin(x).sum().backward()
    assert twin.weight.parametrization.scale.grad is not None
    assert next(iter(twin.parameters())) is twin.weight
    assert twin.weight.parametrization.scale.source is twin.weight
    twin.zero_grad()
    assert all(p.grad is None for p in twin.parameters())


def test_a_trace_speaks_of_a_viewed_weight_by_its_name():
    layer = nn.Linear(2, 2)
    layer.weight.parametrization = Scaled()
    graph = nn.trace(layer, np.ones((1, 2), np.float32))
    assert [node.op for node in graph.nodes] == ["linear"]
    assert "weight" in graph.nodes[0].inputs


def test_a_view_that_trains_a_bare_tensor_is_refused():
    layer = nn.Linear(2, 2)
    layer.weight.parametrization = parametrization = Scaled()
    parametrization.scale = tensor(1)
    with pytest.raises(TypeError, match=r"Scaled\.trainables must give Parameters"):
        list(layer.parameters())


def test_modes_reach_the_whole_tree():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(0.9), nn.BatchNorm1d(2)))
    assert model.eval() is model
    assert not any(module.training for _, module in model.named_modules())
    x = tensor(5, 2)
    np.testing.assert_array_equal(model(x).data, model(x).data)
    assert model[1][1].num_batches_tracked == 0
    assert model.train() is model
    assert all(module.training for _, module in model.named_modules())
    model(x)
    assert model[1][1].num_batches_tracked == 1


def test_sequential_takes_names():
    model = nn.Sequential({"fc": nn.Linear(2, 3), "act": nn.ReLU()})
    assert len(model) == 2
    assert model[-1] is model.act
    assert [name for name, _ in model.named_parameters()] == ["fc.weight", "fc.bias"]
    with pytest.raises(TypeError, match="Sequential: 1 must be a Module"):
        nn.Sequential(nn.ReLU(), F.relu)


def test_the_tree_prints_like_pytorchs():
    head = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, bias=False), head)
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)\n"
        "  (1): Sequential(\n"
        "    (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "    (1): ReLU()\n"
        "  )\n"
        ")"
    )
    for layer in (nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(), nn.BatchNorm2d(3)):
        assert repr(layer).startswith(f"{type(layer).__name__}(")


def test_a_module_without_forward_says_so():
    with pytest.raises(TypeError, match="Module has no forward"):
        nn.Module()(1)
    with pytest.raises(TypeError, match="register_buffer: a"):
        nn.Module().register_buffer("a", 1.0)


# State


def test_state_is_copied_out_and_in():
    layer = nn.Linear(2, 3)
    data, state = layer.weight.data, layer.state_dict()
    state["weight"][...] = 5
    assert (data != 5).all()
    assert layer.load_state_dict(state) == ([], [])
    assert layer.weight.data is data
    assert (data == 5).all()
    state["weight"][...] = 6
    assert (data == 5).all()


def test_a_state_that_does_not_fit_is_refused_whole():
    model = Twin()
    before = model.state_dict()
    wrong = {**model.state_dict(), "first.bias": np.zeros(3), "extra": np.zeros(1)}
    wrong["tied"] = wrong["tied"] + 1
    del wrong["seen"]
    told = r"missing: seen; unexpected: extra; first\.bias has shape \(2,\), got \(3,\)"
    with pytest.raises(ValueError, match=told):
        model.load_state_dict(wrong)
    with pytest.raises(ValueError, match=r"first\.bias"):
        model.load_state_dict(wrong, strict=False)
    for bad in ("text", np.zeros((2, 2), complex), [[1.0]]):
        with pytest.raises(TypeError, match=r"first\.weight must be a float32 array"):
            model.load_state_dict({**before, "first.weight": bad})
    with pytest.raises(TypeError, match="mapping"):
        model.load_state_dict([1])
    after = model.state_dict()
    assert all((before[name] == after[name]).all() for name in before)
    missing, unexpected = model.load_state_dict({"tied": before["tied"] + 1, "extra": 0}, strict=False)
    assert unexpected == ["extra"]
    assert "tied" not in missing
    assert "seen" in missing
    assert (model.tied.data == before["tied"] + 1).all()


def test_a_loaded_state_is_seen_by_a_backward_that_needed_the_old_one():
    layer = nn.Linear(2, 2)
    x = nn.Tensor(np.ones((1, 2), np.float32), requires_grad=True)
    out = layer(x).sum()
    layer.load_state_dict(layer.state_dict())
    with pytest.raises(RuntimeError, match="overwritten"):
        out.backward()


# Each layer


@pytest.mark.parametrize(
    ("layer", "shape", "out"),
    [
        (nn.Linear(3, 4), (2, 3), (2, 4)),
        (nn.Linear(3, 4, bias=False), (2, 5, 3), (2, 5, 4)),
        (nn.Conv2d(3, 4, 3), (2, 3, 8, 9), (2, 4, 6, 7)),
        (nn.Conv2d(4, 6, (3, 1), 2, (1, 0), dilation=(2, 1), groups=2), (2, 4, 8, 9), (2, 6, 3, 5)),
        (nn.BatchNorm1d(3), (4, 3), (4, 3)),
        (nn.BatchNorm1d(3), (4, 3, 5), (4, 3, 5)),
        (nn.BatchNorm2d(3, affine=False), (4, 3, 5, 5), (4, 3, 5, 5)),
        (nn.MaxPool2d(2), (1, 3, 5, 6), (1, 3, 2, 3)),
        (nn.AvgPool2d(3, stride=1, padding=1), (1, 3, 5, 6), (1, 3, 5, 6)),
        (nn.Flatten(), (2, 3, 4), (2, 12)),
        (nn.Flatten(0, 1), (2, 3, 4), (6, 4)),
        (nn.ReLU(), (2, 3), (2, 3)),
        (nn.Dropout(0.5), (2, 3), (2, 3)),
    ],
    ids=repr,
)
def test_layers_give_their_shapes_and_gradients(layer, shape, out):
    y = layer(tensor(*shape))
    assert y.shape == out
    y.sum().backward() if list(layer.parameters()) else None
    assert all(p.grad is not None for p in layer.parameters())


def test_batch_norm_normalises_and_keeps_unbiased_statistics():
    layer = nn.BatchNorm2d(3, momentum=0.25)
    x = tensor(4, 3, 5, 5)
    y = layer(x).data
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(axis=(0, 2, 3)), 1, rtol=1e-4)
    np.testing.assert_allclose(layer.running_mean, 0.25 * x.data.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(layer.running_var, 0.75 + 0.25 * x.data.var(axis=(0, 2, 3), ddof=1), rtol=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape", "wanted"),
    [
        (nn.Linear(3, 4), (2, 5), r"Linear\(in_features=3.*\(\.\.\., 3\), got \(2, 5\)"),
        (nn.Conv2d(3, 4, 3), (2, 4, 8, 8), r"Conv2d\(3, 4.*\(N, 3, H, W\), got \(2, 4, 8, 8\)"),
        (nn.Conv2d(3, 4, 3), (3, 8, 8), r"Conv2d\(3, 4.*\(N, 3, H, W\), got \(3, 8, 8\)"),
        (nn.BatchNorm1d(3), (2, 4), r"BatchNorm1d\(3.*\(N, 3\) or \(N, 3, L\), got \(2, 4\)"),
        (nn.BatchNorm2d(3), (2, 3), r"BatchNorm2d\(3.*\(N, 3, H, W\), got \(2, 3\)"),
        (nn.MaxPool2d(2), (2, 3), r"MaxPool2d.*\(N, C, H, W\), got \(2, 3\)"),
        (nn.AvgPool2d(2), (2, 3), r"AvgPool2d.*\(N, C, H, W\), got \(2, 3\)"),
    ],
    ids=repr,
)
def test_an_input_that_does_not_fit_is_told_to_whom_it_came(layer, shape, wanted):
    with pytest.raises(ValueError, match=wanted):
        layer(tensor(*shape))
    for name, buffer in layer.named_buffers():
        assert buffer.all() == (name == "running_var"), "nothing changed"


@pytest.mark.parametrize(
    ("wanted", "build"),
    [
        ("in_features", lambda: nn.Linear(0, 1)),
        ("out_features", lambda: nn.Linear(1, 2.0)),
        ("groups=2", lambda: nn.Conv2d(3, 4, 3, groups=2)),
        ("groups must be", lambda: nn.Conv2d(4, 4, 3, groups=0)),
        ("Conv2d: kernel_size", lambda: nn.Conv2d(3, 4, (3, 3, 3))),
        ("stride", lambda: nn.Conv2d(3, 4, 3, stride=0)),
        ("padding", lambda: nn.Conv2d(3, 4, 3, padding=-1)),
        ("dilation", lambda: nn.Conv2d(3, 4, 3, dilation=1.5)),
        ("num_features", lambda: nn.BatchNorm2d(-1)),
        ("eps", lambda: nn.BatchNorm2d(1, eps=0)),
        ("momentum", lambda: nn.BatchNorm2d(1, momentum=2)),
        ("over half", lambda: nn.MaxPool2d(2, padding=2)),
        ("AvgPool2d: kernel_size", lambda: nn.AvgPool2d("2")),
        ("p must be", lambda: nn.Dropout(1.5)),
    ],
)
def test_bad_sizes_are_refused(wanted, build):
    with pytest.raises(ValueError, match=wanted):
        build()


def test_the_argument_after_dilation_is_not_taken_for_ceil_mode():
    """PyTorch has return_indices there."""
    for pool in (nn.MaxPool1d, nn.MaxPool2d):
        with pytest.raises(TypeError, match="positional"):
            pool(2, 2, 0, 1, True)
        assert pool(2, 2, 0, 1, ceil_mode=True).ceil_mode

"""What a Tensor is made of and answers: dtypes, operators, indexing, writing, tracing, and its errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import nn
from nn import functional as F
from nn.context import ambient, within
from nn.testing.arrays import arrays, broadcastable, shapes


def leaf(values, dtype=np.float64):
    return nn.Tensor(np.array(values, dtype), requires_grad=True)


# Made of


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, np.float32),
        ([1.0, 2.0], np.float32),
        ([[1.0], [2.0]], np.float32),
        (3, np.int64),
        ([True], bool),
        (np.float64(1.5), np.float64),
        (np.ones(2), np.float64),
        (np.ones(2, np.float32), np.float32),
        (np.ones(2, np.float16), np.float16),
        (np.ones(2, np.uint8), np.uint8),
    ],
)
def test_floats_become_float32_and_arrays_keep_their_dtype(data, dtype):
    assert nn.Tensor(data).dtype == dtype


def test_the_data_is_copied():
    x = np.ones(3)
    t = nn.Tensor(x)
    x[0] = 5
    np.testing.assert_array_equal(t.data, 1)
    assert not np.shares_memory(nn.Tensor(t).data, t.data)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ("text", TypeError),
        ([1, "a"], TypeError),
        (None, TypeError),
        (1j, TypeError),
        ([[1.0], [1.0, 2.0]], ValueError),
        (np.array([object()]), TypeError),
        ({}, TypeError),
    ],
)
def test_data_that_is_no_array_of_numbers(data, error):
    with pytest.raises(error, match=r"^Tensor: the data"):
        nn.Tensor(data)


@pytest.mark.parametrize("data", [1, [True], np.ones(2, np.int32)])
def test_only_floats_can_require_grad(data):
    with pytest.raises(TypeError, match="requires_grad: the tensor is"):
        nn.Tensor(data, requires_grad=True)


def test_requires_grad_can_be_set_on_leaves():
    x = nn.Tensor([1.0])
    x.requires_grad = True
    y = x * 2
    assert y.requires_grad
    assert not y.is_leaf
    x.requires_grad = False
    assert not (x * 2).requires_grad
    with pytest.raises(RuntimeError, match=r"computed \(by mul\)"):
        y.requires_grad = False


def test_it_describes_itself():
    x = nn.Tensor([[1.0, 2.0]], requires_grad=True)
    assert (x.shape, x.ndim, x.size, len(x), x.dtype) == ((1, 2), 2, 2, 1, np.float32)
    assert repr(x) == "Tensor([[1., 2.]], float32, requires_grad=True)"
    assert repr(x * 2) == "Tensor([[2., 4.]], float32, from mul)"
    assert repr(nn.Tensor(3)) == "Tensor(3, int64)"
    assert f"{x.sum():.2f}" == "3.00"
    assert f"{nn.Tensor(3)}" == "Tensor(3, int64)"


def test_its_values_as_pythons():
    assert nn.Tensor(2.5).item() == 2.5
    assert (float(nn.Tensor([2.5])), int(nn.Tensor(2.5)), bool(nn.Tensor(0.0))) == (2.5, 2, False)
    assert [10, 20, 30][nn.Tensor(1)] == 20
    assert nn.Tensor([1.0]).numpy().base is None
    np.testing.assert_array_equal(np.asarray(nn.Tensor([1, 2])), [1, 2])
    with pytest.raises(ValueError, match="ambiguous"):
        bool(nn.Tensor([1.0, 2.0]))
    with pytest.raises(ValueError, match="size 1"):
        nn.Tensor([1.0, 2.0]).item()
    with pytest.raises(TypeError, match="only integer"):
        [10][nn.Tensor(0.0)]
    with pytest.raises(RuntimeError, match="cut it out of the graph"):
        np.asarray(leaf([1.0]))


# Operators


@given(broadcastable(2), st.data())
def test_operators_are_numpys(two, data):
    a, b = (data.draw(arrays(shape, 0.5, 2.0)) for shape in two)
    s, t = nn.Tensor(a), nn.Tensor(b)
    for name in ("add", "sub", "mul", "truediv", "pow", "lt", "le", "gt", "ge", "eq", "ne"):
        method = f"__{name}__"
        np.testing.assert_allclose(getattr(s, method)(t).data, getattr(np.asarray(a), method)(b), rtol=1e-14)
        if name in ("add", "sub", "mul", "truediv", "pow"):
            np.testing.assert_allclose(getattr(s, f"__r{name}__")(t).data, getattr(np.asarray(b), method)(a))
    np.testing.assert_array_equal((-s).data, -a)


@pytest.mark.parametrize("number", [2, 2.0, True, np.float64(2), np.int64(2), np.float32(2)], ids=repr)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numbers_keep_the_dtype(number, dtype):
    t = nn.Tensor(np.array([1.0, 2.0], dtype))
    for y in (t + number, number - t, t * number, number / t, t**number, number**t):
        assert y.dtype == dtype


def test_arrays_on_the_left_and_numpy_functions_keep_the_graph():
    x = leaf([1.0, 2.0])
    y = np.array([3.0, 4.0]) * x + np.exp(x) - np.float64(2) * np.log(x)
    assert isinstance(y, nn.Tensor)
    y.sum().backward()
    np.testing.assert_allclose(x.grad, np.array([3, 4]) + np.exp([1, 2]) - 2 / np.array([1, 2]))
    assert isinstance(np.ones((2, 2)) @ x, nn.Tensor)
    assert isinstance(np.ones(2) < x, nn.Tensor)


def test_numpy_functions_without_a_rule_refuse():
    x = leaf([1.0, 2.0])
    with pytest.raises(TypeError, match=r"np.tan: not for Tensors"):
        np.tan(x)
    array = np.ones(2)
    with pytest.raises(TypeError, match=r"np.add: not for Tensors"):
        array += x


@pytest.mark.parametrize("other", [[1.0, 2.0], "text", None, {}])
def test_operands_that_are_none(other):
    with pytest.raises(TypeError, match=r"^add: "):
        nn.Tensor([1.0, 2.0]) + other


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda a, b: a + b, r"^add: .*\(2, 3\).*\(4,\)"),
        (lambda a, b: a @ b, r"^matmul: .*\(2, 3\).*\(4,\)"),
        (lambda a, b: a / b, r"^div: .*\(2, 3\).*\(4,\)"),
        (lambda a, b: a < b, r"^lt: .*\(2, 3\).*\(4,\)"),
        (lambda a, b: a.reshape(4), r"^reshape: .*\(2, 3\)"),
        (lambda a, b: a.expand(2, 4), r"^expand: .*\(2, 3\)"),
        (lambda a, b: a.permute(0, 0), r"^permute: .*\(2, 3\)"),
        (lambda a, b: a.permute(0, 1, 2), r"^permute: .*axes .*\(2, 3\)"),
        (lambda a, b: a.sum(2), r"^sum: .*\(2, 3\)"),
        (lambda a, b: a.max(-3), r"^max: .*\(2, 3\)"),
        (lambda a, b: nn.cat([a, b]), r"^cat: .*\(2, 3\).*\(4,\)"),
        (lambda a, b: nn.cat([]), "^cat: "),
        (lambda a, b: nn.Tensor(np.ones((0, 2))).mean(), r"^mean: .*\(0, 2\)"),
        (lambda a, b: nn.Tensor([1.0]).var(), "^var: 1 values"),
        (lambda a, b: nn.Tensor([1.0]) @ 2.0, "^matmul: "),
    ],
)
def test_shapes_that_do_not_fit_name_the_operation_and_the_shapes(function, message):
    with pytest.raises(ValueError, match=message):
        function(nn.Tensor(np.ones((2, 3))), nn.Tensor(np.ones(4)))


@pytest.mark.parametrize("name", ["mean", "var"])
def test_the_mean_of_integers_is_refused(name):
    with pytest.raises(TypeError, match=f"^{name}: .* int64; convert"):
        getattr(nn.Tensor([1, 2]), name)()


def test_a_scalar_cannot_be_iterated_over():
    with pytest.raises(TypeError, match="unsized"):
        list(nn.Tensor(1.0))


def test_a_number_where_an_array_is_wanted():
    with pytest.raises(TypeError, match=r"^conv2d: .*ndim"):
        F.conv2d(nn.Tensor(np.ones((1, 1, 3, 3))), 3.0)


def test_boolean_minus_is_refused_by_name():
    with pytest.raises(TypeError, match=r"^neg: "):
        -nn.Tensor([True])


# Methods


@given(shapes(1, 3), st.data())
def test_reductions_are_numpys(shape, data):
    x = data.draw(arrays(shape))
    dim = data.draw(st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1)))
    keepdim = data.draw(st.booleans())
    t = nn.Tensor(x)
    for name in ("sum", "mean", "max", "min", "argmax"):
        want = getattr(x, name)(axis=dim, keepdims=keepdim)
        have = getattr(t, name)(axis=dim, keepdims=keepdim).data
        np.testing.assert_allclose(have, want, rtol=1e-12, atol=1e-12)
    if t.sum(dim).size < t.size:
        np.testing.assert_allclose(
            t.var(dim, correction=0, keepdim=keepdim).data, x.var(axis=dim, keepdims=keepdim), atol=1e-12
        )


def test_shapes():
    x = nn.Tensor(np.arange(24.0).reshape(2, 3, 4))
    assert x.reshape(6, 4).shape == x.reshape((6, -1)).shape == x.reshape([6, 4]).shape == (6, 4)
    assert x.flatten().shape == (24,)
    assert x.flatten(1).shape == (2, 12)
    assert x.flatten(0, 1).shape == (6, 4)
    assert x.sum().flatten().shape == (1,)
    assert nn.Tensor(np.ones((0, 3))).flatten(1).shape == (0, 3)
    with pytest.raises(ValueError, match=r"flatten: start_dim 2 comes after end_dim 0 .*\(2, 3, 4\)"):
        x.flatten(2, 0)
    assert x.permute(2, 0, 1).shape == x.permute((2, 0, 1)).shape == x.transpose((2, 0, 1)).shape == (4, 2, 3)
    assert x.transpose(0, -1).shape == x.T.shape == (4, 3, 2)
    assert x.mT.shape == (2, 4, 3)
    assert x.unsqueeze(0).shape == (1, 2, 3, 4)
    assert x.unsqueeze(-1).shape == (2, 3, 4, 1)
    assert x.unsqueeze(1).squeeze(1).shape == x.squeeze(1).shape == (2, 3, 4)
    assert nn.cat([x, x], 1).shape == (2, 6, 4)
    assert nn.stack([x, x], 1).shape == (2, 2, 3, 4)
    assert nn.stack([x, x], -1).shape == (2, 3, 4, 2)
    np.testing.assert_array_equal(x.mT.data, np.swapaxes(x.data, 1, 2))
    with pytest.raises(IndexError, match=r"axis 3 came, but the tensor has shape \(2, 3, 4\)"):
        x.squeeze(3)
    with pytest.raises(IndexError, match="axis 4"):
        x.unsqueeze(4)


def test_dtypes_can_be_changed_and_gradients_change_back():
    x = leaf([1.0, 2.0])
    y = x.float()
    assert y.dtype == np.float32
    assert y.double().dtype == np.float64
    (y * y).sum().backward()
    assert x.grad.dtype == np.float64
    assert not x.astype(np.int64).requires_grad


def test_detach_shares_the_array_and_stops_the_gradient():
    x = leaf(3.0)
    assert np.shares_memory(x.detach().data, x.data)
    (x * x.detach()).backward()
    assert x.grad == 3


def test_iterating_and_membership_of_identity():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    rows = list(x)
    assert len(rows) == 2
    (rows[0] * rows[1]).sum().backward()
    np.testing.assert_array_equal(x.grad, [[3, 4], [1, 2]])
    assert len({x, x, rows[0]}) == 2


# Indexing


@given(
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=4).flatmap(
        lambda shape: st.tuples(st.just(shape), hnp.basic_indices(shape, allow_newaxis=True))
    ),
    st.integers(0, 99),
)
def test_basic_indexing_and_its_gradient(case, seed):
    shape, index = case
    x = np.random.default_rng(seed).normal(size=shape)
    t = nn.Tensor(x, requires_grad=True)
    y = t[index]
    np.testing.assert_array_equal(y.data, x[index])
    v = np.random.default_rng(seed).normal(size=y.shape)
    y.backward(v)
    want = np.zeros(shape)
    want[index] = v
    np.testing.assert_array_equal(t.grad, want)


@given(st.lists(st.integers(-3, 2), max_size=6))
def test_repeated_indices_accumulate(picks):
    picks = np.array(picks, int)
    for index in (picks, picks.tolist() or slice(0), nn.Tensor(picks), (slice(None), picks)):
        x = leaf(np.ones((3, 3)))
        y = x[index]
        y.sum().backward()
        counts = np.bincount(picks % 3, minlength=3).astype(float)
        want = np.tile(counts[:, None], 3)
        np.testing.assert_array_equal(x.grad, want.T if isinstance(index, tuple) else want)


def test_boolean_masks():
    x = leaf([1.0, -2.0, 3.0])
    y = x[x > 0]
    np.testing.assert_array_equal(y.data, [1, 3])
    (y * y).sum().backward()
    np.testing.assert_array_equal(x.grad, [2, 0, 6])


def test_an_index_that_changes_later_does_not_change_the_gradient():
    x, index = leaf([1.0, 2.0, 3.0]), np.array([0, 0])
    y = x[index]
    index[:] = 2
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [2, 0, 0])


@pytest.mark.parametrize("index", [5, (0, 0), 1.5, "a", np.array([7])])
def test_a_bad_index(index):
    with pytest.raises((IndexError, TypeError), match=r"^index: .*\(3,\)"):
        nn.Tensor([1.0, 2.0, 3.0])[index]


# Tracing: the hook, and what a trace refuses


class Listener:
    def __init__(self):
        self.heard = []

    def record(self, rule, inputs, attrs, out):
        self.heard.append((rule.name, inputs, attrs, out))


@pytest.fixture
def listener():
    with within("tracer", Listener()):
        yield ambient.context.tracer


def test_a_tracer_hears_every_operation_with_its_inputs_as_passed(listener):
    x, w = nn.Tensor(np.ones((2, 1, 4, 4))), nn.Tensor(np.ones((1, 1, 3, 3)))
    y = F.max_pool2d(F.relu(F.conv2d(x, w, padding=1)), 2)
    z = 2.0 * y.flatten(1).detach() + 1 > 0
    names = [name for name, *_ in listener.heard]
    assert names == ["conv2d", "relu", "max_pool2d", "reshape", "detach", "mul", "add", "gt"]
    _, inputs, attrs, out = listener.heard[0]
    assert inputs[0] is x
    assert inputs[1] is w
    assert inputs[2] is None
    assert attrs == {"stride": 1, "padding": 1, "dilation": 1, "groups": 1}
    assert listener.heard[1][1][0] is out
    assert listener.heard[5][1][0] == 2.0
    assert listener.heard[-1][3] is z


@pytest.mark.parametrize(
    "ask",
    [
        bool,
        float,
        int,
        nn.Tensor.item,
        nn.Tensor.numpy,
        np.asarray,
        lambda t: [0, 1][t],
        lambda t: nn.Tensor([1.0])[t],
        lambda t: f"{t:.1f}",
    ],
    ids=["bool", "float", "int", "item", "numpy", "asarray", "index", "indexing", "format"],
)
def test_a_trace_refuses_to_tell_values(listener, ask):
    with pytest.raises(nn.TraceError, match="asks for a value while a network is being traced"):
        ask(nn.Tensor(1 if ask is not float else 1.0))


def test_a_trace_refuses_writes_and_turns_augmented_assignment_into_an_operation(listener):
    t = nn.Tensor([1.0, 2.0])
    for write in (lambda: t.__setitem__(0, 1.0), lambda: t.copy_(0.0)):
        with pytest.raises(nn.TraceError, match="missing from the trace"):
            write()
    t += 1
    assert listener.heard[-1][0] == "add"

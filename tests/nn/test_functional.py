"""nn.functional: PyTorch's numbers (recorded), repeatable randomness, and errors that say what is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn import functional as F

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "torch_operations.npz")
CASES = list(enumerate(json.loads(str(GOLDEN["cases"]))))


def inputs_of(key, case, dtype=np.float64):
    stored = [GOLDEN.get(f"{key}.input{i}") for i in range(case["inputs"])]
    return [
        x if x is None or x.dtype.kind != "f" else nn.Tensor(x.astype(dtype), requires_grad=True)
        for x in stored
    ]


def call(key, case, inputs, dtype):
    function, how = getattr(F, case["function"]), case["how"]
    if case["function"] != "batch_norm":
        return function(*inputs, **how), []
    x, weight, bias = inputs
    running = [nn.Tensor(GOLDEN[f"{key}.{name}"].astype(dtype)) for name in ("mean", "var")]
    return function(x, *running, weight, bias, **how), running


@pytest.mark.parametrize(
    ("dtype", "close"), [(np.float64, 1e-12), (np.float32, 3e-5)], ids=["float64", "float32"]
)
@pytest.mark.parametrize(("key", "case"), CASES, ids=[f"{key}-{case['function']}" for key, case in CASES])
def test_outputs_and_gradients_are_pytorchs(key, case, dtype, close):
    inputs = inputs_of(key, case, dtype)
    out, running = call(key, case, inputs, dtype)
    assert out.dtype == dtype
    np.testing.assert_allclose(out.data, GOLDEN[f"{key}.out"], rtol=close, atol=close)
    for tensor, name in zip(running, ("moved_mean", "moved_var"), strict=False):
        np.testing.assert_allclose(tensor.data, GOLDEN[f"{key}.{name}"], rtol=close, atol=close)
    out.backward(GOLDEN[f"{key}.v"])
    for i, x in enumerate(inputs):
        if isinstance(x, nn.Tensor):
            want = GOLDEN[f"{key}.grad{i}"]
            np.testing.assert_allclose(x.grad, want, rtol=close, atol=close * max(1, np.abs(want).max()))


def test_the_recorded_file_is_small():
    assert (Path(__file__).parents[1] / "golden" / "torch_operations.npz").stat().st_size < 200_000


# Convolution


@given(st.data())
def test_convolution_and_its_input_gradient_are_adjoint(data):
    """⟨conv(x), g⟩ = ⟨x, convᵀ(g)⟩, and the same in w: for any stride, padding, dilation and groups."""

    def ints(low, high):
        return data.draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    groups, kernel, stride, padding, dilation = (
        data.draw(st.integers(1, 3)),
        ints(1, 3),
        ints(1, 3),
        ints(0, 2),
        ints(1, 2),
    )
    size = [d * (k - 1) + 1 + extra for d, k, extra in zip(dilation, kernel, ints(0, 4), strict=True)]
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    x = nn.Tensor(rng.normal(size=(2, 2 * groups, *size)), requires_grad=True)
    w = nn.Tensor(rng.normal(size=(groups, 2, *kernel)), requires_grad=True)
    y = F.conv2d(x, w, None, stride, padding, dilation, groups)
    g = rng.normal(size=y.shape)
    y.backward(g)
    inner = np.vdot(y.data, g)
    np.testing.assert_allclose(
        [np.vdot(x.data, x.grad), np.vdot(w.data, w.grad)], [inner, inner], rtol=1e-9, atol=1e-9
    )


def test_images_stay_channels_last_in_memory():
    x = nn.Tensor(np.ones((2, 3, 6, 6), np.float32))
    w = nn.Tensor(np.ones((4, 3, 3, 3), np.float32))
    y = F.conv2d(x, w, padding=1)
    mean, var, weight, bias = (np.ones(4, np.float32) for _ in range(4))
    for step in (y, F.relu(y), F.batch_norm(y, mean, var, weight, bias, True), F.max_pool2d(y, 2), y + y * 2):
        assert step.data.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize(
    ("x", "w", "b", "how", "error", "message"),
    [
        (
            (1, 3, 5, 5),
            (2, 2, 3, 3),
            None,
            {},
            ValueError,
            r"\(1, 3, 5, 5\) does not fit .* \(2, 2, 3, 3\) in 1 group",
        ),
        ((3, 5, 5), (2, 3, 3, 3), None, {}, ValueError, r"\(3, 5, 5\) does not fit"),
        ((1, 3, 5, 5), (2, 3, 3), None, {}, ValueError, r"\(2, 3, 3\)"),
        ((1, 4, 5, 5), (3, 2, 3, 3), None, {"groups": 2}, ValueError, "2 group"),
        ((1, 2, 5, 5), (4, 2, 3, 3), (3,), {}, ValueError, r"bias has shape \(3,\), wanted \(4,\)"),
        ((1, 2, 2, 5), (4, 2, 3, 3), None, {}, ValueError, "smaller than a window"),
        ((1, 2, 5, 5), (4, 2, 3, 3), None, {"dilation": 3}, ValueError, "smaller than a window"),
        ((1, 2, 5, 5), (4, 2, 3, 3), None, {"stride": 0}, ValueError, "stride is 0, wanted at least 1"),
        ((1, 2, 5, 5), (4, 2, 3, 3), None, {"padding": -1}, ValueError, "padding is -1"),
        ((1, 2, 5, 5), (4, 2, 3, 3), None, {"padding": 0.5}, TypeError, "padding is 0.5, wanted an int"),
        ((1, 2, 5, 5), (4, 2, 3, 3), None, {"padding": (1, 1, 1)}, TypeError, "padding"),
        ((1, 2, 5, 5), (4, 2, 3, 3), None, {"dilation": "same"}, TypeError, "dilation"),
        ((1, 2, 5, 5), (4, 2, 3, 3), None, {"groups": 0}, ValueError, "groups must be .*, got 0"),
        ((1, 2, 5, 5), (4, 2, 3, 3), None, {"groups": 1.0}, ValueError, "groups must be .*, got 1.0"),
    ],
)
def test_convolutions_that_do_not_fit(x, w, b, how, error, message):
    with pytest.raises(error, match=rf"^conv2d: .*{message}"):
        F.conv2d(np.ones(x), np.ones(w), None if b is None else np.ones(b), **how)


# Pools


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize(
    ("shape", "how", "error", "message"),
    [
        ((5, 5), {"kernel_size": 2}, ValueError, r"\(5, 5\), wanted \(N, C, H, W\)"),
        ((1, 1, 3, 3), {"kernel_size": 4}, ValueError, "smaller than a window"),
        ((1, 1, 3, 3), {"kernel_size": 2, "padding": 2}, ValueError, "more than half"),
        ((1, 1, 3, 3), {"kernel_size": 0}, ValueError, "kernel_size is 0"),
        ((1, 1, 3, 3), {"kernel_size": (2,)}, TypeError, "kernel_size"),
        ((1, 1, 3, 3), {"kernel_size": 2, "stride": 0}, ValueError, "stride is 0"),
        ((1, 1, 3, 3), {"kernel_size": True}, TypeError, "kernel_size is True"),
    ],
    ids=["rank", "too large", "padding", "zero", "one", "stride", "bool"],
)
def test_pools_that_do_not_fit(name, shape, how, error, message):
    with pytest.raises(error, match=f"^{name}: .*{message}"):
        getattr(F, name)(np.ones(shape), **how)


def test_pools_of_integers_are_refused():
    with pytest.raises(TypeError, match=r"^max_pool2d: the input is int64"):
        F.max_pool2d(np.ones((1, 1, 2, 2), int), 2)


def test_max_pool_of_negative_values_ignores_the_padding():
    x = -np.ones((1, 1, 2, 2))
    np.testing.assert_array_equal(F.max_pool2d(x, 2, 1, 1).data, -np.ones((1, 1, 3, 3)))


# Batch norm


def test_running_statistics_may_be_arrays_or_tensors_or_absent():
    x = np.random.default_rng(0).normal(3, 2, size=(50, 2)).astype(np.float32)
    mean, var = np.zeros(2, np.float32), nn.Tensor(np.ones(2, np.float32))
    F.batch_norm(x, mean, var, training=True, momentum=1.0)
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(var.data, x.var(0, ddof=1), rtol=1e-5)
    y = F.batch_norm(x, None, None, training=True)
    np.testing.assert_allclose(y.data.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(y.data.var(0), 1, rtol=1e-3)


def test_evaluation_leaves_the_running_statistics_alone_and_has_a_backward():
    x = nn.Tensor(np.ones((4, 2)), requires_grad=True)
    mean, var = np.zeros(2), np.full(2, 4.0)
    y = F.batch_norm(x, mean, var, eps=0.0)
    np.testing.assert_array_equal(y.data, 0.5)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, 0.5)
    np.testing.assert_array_equal(mean, 0)


def test_moving_the_statistics_that_backward_needs_is_found():
    x = nn.Tensor(np.random.default_rng(0).normal(size=(4, 2)), requires_grad=True)
    w = nn.Tensor(np.ones(2), requires_grad=True)
    mean, var = np.zeros(2), np.ones(2)
    y = F.batch_norm(x, mean, var, w)
    F.batch_norm(x, mean, var, w, training=True)
    with pytest.raises(RuntimeError, match=r"^batch_norm_eval: .* overwritten"):
        y.sum().backward()


@pytest.mark.parametrize(
    ("x", "arguments", "message"),
    [
        ((4,), (np.zeros(4), np.ones(4)), r"batch_norm_eval: the input has shape \(4,\)"),
        ((4, 3), (np.zeros(4), np.ones(3)), r"batch_norm_eval: mean has shape \(4,\), wanted \(3,\)"),
        (
            (4, 3),
            (np.zeros(3), np.ones(3), np.ones(2)),
            r"batch_norm_eval: weight has shape \(2,\), wanted \(3,\)",
        ),
        (
            (4, 3),
            (np.zeros(3), np.ones(3), None, np.ones((1, 3))),
            r"batch_norm_eval: bias has shape \(1, 3\)",
        ),
        ((4, 3), (None, None), "batch_norm: running_mean and running_var are wanted"),
        (
            (1, 3),
            (np.zeros(3), np.ones(3), None, None, True),
            r"batch_norm: .* more than one value .*\(1, 3\)",
        ),
        ((4, 3), (np.zeros(2), np.ones(3), None, None, True), r"batch_norm: running_mean has shape \(2,\)"),
    ],
)
def test_batch_norms_that_do_not_fit(x, arguments, message):
    with pytest.raises(ValueError, match=message):
        F.batch_norm(np.ones(x), *arguments)


# Losses


@pytest.mark.parametrize(
    ("logits", "classes", "error", "message"),
    [
        ((4, 3), [0, 1, 3, 0], ValueError, "classes from 0 to 3 came, but logits of shape .* know 0 to 2"),
        ((4, 3), [0, 1, -1, 0], ValueError, "classes from -1 to 1"),
        ((4, 3), [0, 1], ValueError, r"\(4, 3\) do not fit classes of shape \(2,\)"),
        ((3,), [0], ValueError, r"wanted \(N, C, d…\) and \(N, d…\)"),
        ((1, 3), [0.0], TypeError, "classes are float64, wanted integers"),
    ],
)
def test_classes_that_do_not_fit(logits, classes, error, message):
    with pytest.raises(error, match=f"^cross_entropy: .*{message}"):
        F.cross_entropy(np.ones(logits), np.array(classes))


def test_a_loss_of_unequal_shapes_does_not_broadcast():
    with pytest.raises(ValueError, match=r"^mse: the input has shape \(3, 1\) and the target \(3,\)"):
        F.mse_loss(np.ones((3, 1)), np.ones(3))


@pytest.mark.parametrize("loss", [F.cross_entropy, F.mse_loss])
def test_an_unknown_reduction(loss):
    with pytest.raises(ValueError, match="reduction is 'average', wanted 'mean', 'sum' or 'none'"):
        loss(
            np.ones((2, 2)), np.ones((2, 2)) if loss is F.mse_loss else np.array([0, 1]), reduction="average"
        )


# Linear


@pytest.mark.parametrize(
    ("x", "w", "b"),
    [((2, 3), (4, 2), None), ((2, 3), (3,), None), ((2, 3), (4, 3), (3,)), ((), (4, 3), None)],
)
def test_linears_that_do_not_fit(x, w, b):
    with pytest.raises(ValueError, match=r"^linear: "):
        F.linear(np.ones(x), np.ones(w), None if b is None else np.ones(b))


# Dropout


def test_dropout_keeps_the_mean_and_passes_gradients_where_it_keeps():
    nn.manual_seed(0)
    x = nn.Tensor(np.ones((200, 200), np.float32), requires_grad=True)
    y = F.dropout(x, 0.3)
    assert set(np.unique(y.data)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs(y.data.mean() - 1) < 0.02
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, y.data)


def test_dropout_repeats_with_the_seed():
    x = nn.Tensor(np.ones(100))
    first, second, again = (
        F.dropout(x).data for seed in (7, None, 7) if seed is None or nn.manual_seed(seed)
    )
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)


def test_dropout_in_evaluation_or_with_p_zero_is_nothing_and_with_p_one_all():
    x = nn.Tensor(np.ones(5), requires_grad=True)
    assert F.dropout(x, 0.5, training=False) is x
    assert F.dropout(x, 0.0) is x
    y = F.dropout(x, 1.0)
    y.sum().backward()
    np.testing.assert_array_equal(y.data, 0)
    np.testing.assert_array_equal(x.grad, 0)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_dropout_wants_a_probability(p):
    with pytest.raises(ValueError, match="dropout: p is"):
        F.dropout(nn.Tensor([1.0]), p)


def test_the_generator_is_seeded_and_refuses_bad_seeds():
    from nn.random import generator

    nn.manual_seed(3)
    first = generator().random(3)
    assert generator() is not nn.manual_seed(3)
    np.testing.assert_array_equal(generator().random(3), first)
    for seed in (-1, 1.5, "one", True):
        with pytest.raises(ValueError, match=r"manual_seed: seed is .*, wanted an int"):
            nn.manual_seed(seed)


@pytest.mark.parametrize(("m", "k", "n"), [
    (64, 64, 64), (64, 300, 100), (65, 127, 256), (7, 1500, 40), (130, 128, 128)])
@pytest.mark.parametrize("bias", [None, np.float32, np.float64])
def test_a_linear_layer_of_any_size_is_the_product(m, k, n, bias):
    """Below, at and above the sizes for which it takes its own kernel; x and w in any layout."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(m, k)).astype(np.float32), rng.normal(size=(n, k)).astype(np.float32)
    b = None if bias is None else rng.normal(size=n).astype(bias)
    want = x.astype(np.float64) @ w.T.astype(np.float64) + (0 if b is None else b)
    reach = np.abs(x) @ np.abs(w.T) + (0 if b is None else np.abs(b))
    for inputs in (x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        for weight in (w, np.asfortranarray(w), np.repeat(w, 2, axis=0)[::2]):
            y = F.linear(nn.Tensor(inputs), nn.Tensor(weight), None if b is None else nn.Tensor(b))
            assert y.dtype == np.float32
            assert (np.abs(y.numpy() - want) <= (k + 1) * 2.0**-23 * reach).all()

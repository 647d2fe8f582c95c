"""nn.checkpoint is an ordinary operation: its gradients are those of the plain computation, bit for bit."""

import numpy as np
import pytest

import nn
from nn import functional as F


def rng(seed=0):
    return np.random.default_rng(seed)


def leaf(*shape, seed=0, dtype=np.float32):
    return nn.Tensor(rng(seed).normal(size=shape).astype(dtype), requires_grad=True)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def gradients(build, *inputs, through=lambda f, *x: f(*x), parameters=()):
    """The output, and the gradients of inputs and parameters, of build(*inputs) after seed 7."""
    nn.manual_seed(7)
    out = through(build, *inputs)
    wanted = [*(t for t in inputs if isinstance(t, nn.Tensor) and t.requires_grad), *parameters]
    cotangent = rng(1).normal(size=out.shape).astype(out.dtype)
    return [out.data, *nn.grad(out, wanted, cotangent)]


def equal_with_and_without(f, *inputs, parameters=()):
    plain = gradients(f, *inputs, parameters=parameters)
    again = gradients(f, *inputs, parameters=parameters, through=nn.checkpoint)
    assert all(map(same, plain, again))
    return again


# The same gradients, bit for bit


def test_of_inputs_and_of_parameters_that_are_closed_over():
    first, second, x = nn.Linear(6, 5, rng=rng()), nn.Linear(5, 4, rng=rng(1)), leaf(3, 6)
    weights = [*first.parameters(), *second.parameters()]
    equal_with_and_without(lambda x: second(F.relu(first(x))) * 2, x, parameters=weights)


def test_an_input_without_a_gradient_does_not_cut_off_the_parameters():
    layer = nn.Linear(6, 5, rng=rng())
    for x in (nn.Tensor(rng().normal(size=(3, 6)).astype(np.float32)), rng().normal(size=(3, 6))):
        equal_with_and_without(lambda x: F.relu(layer(nn.Tensor(x))), x, parameters=list(layer.parameters()))


def test_of_several_inputs_some_computed_some_used_twice_some_none():
    a, b = leaf(4, 4), leaf(4, 4, seed=1)

    def whole(through, a, b):
        def f(q, k, v, none, scale):
            return F.softmax(q @ k.T * scale) @ v + q
        return through(f, a * 2, b, a @ b, None, 0.5)

    plain = gradients(lambda a, b: whole(lambda f, *x: f(*x), a, b), a, b)
    assert all(map(same, plain, gradients(lambda a, b: whole(nn.checkpoint, a, b), a, b)))


def test_sums_are_added_in_the_same_order():
    """h gets gradients by three ways through f and by one around it; their order decides the last bit."""
    for seed in range(8):
        x, w = leaf(5, 5, seed=seed), leaf(5, 5, seed=seed + 50)

        def whole(x, w, through):
            h = x * w
            y = through(lambda q, k, v: F.softmax(q @ k.T) @ v, h @ w, h * w, h.exp())
            return y + h

        plain = gradients(lambda x, w, whole=whole: whole(x, w, lambda f, *i: f(*i)), x, w)
        again = gradients(lambda x, w, whole=whole: whole(x, w, nn.checkpoint), x, w)
        assert same(plain[1], again[1])
        # w is used in f's inputs only, so it too
        assert same(plain[2], again[2])


def test_of_a_computed_tensor_that_is_closed_over():
    w, x = leaf(4, 4), leaf(3, 4, seed=1)

    def whole(w, x, through):
        scaled = w / (w * w).sum().sqrt()
        return through(lambda x: F.relu(x @ scaled), x) @ scaled

    plain = gradients(lambda w, x: whole(w, x, lambda f, x: f(x)), w, x)
    again = gradients(lambda w, x: whole(w, x, nn.checkpoint), w, x)
    for a, b in zip(plain, again, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_of_images():
    conv = nn.Conv2d(2, 4, 3, padding=1, rng=rng())
    model = nn.Sequential(conv, nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.3))
    equal_with_and_without(model, leaf(3, 2, 6, 6), parameters=list(model.parameters()))


def test_of_a_scalar_and_of_a_batch_of_no_rows():
    equal_with_and_without(lambda x: (x * x).sum(), leaf(3, 2))
    equal_with_and_without(lambda x: x * x, leaf(0, 2))


def test_float64_gradients_against_differences():
    w, x = leaf(4, 3, dtype=np.float64), leaf(5, 4, seed=1, dtype=np.float64)
    nn.gradcheck(lambda x, w: nn.checkpoint(lambda x: F.softmax(x @ w), x), x, w)


def test_nested():
    layers = [nn.Sequential(nn.Linear(5, 5, rng=rng(i)), nn.ReLU(), nn.Dropout(0.2)) for i in range(4)]

    def nested(x):
        inner = nn.checkpoint(lambda x: layers[1](layers[0](x)), x)
        return layers[3](nn.checkpoint(layers[2], inner)) + inner

    parameters = [p for layer in layers for p in layer.parameters()]
    plain = gradients(lambda x: layers[3](layers[2](h := layers[1](layers[0](x)))) + h, leaf(6, 5),
                      parameters=parameters)
    again = gradients(nested, leaf(6, 5), parameters=parameters, through=nn.checkpoint)
    assert all(map(same, plain, again))


def test_a_prepared_weight_is_seen_through_its_view():
    compress = pytest.importorskip("compress")
    model = nn.models.digits_mlp(0.1, rng=rng())
    compress.prepare(model, [compress.Prune(0.5), compress.Quantize()])
    x = nn.Tensor(rng().normal(size=(4, 1, 8, 8)).astype(np.float32))
    equal_with_and_without(model, x, parameters=list(model.parameters()))


# It is an ordinary operation


def test_retain_graph_and_a_second_backward():
    x = leaf(3)
    y = nn.checkpoint(lambda x: (x * x * x).sum(), x)
    y.backward(retain_graph=True)
    once = x.grad.copy()
    y.backward()
    np.testing.assert_array_equal(x.grad, 2 * once)
    with pytest.raises(RuntimeError, match="checkpoint: backward has been through"):
        y.backward()


def test_no_grad_and_nothing_to_record_are_plain_calls():
    x, calls = leaf(3), []

    def f(x):
        calls.append(x)
        return x * 2

    with nn.no_grad():
        assert not nn.checkpoint(f, x).requires_grad
    y = nn.checkpoint(f, nn.Tensor(np.ones(3)))
    assert not y.requires_grad
    assert len(calls) == 2
    with nn.no_grad():
        z = nn.checkpoint(lambda x: x.detach(), x)
    assert z.data is x.data


def test_what_f_did_not_compute_is_given_back():
    x, y = leaf(3), leaf(3) * 2
    assert nn.checkpoint(lambda x: x, x) is x
    assert nn.checkpoint(lambda x: y, x) is y
    nn.checkpoint(lambda x: x.reshape(1, 3), x).sum().backward()
    np.testing.assert_array_equal(x.grad, np.ones(3))


def test_backward_inside_no_grad():
    x = leaf(3)
    y = nn.checkpoint(lambda x: (x * x).sum(), x)
    with nn.no_grad():
        y.backward()
    np.testing.assert_array_equal(x.grad, 2 * x.data)


def test_no_two_gradients_share_an_array():
    a, b = leaf(3), leaf(3)
    nn.checkpoint(lambda a, b: a + b, a, b).sum().backward()
    assert not np.shares_memory(a.grad, b.grad)
    y = nn.checkpoint(lambda a: a.reshape(3), a)
    given = np.ones(3, np.float32)
    (found,) = nn.grad(y, a, given)
    found += 1
    np.testing.assert_array_equal(given, 1)


def test_a_trace_sees_through_it():
    class Net(nn.Module):
        def __init__(self):
            self.fc1, self.fc2 = nn.Linear(4, 4, rng=rng()), nn.Linear(4, 2, rng=rng(1))

        def forward(self, x):
            return self.fc2(nn.checkpoint(lambda x: F.relu(self.fc1(x)), x))

    x = rng().normal(size=(3, 4)).astype(np.float32)
    graph = nn.trace(Net(), x)
    assert [node.op for node in graph.nodes] == ["linear", "relu", "linear"]
    assert [node.module for node in graph.nodes] == ["fc1", "", "fc2"]
    np.testing.assert_array_equal(graph.run(x), Net().eval()(nn.Tensor(x)).data)


@pytest.mark.parametrize("wrong", [lambda x: (x.data, None), lambda x: x.data, lambda x: None, lambda x: ()],
                         ids=["tuple", "array", "none", "nothing"])
def test_f_gives_a_tensor(wrong):
    with pytest.raises(TypeError, match="checkpoint: f must give one Tensor, it gave a"):
        nn.checkpoint(wrong, leaf(3))

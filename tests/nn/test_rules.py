"""The table of rules: every gradient against differences, every fused rule against its twin, and what
the engine may rely on: a vjp writes nowhere, gives what it is asked for, and is as fresh as it says."""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn import functional as F
from nn.rules import RULES, Rule
from nn.tensor import apply
from nn.testing.arrays import arrays, broadcastable, samples, shapes

DIFFERENTIABLE = tuple(rule for rule in RULES.values() if rule.vjp)
FUSED = tuple(rule for rule in DIFFERENTIABLE if rule.twin)
NAMED = operator.attrgetter("name")


def every_rule(law):
    return pytest.mark.parametrize("rule", DIFFERENTIABLE, ids=NAMED)(given(data=st.data())(law))


def tensors(inputs):
    """Float arrays as leaves, the rest as it is."""
    return [
        nn.Tensor(x, requires_grad=x.dtype.kind == "f") if isinstance(x, np.ndarray) else x for x in inputs
    ]


def gradients(function, inputs, v, **attrs):
    leaves = tensors(inputs)
    out = function(*leaves, **attrs)
    out.backward(v)
    return out.data, [t.grad for t in leaves if isinstance(t, nn.Tensor)]


@pytest.mark.parametrize("rule", DIFFERENTIABLE, ids=NAMED)
def test_gradcheck(rule):
    assert nn.gradcheck(rule)


@pytest.mark.parametrize("rule", [r for r in RULES.values() if not r.vjp], ids=NAMED)
def test_rules_without_a_gradient_say_so_and_cut(rule):
    assert "no gradient" in rule.formula
    x = nn.Tensor([1.0, 2.0], requires_grad=True)
    x = x > 1 if rule.name in ("invert", "both", "either") else x
    binary = rule.name in ("lt", "le", "gt", "ge", "eq", "ne", "both", "either")
    attrs = {"dtype": np.dtype(np.int64)} if rule.name == "truncate" else {}
    assert not apply(rule, *([x, x] if binary else [x]), **attrs).requires_grad


def test_the_table_is_what_it_says():
    assert len(RULES) >= 60
    for name, rule in RULES.items():
        assert isinstance(rule, Rule)
        assert rule.name == name
        assert rule.formula.startswith("y = ")
        assert not rule.vjp or "; " in rule.formula  # the gradients stand beside the function


@pytest.mark.parametrize("rule", FUSED, ids=NAMED)
@given(data=st.data())
def test_a_fused_rule_is_its_twin(rule, data):
    inputs, attrs = data.draw(samples(rule))
    y, _ = rule.forward(*inputs, **attrs)
    v = np.random.default_rng(0).normal(size=np.shape(y))
    fused = gradients(lambda *xs, **kw: apply(rule, *xs, **kw), inputs, v, **attrs)
    composed = gradients(rule.twin, inputs, v, **attrs)
    np.testing.assert_allclose(fused[0], composed[0], rtol=1e-9, atol=1e-12)
    for mine, twins in zip(fused[1], composed[1], strict=True):
        if mine is not None:
            np.testing.assert_allclose(mine, twins, rtol=1e-9, atol=1e-12)


@every_rule
def test_a_vjp_writes_nowhere_and_is_as_fresh_as_it_says(rule, data):
    inputs, attrs = data.draw(samples(rule))
    kept = [x.copy() if isinstance(x, np.ndarray) else x for x in inputs]
    y, saved = rule.forward(*inputs, **attrs)
    g = np.random.default_rng(0).normal(size=np.shape(y))
    g.flags.writeable = False
    for array in (*inputs, *(saved or ())):
        if isinstance(array, np.ndarray):
            array.flags.writeable = False  # a write into one raises
    needs = [isinstance(x, np.ndarray) and x.dtype.kind == "f" for x in inputs]
    first, second = (rule.vjp(g, saved, needs) for _ in range(2))
    assert len(first) == len(inputs)
    for x, before in zip(inputs, kept, strict=True):
        np.testing.assert_array_equal(x, before)
    given_out = [g, *inputs, *(saved or ())]
    for wanted, one, again in zip(needs, first, second, strict=True):
        if wanted:
            np.testing.assert_array_equal(one, again)
            if rule.fresh and isinstance(one, np.ndarray):
                assert one.flags.writeable
                assert not any(
                    np.shares_memory(one, other) for other in given_out if isinstance(other, np.ndarray)
                )
                given_out.append(one)


@every_rule
def test_float32_in_float32_out_both_ways(rule, data):
    inputs, attrs = data.draw(samples(rule))
    if "dtype" in attrs:
        return
    inputs = [
        np.asarray(x, np.float32) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for x in inputs
    ]
    y, _ = rule.forward(*inputs, **attrs)
    out, grads = gradients(lambda *xs, **kw: apply(rule, *xs, **kw), inputs, np.ones(np.shape(y)), **attrs)
    assert out.dtype == np.float32
    assert all(g.dtype == np.float32 for g in grads if g is not None)
    saved_g = np.ones(np.shape(y), np.float32)
    parts = rule.vjp(saved_g, rule.forward(*inputs, **attrs)[1], [True] * len(inputs))
    for x, part in zip(inputs, parts, strict=True):
        if isinstance(x, np.ndarray) and x.dtype.kind == "f" and part is not None:
            assert part.dtype == np.float32  # before the engine's cast, so that no pass runs in float64


@every_rule
def test_the_layout_of_memory_does_not_matter(rule, data):
    inputs, attrs = data.draw(samples(rule))
    strided = [
        data.draw(arrays(x.shape)) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for x in inputs
    ]
    for x, s in zip(inputs, strided, strict=True):
        if x is not s:
            s[...] = x
    y, saved = rule.forward(*inputs, **attrs)
    z, saved_z = rule.forward(*strided, **attrs)
    np.testing.assert_allclose(y, z, rtol=1e-12, atol=1e-14)
    g = np.random.default_rng(0).normal(size=np.shape(y))
    back = np.asfortranarray(g[::-1])[::-1] if g.ndim else g
    needs = [True] * len(inputs)
    for x, a, b in zip(inputs, rule.vjp(g, saved, needs), rule.vjp(back, saved_z, needs), strict=True):
        if isinstance(x, np.ndarray) and a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@given(broadcastable(2), st.sampled_from(("add", "sub", "mul", "div", "pow")), st.data())
def test_broadcasting_is_undone(two, name, data):
    a, b = (data.draw(arrays(shape, 0.5, 2.0)) for shape in two)
    assert nn.gradcheck(RULES[name], a, b)


@given(shapes(1, 2), st.booleans(), st.booleans(), st.data())
def test_matmul_is_numpys(batch, row, column, data):
    left, right = data.draw(broadcastable(2, batch))
    a = data.draw(arrays((3,) if row else (*left, 2, 3)))
    b = data.draw(arrays((3,) if column else (*right, 3, 2)))
    np.testing.assert_allclose((nn.Tensor(a) @ nn.Tensor(b)).data, a @ b, rtol=1e-14, atol=1e-14)
    assert nn.gradcheck(RULES["matmul"], a, b)


@every_rule
def test_backward_is_linear_in_the_cotangent(rule, data):
    inputs, attrs = data.draw(samples(rule))
    y, saved = rule.forward(*inputs, **attrs)
    rng = np.random.default_rng(1)
    u, v = rng.normal(size=(2, *np.shape(y)))
    needs = [isinstance(x, np.ndarray) and x.dtype.kind == "f" for x in inputs]
    parts = [rule.vjp(np.asarray(g), saved, needs) for g in (u, v, 2 * u - 3 * v)]
    for wanted, of_u, of_v, of_both in zip(needs, *parts, strict=True):
        if wanted:
            np.testing.assert_allclose(of_both, 2 * of_u - 3 * of_v, rtol=1e-9, atol=1e-10)


# What the rules define where there is no derivative


def test_relu_has_gradient_zero_at_zero():
    x = nn.Tensor([-1.0, 0.0, 2.0], requires_grad=True)
    F.relu(x).sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 0, 1])


@pytest.mark.parametrize("name", ["max", "min"])
def test_entries_that_tie_for_an_extreme_share_its_gradient(name):
    x = nn.Tensor([[3.0, 3.0, 3.0], [3.0, 3.0, 3.0]], requires_grad=True)
    getattr(x, name)(axis=1).backward(np.array([3.0, 6.0]))
    np.testing.assert_array_equal(x.grad, [[1, 1, 1], [2, 2, 2]])


def test_max_pool_gives_a_tie_to_the_first():
    x = nn.Tensor(np.zeros((1, 1, 4, 4)), requires_grad=True)
    F.max_pool2d(x, 2).sum().backward()
    want = np.zeros((4, 4))
    want[::2, ::2] = 1
    np.testing.assert_array_equal(x.grad[0, 0], want)


def test_max_pool_over_more_than_256_taps_remembers_which_one_won():
    x = np.zeros((1, 1, 17, 17))
    x[0, 0, 16, 15] = 1
    t = nn.Tensor(x, requires_grad=True)
    F.max_pool2d(t, 17).sum().backward()
    np.testing.assert_array_equal(t.grad, x)


def test_powers_at_zero():
    for exponent, want in ((0, 0), (1, 1), (2, 0)):
        x = nn.Tensor([0.0], requires_grad=True)
        (x**exponent).backward()
        np.testing.assert_array_equal(x.grad, [want])
    x, e = nn.Tensor([0.0, 2.0], requires_grad=True), nn.Tensor([2.0, 2.0], requires_grad=True)
    (x**e).sum().backward()
    np.testing.assert_allclose(e.grad, [0, 4 * np.log(2)], rtol=1e-6)


def test_softmax_and_cross_entropy_survive_great_logits():
    x = nn.Tensor([[1e4, 0.0], [-1e4, 1e4]], requires_grad=True)
    np.testing.assert_array_equal(F.softmax(x).data, [[1, 0], [0, 1]])
    assert np.isfinite(F.log_softmax(x).data).all()
    loss = F.cross_entropy(x, np.array([1, 1]))
    assert loss.item() == 5000
    loss.backward()
    np.testing.assert_array_equal(x.grad, [[0.5, -0.5], [0, 0]])


def test_an_empty_batch_goes_through_a_convolutional_network():
    x = nn.Tensor(np.zeros((0, 2, 4, 4), np.float32))
    w = nn.Tensor(np.ones((3, 2, 3, 3), np.float32), requires_grad=True)
    y = F.max_pool2d(F.relu(F.conv2d(x, w, padding=1)), 2)
    assert y.shape == (0, 3, 2, 2)
    y.sum().backward()
    np.testing.assert_array_equal(w.grad, np.zeros(w.shape))

"""Forward mode: every rule's jvp is the adjoint of its vjp, derivatives nest without confusion, and PyTorch's
numbers come out; what does not fit is refused."""

import json
import operator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn import forward_mode
from nn import functional as F
from nn.context import ambient
from nn.rules import RULES, Rule
from nn.tensor import apply
from nn.testing.arrays import samples

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "torch_modes.npz")
CASES = list(enumerate(json.loads(str(GOLDEN["cases"]))))
DIFFERENTIABLE = tuple(rule for rule in RULES.values() if rule.vjp)
NAMED = operator.attrgetter("name")


def every_rule(law):
    return pytest.mark.parametrize("rule", DIFFERENTIABLE, ids=NAMED)(given(data=st.data())(law))


def floats(inputs):
    return [i for i, x in enumerate(inputs) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]


def function_of(rule, inputs, attrs):
    """The rule as a function of its floating-point inputs, and those."""
    where = floats(inputs)

    def f(*xs):
        every = list(inputs)
        for i, x in zip(where, xs, strict=True):
            every[i] = x
        return apply(rule, *every, **attrs)

    return f, [inputs[i] for i in where]


def call(case, inputs):
    """A recorded case, with what is no float filled in as the recorder does."""
    name, how = case["function"], dict(case["how"])
    if name == "batch_norm":
        x, weight, bias = inputs
        c = x.shape[1]
        running = (None, None) if how["training"] else (np.arange(c) / 2.0, np.arange(c) + 0.5)
        return F.batch_norm(x, *running, weight, bias, **how)
    if name == "cross_entropy":
        return F.cross_entropy(inputs[0], np.arange(len(inputs[0])) % inputs[0].shape[1])
    if name == "layer_norm":
        return F.layer_norm(inputs[0], how["normalized_shape"], *inputs[1:])
    return getattr(F, name)(*inputs, **how)


def recorded(key, case, name):
    return [GOLDEN[f"{key}.{name}{i}"] for i in range(case["inputs"])]


# Right


@every_rule
def test_forward_and_reverse_are_adjoint(rule, data):
    """⟨v, J·u⟩ = ⟨Jᵀ·v, u⟩ for all inputs together, with and without a graph behind them."""
    inputs, attrs = data.draw(samples(rule))
    f, xs = function_of(rule, inputs, attrs)
    rng = np.random.default_rng(2)
    us = [rng.normal(size=x.shape) for x in xs]
    leaves = [nn.Tensor(x, requires_grad=True) for x in xs]
    y = f(*leaves)
    v = rng.normal(size=y.shape)
    y.backward(v)
    reverse = sum(0 if t.grad is None else np.vdot(t.grad, u) for t, u in zip(leaves, us, strict=True))
    for primals in (xs, leaves):
        out, change = nn.jvp(f, primals, us)
        np.testing.assert_array_equal(out.data, y.data)
        assert change.shape == y.shape
        assert change.dtype == y.dtype
        size = np.linalg.norm(v) * np.linalg.norm(change.data)
        assert abs(np.vdot(v, change.data) - reverse) <= 1e-9 * max(size, 1)


@every_rule
def test_float32_stays_float32(rule, data):
    inputs, attrs = data.draw(samples(rule))
    if "dtype" in attrs:
        return
    inputs = [
        np.asarray(x, np.float32) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for x in inputs
    ]
    f, xs = function_of(rule, inputs, attrs)
    out, change = nn.jvp(f, xs, xs)
    assert out.dtype == change.dtype == np.float32


@pytest.mark.parametrize(("key", "case"), CASES, ids=[f"{key}-{case['function']}" for key, case in CASES])
def test_tangents_are_pytorchs(key, case):
    inputs, directions = recorded(key, case, "input"), recorded(key, case, "direction")
    _, change = nn.jvp(lambda *xs: call(case, xs), inputs, directions)
    np.testing.assert_allclose(change.data, GOLDEN[f"{key}.tangent"], rtol=1e-9, atol=1e-12)


def test_a_function_with_branches_and_writes_of_its_own():
    def f(x, k):
        y = x * 2 if x.sum().item() > 0 else x * 3
        y += x
        y *= k
        return y.exp().sum()

    x, u = np.array([0.1, 0.2]), np.array([1.0, -2.0])
    out, change = nn.jvp(lambda x: f(x, 0.5), x, u)
    np.testing.assert_allclose(out.data, np.exp(1.5 * x).sum())
    np.testing.assert_allclose(change.data, 1.5 * np.exp(1.5 * x) @ u)


def test_what_does_not_depend_on_the_primals_has_tangent_zero():
    c = nn.Tensor([1.0, 2.0])
    for f in (lambda x: c * 2, lambda x: x.detach() * c, lambda x: (x > 0) * c):
        out, change = nn.jvp(f, np.ones(2), np.ones(2))
        assert type(out) is type(change) is nn.Tensor
        np.testing.assert_array_equal(change.data, [0, 0])


def test_nothing_is_kept_however_long_the_function():
    """Ten thousand operations carry one tangent: no graph grows behind it."""

    def f(x):
        for _ in range(10_000):
            x = x * 1.0001
        return x

    with nn.no_grad():
        out, change = nn.jvp(f, nn.Tensor(1.0, requires_grad=True), np.float32(1))
    assert not out.requires_grad
    assert not change.requires_grad
    np.testing.assert_allclose(change.data, 1.0001**10_000, rtol=1e-3)


# Derivatives in derivatives


def derivative(f):
    return lambda x: nn.jvp(f, x, nn.Tensor(np.ones(x.shape)))[1]


def test_perturbations_are_not_confused():
    """d/dx [x · d/dy (x + y) at y = 1] = 1, and not 2: the inner tangent is not the outer one."""
    x = nn.Tensor(np.array(3.0))
    outer = derivative(lambda x: x * nn.jvp(lambda y: x + y, np.array(1.0), np.array(1.0))[1])
    assert outer(x).item() == 1
    other = derivative(lambda x: x * derivative(lambda y: x * y)(nn.Tensor(np.array(2.0))))
    assert other(x).item() == 6


def test_one_number_for_all_calls_would_confuse_them(monkeypatch):
    """The mutant of the test above."""
    monkeypatch.setattr(forward_mode, "_levels", iter([7, 7, 7, 7]))
    outer = derivative(lambda x: x * nn.jvp(lambda y: x + y, np.array(1.0), np.array(1.0))[1])
    assert outer(nn.Tensor(np.array(3.0))).item() != 1


def test_higher_derivatives_of_a_power():
    f, x = (lambda x: x**5), nn.Tensor(np.array(2.0))
    for factor, exponent in ((5, 4), (20, 3), (60, 2), (120, 1)):
        f = derivative(f)
        np.testing.assert_allclose(f(x).data, factor * 2.0**exponent)


@every_rule
def test_a_derivative_of_a_derivative_is_what_differences_measure(rule, data):
    """∂²f(u, u): the inner call sees the tangents of the outer one through every rule."""
    inputs, attrs = data.draw(samples(rule))
    f, xs = function_of(rule, inputs, attrs)
    rng = np.random.default_rng(3)
    us = [rng.normal(size=x.shape) for x in xs]
    inner = lambda *xs: nn.jvp(f, xs, us)[1]  # noqa: E731
    _, second = nn.jvp(inner, xs, us)
    h = 1e-6
    ahead, behind = (inner(*(x + s * h * u for x, u in zip(xs, us, strict=True))).data for s in (1, -1))
    measured = (ahead - behind) / (2 * h)
    np.testing.assert_allclose(second.data, measured, rtol=1e-5, atol=1e-6 * max(1, np.abs(measured).max()))


def test_backward_through_a_jvp():
    """∂/∂x ⟨∇f(x), u⟩ = H·u, f = Σx³: the gradient of a jvp."""
    x, u = nn.Tensor(np.array([1.0, 2.0]), requires_grad=True), np.array([3.0, 5.0])
    out, change = nn.jvp(lambda x: (x**3).sum(), x, u)
    assert out.requires_grad
    change.backward()
    np.testing.assert_allclose(x.grad, 6 * x.data * u)


def test_a_weight_that_the_function_closes_over_gets_its_gradient():
    w = nn.Tensor(np.array([[1.0, 2.0]]), requires_grad=True)
    _, change = nn.jvp(lambda x: (x @ w.T).exp().sum(), np.array([[0.1, 0.2]]), np.array([[1.0, -1.0]]))
    change.backward()
    value = np.exp(0.5)  # ∂/∂w of e^(x·w)·(u·w)
    np.testing.assert_allclose(w.grad, value * (np.array([[0.1, 0.2]]) * -1 + np.array([[1.0, -1.0]])))


def test_checkpoint_lets_tangents_through():
    w = nn.Tensor(np.array([2.0]), requires_grad=True)
    _, change = nn.jvp(lambda x: nn.checkpoint(lambda x: (x * w).exp(), x), np.array([0.5]), np.array([1.0]))
    np.testing.assert_allclose(change.data, 2 * np.e)


# The normal path is left alone


def test_outside_apply_asks_nobody():
    assert ambient.context.lift is None
    with pytest.raises(ZeroDivisionError):
        nn.jvp(lambda x: 1 / 0, np.ones(1), np.ones(1))
    assert ambient.context.lift is None
    nn.jvp(lambda x: nn.jvp(lambda y: y * x, x, nn.Tensor(np.ones(1)))[0], np.ones(1), np.ones(1))
    assert ambient.context.lift is None


def test_a_tensor_that_leaked_out_is_refused_by_backward():
    leaked = []
    nn.jvp(lambda x: leaked.append(x * 2) or x, np.ones(2), np.ones(2))
    assert leaked[0].shape == (2,)
    with pytest.raises(RuntimeError, match=r"carries a tangent of nn\.jvp"):
        (leaked[0] * 1).sum().backward()


# What it refuses


@pytest.mark.parametrize(
    ("primals", "tangents", "error", "message"),
    [
        (np.ones(3), np.ones(2), ValueError, r"tangents\[0\] has shape \(2,\), wanted \(3,\)"),
        (np.ones(3), np.ones(3, np.float32), TypeError, r"tangents\[0\] is float32, wanted float64"),
        (np.ones(3), np.ones(3, int), TypeError, r"tangents\[0\] is int64, wanted float64"),
        (np.ones(3, int), np.ones(3, int), TypeError, r"primals\[0\] is int64; only floats"),
        ([np.ones(3), np.ones(2)], [np.ones(3)], ValueError, "2 primals and 1 tangents came"),
        ((np.ones(3), "x"), (np.ones(3), np.ones(1)), TypeError, r"primals\[1\] is a str"),
        (None, np.ones(1), TypeError, r"primals\[0\] is a NoneType"),
    ],
)
def test_tangents_that_do_not_fit(primals, tangents, error, message):
    with pytest.raises(error, match=f"^jvp: {message}"):
        nn.jvp(lambda *xs: xs[0], primals, tangents)


@pytest.mark.parametrize(
    "f",
    [lambda x: 1.0, lambda x: x.detach().numpy(), lambda x: (x, x), lambda x: None],
    ids=["float", "ndarray", "tuple", "NoneType"],
)
def test_a_function_that_gives_no_tensor(f):
    with pytest.raises(TypeError, match=r"^jvp: f must give one Tensor, it gave a \w+"):
        nn.jvp(f, np.ones(2), np.ones(2))


def test_writes_that_would_lose_the_tangent():
    c = nn.Tensor(np.ones(2))

    def sets(x):
        x[0] = 1
        return x

    def copies(x):
        c[...] = x
        return c

    for f, message in ((sets, "would lose the tangent"), (copies, "a write cannot be recorded")):
        with pytest.raises(RuntimeError, match=message):
            nn.jvp(f, np.ones(2), np.ones(2))


def test_backward_inside_is_refused_and_says_what_to_do():
    for create in (False, True):
        with pytest.raises(RuntimeError, match=r"carries a tangent of nn\.jvp, .* or nn\.hvp"):
            nn.jvp(lambda x, c=create: nn.grad((x * x).sum(), x, create_graph=c)[0], np.ones(2), np.ones(2))


def arrays_only(g, saved, needs):
    d = np.zeros(g.shape)
    d[...] = g
    return (d,)


def test_a_rule_without_a_forward_mode_is_named():
    rule = Rule("opaque", "y = x;  dx = g", lambda x: (x * 1, None), arrays_only)
    with pytest.raises(RuntimeError, match=r"^opaque: has no forward mode .* simpler operations"):
        nn.jvp(lambda x: apply(rule, x), np.ones(2), np.ones(2))


def test_a_rule_without_one_goes_by_its_twin():
    rule = Rule("opaque", "y = 2x;  dx = 2g", lambda x: (x * 2, None), arrays_only, twin=lambda x: x + x)
    for x in (np.ones(2), nn.Tensor(np.ones(2), requires_grad=True)):
        _, change = nn.jvp(lambda x: apply(rule, x), x, np.array([1.0, 2.0]))
        np.testing.assert_array_equal(change.data, [2, 4])


def test_a_rule_that_says_nothing_has_its_vjp_transposed():
    """A student's rule: f(a, b) = a²·b, the vjp in operators."""
    rule = Rule(
        "own", "y = a²·b;  da = 2·g·a·b, db = g·a²", lambda a, b: (a * a * b, (a, b)),
        lambda g, saved, needs: (2 * g * saved[0] * saved[1], g * saved[0] * saved[0]),
        samples=lambda rng: [([rng.normal(size=3), rng.normal(size=3)], {})], saves=(0, 1),
    )  # fmt: skip
    a, b = np.array([1.0, 2.0, 3.0]), np.array([4.0])
    _, change = nn.jvp(lambda a, b: apply(rule, a, b), (a, b), (np.ones(3), np.ones(1)))
    np.testing.assert_allclose(change.data, 2 * a * b + a * a)
    assert nn.gradcheck(rule, order=2)
    f, x = (lambda x: apply(rule, x, x * x)), nn.Tensor(np.array([2.0, 3.0]))  # a⁴, through both arguments
    for factor, exponent in ((4, 3), (12, 2), (24, 1)):
        f = derivative(f)
        np.testing.assert_allclose(f(x).data, factor * x.data**exponent)

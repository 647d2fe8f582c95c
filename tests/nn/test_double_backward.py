"""Double backward: right through every rule, with PyTorch's rules for graphs that are kept and freed, linear
and without cycles; what it refuses."""

import gc
import operator
import time
import weakref

import numpy as np
import pytest

import nn
from nn import functional as F
from nn.context import within
from nn.rules import RULES, Rule
from nn.rules.record import CONSTANT
from nn.tensor import apply
from tests.nn.test_forward_mode import CASES, GOLDEN, call, recorded

DIFFERENTIABLE = tuple(rule for rule in RULES.values() if rule.vjp)
NAMED = operator.attrgetter("name")


def leaf(values, dtype=np.float64):
    return nn.Tensor(np.array(values, dtype), requires_grad=True)


# Right


@pytest.mark.parametrize("rule", DIFFERENTIABLE, ids=NAMED)
def test_every_rule_at_second_order(rule):
    """Double backward against differences, forward mode against reverse, on all samples."""
    assert nn.gradcheck(rule, order=2)


@pytest.mark.parametrize(("key", "case"), CASES, ids=[f"{key}-{case['function']}" for key, case in CASES])
def test_second_derivatives_are_pytorchs(key, case):
    """The gradient of Σ⟨∂⟨v, f⟩/∂xᵢ, uᵢ⟩ in v and in every x."""
    v, inputs = leaf(GOLDEN[f"{key}.v"]), [leaf(x) for x in recorded(key, case, "input")]
    grads = nn.grad(call(case, inputs), inputs, v, create_graph=True)
    total = sum((g * u).sum() for g, u in zip(grads, recorded(key, case, "direction"), strict=True))
    total.backward()
    for i, x in enumerate((v, *inputs)):
        want = GOLDEN[f"{key}.second{i}"]
        np.testing.assert_allclose(
            np.zeros(x.shape) if x.grad is None else x.grad, want, rtol=1e-8, atol=1e-11
        )


def test_third_and_fourth_order():
    x = leaf([0.5, -1.0])
    g = (x**6).sum()
    for factor, exponent in ((6, 5), (30, 4), (120, 3), (360, 2)):
        (g,) = nn.grad(g.sum(), x, create_graph=True)
        np.testing.assert_allclose(g.data, factor * x.data**exponent)


@pytest.mark.parametrize("name", ["conv2d", "softmax", "max_pool2d", "cross_entropy", "batch_norm", "index"])
def test_third_order_against_differences_of_the_second(name):
    """Linear rules, rules that run on Tensors, and twins: all once more."""
    rule, rng = RULES[name], np.random.default_rng(4)
    arrays, attrs = rule.samples(rng)[0]
    u = rng.normal(size=arrays[0].shape)

    def second(x, create=True):
        with within("recording", True):
            x = x if isinstance(x, nn.Tensor) and x.requires_grad else leaf(getattr(x, "data", x))
            y = apply(rule, x, *arrays[1:], **attrs)
            (g,) = nn.grad((y * y * y).sum(), x, create_graph=True)
            return nn.grad((g * u).sum(), x, create_graph=True)[0]

    assert nn.gradcheck(second, arrays[0][...], tolerance=1e-5)


def test_gradient_penalty():
    """Gulrajani et al. (2017): (‖∇ₓD(x)‖ − 1)² and its gradient in the weights."""
    rng = np.random.default_rng(0)
    w, v, x = leaf(rng.normal(size=(5, 3))), leaf(rng.normal(size=(1, 5))), leaf(rng.normal(size=(4, 3)))

    def penalty(w, v):
        (g,) = nn.grad(F.linear(F.linear(x, w).tanh(), v).sum(), x, create_graph=True)
        return (((g * g).sum(1).sqrt() - 1) ** 2).mean()

    penalty(w, v).backward()
    for t in (w, v):
        for at in np.ndindex(t.shape):
            values = []
            for h in (1e-6, -1e-6):
                moved = leaf(t.data)
                moved.data[at] += h
                values.append(penalty(*(moved if s is t else s for s in (w, v))).item())
            np.testing.assert_allclose(t.grad[at], (values[0] - values[1]) / 2e-6, rtol=1e-5, atol=1e-7)


def test_a_step_of_learning_is_differentiated():
    """MAML, Finn, Abbeel & Levine (2017): through w − lr·∇L(w) of a convolutional network in float32."""
    nn.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(12, 3),
    )  # fmt: skip
    x = np.random.default_rng(0).normal(size=(4, 1, 4, 4)).astype(np.float32)
    weights = list(model.parameters())
    grads = nn.grad(F.cross_entropy(model(x), np.array([0, 1, 2, 0])), weights, create_graph=True)
    assert all(g.dtype == np.float32 and g.shape == w.shape for g, w in zip(grads, weights, strict=True))
    sum((w - 0.1 * g).exp().sum() for g, w in zip(grads, weights, strict=True)).backward()
    assert all(np.isfinite(w.grad).all() and w.grad.dtype == np.float32 for w in weights)


def test_backward_leaves_tensors_that_go_on():
    x = leaf([1.0, 2.0])
    (x**3).sum().backward(create_graph=True)
    np.testing.assert_allclose(x.grad.data, 3 * x.data**2)
    first, x.grad = x.grad, None
    first.sum().backward()
    np.testing.assert_allclose(x.grad, 6 * x.data)
    x.grad = None
    for _ in range(2):
        (x * x).sum().backward(create_graph=True)
    np.testing.assert_allclose(x.grad.data, 4 * x.data)
    (x * x).sum().backward()  # an ordinary one adds to its array
    np.testing.assert_allclose(x.grad, 6 * x.data)
    assert isinstance(x.grad, np.ndarray)


def test_an_optimizer_takes_gradients_that_are_tensors():
    """The penalty ‖∇L‖² on top of L, as in training: a step with create_graph is the step without."""
    ends = []
    for create in (False, True):
        model = nn.Linear(3, 2, rng=np.random.default_rng(0))
        optimizer = nn.optim.SGD(model.parameters(), 0.1, momentum=0.9)
        for _ in range(2):
            optimizer.zero_grad()
            (model(np.ones((4, 3), np.float32)) ** 2).sum().backward(create_graph=create)
            nn.optim.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        ends.append([p.data for p in model.parameters()])
    for plain, taped in zip(*ends, strict=True):
        np.testing.assert_array_equal(plain, taped)


def test_gradients_that_are_handed_out_share_no_memory():
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    v = nn.Tensor(np.ones(2))
    grads = nn.grad(a + b, [a, b], v, create_graph=True)
    for g in grads:
        assert not np.shares_memory(g.data, v.data)
    assert not np.shares_memory(grads[0].data, grads[1].data)


def test_the_cotangent_may_be_differentiated_too():
    """⟨u, ∂⟨v, f⟩/∂x⟩ by v is J·u."""
    x, v = leaf([1.0, 2.0]), leaf([3.0, 5.0])
    (g,) = nn.grad(x.exp(), x, v, create_graph=True)
    (g * np.array([1.0, -1.0])).sum().backward()
    np.testing.assert_allclose(v.grad, np.exp(x.data) * [1, -1])


# Graphs that are kept, and freed


def test_create_graph_keeps_the_graph_unless_told_otherwise():
    x = leaf([1.0, 2.0])
    y = (x.exp() * x).sum()
    nn.grad(y, x, create_graph=True)
    (g,) = nn.grad(y, x, retain_graph=False, create_graph=True)
    with pytest.raises(RuntimeError, match="has been through this operation already"):
        nn.grad(y, x)
    with pytest.raises(RuntimeError, match=r"^exp: backward has been through"):
        g.sum().backward()  # the second derivative goes through exp once more


def test_a_second_backward_through_a_gradient_raises():
    x = leaf([1.0, 2.0])
    (g,) = nn.grad((x**3).sum(), x, create_graph=True)
    z = g.sum()
    z.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        z.backward()


def test_an_overwritten_array_is_found_at_second_order():
    w = leaf([2.0, 3.0])
    (g,) = nn.grad((w**3).sum(), w, create_graph=True)
    with nn.no_grad():
        w += 1
    with pytest.raises(RuntimeError, match="overwritten after the forward pass"):
        g.sum().backward()


def test_what_only_the_twin_needs_is_guarded_by_double_backward_alone():
    """cross_entropy saves probabilities: logits may be overwritten before a first backward, not a second."""
    for create, raises in ((False, False), (True, True)):
        x = nn.Tensor(np.ones((2, 3)))
        w = leaf(np.ones((3, 3)))
        logits = x @ w
        loss = F.cross_entropy(logits, np.array([0, 1]))
        with nn.no_grad():
            logits += 1
        if raises:
            with pytest.raises(
                RuntimeError, match=r"^cross_entropy: backward needs an array of shape \(2, 3\)"
            ):
                nn.grad(loss, w, create_graph=create)
        else:
            nn.grad(loss, w, create_graph=create)


def test_no_reference_cycles():
    gc.collect()
    gc.disable()
    try:
        x, w = leaf(np.ones((2, 3, 4, 4))), leaf(np.ones((3, 3, 1, 1)))
        y = F.cross_entropy(F.flatten(F.max_pool2d(F.relu(F.conv2d(x, w)), 4), 1), np.array([1, 2]))
        grads = nn.grad(y, [x, w], create_graph=True)
        z = sum((g * g).sum() for g in grads)
        seen = [weakref.ref(t) for t in (y, z, *grads)]
        nn.grad(z, w, retain_graph=True)
        del y, z, grads
        assert all(ref() is None for ref in seen)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_ten_thousand_operations_are_linear_and_do_not_recurse():
    times = []
    for length in (2_500, 5_000, 10_000):
        x = y = leaf(1.0)
        for _ in range(length):
            y = y * 1.0001
        y = y * y
        start = time.process_time()
        (g,) = nn.grad(y, x, create_graph=True)
        (h,) = nn.grad(g, x)
        times.append(time.process_time() - start)
        np.testing.assert_allclose(h, 2 * 1.0001 ** (2 * length), rtol=1e-6)
    assert times[2] < 12 * max(times[0], 0.01)  # 4 if linear, 16 if quadratic; the machine may be busy


def test_the_normal_path_keeps_no_inputs_but_for_twins():
    """What holds an input for its twin has a twin; a chain of others holds what it saved, and is freed."""
    x = leaf(np.ones((2, 3)))
    assert (x * x)._operation.inputs is None
    assert F.softmax(x)._operation.inputs is None
    y = F.cross_entropy(x * 1, np.array([0, 1]))
    held = weakref.ref(y._operation.parents[0].inputs[0])
    y.backward()
    assert held() is None


# What it refuses


def test_inside_no_grad():
    x = leaf([1.0])
    y = (x * x).sum()
    with nn.no_grad():
        with pytest.raises(RuntimeError, match=r"^grad: create_graph=True inside no_grad"):
            nn.grad(y, x, create_graph=True)
        with pytest.raises(RuntimeError, match=r"^backward: create_graph=True inside no_grad"):
            y.backward(create_graph=True)


def opaque(**how):
    """A rule whose vjp runs on arrays alone."""

    def vjp(g, saved, needs):
        d = np.zeros(g.shape)
        d[...] = g * saved[0]
        return (d,)

    return Rule(
        "opaque", "y = x²/2;  dx = g·x", lambda x: (x * x / 2, (x,)), vjp,
        samples=lambda rng: [([rng.normal(size=3)], {})], **how,
    )  # fmt: skip


def test_a_rule_without_a_double_backward_is_named():
    x = leaf([1.0, 2.0])
    y = apply(opaque(), x).sum()
    with pytest.raises(RuntimeError, match=r"^opaque: has no double backward .* from simpler operations"):
        nn.grad(y, x, create_graph=True)
    nn.grad(y, x)  # and the first one is there as before


def test_a_rule_that_saves_what_it_computed_is_refused_rather_than_wrong():
    """x² saved as such: a derivative would go past it, and be wrong."""
    rule = Rule(
        "secret", "y = x³/3;  dx = g·x²", lambda x: (x**3 / 3, (x * x,)),
        lambda g, saved, needs: (g * saved[0],),
        samples=lambda rng: [([rng.normal(size=3)], {})],
    )  # fmt: skip
    x = leaf([1.0, 2.0])
    with pytest.raises(RuntimeError, match=r"^secret: has no double backward"):
        nn.grad(apply(rule, x).sum(), x, create_graph=True)


def test_with_a_twin_both_would_go():
    rule = opaque(twin=lambda x: x * x * 0.5)
    assert nn.gradcheck(rule, order=2)
    refused = opaque(twin=lambda x: x * x * 0.5, saves=(0,))
    x = leaf([1.0, 2.0])
    with pytest.raises(RuntimeError, match=r"use what it is composed of, RULES\['opaque'\]\.twin"):
        nn.grad(apply(refused, x).sum(), x, create_graph=True)


# Checkpoints run their function again, recorded to stay


def test_a_checkpoint_at_second_order_is_the_function_itself():
    w, x = leaf([[0.5, -1.0], [2.0, 0.3]]), leaf([[1.0, 2.0], [3.0, -1.0]])

    def inner(x):
        return F.softmax((x @ w).tanh()) * x  # w is closed over

    ends = []
    for f in (inner, lambda x: nn.checkpoint(inner, x)):
        w.grad = x.grad = None
        y = f(x * 1.5).exp()
        grads = nn.grad((y * y).sum(), [x, w], create_graph=True)
        sum((g * g).sum() for g in grads).backward()
        ends.append([*(g.data for g in grads), x.grad, w.grad])
    for plain, again in zip(*ends, strict=True):
        np.testing.assert_allclose(again, plain, rtol=1e-12)


def test_a_checkpoint_in_a_checkpoint_and_a_third_order():
    x = leaf([0.5, 1.5])
    y = nn.checkpoint(lambda x: nn.checkpoint(lambda x: x * x * x, x) * x, x).sum()  # x⁴
    for factor, exponent in ((4, 3), (12, 2), (24, 1)):
        (y,) = nn.grad(y.sum(), x, create_graph=True)
        np.testing.assert_allclose(y.data, factor * x.data**exponent)


def test_a_rule_without_a_double_backward_is_named_through_a_checkpoint():
    x = leaf([1.0, 2.0])
    y = nn.checkpoint(lambda x: apply(opaque(), x), x).sum()
    with pytest.raises(RuntimeError, match=r"^opaque: has no double backward"):
        nn.grad(y, x, create_graph=True)


# Mutants: what a rule says about itself is checked


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("exp", {"linear": True}),
        ("matmul", {"linear": True}),
        ("matmul", {"symmetric": True, "jvp": None}),
        ("sum", {"jvp": lambda t, i, saved, out, **attrs: t * 0}),
        (
            "conv2d",
            {"jvp": lambda t, i, saved, out, **attrs: -RULES["conv2d"].jvp(t, i, saved, out, **attrs)},
        ),
        ("max_pool2d", {"jvp": lambda t, i, saved, out, **attrs: np.ones(out)}),
        ("cross_entropy", {"twin": lambda x, classes: F.cross_entropy(x * 2, classes, reduction="none")}),
        ("softmax", {"symmetric": False, "jvp": lambda t, i, saved, out, dim: saved[0] * t}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_rule_that_claims_too_much_is_found(name, how):
    rule = RULES[name]
    own = {"jvp": rule.jvp, "symmetric": rule.symmetric, "linear": rule.linear, "twin": rule.twin,
           "saves": rule.saves}  # fmt: skip
    with pytest.raises((nn.GradcheckError, RuntimeError, ValueError), match=name):
        nn.gradcheck(Rule(name, rule.formula, rule.forward, rule.vjp, samples=rule.samples, **(own | how)),
                     order=2)


def test_gradcheck_takes_two_orders():
    with pytest.raises(ValueError, match="order is 3, wanted 1 or 2"):
        nn.gradcheck(RULES["exp"], order=3)
    with pytest.raises(nn.GradcheckError, match=r"second order: the gradient of argument 0 \(x\)"):
        nn.gradcheck(Rule("exp", "", RULES["exp"].forward, RULES["exp"].vjp, saves=CONSTANT,
                          samples=RULES["exp"].samples, symmetric=True), order=2)  # fmt: skip


@pytest.mark.parametrize("equation", ["ij,jk,kl,lm,mn->in", "ij,,,k,j->k"])
def test_an_einsum_of_more_operands_than_its_samples_have(equation):
    rng = np.random.default_rng(0)
    operands = [rng.normal(size=(2,) * len(term)) for term in equation.split("->")[0].split(",")]
    assert nn.gradcheck(lambda *xs: nn.einsum(equation, *xs), *operands, order=2)


def test_a_power_differentiated_by_both_where_the_exponent_is_0():
    a, b = leaf([0.5, 2.0]), leaf([0.0, 0.0])
    (g,) = nn.grad((a**b).sum(), a, create_graph=True)
    np.testing.assert_allclose(nn.grad(g.sum(), b)[0], 1 / a.data)    # ∂²(aᵇ)/∂a∂b = aᵇ⁻¹(1 + b·log a)

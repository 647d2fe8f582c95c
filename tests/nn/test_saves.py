"""What a rule saves is declared, never guessed: what is not is refused, a wrong declaration is found."""

import numpy as np
import pytest

import nn
from nn import functional as F
from nn.rules import RULES, Rule
from nn.rules.record import CONSTANT, DERIVED, OUTPUT
from nn.tensor import apply

X = np.array([-0.7, 0.4, 1.5])


def square(**how):
    """y = x², which saves 2x, computed from its input."""
    return Rule("square", "y = x²;  dx = 2·g·x", lambda x: (x * x, (2 * x,)),
                lambda g, saved, needs: (g * saved[0],),
                samples=lambda rng: [([rng.normal(size=3)], {})], **how)


def second(rule):
    """The gradient of Σg², g the gradient of Σy: for y = x², 8x."""
    x = nn.Tensor(X, requires_grad=True)
    (g,) = nn.grad(apply(rule, x).sum(), x, create_graph=True)
    return nn.grad((g * g).sum(), x)[0]


def test_what_is_not_declared_is_refused_by_name_and_says_what_is_missing():
    missing = r"^square: has no {} \(it saves 1 thing, and saves= names none of them: wanted for each"
    with pytest.raises(RuntimeError, match=missing.format("double backward")):
        second(square())
    watched = nn.Tensor(X, requires_grad=True)
    with pytest.raises(RuntimeError, match=missing.format("forward mode")):
        nn.jvp(lambda x: apply(square(), x), watched, np.ones(3))
    two = Rule("two", "", lambda x: (x * x, (x, x)), lambda g, s, n: (g * s[0] + g * s[1],), saves=(0,))
    with pytest.raises(RuntimeError, match=r"^two: .*it saves 2 things, and saves= names 1"):
        second(two)


def test_without_it_a_first_gradient_and_forward_mode_on_arrays_are_right():
    x = nn.Tensor(X, requires_grad=True)
    apply(square(), x).sum().backward()
    np.testing.assert_allclose(x.grad, 2 * X)
    np.testing.assert_allclose(nn.jvp(lambda x: apply(square(), x), X, np.ones(3))[1].data, 2 * X)


@pytest.mark.parametrize("how", [
    {"saves": (DERIVED,), "derive": lambda x: (2 * x,)},
    {"twin": lambda x: x * x},
    {"twin": lambda x: x * x, "restored": lambda saved: (saved[0] / 2,)},
], ids=["derived", "twin", "twin on restored inputs"])
def test_declared_it_is_right(how):
    np.testing.assert_allclose(second(square(**how)), 8 * X)
    assert nn.gradcheck(square(**how), order=2)


@pytest.mark.parametrize(("saves", "derive", "order", "words"), [
    (CONSTANT, None, 2, "second order: the gradient of argument 0"),
    ((0,), None, 1, r"saves\[0\] is the input 0, says the rule, but saved\[0\] is another array"),
    ((OUTPUT,), None, 1, r"saves\[0\] is the output, says the rule"),
    ((1,), None, 1, "does not fit what it saves"),
    ((0, 0), None, 1, r"does not fit what it saves: it saves 1 thing"),
    ((DERIVED,), lambda x: (x,), 1, r"saves\[0\] is the derived"),
], ids=["constant", "input", "output", "no such input", "too many", "derived in another way"])
def test_a_wrong_declaration_is_found(saves, derive, order, words):
    with pytest.raises(nn.GradcheckError, match=f"^square.*{words}"):
        nn.gradcheck(square(saves=saves, derive=derive), order=order)


@pytest.mark.parametrize(("derive", "came"), [
    (lambda x: 2 * x, "a Tensor"), (lambda x: (2 * x, x), "a tuple of 2"), (lambda x: (), "a tuple of 0")])
def test_derive_gives_a_tuple_of_what_is_derived(derive, came):
    with pytest.raises(RuntimeError, match=rf"^square: has no .* \(derive= must .* it gave {came}"):
        second(square(saves=(DERIVED,), derive=derive))


@pytest.mark.parametrize(("how", "words"), [
    ({"saves": (DERIVED,)}, "what is DERIVED in saves=.* and derive= belong together"),
    ({"saves": (0,), "derive": lambda x: (x,)}, "what is DERIVED in saves="),
    ({"saves": ("input",)}, r"saves\[0\] is 'input', wanted the number of an input, OUTPUT"),
    ({"saves": 0}, "saves is 0, wanted a tuple, or CONSTANT"),
    ({"saves": (0,), "linear": True}, "linear=True says that the gradient depends on g alone"),
    ({"restored": lambda saved: saved}, "restored= gives the inputs of a twin"),
])
def test_a_record_that_contradicts_itself_is_refused_when_it_is_built(how, words):
    with pytest.raises(ValueError, match=f"^square: {words}"):
        square(**how)


@pytest.mark.parametrize("saves", [None, CONSTANT])
def test_a_rule_like_relu_that_only_says_linear_is_refused(saves):
    rule = Rule("mine", "y = max(x, 0)", lambda x: (np.maximum(x, 0), (x > 0,)),
                lambda g, saved, needs: (g * saved[0],), linear=True, saves=saves)
    for x in (X, nn.Tensor(X, requires_grad=True)):
        with pytest.raises(RuntimeError, match=r"^mine: has no forward mode"):
            nn.jvp(lambda x: apply(rule, x), x, np.array([-1.0, -1.0, -1.0]))


@pytest.mark.parametrize("name", ["mse", "silu", "huber", "gelu_tanh", "binary_cross_entropy_with_logits"])
def test_without_derive_the_second_gradient_would_be_wrong(name):
    """The mutant: what is derived passes for a constant. So the declaration is what makes it right."""
    rule = RULES[name]
    lied = tuple(CONSTANT if origin is DERIVED else origin for origin in rule.saves)
    mutant = Rule(name, rule.formula, rule.forward, rule.vjp, samples=rule.samples, saves=lied)
    assert nn.gradcheck(rule, order=2)
    with pytest.raises(nn.GradcheckError, match=f"^{name}, second order"):
        nn.gradcheck(mutant, order=2)


def test_the_gradient_of_a_fused_operation_is_an_operation():
    x = nn.Tensor(np.random.default_rng(0).normal(size=(2, 2, 4, 4)), requires_grad=True)
    w = nn.Tensor(np.ones((4, 1, 3, 3)), requires_grad=True)
    y = F.avg_pool2d(F.max_pool2d(F.relu(F.conv2d(x, w, padding=1, groups=2)), 2), 2)
    y = F.embedding(np.array([1, 0]), y.reshape(2, 4)).gather(1, np.array([[1], [0]]))
    grads = nn.grad((y * y).sum(), [x, w], create_graph=True)
    text = nn.explain(sum((g * g).sum() for g in grads))
    for name in ("conv2d", "relu", "max_pool2d", "avg_pool2d", "embedding", "index"):
        gradient = {"conv2d": "conv2d_input_grad"}.get(name, f"{name}_grad")
        assert f"= {gradient}(" in text
        assert gradient in RULES

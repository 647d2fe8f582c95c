"""The diagnosis of a wrong gradient names each planted mistake, on every rule or on several, and says nothing
where there is nothing to be said."""

import re

import numpy as np
import pytest

import nn
from nn import functional as F
from nn import walk
from nn.diagnose import diagnose_shape
from nn.rules import RULES, Rule
from tests.nn.test_gradcheck import float_arguments


def mutant(rule, vjp):
    return Rule("mutant", rule.formula, rule.forward, vjp, samples=rule.samples, twin=rule.twin)


def altered(rule, argument, change):
    """The rule with one of its gradients changed; a constant one is repeated first, as the engine would."""

    def vjp(g, saved, needs):
        parts = list(rule.vjp(g, saved, needs))
        parts[argument] = change(parts[argument], g) if needs[argument] else None
        return parts

    return mutant(rule, vjp)


def diagnosis(rule, *inputs, **attrs):
    with pytest.raises(nn.GradcheckError) as caught:
        nn.gradcheck(rule, *inputs, **attrs)
    return str(caught.value).partition("Diagnosis: ")[2]


ARGUMENTS = list(float_arguments())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d, g: -d, "its sign is flipped"),
        (lambda d, g: 2 * d, "a factor 2 "),
        (lambda d, g: -3.5 * d, "-3.5 times the right one"),
        (lambda d, g: None, "it is zero"),
    ],
    ids=["sign", "factor 2", "factor -3.5", "zero"],
)
@pytest.mark.parametrize(("rule", "argument"), ARGUMENTS)
def test_sign_factor_and_zero_on_every_rule(rule, argument, change, words):
    said = diagnosis(altered(rule, argument, change))
    arrays, attrs = rule.samples(np.random.default_rng(0))[0]
    y, saved = rule.forward(*arrays, **attrs)
    needs = [k == argument for k in range(len(arrays))]
    part = np.asarray(rule.vjp(np.ones(np.shape(y)), saved, needs)[argument])
    part = walk.fit(part, arrays[argument].shape, rule)
    if words.startswith("-3.5") and np.count_nonzero(part) < 3:  # two numbers always have a ratio
        assert words in said or not said
    else:
        assert words in said


@pytest.mark.parametrize(("rule", "argument"), ARGUMENTS)
def test_nonsense_gets_no_name(rule, argument):
    """A matrix of random numbers in place of the Jacobian, where it has enough entries to be one."""
    arrays, attrs = rule.samples(np.random.default_rng(0))[0]
    x = arrays[argument]
    y, _ = rule.forward(*arrays, **attrs)
    if x.size < 3 or np.size(y) < 2:
        pytest.skip("too few entries to tell nonsense from a factor")
    matrix = np.random.default_rng(5).normal(size=(x.size, np.size(y)))
    rule = altered(rule, argument, lambda d, g: (matrix @ np.ravel(g)).reshape(x.shape))
    assert diagnosis(rule, *arrays, **attrs) == ""


def softmax(sum_of):
    return lambda g, s, n: (s[0] * (g - sum_of(g, s[0])),)


def batch_norm(g, saved, needs, mean=1, spread=1):
    rows, inverse, weight, *_, mean_of_x = saved
    x_hat = (rows - mean_of_x) * inverse
    dx = g - mean * g.mean(0) - spread * x_hat * (g * x_hat).mean(0)
    return dx * weight * inverse, (g * x_hat).sum(0), g.sum(0)


def conv2d(g, saved, needs):
    w = saved[1]
    full = F.conv2d(g, w.transpose(1, 0, 2, 3), padding=w.shape[2] - 1).data
    return full, RULES["conv2d"].vjp(g, saved, [False, True, False])[1], None


SQUARE = (3, 3)
MISTAKES = [
    # transposed
    (
        "mul",
        lambda g, s, n: ((g * s[1]).T, g * s[0]),
        (SQUARE, SQUARE),
        "it is transposed: axes 0 and 1 of argument 0",
    ),
    (
        "matmul",
        lambda g, s, n: (g @ s[1].T, (s[0].T @ g).T),
        (SQUARE, SQUARE),
        "it is transposed: .* argument 1",
    ),
    (
        "linear",
        lambda g, s, n: (g @ s[1], (g.T @ s[0]).T, g.sum(0)),
        (SQUARE, SQUARE, (3,)),
        "it is transposed",
    ),
    (
        "matmul",
        lambda g, s, n: (g.T @ s[1].T, s[0].T @ g),
        (SQUARE, SQUARE),
        "the incoming gradient is transposed",
    ),
    (
        "matmul",
        lambda g, s, n: (g @ s[1], s[0].T @ g),
        (SQUARE, SQUARE),
        r"a transpose is missing.* argument 1 \(b\)",
    ),
    (
        "matmul",
        lambda g, s, n: (g @ s[1].T, s[0] @ g),
        (SQUARE, SQUARE),
        r"a transpose is missing.* argument 0 \(a\)",
    ),
    (
        "linear",
        lambda g, s, n: (g @ s[1].T, g.T @ s[0], g.sum(0)),
        (SQUARE, SQUARE, (3,)),
        "a transpose is missing",
    ),
    (
        "conv2d",
        conv2d,
        ((1, 2, 4, 4), (3, 2, 3, 3)),
        r"mirrored, or not where it should be, is argument 1 \(w\)",
    ),
    # a factor
    (
        "mean",
        lambda g, s, n: (g,),
        ((3, 4),),
        r"a factor 12 \(the number of entries of the argument\) is too many",
    ),
    ("sum", lambda g, s, n: (g / 12,), ((3, 4),), "a factor 12 .* is missing"),
    (
        "linear",
        lambda g, s, n: (g @ s[1], g.T @ s[0], g.mean(0)),
        ((5, 3), (4, 3), (4,)),
        "factor 5 .*batch.* missing",
    ),
    (
        "linear",
        lambda g, s, n: (g @ s[1], g.T @ s[0] / 5, g.sum(0)),
        ((5, 3), (4, 3), (4,)),
        "factor 5 .*batch",
    ),
    ("mse", lambda g, s, n: (g * s[0], -g * s[0] * 2), ((3, 4), (3, 4)), "factor 2 .* is missing"),
    (
        "div",
        lambda g, s, n: (g / s[0], -g * s[1]),
        ((5,), (5,)),
        r"a factor is one too many: argument 1 \(b\)",
    ),
    (
        "div",
        lambda g, s, n: (g * s[0], -g * s[1] / s[0]),
        ((5,), (5,)),
        r"multiplied by argument 1 \(b\), not divided",
    ),
    # a missing unbroadcast
    (
        "linear",
        lambda g, s, n: (g @ s[1], g.T @ s[0], g[0]),
        ((5, 3), (4, 3), (4,)),
        "the sum over that axis is missing",
    ),
    ("add", lambda g, s, n: (g, g[-1]), ((3, 4), (4,)), "only entry 2 along axis 0 of the output counts"),
    (
        "mul",
        lambda g, s, n: (g * s[1], (g * s[0])[:, :1]),
        ((3, 4), (3, 1)),
        "entry 0 along axis 1 .* sum .* missing",
    ),
    ("sum", lambda g, s, n: (g * np.eye(1, 4),), ((1, 4),), "only entry 0 along axis 1 of argument 0"),
    # the wrong axis
    (
        "linear",
        lambda g, s, n: (g @ s[1], g.T @ s[0], g.sum(1)),
        (SQUARE, SQUARE, (3,)),
        "summed over the wrong axis",
    ),
    (
        "softmax",
        softmax(lambda g, y: (g * y).sum(0)),
        ((3, 4),),
        "the wrong axis: a sum in it runs over axis 0 .* axis 1",
    ),
    ("sum", lambda g, s, n: (g[None, :],), (SQUARE,), "spread along the wrong axis"),
    # a dropped term, or its sign
    (
        "softmax",
        softmax(lambda g, y: 0),
        ((3, 4),),
        "a term is dropped: the term that comes through div in its twin",
    ),
    ("softmax", softmax(lambda g, y: -(g * y).sum(-1, keepdims=True)), ((3, 4),), "has its sign flipped"),
    ("softmax", softmax(lambda g, y: g * y), ((3, 4),), "a term is dropped: each entry feels only itself"),
    ("log_softmax", lambda g, s, n: (g,), ((3, 4),), "a term is dropped: the term that comes through div"),
    (
        "batch_norm",
        lambda *a: batch_norm(*a, mean=0),
        ((5, 3), (3,), (3,)),
        "a term is dropped: .* through mean",
    ),
    (
        "batch_norm",
        lambda *a: batch_norm(*a, spread=0),
        ((5, 3), (3,), (3,)),
        "a term is dropped: .* in its twin",
    ),
    ("relu", lambda g, s, n: (g,), ((5, 5),), "a mask is missing"),
    # the gradient of another argument
    (
        "mul",
        lambda g, s, n: (g * s[0], g * s[0]),
        ((3,), (3,)),
        r"gradient of another argument, argument 1 \(b\)",
    ),
    ("sub", lambda g, s, n: (-g, -g), ((3, 2), (3, 2)), "its sign is flipped"),
    (
        "matmul",
        lambda g, s, n: (s[0].T @ g, s[0].T @ g),
        (SQUARE, SQUARE),
        r"another argument, argument 1 \(b\)",
    ),
    ("div", lambda g, s, n: (g / s[0], g / s[0]), ((3, 2), (3, 2)), r"another argument, argument 0 \(a\)"),
]


@pytest.mark.parametrize(
    ("name", "vjp", "shapes", "words"), MISTAKES, ids=[f"{m[0]}-{k}" for k, m in enumerate(MISTAKES)]
)
def test_a_planted_mistake_is_named(name, vjp, shapes, words):
    rng = np.random.default_rng(3)
    attrs = {"sum": {"dim": 1, "keepdim": False}}.get(name, {}) if shapes == (SQUARE,) else {}
    arrays = [rng.normal(size=shape) for shape in shapes] + [None] * (name == "conv2d")
    assert nn.gradcheck(RULES[name], *arrays, **attrs)  # the rule itself is right there
    said = diagnosis(mutant(RULES[name], vjp), *arrays, **attrs)
    assert re.search(words, said), said


@pytest.mark.parametrize(
    ("vjp", "words"),
    [
        (
            lambda g, s, n: (g @ s[1].T, (s[0].T @ g).T),
            r"has shape \(4, 3\), wanted \(3, 4\): it is transposed",
        ),
        (
            lambda g, s, n: (g @ s[1].T, s[0].T[:, :, None] * g[None]),
            r"has shape \(3, 5, 4\), wanted \(3, 4\): the sum over axis 1 of it is missing",
        ),
    ],
    ids=["transposed", "unbroadcast"],
)
def test_a_gradient_of_another_shape(vjp, words):
    rng = np.random.default_rng(3)
    with pytest.raises(nn.GradcheckError, match=words):
        nn.gradcheck(mutant(RULES["matmul"], vjp), rng.normal(size=(5, 3)), rng.normal(size=(3, 4)))


def test_a_shape_that_nothing_explains_stays_the_error_it_was():
    rule = mutant(RULES["matmul"], lambda g, s, n: (g @ s[1].T, np.ones((7, 7))))
    with pytest.raises(RuntimeError, match=r"gave a gradient of shape \(7, 7\)"):
        nn.gradcheck(rule, np.ones((5, 3)), np.ones((3, 4)))
    assert diagnose_shape(np.ones((2, 3)), np.zeros(4)) is None


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x.detach() * x, "a use of argument 0 (x) is dropped: it goes through detach()"),
        (lambda x: x * x + x.detach().exp(), "a use of argument 0 (x) is dropped"),
        (lambda x: x.detach() * 2, "a use of argument 0 (x) is dropped"),
        (lambda x: nn.Tensor(x.data) * x, "a factor 2 (the 2 of a square, or two uses?) is missing"),
        (lambda x: nn.Tensor(x.data) * 2, "it is zero"),
    ],
    ids=["product", "sum", "all", "data", "cut"],
)
def test_one_of_two_uses_is_lost_in_a_function(function, words):
    said = diagnosis(function, np.array([1.0, -2.0, 3.0, 0.5]))
    assert words in said


def test_a_large_jacobian_is_not_looked_at():
    assert diagnosis(altered(RULES["exp"], 0, lambda d, g: -d), np.linspace(0, 1, 1000)) == ""


def test_a_kink_is_no_mistake():
    with pytest.raises(nn.GradcheckError, match="is this a kink") as caught:
        nn.gradcheck(F.relu, np.array([1.0, 0.0, -1.0]))
    assert "Diagnosis" not in str(caught.value)


def bare(forward, vjp):
    """A rule without a twin or a name that tells anything."""
    return Rule("mine", "y = f(x)", lambda x: (forward(x), (x,)), vjp)


def softmax_of(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


BARE = [
    (softmax_of, lambda g, s, n: (g * softmax_of(s[0]),), "the difference is an outer product along axis 1"),
    (lambda x: x * np.tanh(x), lambda g, s, n: (g * np.tanh(s[0]),),
     "of the two of the product rule, one, .* is there"),
    (lambda x: x * np.tanh(x), lambda g, s, n: (g * s[0] / np.cosh(s[0]) ** 2,),
     "of the two of the product rule, one, .* is missing"),
    (lambda x: x.cumsum(1), lambda g, s, n: (g.cumsum(1),), "the Jacobian is not transposed"),
]


@pytest.mark.parametrize(("forward", "vjp", "words"), BARE)
def test_a_rule_that_stands_alone(forward, vjp, words):
    x = np.random.default_rng(0).normal(size=(3, 4))
    assert re.search(words, diagnosis(bare(forward, vjp), x))

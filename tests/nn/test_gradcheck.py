"""gradcheck finds every wrong gradient planted here, and says where; and it refuses what it cannot check."""

import numpy as np
import pytest

import nn
from nn import functional as F
from nn import walk
from nn.rules import RULES, Rule
from nn.tensor import apply

DIFFERENTIABLE = tuple(rule for rule in RULES.values() if rule.vjp)


def mutant(rule, vjp, name="mutant"):
    return Rule(name, rule.formula, rule.forward, vjp, samples=rule.samples)


def altered(rule, argument, change):
    """The rule with one of its gradients changed."""

    def vjp(g, saved, needs):
        parts = list(rule.vjp(g, saved, needs))
        parts[argument] = change(parts[argument]) if needs[argument] else None
        return parts

    return mutant(rule, vjp)


def float_arguments():
    for rule in DIFFERENTIABLE:
        arrays, _ = rule.samples(np.random.default_rng(0))[0]
        for i, x in enumerate(arrays):
            if isinstance(x, np.ndarray) and x.dtype.kind == "f":
                yield pytest.param(rule, i, id=f"{rule.name}-{i}")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: -d,
        lambda d: 2 * d,
        lambda d: d * (1 + 1e-4),
        lambda d: None,
        lambda d: d + 1e-4,
        lambda d: d * np.nan,
    ],
    ids=["sign", "factor", "a little off", "missing", "shifted", "nan"],
)
@pytest.mark.parametrize(("rule", "argument"), list(float_arguments()))
def test_a_changed_gradient_is_found(rule, argument, change):
    with pytest.raises(nn.GradcheckError, match=rf"^mutant: the gradient of argument {argument}\b"):
        nn.gradcheck(altered(rule, argument, change))


def _softmax(g, saved, needs, sign=1, sum_of=lambda g, y: g * y):
    y, dim = saved
    return (y * (g + sign * sum_of(g, y).sum(dim, keepdims=True)),)


def _batch_norm(g, saved, needs, mean=True, spread=True):
    rows, inverse, weight, *_, mean_of_x = saved
    x_hat = (rows - mean_of_x) * inverse
    dx = g - mean * g.mean(0) - spread * x_hat * (g * x_hat).mean(0)
    return dx * weight * inverse, (g * x_hat).sum(0), g.sum(0)


def _linear(g, saved, needs):
    x, w = saved
    return g @ w, g.T @ x, g.sum(0)


def _conv2d(g, saved, needs, flip=True):
    w = saved[1]
    w = w[..., ::-1, ::-1] if flip else w
    full = F.conv2d(g, w.transpose(1, 0, 2, 3), padding=w.shape[2] - 1).data
    return full, RULES["conv2d"].vjp(g, saved, [False, True, False])[1], None


def _cross_entropy(g, saved, needs, weigh=True):
    p, classes = saved
    d = p.copy()
    d[np.arange(len(p)), classes] -= 1
    return d * g[:, None] if weigh else d * g.mean(), None


@pytest.mark.parametrize(
    ("name", "vjp", "inputs"),
    [
        ("softmax", lambda g, s, n: _softmax(g, s, n, +1), ((3, 4),)),
        ("softmax", lambda g, s, n: _softmax(g, s, n, -1, lambda g, y: g), ((3, 4),)),
        ("softmax", lambda g, s, n: (g * s[0] * (1 - s[0]),), ((3, 4),)),
        ("log_softmax", lambda g, s, n: (g - g.sum(-1, keepdims=True),), ((3, 4),)),
        ("matmul", lambda g, s, n: (g @ s[1], s[0].T @ g), ((3, 3), (3, 3))),
        ("matmul", lambda g, s, n: (g @ s[1].T, s[0] @ g), ((3, 3), (3, 3))),
        ("matmul", lambda g, s, n: (g @ s[1].T, (s[0].T @ g).T), ((3, 3), (3, 3))),
        ("linear", lambda g, s, n: (g @ s[1].T, g.T @ s[0], g.sum(0)), ((3, 3), (3, 3), (3,))),
        ("linear", lambda g, s, n: (g @ s[1], g.T @ s[0], g.sum(1)), ((3, 3), (3, 3), (3,))),
        ("linear", lambda g, s, n: (g @ s[1], g.T @ s[0], g.mean(0)), ((3, 3), (3, 3), (3,))),
        ("sub", lambda g, s, n: (g, g), ((3,), (3,))),
        ("mul", lambda g, s, n: (g * s[0], g * s[1]), ((3,), (3,))),
        ("mul", lambda g, s, n: (g * s[1], n[0] and g * s[0]), ((3,), (3,))),
        ("div", lambda g, s, n: (g / s[0], -g * s[1]), ((3,), (3,))),
        ("mean", lambda g, s, n: (g,), ((3, 4),)),
        ("relu", lambda g, s, n: (g,), ((5, 5),)),
        ("reshape", lambda g, s, n: (g.reshape(s, order="F"),), ((2, 3),)),
        ("batch_norm", lambda g, s, n: _batch_norm(g, s, n, mean=False), ((5, 3), (3,), (3,))),
        ("batch_norm", lambda g, s, n: _batch_norm(g, s, n, spread=False), ((5, 3), (3,), (3,))),
        ("conv2d", lambda g, s, n: _conv2d(g, s, n, flip=False), ((1, 2, 4, 4), (3, 2, 3, 3))),
        ("cross_entropy", lambda g, s, n: _cross_entropy(g, s, n, weigh=False), ((4, 5),)),
    ],
    ids=[
        "softmax plus",
        "softmax forgets y",
        "softmax diagonal only",
        "log_softmax forgets y",
        "matmul b not transposed",
        "matmul a not transposed",
        "matmul db transposed",
        "linear w transposed",
        "linear bias over the wrong axis",
        "linear bias averaged",
        "sub without minus",
        "mul exchanged",
        "mul looks at the wrong need",
        "div drops 1/b",
        "mean without 1/n",
        "relu lets all through",
        "reshape in another order",
        "batch norm without the mean's term",
        "batch norm without the variance's term",
        "conv2d not flipped",
        "cross entropy averages the cotangent",
    ],
)
def test_a_classical_mistake_is_found(name, vjp, inputs):
    rng = np.random.default_rng(3)
    arrays = [rng.normal(size=shape) for shape in inputs]
    attrs = {"reshape": {"shape": (3, 2)}}.get(name, {})
    arrays += {"cross_entropy": [np.array([0, 4, 2, 2])], "conv2d": [None]}.get(name, [])
    assert nn.gradcheck(RULES[name], *arrays, **attrs)
    with pytest.raises(nn.GradcheckError, match=f"^{name}: "):
        nn.gradcheck(mutant(RULES[name], vjp, name), *arrays, **attrs)


def test_the_mistakes_above_are_mistakes_and_their_corrections_pass():
    """The hand-written vjps without their mistake: so that it is the mistake that is found."""
    rng = np.random.default_rng(3)
    x, w, v = rng.normal(size=(5, 3)), rng.normal(size=(3, 3)), rng.normal(size=3)
    assert nn.gradcheck(mutant(RULES["softmax"], lambda g, s, n: _softmax(g, s, n, -1)), x)
    assert nn.gradcheck(mutant(RULES["batch_norm"], _batch_norm), x, v, v)
    assert nn.gradcheck(mutant(RULES["linear"], _linear), x, w, v)
    assert nn.gradcheck(
        mutant(RULES["conv2d"], _conv2d), rng.normal(size=(1, 2, 4, 4)), rng.normal(size=(3, 2, 3, 3)), None
    )
    assert nn.gradcheck(
        mutant(RULES["cross_entropy"], _cross_entropy), rng.normal(size=(4, 5)), np.array([0, 4, 2, 2])
    )


@pytest.mark.parametrize(
    "wrong",
    [
        lambda g, shape, rule: g[(0,) * (g.ndim - len(shape))],
        lambda g, shape, rule: g.mean(tuple(range(g.ndim - len(shape)))),
        lambda g, shape, rule: g.sum(),
    ],
    ids=["takes the first", "averages", "sums too much"],
)
def test_broadcasting_not_undone_is_found(monkeypatch, wrong):
    monkeypatch.setattr(walk, "fit", wrong)
    with pytest.raises(nn.GradcheckError, match=r"^mul: the gradient of argument 1 \(b\)"):
        nn.gradcheck(RULES["mul"], np.ones((3, 4)), np.ones(4))


def test_the_message_names_operation_argument_and_worst_entry():
    def vjp(g, saved, needs):
        da, db = RULES["mul"].vjp(g, saved, needs)
        db = db * np.ones((2, 3))
        db[1, 2] += 7
        return da, db

    a, b = np.ones((2, 3)), np.full((2, 3), 2.0)
    with pytest.raises(nn.GradcheckError) as caught:
        nn.gradcheck(mutant(RULES["mul"], vjp, "my_mul"), a, b)
    message = str(caught.value)
    assert message.startswith(
        "my_mul: the gradient of argument 1 (b) is wrong in 1 of 6 entries, worst at [1, 2]: "
    )
    gives, differences = message.split("backward gives ")[1].split(", differences ")
    assert float(gives) - float(differences) == pytest.approx(7)


def test_a_kink_is_pointed_out():
    with pytest.raises(nn.GradcheckError, match="is this a kink"):
        nn.gradcheck(F.relu, np.array([1.0, 0.0]))


def test_a_vjp_that_overwrites_an_input_is_found():
    def vjp(g, saved, needs):
        saved[0][...] = 0
        return (g * 0 + 1,)

    rule = Rule("clears", "", lambda x: (x.copy(), (x,)), vjp)
    with pytest.raises(nn.GradcheckError, match=r"clears: argument 0 \(x\) was overwritten"):
        nn.gradcheck(rule, np.ones(3))


# Functions


def test_a_vjp_that_overwrites_the_gradient_it_is_given_is_found():
    careless = Rule("careless", "y = −x", lambda x: (-x, None),
                    lambda g, saved, needs: (np.negative(g, out=g),))
    with pytest.raises(nn.GradcheckError, match="careless: its vjp wrote into the gradient"):
        nn.gradcheck(careless, np.ones(3))


def test_any_function_of_tensors():
    rng = np.random.default_rng(0)

    def network(x, w, v, k=1.0):
        return F.log_softmax(F.relu(x @ w + 0.3) @ v * k)

    assert nn.gradcheck(
        network, rng.normal(size=(4, 3)), nn.Tensor(rng.normal(size=(3, 5))), rng.normal(size=(5, 2))
    )
    assert nn.gradcheck(network, *(rng.normal(size=s) for s in ((4, 3), (3, 5), (5, 2))), k=0.5)
    assert nn.gradcheck(lambda x, y: F.cross_entropy(x, y), rng.normal(size=(4, 3)), np.array([0, 1, 2, 0]))


def test_a_function_that_cuts_the_graph_is_found():
    def forgets(x):
        return x.detach() * x

    def cut(x):
        return x.detach() * 2

    for function in (forgets, cut):
        with pytest.raises(
            nn.GradcheckError, match=rf"^{function.__name__}: the gradient of argument 0 \(x\)"
        ):
            nn.gradcheck(function, np.ones(3))


def test_a_constant_function_has_gradient_zero():
    assert nn.gradcheck(lambda x: nn.Tensor(np.ones(3)), np.ones(2))
    assert nn.gradcheck(F.relu, np.zeros((0, 3)))


def test_the_check_leaves_its_inputs_alone():
    x = np.array([1.0, 2.0])
    t = nn.Tensor(x, requires_grad=True)
    nn.gradcheck(lambda a, b: a * b, x, t)
    np.testing.assert_array_equal(x, [1, 2])
    np.testing.assert_array_equal(t.data, [1, 2])
    assert t.grad is None


# Surrogates: a straight-through rule is checked against the function whose derivative it claims to have


def _round(vjp):
    return Rule(
        "round",
        "y = round x;  dx = g, as if y = x",
        lambda x: (np.rint(x), None),
        vjp,
        samples=lambda rng: [([rng.normal(size=5)], {})],
        surrogate=lambda x: lambda x: x,
    )


def test_a_surrogate_is_checked_against_its_declared_formula():
    assert nn.gradcheck(_round(lambda g, saved, needs: (g,)))
    with pytest.raises(nn.GradcheckError, match=r"^round: "):
        nn.gradcheck(_round(lambda g, saved, needs: (g * 0.9,)))


def test_a_surrogate_may_freeze_what_it_knows_of_the_inputs():
    """Learned step size, Esser et al. (2020): with the rounding error frozen, dy/ds = round(x/s) − x/s."""

    def forward(x, s):
        q = np.rint(x / s)
        return s * q, (q - x / s,)

    def surrogate(x0, s0):
        error = np.rint(x0 / s0) - x0 / s0
        return lambda x, s: s * (x / s + error)

    step = Rule(
        "step", "y = s·round(x/s)", forward, lambda g, saved, needs: (g, g * saved[0]), surrogate=surrogate
    )
    assert nn.gradcheck(step, np.linspace(-1, 1, 7), np.array(0.3))


# What it refuses


def test_float32_is_refused():
    with pytest.raises(TypeError, match=r"mul: argument 1 \(b\) is float32; .*astype\(np.float64\)"):
        nn.gradcheck(RULES["mul"], np.ones(3), np.ones(3, np.float32))
    with pytest.raises(TypeError, match="returned float32"):
        nn.gradcheck(lambda x: x.float(), np.ones(3))


def test_nothing_to_check_is_refused():
    with pytest.raises(ValueError, match="no floating-point array"):
        nn.gradcheck(lambda x: x, np.ones(3, int))
    with pytest.raises(ValueError, match="gt has no gradient"):
        nn.gradcheck(RULES["gt"])
    with pytest.raises(ValueError, match="bare has no samples"):
        nn.gradcheck(Rule("bare", "", lambda x: (x, None), lambda g, s, n: (g,)))


def test_what_is_no_function_is_refused():
    nn.manual_seed(0)
    with pytest.raises(ValueError, match="unequal outputs for equal inputs"):
        nn.gradcheck(lambda x: F.dropout(x, 0.5), np.ones((5, 5)))
    with pytest.raises(TypeError, match="returned tuple, wanted a Tensor"):
        nn.gradcheck(lambda x: (x, x), np.ones(3))


def test_each_rule_can_be_checked_by_its_name_on_inputs_of_ones_own():
    assert nn.gradcheck(
        RULES["conv2d"], np.ones((1, 1, 5, 5)), np.ones((1, 1, 2, 2)), None, stride=2, padding=(1, 0)
    )
    assert apply(RULES["add"], 1.0, np.ones(2)).shape == (2,)

"""float16 goes in and comes out, and is as right as float16 can be: computed in float32 and rounded once."""

import copy

import numpy as np
import pytest

import nn
from nn import functional as F
from nn.rules import RULES
from nn.tensor import apply

H = np.float16
N = 4096    # in float16 a sum of ones stands still at 2048


def half(x, grad=False):
    return nn.Tensor(np.asarray(x, H), requires_grad=grad)


def in_ulps(have, exact):
    """The greatest distance in units in the last place of float16, subnormal ones included."""
    exact = np.asarray(exact, np.float64)
    assert have.dtype == H
    assert np.abs(exact).max(initial=0) < 65520
    unit = np.maximum(np.spacing(np.minimum(np.abs(exact), 65504).astype(H)).astype(np.float64), 2.0**-24)
    return float((np.abs(have.astype(np.float64) - exact) / unit).max(initial=0))


COMPUTES = [rule for rule in RULES.values() if rule.vjp and rule.name != "cast"]


@pytest.mark.parametrize("rule", COMPUTES, ids=lambda rule: rule.name)
def test_every_rule_is_within_2_units_of_the_truth_in_all_modes(rule):
    for arrays, attrs in rule.samples(np.random.default_rng(0)):
        narrow = [np.asarray(x, H) if isinstance(x, (np.ndarray, float)) and np.asarray(x).dtype.kind == "f"
                  else x for x in arrays]
        of_both = []
        for dtype in (H, np.float64):
            xs = [x.astype(dtype) if isinstance(x, np.ndarray) and x.dtype == H else x for x in narrow]
            places = [i for i, x in enumerate(xs) if isinstance(x, np.ndarray) and x.dtype == dtype]
            rng = np.random.default_rng(1)

            def function(*floats, xs=xs, places=places, attrs=attrs):
                every = list(xs)
                for i, x in zip(places, floats, strict=True):
                    every[i] = x
                return apply(rule, *every, **attrs)

            leaves = [nn.Tensor(xs[i], requires_grad=True) for i in places]
            y = function(*leaves)
            v = rng.normal(size=y.shape).astype(H).astype(dtype)
            grads = nn.grad(y, leaves, v, retain_graph=True)
            again = nn.grad(y, leaves, nn.Tensor(v), create_graph=True)
            tangents = tuple(rng.normal(size=x.shape).astype(H).astype(dtype) for x in leaves)
            _, change = nn.jvp(function, tuple(leaf.data for leaf in leaves), tangents)
            of_both.append([y.data, *grads, *(g.data for g in again), change.data])
        for have, exact in zip(*of_both, strict=True):
            assert in_ulps(have, exact) <= 2


@pytest.mark.parametrize(
    ("function", "x", "y", "dx"),
    [
        (F.gelu, [-4, 4, 300, -300], [-1.267e-4, 4, 300, 0], [-5.0354e-4, 1.001, 1, 0]),
        (lambda x: F.gelu(x, "tanh"), [-4, 4, 300], [-7.0214e-5, 4, 300], [-3.3545e-4, 1, 1]),
        (nn.Tensor.erf, [2.75, -4, 65504], [1, -1, 1], [5.8603e-4, 1.192e-7, 0]),
        (F.softplus, [12, -12, 60000], [12, 6.139e-6, 60000], [1, 6.139e-6, 1]),
        (F.silu, [-12, 12, 60000], [-7.373e-5, 12, 60000], [-6.759e-5, 1, 1]),
        (F.sigmoid, [-12, 12, 60000], [6.139e-6, 1, 1], [6.139e-6, 6.139e-6, 0]),
        (F.logsigmoid, [-12, 60000], [-12, 0], [1, 0]),
        (lambda x: x * 1e-6, [60000], [0.06], [1e-6]),
        (lambda x: x.minimum(1e6), [60000], [60000], [1]),
        (lambda x: x.clamp(-1e6, 1e6), [60000], [60000], [1]),
        (lambda x: (x / 1e6) * 1e3, [60000], [60], [1e-3]),
        (lambda x: x.var(0, 0), [60000, 59968], 256, [16, -16]),
        (lambda x: x.std(0, 0), [60000, 0], 30000, [0.5, -0.5]),
        (lambda x: x.logsumexp(0), [60000, 60000], 60000, [0.5, 0.5]),
        (lambda x: F.mse_loss(x, np.zeros(4, H)), [300, 0, 0, 0], 22500, [150, 0, 0, 0]),
        (lambda x: F.smooth_l1_loss(x, np.zeros(2, H), beta=1e-5), [1, 3], 2, [0.5, 0.5]),
        (lambda x: F.avg_pool2d(x.reshape(1, 1, 2, 2), 2), [60000] * 4, 60000, [0.25] * 4),
        (lambda x: F.layer_norm(x, (2,)), [60000, -60000], [1, -1], [0, 0]),
    ],
)  # fmt: skip
def test_far_out(function, x, y, dx):
    t = half(x, grad=True)
    out = function(t)
    out.sum().backward()
    assert in_ulps(out.data.reshape(np.shape(y)), y) <= 2
    assert in_ulps(t.grad, dx) <= 2


ONES = np.ones((N, 2))


@pytest.mark.parametrize(
    ("function", "x", "y"),
    [
        (lambda x: x.sum(0), ONES, [N, N]),
        (nn.Tensor.mean, ONES * 100, 100),
        (lambda x: x.cumsum(0)[-1], ONES, [N, N]),
        (lambda x: F.softmax(x, 0)[0], ONES, [1 / N, 1 / N]),
        (lambda x: x.T @ x, ONES, [[N, N], [N, N]]),
        (lambda x: F.linear(x.T, x.T), ONES, [[N, N], [N, N]]),
        (lambda x: nn.einsum("ij->j", x), ONES, [N, N]),
        (lambda x: F.conv2d(x.reshape(1, N, 1, 2), np.ones((1, N, 1, 1), H)).reshape(2), ONES, [N, N]),
        (lambda x: F.avg_pool2d(x.reshape(1, 2, 64, 64), 64).reshape(2), ONES * 100, [100, 100]),
        (lambda x: F.batch_norm(x, None, None, training=True)[:2], (np.arange(2 * N) % 4 // 2).reshape(N, 2),
         [[-1, -1], [1, 1]]),
        (lambda x: F.layer_norm(x.T, (N,))[:, :2].T, (np.arange(2 * N) % 4 // 2).reshape(N, 2),
         [[-1, -1], [1, 1]]),
        (lambda x: F.cross_entropy(x, np.zeros(N, int), reduction="sum"), ONES * 3, N * np.log(2)),
        (lambda x: F.cross_entropy(x, np.zeros(N, int), np.ones(2, H)), ONES * 3, np.log(2)),
        (lambda x: F.nll_loss(x, np.zeros(N, int)), ONES * -100, 100),
        (lambda x: F.kl_div(x, np.ones((N, 2), H), "batchmean"), ONES * -100, 200),
        (lambda x: F.binary_cross_entropy_with_logits(x, np.zeros((N, 2), H)), ONES * 100, 100),
        (lambda x: F.scaled_dot_product_attention(x[:2], x, x), ONES, [[1, 1], [1, 1]]),
        (lambda x: nn.Tensor(np.zeros((1, 2), H)).scatter_add(0, np.zeros((N, 2), int), x)[0], ONES, [N, N]),
    ],
)  # fmt: skip
def test_long_sums(function, x, y):
    assert in_ulps(function(half(x)).data, y) <= 1


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + np.zeros((N, 2), H),
        lambda x: x * np.ones((N, 2), H),
        lambda x: x.expand(N, 2),
        lambda x: nn.where(np.ones((N, 2), bool), x, 0),
        lambda x: x[None][np.zeros(N, int)],
        lambda x: x[None].gather(0, np.zeros((N, 2), int)),
        lambda x: F.embedding(np.zeros(N, int), x[None]),
        lambda x: F.linear(np.zeros((N, 1), H), np.zeros((2, 1), H), x),
        lambda x: F.layer_norm(np.zeros((N, 2), H), (2,), None, x),
    ],
    ids=["add", "mul", "expand", "where", "index", "gather", "embedding", "linear", "layer_norm"],
)
def test_a_gradient_is_summed_in_float32_wherever_its_parts_come_from(function):
    x = half([1, 2], grad=True)
    function(x).backward(np.ones((N, 2), H))
    np.testing.assert_array_equal(x.grad, [N, N])
    (g,) = nn.grad(function(x), x, np.ones((N, 2), H), create_graph=True)
    np.testing.assert_array_equal(g.data, [N, N])


def test_gradients_of_many_uses_are_summed_in_float32():
    x = half([1, 2], grad=True)
    nn.stack([x] * N).backward(np.ones((N, 2), H))
    np.testing.assert_array_equal(x.grad, [N, N])


def test_a_gradient_on_its_way_may_be_beyond_float16():
    x = half([3.0], grad=True)
    with np.errstate(all="raise", under="ignore"):
        (g,) = nn.grad((x * 1e-4) * 1e4, x, np.array([60000.0], H))    # 6e8 in between
    assert in_ulps(g, [60000]) <= 1


@pytest.mark.parametrize("operator", [np.add, np.subtract, np.multiply, np.divide, np.power, np.matmul,
                                      np.maximum])
@pytest.mark.parametrize("other", ["?", "b", "B", "h", "i", "q", "e", "f", "d", None])
def test_promotion_is_numpys(operator, other):
    x = np.ones((2, 2), H)
    y = 2.0 if other is None else np.ones((2, 2), other)
    if operator is np.matmul and other is None:
        return
    for a, b in ((x, y), (y, x)):
        t = [nn.Tensor(v) if isinstance(v, np.ndarray) else v for v in (a, b)]
        assert operator(*t).dtype == operator(a, b).dtype


def test_classes_and_places_are_no_numbers():
    logits, classes = half(np.ones((3, 4))), np.array([0, 1, 2])
    for kind in ("b", "h", "i", "q"):
        assert F.cross_entropy(logits, classes.astype(kind)).dtype == H
        places = classes.astype(kind)[:, None]
        assert logits.gather(1, places).dtype == logits.scatter_add(1, places, logits).dtype == H


def test_what_only_moves_numbers_shares_them():
    x = half(np.arange(6).reshape(2, 3), grad=True)
    for y in (x.reshape(3, 2), x.T, x[:, 1:], x.detach(), x.expand(2, 2, 3)):
        assert np.shares_memory(y.data, x.data)
    y = F.relu(x)
    assert y.dtype == H
    assert y._operation.rule is RULES["relu"]    # and none that widens


def test_a_number_of_numpy_has_no_dtype_here():
    for number in (H(2), np.float32(2), np.float64(2)):
        assert (half([1.0]) * number).dtype == H
        assert (nn.Tensor([1.0]) * number).dtype == np.float32


def test_writes_in_place():
    x = half([60000.0])
    x *= 1e-6
    assert in_ulps(x.data, [0.06]) <= 1
    x += 1
    np.testing.assert_array_equal(x.data, np.array([1.06], H))


@pytest.mark.parametrize("make", [lambda p: nn.optim.SGD(p, 0.01, momentum=0.9, weight_decay=0.1),
                                  lambda p: nn.optim.Adam(p, 0.01), lambda p: nn.optim.AdamW(p, 0.01)],
                         ids=["SGD", "Adam", "AdamW"])
def test_an_optimizer_steps_in_float32_and_rounds(make):
    """Adam divides by √v + 10⁻⁸: squares of gradients and that ε are 0 in float16."""
    p, wide = half([1.0, -2.0], grad=True), nn.Tensor(np.array([1, -2], np.float32), requires_grad=True)
    one, other = make([p]), make([wide])
    for g in ([1e-5, 3e-6], [2e-5, 0]):
        p.grad, wide.grad = np.array(g, H), np.array(g, H).astype(np.float32)
        one.step(), other.step()
        np.testing.assert_array_equal(p.data, wide.data.astype(H))
        wide.data = p.data.astype(np.float32)
    state = one.state_dict()
    assert all(state[key].dtype == np.float32 for key in state if key.startswith(("exp", "momentum_")))
    make([half([1.0, -2.0], grad=True)]).load_state_dict(state)


def test_clipping():
    p = half(np.zeros(N), grad=True)
    p.grad = np.full(N, 30000, H)
    assert nn.optim.clip_grad_norm_(p, 1e-3) == pytest.approx(30000 * 64)
    assert in_ulps(p.grad, np.full(N, 1e-3 / 64)) <= 1
    nn.optim.clip_grad_value_(p, 1e6)    # beyond float16
    assert np.isfinite(p.grad).all()


def test_averages_are_float32_and_keep_their_digits_when_swapped():
    model = nn.Linear(3, 2)
    for p in model.parameters():
        p.data = np.full(p.shape, 1000, H)
    average = nn.optim.AveragedModel(model, decay=0.999)
    average.update_parameters()
    for p in model.parameters():
        p.data = np.full(p.shape, 1001, H)
    for _ in range(100):
        average.update_parameters()    # each moves it by less than half a unit in the last place of float16
    before = copy.deepcopy(average.state_dict())
    assert before["average.0"].astype(float) == pytest.approx(1001 - 0.999**100)
    with average.applied():
        assert {p.dtype for p in model.parameters()} == {np.dtype(H)}
        np.testing.assert_array_equal(model.weight.data, before["average.0"].astype(H))
        model.bias.data[0] = 7
    np.testing.assert_array_equal(model.weight.data, 1001)
    after = average.state_dict()
    np.testing.assert_array_equal(after["average.0"], before["average.0"])
    np.testing.assert_array_equal(after["average.1"], [7, before["average.1"][1]])


def test_products_with_the_hessian_and_checkpoints():
    x = half([1.0, 2.0], grad=True)
    assert nn.hvp(lambda t: (t**3).sum(), x, np.ones(2, H)).dtype == H
    for mode in ("forward", "reverse"):
        jacobian = nn.jacobian(lambda t: t**2, x.data, mode)
        np.testing.assert_array_equal(jacobian, np.diag(np.array([2, 4], H)))
        assert jacobian.dtype == H
    y = nn.checkpoint(lambda t: (t.exp() * t).sum(), x)
    y.backward()
    assert in_ulps(x.grad, np.exp([1.0, 2.0]) * [2, 3]) <= 2


def test_training():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(256, 8)).astype(H), rng.integers(0, 2, 256)
    x[:, 0] += 4 * y
    model = nn.Sequential(nn.Linear(8, 16, rng=rng), nn.BatchNorm1d(16), nn.GELU(), nn.Linear(16, 2, rng=rng))
    for p in model.parameters():
        p.data = p.data.astype(H)
    log = nn.train.fit(model, x, y, epochs=6, optimizer=nn.optim.Adam(model.parameters(), 1e-2), rng=rng,
                       clip_norm=1.0)
    assert log[-1].loss < log[0].loss / 2
    assert nn.train.accuracy(model, x, y) > 0.95
    assert {p.dtype for p in model.parameters()} == {np.dtype(H)}


def test_between_pixels_it_is_rounded_once():
    x = np.array([[[[0.1, -0.1003, 0.33]]]], H)
    for size in ((1, 7), (3, 5)):
        function = nn.Upsample(size=size, mode="bilinear")
        want = function(nn.Tensor(x.astype(np.float32))).data.astype(H)
        np.testing.assert_array_equal(function(nn.Tensor(x)).data, want)

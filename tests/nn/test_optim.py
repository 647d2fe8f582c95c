"""Optimizers against the papers' equations, worked out again in plain Python, and PyTorch's record."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nn
from nn import files
from nn.optim import SGD, Adam, AdamW
from nn.parameter import Parameter
from nn.parametrize import Parametrization

RECORD = np.load(Path(__file__).parents[1] / "golden" / "torch_optimizers.npz")
OPTIMIZERS = {
    "sgd": lambda p: SGD(p, lr=0.1),
    "sgd_momentum": lambda p: SGD(p, lr=0.1, momentum=0.9),
    "sgd_nesterov_decay": lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05),
    "adam": Adam,
    "adam_decay": lambda p: Adam(p, lr=0.02, weight_decay=0.05),
    "adamw": lambda p: AdamW(p, lr=0.02),
    "adamw_decay": lambda p: AdamW(p, lr=0.1, betas=(0.5, 0.75), eps=0.1, weight_decay=0.5),
    "adam_betas_eps": lambda p: Adam(p, lr=0.3, betas=(0.5, 0.75), eps=0.1),
}
GRADIENTS = st.lists(
    st.none() | st.floats(-100, 100).filter(lambda g: g == 0 or abs(g) > 1e-6), min_size=1, max_size=12
)
UNIT = st.floats(0, 0.99)


def walk(build, start, gradients):
    """The values of one parameter after each step."""
    p = Parameter(np.array(start))
    optimizer, path = build([p]), []
    for gradient in gradients:
        p.grad = None if gradient is None else np.array(gradient)
        optimizer.step()
        path.append(p.data.copy())
    return path


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_steps_are_those_that_pytorch_made(name):
    gradients = list(RECORD["gradients"])
    gradients[int(RECORD["skipped"])] = None
    path = walk(OPTIMIZERS[name], RECORD["start"], gradients)
    np.testing.assert_allclose(path, RECORD[name], rtol=1e-12, atol=1e-14)


@given(GRADIENTS, st.floats(-10, 10), st.floats(0, 1), UNIT, UNIT, st.floats(1e-10, 1), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_adam_is_algorithm_1_of_the_paper(gradients, start, lr, beta1, beta2, eps, decay):
    expected, theta, m, v, t = [], start, 0.0, 0.0, 0
    for gradient in gradients:
        if gradient is not None:
            t += 1
            g = gradient + decay * theta
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g**2
            m_hat = m / (1 - beta1**t)
            v_hat = v / (1 - beta2**t)
            theta = theta - lr * m_hat / (math.sqrt(v_hat) + eps)
        expected.append(theta)
    path = walk(lambda p: Adam(p, lr, (beta1, beta2), eps, decay), start, gradients)
    np.testing.assert_allclose(path, expected, rtol=1e-9, atol=1e-9)


@given(GRADIENTS, st.floats(-10, 10), st.floats(0, 0.5), UNIT, st.floats(0, 1), st.booleans())
@settings(max_examples=100, deadline=None)
def test_sgd_is_its_recurrence(gradients, start, lr, momentum, decay, nesterov):
    nesterov = nesterov and momentum > 0
    expected, p, b = [], start, 0.0
    for gradient in gradients:
        if gradient is not None:
            g = gradient + decay * p
            b = momentum * b + g
            p = p - lr * (g + momentum * b if nesterov else b)
        expected.append(p)
    path = walk(lambda q: SGD(q, lr, momentum, decay, nesterov), start, gradients)
    np.testing.assert_allclose(path, expected, rtol=1e-9, atol=1e-9)


def test_adam_is_invariant_to_the_scale_of_the_gradient():
    """Section 2 of the paper: scaling g by c scales m̂ by c and √v̂ by c, so the step stays."""
    gradients = np.random.default_rng(0).normal(size=(5, 3))
    once = walk(lambda p: Adam(p, eps=1e-300), np.zeros(3), gradients)
    scaled = walk(lambda p: Adam(p, eps=1e-300), np.zeros(3), gradients * 2.0**20)
    np.testing.assert_array_equal(once, scaled)


@pytest.mark.parametrize("build", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_training_resumes_bit_for_bit_from_a_file(build, tmp_path):
    rng = np.random.default_rng(1)
    gradients = rng.normal(size=(6, 2, 5)).astype(np.float32)

    def two():
        return [Parameter(np.ones(5, np.float32)), Parameter(np.zeros(5, np.float32))]

    def steps(params, optimizer, some):
        for pair in some:
            for p, gradient in zip(params, pair, strict=True):
                p.grad = gradient.copy()
            optimizer.step()

    straight = two()
    steps(straight, build(straight), gradients)
    first = two()
    optimizer = build(first)
    steps(first, optimizer, gradients[:3])
    files.save(optimizer.state_dict(), tmp_path / "state")
    second = [Parameter(p.data.copy()) for p in first]
    resumed = build(second)
    resumed.lr = 77.0  # the file knows better
    resumed.load_state_dict(files.load(tmp_path / "state"))
    steps(second, resumed, gradients[3:])
    for p, q in zip(straight, second, strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    assert {k: v.tolist() for k, v in resumed.state_dict().items()}.keys() == optimizer.state_dict().keys()
    assert resumed.steps == 6


def test_a_state_that_does_not_fit_is_refused_whole():
    optimizer = Adam([Parameter(np.ones(3))])
    optimizer.params[0].grad = np.ones(3)
    optimizer.step()
    before = optimizer.state_dict()
    wrong = {**before, "exp_avg.0": np.zeros(4), "more": np.zeros(1), "lr": np.array(np.nan)}
    del wrong["eps"]
    with pytest.raises(ValueError, match=r"missing: eps.*unexpected: more.*exp_avg.0.*lr is nan"):
        optimizer.load_state_dict(wrong)
    after = optimizer.state_dict()
    assert all((before[key] == after[key]).all() for key in before)


def test_a_state_is_a_copy():
    p = Parameter(np.ones(3))
    optimizer = SGD([p], momentum=0.9)
    state = optimizer.state_dict()
    p.grad = np.ones(3)
    optimizer.step()
    assert not state["momentum_buffer.0"].any()


@pytest.mark.parametrize("build", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_steps_are_in_place_and_keep_dtype_and_gradient(build):
    p = Parameter(np.ones((2, 3), np.float32))
    data, p.grad = p.data, np.full((2, 3), 0.5, np.float32)
    optimizer = build([p])
    for _ in range(2):
        optimizer.step()
    assert p.data is data
    assert data.dtype == np.float32
    assert (p.grad == 0.5).all()
    optimizer.zero_grad()
    assert p.grad is None


def test_a_step_is_seen_by_a_backward_that_needed_the_old_values():
    w = Parameter(np.ones(3))
    x = nn.Tensor(np.ones(3), requires_grad=True)
    loss = (w * x).sum()
    w.grad = np.ones(3)
    SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match="overwritten"):
        loss.backward()


class Doubled(Parametrization):
    """A parametrization that trains another Parameter in the weight's place."""

    def __init__(self, weight):
        self.half = Parameter(weight.data / 2)
        self.updates = []

    def project(self, parameter):
        return self.half * 2.0

    def trainables(self, parameter):
        return [self.half]

    def update(self, parameter, step):
        self.updates.append((parameter, step))


def test_an_optimizer_tells_the_views_of_its_weights():
    layer = nn.Linear(3, 2)
    layer.weight.parametrization = parametrization = Doubled(layer.weight)
    before = layer.weight.data.copy()
    params = list(layer.parameters())
    assert any(p is parametrization.half for p in params)
    assert not any(p is layer.weight for p in params)
    optimizer = SGD(params, lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        layer(nn.Tensor(np.ones((1, 3), np.float32))).sum().backward()
        optimizer.step()
    assert [(parameter is layer.weight, step) for parameter, step in parametrization.updates] == [(True, 1),
                                                                                                  (True, 2)]
    np.testing.assert_array_equal(layer.weight.data, before)
    np.testing.assert_allclose(parametrization.half.data, before / 2 - 0.1 * 2 * 2, rtol=1e-6)


@pytest.mark.parametrize("kind", ["attached", "removed"])
def test_an_optimizer_built_before_the_view_changed_refuses_to_step(kind):
    layer = nn.Linear(3, 2)
    if kind == "removed":
        layer.weight.parametrization = Doubled(layer.weight)
    optimizer = Adam(layer.parameters())
    layer.weight.parametrization = None if kind == "removed" else Doubled(layer.weight)
    layer.bias.grad = np.ones(2, np.float32)
    before = layer.bias.data.copy()
    with pytest.raises(RuntimeError, match="build the optimizer after"):
        optimizer.step()
    np.testing.assert_array_equal(layer.bias.data, before)


P = Parameter(np.zeros(2))


@pytest.mark.parametrize(
    ("kind", "wanted", "build"),
    [
        (TypeError, "got Parameter", lambda: SGD(P)),
        (TypeError, "got int", lambda: Adam(3)),
        (TypeError, r"params\[1\]", lambda: Adam([P, np.zeros(2)])),
        (TypeError, "float dtype", lambda: Adam([nn.Tensor(np.zeros(2, int))])),
        (ValueError, "empty", lambda: Adam([])),
        (ValueError, "twice", lambda: Adam([P, P])),
        (ValueError, r"lr .*got -0\.1", lambda: SGD([P], lr=-0.1)),
        (ValueError, "lr .*got nan", lambda: SGD([P], lr=math.nan)),
        (ValueError, "lr .*got inf", lambda: Adam([P], lr=math.inf)),
        (ValueError, "momentum", lambda: SGD([P], momentum=1.0)),
        (ValueError, "weight_decay", lambda: SGD([P], weight_decay=-1)),
        (ValueError, "nesterov", lambda: SGD([P], nesterov=True)),
        (ValueError, r"betas .*1\.0", lambda: Adam([P], betas=(0.9, 1.0))),
        (ValueError, "betas .*two", lambda: Adam([P], betas=(0.9,))),
        (ValueError, "eps .*got 0", lambda: Adam([P], eps=0.0)),
        (ValueError, "eps .*got nan", lambda: Adam([P], eps=math.nan)),
        (ValueError, "^AdamW: weight_decay", lambda: AdamW([P], weight_decay=math.nan)),
        (TypeError, "got dict", lambda: SGD({"params": [P]})),
        (TypeError, r"params\[1\] must be a dict", lambda: SGD([{"params": [P]}, [P]])),
        (TypeError, r"params\[0\] must be a dict with 'params'", lambda: SGD([{"lr": 1.0}])),
        (ValueError, r"params\[0\] has the unknown momemtum", lambda: SGD([{"params": [P], "momemtum": 1}])),
        (ValueError, "SGD: lr .*got -1", lambda: SGD([{"params": [P], "lr": -1}])),
        (TypeError, r"params\[1\]\['params'\]\[0\]", lambda: SGD([{"params": [P]}, {"params": [3]}])),
        (ValueError, "appears twice", lambda: SGD([{"params": [P]}, {"params": P}])),
    ],
)
def test_bad_settings_are_refused(kind, wanted, build):
    with pytest.raises(kind, match=wanted):
        build()


# Groups


def two(dtype=np.float32):
    return [Parameter(np.full(3, 2, dtype)), Parameter(np.full(2, 4, dtype))]


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_groups_step_as_optimizers_of_their_own(kind):
    own, together = two(), two()
    settings = [{"lr": 0.1, "weight_decay": 0.5}, {"lr": 0.01}]
    apart = [kind([p], **how) for p, how in zip(own, settings, strict=True)]
    one = kind([{"params": p, **how} for p, how in zip(together, settings, strict=True)], lr=77.0)
    for step in range(3):
        for p, q in zip(own, together, strict=True):
            p.grad, q.grad = (np.full(p.shape, step - 0.5, np.float32) for _ in range(2))
        for optimizer in (*apart, one):
            optimizer.step()
    for p, q in zip(own, together, strict=True):
        assert p.data.tobytes() == q.data.tobytes()


def test_what_is_set_in_a_group_holds_from_the_next_step():
    params = two()
    optimizer = SGD([{"params": params[:1], "lr": 1.0}, {"params": params[1:]}], lr=2.0)
    with pytest.raises(ValueError, match=r"differ \(\[1.0, 2.0\]\)"):
        _ = optimizer.lr
    optimizer.param_groups[1]["lr"] = 3.0
    for p in params:
        p.grad = np.ones(p.shape, np.float32)
    optimizer.step()
    assert (params[0].data == 1).all()
    assert (params[1].data == 1).all()
    optimizer.lr = 0.5
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.5]
    with pytest.raises(ValueError, match=r"SGD: lr .*nan"):
        optimizer.lr = math.nan


def test_momentum_may_be_set_in_a_group_that_had_none():
    p, q = two()[0], two()[0]
    one, other = SGD([p], lr=1.0), SGD([q], lr=1.0, momentum=0.5)
    one.param_groups[0]["momentum"] = 0.5
    for _ in range(3):
        for x, optimizer in ((p, one), (q, other)):
            x.grad = np.ones(x.shape, np.float32)
            optimizer.step()
    np.testing.assert_array_equal(p.data, q.data)
    assert one.state_dict().keys() == other.state_dict().keys()


def test_a_weight_given_an_array_of_another_layout_is_stepped():
    p = Parameter(np.ones((2, 3), np.float32))
    p.data = np.asfortranarray(p.data)
    optimizer = Adam([p], lr=0.5)
    p.data = np.ones((2, 3), np.float32)
    p.grad = np.ones((2, 3), np.float32)
    optimizer.step()
    np.testing.assert_allclose(p.data, 0.5, rtol=1e-6)


def test_the_state_of_groups_is_loaded_into_groups():
    def build(lr):
        return Adam([{"params": [p], "lr": lr * (i + 1)} for i, p in enumerate(two())])

    state = build(0.1).state_dict()
    assert state["lr"] == 0.1
    assert state["lr.1"] == 0.2
    other = build(5.0)
    other.load_state_dict(state)
    assert [group["lr"] for group in other.param_groups] == [0.1, 0.2]
    assert other.param_groups[0]["betas"] == (0.9, 0.999)
    with pytest.raises(ValueError, match=r"missing: lr\.1"):
        build(0.1).load_state_dict({key: value for key, value in state.items() if key != "lr.1"})


def test_float32_float64_and_other_layouts_are_stepped_alike():
    """What the kernel does not take, its specification takes: to the same bits in float32."""
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(4, 6)), rng.normal(size=(5, 4, 6))
    plain, wide = (walk(AdamW, start.astype(t), gradients.astype(t)) for t in (np.float32, np.float64))
    q = Parameter(np.asfortranarray(start.astype(np.float32)))
    q._data = np.asfortranarray(q.data)    # a Tensor copies what it is given, in C order
    optimizer = AdamW([q])
    for g, want in zip(gradients, plain, strict=True):
        q.grad = g.astype(np.float32)
        optimizer.step()
        np.testing.assert_array_equal(q.data, want)
    np.testing.assert_allclose(plain, wide, rtol=1e-5)


def test_without_the_c_kernels_the_steps_have_the_same_bits():
    gradients = np.random.default_rng(0).normal(size=(4, 50)).astype(np.float32)
    here = walk(Adam, np.ones(50, np.float32), gradients)
    with nn.kernels.use("numpy"):
        plain = walk(Adam, np.ones(50, np.float32), gradients)
    np.testing.assert_array_equal(here, plain)

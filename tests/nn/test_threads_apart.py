"""What one thread says holds in that thread alone: each finds the bits that it finds by itself."""

import threading

import numpy as np
import pytest

import compress
import nn
from nn import functional as F
from nn import kernels
from tests.nn.at_once import NEEDS_AVX, in_threads, often_switched  # noqa: F401


def rng(seed=0):
    return np.random.default_rng(seed)


def network(seed=0):
    return nn.Sequential(nn.Conv2d(1, 4, 3, rng=rng(seed)), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
                         nn.Linear(144, 10, rng=rng(seed + 1)))


IMAGES, CLASSES = rng(7).random((24, 1, 8, 8), np.float32), np.arange(24) % 10


# Every kind of work, all at once


def train(seed):
    model = network(seed)
    nn.train.fit(model, IMAGES, CLASSES, epochs=2, optimizer=nn.optim.Adam(model.parameters(), lr=1e-2),
                 rng=rng(seed), batch_size=8, prefetch=seed % 2)
    return [*model.state_dict().values()]


def traced(seed):
    model = network(seed)
    graph = nn.trace(model, IMAGES[:2])
    return [graph.run(IMAGES), str(graph), model.training]


def converted(seed):
    model = compress.prepare(network(seed).eval(), compress.Quantize(), IMAGES)
    return [compress.convert(model)(IMAGES), str(compress.convert(network(seed), IMAGES))]


def tangent(seed):
    x, v = rng(seed).normal(size=(2, 5, 5))
    y, dy = nn.jvp(lambda x: (x @ x).tanh().sum(), x, v)
    return [y.item(), dy.item()]


def quiet(seed):
    x = nn.Tensor(rng(seed).normal(size=(4, 4)), requires_grad=True)
    with nn.no_grad():
        y = (x * x).sum()
    z = (x * x).sum()
    z.backward(create_graph=True)
    found = [y.requires_grad, z.requires_grad, x.grad.data]
    x.grad = None
    return found


def scalar(seed):
    a = rng(seed).normal(size=(9, 200)).astype(np.float32)
    with kernels.use("scalar" if kernels.why_not_c() is None else "numpy"):
        forced = [kernels.isa(), kernels.gemm(a, a.T.copy())]
    return [*forced, kernels.isa(), kernels.gemm(a, a.T.copy())]


def shared(seed):
    with kernels.threads(1 + seed % 3, least_cycles=0):
        a = rng(seed).normal(size=(64, 64)).astype(np.float32)
        return [kernels.gemm(a, a)]


def recomputed(seed):
    layer, x = nn.Linear(6, 6, rng=rng(seed)), nn.Tensor(rng(seed).normal(size=(3, 6)).astype(np.float32))
    y = nn.checkpoint(lambda x: layer(x).tanh(), x)
    (y * y).sum().backward()
    return [layer.weight.grad, layer.bias.grad]


WORK = [train, traced, converted, tangent, quiet, scalar, shared, recomputed]


def same(a, b):
    return type(a) is type(b) and (a.tobytes() == b.tobytes() if isinstance(a, np.ndarray) else a == b)


def test_all_that_can_be_done_at_once_gives_the_bits_that_it_gives_alone():
    alone = {(work, seed): work(seed) for work in WORK for seed in range(2)}
    keys = [*alone] * 2
    shares = [keys[i::6] for i in range(6)]
    together = in_threads(*(lambda mine=mine: [(key, key[0](key[1])) for key in mine] for mine in shares))
    for key, found in (one for mine in together for one in mine):
        assert all(map(same, found, alone[key])), key
    assert kernels.thread_count() == 1
    assert nn.Tensor([2.0]).item() == 2


# Traces


def test_a_trace_hears_its_own_thread_alone():
    model, x, over = network(), nn.Tensor(np.ones(4, np.float32)), threading.Event()
    alone = str(nn.trace(model, IMAGES[:1]))

    def compute():
        while not over.is_set():
            assert (x * 2).sum().item() == 8

    def trace():
        found = {str(nn.trace(model, IMAGES[:1])) for _ in range(20)}
        over.set()
        return found

    found, *_ = in_threads(trace, compute, compute)
    assert found == {alone}


def test_two_traces_that_cross_leave_nothing_behind():
    a, b = threading.Event(), threading.Event()

    class Waits(nn.Module):
        def __init__(self, says, waits):
            self.says, self.waits = says, waits

        def forward(self, x):
            self.says.set()
            assert self.waits.wait(10)
            return x * 2

    models = Waits(a, b), Waits(b, a)
    graphs = in_threads(*(lambda model=model: nn.trace(model, np.ones((1, 2))) for model in models))
    assert [len(graph.nodes) for graph in graphs] == [1, 1]
    assert nn.Tensor([3.0]).item() == 3


# Modes of one model that two threads look at


def test_a_model_that_two_threads_evaluate_comes_back_in_its_mode():
    class Waits(nn.Module):
        def forward(self, x):
            go.wait(10)
            return x

    model, go = nn.Sequential(Waits(), nn.Dropout(0.5)), threading.Barrier(2)
    x, y = np.eye(4, dtype=np.float32), np.arange(4)
    for modes in ((True, True), (False, True), (True, False)):
        model[0].training, model[1].training = modes
        in_threads(*[lambda: nn.train.accuracy(model, x, y)] * 2)
        assert (model[0].training, model[1].training) == modes
    go = threading.Barrier(1)
    for _ in range(20):    # and where the one ends before the other
        in_threads(*[lambda: (nn.train.accuracy(model, x, y, batch_size=1), nn.trace(model, x[:1]))] * 3)
        assert (model[0].training, model[1].training) == (True, False)


def test_what_is_switched_inside_stays_switched_where_an_evaluation_inside_ends():
    model = nn.Sequential(nn.Linear(4, 3, rng=rng()), nn.Dropout(0.5))
    seen = []

    def freeze(step, loss):
        model[1].eval()
        nn.train.accuracy(model, np.eye(4, dtype=np.float32), np.arange(4) % 3)
        seen.append((model[0].training, model[1].training))

    model.eval()
    nn.train.fit(model, np.eye(4, dtype=np.float32), np.arange(4) % 3, epochs=1, rng=rng(),
                 optimizer=nn.optim.SGD(model.parameters(), lr=0.1), on_step=freeze)
    assert seen == [(True, False)]
    assert (model[0].training, model[1].training) == (False, False)


# Threads that nn starts


def test_what_is_prefetched_is_made_as_the_thread_that_asks_would_make_it():
    x = nn.Tensor([1.0], requires_grad=True)

    def items():
        yield (x * 2).requires_grad, kernels.gemm.choice, np.geterr()["over"]

    with nn.no_grad(), kernels.use("numpy"), np.errstate(over="ignore"):
        assert [*nn.data.prefetch(items())] == [(False, kernels.native.NUMPY, "ignore")]
    assert [*nn.data.prefetch(items())] == [(True, kernels.gemm.choice, np.geterr()["over"])]


# Random numbers that come again


def test_dropout_is_replayed_whatever_other_threads_draw():
    def work():
        for _ in range(30):
            x = nn.Tensor(np.ones(200, np.float32), requires_grad=True)
            y = nn.checkpoint(lambda x: F.dropout(F.dropout(x, 0.3) * 2, 0.4), x)
            kept = y.data != 0
            y.sum().backward()
            np.testing.assert_array_equal(x.grad != 0, kept)

    def draw():
        for _ in range(300):
            nn.random.generator().random(7)

    nn.manual_seed(0)
    in_threads(work, work, work, draw)


def test_two_runs_at_once_draw_different_numbers():
    go, seen = threading.Barrier(2), []

    def f(x):
        go.wait(10)
        seen.append(nn.random.generator().random(8))
        go.wait(10)
        return x * 2

    nn.manual_seed(0)
    in_threads(*[lambda: nn.checkpoint(f, nn.Tensor([1.0], requires_grad=True))] * 2)
    assert not np.isin(*seen).any()
    assert not np.isin(nn.random.generator().random(8), seen).any()


def test_a_replay_goes_on_while_another_thread_seeds():
    def f(x):
        return F.dropout(x, 0.5)

    x = nn.Tensor(np.ones(64, np.float32), requires_grad=True)
    y = nn.checkpoint(f, x)
    in_threads(lambda: nn.manual_seed(5))
    y.sum().backward()
    np.testing.assert_array_equal(x.grad != 0, y.data != 0)
    assert nn.random.generator().random() == rng(5).random()


@NEEDS_AVX
def test_a_replay_runs_the_kernels_that_the_first_run_had():
    w, x = (nn.Tensor(rng(i).normal(size=(64, 64)).astype(np.float32), requires_grad=True) for i in (1, 2))
    with kernels.use("scalar"):
        y = nn.checkpoint(lambda x: x @ w, x)
    y.sum().backward()    # with AVX it is rounded in other places
    with kernels.use("numpy"):
        y = nn.checkpoint(lambda x: (x @ w).tanh(), x)
    with kernels.use("scalar"):
        y.sum().backward()


# The log of writes


def test_writes_of_other_threads_are_not_taken_for_ones_own():
    def work():
        p = nn.Tensor(np.ones(3), requires_grad=True)
        for _ in range(100):
            loss = (p * p).sum()
            loss.backward()
            with nn.no_grad():
                p -= p.grad * 0.1
            p.grad = None
        return p.data

    found = in_threads(*[work] * 5)
    assert all(same(p, found[0]) for p in found)


def test_no_overwriting_is_missed_while_others_write():
    over = threading.Event()

    def write():
        p = nn.Tensor(np.ones(3))
        while not over.is_set():
            p += 1

    def look():
        try:
            for _ in range(200):
                p = nn.Tensor(np.ones(3), requires_grad=True)
                y = (p * p).sum()
                p.data *= 2
                p.data = p.data
                with pytest.raises(RuntimeError, match="overwritten"):
                    y.backward()
        finally:
            over.set()

    in_threads(look, write, write)

"""Blocks of use(), threads() and no_grad() that cross: of several threads, or held by generators."""

import threading
from contextlib import ExitStack

import numpy as np
import pytest

import nn
from nn import kernels
from nn.context import Brief
from nn.kernels.threads import _list as said
from tests.nn.at_once import NEEDS_AVX, NEEDS_C, in_threads, in_turn, often_switched  # noqa: F401


def rng(seed=0):
    return np.random.default_rng(seed)


# use() and threads(): blocks that cross


@NEEDS_AVX
def test_use_holds_in_its_thread_whatever_others_do():
    seen, stacks = [], {name: ExitStack() for name in "ab"}
    best = kernels.isa()
    in_turn(("a", lambda: stacks["a"].enter_context(kernels.use("scalar"))),
            ("b", lambda: stacks["b"].enter_context(kernels.use("numpy"))),
            ("a", lambda: seen.append((kernels.isa(), kernels.gemm.choice != kernels.native.NUMPY))),
            ("b", lambda: seen.append((kernels.isa(), kernels.gemm.choice != kernels.native.NUMPY))),
            ("a", stacks["a"].close),
            ("a", lambda: seen.append((kernels.isa(), kernels.gemm.choice != kernels.native.NUMPY))),
            ("b", lambda: seen.append((kernels.isa(), kernels.gemm.choice != kernels.native.NUMPY))),
            ("b", stacks["b"].close),
            ("b", lambda: seen.append((kernels.isa(), kernels.gemm.choice != kernels.native.NUMPY))))
    assert seen == [("scalar", True), (best, False), (best, True), (best, False), (best, True)]
    assert (kernels.isa(), kernels.gemm.choice != kernels.native.NUMPY) == (best, True)
    assert "choice" in vars(kernels.gemm)    # and a call costs what it did


@NEEDS_AVX
def test_nested_uses_add_up_and_end_one_by_one():
    best, plain = kernels.isa(), kernels.gemm.choice
    number = kernels.native.micro_kernels()["rows_f32_6x16_avx2"].number if kernels.native.has(1) else plain
    with kernels.use("scalar"):
        with kernels.use("rows_f32_6x16_avx2"):
            assert (kernels.gemm.choice, kernels.isa()) == (number, "scalar")
            assert kernels.qgemm.choice == kernels.native.capped(0)
            with kernels.use("numpy"), kernels.use("c"):
                assert kernels.gemm.choice == kernels.native.capped(0)    # "c" raises no cap
        assert kernels.gemm.choice == kernels.native.capped(0)
    assert (kernels.isa(), kernels.gemm.choice) == (best, plain)


@NEEDS_AVX
def test_a_cap_counts_on_the_threads_of_the_pool():
    """tt_matmul chooses its micro-kernels on whichever thread computes a block."""
    cores = [rng(i).normal(size=(1, 8, 8, 4) if not i else (4, 8, 8, 1)).astype(np.float32) for i in range(2)]
    w, x = kernels.tt_matmul.pack(cores), rng(3).normal(size=(512, 64)).astype(np.float32)
    with kernels.use("scalar"):
        one = kernels.tt_matmul(x, w)
        with kernels.threads(4, least_cycles=0):
            assert all(np.array_equal(kernels.tt_matmul(x, w), one) for _ in range(20))


@NEEDS_C
@pytest.mark.parametrize("last", ["ab", "ba"])
def test_blocks_of_threads_that_cross_end_in_what_was_before(last):
    stacks, seen = {name: ExitStack() for name in "ab"}, []
    in_turn(("a", lambda: stacks["a"].enter_context(kernels.threads(2))),
            ("b", lambda: stacks["b"].enter_context(kernels.threads(3))),
            ("a", lambda: seen.append(kernels.thread_count())),
            (last[0], stacks[last[0]].close),
            ("a", lambda: seen.append(kernels.thread_count())),
            (last[1], stacks[last[1]].close))
    assert seen == [3, 3 if last == "ab" else 2]
    assert kernels.thread_count() == 1


@NEEDS_C
def test_calls_and_blocks_of_many_threads_end_in_what_was_before():
    def work():
        for n in (2, 3, 4):
            with kernels.threads(n), kernels.threads(n + 1, least_cycles=n):
                kernels.threads(5)

    in_threads(*[work] * 5)
    assert kernels.thread_count() == 1
    assert not said


# Blocks that generators hold


def held(block):
    with block:
        yield


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_blocks_that_generators_hold_may_end_in_any_order_and_any_thread(order, elsewhere):
    x = nn.Tensor([1.0], requires_grad=True)
    best, other = (kernels.isa(), kernels.gemm.choice), "numpy" if kernels.why_not_c() else "c"
    quiet = [held(nn.no_grad()), held(nn.no_grad())]
    forced = [held(kernels.use("numpy")), held(kernels.use(other))]
    for generators, inside in ((quiet, lambda: (x * 2).requires_grad),
                               (forced, lambda: kernels.gemm.choice)):
        before = inside()
        for g in generators:
            next(g)
        for i in order:
            in_threads(generators[i].close) if elsewhere else generators[i].close()
        assert inside() == before
    assert (kernels.isa(), kernels.gemm.choice) == best


def test_one_object_may_be_entered_in_several_threads():
    x, block, go = nn.Tensor([1.0], requires_grad=True), nn.no_grad(), threading.Barrier(2)

    def work():
        for _ in range(50):
            with block:
                go.wait(10)
                assert not (x * 2).requires_grad
            assert (x * 2).requires_grad

    in_threads(work, work)


def test_a_block_that_was_never_made_is_ended_without_a_word():
    """What an interrupt in __init__ leaves behind."""
    for kind in (nn.no_grad, nn.kernels.use):
        block = object.__new__(kind)
        del block


def test_a_lock_that_an_interrupt_left_locked_stops_nobody():
    lock = Brief()
    lock.__enter__()    # and KeyboardInterrupt came before its __exit__

    def use():
        for _ in range(3):
            with lock:
                pass
        return True

    assert in_threads(use, use) == [True, True]
    lock.__exit__()

"""no_grad: nested, as a decorator, through errors, and in its own thread."""

import asyncio
import functools
import inspect
import threading

import numpy as np
import pytest

import nn


def leaf(values, dtype=np.float64):
    return nn.Tensor(np.array(values, dtype), requires_grad=True)


def test_no_grad_nests_and_decorates_and_survives_errors():
    x = leaf(1.0)
    quiet = nn.no_grad()
    with quiet, quiet:
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad

    @nn.no_grad()
    def double(t):
        """Twice."""
        return t * 2

    assert double.__name__ == "double"
    assert not double(x).requires_grad
    with pytest.raises(ZeroDivisionError), nn.no_grad():
        1 / 0  # noqa: B018
    assert (x * 2).requires_grad


def test_no_grad_is_of_one_thread():
    x, seen = leaf(1.0), []
    with nn.no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))
        thread.start()
        thread.join()
        assert not (x * 2).requires_grad
    assert seen == [True]


def test_threads_that_share_a_weight_each_walk_their_own_graph():
    w = leaf(np.ones(50))
    results = [None] * 4

    def work(i):
        for _ in range(50):
            (results[i],) = nn.grad((w * float(i + 1)).sum() + (w * w).sum(), w)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    for i, g in enumerate(results):
        np.testing.assert_array_equal(g, np.full(50, i + 3))


# As a decorator of functions that stop and go on: quiet are the steps of their bodies, and nothing between.

X = leaf(1.0)


def recording():
    return (X * 2).requires_grad


@nn.no_grad()
def echo(seen):
    """Yields what is sent in; notes whether its body records, in every place where it can run."""
    got = None
    try:
        for _ in range(4):
            try:
                got = yield got
                seen.append(recording())
            except KeyError as error:
                seen.append(recording())
                got = error.args[0]
    finally:
        seen.append(recording())
    return "done"


def test_a_generator_is_quiet_in_its_body_and_nowhere_else():
    steps = echo(seen := [])
    assert next(steps) is None
    assert recording()
    assert steps.send("a") == "a"
    assert recording()
    assert steps.throw(KeyError("b")) == "b"
    assert recording()
    assert steps.send("c") == "c"
    with pytest.raises(StopIteration) as stop:
        steps.send("d")
    assert stop.value.value == "done"
    assert recording()
    assert seen == [False] * 5


def test_a_generator_that_is_closed_or_fails_leaves_recording_as_it_was():
    steps = echo(closed := [])
    next(steps)
    steps.close()
    assert closed == [False]
    assert recording()
    steps = echo(failed := [])
    next(steps)
    with pytest.raises(ValueError, match="from outside"):
        steps.throw(ValueError("from outside"))
    assert failed == [False]
    assert recording()
    steps = echo(forgotten := [])
    next(steps)
    del steps
    assert forgotten == [False]
    assert recording()


def test_generators_that_take_turns():
    @nn.no_grad
    def outer(seen):
        yield from (recording() for _ in range(2))
        yield from echo(seen)

    assert list(outer(seen := [])) == [False, False, None, None, None, None]
    assert seen == [False] * 5
    both = zip(echo(one := []), echo(other := []), strict=True)
    assert [recording() for _ in both] == [True] * 4
    assert one == other == [False] * 5
    with nn.no_grad():
        steps = echo(seen := [])
        next(steps)
        assert not recording()
    assert list(steps) == [None] * 3    # begun inside of another block, ended outside
    assert recording()


def test_a_coroutine_is_quiet_while_it_runs_and_not_while_others_do():
    between = []

    async def other():
        for _ in range(3):
            between.append(recording())
            await asyncio.sleep(0)

    @nn.no_grad()
    async def quiet():
        seen = []
        for _ in range(3):
            seen.append(recording())
            await asyncio.sleep(0)
        try:
            await asyncio.wait_for(asyncio.sleep(60), 0.001)
        except asyncio.TimeoutError:
            seen.append(recording())
        return seen

    async def both():
        return await asyncio.gather(quiet(), other())

    assert inspect.iscoroutinefunction(quiet)
    assert asyncio.run(both())[0] == [False] * 4
    assert between == [True] * 3
    assert recording()


def _function():
    return recording()


class _Callable:
    def __call__(self):
        return recording()

    @nn.no_grad
    def method(self):
        return recording()

    @nn.no_grad()
    @staticmethod
    def static():
        return recording()

    @staticmethod
    @nn.no_grad
    def other_static():
        return recording()

    @nn.no_grad
    @classmethod
    def of_class(cls):
        return recording()


class _Yields:
    def __call__(self):
        yield recording()


DECORATED = [
    nn.no_grad(_function), nn.no_grad()(_function), nn.no_grad(nn.no_grad(_function)),
    nn.no_grad(lambda: recording()), nn.no_grad(functools.partial(_function)), nn.no_grad(_Callable()),
    _Callable().method, _Callable.static, _Callable().static, _Callable.other_static, _Callable.of_class,
    _Callable().of_class, lambda: next(nn.no_grad(_Yields())()),
    lambda: next(nn.no_grad(functools.partial(_Yields.__call__, None))()),
]  # fmt: skip


@pytest.mark.parametrize("decorated", DECORATED, ids=map(str, range(len(DECORATED))))
def test_whatever_is_a_function_can_be_decorated(decorated):
    assert decorated() is False
    assert recording()


def test_a_decorated_function_is_still_what_it_was():
    assert inspect.isgeneratorfunction(echo)
    assert echo.__name__ == "echo"
    assert echo.__doc__.startswith("Yields")
    assert nn.no_grad(_function).__name__ == "_function"


def test_what_is_no_function_is_refused():
    async def numbers():
        yield 1

    with pytest.raises(TypeError, match="no_grad: got the class Linear, wanted a function or a method"):
        nn.no_grad(nn.Linear)
    for wrong in (5, "f", [], (i for i in "ab")):
        with pytest.raises(TypeError, match=f"no_grad: got {type(wrong).__name__}, wanted a function"):
            nn.no_grad(wrong)
    with pytest.raises(TypeError, match=r"no_grad: .*async generator"):
        nn.no_grad(numbers)


def test_one_object_in_two_threads_restores_what_each_had():
    shared, inside, seen = nn.no_grad(), threading.Event(), []

    def work():
        with shared:
            inside.set()
            left.wait(10)
        seen.append(recording())

    left = threading.Event()
    thread = threading.Thread(target=work)
    with nn.no_grad(), shared:
        thread.start()
        assert inside.wait(10)
    left.set()
    thread.join()
    assert seen == [True]
    assert recording()

    # a generator that one thread begins and another one ends
    def open_block():
        with shared:
            yield

    steps = open_block()
    thread = threading.Thread(target=next, args=(steps,))
    thread.start()
    thread.join()
    assert list(steps) == []
    assert recording()

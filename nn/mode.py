"""Whether operations are recorded for backward, and whether they are run again: switches of each thread."""

from __future__ import annotations

import functools
import inspect
import threading
import types
from collections.abc import Callable
from typing import Any


class _Mode(threading.local):
    recording = True
    replaying = False    # nn.checkpoint runs f once more: what f noted down the first time stands

    def __init__(self):
        self.before = []    # for each no_grad block that the thread is in, whether it recorded outside


mode = _Mode()


class no_grad:
    """`with no_grad():` records nothing in this thread; so does a function under `@no_grad()` or `@no_grad`.

    Of a generator function or an `async def` the body is quiet, and between its steps, while others run, all
    is as they left it. Blocks may be nested, and one object entered several times.
    Raises: TypeError for what is no function: a class (decorate its methods), an async generator.
    """

    def __new__(cls, function: Callable | None = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)

    def __enter__(self) -> None:
        mode.before.append(mode.recording)
        mode.recording = False

    def __exit__(self, *error: object) -> None:
        # There is nothing to go back to in a thread that goes on with a generator which another one began.
        mode.recording = mode.before.pop() if mode.before else True

    def __call__(self, function: Callable) -> Callable:
        if isinstance(function, (staticmethod, classmethod)):
            return type(function)(self(function.__func__))
        if isinstance(function, type) or not callable(function):
            what = f"the class {function.__name__}" if isinstance(function, type) else type(function).__name__
            raise TypeError(f"no_grad: got {what}, wanted a function or a method to decorate")
        if _is(inspect.isasyncgenfunction, function):
            raise TypeError(f"no_grad: {function!r} is an async generator, which cannot be decorated; write "
                            "`with nn.no_grad():` in it, around what stands between its yields")
        if _is(inspect.isgeneratorfunction, function):
            def quiet(*args, **kwargs):
                return (yield from _stepped(function(*args, **kwargs)))
        elif _is(inspect.iscoroutinefunction, function):
            async def quiet(*args, **kwargs):
                return await _awaited(function(*args, **kwargs))
        else:
            def quiet(*args, **kwargs):
                with no_grad():
                    return function(*args, **kwargs)
        return functools.wraps(function)(quiet)


def _is(kind, function):
    """Whether it is a function of that kind, or an object whose __call__ is."""
    return kind(function) or kind(getattr(function, "__call__", None))    # noqa: B004 -- not whether: which


def _stepped(body):
    """A generator or a coroutine, quiet in each of its steps: what is sent and thrown in reaches it, what it
    yields and returns comes out. A `with` around all of it would stay in force while others run."""
    step = functools.partial(body.send, None)
    try:
        while True:
            with no_grad():
                given = step()
            try:
                step = functools.partial(body.send, (yield given))
            except BaseException as error:    # also GeneratorExit, of a close(): the body's to handle
                step = functools.partial(body.throw, error)
    except StopIteration as done:
        return done.value


_awaited = types.coroutine(_stepped)

"""What is ambient: how the operations that a thread calls are to be run. Each thread has one Context.

An operation reads `ambient.context` once, and then its slots. Only `with` blocks write there: what a thread
says holds in that thread, and ends with the block.
"""

from __future__ import annotations

import functools
import inspect
import threading
import types
from collections.abc import Callable
from typing import Any

import numpy as np

DEFAULTS = {
    "recording": True,     # operations are recorded for backward
    "replaying": False,    # nn.checkpoint runs f once more: what f noted down the first time stands
    "tracer": None,        # an object whose record(rule, inputs, attrs, out) hears of every operation
    "forward_hook": None,  # while nn.distill captures outputs: is called with every Module and its output
    "lift": None,          # while nn.jvp runs, what applies a rule to tensors that have a tangent
    "numbers": None,       # while nn.checkpoint runs f, where f's random numbers come from (nn.random)
    "gauge": None,         # while nn.profile measures, what hears of every gradient of a leaf as it is made
    "forced": None,        # what nn.kernels.use has forced
    "stream": None,        # where nn.cuda puts the work for a GPU; None: its own queue
}


class Block:
    """A while in which `slot` of `owner` is `value`. open: all blocks that have begun and not ended; mine: a
    list that gets this block before anything is changed.

    Blocks need not end in the order in which they began: two generators may hold one each. Of those that have
    not ended the one that began last decides.
    """

    __slots__ = ("found", "open", "owner", "slot")

    def __init__(self, owner: Any, slot: str, value: Any, open: list[Block], mine: list[Block]) -> None:
        self.owner, self.slot, self.open, self.found = owner, slot, open, getattr(owner, slot)
        mine.append(self)
        open.append(self)
        setattr(owner, slot, value)

    def end(self) -> None:
        """Set it back, unless that is done. If there is a block that began later, it will do that in turn."""
        if self in self.open:
            later = (block for block in self.open[self.open.index(self) + 1:]
                     if block.owner is self.owner and block.slot == self.slot)
            if (above := next(later, None)) is None:
                setattr(self.owner, self.slot, self.found)
            else:
                above.found = self.found
            self.open.remove(self)


class Context:
    """What is ambient in one thread: a slot for each of DEFAULTS, and the blocks that have not ended."""

    __slots__ = ("blocks", *DEFAULTS)

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        for name, value in DEFAULTS.items():
            setattr(self, name, value)


class _Local(threading.local):
    def __init__(self) -> None:
        self.context = Context()


ambient = _Local()


class Brief:
    """A lock for a few lines, which no Ctrl-C can leave locked for good.

    KeyboardInterrupt may end a `with` block after its last line and before its __exit__. The lines under this
    lock take microseconds: who has waited for a second takes a new one.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        while not self._lock.acquire(timeout=1):
            self._lock = threading.RLock()

    def __exit__(self, *error: object) -> None:
        try:
            self._lock.release()
        except RuntimeError:  # of a lock that is another's: somebody took a new one meanwhile
            pass


class within:
    """`with within("recording", False):` sets a slot of this thread's Context for the block. It ends in the
    Context in which it began, whichever thread closes it."""

    def __init__(self, slot: str, value: Any) -> None:
        self._slot, self._value = slot, value
        self._entered: list[Block] = []  # several, if one object is entered again, perhaps in several threads

    def value(self, context: Context) -> Any:
        """What is set in `context`, in which the block begins."""
        return self._value

    def __enter__(self) -> None:
        context = ambient.context
        Block(context, self._slot, self.value(context), context.blocks, self._entered)

    def __exit__(self, *error: object) -> None:
        entered = self._entered
        if len(entered) > 1:
            entered = [block for block in entered if block.owner is ambient.context] or entered
        entered[-1].end()
        self._entered.remove(entered[-1])

    def __del__(self) -> None:
        for block in getattr(self, "_entered", ()):  # Ctrl-C came before the first line of __exit__
            block.end()


class no_grad(within):
    """`with no_grad():` records nothing in this thread; so does a function under `@no_grad()` or `@no_grad`.

    Of a generator function or an `async def` the body is quiet, and between its steps, while others run, all
    is as they left it. Blocks may be nested, and one object entered several times.
    Raises: TypeError for what is no function: a class (decorate its methods), an async generator.
    """

    def __new__(cls, function: Callable | None = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)

    def __init__(self) -> None:
        super().__init__("recording", False)

    def __call__(self, function: Callable) -> Callable:
        if isinstance(function, (staticmethod, classmethod)):
            return type(function)(self(function.__func__))
        if isinstance(function, type) or not callable(function):
            what = f"the class {function.__name__}" if isinstance(function, type) else type(function).__name__
            raise TypeError(f"no_grad: got {what}, wanted a function or a method to decorate")
        bodies = function, getattr(function, "__call__", None)  # noqa: B004 -- an object's own may be a generator
        if any(map(inspect.isasyncgenfunction, bodies)):
            raise TypeError(f"no_grad: {function!r} is an async generator, which cannot be decorated; write "
                            "`with nn.no_grad():` in it, around what stands between its yields")
        if any(map(inspect.isgeneratorfunction, bodies)):
            def quiet(*args, **kwargs):
                return (yield from _stepped(function(*args, **kwargs)))
        elif any(map(inspect.iscoroutinefunction, bodies)):
            async def quiet(*args, **kwargs):
                return await _awaited(function(*args, **kwargs))
        else:
            def quiet(*args, **kwargs):
                with no_grad():
                    return function(*args, **kwargs)
        return functools.wraps(function)(quiet)


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
            except BaseException as error:  # also GeneratorExit, of a close(): the body's to handle
                step = functools.partial(body.throw, error)
    except StopIteration as done:
        return done.value


_awaited = types.coroutine(_stepped)


def undoing(undo: Callable[[], None], body: Callable[..., Any], *args: Any) -> Any:
    """body(*args), and undo() in any case, which must bear being broken off and called once more.

    Ctrl-C raises KeyboardInterrupt in whatever line the program has come to: in that of a `finally`, too, or
    on the way into an `__exit__`, and then a `with` block is left open. So what must not stay changed is
    changed in `body` and changed back here, twice if need be; and blocks that are left open are ended.
    """
    open, errors = ambient.context.blocks, np.geterr()
    before = tuple(open)
    try:
        try:
            return body(*args)
        finally:
            undo()
    except BaseException:
        undo()
        for block in reversed(open):
            if block not in before:
                block.end()
        np.seterr(**errors)
        raise

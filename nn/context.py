"""What is ambient: how the operations that a thread calls are to be run. Each thread has one Context.

An operation reads `ambient.context` once, and then its slots. Only `with` blocks write there: what a thread
says holds in that thread, and ends with the block.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

DEFAULTS = {
    "recording": True,     # operations are recorded for backward
    "replaying": False,    # nn.checkpoint runs f once more: what f noted down the first time stands
    "tracer": None,        # an object whose record(rule, inputs, attrs, out) hears of every operation
    "lift": None,          # while nn.jvp runs, what applies a rule to tensors that have a tangent
    "numbers": None,       # while nn.checkpoint runs f, where f's random numbers come from (nn.random)
    "gauge": None,         # while nn.profile measures, what hears of every gradient of a leaf as it is made
    "forced": None,        # what nn.kernels.use has forced
}


class Context:
    """What is ambient in one thread: a slot for each of DEFAULTS, and the blocks that have not ended."""

    __slots__ = ("blocks", *DEFAULTS)

    def __init__(self) -> None:
        self.blocks: list[_Block] = []
        for name, value in DEFAULTS.items():
            setattr(self, name, value)

    def leave(self, block: _Block) -> None:
        """End a block. One that began later, with the same slot, will go back to what this one has found."""
        blocks = self.blocks
        if blocks and blocks[-1] is block:
            setattr(self, block.slot, block.found)
            blocks.pop()
        elif block in blocks:
            for later in blocks[blocks.index(block) + 1:]:
                if later.slot == block.slot:
                    later.found = block.found
                    break
            else:
                setattr(self, block.slot, block.found)
            blocks.remove(block)


class _Local(threading.local):
    def __init__(self) -> None:
        self.context = Context()


ambient = _Local()


class _Block:
    """A `with` block that has begun: what it has changed, and what it found there."""

    __slots__ = ("context", "found", "slot")


class within:
    """`with within("recording", False):` sets a slot of this thread's Context for the block.

    Blocks need not end in the order in which they began: two generators may hold one each. Of those that have
    not ended the one that began last decides, and what it began in it ends in, whichever thread closes it.
    """

    def __init__(self, slot: str, value: Any) -> None:
        self._slot, self._value = slot, value
        self._entered: list[_Block] = []

    def value(self, context: Context) -> Any:
        """What is set in `context`, in which the block begins."""
        return self._value

    def __enter__(self) -> None:
        block = _Block()
        block.context = context = ambient.context
        block.slot = slot = self._slot
        block.found = getattr(context, slot)
        self._entered.append(block)
        context.blocks.append(block)
        setattr(context, slot, self.value(context))

    def __exit__(self, *error: object) -> None:
        entered = self._entered
        block = entered[-1]
        if len(entered) > 1:    # of one object, perhaps in several threads
            here = ambient.context
            block = next((b for b in reversed(entered) if b.context is here), block)
        block.context.leave(block)
        entered.remove(block)

    def __del__(self) -> None:
        for block in self._entered:    # Ctrl-C came before the first line of __exit__
            block.context.leave(block)


class no_grad(within):
    """`with no_grad():` records nothing in this thread; `@no_grad()` does the same for a function."""

    def __init__(self):
        super().__init__("recording", False)

    def __call__(self, function):
        @functools.wraps(function)
        def quiet(*args, **kwargs):
            with no_grad():
                return function(*args, **kwargs)
        return quiet


def undoing(undo: Callable[[], None], body: Callable[..., Any], *args: Any) -> Any:
    """body(*args), and undo() in any case, which must bear being broken off and called once more.

    Ctrl-C raises KeyboardInterrupt in whatever line the program has come to: in that of a `finally`, too, or
    on the way into an `__exit__`, and then a `with` block is left open. So what must not stay changed is
    changed in `body` and changed back here, twice if need be; and blocks that are left open are ended.
    """
    context, errors = ambient.context, np.geterr()
    blocks = tuple(context.blocks)
    try:
        try:
            return body(*args)
        finally:
            undo()
    except BaseException:
        undo()
        for block in reversed(context.blocks):
            if block not in blocks:
                context.leave(block)
        np.seterr(**errors)
        raise

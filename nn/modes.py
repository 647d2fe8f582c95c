"""A whole network in training or in evaluation mode for a while; then each module in the mode it had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .context import Block, Brief, undoing
from .module import Module

_lock = Brief()
_open: list[Block] = []  # of all threads


def in_mode(model: Any, training: bool, body: Callable[..., Any], *args: Any) -> Any:
    """body(*args) with all of `model` in one mode, if it is a Module; then each module has the mode it had.
    That holds if Ctrl-C ends the call at any point. If calls of two threads on one model overlap, the last to
    end restores the modes that the first found."""
    modules = list(Module.modules(model)) if isinstance(model, Module) else []
    blocks: list[Block] = []

    def switched() -> Any:
        for module in modules:
            with _lock:
                Block(module, "training", training, _open, blocks)
        return body(*args)

    def back() -> None:
        for block in reversed(blocks):
            with _lock:
                block.end()

    return undoing(back, switched)

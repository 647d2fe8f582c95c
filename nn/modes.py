"""A whole network in training or in evaluation mode for a while; then each module in the mode it had."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from .context import Brief, undoing
from .module import Module

_lock = Brief()
# The calls that switched a module and have not ended, and the mode in which each found it.
_open: dict[Module, list[SimpleNamespace]] = {}


def in_mode(model: Any, training: bool, body: Callable[..., Any], *args: Any) -> Any:
    """body(*args) with all of `model` in one mode, if it is a Module; then each module has the mode it had.

    That holds if Ctrl-C ends the call at any point. If calls of two threads on one model overlap, the last to
    end restores the modes that the first found.
    """
    call = object()
    modules = [module for _, module in model.named_modules()] if isinstance(model, Module) else []

    def switched() -> Any:
        for module in modules:
            with _lock:
                _open.setdefault(module, []).append(SimpleNamespace(call=call, training=module.training))
                module.training = training
        return body(*args)

    def back() -> None:
        for module in modules:
            with _lock:
                _leave(module, call)

    return undoing(back, switched)


def _leave(module: Module, call: object) -> None:
    found = _open.get(module, [])
    for i, mine in enumerate(found):
        if mine.call is call:
            if i + 1 < len(found):  # a call that began later restores what this one found
                found[i + 1].training = mine.training
            else:
                module.training = mine.training
            del found[i]
            break
    if not found:
        _open.pop(module, None)

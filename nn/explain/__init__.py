"""Seeing inside: how a tensor was computed, and how backward goes through that.

    print(nn.explain(loss))              # the chain rule of your own graph, as a text
    nn.explain.graph(loss)               # the same drawn, with the bytes that are kept
    for step in nn.explain.steps(loss):  # backward, one operation at a time
        print(step)
    nn.explain.steps(loss)[3].draw()     # the fourth: which gradients are known, which buffers are freed

Drawings need matplotlib (`pip install espalier[plot]`) and return its Axes. The module is a function, too:
explain(output, names=None), as in nn/explain/text.py.

What the notebooks share is here for your own, too: the reader's predictions beside what was measured, and the
look of figures (`style`, colours, `note`, `ticks`, `picture`, `numbers`, `roofline`), and C that is compiled
where it stands (`compiled`).

    guesses = nn.explain.Guesses()
    guesses.compare("the largest logit", logits.max(), yours=3)
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from .text import explain

_FILES = {  # not loaded with nn
    "drawing": ("graph",), "stepping": ("Step", "steps"), "notebook": ("FAST", "Guesses"),
    "figures": ("BLUE", "DARK", "GREEN", "GREY", "ORANGE", "note", "numbers", "picture", "style", "ticks"),
    "roofs": ("roofline",), "c_text": ("compiled",)}
_LATER = {name: file for file, names in _FILES.items() for name in names}
__all__ = sorted({"explain", *_LATER})


class _Module(ModuleType):
    """The module nn.explain, which is also the function explain."""

    __call__ = staticmethod(explain)

    def __getattr__(self, name: str) -> Any:
        if name in _LATER:
            return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *_LATER})


sys.modules[__name__].__class__ = _Module

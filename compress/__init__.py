"""compress: how a network is made small and fast.

    compress.prepare(model, compress.Prune(0.9), x)     # transforms become parametrizations of its weights
    ...                                                 # train on
    program = compress.convert(model)                   # a flat list of kernel calls
    compress.save(program, "small.safetensors")         # one file; compress.load(path)(x) runs it
    print(compress.report(program))                     # what it bought"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

TYPE_CHECKING = False  # what type checkers take for True; `typing` would take a while
if TYPE_CHECKING:
    from typing import Any

    from .public import *  # noqa: F403


class _Package(ModuleType):
    """Loads all names, and what they import, when the first is asked for: `python -m compress` must answer
    Ctrl-C before NumPy is loaded. `compress.testing`, which needs Hypothesis, and `compress.explain` are
    loaded by themselves."""

    def __getattr__(self, name: str) -> Any:
        if name in APART:
            return import_module(f".{name}", self.__name__)
        if name == "__all__" or not name.startswith("__"):
            public = import_module(".public", self.__name__)  # `from . import public` would ask here first
            offered = {one: getattr(public, one) for one in public.__all__}
            vars(self).update(offered, __all__=public.__all__)
            if name in vars(self):
                return vars(self)[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, unless it is a module with the name of a function: `import compress.convert`
        would put the module in the function's place."""
        if not (isinstance(value, ModuleType) and name in SHADOWED):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *self.__all__, *APART})


APART = ("explain", "testing")
SHADOWED = ("convert", "lloyd", "prepare", "rate", "reconstruct", "report")
sys.modules[__name__].__class__ = _Package

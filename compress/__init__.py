"""compress: how a network is made small and fast.

    compress.prepare(model, compress.Prune(0.9), x)     # transforms become parametrizations of its weights
    ...                                                 # train on
    program = compress.convert(model)                   # a flat list of kernel calls
    compress.save(program, "small.safetensors")         # one file; compress.load(path)(x) runs it
    print(compress.report(program))                     # what it bought
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

TYPE_CHECKING = False  # what type checkers take for True; `typing` would take a while
if TYPE_CHECKING:
    from typing import Any

    from .public import *  # noqa: F403


class _Package(ModuleType):
    """Names are loaded when the first of them is asked for, with all that they stand on: `python -m compress`
    has to answer Ctrl-C before NumPy is there. `compress.testing` needs Hypothesis, and the rest does not.
    """

    def __getattr__(self, name: str) -> Any:
        if name == "testing":
            return import_module(".testing", self.__name__)
        if name == "__all__" or not name.startswith("__"):
            public = import_module(".public", self.__name__)  # (`from . import` would ask here first)
            offered = {one: getattr(public, one) for one in public.__all__}
            vars(self).update(offered, __all__=public.__all__)
            if name in vars(self):
                return vars(self)[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        """But for modules that have the name of their function, which stays what the name means: Python puts
        `compress.convert`, the module, here once it is imported.
        """
        if not (isinstance(value, ModuleType) and name in SHADOWED):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *self.__all__})


SHADOWED = ("convert", "prepare", "report", "unprepare")
sys.modules[__name__].__class__ = _Package

"""Is a transform right? `check(transform)` runs every law on weights that Hypothesis draws.

    >>> from compress.testing import check
    >>> print(check(compress.Prune(0.9)))
    >>> print(check(my_transform))                          # your own, a subclass of compress.Transform
    >>> print(check([compress.Prune(0.9), my_transform]))   # stages of a Chain

What a technique promises beside is in a file `laws_*.py` of this folder, which is loaded with it. Needs
Hypothesis (the extra `test`)."""

from importlib import import_module
from pkgutil import iter_modules

from .check import check, holds, laws_for
from .subject import Subject, subjects
from .weights import STYLES, weights

__all__ = ["STYLES", "Subject", "check", "holds", "laws_for", "subjects", "weights"]

for _found in iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")

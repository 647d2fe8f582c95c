"""Is a transform right? `check(transform)` runs every law on weights that Hypothesis draws.

    >>> from compress.testing import check
    >>> print(check(compress.Prune(0.9)))
    >>> print(check(my_transform))                          # your own, with the methods of compress.Transform
    >>> print(check([compress.Prune(0.9), my_transform]))   # stages of a Chain

Needs Hypothesis (the extra `test`).
"""

from .check import check, holds, laws_for
from .subject import Subject
from .weights import STYLES, weights

__all__ = ["STYLES", "Subject", "check", "holds", "laws_for", "weights"]

"""Is a transform right? `check(transform)` runs every law on weights that Hypothesis draws.

    >>> from compress.testing import check
    >>> print(check(compress.Prune(0.9)))
    >>> print(check(my_transform))                          # your own, a subclass of compress.Transform
    >>> print(check([compress.Prune(0.9), my_transform]))   # stages of a Chain

What stands in `__all__` is here to stay; it needs Hypothesis (`pip install espalier[test]`).

`weights` is a strategy of the weights on which techniques go wrong, in the STYLES; each comes as a Case
(nn.testing) whose only argument it is. A law is a function law(subject, case) that raises AssertionError
where the `subject`, a transform or the stages of a chain, breaks it: `subject.finished(w)` is a parameter
with that weight whose schedules have run, `seen(parameter)` the weight as its layer sees it, `stored(subject,
case)` its stored form, `product(stored, x)` what the kernel makes of it for each of `inputs`.
`laws_for(subject)` are those that stand, `check(transform, laws=[mine])` asks yours too; what a technique
promises beside, it says by `own_laws`, in a file `laws_*.py` of this folder, which is found there."""

from importlib import import_module
from pkgutil import iter_modules

from .check import check, holds, laws_for
from .laws_stored import product
from .subject import Law, Subject, own_laws, same, seen, stored, subjects
from .weights import STYLES, inputs, weights

__all__ = ["STYLES", "Law", "Subject", "check", "holds", "inputs", "laws_for", "own_laws", "product", "same",
           "seen", "stored", "subjects", "weights"]

for _found in iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")

"""Property-based tests of kernels, rules and networks: strategies, laws, and what runs them.

What stands in `__all__` is here to stay; it needs Hypothesis (`pip install espalier[test]`).

    >>> from nn.testing import check
    >>> print(check(nn.kernels.qgemm))                   # all variants this machine can run
    >>> print(check(my_qgemm, like=nn.kernels.qgemm))    # your own function, held to qgemm's contract

Strategies draw what a test is given: `shapes`, `broadcastable`, `arrays` (in any layout of memory),
`quantized` (integers and the reals that they stand for), `conv_geometries`, `networks` (any layers, and the
lines that people write between them), `cases` of a kernel's calls.

A law is a function law(f, case) that raises AssertionError where `f`, an Implementation, breaks it; `case` is
a Case, one call as data. `laws_of(kernel)` are those that stand, `check(f, like=kernel, laws=[mine])` asks
yours too, `holds(mine, f)` yours alone. `same` compares to the bit, or within a bound such as γ_k (`gamma`).
For a kernel of the library, a file `laws_*.py` of this folder says what it `obeys`, and a `Domain` in a file
`domain_*.py` how its calls are drawn; both are found by being there. A law that was never seen to fail proves
nothing: plant the mistake that it is there to find, and run it.

How many examples are drawn says a profile (PROFILES): `load_profile("ci")`, or on the command line
`python -m pytest -p nn.testing.plugin --hypothesis-profile=ci`.
"""

try:
    import hypothesis  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("nn.testing and compress.testing need Hypothesis, which the extra `test` "
                              "brings: pip install 'espalier[test]'", name=error.name) from None

from importlib import import_module
from pkgutil import iter_modules

from ..kernels import all_kernels
from .arrays import arrays, broadcastable, shapes
from .case import Case, for_all
from .check import Failure, Report, cases, check, domain_of, holds, implementations, laws_of
from .domain import Domain, gamma
from .geometries import ConvGeometry, conv_geometries
from .laws import Implementation, Law, obeys, same
from .networks import Network, networks
from .profiles import PROFILES, load_profile
from .quantized import Quantized, quantized

__all__ = ["PROFILES", "Case", "ConvGeometry", "Domain", "Failure", "Implementation", "Law", "Network",
           "Quantized", "Report", "arrays", "broadcastable", "cases", "check", "conv_geometries", "for_all",
           "gamma", "holds", "implementations", "laws_of", "load_profile", "networks", "obeys", "quantized",
           "same", "shapes"]

for _found in iter_modules(__path__):
    if _found.name.startswith(("domain_", "laws_")):
        import_module(f"{__name__}.{_found.name}")
for _kernel in all_kernels():
    domain_of(_kernel)    # so that each is in the tables

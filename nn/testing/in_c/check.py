"""Is a kernel in C right? Every law of nn.testing that is about what it computes, and its memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ...kernels import Kernel
from ..brief import check_briefly, for_all_briefly
from ..case import Case
from ..check import Report, domain_of, laws_of
from ..laws import Implementation, Law
from ..unset import writes_all
from .function import InC, built

# What the caller's side does, in Python: strides, `out`, packing, threads.
PYTHONS = {"ignores_layout", "ignores_padding", "writes_only_out", "takes_out", "packs", "packs_filters",
           "packs_for_good", "has_the_same_bits_on_any_threads", "reads_options_anew",
           "may_overwrite_its_gradient", "leaves_inputs", "leaves_arguments", "leaves_gradients"}
REFUSES = "refuses_"            # begins the names of laws about values that are refused, by Python too
FIRST = ("equals_specification", "agrees_with_the_specification", "gives_the_bits_of_the_specification",
         "costs_what_the_specification_costs")
MEMORY = "stays_inside", "writes_all_of_its_result"    # without which no result means anything
SECONDS = 0.5                   # of CPU time for a call: the cases are small


def check(source: Path | str, kernel: Kernel, examples: int = 30, flags: Sequence[str] = (),
          tell: Callable[[str], None] = lambda text: None) -> Report:
    """Build a C file as `kernel` and hold it to the kernel's laws; the report is true where all hold.

    examples: cases a law. flags: more flags for the compiler. tell: is given the compiler's warnings.
    Raises as `build`."""
    with built(source, kernel, flags, SECONDS) as function:
        if function.host.library.warnings:
            tell(function.host.library.warnings)
        return _checked(function, kernel, examples)


def laws_for(function: InC, kernel: Kernel) -> dict[str, Law]:
    """The laws of a kernel in C, by name, in the order in which they are asked."""
    def stays_inside(f: Implementation, case: Case) -> None:
        """No byte before the first or behind the last of an argument is read or written, none of a const one
        is written."""
        for function.at_start in (True, False):
            f(case)

    laws = {law.__name__: law for law in laws_of(kernel)
            if law.__name__ not in PYTHONS and not law.__name__.startswith(REFUSES)}
    first = [name for name in FIRST if name in laws]
    return {"stays_inside": stays_inside, "writes_all_of_its_result": writes_all,
            **{name: laws.pop(name) for name in first}, **laws}


def implementation(function: InC, kernel: Kernel) -> Implementation:
    """The function as the laws want it. Not steady: what a compiler makes of loops may add in another order
    where sizes differ."""
    domain = domain_of(kernel)
    return Implementation(function.__name__, domain, domain.flat(function), domain.flat(kernel.reference),
                          takes_out=False, steady=False)


def _checked(function: InC, kernel: Kernel, examples: int) -> Report:
    f, report = implementation(function, kernel), Report(f"{function.__name__} as {kernel.name}")
    check_briefly(report, f, laws_for(function, kernel), examples, partial(_holds, f, function), MEMORY)
    return report


def _holds(f: Implementation, function: InC, law: Law, examples: int, seconds: float) -> None:
    """Run a law on drawn cases, and look for a smaller one that fails for so many seconds."""
    def test(case: Case) -> None:
        try:
            law(f, case)
        except AssertionError as error:
            error.args = (f"{error}\n    the last call: {function.last_call()}",)
            raise

    def valid(case: Case) -> None:
        f.spec(*case.args, **case.options)

    for_all_briefly(f.domain.cases(), test, examples, seconds, valid)

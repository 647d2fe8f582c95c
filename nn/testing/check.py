"""Is a kernel right? `check(kernel)` runs all laws on all variants and says which broke, on which case.

    >>> from nn.testing import check
    >>> print(check(nn.kernels.qgemm))                   # all variants this machine can run
    >>> print(check(my_qgemm, like=nn.kernels.qgemm))    # your own function, held to qgemm's contract

A kernel written in C may kill the process. So its memory is checked first, in forks (nn/testing/memory.py),
and where that fails the laws are not run in this process.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from hypothesis import strategies as st

from .. import kernels
from . import memory, unset
from .case import Case, for_all
from .domain import DOMAINS, OF_VARIANTS, Domain
from .domain_contract import FromContract
from .laws import LAWS_OF, Implementation, Law
from .laws_pass import CONTRACT_LAWS

FIRST = ("leaves_inputs", "leaves_arguments", "repeats")      # what the other laws take for granted
OF_OUT, OF_PACKING = ("writes_only_out", "takes_out"), ("packs", "packs_filters", "packs_for_good")


def domain_of(kernel: kernels.Kernel) -> Domain:
    """The Domain of a kernel: its own, or the one that follows from its contract, whose laws it then obeys.

    Raises ValueError for a kernel that needs a domain of its own and has none."""
    if kernel.name not in DOMAINS:
        DOMAINS[kernel.name] = FromContract(kernel)
        LAWS_OF.setdefault(kernel.name, CONTRACT_LAWS)
    return DOMAINS[kernel.name]


def forced(kernel: kernels.Kernel, what: str, steady: bool = True) -> Implementation:
    """The kernel under `with use(what)`: a variant, a backend, an instruction set."""
    domain = OF_VARIANTS.get(what) or domain_of(kernel)
    call, pack_flat = domain.flat(kernel), kernel.pack and domain.flat_pack(kernel.pack)

    def run(*args, **options):
        with kernels.use(what):
            return call(*args, **options)

    def pack(*weight):
        with kernels.use(what):
            return pack_flat(*weight)

    name = what if what.startswith(kernel.name) else f"{kernel.name}_{what}"
    return Implementation(name, domain, run, domain.flat(kernel.reference), pack_flat and pack,
                          takes_out=domain.takes_out, steady=steady)


def of_function(function: Callable, like: kernels.Kernel) -> Implementation:
    """A function held to the contract of the kernel `like`; `out=` is tested if the function has it."""
    try:
        takes_out = "out" in inspect.signature(function).parameters
    except ValueError:                                         # some that are written in C do not say
        takes_out = False
    domain = domain_of(like)
    return Implementation(called(function), domain, domain.flat(function), domain.flat(like.reference),
                          takes_out=takes_out, steady=False)


def called(function: Callable) -> str:
    """The name of a function, or of what else can be called."""
    return getattr(function, "__name__", None) or repr(function)


def implementations(kernel: Callable, like: kernels.Kernel | None = None) -> list[Implementation]:
    """One Implementation for each variant of a `kernel` that can run here, and one that chooses among them;
    of a function that is `like` a kernel, held to its contract, just one."""
    if like is not None:
        return [of_function(kernel, like)]
    each = [forced(kernel, v.name, steady=v.backend != "numpy") for v in kernel.variants()]
    return each + ([forced(kernel, "c", steady=False)] if kernel.call and not kernels.why_not_c() else [])


def laws_for(f: Implementation) -> list[Law]:
    """The laws that can be asked of f: those about `out` and packing only where it has them."""
    no_use = (() if f.takes_out else OF_OUT) + (() if f.pack else OF_PACKING)
    return [law for law in LAWS_OF[f.domain.name] if law.__name__ not in no_use]


def laws_of(kernel: kernels.Kernel) -> tuple[Law, ...]:
    """All laws that a `kernel` obeys, also those that a function without `out` or `pack` is not asked."""
    domain_of(kernel)
    return LAWS_OF[kernel.name]


def cases(kernel: kernels.Kernel) -> st.SearchStrategy[Case]:
    """Valid calls of a `kernel`: sizes on either side of those that it cuts its work into; numbers that are
    uniform, mostly 0, all the same, or corners, where saturation and signs go wrong."""
    return domain_of(kernel).cases()


def holds(law: Law, f: Implementation, examples: int | None = None, shrink: bool = True) -> None:
    """Run one `law` of `f` on drawn cases: as many as the Hypothesis profile says, or `examples`.

    Raises:
        AssertionError: what is wrong, and the smallest case found (without `shrink`, the first).
    """
    for_all(f.domain.cases(), lambda case: law(f, case), examples, shrink)


@dataclass(frozen=True)
class Failure:
    """A `law` that an `implementation` breaks, by their names; the `message` ends with the smallest case."""

    law: str
    implementation: str
    message: str

    def __str__(self) -> str:
        return f"{self.implementation} breaks {self.law}:\n    " + self.message.replace("\n", "\n    ")


@dataclass
class Report:
    """What check() found of its `subject`: how many laws `passed`, and the `failures`. True without any.
    others: the names of further laws that are broken, of which no case is told."""

    subject: str
    passed: int = 0
    failures: list[Failure] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return not self.failures

    def __str__(self) -> str:
        hold = "1 law holds" if self.passed == 1 else f"{self.passed} laws hold"
        head = f"{self.subject}: {hold}, {len(self.failures) + len(self.others)} broken"
        return "\n".join([head, *map(str, self.failures)])

    def run(self, name: str, f: Implementation, test: Callable[[], None]) -> bool:
        """Run a test and write down how it went; whether it passed."""
        try:
            test()
        except AssertionError as error:
            self.failures.append(Failure(name, f.name, str(error)))
            return False
        self.passed += 1
        return True


def check(kernel: Callable, like: kernels.Kernel | None = None, examples: int = 30,
          laws: Iterable[Law] = ()) -> Report:
    """Check a kernel, or a function that claims to be one.

    Args:
        kernel: a Kernel, all of whose variants are checked; or, with `like`, any function with its arguments.
        like: the Kernel whose contract and specification the function must meet.
        examples: cases per law.
        laws: of your own, asked beside those of the kernel.

    What leaves its memory, leaves part of its result unset, writes into its arguments or answers a call in
    two ways breaks nearly every law: only that is reported then, and the other laws are not asked.

    Raises:
        TypeError: `kernel` can't be called, or is no Kernel and there is no `like`; `like` is no Kernel.
    """
    known = isinstance(kernel, kernels.Kernel)
    if not known and not callable(kernel):
        raise TypeError(f"check: kernel must be a Kernel or a function, got {type(kernel).__name__}")
    if not known and like is None:
        raise TypeError(f"check: {called(kernel)} is not a Kernel; say which one it must be like, for "
                        f"example check({called(kernel)}, like=nn.kernels.gemm)")
    if like is not None and not isinstance(like, kernels.Kernel):
        raise TypeError(f"check: like must be a Kernel of nn.kernels, got {type(like).__name__}")
    report = Report(kernel.name if like is None else f"{called(kernel)} as {like.name}")
    for f in implementations(kernel, like):
        asked = {law.__name__: partial(holds, law) for law in (*laws_for(f), *laws)}
        first = {} if memory.why_not() else {"stays_inside": memory.stays_inside}
        if like is not None:
            first["writes_all_of_its_result"] = unset.writes_all_of_its_result
        first |= {name: asked.pop(name) for name in FIRST if name in asked}
        if all(report.run(name, f, partial(test, f, examples)) for name, test in first.items()):
            for name, test in asked.items():
                report.run(name, f, partial(test, f, examples))
    return report

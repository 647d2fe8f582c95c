"""What a call costs: checks, dispatch and C together, for a packed operand and next to no arithmetic."""

from collections.abc import Iterator
from importlib import import_module

import numpy as np

from nn.kernels import Kernel, all_kernels, why_not_c

from . import variants
from .row import AT_MOST, Row
from .small_call import A, B, Call
from .timing import context, interleaved, timer

BAR = 2  # µs


def rows(seconds: float) -> Iterator[Row]:
    """A row a call; beside it NumPy's product of the same tiny matrices."""
    return (_row(kernel, one, seconds) for kernel, one in calls())


def calls() -> list[tuple[Kernel, Call]]:
    """Every kernel that packs an operand, with each of the CALLS in its file here."""
    return [(kernel, one) for kernel in all_kernels() if kernel.pack
            for one in import_module(f"{__package__}.{kernel.name}").CALLS]


def _row(kernel: Kernel, one: Call, seconds: float) -> Row:
    statement = one.statement
    measure = f"{statement}, b packed, 1×4×4"
    if why_not_c():
        return variants.no_kernels("call", measure, "µs", BAR, AT_MOST)
    names = {kernel.name: kernel, "a": one.a, "b": kernel.pack(*one.weight), **one.more}
    out = np.empty_like(eval(statement, {**names}))
    contestants = {"ours": timer(statement, **names),
                   "ours with out=": timer(f"{statement[:-1]}, out=out)", **names, out=out),
                   "NumPy float a @ b": timer("x @ w", x=A, w=B)}
    beside = context(interleaved(contestants, seconds), "µs", lambda seconds: 1e6 * seconds)
    return Row("call", measure, beside["µs"]["ours"], "µs", BAR, AT_MOST, beside)

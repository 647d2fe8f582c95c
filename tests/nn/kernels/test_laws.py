"""Every kernel × every variant that can run here × every law; one tile more of a family that was tried with
another kernel, in the profiles of many examples."""

import pytest
from hypothesis import settings

from nn import kernels
from nn.kernels import native
from nn.testing import memory
from nn.testing.check import holds, implementations, laws_for

EVERYTHING = [f for kernel in kernels.all_kernels() for f in implementations(kernel)]


def borrowed() -> set[str]:
    """The names of implementations that another tile makes: of the families that a kernel shares with one
    before it in csrc/micro.def, all rows but the first for each instruction set."""
    owners: dict[int, str] = {}
    found, seen = set(), set()
    order = [native.lib.nn_kernel_row(i) for i in range(native.lib.nn_kernel_count() if native.lib else 0)]
    for kernel in (native.ffi.string(row.name).decode() for row in order):
        for row in native.micro_kernels_of(kernel):
            key = kernel, row.family, row.isa
            if owners.setdefault(row.family, kernel) != kernel and key in seen:
                found.add(f"{kernel}_{row.name}")
            seen.add(key)
    return found


LONG = {name: pytest.mark.long for name in borrowed()}


@pytest.mark.parametrize(("f", "law"), [
    pytest.param(f, law, id=f"{f.name}-{law.__name__}", marks=LONG.get(f.name, ()))
    for f in EVERYTHING for law in laws_for(f)])
def test_law(f, law):
    holds(law, f)


@pytest.mark.skipif(memory.why_not() is not None, reason=memory.why_not() or "")
@pytest.mark.parametrize("f", [pytest.param(f, id=f.name, marks=LONG.get(f.name, ())) for f in EVERYTHING])
def test_stays_inside_its_memory(f):
    memory.stays_inside(f, settings().max_examples // 2)    # each example is a process of its own

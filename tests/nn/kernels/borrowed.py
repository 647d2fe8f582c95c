"""Which implementations differ from others by a tile alone, and wait for the profiles of many examples."""

from functools import cache

import pytest
from hypothesis import settings

from nn.kernels import native
from nn.testing.check import implementations
from nn.testing.profiles import PROFILES


@cache
def borrowed():
    """Their names: of the families that a kernel shares with one before it in csrc/micro.def, all rows but
    the first for each instruction set."""
    owners, found, seen = {}, set(), set()
    order = [native.lib.nn_kernel_row(i) for i in range(native.lib.nn_kernel_count() if native.lib else 0)]
    for kernel in (native.ffi.string(row.name).decode() for row in order):
        for row in native.micro_kernels_of(kernel):
            key = kernel, row.family, row.isa
            if owners.setdefault(row.family, kernel) != kernel and key in seen:
                found.add(f"{kernel}_{row.name}")
            seen.add(key)
    return frozenset(found)


def marks(f):
    """The marks of tests of this implementation."""
    return pytest.mark.long if f.name in borrowed() else ()


def asked(kernel):
    """The implementations of a kernel that this profile asks."""
    every = settings().max_examples >= PROFILES["ci"]
    return [f for f in implementations(kernel) if every or f.name not in borrowed()]


def each(implementations):
    """Parameters of a test, an implementation each."""
    return [pytest.param(f, id=f.name, marks=marks(f)) for f in implementations]

"""csrc/kernels.def is the registry: what is listed there has a Kernel, laws and a benchmark."""

import re
from pathlib import Path

import pytest

from compress.cli import bench
from nn import kernels
from nn.kernels import native
from nn.testing.check import DOMAINS, LAWS_OF, implementations

ROW = re.compile(r"^KERNEL\((\w+), (\w+), (\w+), (\d+), (\d+),", re.MULTILINE)
LISTED = ROW.findall(Path(native.csrc(), "kernels.def").read_text(encoding="utf-8")) if native.csrc() else []
NAMES = {row[0] for row in LISTED}

pytestmark = pytest.mark.skipif(not LISTED, reason="csrc/ is not here: an installed package is tested")


def test_every_kernel_listed_is_callable_checked_and_measured():
    assert NAMES == {kernel.name for kernel in kernels.all_kernels()} == set(DOMAINS) == set(LAWS_OF)
    assert NAMES <= {*bench.GROUPS, *bench.group("one_pass").KERNELS}
    assert all(kernel.reference.__doc__ for kernel in kernels.all_kernels())


def test_the_variants_of_a_kernel_lie_together():
    """nn_select looks no further than the last of them."""
    order = [kernel for kernel, *_ in LISTED]
    assert order == sorted(order, key=order.index)


def test_every_kernel_runs_on_any_cpu():
    assert NAMES == {kernel for kernel, _, needs, *_ in LISTED if needs == "SCALAR"}


@pytest.mark.skipif(native.lib is None, reason="there are no C kernels to list")
@pytest.mark.parametrize("kernel", kernels.all_kernels(), ids=lambda k: k.name)
def test_variants_are_the_rows_that_can_run(kernel):
    listed = {name: (needs.lower(), (int(mr), int(nr)))
              for of, name, needs, mr, nr in LISTED if of == kernel.name}
    numpy, *c = kernel.variants()
    assert (numpy.backend, numpy.tile) == ("numpy", None)
    assert {v.name: (v.isa, v.tile) for v in c}.items() <= listed.items()
    if kernels.isa() == "avx512" and kernel.name != "kmeans1d":   # a search, one step after the other
        assert {v.isa for v in c} >= {"scalar", "avx2"}
    assert len(implementations(kernel)) == len(c) + 2


@pytest.mark.parametrize(("kernel", "name", "needs", "mr", "nr"), LISTED)
def test_sizes_around_every_tile_are_drawn(kernel, name, needs, mr, nr):
    domain = DOMAINS[kernel]
    assert int(mr) in domain.m_tiles
    assert int(nr) in domain.n_tiles

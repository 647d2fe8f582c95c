"""csrc/micro.def is the registry: every row of it is chosen by a kernel, and has laws and a benchmark."""

import re
from pathlib import Path

import pytest

from compress.cli import bench
from nn import kernels
from nn.kernels import native
from nn.kernels.peaks import PEAK
from nn.testing.check import DOMAINS, LAWS_OF, implementations

TEXT = Path(native.csrc(), "micro.def").read_text(encoding="utf-8") if native.csrc() else ""
TEXT = re.sub(r'#include "(.*)"', lambda part: Path(native.csrc(), part[1]).read_text(encoding="utf-8"), TEXT)
LINES = re.sub(r"\n {2,}", " ", TEXT)    # those that go on in the next one
LISTED = re.findall(r"^([A-Z]+)\((\w+)(?:, (.*))?\)(?: *\/\*.*)?$", LINES, re.MULTILINE)
KERNELS = {name: rest for kind, name, rest in LISTED if kind == "KERNEL"}
KERNELS |= {name: f"OF(pass_{name}), 0" for kind, name, _ in LISTED if kind == "PASS"}

STEP_BY_STEP = ("kmeans1d", "huffman_encode", "huffman_decode", "rans_encode")    # each waits for the last

pytestmark = pytest.mark.skipif(not TEXT, reason="csrc/ is not here: an installed package is tested")
NEEDS_C = pytest.mark.skipif(native.lib is None, reason="there are no C kernels to list")


def test_every_kernel_listed_is_callable_checked_and_measured():
    assert {kernel.name for kernel in kernels.all_kernels()} == set(DOMAINS) == set(LAWS_OF)
    assert set(KERNELS) == {kernel.name for kernel in kernels.all_kernels() if kernel.call}
    assert set(KERNELS) <= {*bench.GROUPS, *bench.group("one_pass").KERNELS}
    assert all(kernel.reference.__doc__ for kernel in kernels.all_kernels())


def test_the_rows_of_a_family_lie_behind_its_name_and_plain_c_is_the_first():
    family, features = "", ["scalar"]
    for kind, name, rest in LISTED:
        if kind == "FAMILY":
            assert features, f"{family} has no row"
            family, features = name, []
        elif kind in ("MICRO", "ROW"):
            assert name == family
            features.append(rest.split(", ")[2 if kind == "MICRO" else 1])
            assert family == "peak" or features[0] == "scalar"


def test_every_family_is_chosen_by_a_kernel_or_goes_with_one_that_is():
    families = {name for kind, name, _ in LISTED if kind in ("FAMILY", "LOOPS")}
    used = set(re.findall(r"OF\((\w+)\)", " ".join(KERNELS.values())))
    assert used - {f"pass_{name}" for name in KERNELS} == families - {"peak"}


@NEEDS_C
def test_every_row_runs_when_some_variant_is_forced():
    """So the laws and benchmarks, which force all variants, reach every row: a row that goes with others is
    the best that needs no feature beyond those of one of them."""
    lib, every = native.lib, list(native.micro_kernels().values())
    reached = {row.name for kernel in kernels.all_kernels() for row in native.micro_kernels_of(kernel.name)}
    for kernel in (lib.nn_kernel_row(i) for i in range(lib.nn_kernel_count())):
        for row in every:
            if kernel.families << kernel.base >> row.family & 1:
                for family in {r.family for r in every if kernel.beside >> r.family & 1}:
                    can = [r for r in every if r.family == family and not r.needs & ~row.needs]
                    reached.add(min(can, key=lambda r: lib.nn_row(r.number).step).name)
    assert {row.name for row in every if not row.name.startswith(PEAK)} == reached


@NEEDS_C
@pytest.mark.parametrize("kernel", [k for k in kernels.all_kernels() if k.name in KERNELS],
                         ids=lambda k: k.name)
def test_variants_are_the_rows_that_can_run(kernel):
    numpy, *c = kernel.variants()
    assert (numpy.name, numpy.backend, numpy.tile) == (f"{kernel.name}_numpy", "numpy", None)
    rows = [row for row in native.micro_kernels_of(kernel.name) if row.here]
    assert [(v.name, v.isa, v.tile) for v in c] == [(row.name, row.isa, row.tile) for row in rows]
    assert "scalar" in {v.isa for v in c}
    if kernels.isa() == "avx512" and kernel.name not in STEP_BY_STEP:
        assert {v.isa for v in c} >= {"scalar", "avx2"}
    assert len(implementations(kernel)) == len(c) + 2


@NEEDS_C
def test_a_row_is_forced_in_every_kernel_of_its_family_and_in_no_other():
    best, number = kernels.qgemm.choice, native.micro_kernels()["rows_f32_2x16_scalar"].number
    with kernels.use("rows_f32_2x16_scalar"):
        forced = {kernel.name for kernel in kernels.all_kernels() if kernel.choice == number}
        assert kernels.qgemm.choice == kernels.relu.choice == best
    serves = {k.name for k in kernels.all_kernels() if number in [v.number for v in k.variants()]}
    assert forced == serves > {"gemm", "winograd_conv2d"}
    with pytest.raises(ValueError, match="'store_f32_scalar' is none of"):
        kernels.use("store_f32_scalar")   # it goes with rows that are chosen, and is not chosen itself

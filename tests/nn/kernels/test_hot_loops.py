"""The loops of the micro-kernels keep their sums in registers: no vector of them goes by way of the stack."""

import os
import platform
import re
import shutil
import subprocess

import pytest

from nn.kernels import native

OPTIMIZED = native.lib is not None and not os.environ.get("NN_KERNELS")
READABLE = platform.machine() in ("x86_64", "AMD64") and shutil.which("objdump")
# No loop of multiplies is in these; the sums of the last are in an array.
MOVES = ("store_", "decode_", "cells_", "magnitudes_", "winograd_", "qwinograd_", "peak_", "pass_im2col",
         "pass_transpose", "saturated_")
VECTORS = [name for name, row in native.micro_kernels().items() if row.isa != "scalar"
           and not name.startswith(MOVES)]      # also those for other CPUs: reading needs no CPU
MULTIPLIES = re.compile(r"vpdp(?:busd|wssd)|vpmadd|vfmadd|vdivps|vmulps|vpopcntd|vpshufb")
COMPARES = re.compile(r"vaddps|vcmp\w*ps|vpsllvd|vpmulld")    # what else passes do, powers of two, states

pytestmark = pytest.mark.skipif(not (OPTIMIZED and READABLE), reason="needs an optimized build and objdump")


@pytest.fixture(scope="module")
def functions():
    """name -> the lines of its code, of every function in the library that still has a name."""
    shown = subprocess.run(["objdump", "-d", "--no-show-raw-insn", native._module.__file__],
                           capture_output=True, text=True, check=True).stdout
    parts = re.split(r"^[0-9a-f]+ <(\w+)>:\n", shown, flags=re.MULTILINE)
    return dict(zip(parts[1::2], map(str.splitlines, parts[2::2]), strict=True))


def loops(lines):
    """The bodies of the innermost loops: from where a jump back leads to that jump, with no other within, and
    no call (of memset, which loops in its turn)."""
    address = {line.split(":")[0].strip(): i for i, line in enumerate(lines) if ":" in line}
    back = []
    for i, line in enumerate(lines):
        jump = re.search(r"\sj\w+\s+([0-9a-f]+)", line)
        if jump and address.get(jump[1], i + 1) <= i:
            back.append((address[jump[1]], i))
    inner = [lines[a:b + 1] for a, b in back if not any(a <= c and d < b for c, d in back)]
    return [body for body in inner if not any(re.search(r"\scall", line) for line in body)]


@pytest.mark.parametrize("name", [name for name in native.micro_kernels() if re.match("winograd.*avx", name)])
def test_the_transforms_of_winograd_stay_in_registers(name, functions):
    """Not even in the 16 registers of AVX2, which the 16 numbers of a tile fill by themselves."""
    if name not in functions:
        pytest.skip("the library is stripped")
    adding = [body for body in loops(functions[name]) if re.search(r"vaddps|vsubps", "\n".join(body))]
    assert adding, "no loop found"
    for body in adding:
        spills = [line for line in body if re.search(r"[xyz]mm", line) and re.search(r"\(%r[sb]p\b", line)]
        assert not spills


@pytest.mark.parametrize("name", VECTORS)
def test_nothing_is_spilled(name, functions):
    if name not in functions:
        pytest.skip("the library is stripped")
    inner = [(body, "\n".join(body)) for body in loops(functions[name])]
    multiplying = [body for body, text in inner if MULTIPLIES.search(text)]
    multiplying = multiplying or [body for body, text in inner if COMPARES.search(text)]
    assert multiplying, "no loop found"
    for body in multiplying:
        spills = [line for line in body if re.search(r"[xyz]mm", line) and re.search(r"\(%r[sb]p\b", line)]
        assert not spills

"""A micro-kernel, an instruction set and a kernel are added as README.md says, in a copy of the sources."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nn import kernels
from nn.kernels import native

README = Path(native.csrc() or "").parent / "README.md"

CHILD = """
import warnings; warnings.simplefilter("ignore")     # it is not the library of the csrc/ that lies beside nn
from nn import kernels
from nn.testing.check import forced, holds, laws_for
served = [k for k in kernels.all_kernels() if "rows_f32_2x16_scalar" in [v.name for v in k.variants()]]
assert len(served) > 3
for kernel in served:
    assert "{name}" in [variant.name for variant in kernel.variants()], kernel.name
    added = forced(kernel, "{name}", steady=True)
    for law in laws_for(added):
        holds(law, added, examples=10)
print(kernels.native.micro_kernels()["{name}"].tile)
"""


NEEDS_AVX2 = pytest.mark.skipif(
    not README.is_file() or kernels.isa() == "scalar" or bool(os.environ.get("NN_KERNELS")),
    reason="needs README.md, the C sources and AVX2")


def built_and_lawful(csrc, name, tile):
    """These sources compile without a warning, and the micro-kernel of this name and tile holds every law."""
    build = [sys.executable, str(csrc / "build.py"), "--werror", "--out", str(csrc.parent)]
    subprocess.run(build, check=True, capture_output=True)
    environment = {**os.environ, "NN_KERNELS": str(csrc.parent / "_kernels.abi3.so")}
    run = subprocess.run([sys.executable, "-c", CHILD.format(name=name)], capture_output=True, text=True,
                         check=False, env=environment, cwd=README.parent)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == tile


@pytest.mark.long
@NEEDS_AVX2
def test_a_micro_kernel_is_a_row(tmp_path):
    section = README.read_text(encoding="utf-8").split("### To add a micro-kernel")[1].split("\n### ")[0]
    (row,) = re.findall(r"```c\n(MICRO.*?)```", section, re.DOTALL)
    name = "{}_{}x{}_{}".format(*re.match(r"MICRO\((\w+), (\d+), (\d+), (\w+),", row).groups())
    folder = shutil.copytree(native.csrc(), tmp_path / "csrc")
    table = (folder / "micro.def").read_text(encoding="utf-8")
    last = re.findall(r"^MICRO\(rows_f32,.*\n", table, re.MULTILINE)[-1]
    (folder / "micro.def").write_text(table.replace(last, last + row), encoding="utf-8")
    built_and_lawful(folder, name, "(3, 16)")


@pytest.mark.long
@NEEDS_AVX2
def test_an_instruction_set_is_a_feature_a_header_and_a_file(tmp_path):
    section = README.read_text(encoding="utf-8").split("### To add a micro-kernel")[1].split("\n### ")[0]
    (feature,) = re.findall(r"```c\n(enum.*?)```", section, re.DOTALL)
    folder = shutil.copytree(native.csrc(), tmp_path / "csrc")

    def write(name, of, *changes):
        text = (folder / of).read_text(encoding="utf-8")
        for before, after in changes:
            assert len(re.findall(before, text, re.MULTILINE)) == 1, before
            text = re.sub(before, lambda found, after=after: found.expand(after), text, flags=re.MULTILINE)
        (folder / name).write_text(text, encoding="utf-8")

    write("isa.h", "isa.h", (r"^int nn_features", feature.replace("\\", r"\\") + r"\g<0>"))
    write("isa.c", "isa.c", ("int found = AVX2;", "int found = AVX2 | MORE;"))    # it asks nothing more
    write("vec_more.h", "vec_avx2.h", (r"(#undef IN_\w+\n#define IN_\w+ HAVE_\w+\n)+",
                                       "#undef IN_more\n#define IN_more HAVE_more\n"),
          ("TARGET TARGET_avx2", "TARGET TARGET_more"))
    write("micro_more.c", "micro_avx2.c", ("vec_avx2", "vec_more"))
    write("micro.def", "micro.def", (r"^MICRO\(rows_f32, 4, 16, avx2.*\n",
                                     r"\g<0>MICRO(rows_f32, 5, 16, more, 50)\n"))
    built_and_lawful(folder, "rows_f32_5x16_more", "(5, 16)")


KERNEL = """
from nn import kernels
from nn.testing import check
report = check(kernels.square, examples=10)
assert report, report
assert len(kernels.square.variants()) >= 2
print(report.passed > 10, kernels.square.gate.startswith("def square(x, *, out=None)"))
"""


@pytest.mark.long
@pytest.mark.skipif(not README.is_file() or native.lib is None or bool(os.environ.get("NN_KERNELS")),
                    reason="needs README.md, the C sources and a compiler")
def test_a_kernel_is_two_files_and_a_row(tmp_path):
    section = README.read_text(encoding="utf-8").split("### To add a kernel")[1].split("\n### ")[0]
    (python,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (c,) = re.findall(r"```c\n(.*?)```", section, re.DOTALL)
    for name in ("nn", "csrc"):
        shutil.copytree(README.parent / name, tmp_path / name,
                        ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    (tmp_path / "nn/kernels/square.py").write_text(python, encoding="utf-8")
    (tmp_path / "csrc/square.c").write_text(c, encoding="utf-8")
    table = tmp_path / "csrc/micro.def"
    (row,) = re.findall(r": `(PASS\(\w+\))`", section)
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace("PASS(relu)\n", f"PASS(relu)\n{row}\n"), encoding="utf-8")
    build = [sys.executable, "csrc/build.py", "--werror"]
    subprocess.run(build, check=True, capture_output=True, cwd=tmp_path)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NN_")}
    run = subprocess.run([sys.executable, "-W", "error", "-c", KERNEL], capture_output=True, text=True,
                         check=False, env={**clean, "PYTHONPATH": str(tmp_path)}, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["True", "True"]

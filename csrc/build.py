"""Compiles the kernels. pip uses `ffi` (through backend.py); after editing C, run

    python csrc/build.py                    rebuild nn/_kernels.abi3.so in place (a second, no pip)
    python csrc/build.py --werror           the same, warnings are errors
    python csrc/build.py --out DIR          into DIR instead
    python csrc/build.py --sanitize DIR     with AddressSanitizer and UBSan, into DIR; to run it:
        LD_PRELOAD="$(gcc -print-file-name=libasan.so)" NN_KERNELS=DIR/_kernels.abi3.so \\
        ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 python -m pytest tests/nn/kernels
    python csrc/build.py --cuda             csrc/cuda/ for GPUs, with nvcc (build_cuda.py)
    python csrc/build.py --emulate          the same to run without one, for tests and for reading
    -D NAME                                 define a macro. NN_NO_X86: as if built for a CPU that is not x86;
                                            NN_AVXVNNI_BY_EVEX: AVX512-VNNI stands in for AVX-VNNI, for tests
"""

import argparse
import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zlib
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path("csrc").resolve()
SOURCES = sorted(HERE.glob("*.c"))
# No -march=native: each function names its own instruction set (isa.h). No -ffast-math, and no contraction
# of a*b+c: every instruction set must give the same bits. What the two -fno- give up are errno and exception
# flags: nothing here reads them, and they keep a compiler from vectors of square roots and comparisons.
CFLAGS = ["-O3", "-std=gnu11", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math",
          "-fvisibility=hidden", "-pthread"]
WARNINGS = ["-Wall", "-Wextra", "-Werror"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-g", "-O1"]


def build_id() -> str:
    """Checksum of all sources, compiled in: nn.kernels can tell when the library is older than they are."""
    crc = 0
    for f in sorted(f for f in HERE.iterdir() if f.suffix in (".c", ".h", ".def") or f.name == "build.py"):
        crc = zlib.crc32(f.name.encode() + f.read_bytes().replace(b"\r\n", b"\n"), crc)
    return f"{crc:08x}"


def declarations() -> str:
    """What Python sees: every declaration that begins with API or ONE_PASS, types first."""
    text = "\n".join(f.read_text(encoding="utf-8") for f in (*sorted(HERE.glob("*.h")), *SOURCES))
    types = re.findall(r"^API ((?:typedef struct|enum) \{.*?\}[^;]*;)", text, re.MULTILINE | re.DOTALL)
    functions = re.findall(r"^API ([^;{}]*?\))\s*\{", text, re.MULTILINE)
    one_pass = re.findall(r"^ONE_PASS\((\w+),\s*\((.*?)\)", text, re.MULTILINE | re.DOTALL)   # loops.h
    functions += [f"int nn_{name}(int variant, {re.sub('(float|uint8_t) [*](restrict )?', 'void *', takes)})"
                  for name, takes in one_pass]
    return "\n".join(["const char *nn_build_id(void);", *types, *(f"{function};" for function in functions)])


ffi = FFI()
ffi.cdef(declarations())
ffi.set_source(
    "nn._kernels",
    f'#include <stdint.h>\n{declarations()}\nconst char *nn_build_id(void) {{ return "{build_id()}"; }}',
    sources=[os.path.relpath(f) for f in SOURCES],
    include_dirs=[os.path.relpath(HERE)],
    extra_compile_args=CFLAGS,
    extra_link_args=["-pthread"],
    libraries=["m"],
    optional=True,   # no compiler: install all the same and run on NumPy
    depends=[os.path.relpath(f) for pattern in ("*.h", "*.def", "*.py", "cuda/*.*", "cuda/*/*.*")
             for f in sorted(HERE.glob(pattern))])  # (the source archive has them by this)


def build(out: Path, flags: list[str]) -> None:
    """Compile to out/_kernels.abi3.so, written beside and renamed: a running process keeps the old one.
    What is compiled on the way lies elsewhere: a build that is killed leaves nothing in the package."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if shutil.which(compiler[0]) is None:
        raise OSError(f"no C compiler: {compiler[0]} is not there; install one, or name it in CC")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        glue, library = Path(scratch, "_kernels.c"), Path(scratch, "_kernels.abi3.so")
        with contextlib.redirect_stdout(None):   # it would announce the file
            ffi.emit_c_code(str(glue))
        subprocess.run([*compiler, "-shared", "-fPIC", *CFLAGS, *flags, f"-I{sysconfig.get_path('include')}",
                        f"-I{HERE}", str(glue), *map(str, SOURCES), "-o", str(library), "-lm"],
                       check=True)
        beside = out / f"{library.name}.new"   # a rename is whole within one file system only
        shutil.copyfile(library, beside)
        shutil.copymode(library, beside)
        os.replace(beside, out / library.name)
    print(f"built {out / library.name}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Compile the kernels.")
    package = HERE.parent if HERE.parent.name == "nn" else HERE.parent / "nn"
    parser.add_argument("--out", type=Path, default=package, metavar="DIR", help="where to (default: nn/)")
    parser.add_argument("--sanitize", type=Path, metavar="DIR", help="a sanitized build, into DIR")
    parser.add_argument("--werror", action="store_true", help="warnings are errors")
    parser.add_argument("-D", dest="define", action="append", default=[], metavar="NAME", help="a macro")
    parser.add_argument("--cuda", action="store_true", help="the library for GPUs, with nvcc")
    parser.add_argument("--emulate", action="store_true", help="the same for no GPU: an emulation")
    options = parser.parse_args()
    if options.cuda or options.emulate:
        import build_cuda  # beside this file

        return build_cuda.main(options.emulate, options.out)
    flags = [f"-D{name}" for name in options.define] + (WARNINGS if options.werror else [])
    try:
        build(options.sanitize or options.out, flags + (SANITIZE if options.sanitize else []))
    except subprocess.CalledProcessError as error:   # the compiler has said why
        print(f"error: {error.cmd[0]} failed with exit status {error.returncode}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

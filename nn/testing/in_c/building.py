"""Somebody's C file made into a library, together with a check of its signature and the glue that calls it.

Three lines are compiled: the file, then the header made from the contract, so that another signature is an
error of the compiler's, and nn_call, which takes the arguments from slots of 8 bytes.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ...compiler import compiler
from ...kernels import Kernel
from .header import function_name, guard, header
from .signature import signature

# As csrc/build.py has them: no contraction of a*b+c, since some laws are about bits; no -march=native, which
# a file may ask for in an attribute of a function.
CFLAGS = ("-O3", "-std=gnu11", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-Wall",
          "-Wextra")
HOST = Path(__file__).with_name("host.c")
SECONDS = 60  # for the compiler


class BuildError(Exception):
    """The compiler did not take the file; the message is what it said."""


class Library(NamedTuple):
    """What was built: the library, the program that runs it, and what the compiler warned of."""

    library: Path
    host: Path
    warnings: str


def build(source: Path | str, kernel: Kernel, folder: Path | str, flags: Sequence[str] = ()) -> Library:
    """Compile `source` as `kernel` into `folder`, with more `flags` for the compiler.

    Raises FileNotFoundError where there is no such file; BuildError for what does not compile, has another
    signature or defines no such function; NoCompilerError."""
    source, folder = Path(source).resolve(), Path(folder)
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {str(source)!r}")
    (folder / f"{kernel.name}.h").write_text(header(kernel), encoding="utf-8")
    glue, library = folder / "glue.c", folder / "kernel.so"
    glue.write_text(_glue(source, kernel, folder), encoding="utf-8")
    flags = (*CFLAGS, f"-I{folder}", *flags)
    compile_c(source, None, (*flags, "-fsyntax-only"))  # alone, so that errors are about nothing else
    try:
        said = compile_c(glue, library, (*flags, "-shared", "-fPIC"), ("-lm",))
    except BuildError as error:
        if re.search(rf"undefined reference to .{function_name(kernel)}\W", str(error)):
            raise BuildError(f"there is no function {function_name(kernel)} in {source.name}") from None
        raise
    return Library(library, _host(), said)


@cache
def _host() -> Path:
    """The program that runs a library, compiled once for this process, where every user may read it."""
    folder = tempfile.mkdtemp(prefix="espalier-host-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.chmod(folder, 0o755)
    compile_c(HOST, Path(folder, "host"), ("-O2",), ("-ldl",))
    return Path(folder, "host")


def _glue(source: Path, kernel: Kernel, folder: Path) -> str:
    quoted = str(source).replace("\\", "\\\\").replace('"', '\\"')
    given = []
    for i, parameter in enumerate(signature(kernel)):
        part = "p" if parameter.type.endswith("*") else "d" if parameter.type == "double" else "i"
        given.append(f"s[{i}].{part}" if part != "i" else f"({parameter.type})s[{i}].i")
    own = folder / f"{kernel.name}.h"
    return "\n".join([
        f'#include "{quoted}"', f"#undef {guard(kernel)}", f'#include "{own}"',
        "typedef union { int64_t i; double d; void *p; } nn_slot;",
        "int nn_call(const nn_slot *s);", "int nn_call(const nn_slot *s)", "{",
        f"    return {function_name(kernel)}({', '.join(given)});", "}", ""])


def compile_c(source: Path, to: Path | None, flags: Sequence[str], libraries: Sequence[str] = ()) -> str:
    """Compile one file `to` another, or only look at it; returns what the compiler warned of.

    Raises BuildError with what it said."""
    whole = ["-Wl,-z,defs"] if "-shared" in flags and os.uname().sysname == "Linux" else []
    words = [*compiler(), *flags, *whole, str(source), *(["-o", str(to)] if to else []), *libraries]
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False,
                              timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise BuildError(f"the compiler did not end within {SECONDS} s") from None
    if done.returncode:
        raise BuildError(_readable(done.stderr, source) or f"{words[0]} failed with {done.returncode}")
    return _readable(done.stderr, source)


def _readable(said: str, glue: Path) -> str:
    """Without the lines about how the file came in."""
    ours = f"In file included from {glue}"
    return "\n".join(line for line in said.rstrip().splitlines() if not line.startswith((ours, "collect2:")))

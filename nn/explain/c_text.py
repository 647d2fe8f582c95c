"""C in a notebook: a text is compiled where the reader changes it."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ..compiler import compiler

MACHINES = (["-march=native"], ["-mcpu=native"], [])    # how compilers say "this very machine"


def compiled(source: str, signature: str, **macros: object) -> tuple[Any, Any]:
    """What a C text defines, compiled for this very machine with all that is called fast: cffi's FFI, and the
    library with its functions.

    source: the text. signature: the declarations of what is called, as cffi reads them. macros: names that
    are defined in the text. Raises NoCompilerError where there is no C compiler, RuntimeError with what it
    said of a text that it does not take.

        ffi, library = nn.explain.compiled("int twice(int n) { return 2 * n; }", "int twice(int n);")
        library.twice(21)
    """
    from cffi import FFI

    words = compiler()
    with tempfile.TemporaryDirectory() as folder:
        path, shared = Path(folder, "text.c"), Path(folder, "text.so")
        path.write_text(source, encoding="utf-8")
        given = ["-O3", "-w", *(f"-D{name}={value}" for name, value in macros.items()), "-shared", "-fPIC"]
        for machine in MACHINES:
            done = subprocess.run([*words, *given, *machine, "-o", str(shared), str(path)], check=False,
                                  capture_output=True, text=True, errors="replace")
            if done.returncode == 0:
                ffi = FFI()
                ffi.cdef(signature)
                return ffi, ffi.dlopen(str(shared))    # is loaded: its file may go
    raise RuntimeError(f"{words[0]} can't compile this:\n{done.stderr}")

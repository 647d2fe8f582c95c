"""`espalier new-kernel`: a kernel's signature in C as a header, and a naive kernel to start from."""

from __future__ import annotations

from pathlib import Path

from nn.files import write_bytes
from nn.kernels import Kernel

from .options import UsageError


def run(kernel: Kernel, folder: Path, force: bool) -> int:
    """Write NAME.h and NAME.c into the folder, which is made; files that are there are kept, unless `force`.

    Raises UsageError for those, and for a kernel that no signature in C follows from."""
    from nn.testing.in_c import example, header

    try:
        files = {f"{kernel.name}.h": header(kernel), f"{kernel.name}.c": example(kernel)}
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(f"new-kernel: {error}") from None
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"new-kernel: --to: {str(folder)!r} is a file, not a folder")
    there = [name for name in files if (folder / name).exists()]
    if there and not force:
        raise UsageError(f"new-kernel: {folder / there[0]} is there already; say --force to overwrite it")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_bytes(folder / name, text.encode())
    mine = folder / f"{kernel.name}.c"
    print(f"{folder / f'{kernel.name}.h'}    the signature, and what each parameter is\n"
          f"{mine}    a naive kernel, correct: make it faster\n\n"
          f"espalier check-kernel {mine} --as {kernel.name}    is it right?\n"
          f"espalier bench-kernel {mine} --as {kernel.name}    how fast is it?")
    return 0

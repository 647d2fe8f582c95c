"""The header of a kernel in C, and the worked example: text, made from the contract."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from ...kernels import Kernel
from .signature import TYPES, Parameter, prototype, signature

NAIVE, BLOCKED = (Path(__file__).with_name(way) for way in ("naive", "blocked"))
SIGNATURE = "SIGNATURE"  # the line of an example that stands for the signature
TAKEN = {"erf": "erf_kernel"}  # names that the C library has


def function_name(kernel: Kernel) -> str:
    """What a kernel's function is called in C."""
    return TAKEN.get(kernel.name, kernel.name)


def guard(kernel: Kernel) -> str:
    """The macro that tells that a header was included."""
    return f"NN_{kernel.name.upper()}_H"


def header(kernel: Kernel, command: str = "") -> str:
    """The text of `NAME.h`: what the kernel computes, what each parameter is, and the declaration. command:
    what is run to check a file; if not given, `espalier check-kernel`."""
    command = command or f"espalier check-kernel FILE.c --as {kernel.name}"
    parameters = signature(kernel)
    said = inspect.cleandoc(kernel.reference.__doc__ or "").splitlines()
    text = [f"{kernel.name}.h: the signature that `{command}` asks for.",
            "Made from the kernel's contract: another signature will not compile.", "", *said, "", "In C:",
            "", *_meanings(parameters), "",
            "Arrays are in C order without gaps, aligned to their elements and no further, and share no",
            "memory. What is const is not written to; a result must be written whole. The function returns",
            "0, or another number to say that it could not (no memory)."]
    body = [f"#ifndef {guard(kernel)}", f"#define {guard(kernel)}", "#include <stdbool.h>",
            "#include <stdint.h>"]
    if any(p.role.startswith("type of") for p in parameters):
        numbers = ", ".join(f"{name} = {i}" for i, name in enumerate(TYPES.values()))
        body += ["", "/* What a `void *` points to: numbers of this type. */", "#ifndef NN_TYPES",
                 "#define NN_TYPES", f"enum {{ {numbers} }};", "#endif"]
    comment = "\n".join(f"   {line}".rstrip() for line in text).replace("*/", "* /")
    return "\n".join([f"/*{comment[2:]} */", "", *body, "", f"{declaration(kernel)};", "", "#endif", ""])


def _meanings(parameters: list[Parameter]) -> list[str]:
    """A line for what one parameter is, or several together: axes, the two of a pair."""
    several: dict[tuple, list[str]] = {}
    for p in parameters:
        several.setdefault((p.role, p.source if p.role != "axis" else "", p.said), []).append(p.name)
    names = {together: ", ".join(some) for together, some in several.items()}
    wide = min(max(map(len, names.values())), 24)
    lines = []
    for (_, _, said), name in names.items():
        lines += [f"    {name}"] * (len(name) > wide)
        lines.append(f"    {name if len(name) <= wide else '':<{wide}}  {said}")
    return lines


def declaration(kernel: Kernel) -> str:
    """The prototype, with the name that the function has in C."""
    return prototype(kernel, function_name(kernel))


def example(kernel: Kernel, folder: Path = NAIVE) -> str:
    """The text of `NAME.c`, a naive and correct kernel that compiles on its own; or one of another folder.

    Raises FileNotFoundError for a kernel that has none."""
    path = folder / f"{kernel.name}.c"
    if not path.is_file():
        raise FileNotFoundError(f"{kernel.name} has no worked example, which would be {path}")
    text = path.read_text(encoding="utf-8").replace(f"\n{SIGNATURE}\n", f"\n{declaration(kernel)}\n", 1)
    return re.sub(r'^#include "(\w+\.inc)"\n', _included, text, flags=re.MULTILINE)


def _included(found: re.Match) -> str:
    """What several examples share, so that each compiles on its own."""
    return NAIVE.joinpath(found[1]).read_text(encoding="utf-8")

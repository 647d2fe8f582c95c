"""The C compiler of this machine, where there is one."""

from __future__ import annotations

import os
import shlex
import shutil
import sysconfig


class NoCompilerError(Exception):
    """There is no C compiler."""


def compiler() -> list[str]:
    """The C compiler's words: $CC, or the one that Python was built with, or cc.

    Raises NoCompilerError where there is none."""
    said = os.environ.get("CC")
    for words in [said] if said else [sysconfig.get_config_var("CC"), "cc"]:
        found = shlex.split(words or "")
        if found and shutil.which(found[0]):
            return found
    raise NoCompilerError("there is no C compiler; install one (gcc or clang), or name it in CC")

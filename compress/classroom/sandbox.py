"""The limits of a hand-in's process, which it sets itself before it loads the file.

Memory, processor time, the size of files, no further processes: rlimits of POSIX. Which files it may see,
which processes it may send signals to, no connections: Landlock (Linux 5.13 on; signals from 6.12 on), which
needs no rights. Where that is missing, the hand-in can read what its user can read, and end what its user can
end: then only a container, or another user, keeps it from the solutions. Where the grader is root, as in
Gradescope's container, the process becomes another user's, with the right to read all if that one could not
read the Python that runs it."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

FILES = 16 << 20  # bytes of any file that it writes, of its output too
DISK = 64 << 20  # bytes of all files that it has, and how many these may be
MANY = 1000
SECONDS = 600  # of the processor, in all; for a process whose grader is gone
NOBODY = 65534

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every architecture
NO_NEW_PRIVILEGES, PARENT_DEATH_SIGNAL, SUBREAPER, KEEP_RIGHTS = 38, 1, 36, 8
OVERRIDE, READ_ANY = 1 << 1, 1 << 2
EXECUTE, WRITE_FILE, READ_FILE, READ_FOLDER, TRUNCATE, IOCTL = 1, 2, 4, 8, 1 << 14, 1 << 15
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc", "/dev/null", "/dev/zero", "/dev/urandom",
          "/dev/random", "/proc/self", "/sys/devices/system/cpu")


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def enclose(memory: int, readable: Iterable[str], writable: Iterable[str], hidden: str = "",
            processes: bool = False) -> None:
    """Limit this process to so many bytes of memory, to reading these places, Python and the system, but
    nothing below `hidden` that is not one of them, and to writing below `writable`. With `processes` it may
    start others, which have the same limits: to compile, before all is limited by another call."""
    with suppress(ImportError):  # Windows
        import resource

        limits = {"AS": memory, "CPU": SECONDS, "FSIZE": FILES, "CORE": 0, "NOFILE": 256, "NPROC": 1}
        if processes:
            del limits["NPROC"]
        for name, limit in limits.items():
            with suppress(ValueError, OSError, AttributeError):
                resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))
    if sys.platform == "linux":
        _prctl(PARENT_DEATH_SIGNAL, 9)
        places = (*readable, *python(), *SYSTEM)
        restrict([one for place in places for one in beside(hidden, place)], writable)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        right = 0 if open_to_all([*readable, *python()]) else right_to_read()
        if right is not None:
            _become_nobody(right)


def right_to_read() -> int | None:
    """Of the rights of root the one by which this process can still read Python as another user, if it has
    such a one: the right to read all, or to do what it likes where Landlock says with what."""
    if sys.platform == "linux":
        with suppress(OSError):
            status = Path("/proc/self/status").read_text()
            has = int(status.partition("CapEff:")[2].split()[0], 16)
            for right in (READ_ANY, *([OVERRIDE] if landlock() else [])):
                if has & right:
                    return right
    return None


def _become_nobody(right: int) -> None:
    if right:
        _prctl(KEEP_RIGHTS, 1)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    if sys.platform == "linux":
        if right:
            header, rights = (ctypes.c_uint32 * 2)(0x20080522), (ctypes.c_uint32 * 6)(right, right)
            _libc().capset(header, rights)
        _prctl(PARENT_DEATH_SIGNAL, 9)  # a new user clears it


def python() -> list[str]:
    """The folders of the Python that runs here."""
    places = (sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path)
    return sorted({os.path.realpath(one) for one in places if one})


def beside(hidden: str, place: str) -> list[str]:
    """The place; where `hidden` lies in it (as a clone in /usr/src), all that is in it beside that."""
    path, hidden = _folder(place), _folder(hidden) if hidden else ""
    if not hidden.startswith(path):
        return [place]
    inside = [entry.path for entry in os.scandir(path) if not _folder(entry.path).startswith(hidden)]
    return [one for entry in inside for one in beside(hidden, entry)]


def _folder(path: str) -> str:
    return os.path.join(os.path.realpath(path), "")


def open_to_all(places: Iterable[str]) -> bool:
    """Whether any user may read below these places, as far as they and the folders above them say."""
    for place in places:
        path = os.path.realpath(place)
        while True:
            with suppress(FileNotFoundError):
                status = os.stat(path)
                if not status.st_mode & 0o001 or (path == place and not status.st_mode & 0o004):
                    return False
            if path == os.path.dirname(path):
                break
            path = os.path.dirname(path)
    return True


def fills(folder: Path) -> bool:
    """Whether more files lie in a folder than a hand-in may write, or larger ones."""
    size = count = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                size += os.lstat(os.path.join(place, name)).st_blocks * 512
        count += 1 + len(names)
        if size > DISK or count > MANY:
            return True
    return False


def adopt_orphans() -> None:
    """From now on, processes that a child of this one leaves behind become children of this one, and it gets
    SIGTERM when its parent ends."""
    if sys.platform == "linux":
        _prctl(SUBREAPER, 1)
        _prctl(PARENT_DEATH_SIGNAL, 15)


def landlock() -> int:
    """The version of Landlock that this system has, 0 for none."""
    if sys.platform != "linux":
        return 0
    return max(0, _libc().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def restrict(readable: Iterable[str], writable: Iterable[str]) -> bool:
    """Let this process read and run what lies below `readable`, change what lies below `writable`, and touch
    no other file; open no TCP connection, signal no process but its own children, where the system can tell.
    Whether that worked."""
    version = landlock()
    if not version:
        return False
    everything = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    rules = _Ruleset(everything, 3, 2 | 1)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _libc().syscall(CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    try:
        for place in readable:
            _allow(ruleset, place, (EXECUTE | READ_FILE | READ_FOLDER) & everything)
        for place in (*writable, "/dev/null"):
            _allow(ruleset, place, everything)
        return _prctl(NO_NEW_PRIVILEGES, 1) and _libc().syscall(RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _allow(ruleset: int, place: str, access: int) -> None:
    try:
        folder = os.open(place, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
    except OSError:
        return
    try:
        beneath = _Beneath(access if os.path.isdir(place) else access & OF_FILES, folder)
        _libc().syscall(ADD_RULE, ruleset, 1, ctypes.byref(beneath), 0)
    finally:
        os.close(folder)


def _prctl(option: int, value: int) -> bool:
    return _libc().prctl(option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3) == 0


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)

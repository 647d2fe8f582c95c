"""The C sources: where they are, their checksum, and what a compiler says to them."""

import os
import zlib


def csrc() -> str | None:
    """The folder of the C sources: beside `nn` in a checkout, inside it when installed from a wheel."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    places = os.path.join(os.path.dirname(package), "csrc"), os.path.join(package, "csrc")
    return next((folder for folder in places if os.path.isfile(os.path.join(folder, "micro.def"))), None)


def build_id(folder: str) -> str:
    """Checksum of all that decides what the compiled kernels are; csrc/build.py compiles the same in."""
    crc = 0
    for name in sorted(os.listdir(folder)):
        if name.endswith((".c", ".h", ".def")) or name == "build.py":
            with open(os.path.join(folder, name), "rb") as file:
                crc = zlib.crc32(name.encode() + file.read().replace(b"\r\n", b"\n"), crc)
    return f"{crc:08x}"


def try_to_build(folder: str) -> str | None:
    """None if the sources compile here (the result is thrown away), else a line that says what went wrong."""
    # Imported here, because these three take longer to import than all of nn.kernels.
    import subprocess
    import sys
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        tried = subprocess.run([sys.executable, os.path.join(folder, "build.py"), "--out", scratch],
                               capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return None
    lines = tried.stderr.strip().splitlines() or ["the compiler said nothing"]
    return next((line for line in lines if "error" in line.lower()), lines[-1]).strip()

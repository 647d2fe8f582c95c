"""Libraries for tests, built in a folder of their own: with other kernels beside, or with a fault planted."""

import sys
from pathlib import Path

from nn.kernels import native

CUDA = Path(native.csrc() or ".", "cuda")


def build_cuda():
    """csrc/build_cuda.py, which is a script and no package."""
    if str(CUDA.parent) not in sys.path:
        sys.path.insert(0, str(CUDA.parent))
    import build_cuda

    return build_cuda


def copied(to: Path) -> Path:
    """The sources, in a folder where they may be changed."""
    for file in build_cuda().sources():
        target = to / file.relative_to(CUDA)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    return to


def emulation(out: Path) -> list[Path]:
    """The compiled files that every emulated library has."""
    return build_cuda().emulated([*sorted((CUDA / "emulation").glob("*.cpp")), CUDA / "runtime.cu"], out)


def linked(library: Path, folder: Path, ready: list[Path], *files: Path) -> Path:
    """A library of what is compiled already and of these files of `folder`, which says that it is no older
    than the sources."""
    build, out = build_cuda(), library.parent
    about = build.about(out, folder)
    about.write_text(about.read_text().replace(build.build_id(folder), build.build_id()))
    build.link_emulation(library, [*ready, *build.emulated([*files, about], out)])
    return library

"""Compiles csrc/cuda/, for a GPU with nvcc, or for none: the emulation, with a C++ compiler.

    python csrc/build.py --cuda             nn/_cuda.so, for GPUs from Turing (sm_75) on
    python csrc/build.py --emulate          nn/_cuda_emulated.so, for any machine: every access is looked at

nvcc is the one in $NVCC, of $CUDA_HOME, on PATH or in /usr/local/cuda. pip builds neither.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent / "cuda"
ABI = 1  # raised when the meaning of what is exported changes
# Machine code for three generations, and PTX, which a driver makes into code of a later one.
TARGETS = [*(f"-gencode=arch=compute_{n},code=sm_{n}" for n in (75, 80, 90)),
           "-gencode=arch=compute_90,code=compute_90"]
NVCC = ["-std=c++17", "-O3", "--cudart=static", "-Xcompiler=-fPIC,-fvisibility=hidden", "--fmad=false",
        "-Werror=all-warnings"]
# The compiler tells the checker of every access (emulation/checker.cpp), of a short vector as a whole; it
# must not join accesses into memcpy or memset, of which it would not tell.
EMULATED = ["-std=c++17", "-O2", "-fPIC", "-fvisibility=hidden", "-DNN_EMULATED", "-Wall", "-Wextra",
            "-Wno-clobbered", "-Werror", "-ffp-contract=off", "-fno-exceptions", "-U_FORTIFY_SOURCE"]
CHECKED = ["-O1", "-fsanitize=thread", "-fno-tree-sra", "-fno-builtin", "-fno-tree-loop-distribute-patterns"]


def sources(folder: Path = HERE) -> list[Path]:
    """All files that decide what the library is."""
    return sorted(f for f in folder.rglob("*") if f.suffix in (".cu", ".cpp", ".h"))


def build_id(folder: Path = HERE) -> str:
    """Checksum of all sources, compiled in: nn.cuda can tell when a library is older than they are."""
    crc = 0
    for f in sources(folder):
        crc = zlib.crc32(f.name.encode() + f.read_bytes().replace(b"\r\n", b"\n"), crc)
    return f"{crc:08x}"


def declarations(folder: Path = HERE, more: str = "") -> str:
    """What Python calls, in C: the types and functions that begin with API, in these sources and in one more.
    The library carries this text, so that whoever loads it knows its functions."""
    text = "\n".join([*(f.read_text(encoding="utf-8") for f in sources(folder)), more])
    types = re.findall(r"^API_TYPE (typedef struct \{.*?\}[^;]*;)", text, re.MULTILINE | re.DOTALL)
    functions = re.findall(r"^ *API ([^;{}]*?\))\s*\{", text, re.MULTILINE)
    once = dict.fromkeys(re.sub(r"\s+", " ", function) + ";" for function in functions)
    return "\n".join([*types, *once])


def compile_emulation(library: Path, folder: Path = HERE) -> None:
    """Write the emulated library. Raises OSError without a compiler, CalledProcessError with what it says."""
    with tempfile.TemporaryDirectory() as scratch:
        files = [*(f for f in sources(folder) if f.suffix != ".h"), about(Path(scratch), folder)]
        link_emulation(library, emulated(files, Path(scratch)))


def emulated(files: Sequence[Path], out: Path) -> list[Path]:
    """The files of the emulation and of kernels for it, compiled into a folder."""
    plain = [*_cxx(), *EMULATED, f"-I{HERE}", "-x", "c++"]
    return _objects(files, out, lambda file: [*plain, *CHECKED] if file.suffix == ".cu" else plain)


def link_emulation(library: Path, objects: Sequence[Path]) -> None:
    """One library of all of these."""
    _link(library, [*_cxx(), "-shared", "-ldl"], objects)


def compile_for_gpu(library: Path, folder: Path = HERE) -> None:
    """Write the library for GPUs. Raises OSError without nvcc, CalledProcessError with what it says."""
    nvcc = find_nvcc()
    if nvcc is None:
        raise OSError("no nvcc: it is not in $NVCC, of $CUDA_HOME, on PATH or in /usr/local/cuda")
    with tempfile.TemporaryDirectory() as scratch:
        files = [*(f for f in sources(folder) if f.suffix == ".cu"), about(Path(scratch), folder)]
        objects = _objects(files, Path(scratch), lambda file: [nvcc, *NVCC, *TARGETS])
        _link(library, [nvcc, "-shared", "--cudart=static"], objects)


def about(out: Path, folder: Path = HERE, more: str = "") -> Path:
    """A source that tells who loads the library what it is: its ABI, its sources, its functions, those of one
    more source among them."""
    file, text = out / "about.cu", declarations(folder, more)
    file.write_text(f'#include "{folder / "device.h"}"\n'
                    f'API int nn_cuda_abi(void) {{ return {ABI}; }}\n'
                    f'API const char *nn_cuda_build_id(void) {{ return "{build_id(folder)}"; }}\n'
                    f'API const char *nn_cuda_declarations(void) {{ return R"({text})"; }}\n')
    return file


def trial(source: str, library: str, kept: str) -> None:
    """A source of somebody's own and the emulation, as one library that passes for that of these sources.
    kept: where the emulation's own files are compiled, once. What the compiler says of the source goes to
    standard error, and ends the process."""
    file, out = Path(source), Path(library).parent
    own = [*sorted((HERE / "emulation").glob("*.cpp")), HERE / "runtime.cu"]
    ready = [Path(kept, f"{f.name}.o") for f in own]
    try:
        if not all(map(Path.exists, ready)):
            emulated(own, Path(kept))
        said = about(out, more=file.read_text(encoding="utf-8"))
        link_emulation(Path(library), [*ready, *emulated([file, said], out)])
    except subprocess.CalledProcessError as error:
        sys.exit(error.stderr)
    except OSError as error:
        sys.exit(f"error: {error}")


def find_nvcc() -> str | None:
    """CUDA's compiler, or None."""
    home = os.environ.get("CUDA_HOME")
    places = [os.environ.get("NVCC"), home and os.path.join(home, "bin", "nvcc"), "nvcc",
              "/usr/local/cuda/bin/nvcc"]
    return next(filter(None, map(shutil.which, filter(None, places))), None)


def _cxx() -> list[str]:
    compiler = shlex.split(os.environ.get("CXX") or "c++")
    if shutil.which(compiler[0]) is None:
        raise OSError(f"no C++ compiler: {compiler[0]} is not there; install one, or name it in CXX")
    return compiler


def _objects(files: Sequence[Path], out: Path, command: Callable[[Path], list[str]]) -> list[Path]:
    """Compile files, as many at once as there are cores."""
    objects = [out / f"{file.name}.o" for file in files]

    def one(file: Path, to: Path) -> None:
        _run([*command(file), "-c", str(file), "-o", str(to)])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, files, objects))
    return objects


def _link(library: Path, command: list[str], objects: Sequence[Path]) -> None:
    """Written beside and renamed: a running process keeps the old one."""
    library.parent.mkdir(parents=True, exist_ok=True)
    beside = library.with_name(f"{library.name}.new{os.getpid()}")
    _run([*command, *map(str, objects), "-o", str(beside)])
    os.replace(beside, library)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def main(emulate: bool, package: Path) -> int:
    """Build, and say what was built or what went wrong; the exit code."""
    library = package / ("_cuda_emulated.so" if emulate else "_cuda.so")
    try:
        (compile_emulation if emulate else compile_for_gpu)(library)
    except subprocess.CalledProcessError as error:
        print(f"{error.stdout}{error.stderr}error: {error.cmd[0]} failed", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"built {library}")
    return 0

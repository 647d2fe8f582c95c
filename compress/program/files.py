"""A Program in a file: one safetensors file with the stored form of every constant, and the calls.

The calls are JSON, in zlib's format, since what they say of a small network is as long as its weights.

Loading runs no code and trusts nothing: every array, every call and every shape is checked against the others
before the Program is built; what does not fit raises FileError with the file's name."""

import json
import os
import re
import zlib
from typing import Any

import numpy as np

from nn.files import FileError, arrays_to_bytes, read_arrays, write_arrays
from nn.sizes import Size

from ..formats.format import Grid, format_named
from ..stored import Part, Stored, class_of
from ..techniques import cluster  # noqa: F401  (with it all files of that room, which define stored forms)
from .call import call_from_json, fits, size_from_json
from .program import Program
from .value import LARGEST, ProgramError, Value

VERSION = "3"
FORMAT = f"espalier program {VERSION}"
DESCRIPTION = ".program"  # the array of `Program.manifest`, JSON in zlib's format; nothing else is called so
NOTHING = np.zeros(0, np.uint8)
LONGEST = 1 << 24  # bytes of the description, or it is none: 16 MiB are 100,000 calls
DTYPES = ("float16", "float32", "float64", "bool", "int8", "int16", "int32", "int64", "uint8")
# What `Program.manifest` gives, and the lengths of a weight's strings, as `fits` (call.py) has it.
MANIFEST = {"name": str, "inputs": {str: (str, [int | str])}, "outputs": {str: str}, "state": {str: str},
            "calls": list, "grids": {str: (str, float | int, int)},
            "weights": {str: {"kind": str, "shape": [int], "bytes": [int]}}}


def save(program: Program, path: str | os.PathLike[str]) -> int:
    """Write a Program to `path`, whole or not at all; returns the file's bytes.

    program: what `convert` gave. Raises TypeError for anything but a Program (weights of a model: `nn.save`),
    OSError if it can't be written."""
    return write_arrays(path, *_stored(program))


def to_bytes(program: Program) -> bytes:
    """What `save` writes."""
    return arrays_to_bytes(*_stored(program))


def load(path: str | os.PathLike[str]) -> Program:
    """The Program that `save` wrote to the file `path`.

    Raises FileError for what is truncated, was edited, or is no Program; OSError if it can't be read."""
    arrays, metadata = read_arrays(path)
    try:
        said = re.fullmatch(r"(\w+) program (\d+)", metadata.get("format", ""))
        if said is None:
            raise ProgramError(f"holds no Program of format {VERSION} (compress.save writes one, nn.save "
                               "does not)")
        if said[0] != FORMAT:
            raise ProgramError(f"holds a Program of format {said[2]} ({said[1]}), and this version reads "
                               f"format {VERSION}; make it anew, from the trained model, by compress.convert "
                               "and compress.save")
        return _program(_description(arrays.pop(DESCRIPTION)), arrays)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FileError.of(path, f"{error} is missing" if isinstance(error, KeyError) else error) from error


def _stored(program: Program) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    if not isinstance(program, Program):
        got = type(program).__name__
        raise TypeError(f"compress.save: wants a Program (from compress.convert); got {got}")
    arrays: dict[str, np.ndarray] = {}
    manifest = program.manifest()
    for name, constant in program.constants.items():
        if not isinstance(constant, Stored):
            arrays[name] = constant
            continue
        mine = constant.arrays()
        for part, array in mine.items():
            if constant.strings:
                manifest["weights"][name]["bytes"].append(len(array))
                arrays[f".{part}"] = np.append(arrays.get(f".{part}", array[:0]), array)
            elif array.size or not constant.parts[part].optional:
                arrays[f"{name}.{part}"] = array
    text = json.dumps(manifest, separators=(",", ":"), allow_nan=False).encode()
    arrays[DESCRIPTION] = np.frombuffer(zlib.compress(text, 9), np.uint8)
    return arrays, {"format": FORMAT}


def _description(packed: np.ndarray) -> Any:
    """The JSON value in an array of the file."""
    unpack = zlib.decompressobj()
    try:
        text = unpack.decompress(packed.tobytes() if packed.dtype == np.uint8 else b"", LONGEST)
    except zlib.error as error:
        raise ProgramError(f"the description is damaged ({error})") from error
    if not unpack.eof or unpack.unused_data or len(text) >= LONGEST:
        raise ProgramError("the description is damaged, or longer than that of any network")
    return json.loads(text)


def _program(manifest: Any, arrays: dict[str, np.ndarray]) -> Program:
    """The Program of a description and the arrays of its file, each of which it uses once."""
    if not isinstance(manifest, dict) or manifest.keys() != MANIFEST.keys():
        raise ProgramError(f"the description needs exactly the entries {sorted(MANIFEST)}")
    for entry, wanted in MANIFEST.items():
        if not fits(manifest[entry], wanted):
            raise ProgramError(f"{entry}: not as this version knows them: {manifest[entry]!r:.80}")
    inputs = {name: Value(dtype, tuple(size_from_json(n) if isinstance(n, str) else n for n in shape))
              for name, (dtype, shape) in manifest["inputs"].items()}
    for name, value in inputs.items():
        if value.dtype not in DTYPES or not _sound(value.shape):
            raise ProgramError(f"the input {name} must be a dtype and a shape; got {value.dtype!r:.80}, "
                               f"{value.shape!r:.80}")
    grids = {name: Grid(format_named(form), *of) for name, (form, *of) in manifest["grids"].items()}
    rest, weights, used = dict(arrays), {}, dict.fromkeys(arrays, 0)
    for name, said in manifest["weights"].items():
        kind, shape = said["kind"], tuple(said["shape"])
        form = class_of(kind)
        if not _sound(shape) or not 2 <= len(shape) <= 4:
            raise ProgramError(f"{name} must be a weight of 2 to 4 dimensions; got {shape!r:.80}")
        if len(said["bytes"]) != len(form.parts) * form.strings or min(said["bytes"], default=0) < 0:
            raise ProgramError(f"{name} can't have strings of {said['bytes']!r:.80} bytes")
        mine = {}
        for part, length in zip(form.parts, said["bytes"], strict=False):
            first = used.get(f".{part}", 0)
            mine[part] = arrays.get(f".{part}", NOTHING)[first:first + length]
            used[f".{part}"] = first + length
        weights[name] = form.from_arrays(mine or {part: _taken(rest, f"{name}.{part}", one)
                                                  for part, one in form.parts.items()}, shape)
    for name in [name for name in rest if name.startswith(".")]:
        if len(rest.pop(name)) != used[name]:
            raise ProgramError(f"the weights have {used[name]} bytes of {name[1:]}, and there are others")
    return Program(manifest["name"], inputs, manifest["outputs"], [*map(call_from_json, manifest["calls"])],
                   weights | rest, grids, manifest["state"])


def _taken(arrays: dict[str, np.ndarray], name: str, part: Part) -> np.ndarray:
    """An array of a weight, taken out; an optional one that is not there has no elements."""
    usual = np.zeros(0, part.dtype if isinstance(part.dtype, type) else part.dtype[0])
    return arrays.pop(name, usual) if part.optional else arrays.pop(name)


def _sound(shape: tuple[int | Size, ...]) -> bool:
    return all(isinstance(size, Size) or 0 < size < LARGEST for size in shape)

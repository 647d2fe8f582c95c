"""A Program in a file: one safetensors file with the stored form of every constant and the calls as JSON.

Loading runs no code and trusts nothing: every array, every call and every shape is checked against the others
before the Program is built; what does not fit raises FileError with the file's name."""

import json
import os
import re
from typing import Any

import numpy as np

from nn.files import FileError, arrays_to_bytes, read_arrays, write_arrays
from nn.sizes import Size

from ..formats.format import Grid, format_named
from ..stored import STORED, Stored, read
from ..techniques import dense  # noqa: F401  (the files of that room define the stored forms)
from .call import call_from_json, fits, size_from_json
from .program import Program
from .value import LARGEST, ProgramError, Value

VERSION = "2"
FORMAT = f"espalier program {VERSION}"
DTYPES = ("float16", "float32", "float64", "bool", "int8", "int16", "int32", "int64", "uint8")
# What `Program.manifest` gives, as `fits` (call.py) has it.
MANIFEST = {"name": str, "inputs": {str: (str, [int | str])}, "outputs": {str: str}, "state": {str: str},
            "calls": list, "grids": {str: (str, float | int, int)},
            "weights": {str: {"kind": str, "shape": [int]}}}


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
        return _program(json.loads(metadata["program"]), arrays)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FileError.of(path, f"{error} is missing" if isinstance(error, KeyError) else error) from error


def _stored(program: Program) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    if not isinstance(program, Program):
        got = type(program).__name__
        raise TypeError(f"compress.save: wants a Program (from compress.convert); got {got}")
    arrays: dict[str, np.ndarray] = {}
    for name, constant in program.constants.items():
        if isinstance(constant, Stored):
            arrays |= {f"{name}.{part}": array for part, array in constant.arrays().items()}
        else:
            arrays[name] = constant
    manifest = json.dumps(program.manifest(), separators=(",", ":"), allow_nan=False)
    return arrays, {"format": FORMAT, "program": manifest}


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
    rest, weights = dict(arrays), {}
    for name, said in manifest["weights"].items():
        kind, shape = said["kind"], tuple(said["shape"])
        if kind not in STORED or not _sound(shape) or not 2 <= len(shape) <= 4:
            raise ProgramError(f"{name} must be a weight of 2 to 4 dimensions that this version knows; got "
                               f"{kind!r:.80} {shape!r:.80}")
        weights[name] = read(kind, {part: rest.pop(f"{name}.{part}") for part in STORED[kind].parts}, shape)
    return Program(manifest["name"], inputs, manifest["outputs"], [*map(call_from_json, manifest["calls"])],
                   weights | rest, grids, manifest["state"])


def _sound(shape: tuple[int | Size, ...]) -> bool:
    return all(isinstance(size, Size) or 0 < size < LARGEST for size in shape)

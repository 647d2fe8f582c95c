"""A Program in a file: one safetensors file with the stored form of every constant and the calls as JSON.

Loading runs no code and trusts nothing: every array, every call and every shape is checked against the others
before the Program is built; what does not fit raises FileError with the file's name.
"""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from nn.files import FileError, arrays_to_bytes, read_arrays, write_arrays

from ..formats.format import FORMATS, Grid
from ..stored import STORED, Stored, read
from ..techniques import dense  # noqa: F401  (the files of that room define the stored forms)
from .call import call_from_json
from .program import Program
from .value import ProgramError, Value, shape_from_json

__all__ = ["load", "save", "to_bytes"]

VERSION = "2"
DTYPES = ("float16", "float32", "float64", "bool", "int8", "int16", "int32", "int64", "uint8")


def save(program: Program, path: str | os.PathLike[str]) -> int:
    """Write a Program to `path`, whole or not at all; returns the file's bytes.

    program: what `convert` gave. Raises TypeError for anything but a Program (weights of a model: `nn.save`),
    OSError if it can't be written.
    """
    return write_arrays(path, *_stored(program))


def to_bytes(program: Program) -> bytes:
    """What `save` writes."""
    return arrays_to_bytes(*_stored(program))


def load(path: str | os.PathLike[str]) -> Program:
    """The Program that `save` wrote to the file `path`.

    Raises FileError for a file that is truncated, was edited, or is not a Program; OSError if it can't be
    read.
    """
    arrays, metadata = read_arrays(path)
    try:
        _check_version(metadata.get("format", ""))
        return _program(json.loads(metadata["program"]), arrays)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FileError.of(path, f"{error} is missing" if isinstance(error, KeyError) else error) from error


def _check_version(said: str) -> None:
    if said == f"espalier program {VERSION}":
        return
    before = re.fullmatch(r"(\w+) program (\d+)", said)
    if before is not None:
        raise ProgramError(
            f"holds a Program of format {before[2]} ({before[1]}), and this version reads format {VERSION}; "
            "make it anew, from the trained model, by compress.convert and compress.save")
    raise ProgramError(f"holds no Program of format {VERSION} (compress.save writes one, nn.save does not)")


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
    return arrays, {"format": f"espalier program {VERSION}", "program": manifest}


def _program(manifest: Any, arrays: dict[str, np.ndarray]) -> Program:
    wanted = {"name": str, "inputs": dict, "outputs": dict, "state": dict, "calls": list, "grids": dict,
              "weights": dict}
    if not isinstance(manifest, dict) or set(manifest) != set(wanted):
        raise ProgramError(f"the description needs exactly the entries {sorted(wanted)}")
    for entry, kind in wanted.items():
        if not isinstance(manifest[entry], kind):
            raise ProgramError(f"{entry} must be a {kind.__name__}; got {manifest[entry]!r:.80}")
    for entry in ("outputs", "state"):
        if not all(isinstance(name, str) for name in manifest[entry].values()):
            raise ProgramError(f"{entry} must be names; got {manifest[entry]!r:.80}")
    inputs = {name: _value(name, said) for name, said in manifest["inputs"].items()}
    grids = {name: _grid(name, said) for name, said in manifest["grids"].items()}
    constants = _constants(manifest["weights"], arrays)
    calls = [call_from_json(call) for call in manifest["calls"]]
    return Program(manifest["name"], inputs, manifest["outputs"], calls, constants, grids, manifest["state"])


def _value(name: str, said: Any) -> Value:
    if not isinstance(said, list) or len(said) != 2 or said[0] not in DTYPES:
        raise ProgramError(f"the input {name} must be a dtype and a shape; got {said!r:.80}")
    return Value(said[0], shape_from_json(said[1], name))


def _grid(name: str, said: Any) -> Grid:
    if not isinstance(said, list) or len(said) != 3 or not isinstance(said[0], str) or said[0] not in FORMATS:
        raise ProgramError(f"the grid of {name} must be a format, a scale and a zero point; got {said!r:.80}")
    form, scale, zero = said
    plain = type(scale) in (int, float) and type(zero) is int
    if not plain or not 0 <= scale < 1e39 or abs(zero) >= 2**31:
        raise ProgramError(f"the grid of {name}: {said!r:.80} is no scale and zero point")
    return Grid(FORMATS[form], float(scale), zero)


def _constants(weights: Mapping[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Weights from their parts, the rest as it is; every array of the file is used once."""
    constants: dict[str, Any] = {}
    rest = dict(arrays)
    for name, said in weights.items():
        if not isinstance(said, dict) or set(said) != {"kind", "shape"} or said["kind"] not in STORED:
            raise ProgramError(f"{name}: not a weight that this version knows: {said!r:.80}")
        form, shape = STORED[said["kind"]], said["shape"]
        if not isinstance(shape, list) or not all(type(size) is int and 0 < size < 2**31 for size in shape):
            raise ProgramError(f"{name}: not a shape: {shape!r:.80}")
        if not 2 <= len(shape) <= 4:
            raise ProgramError(f"{name}: a weight has 2 to 4 dimensions; got {shape}")
        parts = {part: rest.pop(f"{name}.{part}") for part in form.parts}
        constants[name] = read(said["kind"], parts, tuple(shape))
    return constants | rest

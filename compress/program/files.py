"""A Program in a file: one safetensors file with the stored form of every constant and the calls as JSON.

Loading runs no code and trusts nothing: every array, every call and every shape is checked against the others
before the Program is built; what does not fit raises FileError with the file's name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from nn.files import FileError, arrays_to_bytes, read_arrays, write_arrays

from ..stored import STORED, Stored, read
from ..techniques import dense  # noqa: F401  (the files of that room define the stored forms)
from .calls import ProgramError, call_from_json
from .program import Program

__all__ = ["load", "save", "to_bytes"]

VERSION = "1"

def save(program: Program, path: str | os.PathLike[str]) -> int:
    """Write a Program to `path`, whole or not at all; returns the file's bytes.

    Raises TypeError for anything but a Program (weights of a model: `nn.save`), OSError if it can't be
    written.
    program: what `convert` gave.
    """
    return write_arrays(path, *_stored(program))


def to_bytes(program: Program) -> bytes:
    """What `save` writes."""
    return arrays_to_bytes(*_stored(program))


def load(path: str | os.PathLike[str]) -> Program:
    """The Program that `save` wrote.

    Raises FileError for a file that is truncated, was edited, or is not a Program; OSError if it can't be
    read.
    path: of the file.
    """
    arrays, metadata = read_arrays(path)
    try:
        if metadata.get("format") != f"espalier program {VERSION}":
            raise ProgramError(
                f"holds no Program of format {VERSION} (compress.save writes one, nn.save does not)"
            )
        return _program(json.loads(metadata["program"]), arrays)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FileError.of(path, f"{error} is missing" if isinstance(error, KeyError) else error) from error


def _stored(program: Program) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    if not isinstance(program, Program):
        raise TypeError(
            f"compress.save: wants a Program (from compress.convert); got {type(program).__name__}"
        )
    arrays: dict[str, np.ndarray] = {}
    for name, constant in program.constants.items():
        if isinstance(constant, Stored):
            arrays |= {f"{name}.{part}": array for part, array in constant.arrays().items()}
        else:
            arrays[name] = constant
    manifest = json.dumps(program.manifest(), separators=(",", ":"), allow_nan=False)
    return arrays, {"format": f"espalier program {VERSION}", "program": manifest}


def _program(manifest: Any, arrays: dict[str, np.ndarray]) -> Program:
    wanted = {"name": str, "input": str, "input_shape": list, "output": str, "calls": list, "weights": dict}
    if not isinstance(manifest, dict) or set(manifest) != set(wanted):
        raise ProgramError(f"the description needs exactly the entries {sorted(wanted)}")
    for entry, kind in wanted.items():
        if not isinstance(manifest[entry], kind):
            raise ProgramError(f"{entry} must be a {kind.__name__}; got {manifest[entry]!r:.80}")
    constants = _constants(manifest["weights"], arrays)
    calls = [call_from_json(call) for call in manifest["calls"]]
    return Program(
        manifest["name"],
        manifest["input"],
        _shape(manifest["input_shape"], "input_shape"),
        manifest["output"],
        calls,
        constants,
    )


def _constants(weights: Mapping[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Weights from their parts, the rest as it is; every array of the file is used once."""
    constants: dict[str, Any] = {}
    rest = dict(arrays)
    for name, said in weights.items():
        if not isinstance(said, dict) or set(said) != {"kind", "shape"} or said["kind"] not in STORED:
            raise ProgramError(f"{name}: not a weight that this version knows: {said!r:.80}")
        form, shape = STORED[said["kind"]], _shape(said["shape"], name)
        if len(shape) not in (2, 4):
            raise ProgramError(f"{name}: a weight has 2 or 4 dimensions; got {shape}")
        constants[name] = read(said["kind"], {part: rest.pop(f"{name}.{part}") for part in form.parts}, shape)
    return constants | rest


def _shape(said: Any, what: str) -> tuple[int, ...]:
    if not isinstance(said, list) or not all(type(size) is int and 0 < size < 2**31 for size in said):
        raise ProgramError(f"{what}: not a shape: {said!r:.80}")
    return tuple(said)

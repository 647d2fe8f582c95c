"""Training that can be killed: where a run stands, in a file, from which it goes on to the same bits.

A checkpoint holds all that the rest of a run depends on: weights and buffers, the views of weights, the
optimizer, the place in the epoch, the log, and both sources of random numbers. The checkpoint before it is
kept as `path.previous`. Files are written beside, forced to the disk and renamed: one is always whole.
"""

from __future__ import annotations

import glob
import json
import os
import re
import warnings
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from nn import random
from nn.backward import wrote
from nn.files import FileError, arrays_to_bytes, read_arrays, write_arrays
from nn.module import Module
from nn.optim import AveragedModel, Optimizer

__all__ = ["Checkpoint", "Progress", "described", "fingerprint", "sampled"]


@dataclass
class Progress:
    """How far a run has come."""

    step: int = 0
    log: list[tuple[float, ...]] = field(default_factory=list)    # of the epochs that are over
    loss: float = 0.0                                             # of this epoch, summed over its rows
    correct: float | None = 0.0                                   # None: no classes to be right about
    shuffled_from: dict[str, Any] | None = None                   # the batch Generator as this epoch began


class Checkpoint:
    """The file of one run, which knows the run by its model, data, optimizer, settings and beginning."""

    def __init__(self, path: str | os.PathLike[str], model: Module, optimizer: Optimizer,
                 rng: np.random.Generator, settings: Mapping[str, str],
                 average: AveragedModel | None = None) -> None:
        self.path = os.path.realpath(os.fsdecode(path))
        self.model, self.optimizer, self.rng, self.average = model, optimizer, rng, average
        modules = ((name or type(module).__name__, module) for name, module in model.named_modules())
        self.viewed = {name: it for name, it in (*model.named_parameters(), *modules) if it.view is not None}
        for name, it in self.viewed.items():
            if not hasattr(it.view, "state_arrays"):
                raise TypeError(f"fit: {name} is seen through a {type(it.view).__name__}, which a checkpoint "
                                "cannot hold: it has no methods state_arrays() and load_state(arrays)")
        self.run = {
            "model": f"{type(model).__name__} {_crc(self._description().encode())}",
            "optimizer": repr(optimizer),
            **settings,
            **({} if average is None else {"average": repr(average)}),
            "beginning (weights, optimizer, rng)": _crc(arrays_to_bytes(self._arrays(), {"rng": _json(rng)})),
        }

    def resume(self) -> Progress | None:
        """Set everything to where the checkpoint stands; None if there is no checkpoint.

        Where the file is damaged or missing, the previous one is used, and a warning says so.
        Raises: FileError if a file is damaged and there is no previous one, or if it is whole and no
        checkpoint; ValueError, saying in what they differ, if it belongs to another run. Then nothing was
        changed.
        """
        for leftover in glob.glob(f"{glob.escape(self.path)}.new.*.part"):    # of a kill while writing
            with suppress(OSError):
                os.unlink(leftover)
        path = self.path
        found, fault = _whole(path)
        if found is None:
            path = f"{self.path}.previous"
            found, worse = _whole(path)
            if found is None:
                if fault or worse:
                    raise fault or worse
                return None
        arrays, metadata = found
        self._check(path, metadata)
        if path != self.path:
            why = fault or f"{self.path} is missing"
            warnings.warn(f"fit: {why}; going on from the checkpoint before it, {path}", stacklevel=3)
            os.replace(path, self.path)    # or the damaged one would soon become the previous one
        self._set(arrays)
        now = json.loads(metadata["progress"])
        self.rng.bit_generator.state = now.pop("rng")
        random.generator().bit_generator.state = now.pop("nn.random")
        return Progress(**now)

    def write(self, progress: Progress) -> Progress:
        """Put where the run stands into the file, and what was in it into the previous one."""
        now = {**asdict(progress), "rng": self.rng.bit_generator.state, "nn.random": random.state()}
        metadata = {"run": json.dumps(self.run), "progress": json.dumps(now, default=np.ndarray.tolist)}
        write_arrays(f"{self.path}.new", self._arrays(), metadata)
        with suppress(FileNotFoundError):
            os.replace(self.path, f"{self.path}.previous")
        os.replace(f"{self.path}.new", self.path)
        return progress

    def _check(self, path, metadata):
        was = json.loads(metadata["run"])
        if was != self.run:
            keys = [key for key in {**self.run, **was} if was.get(key) != self.run.get(key)]
            differ = "; ".join(f"{key} was {was.get(key)}, is {self.run.get(key)}" for key in keys)
            raise ValueError(f"fit: the checkpoint {path} belongs to another run: {differ}; begin as that "
                             "run did, or remove it and its .previous, or choose another path")

    def _arrays(self) -> dict[str, np.ndarray]:
        """Everything that training changes, by name."""
        own = {id(p) for _, p in self.model.named_parameters()}
        kinds = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average else {},
            "trained": {str(i): p.data for i, p in enumerate(self.optimizer.params) if id(p) not in own},
            **{f"view:{name}": it.view.state_arrays() for name, it in self.viewed.items()},
        }
        return {f"{kind}/{name}": array for kind, named in kinds.items() for name, array in named.items()}

    def _set(self, arrays):
        def named(kind):
            start = f"{kind}/"
            return {name[len(start):]: array for name, array in arrays.items() if name.startswith(start)}

        self.model.load_state_dict(named("model"))
        self.optimizer.load_state_dict(named("optimizer"))
        if self.average:
            self.average.load_state_dict(named("average"))
        for i, array in named("trained").items():
            data = self.optimizer.params[int(i)].data
            data[...] = array
            wrote(data)
        for name, it in self.viewed.items():
            it.view.load_state(named(f"view:{name}"))

    def _description(self) -> str:
        """The architecture as text: layers, names, shapes, dtypes, views."""
        shapes = [f"{name} {array.dtype}{array.shape}" for name, array in self.model.state_dict().items()]
        views = [f"{name} {it.view!r}" for name, it in self.viewed.items()]
        text = "\n".join([repr(self.model), *shapes, *views])
        return _placeless(text)


def fingerprint(array: np.ndarray) -> str:
    """An array's dtype, shape and checksum."""
    return f"{array.dtype}{array.shape} {_crc(np.ascontiguousarray(array).reshape(-1).view(np.uint8))}"


def sampled(schedule: Callable[[float], float] | None) -> str:
    """A schedule as text: its values at 16 points, for functions can't be compared."""
    return "none" if schedule is None else str([round(float(schedule(i / 16)), 12) for i in range(16)])


def described(**functions: Callable[..., Any] | None) -> dict[str, str]:
    """Functions as text, for functions can't be compared: what each prints as, and a checksum of its code."""
    text = {}
    for name, function in functions.items():
        if function is not None:
            text[name] = _placeless(repr(function))
            code = getattr(function, "__code__", None)
            if code is not None:
                text[f"{name}, the code"] = _crc(_content(function, code).encode())
    return text


def _content(function, code):
    """A Python function's instructions, and the plain values that it sees of the outside."""
    inner = [_content(constant, constant) for constant in code.co_consts if hasattr(constant, "co_code")]
    seen = *code.co_consts, *(getattr(function, "__defaults__", None) or ())
    for cell in getattr(function, "__closure__", None) or ():
        with suppress(ValueError):    # nothing is in it yet
            seen = *seen, cell.cell_contents
    return repr((code.co_code, code.co_names, inner, [_value(value) for value in seen]))


def _value(value):
    """A constant as text; of what could change while it trains, only what it is."""
    if isinstance(value, frozenset):    # the order of which is another in each process
        return str(sorted(map(repr, value)))
    return repr(value) if isinstance(value, (int, float, str, bytes, type(None))) else type(value).__name__


def _placeless(text):
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)    # where an object lies is no part of what it is


def _whole(path):
    """(arrays and metadata, None) of a checkpoint, or (None, what is wrong with it, if it is there)."""
    try:
        found = read_arrays(path)
    except FileNotFoundError:
        return None, None
    except FileError as error:
        return None, error
    if not {"run", "progress"} <= found[1].keys():
        raise FileError(f"{path}: a whole file, but no checkpoint of nn.train.fit; it is left as it is")
    return found, None


def _json(rng):
    return json.dumps(rng.bit_generator.state, default=np.ndarray.tolist)


def _crc(content):
    return f"#{zlib.crc32(content):08x}"

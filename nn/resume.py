"""Checkpoints of training: a run that is killed goes on from the last one, to the same bits.

A checkpoint holds all that the rest of a run depends on: the model's state (weights, buffers, what their
parametrizations know), the optimizer, the place in the epoch, the log, and both sources of random numbers.
A new file replaces the old one, kept as `path.previous`, only when it is whole and on the disk.
"""

import copy
import json
import math
import os
import re
import warnings
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import random
from .arguments import count, instance, number
from .files import FileError, arrays_to_bytes, clear_leftovers, read_arrays, write_arrays
from .module import Module
from .optim import AveragedModel, Optimizer
from .versions import wrote


@dataclass
class Progress:
    """How far a run has come."""

    step: int = 0
    log: list[tuple[float, ...]] = field(default_factory=list)  # of the epochs that are over
    loss: float = 0.0  # of this epoch, summed over its rows
    correct: float | None = 0.0  # None where the targets are not classes
    shuffled_from: dict[str, Any] | None = None  # the batch Generator as this epoch began


class Checkpoint:
    """The file of one run, which is known by its model, data, optimizer, settings and beginning."""

    def __init__(self, path: str | os.PathLike[str], model: Module, optimizer: Optimizer,
                 rng: np.random.Generator, settings: Mapping[str, str],
                 average: AveragedModel | None = None, epoch: int | None = None) -> None:
        self.path, self.epoch = os.path.realpath(os.fsdecode(path)), epoch  # its steps, if they are known
        self.model, self.optimizer, self.rng, self.average = model, optimizer, rng, average
        beginning = arrays_to_bytes(self._arrays(), {"rng": _json(rng)})
        self.run = {"model": f"{type(model).__name__} {_crc(self._description().encode())}",
                    "optimizer": repr(optimizer), **settings, **described(average=average),
                    "beginning (weights, optimizer, rng)": _crc(beginning)}

    def resume(self) -> Progress | None:
        """Set everything to the state of the checkpoint, or of the previous one, with a warning, if the file
        is damaged or missing; None if there is no checkpoint. Raises FileError if a file is damaged and there
        is no previous one, or if it is whole and no checkpoint that fits this run; ValueError, saying in what
        they differ, if it belongs to another run. Then nothing was changed."""
        clear_leftovers(f"{self.path}.new")  # of a kill while writing
        faults = []
        for path in (self.path, f"{self.path}.previous"):
            try:
                arrays, metadata = read_arrays(path)
                break
            except FileNotFoundError:
                pass
            except FileError as error:
                faults.append(error)
        else:
            if faults:
                raise faults[0]
            return None
        now = self._checked(path, arrays, metadata)
        if path != self.path:
            why = faults[0] if faults else f"{self.path} is missing"
            warnings.warn(f"fit: {why}; going on from the checkpoint before it, {path}", stacklevel=3)
            os.replace(path, self.path)  # else the damaged one would become the previous one
        self._set(arrays)
        self.rng.bit_generator.state = now.pop("rng")
        random.generator().bit_generator.state = now.pop("nn.random")
        return Progress(**now)

    def write(self, progress: Progress) -> Progress:
        """Write the state of the run to the file; the old file becomes the previous one."""
        now = {**vars(progress), "rng": self.rng.bit_generator.state, "nn.random": random.state()}
        metadata = {"run": json.dumps(self.run), "progress": json.dumps(now, default=np.ndarray.tolist)}
        write_arrays(f"{self.path}.new", self._arrays(), metadata)
        with suppress(FileNotFoundError):
            os.replace(self.path, f"{self.path}.previous")
        os.replace(f"{self.path}.new", self.path)
        return progress

    def _checked(self, path, arrays, metadata):
        """The progress in the file, once a copy of the run could load it. FileError if it does not fit,
        ValueError if it is another run's."""
        if not {"run", "progress"} <= metadata.keys():
            raise FileError.of(path, "a whole file, but no checkpoint of nn.train.fit; it is left as it is")
        twin = copy.deepcopy(self)
        try:
            was = json.loads(metadata["run"])
            if was == self.run:
                now = json.loads(metadata["progress"])
                _check_progress(now, self.epoch)
                for name in ("rng", "nn.random", "shuffled_from"):
                    if name != "shuffled_from" or now[name] is not None:
                        _check_state(name, now[name], random.generator() if name == "nn.random" else self.rng)
                twin._set(arrays)
                held = twin._arrays()
                wrong = sorted(held.keys() ^ arrays.keys()) or [
                    name for name, array in held.items() if fingerprint(array) != fingerprint(arrays[name])]
                if wrong:
                    raise ValueError(f"what it says of {', '.join(wrong[:3])} is not what this run can hold")
                return now
            keys = [key for key in {**self.run, **was} if was.get(key) != self.run.get(key)]
        except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError) as error:
            raise FileError.of(path, f"a whole file, but no checkpoint that fits this run ({error}); nothing "
                                     "was changed") from error
        differ = (f"{key:.80} was {was.get(key)!s:.200}, is {self.run.get(key)!s:.200}" for key in keys[:9])
        raise ValueError(f"fit: the checkpoint {path} belongs to another run: {'; '.join(differ)}; begin as "
                         "that run did, or remove it and its .previous, or choose another path")

    def _arrays(self) -> dict[str, np.ndarray]:
        """Everything that training changes, by name."""
        own = {id(p) for _, p in self.model.named_parameters()}
        kinds = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
                 "average": self.average.state_dict() if self.average else {},
                 "trained": {str(i): p.data for i, p in enumerate(self.optimizer.params) if id(p) not in own}}
        return {f"{kind}/{name}": array for kind, named in kinds.items() for name, array in named.items()}

    def _set(self, arrays):
        def named(kind):
            start = f"{kind}/"
            return {name[len(start):]: array for name, array in arrays.items() if name.startswith(start)}

        self.model.load_state_dict(named("model"))  # what parametrizations know is in it
        self.optimizer.load_state_dict(named("optimizer"))
        if self.average:
            self.average.load_state_dict(named("average"))
        for i, array in named("trained").items():
            data = self.optimizer.params[int(i)].data
            data[...] = array
            wrote(data)

    def _description(self) -> str:
        """The architecture as text: layers, names, shapes, dtypes, parametrizations."""
        shapes = [f"{name} {array.dtype}{array.shape}" for name, array in self.model.state_dict().items()]
        modules = ((name or type(module).__name__, module) for name, module in self.model.named_modules())
        parametrizations = [f"{name} {it.parametrization!r}" for name, it in
                            (*self.model.named_parameters(), *modules) if it.parametrization is not None]
        return _placeless("\n".join([repr(self.model), *shapes, *parametrizations]))


def fingerprint(array: np.ndarray) -> str:
    """An array's dtype, shape and checksum."""
    return f"{array.dtype}{array.shape} {_crc(np.ascontiguousarray(array).reshape(-1).view(np.uint8))}"


def sampled(schedule: Callable[[float], float] | None) -> str:
    """A schedule as text, by its values at 16 points, since functions can't be compared."""
    return "none" if schedule is None else str([round(float(schedule(i / 16)), 12) for i in range(16)])


def described(**given: Any) -> dict[str, str]:
    """What is not None, as text to compare: how it prints, and for a function a checksum of its code."""
    texts = {name: _placeless(repr(value)) for name, value in given.items() if value is not None}
    return texts | {f"{name}, the code": _crc(_content(value, value.__code__).encode())
                    for name, value in given.items() if hasattr(value, "__code__")}


def _content(function, code):
    """A Python function's instructions, and the plain values that it takes from outside."""
    inner = [_content(constant, constant) for constant in code.co_consts if hasattr(constant, "co_code")]
    seen = *code.co_consts, *(getattr(function, "__defaults__", None) or ())
    for cell in getattr(function, "__closure__", None) or ():
        with suppress(ValueError):  # nothing is in it yet
            seen = *seen, cell.cell_contents
    return repr((code.co_code, code.co_names, inner, [_value(value) for value in seen]))


def _value(value):
    """A constant as text; of what training could change, only the type."""
    if isinstance(value, frozenset):  # its order differs between processes
        return str(sorted(map(repr, value)))
    return repr(value) if isinstance(value, (int, float, str, bytes, type(None))) else type(value).__name__


def _placeless(text):
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)  # addresses differ between processes


def _check_progress(now, epoch):
    """Raise ValueError or TypeError unless these are a Progress and the states of both Generators."""
    wanted = {"rng", "nn.random", *vars(Progress())}
    if not isinstance(now, dict) or now.keys() != wanted:
        raise ValueError(f"the progress must have the entries {sorted(wanted)}")
    count("the progress", "step", now["step"], 0)
    instance("the progress", "log", now["log"], list, "a list of pairs of numbers")
    for loss, correct in (*now["log"], (now["loss"], now["correct"])):
        number("the progress", "a loss", loss, -math.inf)
        number("the progress", "the count of correct rows", 0 if correct is None else correct, -math.inf)
    done = now["step"] - len(now["log"]) * (epoch or 0)  # in this epoch
    if epoch and (not 0 <= done <= epoch or (done and now["shuffled_from"] is None)):
        raise ValueError(f"step {now['step']} is not in the epoch after those of the log")


def _check_state(name, state, ours):
    """Raise ValueError unless a Generator like ours can be in this state."""
    trial = copy.deepcopy(ours)
    try:
        trial.bit_generator.state = state
        if json.loads(_json(trial)) != state:
            raise ValueError("it becomes another one")
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError(f"{name} is no state of a {type(ours.bit_generator).__name__} ({error})") from error


def _json(rng):
    return json.dumps(rng.bit_generator.state, default=np.ndarray.tolist)


def _crc(content):
    return f"#{zlib.crc32(content):08x}"

"""A Program: a converted network as constants and a flat list of kernel calls.

    program = compress.convert(model)
    print(program)          # a line for every call
    logits = program(x)

It has no parameters, no modes and no gradients, and threads may share it. After conversion no float copy of a
packed weight exists in it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..stored import Stored
from .buffers import Buffers
from .calls import Call, ProgramError, Value

__all__ = ["Program"]

Constant = np.ndarray | Stored
WIDTH = 100  # of a printed line


class Program:
    """Calls from the value `input` (float32, `input_shape` without the batch) to the value `output`.

    Building one checks it: every value read was made before, no value is made twice, every dtype and
    shape fits, every constant is used. ProgramError says which line does not hold.
    name: of the network. calls: what is run, in order. constants: the weights in their stored form, and other
    arrays, by name.
    Raises ProgramError.
    """

    def __init__(
        self,
        name: str,
        input: str,
        input_shape: tuple[int, ...],
        output: str,
        calls: list[Call],
        constants: Mapping[str, Constant],
    ) -> None:
        self.name = name
        self.input, self.input_shape, self.output = input, tuple(input_shape), output
        self.calls = tuple(calls)
        self.constants = dict(constants)
        self.values = self._infer()
        self._runs = [(call.bind(self.constants), call.inputs, call.output) for call in self.calls]
        self._buffers = Buffers(self.calls, self.values, self.input, self.output)
        self._idle: list[tuple[int, list[np.ndarray | None]]] = []  # (batch, buffers) that no run is using

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Run on x, float32 (N, *input_shape) → (N, *output shape).

        NaN and infinity become what the network makes of them; where they meet integers, which can't stand
        for them, they are a ValueError. Raises TypeError or ValueError where x does not fit.
        """
        self.check(x)
        n = len(x)
        try:
            batch, arrays = self._idle.pop()
        except IndexError:  # the first run, or other threads are running
            batch, arrays = -1, []
        if batch != n:
            arrays = self._buffers.arrays(n)
        values = {self.input: x}
        for (run, inputs, output), buffer in zip(self._runs, arrays, strict=True):
            made = self.values[output]
            out = np.empty((n, *made.shape), made.dtype) if buffer is None else buffer
            run(out, *[values[name] for name in inputs])
            values[output] = out
        self._idle.append((n, arrays))
        return values[self.output]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what it was built from: the functions and buffers of a run are made again."""
        calls = list(self.calls)
        return Program, (self.name, self.input, self.input_shape, self.output, calls, self.constants)

    def check(self, x: np.ndarray) -> None:
        """Raise TypeError or ValueError unless x is an input of this Program."""
        if not isinstance(x, np.ndarray) or x.dtype != np.float32:
            got = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
            raise TypeError(f"{self.name}: x must be a float32 array; got {got}")
        if x.ndim != 1 + len(self.input_shape) or x.shape[1:] != self.input_shape:
            wanted = ", ".join(["N", *map(str, self.input_shape)])
            raise ValueError(f"{self.name}: x must have shape ({wanted}); got {x.shape}")

    def every_value(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """All values that a run on x makes, by name, each in memory of its own."""
        self.check(x)
        values = {self.input: x}
        for run, inputs, output in self._runs:
            made = self.values[output]
            values[output] = np.empty((len(x), *made.shape), made.dtype)
            run(values[output], *[values[name] for name in inputs])
        return values

    def seconds(self, x: np.ndarray, clock: Callable[[], float] = time.perf_counter) -> list[float]:
        """The time that each call takes in one run on x, in their order."""
        self.check(x)
        values, taken = {self.input: x}, []
        for (run, inputs, output), buffer in zip(self._runs, self._buffers.arrays(len(x)), strict=True):
            made = self.values[output]
            values[output] = np.empty((len(x), *made.shape), made.dtype) if buffer is None else buffer
            values[output].fill(0)  # memory that was never touched costs its first user
            arguments, start = [values[name] for name in inputs], clock()
            run(values[output], *arguments)
            taken.append(clock() - start)
        return taken

    @property
    def nbytes(self) -> int:
        """Bytes of all constants in memory, as the kernels hold them."""
        return sum(map(in_memory, self.constants.values()))

    @property
    def macs(self) -> int:
        """Multiply-adds for one example."""
        return sum(self.macs_of(call) for call in self.calls)

    def macs_of(self, call: Call) -> int:
        """Multiply-adds of one call for one example."""
        return call.macs(self.constants, *(self.values[name] for name in call.inputs))

    def __str__(self) -> str:
        weights = {
            name: constant for name, constant in self.constants.items() if isinstance(constant, Stored)
        }
        rows = [
            (str(call), str(self.values[call.output]), self._weight(call, weights)) for call in self.calls
        ]
        wide, weighs = (max((len(row[i]) for row in rows), default=0) for i in (1, 2))
        room = max(WIDTH - len("  " * 3) - wide - weighs, WIDTH // 3)
        folded = [_folded(row[0], room) for row in rows]
        calls = max((len(line) for lines in folded for line in lines), default=0)
        head = (
            f"program {self.name}: {self.input} {Value('float32', self.input_shape)} → {self.output} "
            f"{self.values[self.output]}\n{len(self.calls)} calls, {self.macs:,} MACs an example, "
            f"{self.nbytes:,} bytes of constants in memory"
        )
        lines = [
            f"  {line:<{calls}}  {made:<{wide}}  {weight}".rstrip()
            for (_, *beside), (first, *rest) in zip(rows, folded, strict=True)
            for line, made, weight in [(first, *beside), *((more, "", "") for more in rest)]
        ]
        return "\n".join([head, *lines])

    def _weight(self, call: Call, weights: dict[str, Stored]) -> str:
        name = getattr(call, "weight", None)
        if name not in weights or not self.macs_of(call):
            return ""
        weight = weights[name]
        return f"{weight.kind} {'×'.join(map(str, weight.shape))}, {in_memory(weight):,} bytes"

    def _infer(self) -> dict[str, Value]:
        values = {self.input: Value("float32", self.input_shape)}
        for call in self.calls:
            if len(call.inputs) != call.arity:
                raise ProgramError(f"{call}: takes {call.arity} inputs")
            unknown = [name for name in call.inputs if name not in values]
            if unknown:
                raise ProgramError(f"{call}: nothing before it makes {', '.join(unknown)}")
            if call.output in values:
                raise ProgramError(f"{call}: {call.output} was made before")
            missing = [name for name in call.uses() if name not in self.constants]
            if missing:
                raise ProgramError(f"{call}: there is no constant {', '.join(missing)}")
            values[call.output] = call.infer(self.constants, *(values[name] for name in call.inputs))
        if self.output not in values:
            raise ProgramError(f"{self.name}: nothing makes the output {self.output}")
        unused = set(self.constants) - {name for call in self.calls for name in call.uses()}
        if unused:
            raise ProgramError(f"{self.name}: nothing uses the constants {sorted(unused)}")
        return values

    def manifest(self) -> dict[str, Any]:
        """Everything but the constants, as plain JSON values: what a file says of the Program."""
        return {
            "name": self.name,
            "input": self.input,
            "input_shape": list(self.input_shape),
            "output": self.output,
            "calls": [call.to_json() for call in self.calls],
            "weights": {
                name: {"kind": constant.kind, "shape": list(constant.shape)}
                for name, constant in self.constants.items()
                if isinstance(constant, Stored)
            },
        }


def in_memory(constant: Constant) -> int:
    """Bytes of a constant as its kernel holds it."""
    if isinstance(constant, np.ndarray):
        return constant.nbytes
    return constant.operand().nbytes + (0 if constant.scale is None else constant.scale.nbytes)


def _folded(call: str, room: int) -> list[str]:
    """A printed call on lines of at most this many columns, if its arguments allow it: none is broken."""
    lines = [""]
    for argument in re.split(r"(?<=,) ", call):
        if lines[-1] and len(lines[-1]) + 1 + len(argument) > room:
            lines.append("   ")
        lines[-1] += f" {argument}" if lines[-1] else argument
    return lines

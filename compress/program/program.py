"""A Program: a converted network as constants in stored form, and a flat list of calls: what is computed.

    program = compress.convert(model)
    print(program)          # a line for every call
    logits = program(x)     # binds it first (bound.py)
    print(program.profile(x))   # where its time goes (profile.py)

It has no parameters, no modes and no gradients, and threads may share it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nn.graph import Signature
from nn.half import is_half
from nn.sizes import Size, names_in

from ..stored import Stored
from .bound import TARGETS, Bound
from .call import Call
from .device import DeviceBound
from .listing import listing
from .op import Line
from .profile import Profile
from .released import released
from .value import ProgramError, Value, check_grids

Constant = np.ndarray | Stored


class Program(Signature):
    """Calls from the named inputs to the named outputs.

    Building one checks it: every value read was made before, no value is made twice, every dtype and shape
    fits, every constant and grid is used. ProgramError says which line does not hold. name: of the network.
    inputs: their names, and what each must be, in the order of arguments. outputs: their names, and the value
    that each is. calls: what is computed, in order. constants: the weights in their stored form, and other
    arrays, by name. grids: what the integers of a value stand for, where a line chooses that. state: which
    output is to be which input, when the Program runs again. Once it is bound, a weight is held as its
    operand only, where that tells it to the bit. Raises ProgramError."""

    def __init__(self, name: str, inputs: Mapping[str, Value], outputs: Mapping[str, str],
                 calls: Sequence[Call], constants: Mapping[str, Constant],
                 grids: Mapping[str, Any] | None = None, state: Mapping[str, str] | None = None) -> None:
        self.name, self.inputs, self.outputs = name, dict(inputs), dict(outputs)
        self.calls, self.constants = tuple(calls), dict(constants)
        self.grids, self.state = dict(grids or {}), dict(state or {})
        self.chosen: dict[str, str] = {}  # a value on a grid → the name of that grid
        with np.errstate(over="ignore"):  # what leaves float32 is refused
            self.values, self.lines = self._checked()
        self._bound: Bound | None = None
        first, *others = self.inputs.items()
        plain = not others and first[1].shape[:1] == ("N",) and not names_in(first[1].shape[1:])
        self._plain = (first[0], np.dtype(first[1].dtype), first[1].shape[1:]) if plain else None

    def bind(self, target: str = "cpu", crossing: bool = False) -> Bound:
        """The kernels that compute it, chosen by shapes, with their operands packed; made anew at each call.

        target: "cpu", or "cuda": a GPU, on which everything then runs (device.py). crossing: what has no
        kernel there runs on the CPU; else it is refused. Raises ValueError for another target, RuntimeError
        where there is no GPU, ProgramError for calls that it can't run."""
        if target not in TARGETS:
            raise ValueError(f"bind: target must be one of {', '.join(TARGETS)}; got {target!r}")
        if target == "cuda":
            return DeviceBound(self, crossing)
        return Bound(self, {line.call.output: line.op.steps(line) for line in self.lines})

    def to(self, target: str) -> Bound:
        """`bind(target)`."""
        return self.bind(target)

    @property
    def bound(self) -> Bound:
        """What runs when the Program is called: made by the first call, and kept."""
        if self._bound is None:
            self._bound = bound = self.bind()
            for call in self.calls:  # what an operand tells is not held beside it
                name = call.constants.get("weight")
                for step in bound.calls[call.output] if name is not None else ():
                    self.constants[name] = released(self.constants[name], *bound.held[step.output][:1])
        return self._bound

    def __call__(self, *arrays: np.ndarray, **named: np.ndarray) -> Any:
        """Run on the inputs, in their order or by name: see Bound."""
        return self.bound(*arrays, **named)

    def every_value(self, *arrays: np.ndarray, **named: np.ndarray) -> dict[str, np.ndarray]:
        """All values that a run makes, by name, those between the kernels too."""
        return self.bound.every_value(*arrays, **named)

    def profile(self, *arrays: np.ndarray, **how: Any) -> Profile:
        """What each step of its Bound costs on these inputs; how: rounds, seconds, clock. See Bound."""
        return self.bound.profile(*arrays, **how)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what it was built from: it is bound again where it runs."""
        made_of = self.name, self.inputs, self.outputs, self.calls, self.constants, self.grids, self.state
        return Program, made_of

    @property
    def input_shape(self) -> tuple[int | Size, ...]:
        """The shape of an example of its only input."""
        return self.inputs[self.input].shape[1:]

    def check(self, *arrays: np.ndarray, **named: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """The inputs by name, and their named lengths. Raises TypeError, ValueError for what is no input."""
        if self._plain is not None:  # as below, in a tenth of the time
            name, dtype, tail = self._plain
            x = arrays[0] if arrays else named.get(name)
            alone = len(arrays) + len(named) == 1 and type(x) is np.ndarray and x.ndim == 1 + len(tail)
            if alone and x.dtype == dtype and x.shape[1:] == tail:
                return {name: x}, {"N": len(x)}
        given = self.given(arrays, named)
        for name, value in self.inputs.items():
            x = given[name]
            if is_half(x) and value.dtype == "float32":  # which is exact
                given[name] = x = x.astype(np.float32)
            if not isinstance(x, np.ndarray) or x.dtype != value.dtype:
                got = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
                raise TypeError(f"{self.name}: {name} must be a {value.dtype} array; got {got}")
        return given, self.sizes(given)

    @property
    def nbytes(self) -> int:
        """Bytes in memory: those of its Bound."""
        return self.bound.nbytes

    @property
    def macs(self) -> int:
        """Multiply-adds for one example, by the algorithms of its Bound."""
        return self.bound.macs

    def __str__(self) -> str:
        rows = [(str(call), str(self.values[call.output]), self._weight(call)) for call in self.calls]
        inputs = ", ".join(f"{name} {value}" for name, value in self.inputs.items())
        outputs = ", ".join(f"{name} {self.values[value]}" for name, value in self.outputs.items())
        head = (f"program {self.name}: {inputs} → {outputs}\n{len(self.calls)} calls, {self.macs:,} MACs an "
                f"example, {self.nbytes:,} bytes of constants in memory")
        state = [f"  {given} is {made} of the call before" for made, given in self.state.items()]
        return "\n".join([head, *listing(rows), *state])

    def _weight(self, call: Call) -> str:
        weight = self.constants.get(call.constants.get("weight"))
        return "" if weight is None else (f"{weight.kind} {'×'.join(map(str, weight.shape))}, "
                                          f"{self.bound.nbytes_of(call.output):,} bytes")

    def _checked(self) -> tuple[dict[str, Value], list[Line]]:
        """The value that each line makes, and the lines with what their names stand for."""
        check_grids(self.name, self.grids)
        values, lines = dict(self.inputs), []
        names = names_in([value.shape for value in values.values()])
        for call in self.calls:
            op = call.row()
            unknown = ", ".join(name for name in call.inputs if name not in values)
            missing = ", ".join(name for name in call.constants.values() if name not in self.constants)
            wrong = ("this version knows no such op" if op is None else op.wrong(call)
                     or (unknown and f"nothing before it makes {unknown}")
                     or (call.output in values and f"{call.output} was made before")
                     or (missing and f"there is no constant {missing}"))
            if wrong:
                raise call.fail(wrong)
            grid = self.grids.get(call.output)
            line = Line(call, [values[name] for name in call.inputs], self.constants, grid, names)
            values[call.output] = line.made = op.infer(line)
            if grid is not None and line.made.grid is not grid:
                raise call.fail(f"it chooses no grid; the Program names one for {call.output}")
            if line.made.grid is not None:
                before = next((self.chosen[name] for name in call.inputs if name in self.chosen), None)
                self.chosen[call.output] = call.output if grid is not None else before
            lines.append(line)
        if not self.outputs:
            raise ProgramError(f"{self.name}: it has no output")
        for name, value in self.outputs.items():
            if value not in values:
                raise ProgramError(f"{self.name}: nothing makes the output {name}")
            if values[value].grid is not None:
                raise ProgramError(f"{self.name}: the output {name} is on a grid; it must be real")
        for made, given in self.state.items():
            if given not in self.inputs or made not in self.outputs:
                raise ProgramError(f"{self.name}: state {made} → {given} names no output and input")
            value, wanted = values[self.outputs[made]], self.inputs[given]
            moves = any(isinstance(size, Size) and size != "N" for size in wanted.shape)
            if value != wanted and not moves:
                raise ProgramError(f"{self.name}: state {made} is {value}; {given} must be {wanted}")
        if len({*self.state.values()}) < len(self.state):
            raise ProgramError(f"{self.name}: state: two outputs become one input: {self.state}")
        unused = self.constants.keys() - {name for call in self.calls for name in call.constants.values()}
        if unused:
            raise ProgramError(f"{self.name}: nothing uses the constants {sorted(unused)}")
        unmade = self.grids.keys() - {call.output for call in self.calls}
        if unmade:
            raise ProgramError(f"{self.name}: nothing makes the values {sorted(unmade)}, which have grids")
        return values, lines

    def manifest(self) -> dict[str, Any]:
        """Everything but the constants, as plain JSON values: what a file says of the Program."""
        return {
            "name": self.name,
            "inputs": {name: [value.dtype, list(value.shape)] for name, value in self.inputs.items()},
            "outputs": self.outputs, "state": self.state, "calls": [call.to_json() for call in self.calls],
            "grids": {name: [grid.format.name, grid.scale, grid.zero] for name, grid in self.grids.items()},
            "weights": {name: {"kind": constant.kind, "shape": list(constant.shape), "bytes": []}
                        for name, constant in self.constants.items() if isinstance(constant, Stored)}}

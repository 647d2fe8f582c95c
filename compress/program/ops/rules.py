"""The op of everything that has no kernel: it runs the forward of its rule in nn/rules, and is printed so.

    fc.gelu = numpy: gelu(fc)

Which argument a constant is, is its role ("0", "1", …); arguments that are None are named by the attribute
`none`. What a rule makes of shapes is found out on examples of no rows: they have shapes and dtypes, and no
numbers.
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from nn.rules import RULES
from nn.sizes import Size, at, names_in

from ...stored import Stored
from ..call import Call
from ..op import Line, Op, Step
from ..value import Value

OURS = ("none", "makes")  # attributes that are not the rule's own
SUMMING = {"matmul", "linear", "conv2d", "conv_transpose2d", "scaled_dot_product_attention", "einsum"}


class Numpy(Op):
    """`numpy: name(…)`: the rule of that name, on NumPy.

    makes: the dtype and the shape of the result, which says where its lengths move.
    """

    name = "numpy"
    arity = None

    def check(self, call: Call) -> None:
        if rule_of(call) not in RULES:
            raise call.fail(f"there is no rule {rule_of(call)!r}")
        none, makes = call.attributes.get("none", ()), call.attributes.get("makes")
        if not isinstance(none, tuple):
            raise call.fail(f"none must be places of arguments; got {none!r:.80}")
        places = [int(role) if role.isdecimal() else -1 for role in call.constants] + list(none)
        count = len(call.inputs) + len(places)
        if len(set(places)) < len(places) or not all(type(i) is int and 0 <= i < count for i in places):
            raise call.fail("its constants must be numbered by the arguments that they are")
        whole = isinstance(makes, tuple) and len(makes) == 2 and isinstance(makes[1], tuple)
        if not whole or not all(isinstance(n, Size) or (type(n) is int and n >= 0) for n in makes[1]):
            raise call.fail(f"makes must be a dtype and a shape; got {makes!r:.80}")

    def infer(self, line: Line) -> Value:
        for name, value in zip(line.call.inputs, line.inputs, strict=True):
            if value.grid is not None:
                raise line.fail(f"needs reals; {name} is on a grid")
        dtype, shape = line.call.attributes["makes"]
        empty = 0 in shape
        made = Value(str(dtype), shape) if empty else line.made(str(dtype), shape)
        if not names_in(shape) <= line.names:
            raise line.fail(f"makes the shape {shape}, with lengths that no input has")
        dims = {name: 0 if name == "N" else 2 for name in line.names}
        examples = [np.zeros(at(value.shape, dims), value.dtype) for value in line.inputs]
        try:
            with np.errstate(all="ignore"):
                got = run_rule(line)(tuple(constants_of(line)), *examples, dims=dims)
        except Exception as error:
            raise line.fail(f"its rule refuses such inputs: {error}") from error
        if got.shape != at(shape, dims) or got.dtype != np.dtype(made.dtype):
            raise line.fail(f"makes {got.dtype} {got.shape}, not {made.dtype} {at(shape, dims)}")
        return made

    def steps(self, line: Line, made: Value) -> list[Step]:
        def run(held: tuple, out: np.ndarray, *inputs: np.ndarray, dims: dict[str, int]) -> None:
            got = rule(held, *inputs, dims=dims)
            if got.shape != out.shape or got.dtype != out.dtype:
                raise ValueError(f"{line.call}: made {got.dtype} {got.shape}; it was to be {out.dtype} "
                                 f"{out.shape}")
            np.copyto(out, got)

        rule = run_rule(line)
        text = "".join(f", {word}" for word in self.arguments(line.call)[len(line.call.inputs):])
        return [Step(line.call.op, line.call.inputs, line.call.output, made, run, text,
                     lambda source: decoded(line, source.constants), self.macs(line, made), sized=True)]

    def macs(self, line: Line, made: Value) -> int:
        """Multiply-adds of the rules that are products: for each number made, the length it sums over."""
        if rule_of(line.call) not in SUMMING:
            return 0
        fixed, free, _ = places(line.call)
        by_place = dict(zip((*free, *fixed), (*line.inputs, *constants_of(line)), strict=True))
        shapes = [by_place[i].shape for i in sorted(by_place)]
        numbers, ones = made.numbers(), dict.fromkeys(names_in(shapes), 1)
        sizes = [at(shape, ones) for shape in shapes]
        if rule_of(line.call) == "scaled_dot_product_attention":
            keys = sizes[1][-2]
            return numbers // max(sizes[2][-1], 1) * keys * (sizes[0][-1] + sizes[2][-1])
        if rule_of(line.call) == "conv_transpose2d":
            return prod(sizes[0]) * prod(sizes[1][1:])
        if rule_of(line.call) == "einsum":
            equation = line.call.attributes["equation"].replace(" ", "").split("->")[0].split(",")
            if any("." in term for term in equation):
                return 0
            return prod({c: n for term, size in zip(equation, sizes, strict=True)
                         for c, n in zip(term, size, strict=True)}.values())
        return numbers * (prod(sizes[1][1:]) if rule_of(line.call) == "conv2d" else sizes[0][-1])

    def arguments(self, call: Call) -> list[str]:
        """The arguments in the order of the rule, then what its attributes are."""
        values, none = iter(call.inputs), call.attributes.get("none", ())
        none = none if isinstance(none, tuple) else ()
        count = len(call.inputs) + len(call.constants) + len(none)
        names = [call.constants.get(str(i)) or ("None" if i in none else next(values, "?"))
                 for i in range(count)]
        own = {name: value for name, value in call.attributes.items() if name not in OURS}
        return [*names, *(f"{name}={_short(value)}" for name, value in own.items())]

    def of(self, call: Call, name: str) -> Any:
        return call.attributes[name]


def rule_of(call: Call) -> str:
    """The name of the rule that a call runs."""
    return call.op.partition(": ")[2]


def places(call: Call) -> tuple[list[int], list[int], int]:
    """Which arguments of the rule are constants, which are values, and how many there are."""
    fixed, none = [int(role) for role in call.constants], call.attributes.get("none", ())
    count = len(call.inputs) + len(fixed) + len(none)
    return fixed, [i for i in range(count) if i not in fixed and i not in none], count


def constants_of(line: Line) -> tuple[np.ndarray, ...]:
    """The arrays of a line, in the order of its constants."""
    return decoded(line, {name: line.constant(role) for role, name in line.call.constants.items()})


def decoded(line: Line, constants: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    """These constants of a line as arrays; weights are decoded, for no kernel multiplies them here."""
    found = (constants[name] for name in line.call.constants.values())
    return tuple(one.decode() if isinstance(one, Stored) else one for one in found)


def run_rule(line: Line) -> Callable[..., np.ndarray]:
    """A function of the line's constants, its inputs and dims, the named lengths, that runs its rule."""
    rule, call = RULES[rule_of(line.call)], line.call
    fixed, free, count = places(call)
    own = {name: value for name, value in call.attributes.items() if name not in OURS}
    moves = bool(names_in(own))

    def run(held: tuple, *inputs: np.ndarray, dims: dict[str, int]) -> np.ndarray:
        arguments = [None] * count
        for i, array in (*zip(fixed, held, strict=True), *zip(free, inputs, strict=True)):
            arguments[i] = array
        return np.asarray(rule.forward(*arguments, **(at(own, dims) if moves else own))[0])

    return run


def _short(value: Any) -> str:
    return f"array{value.shape}" if isinstance(value, np.ndarray) else str(value).replace(" ", "")

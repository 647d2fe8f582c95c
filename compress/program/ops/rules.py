"""The op of everything that has no kernel: it runs the forward of its rule in nn/rules, and is printed so. On
a GPU some do, those that are made of functions that it knows (nn/cuda/elementwise.py).

    fc.gelu = numpy: gelu(fc)

Which argument a constant is, is its role ("0", "1", …); arguments that are None are named by the attribute
`none`. What a rule makes of shapes and dtypes is found out on examples of no rows."""

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from math import prod
from typing import Any

import numpy as np

from nn.explain.text import short
from nn.rules import RULES
from nn.sizes import Size, at, names_in

from ...stored import Stored
from ..call import Call
from ..op import Line, Op, Step
from ..value import ONES, ProgramError, Value

# Multiply-adds of the rules that are products, of the numbers they make, attributes, and arguments' shapes.
MACS: dict[str, Callable[..., int]] = {
    "matmul": lambda made, how, a, b: made * a[-1],
    "linear": lambda made, how, x, w, *bias: made * x[-1],
    "conv2d": lambda made, how, x, w, *bias: made * prod(w[1:]),
    "conv_transpose2d": lambda made, how, x, w, *bias: prod(x) * prod(w[1:]),
    "scaled_dot_product_attention": lambda made, how, q, k, v, *mask:
        made // max(v[-1], 1) * k[-2] * (q[-1] + v[-1]),
    "einsum": lambda made, how, *shapes: 0 if "." in how["equation"] else prod(
        dict(zip(re.sub("->.*|[ ,]", "", how["equation"]), chain(*shapes), strict=True)).values())}


class Numpy(Op, name="numpy", arity=None, none=()):
    """`numpy: name(…)`: the rule of that name, on NumPy.

    makes: the dtype and the shape of the result, which says where its lengths move."""

    def wrong(self, call: Call) -> str:
        if rule_of(call) not in RULES:
            return f"there is no rule {rule_of(call)!r}"
        none, makes = self.of(call, "none"), call.attributes.get("makes")
        places = [int(role) if role.isdecimal() else -1 for role in call.constants]
        places += none if isinstance(none, tuple) else [-1]
        count = len(call.inputs) + len(places)
        if len(set(places)) < len(places) or not all(type(i) is int and 0 <= i < count for i in places):
            return "its constants, and what is none, must be numbered by the arguments that they are"
        whole = isinstance(makes, tuple) and len(makes) == 2 and isinstance(makes[1], tuple)
        if not whole or not all(isinstance(n, Size) or (type(n) is int and n >= 0) for n in makes[1]):
            return f"makes must be a dtype and a shape; got {makes!r:.80}"
        return ""

    def infer(self, line: Line) -> Value:
        for name, value in zip(line.call.inputs, line.inputs, strict=True):
            if value.grid is not None:
                raise line.fail(f"needs reals; {name} is on a grid")
        dtype, shape = line.call.attributes["makes"]
        made = Value(str(dtype), shape) if 0 in shape else line.value(str(dtype), shape)
        if not names_in(shape) <= line.names:
            raise line.fail(f"makes the shape {shape}, with lengths that no input has")
        dims = {name: 0 if name == "N" else 2 for name in line.names}
        examples = [np.zeros(at(value.shape, dims), value.dtype) for value in line.inputs]
        try:
            with np.errstate(all="ignore"):
                out = np.empty(at(shape, dims), made.dtype)
                runs(line)(decoded(line, line.constants), out, *examples, dims=dims)
        except ProgramError:
            raise
        except Exception as error:
            raise line.fail(f"its rule refuses such inputs: {error}") from error
        return made

    def steps(self, line: Line) -> list[Step]:
        read = arranged(line.call, line.inputs, decoded(line, line.constants))
        shapes = [None if one is None else one.shape for one in read]
        macs = MACS.get(rule_of(line.call), lambda *any: 0)

        def multiplies(dims: Mapping[str, int]) -> int:
            return macs(line.made.numbers(dims), line.call.attributes, *at(shapes, dims))

        return [line.step(line.call.op, runs(line), load=lambda constants, grids: decoded(line, constants),
                          macs=multiplies(ONES), multiplies=multiplies, sized=True)]

    def arguments(self, call: Call) -> list[str]:
        """The arguments in the order of the rule, then what its attributes are."""
        if self.wrong(call):
            return super().arguments(call)
        own = (f"{name}={short(value).replace(' ', '')}" for name, value in own_of(call).items())
        return [*map(str, arranged(call, call.inputs, call.constants.values())), *own]


def rule_of(call: Call) -> str:
    """The name of the rule that a call runs."""
    return call.op.partition(": ")[2]


def own_of(call: Call) -> dict[str, Any]:
    """The attributes that are the rule's own."""
    return {name: value for name, value in call.attributes.items() if name not in ("none", "makes")}


def arranged(call: Call, inputs: Iterable[Any], constants: Iterable[Any]) -> list[Any]:
    """What a call reads, in the order of its rule's arguments; one that is None is None."""
    places = dict(zip(map(int, call.constants), constants, strict=True))
    places |= dict.fromkeys(call.attributes.get("none", ()))
    rest = iter(inputs)
    return [places[i] if i in places else next(rest) for i in range(len(call.inputs) + len(places))]


def decoded(line: Line, constants: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    """These constants of a line as arrays; weights are decoded, for no kernel multiplies them here."""
    found = (constants[name] for name in line.call.constants.values())
    return tuple(one.decode() if isinstance(one, Stored) else one for one in found)


def runs(line: Line) -> Callable[..., None]:
    """The `run` of a step that runs the line's rule, with its constants as what is held."""
    rule, call = RULES[rule_of(line.call)], line.call
    own = own_of(call)
    moves = bool(names_in(own))
    at_constants = range(1, 1 + len(call.constants))  # of what is given: None, the constants, the inputs
    at_inputs = range(at_constants.stop, at_constants.stop + len(call.inputs))
    order = [0 if i is None else i for i in arranged(call, at_inputs, at_constants)]

    def run(held: tuple, out: np.ndarray, *inputs: np.ndarray, dims: dict[str, int]) -> None:
        given = None, *held, *inputs
        got, _ = rule.forward(*[given[i] for i in order], **(at(own, dims) if moves else own))
        got = got if hasattr(got, "dtype") else np.asarray(got)
        if got.shape != out.shape or got.dtype != out.dtype:
            raise line.fail(f"makes {got.dtype} {got.shape}, not {out.dtype} {out.shape}")
        np.copyto(out, got)

    return run

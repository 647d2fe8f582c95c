"""Softmax attention of many heads, on its kernel: no matrix of all queries and keys is made.

    found = attention(q, k, v, causal)

A mask is a fourth value, or a constant: booleans, true where a query may look, or float32 to add to
scores."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from nn.kernels import attention
from nn.sizes import at

from ..call import Call
from ..op import Line, Op, Step
from ..value import ONES, Value


class Attention(Op, name="attention", arity=None, roles={"mask": False}, causal=False, scale=None):
    """q (…, L, E), k (…, S, E) and v (…, S, V) → (…, L, V), of at most four axes, those before the last two
    alike. scale: of the scores; 1/√E if none is said."""

    def wrong(self, call: Call) -> str:
        if len(call.inputs) + len(call.constants) not in (3, 4) or len(call.inputs) < 3:
            return "takes 3 inputs, and a mask as a fourth or as a constant"
        return super().wrong(call)

    def infer(self, line: Line) -> Value:
        q, k, v = (line.need(i, "float32").shape for i in range(3))
        if not 2 <= len(q) <= 4 or not q[:-2] == k[:-2] == v[:-2] or q[-1:] != k[-1:] or k[-2] != v[-2]:
            raise line.fail(f"{q}, {k} and {v} do not fit; wanted (…, L, E), (…, S, E) and (…, S, V), of at "
                            "most four axes")
        mask = _mask(line)
        if mask is not None:
            scores = (1,) * (4 - len(q)) + (*q[:-1], k[-2])
            shape = (1,) * (4 - len(mask.shape)) + tuple(mask.shape)
            fits = len(shape) == 4 and all(n in (1, wanted) for n, wanted in zip(shape, scores, strict=True))
            if str(mask.dtype) not in ("bool", "float32") or not fits:
                raise line.fail(f"a mask of {mask.dtype} {mask.shape}; wanted bool or float32, of the shape "
                                f"{(*q[:-1], k[-2])}, or 1 in place of a size")
        return line.value("float32", (*q[:-1], v[-1]))

    def steps(self, line: Line) -> list[Step]:
        (*_, e), (*_, keys, _), (*_, width) = (value.shape for value in line.inputs[:3])
        how = {"scale": e ** -0.5 if line["scale"] is None else line["scale"], "causal": line["causal"]}

        def multiplies(dims: Mapping[str, int]) -> int:
            return line.made.numbers(dims) // width * at(keys, dims) * (e + width)

        def load(constants: Mapping[str, Any], grids: Mapping[str, Any]) -> tuple:
            return tuple(map(constants.get, line.call.constants.values()))

        def run(held: tuple, out: np.ndarray, *inputs: np.ndarray) -> None:
            q, k, v, *mask = (x.reshape((1,) * (4 - x.ndim) + x.shape) for x in (*inputs, *held))
            mask = [m.view(np.uint8) if m.dtype == bool else m for m in mask]
            np.copyto(out, attention(q, k, v, *mask, **how)[0].reshape(out.shape))

        return [line.step("attention", run, load=load, macs=multiplies(ONES), multiplies=multiplies)]


def _mask(line: Line) -> Any:
    """What has the dtype and the shape of the mask; None if there is none."""
    if len(line.inputs) > 3:
        return line.inputs[3]
    mask = line.constants[line.call.constants["mask"]] if line.call.constants else None
    if mask is not None and not isinstance(mask, np.ndarray):
        raise line.fail(f"a mask must be an array; got {type(mask).__name__}")
    return mask

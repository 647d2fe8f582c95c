"""Every function on random shapes: PyTorch's outputs and gradients (recorded by record_functions.py and
record_names.py)."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import nn
from nn import functional as F

PATH = Path(__file__).parents[1] / "golden" / "torch_functions.npz"
FILES = tuple(np.load(path) for path in (PATH, PATH.with_name("torch_names.npz")))


class Reader:
    """The long arrays, from the beginning, in pieces of given shapes."""

    def __init__(self, recorded):
        self.arrays = {name: recorded[name] for name in ("half", "ints", "quarters", "single")}
        self.at = Counter()

    def take(self, name, shape):
        start, count = self.at[name], int(np.prod(shape))
        self.at[name] += count
        return self.arrays[name][start : start + count].reshape(shape)

    def case(self, case):
        """Inputs, cotangents, outputs, and gradients (None where there is none)."""
        inputs = []
        for spec in case["inputs"]:
            kind, *shape = spec or (None,)
            x = None if spec is None else self.take("half" if kind == "f" else "ints", shape)
            inputs.append(x.astype({"f": float, "b": bool, "i": np.int64}[kind]) if spec else None)
        v = [self.take("quarters", shape) / 4 for shape in case["outs"]]
        outs = [self.take("single", shape) for shape in case["outs"]]
        grads = [
            self.take("single", x.shape)
            if i < case["learnt"] and x is not None and x.dtype.kind == "f"
            else None
            for i, x in enumerate(inputs)
        ]
        return inputs, v, outs, grads


def cases(recorded):
    reader, listed = Reader(recorded), json.loads(str(recorded["cases"]))
    found = [(case, *reader.case(case)) for case in listed]
    assert all(reader.at[name] == array.size for name, array in reader.arrays.items())
    return found


CASES = [case for recorded in FILES for case in cases(recorded)]


def call(case, inputs):
    names = case["names"]
    positional = inputs[: len(inputs) - len(names)]
    how = dict(zip(names, inputs[len(positional) :], strict=True)) | case["how"]
    how = {name: tuple(x) if isinstance(x, list) else x for name, x in how.items()}
    name = case["function"]
    if name == "einsum":
        return nn.einsum(how["equation"], *positional)
    if name.startswith("."):
        return getattr(positional[0], name[1:])(*positional[1:], **how)
    return getattr(F, name)(*positional, **how)


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("at", range(len(CASES)), ids=lambda at: f"{at}-{CASES[at][0]['function']}")
def test_outputs_and_gradients_are_pytorchs(at, dtype):
    case, inputs, cotangents, outs, grads = CASES[at]
    close = 1e-6 if dtype == np.float64 else 2e-5  # what is recorded are float32
    given = [
        nn.Tensor(x.astype(dtype), requires_grad=g is not None)
        if x is not None and x.dtype.kind == "f"
        else x
        for x, g in zip(inputs, grads, strict=True)
    ]
    result = call(case, given)
    results = [y for y in (result if isinstance(result, tuple) else (result,)) if y.dtype.kind == "f"]
    assert len(results) == len(outs)
    for y, want in zip(results, outs, strict=True):
        assert y.dtype == dtype
        assert y.shape == want.shape
        np.testing.assert_allclose(y.data, want, rtol=close, atol=close)
    sum((y * v.astype(dtype)).sum() for y, v in zip(results, cotangents, strict=True)).backward()
    for x, want in zip(given, grads, strict=True):
        if want is not None:
            have = np.zeros(x.shape) if x.grad is None else x.grad
            most = max(1, np.abs(want).max(initial=0))
            np.testing.assert_allclose(have, want, rtol=close, atol=close * most)


def test_every_function_is_in_some_record():
    """In this one, or in that of test_functional or of test_contrastive; but what is drawn at random or
    computes nothing."""
    here = {case["function"] for case, *_ in CASES}
    there = {"batch_norm", "linear", "nt_xent"}
    assert set(F.__all__) - here == there | {"cat", "dropout", "flatten", "matmul", "one_hot", "stack"} | {
        name for name in ("chunk", "gather", "clamp") if f".{name}" in here and name not in here
    }


def test_the_recorded_files_are_small():
    recorded = ("operations.npz", "functions.npz", "names.npz", "layers.npz", "layers.safetensors")
    assert sum(PATH.with_name(f"torch_{name}").stat().st_size for name in recorded) < 400_000

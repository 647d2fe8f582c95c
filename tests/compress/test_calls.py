"""The lines of a Program: every bad one is refused and shown, in Python and as JSON from a file."""

import json
from dataclasses import replace

import numpy as np
import pytest

import compress
from compress.formats.affine import INT8 as WEIGHTS
from compress.program.calls import (
    CALLS,
    ProgramError,
    call_from_json,
    direct,
    layout,
    multiply,
    pointwise,
    pool,
    winograd,
)
from compress.program.filters import FilterWeight
from compress.program.winograd import WinogradWeight
from compress.techniques.dense import DenseWeight
from compress.techniques.prune import SparseWeight
from compress.techniques.shared import SharedWeight
from compress.techniques.tensor_train import TensorTrainWeight


def dense(out=2, width=3):
    return DenseWeight(np.ones((out, width), np.float32))


def int8_weight(out=2, width=3, scale=1.0):
    return WEIGHTS.stored(np.ones((out, width), np.int8), np.full(out, scale, np.float32))


BIAS = np.zeros(2, np.int32)
INT8 = {"w": int8_weight(), "b": BIAS}
TRAIN = TensorTrainWeight([np.ones((1, 2, 1, 2), np.float32), np.ones((2, 2, 2, 1), np.float32)])
SHARED = SharedWeight(np.zeros((2, 4), np.uint8), np.ones(3, np.float32))
SPARSE = SparseWeight.from_dense(np.ones((2, 4), np.float32))
FLAT, IMAGE = (3,), (4, 4, 3)


def im2col(**changes):
    return replace(layout.Im2col(("x",), "y", (3, 3), (1, 1), (0, 0), (1, 1), 0), **changes)


FILTERS = {"w": WinogradWeight(np.ones((2, 3, 3, 3), np.float32))}


def convolution(**changes):
    return replace(winograd.WinogradConv2d(("x",), "y", "w", None, (0, 0)), **changes)


PLAIN = {"w": FilterWeight(np.ones((2, 3, 3, 2), np.float32))}


def plain(**changes):
    return replace(direct.Conv2d(("x",), "y", "w", None, (1, 1), (0, 0), (1, 1), False), **changes)


def max_pool(**changes):
    return replace(pool.MaxPool(("x",), "y", (2, 2), (2, 2), (0, 0)), **changes)


def qgemm(**changes):
    line = multiply.QGemm(("q",), "y", "w", "b", 1.0, 0, 1.0, 0)
    return [pointwise.Quantize(("x",), "q", 1.0, 0), replace(line, **changes)]


BAD_LINES = {
    "nothing makes it": ([pointwise.Relu(("z",), "y", 0)], {}, FLAT, "nothing before it makes z"),
    "made later": (
        [pointwise.Relu(("z",), "y", 0), pointwise.Relu(("x",), "z", 0)], {}, FLAT, "before it makes z",
    ),
    "reads itself": ([pointwise.Relu(("y",), "y", 0)], {}, FLAT, "nothing before it makes y"),
    "made twice": ([pointwise.Relu(("x",), "y", 0)] * 2, {}, FLAT, "y was made before"),
    "overwrites the input": ([pointwise.Relu(("x",), "x", 0)], {}, FLAT, "x was made before"),
    "no output": ([pointwise.Relu(("x",), "z", 0)], {}, FLAT, "nothing makes the output y"),
    "no line": ([], {}, FLAT, "nothing makes the output y"),
    "one input too many": ([pointwise.Relu(("x", "x"), "y", 0)], {}, FLAT, "takes 1 inputs"),
    "one input too few": ([pointwise.Add(("x",), "y")], {}, FLAT, "takes 2 inputs"),
    "no constant": ([pointwise.Bias(("x",), "y", "b")], {}, FLAT, "there is no constant b"),
    "unused constant": ([pointwise.Relu(("x",), "y", 0)], {"b": BIAS}, FLAT, r"uses the constants \['b'\]"),
    "bias of another size": (
        [pointwise.Bias(("x",), "y", "b")], {"b": np.zeros(2, np.float32)}, FLAT,
        r"b must be float32 \(3,\); got float32 \(2,\)",
    ),
    "bias of another dtype": ([pointwise.Bias(("x",), "y", "b")], {"b": np.zeros(3)}, FLAT, "got float64"),
    "bias that is no number": (
        [pointwise.Bias(("x",), "y", "b")], {"b": np.full(3, np.nan, np.float32)}, FLAT, "b must be finite"
    ),
    "weight as bias": ([pointwise.Bias(("x",), "y", "b")], {"b": dense()}, FLAT, "got DenseWeight"),
    "shift missing": (
        [pointwise.Scale(("x",), "y", "s", "t")], {"s": np.ones(3, np.float32)}, FLAT, "no constant t"
    ),
    "wrong kind of weight": (
        [multiply.Gemm(("x",), "y", "w")], {"w": int8_weight()}, FLAT,
        "must be a weight for gemm; got Quantized"
    ),
    "array for a weight": ([multiply.Gemm(("x",), "y", "w")], {"w": BIAS}, FLAT, "got ndarray"),
    "weight of another width": (
        [multiply.Gemm(("x",), "y", "w")], {"w": dense(2, 4)}, FLAT, r"w \(2, 4\) does not fit rows of 3"
    ),
    "sparse weight of another width": (
        [multiply.SpmmCsr(("x",), "y", "w")], {"w": SPARSE}, FLAT,
        "does not fit rows of 3",
    ),
    "tensor train of another width": (
        [multiply.TtMatmul(("x",), "y", "w")], {"w": TRAIN}, FLAT,
        "does not fit rows of 3",
    ),
    "shared weight of another width": (
        [multiply.CodebookGemm(("x",), "y", "w")], {"w": SHARED}, FLAT,
        "does not fit rows of 3",
    ),
    "floats into qgemm": (
        [replace(qgemm()[1], inputs=("x",))], INT8, FLAT, "needs uint8; got float32"
    ),
    "integers into gemm": (
        [qgemm()[0], multiply.Gemm(("q",), "y", "w")], {"w": dense()}, FLAT, "needs float32; got uint8"
    ),
    "integers into add": (
        [qgemm()[0], pointwise.Add(("x", "q"), "y")], {}, FLAT, "needs float32; got uint8"
    ),
    "add of two shapes": (
        [multiply.Gemm(("x",), "z", "w"), pointwise.Add(("x", "z"), "y")], {"w": dense()}, FLAT, "differ"
    ),
    "scale of zero": (qgemm(x_scale=0.0), INT8, FLAT, "scale must be positive"),
    "negative scale": (qgemm(y_scale=-1.0), INT8, FLAT, "scale must be positive"),
    "scale that is no number": (
        qgemm(y_scale=float("nan")), INT8, FLAT, "scale must be positive"
    ),
    "zero point out of range": (qgemm(x_zero=256), INT8, FLAT, "zero point in 0…255"),
    "negative zero point": (qgemm(y_zero=-1), INT8, FLAT, "zero point in 0…255"),
    "float bias into qgemm": (
        qgemm(), {"w": int8_weight(), "b": np.zeros(2, np.float32)}, FLAT, "b must be int32"
    ),
    "sum that overflows": (
        qgemm(), {"w": int8_weight(), "b": np.array([2**31 - 1, 0], np.int32)}, FLAT, "could leave int32"
    ),
    "most negative bias": (
        qgemm(), {"w": int8_weight(), "b": np.array([-(2**31), 0], np.int32)}, FLAT, "could leave int32"
    ),
    "multiplier that overflows": (
        qgemm(x_scale=1e30, y_scale=1e-30), INT8, FLAT, "leaves float32"
    ),
    "dequantize of floats": (
        [pointwise.Dequantize(("x",), "y", 1.0, 0, None)], {}, FLAT, "needs uint8; got float32"
    ),
    "dequantize by another weight": (
        [*qgemm(y_scale=None, output="z"), pointwise.Dequantize(("z",), "y", 1.0, 0, "v")],
        {"w": int8_weight(), "b": BIAS, "v": int8_weight(5)}, FLAT, "v is no int8 weight with 2 outputs",
    ),
    "scale beyond float32": ([pointwise.Quantize(("x",), "y", 1e39, 0)], {}, FLAT, "finite in float32"),
    "dequantize that overflows": (
        [*qgemm(y_scale=None, output="z"), pointwise.Dequantize(("z",), "y", 1e20, 0, "w")],
        {"w": int8_weight(scale=1e20), "b": BIAS}, FLAT, r"scale · w\.scale leaves float32",
    ),
    "quantize twice": (
        [qgemm()[0], pointwise.Quantize(("q",), "y", 1.0, 0)], {}, FLAT, "needs float32; got uint8"
    ),
    "image where rows are wanted": ([im2col()], {}, FLAT, "needs 3 dimensions beside the batch"),
    "rows where an image is wanted": ([layout.Nhwc(("x",), "y")], {}, FLAT, "needs 3 dimensions"),
    "rows as an image": ([layout.Nchw(("x",), "y")], {}, FLAT, "needs 3 dimensions"),
    "flatten of rows": ([layout.Flatten(("x",), "y")], {}, FLAT, "needs 3 dimensions"),
    "kernel larger than the image": ([im2col(kernel=(5, 1))], {}, IMAGE, "empty or too large"),
    "stride of zero": ([im2col(stride=(0, 1))], {}, IMAGE, "stride and dilation must be positive"),
    "negative padding": ([im2col(padding=(0, -1))], {}, IMAGE, "padding not negative"),
    "padding with no integer": ([im2col(fill=300)], {}, IMAGE, r"fill in 0…255"),
    "more padding than memory": ([im2col(padding=(2**30, 0))], {}, IMAGE, "empty or too large"),
    "patches larger than memory": (
        [im2col(kernel=(2**15, 2**15), padding=(2**15, 2**15))], {}, IMAGE, "empty or too large"
    ),
    "winograd of rows": ([convolution()], FILTERS, FLAT, "needs 3 dimensions beside the batch"),
    "winograd of a matrix": ([convolution()], {"w": dense()}, IMAGE, "must be a WinogradWeight; got Dense"),
    "winograd of other channels": (
        [convolution()], FILTERS, (4, 4, 2), r"w \(2, 3, 3, 3\) does not fit an image of 2 channels",
    ),
    "winograd with negative padding": ([convolution(padding=(0, -1))], FILTERS, IMAGE, "padding must not be"),
    "winograd larger than the image": ([convolution()], FILTERS, (2, 4, 3), "empty or too large"),
    "winograd with more padding than memory": (
        [convolution(padding=(2**30, 0))], FILTERS, IMAGE, "empty or too large"
    ),
    "winograd with a bias of another size": (
        [convolution(bias="b")], {**FILTERS, "b": np.zeros(3, np.float32)}, IMAGE, r"b must be float32 \(2,\)"
    ),
    "integers into winograd": (
        [qgemm()[0], convolution(inputs=("q",))], FILTERS, IMAGE, "needs float32; got uint8"
    ),
    "convolution of rows": ([plain()], PLAIN, FLAT, "needs 3 dimensions beside the batch"),
    "convolution with a matrix": ([plain()], {"w": dense()}, IMAGE, "must be a FilterWeight; got Dense"),
    "convolution of other channels": (
        [plain()], PLAIN, (4, 4, 2), r"w \(2, 3, 3, 2\) does not fit an image of 2 channels",
    ),
    "convolution with a stride of zero": ([plain(stride=(1, 0))], PLAIN, IMAGE, "stride and dilation"),
    "convolution with no dilation": ([plain(dilation=(0, 1))], PLAIN, IMAGE, "stride and dilation"),
    "convolution with negative padding": ([plain(padding=(0, -1))], PLAIN, IMAGE, "padding not negative"),
    "convolution larger than the image": ([plain(dilation=(2, 1))], PLAIN, IMAGE, "empty or too large"),
    "convolution with more padding than memory": (
        [plain(padding=(2**30, 0), stride=(2**30, 1))], PLAIN, IMAGE, "empty or too large"
    ),
    "convolution with a bias of another size": (
        [plain(bias="b")], {**PLAIN, "b": np.zeros(3, np.float32)}, IMAGE, r"b must be float32 \(2,\)"
    ),
    "integers into a convolution": (
        [qgemm()[0], plain(inputs=("q",))], PLAIN, IMAGE, "needs float32; got uint8"
    ),
    "pool over half padded": ([max_pool(padding=(2, 0))], {}, IMAGE, "padding at most half the kernel"),
    "pool with negative padding": ([max_pool(padding=(-1, 0))], {}, IMAGE, "padding must not be negative"),
    "pool without a window": ([max_pool(kernel=(0, 1))], {}, IMAGE, "kernel and stride must be positive"),
    "pool larger than the image": ([max_pool(kernel=(9, 9))], {}, IMAGE, "empty or too large"),
    "average of no integer": (
        [pool.AvgPool(("x",), "y", (2, 2), (2, 2), (0, 0), -1)], {}, IMAGE, "zero must be in 0…255"
    ),
    "relu at no integer": ([pointwise.Relu(("x",), "y", 256)], {}, FLAT, "zero must be in 0…255"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_refused_and_shown(name):
    calls, constants, shape, message = BAD_LINES[name]
    with pytest.raises(ProgramError, match=message) as caught:
        compress.Program("p", "x", shape, "y", calls, constants)
    said = str(caught.value)
    assert said.startswith("p: ") or any(said.startswith(f"{call}: ") for call in calls)


def test_every_call_has_a_bad_line():
    tried = {type(call) for calls, *_ in BAD_LINES.values() for call in calls}
    free = {layout.Ravel}  # takes anything
    assert tried | free == set(CALLS.values())


def test_names_of_calls_are_their_own():
    assert all(CALLS[cls.op] is cls for cls in CALLS.values())
    assert not any(name.startswith("_") for name in CALLS)


# Calls as JSON


def test_json_there_and_back():
    for calls, *_ in BAD_LINES.values():
        for call in calls:
            text = json.dumps(call.to_json())
            if "NaN" not in text and call.to_json().get("zero", 0) >= 0:
                assert call_from_json(json.loads(text)) == call


@pytest.mark.parametrize(
    "data",
    [
        None, [], "relu", {}, {"op": "relu"}, {"op": "call", "inputs": [], "output": ""},
        {"op": ["relu"], "inputs": ["x"], "output": "y", "zero": 0},
        {"op": "multiply", "inputs": ["x"], "output": "y", "weight": "w"},
        {"op": "relu", "inputs": ["x"], "output": "y", "zero": 0, "more": 1},
        {"op": "relu", "inputs": "x", "output": "y", "zero": 0},
        {"op": "relu", "inputs": [1], "output": "y", "zero": 0},
        {"op": "relu", "inputs": ["x"], "output": None, "zero": 0},
        {"op": "relu", "inputs": ["x"], "output": "y", "zero": 0.0},
        {"op": "relu", "inputs": ["x"], "output": "y", "zero": True},
        {"op": "relu", "inputs": ["x"], "output": "y", "zero": 2**31},
        {"op": "relu", "inputs": ["x"], "output": "y", "zero": 10**400},
        {"op": "quantize", "inputs": ["x"], "output": "y", "scale": "1", "zero": 0},
        {"op": "quantize", "inputs": ["x"], "output": "y", "scale": True, "zero": 0},
        {"op": "quantize", "inputs": ["x"], "output": "y", "scale": float("nan"), "zero": 0},
        {"op": "quantize", "inputs": ["x"], "output": "y", "scale": float("inf"), "zero": 0},
        {"op": "quantize", "inputs": ["x"], "output": "y", "scale": 10**400, "zero": 0},
        {"op": "max_pool", "inputs": ["x"], "output": "", "kernel": [2], "stride": [2, 2], "padding": [0, 0]},
        {"op": "max_pool", "inputs": ["x"], "output": "", "kernel": 2, "stride": [2, 2], "padding": [0, 0]},
        {"op": "max_pool", "inputs": ["x"], "output": "", "kernel": [2, 2, 2], "stride": [], "padding": []},
        {"op": "dequantize", "inputs": ["x"], "output": "y", "scale": 1.0, "zero": 0, "weight": 3},
    ],
    ids=str,
)  # fmt: skip
def test_json_that_is_no_call(data):
    with pytest.raises(ProgramError):
        call_from_json(data)

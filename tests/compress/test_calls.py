"""The lines of a Program: every bad one is refused and shown, in Python and as JSON from a file."""

import json

import numpy as np
import pytest

import compress
from compress.dense import DenseWeight
from compress.formats.affine import INT8, UINT8
from compress.formats.format import Grid
from compress.program.call import OPS, Call, call_from_json
from compress.program.value import ProgramError, Value
from compress.sparse.csr import SparseWeight
from compress.techniques.shared import SharedWeight
from compress.techniques.tensor_train import TensorTrainWeight
from nn.sizes import Size

N = Size("N")


def dense(out=2, width=3):
    return DenseWeight(np.ones((out, width), np.float32))


def int8_weight(out=2, width=3, scale=1.0):
    return INT8.stored(np.ones((out, width), np.int8), np.full(out, scale, np.float32))


def grid(scale=1.0, zero=0):
    return Grid(UINT8, scale, zero)


BIAS = np.zeros(2, np.int32)
INTEGER = {"w": int8_weight(), "b": BIAS}
TRAIN = TensorTrainWeight([np.ones((1, 2, 1, 2), np.float32), np.ones((2, 2, 2, 1), np.float32)])
SHARED = SharedWeight(np.zeros((2, 4), np.uint8), np.ones(3, np.float32))
SPARSE = SparseWeight(np.ones((2, 4), np.float32))
FLAT, IMAGE = (3,), (4, 4, 3)
WEIGHT, BOTH = {"weight": "w"}, {"weight": "w", "bias": "b"}


def line(op, *inputs, output="y", constants=None, **attributes):
    return Call(op, inputs or ("x",), output, constants or {}, attributes)


def linear(*inputs, constants=WEIGHT, **more):
    return line("linear", *inputs, constants=constants, **more)


FILTERS = {"w": DenseWeight(np.ones((2, 3, 3, 3), np.float32))}
NARROW = {"w": DenseWeight(np.ones((2, 3, 3, 2), np.float32))}


def conv2d(*inputs, constants=WEIGHT, **attributes):
    return line("conv2d", *inputs, constants=constants, **attributes)


def winograd(*inputs, **attributes):
    return conv2d(*inputs, algorithm="winograd", **attributes)


def im2col(**attributes):
    return conv2d(algorithm="im2col", **attributes)


def max_pool(**changes):
    return line("max_pool2d", **{"kernel": (2, 2), **changes})


def rule(name, *inputs, makes=("float32", (N, 3)), constants=None, **attributes):
    return line(f"numpy: {name}", *inputs, constants=constants, makes=makes, **attributes)


QUANTIZE = line("quantize", output="q")
INTEGERS = [QUANTIZE, linear("q", constants=BOTH)]


def quantized(q=None, y=None, calls=INTEGERS):
    """The calls, and the grids of q and y."""
    grids = {"q": grid() if q is None else q, "y": grid() if y is None else y}
    return calls, {name: one for name, one in grids.items() if one != "none"}


BAD_LINES = {
    "nothing makes it": ([line("clip", "z")], {}, FLAT, "nothing before it makes z"),
    "made later": ([line("clip", "z"), line("clip", output="z")], {}, FLAT, "before it makes z"),
    "reads itself": ([line("clip", "y")], {}, FLAT, "nothing before it makes y"),
    "made twice": ([line("clip")] * 2, {}, FLAT, "y was made before"),
    "overwrites the input": ([line("clip", output="x")], {}, FLAT, "x was made before"),
    "no output": ([line("clip", output="z")], {}, FLAT, "nothing makes the output y"),
    "no line": ([], {}, FLAT, "nothing makes the output y"),
    "no such op": ([line("relu")], {}, FLAT, "this version knows no such op"),
    "one input too many": ([line("clip", "x", "x")], {}, FLAT, "takes 1 inputs"),
    "one input too few": ([line("add")], {}, FLAT, "takes 2 inputs"),
    "an attribute too many": ([line("clip", more=1)], {}, FLAT, "has no attribute more"),
    "an attribute of another kind": ([line("clip", clip=1.0)], {}, FLAT,
                                     "clip must be of the kind clip; got"),
    "no constant": ([linear()], {}, FLAT, "there is no constant w"),
    "no weight": ([linear(constants={})], {}, FLAT, "takes the constants weight, bias; got"),
    "another role": ([line("clip", constants={"weight": "w"})], {"w": dense()}, FLAT, "takes the constants"),
    "unused constant": ([line("clip")], {"b": BIAS}, FLAT, r"uses the constants \['b'\]"),
    "bias of another size": (
        [linear(constants=BOTH)], {"w": dense(), "b": np.zeros(3, np.float32)}, FLAT,
        r"b must be float32 \(2,\); got float32 \(3,\)"),
    "bias of another dtype": ([linear(constants=BOTH)], {"w": dense(), "b": np.zeros(2)}, FLAT,
                              "got float64"),
    "bias that is no number": (
        [linear(constants=BOTH)], {"w": dense(), "b": np.full(2, np.nan, np.float32)}, FLAT,
            "b must be finite"),
    "weight as bias": ([linear(constants=BOTH)], {"w": dense(), "b": dense()}, FLAT, "got DenseWeight"),
    "shift missing": (
        [line("scale", constants={"scale": "s", "shift": "t"})], {"s": np.ones(3, np.float32)}, FLAT,
        "no constant t"),
    "reals and a bias of integers": ([linear(constants=BOTH)], {"w": int8_weight(), "b": BIAS}, FLAT,
                                 r"b must be float32 \(2,\); got int32"),
    "array for a weight": ([linear()], {"w": BIAS}, FLAT, "w must be a weight; got ndarray"),
    "weight of another width": ([linear()], {"w": dense(2, 4)}, FLAT, r"w \(2, 4\) does not fit rows of 3"),
    "sparse weight of another width": ([linear()], {"w": SPARSE}, FLAT, "does not fit rows of 3"),
    "tensor train of another width": ([linear()], {"w": TRAIN}, FLAT, "does not fit rows of 3"),
    "shared weight of another width": ([linear()], {"w": SHARED}, FLAT, "does not fit rows of 3"),
    "integers into a float weight": (
        quantized(y="none", calls=[QUANTIZE, linear("q")]), {"w": dense()}, FLAT,
        "no kernel multiplies dense weights by uint8"),
    "integers without a bias": (quantized(calls=[QUANTIZE, linear("q")]), {"w": int8_weight()}, FLAT,
                                "need a bias"),
    "integers and reals into add": (
        quantized(calls=[QUANTIZE, line("add", "x", "q")]), {}, FLAT, "two of float32 or two of integers"),
    "add of two shapes": ([linear(output="z"), line("add", "x", "z")], {"w": dense()}, FLAT, "differ"),
    "integer add on no grid": (
        quantized(y="none", calls=[QUANTIZE, line("add", "q", "q")]), {}, FLAT, "y has no grid to be on"),
    "quantize on no grid": ([line("quantize")], {}, FLAT, "y has no grid to be on"),
    "scale of zero": (quantized(q=grid(0.0)), INTEGER, FLAT, "scale must be positive"),
    "negative scale": (quantized(y=grid(-1.0)), INTEGER, FLAT, "scale must be positive"),
    "scale that is no number": (quantized(y=grid(float("nan"))), INTEGER, FLAT, "scale must be positive"),
    "weight with a scale of zero": (
        quantized(), {"w": int8_weight(scale=0.0), "b": BIAS}, FLAT, "w has the scale 0.0; scales must be"),
    "weight with a scale that is no number": (
        quantized(), {"w": int8_weight(scale=float("nan")), "b": BIAS}, FLAT, "w has the scale nan; scales"),
    "zero point out of range": (quantized(q=grid(zero=256)), INTEGER, FLAT, "zero point in 0…255"),
    "negative zero point": (quantized(y=grid(zero=-1)), INTEGER, FLAT, "zero point in 0…255"),
    "grid of nobody": (([line("clip")], {"z": grid()}), {}, FLAT, r"nothing makes the values \['z'\]"),
    "grid of a line that chooses none": (([line("clip")], {"y": grid()}), {}, FLAT, "it chooses no grid"),
    "output on a grid": (quantized(), INTEGER, FLAT, "the output y is on a grid; it must be real"),
    "float bias into integers": (
        quantized(), {"w": int8_weight(), "b": np.zeros(2, np.float32)}, FLAT, "b must be int32"),
    "sum that overflows": (
        quantized(), {"w": int8_weight(), "b": np.array([2**31 - 1, 0], np.int32)}, FLAT,
            "could leave int32"),
    "most negative bias": (
        quantized(grid(zero=1)), {"w": int8_weight(), "b": np.array([-(2**31), 0], np.int32)}, FLAT,
            "could leave int32: .* column 0 .* reaches -2,147,483,651, but int32 holds at least"),
    "multiplier that overflows": (quantized(grid(1e30), grid(1e-30)), INTEGER, FLAT, "leaves float32"),
    "dequantize of floats": ([line("dequantize")], {}, FLAT, "needs uint8 or int8; got float32"),
    "scale beyond float32": (([line("quantize")], {"y": grid(1e39)}), {}, FLAT, "finite in float32"),
    "sums whose scale overflows": (
        quantized(grid(1e20), "none"), {"w": int8_weight(scale=1e20), "b": BIAS}, FLAT,
        r"scale · w\.scale leaves float32"),
    "add whose scale overflows": (
        quantized(grid(1e30), grid(1e-30), [QUANTIZE, line("add", "q", "q")]), {}, FLAT, "leaves float32"),
    "quantize twice": (quantized(calls=[QUANTIZE, line("quantize", "q")]), {}, FLAT,
                       "needs float32; got uint8"),
    "order of other dimensions": ([line("permute", axes=(0, 2, 1))], {}, FLAT,
                                  "are no order of the 2 dimensions"),
    "order that repeats one": ([line("permute", axes=(0, 1, 1, 2))], {}, IMAGE, "are no order of the 4"),
    "reshape to other numbers": ([line("reshape", shape=(N, 4))], {}, FLAT, "has not as many numbers as"),
    "reshape without the batch": ([line("reshape", shape=(3,))], {}, FLAT, "has not as many numbers as"),
    "reshape in no order": ([line("reshape", shape=(N, 48), axes=(0, 1))], {}, IMAGE,
                            "are no order of the 4"),
    "cat of nothing": ([Call("cat", (), "y")], {}, FLAT, "needs at least one value"),
    "cat along no axis": ([line("cat", "x", "x", axis=2)], {}, FLAT, "has no axis 2"),
    "cat of two dtypes": (
        quantized(y="none", calls=[QUANTIZE, line("cat", "x", "q", axis=1)]), {}, FLAT,
            "differ in dtype or grid"),
    "cat of two shapes": (
        [line("reshape", shape=(N, 1, 3), output="z"), line("cat", "x", "z", axis=1)], {}, FLAT,
            "shapes differ"),
    "cat along the batch": ([line("cat", "x", "x", axis=0)], {}, FLAT, "of a length that moves"),
    "image where rows are wanted": ([im2col()], FILTERS, FLAT, "needs 4 dimensions with the batch"),
    "kernel larger than the image": (
        [im2col()], {"w": DenseWeight(np.ones((2, 3, 5, 1), np.float32))}, IMAGE, "empty or too large"),
    "stride of zero": ([im2col(stride=(0, 1))], FILTERS, IMAGE, "stride and dilation must be positive"),
    "negative padding": ([im2col(padding=(0, -1))], FILTERS, IMAGE, "padding not negative"),
    "more padding than memory": ([im2col(padding=(2**30, 0))], FILTERS, IMAGE, "empty or too large"),
    "patches larger than memory": ([im2col(padding=(2**13, 2**13))], FILTERS, IMAGE, "empty or too large"),
    "winograd of rows": ([winograd()], FILTERS, FLAT, "needs 4 dimensions with the batch"),
    "winograd of a matrix": ([winograd()], {"w": dense()}, IMAGE, r"w \(2, 3\) does not fit an image"),
    "winograd of other channels": (
        [winograd()], FILTERS, (4, 4, 2), r"w \(2, 3, 3, 3\) does not fit an image of 2 channels"),
    "winograd with negative padding": ([winograd(padding=(0, -1))], FILTERS, IMAGE, "padding not negative"),
    "winograd larger than the image": ([winograd()], FILTERS, (2, 4, 3), "empty or too large"),
    "winograd with more padding than memory": (
        [winograd(padding=(2**30, 0))], FILTERS, IMAGE, "empty or too large"),
    "winograd with a bias of another size": (
        [winograd(constants=BOTH)], {**FILTERS, "b": np.zeros(3, np.float32)}, IMAGE,
            r"b must be float32 \(2,\)"),
    "integers into winograd": (
        quantized(y="none", calls=[QUANTIZE, winograd("q")]), FILTERS, IMAGE,
        "no kernel multiplies dense weights by uint8"),
    "convolution of rows": ([conv2d()], NARROW, FLAT, "needs 4 dimensions with the batch"),
    "convolution with a matrix": ([conv2d()], {"w": dense()}, IMAGE, r"w \(2, 3\) does not fit an image"),
    "convolution of other channels": (
        [conv2d()], NARROW, (4, 4, 2), r"w \(2, 3, 3, 2\) does not fit an image of 2 channels"),
    "convolution in groups that do not divide": (
        [conv2d(groups=3)], NARROW, (4, 4, 9), "with groups=3 does not fit an image of 9 channels"),
    "convolution without groups": ([conv2d(groups=0)], NARROW, IMAGE, "does not fit an image"),
    "convolution by another algorithm": ([conv2d(algorithm="fft")], NARROW, IMAGE,
                                         "algorithm must be one of"),
    "convolution with a stride of zero": ([conv2d(stride=(1, 0))], NARROW, IMAGE, "stride and dilation"),
    "convolution with no dilation": ([conv2d(dilation=(0, 1))], NARROW, IMAGE, "stride and dilation"),
    "convolution with negative padding": ([conv2d(padding=(0, -1))], NARROW, IMAGE, "padding not negative"),
    "convolution larger than the image": ([conv2d(dilation=(2, 1))], NARROW, IMAGE, "empty or too large"),
    "convolution with more padding than memory": (
        [conv2d(padding=(2**30, 0), stride=(2**30, 1))], NARROW, IMAGE, "empty or too large"),
    "convolution with a bias of another size": (
        [conv2d(constants=BOTH)], {**NARROW, "b": np.zeros(3, np.float32)}, IMAGE,
            r"b must be float32 \(2,\)"),
    "integers into a convolution": (
        quantized(y="none", calls=[QUANTIZE, conv2d("q")]), NARROW, IMAGE,
        "no kernel multiplies dense weights by uint8"),
    "pool of rows": ([max_pool()], {}, FLAT, "needs 4 dimensions"),
    "pool over half padded": ([max_pool(padding=(2, 0))], {}, IMAGE, "padding at most half the kernel"),
    "pool with negative padding": ([max_pool(padding=(-1, 0))], {}, IMAGE, "padding must not be negative"),
    "pool without a window": ([max_pool(kernel=(0, 1))], {}, IMAGE, "kernel and stride must be positive"),
    "pool larger than the image": ([max_pool(kernel=(9, 9))], {}, IMAGE, "empty or too large"),
    "average with no stride": (
        [line("avg_pool2d", kernel=(2, 2), stride=(0, 1))], {}, IMAGE, "kernel and stride must be positive"),
    "attention without values": ([line("attention", "x", "x")], {}, FLAT, "takes 3 inputs"),
    "attention to keys of another width": (
        [line("reshape", shape=(N, 3, 1), output="z"), line("attention", "x", "z", "z")], {}, FLAT,
            "do not fit"),
    "no such rule": ([rule("nothing")], {}, FLAT, "there is no rule 'nothing'"),
    "rule that says nothing of its result": ([line("numpy: tanh")], {}, FLAT,
                                             "makes must be a dtype and a shape"),
    "rule of another shape": ([rule("tanh", makes=("float32", (N, 4)))], {}, FLAT,
                              r"makes float32 \(0, 3\), not"),
    "rule of another dtype": ([rule("tanh", makes=("float64", (N, 3)))], {}, FLAT, "not float64"),
    "rule with lengths of its own": (
        [rule("tanh", makes=("float32", (Size("M"), 3)))], {}, FLAT, "lengths that no input has"),
    "rule with too few arguments": ([rule("add")], {}, FLAT, "its rule refuses such inputs"),
    "rule with another attribute": ([rule("tanh", dim=1)], {}, FLAT, "its rule refuses such inputs"),
    "rule that makes more than memory": (
        [rule("expand", makes=("float32", (2**31, N, 3)), shape=(2**31, N, 3))], {}, FLAT,
            "empty or too large"),
    "rule whose constants are no arguments": (
        [rule("add", constants={"weight": "w"})], {"w": dense()}, FLAT, "numbered by the arguments"),
    "rule on integers": (
        quantized(y="none", calls=[QUANTIZE, rule("tanh", "q")]), {}, FLAT, "needs reals; q is on a grid"),
}


def program(calls, constants, shape):
    calls, grids = calls if isinstance(calls, tuple) else (calls, {})
    return compress.Program("p", {"x": Value("float32", (N, *shape))}, {"y": "y"}, calls, constants, grids)


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_refused_and_shown(name):
    calls, constants, shape, message = BAD_LINES[name]
    with pytest.raises(ProgramError, match=message) as caught:
        program(calls, constants, shape)
    said = str(caught.value)
    calls = calls[0] if isinstance(calls, tuple) else calls
    assert said.startswith("p: ") or any(said.startswith(f"{call}: ") for call in calls)


def every_call():
    return [call for calls, *_ in BAD_LINES.values() for call in (calls[0] if isinstance(calls,
            tuple) else calls)]


def test_every_op_has_a_bad_line():
    assert {call.op.partition(": ")[0] for call in every_call()} - {"relu"} == set(OPS)


def test_names_of_ops_are_their_own():
    assert all(op.name == name for name, op in OPS.items())


# Calls as JSON


def test_json_there_and_back():
    for call in every_call():
        if 2**31 not in str(call.attributes).split():
            text = json.dumps(call.to_json(), allow_nan=False)
            if str(2**31) not in text:
                assert call_from_json(json.loads(text)) == call


@pytest.mark.parametrize("value", [
    1, -0.5, "text", None, True, (1, (2, None)), slice(1, None, 2), (slice(None), ..., None, 3), float("inf"),
    Size("2·N"), (Size("S + 1"), 4), np.dtype(np.float16),
], ids=str)
def test_attributes_there_and_back(value):
    call = line("numpy: index", index=value)
    again = call_from_json(json.loads(json.dumps(call.to_json(), allow_nan=False)))
    assert again == call
    assert type(again.attributes["index"]) is type(value)


def test_an_array_among_the_attributes_comes_back():
    call = line("numpy: index", index=(np.array([[2, 0]]), slice(None)))
    array, rest = call_from_json(json.loads(json.dumps(call.to_json()))).attributes["index"]
    assert (array.dtype, array.tolist(), rest) == (np.int64, [[2, 0]], slice(None))


def test_an_index_is_printed_as_it_is_written():
    found = line("numpy: index", index=(slice(None), slice(1, 3), slice(None, None, 2), ..., None, 3),
                 makes=("float32", (2,)))
    assert "index=[:,1:3,::2,…,None,3]" in str(found)


@pytest.mark.parametrize(
    "data",
    [
        None, [], "clip", {}, {"op": "clip"}, {"op": "clip", "inputs": ["x"]},
        {"op": ["clip"], "inputs": ["x"], "output": "y"},
        {"op": "clip", "inputs": ["x"], "output": "y", "more": 1},
        {"op": "clip", "inputs": "x", "output": "y"},
        {"op": "clip", "inputs": [1], "output": "y"},
        {"op": "clip", "inputs": ["x"], "output": None},
        {"op": "linear", "inputs": ["x"], "output": "y", "constants": ["w"]},
        {"op": "linear", "inputs": ["x"], "output": "y", "constants": {"weight": 3}},
        {"op": "clip", "inputs": ["x"], "output": "y", "attributes": [1]},
        *({"op": "clip", "inputs": ["x"], "output": "y", "attributes": {"clip": value}} for value in (
            2**31, 10**400, float("nan"), float("inf"), {"what": 1}, {"size": "3"}, {"size": 3},
                {"size": "N", "n": 1},
            {"slice": [1]}, {"dtype": "O"}, {"dtype": 3}, {"array": [1]}, {"array": ["<i8", [2, 2], [1]]},
            {"array": ["O", [1], ["x"]]}, {"array": ["<i8", [1], ["x"]]}, {"float": "x"}, {},
        )),
    ],
    ids=str,
)  # fmt: skip
def test_json_that_is_no_call(data):
    with pytest.raises(ProgramError):
        call_from_json(data)

"""Programs: what they print, cost and hold, and running them."""

import copy
import gc
import multiprocessing
import pickle
import threading
import types

import numpy as np
import pytest

import compress
import nn
from compress.program.call import Call
from compress.program.value import Value
from nn.kernels.kernel import Kernel
from nn.sizes import Size


def images(n=16):
    return nn.data.digits().x_train[:n]


def program(recipe=None, build=nn.models.digits_cnn, width=0.25):
    model = build(width, rng=np.random.default_rng(0))
    if recipe is not None:
        compress.prepare(model, recipe)
    return compress.convert(model, images())


@pytest.fixture(scope="module")
def int8():
    return program(compress.Quantize())


# What it costs and holds


def test_macs_by_hand():
    """3×3 convolutions 1-32-64-64 on 8×8, 4×4 and 2×2 pixels, 256 → 10; and 64-300-100-10."""
    cnn = 64 * 32 * 9 * 1 + 16 * 64 * 9 * 32 + 4 * 64 * 9 * 64 + 256 * 10
    mlp = 64 * 300 + 300 * 100 + 100 * 10
    for recipe in (None, compress.Quantize()):
        assert program(recipe, width=1.0).macs == cnn == 463_360
        assert program(recipe, nn.models.digits_mlp, 1.0).macs == mlp == 50_200


def test_macs_of_a_pruned_network_count_what_is_left():
    pruned = program(compress.Prune(0.9), width=1.0)
    left = {
        n: size - round(0.9 * size)
        for n, size in (("conv1", 288), ("conv2", 18432), ("conv3", 36864), ("fc", 2560))
    }
    assert pruned.macs == 64 * left["conv1"] + 16 * left["conv2"] + 4 * left["conv3"] + left["fc"]


def test_nbytes_are_those_of_the_constants_as_kernels_hold_them(int8):
    held = int8.bound.held
    multiply = [step for step in int8.bound.steps if step.kernel in ("qgemm", "qconv2d")]
    operands = [held[step.output][0].nbytes for step in multiply]
    outputs = sum(len(int8.constants[f"{n}.weight"].scale) for n in ("conv1", "conv2", "conv3", "fc"))
    assert int8.nbytes == int8.bound.nbytes == sum(operands) + 2 * 4 * outputs    # biases and multipliers


def reachable(start):
    """Every object that can be got at from here, but for modules, classes, and kernels with their plans."""
    seen, stack, alive = set(), [start], []
    while stack:
        thing = stack.pop()
        if id(thing) in seen or isinstance(thing, (types.ModuleType, type, Kernel)):
            continue
        seen.add(id(thing))
        alive.append(thing)
        if isinstance(thing, types.FunctionType):
            stack += [cell.cell_contents for cell in thing.__closure__ or ()]
            continue
        if isinstance(thing, np.ndarray):
            stack += [thing.base] if thing.base is not None else []
            stack += list(thing.flat) if thing.dtype == object else []
        stack += gc.get_referents(thing)
    return alive


@pytest.mark.parametrize(
    ("recipe", "times"),
    [(compress.Quantize(), 1), ([compress.Prune(0.5), compress.Quantize()], 1), (compress.Prune(0.9), 0.2)],
    ids=["int8", "pruned-int8", "csr"],
)
def test_no_float_copy_of_a_packed_weight_is_anywhere_in_it(recipe, times):
    made = program(recipe, width=1.0)
    made(images(1))
    made.bound._idle.clear()  # the buffers are no weights
    sizes = {np.prod(c.shape) for c in made.constants.values() if isinstance(c, compress.Stored)}
    floats = [a for a in reachable(made) if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    assert floats
    assert max(a.size for a in floats) < max(sizes) * times + 1
    if recipe != compress.Prune(0.9):
        assert max(a.size for a in floats) <= 64  # scales and multipliers, one a channel


@pytest.mark.parametrize("recipe", [None, compress.Quantize(), compress.Prune(0.9), compress.Cluster(4),
                                    {nn.Linear: compress.TensorTrain(4)}],
                         ids=["float", "int8", "csr", "shared", "tensor-train"])
def test_a_weight_is_held_once_when_it_is_bound(recipe, tmp_path):
    made = program(recipe, width=1.0)
    before = compress.program.files.to_bytes(made)
    made(images(1))
    made.bound._idle.clear()
    held = {id(array): array.nbytes for array in reachable(made) if isinstance(array, np.ndarray) and
            array.base is None}
    assert sum(held.values()) < 1.1 * made.nbytes
    assert compress.program.files.to_bytes(made) == before    # and what is stored is told from it
    np.testing.assert_array_equal(pickled(made)(images()), made(images()))


def test_the_search_for_float_copies_finds_one():
    made = program(compress.Quantize())
    weight = made.constants["conv2.weight"]
    weight.kept = weight.decode()
    assert any(
        isinstance(a, np.ndarray) and a.dtype == np.float32 and a.size == weight.kept.size
        for a in reachable(made)
    )


# What it prints


def test_print_shows_a_line_for_each_call(int8):
    text = str(int8)
    lines = text.splitlines()
    assert lines[0] == "program DigitsCNN: x f32 (N, 1, 8, 8) → fc f32 (N, 10)"
    assert lines[1].startswith(f"{len(int8.calls)} calls, ")
    begun = [line for line in lines[2:] if not line.startswith("      ")]    # the others go on with a call
    for call, line in zip(int8.calls, begun, strict=True):
        assert line.startswith(f"  {call.output} = {call.op}(")
        assert str(int8.values[call.output]) in line
    assert "conv2d(x.u8, conv1.weight," in text
    assert "int8 16×8×3×3" in text


def test_print_of_its_bound_shows_a_line_for_each_kernel(int8):
    text = str(int8.bound)
    lines = text.splitlines()
    assert lines[0].startswith("DigitsCNN, bound for the CPU (")
    assert lines[1].startswith(f"{len(int8.bound.steps)} steps, ")
    begun = [line for line in lines[2:] if not line.startswith("      ")]
    for step, line in zip(int8.bound.steps, begun, strict=True):
        assert line.startswith(f"  {step.output} = {step.kernel}(")
    assert "qconv2d(x.u8, padded 1×1," in text
    assert "qconv2d(max_pool2d_1, padded 1×1," in text


def test_another_target_is_refused(int8):
    with pytest.raises(ValueError, match="bind: target must be one of cpu, cuda; got 'abacus'"):
        int8.bind("abacus")


@pytest.mark.parametrize(("call", "said"), [
    (Call("conv2d", ("x",), "y", {"weight": "w", "bias": "b"},
          {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 4), "groups": 2, "clip": (0.0, 6.0)}),
     "y = conv2d(x, w, b, stride 2×1, dilation 1×4, padded 1×0, groups 2, clip 0…6)"),
    (Call("max_pool2d", ("x",), "y", {}, {"kernel": (2, 2)}), "y = max_pool2d(x, 2×2)"),
    (Call("avg_pool2d", ("x",), "y", {}, {"kernel": (3, 3), "stride": (1, 2), "padding": (1, 1)}),
     "y = avg_pool2d(x, 3×3, stride 1×2, padded 1×1)"),
    (Call("clip", ("x",), "y"), "y = clip(x, relu)"),
    (Call("add", ("x", "z"), "y", {}, {"clip": (None, 1.0)}), "y = add(x, z, at most 1)"),
    (Call("reshape", ("x",), "y", {}, {"shape": (Size("N"), 6), "axes": (0, 2, 1)}),
     "y = reshape(x, 0 2 1 → N×6)"),
    (Call("numpy: where", ("m", "x"), "y", {"2": "c"}, {"makes": ("float32", (Size("N"), 6))}),
     "y = numpy: where(m, x, c)"),
    (Call("numpy: softmax", ("x",), "y", {}, {"dim": -1, "makes": ("float32", (Size("N"), 6))}),
     "y = numpy: softmax(x, dim=-1)"),
], ids=lambda one: one.op if isinstance(one, Call) else "")
def test_print_of_every_attribute(call, said):
    assert str(call) == said


def test_print_of_a_pool_whose_windows_overlap():
    call = Call("max_pool2d", ("x",), "y", {}, {"kernel": (3, 3), "stride": (1, 1)})
    assert str(call) == "y = max_pool2d(x, 3×3, stride 1×1)"


def test_print_of_values():
    assert str(Value("int32", (Size("N"), 3, 4))) == "s32 (N, 3, 4)"
    assert str(Value("int64", (Size("4·N"),))) == "s64 (4·N)"


# Running it


def test_same_input_same_bits_whatever_ran_before(int8):
    x = nn.data.digits().x_test
    first = int8(x[:50])
    for n in (1, 0, 7, 50):
        assert int8(x[:n]).shape == (n, 10)
    np.testing.assert_array_equal(int8(x[:50]), first)
    np.testing.assert_array_equal(np.concatenate([int8(x[i : i + 1]) for i in range(5)]), first[:5])


def test_the_result_is_the_callers(int8):
    first = int8(images())
    before = first.copy()
    int8(1 - images())
    np.testing.assert_array_equal(first, before)
    buffers = [buffer for _, ready in int8.bound._idle for buffer in ready.arrays.values()]
    assert buffers
    assert not any(np.shares_memory(first, buffer) for buffer in buffers)


def test_the_input_stays(int8):
    for made in (
        int8,
        program(),
        program(compress.Prune(0.5)),
        compress.convert(nn.Sequential(nn.ReLU()), images()),
    ):
        x = images() - 0.5
        before = x.copy()
        made(x)
        np.testing.assert_array_equal(x, before)


def test_strided_and_read_only_inputs(int8):
    wide = np.repeat(images(), 2, axis=3)
    frozen = images().copy()
    frozen.flags.writeable = False
    for x in (wide[..., ::2], frozen, np.asfortranarray(images())):
        np.testing.assert_array_equal(int8(x), int8(images()))


def test_threads_may_share_it(int8):
    x = nn.data.digits().x_test[:64]
    wanted = [int8(x[i : i + 16]) for i in range(0, 64, 16)]
    wrong = []

    def work(i):
        for _ in range(20):
            if not np.array_equal(int8(x[16 * i : 16 * i + 16]), wanted[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([[0.0]], TypeError, "x must be a float32 array; got list"),
        (None, TypeError, "got NoneType"),
        (np.zeros((1, 1, 8, 8)), TypeError, "got float64"),
        (np.zeros((1, 1, 8, 8), np.uint8), TypeError, "got uint8"),
        (np.zeros((1, 8, 8), np.float32), ValueError, r"x must have shape \(N, 1, 8, 8\); got \(1, 8, 8\)"),
        (np.zeros((1, 1, 8, 9), np.float32), ValueError, r"got \(1, 1, 8, 9\)"),
        (np.float32(3), TypeError, "got float32"),
    ],
    ids=["list", "none", "float64", "uint8", "rank", "shape", "scalar"],
)
def test_inputs_that_do_not_fit(int8, x, error, message):
    with pytest.raises(error, match=message):
        int8(x)


# Copies

COPIED = {
    "float": None, "int8": compress.Quantize(), "csr": compress.Prune(0.9), "shared": compress.Cluster(3),
    "pruned-shared": [compress.Prune(0.9), compress.Cluster(2)],
    "masked": [compress.Prune(0.9), compress.Quantize()],
    "tensor train": {nn.Linear: compress.TensorTrain(1)},
}  # fmt: skip


def pickled(it):
    return pickle.loads(pickle.dumps(it))


@pytest.mark.parametrize("recipe", COPIED.values(), ids=COPIED)
@pytest.mark.parametrize("algorithm", ["direct", "winograd", "im2col"])
@pytest.mark.parametrize("how", [copy.deepcopy, pickled])
def test_a_copy_computes_the_same_bits(recipe, algorithm, how):
    model = nn.models.digits_cnn(0.25, rng=np.random.default_rng(0))
    if recipe is not None:
        compress.prepare(model, recipe)
    first = compress.convert(model, images(), algorithm=algorithm)
    wanted = first(images())
    twin = how(first)
    assert str(twin) == str(first)
    np.testing.assert_array_equal(twin(images()), wanted)
    np.testing.assert_array_equal(first(images()), wanted)


def test_a_pool_of_spawned_processes_runs_it(int8):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        made = pool.map(int8, [images(3), images(5)])
    for n, array in zip((3, 5), made, strict=True):
        np.testing.assert_array_equal(array, int8(images(n)))

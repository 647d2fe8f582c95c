"""What a Bound asks once for inputs of the same lengths, and what it must not share with its caller."""

import sys

import numpy as np
import pytest

import compress
import nn
from compress.program.ready import SMALL, KernelCall
from nn import functional as F
from nn import kernels


@pytest.fixture(scope="module")
def int8():
    """A network of rows, whose first step quantizes the input itself and whose last writes the output."""
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(64, 32, rng=rng), nn.ReLU(), nn.Linear(32, 64, rng=rng))
    x = rng.normal(size=(64, 64)).astype(np.float32)
    compress.prepare(model, compress.Quantize(), x)
    return compress.convert(model)


def inputs(n, seed=1):
    return np.random.default_rng(seed).normal(size=(n, 64)).astype(np.float32)


FEW, MANY = 2, SMALL // 128    # examples; of the latter, the input and the output are too large to be copied


@pytest.mark.parametrize("n", [0, 1, FEW, MANY])
def test_it_gives_what_its_steps_give_one_by_one(int8, n):
    for seed in range(3):
        x = inputs(n, seed)
        np.testing.assert_array_equal(int8(x), int8.every_value(x)[int8.output])


@pytest.mark.parametrize("n", [FEW, MANY])
def test_what_goes_in_and_out_is_the_callers(int8, n):
    x = inputs(n)
    before, first = x.copy(), int8(x)
    kept = first.copy()
    first[...] = 7
    np.testing.assert_array_equal(int8(x), kept)
    np.testing.assert_array_equal(x, before)
    (_, ready), = int8.bound._idle
    assert bool(ready.taken and ready.given) == (n == FEW)
    assert all(isinstance(step.run, KernelCall) for step in int8.bound.steps)


@pytest.mark.parametrize("n", [FEW, MANY])
@pytest.mark.parametrize("relu", [False, True])
def test_a_small_result_of_a_large_input_is_the_runs_own(n, relu):
    """The kernel that reads what is too large to be copied asks again in each run, and so does not write to
    where results lie that are copied out."""
    fc = nn.Linear(64, 2, rng=np.random.default_rng(0))
    model = nn.Sequential(fc, nn.ReLU()) if relu else fc
    program = compress.convert(model, inputs(2))
    for seed in range(3):
        x = inputs(n, seed)
        np.testing.assert_allclose(program(x), model(nn.Tensor(x)).data, rtol=1e-4, atol=1e-5)


class Late(nn.Module):
    """Its second and third inputs are only given another shape, when buffers are used for the second time."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.fc1, self.fc2 = nn.Linear(12, 12, rng=rng), nn.Linear(12, 12, rng=rng)

    def forward(self, a, b, c):
        h = self.fc2(self.fc1(a))
        return (h + b.flatten(1)) * c.flatten(1) + 1


@pytest.mark.parametrize("n", [1, 3])
def test_an_input_is_not_copied_to_where_another_value_lies_first(n):
    rng = np.random.default_rng(1)
    a, b, c = rng.normal(size=(n, 12)), rng.normal(size=(n, 3, 4)), rng.normal(size=(n, 2, 6))
    given = [x.astype(np.float32) for x in (a, b, c)]
    model = Late()
    program = compress.convert(model, tuple(given))
    for _ in range(2):
        np.testing.assert_allclose(program(*given), model(*map(nn.Tensor, given)).data, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", [FEW, MANY])
def test_its_kernels_are_chosen_when_it_runs(int8, n):
    x = inputs(n)
    want = int8(x)
    for what in ("numpy", "c", "scalar"):
        if what == "numpy" or not kernels.why_not_c():
            with kernels.use(what):
                np.testing.assert_array_equal(int8(x), want)


@pytest.mark.parametrize("n", [FEW, MANY])
def test_after_a_refusal_it_runs_on(int8, n):
    x = inputs(n)
    want, bad = int8(x), x.copy()
    bad[-1, -1] = np.nan
    for _ in range(2):
        with pytest.raises(ValueError, match=r"x\.u8 = quantize\(x\): x holds NaN or infinity; no integer"):
            int8(bad)
    np.testing.assert_array_equal(int8(x), want)


@pytest.mark.skipif(kernels.why_not_c() is not None, reason="there is no C")
def test_a_run_on_few_examples_asks_nothing_again(int8):
    """Its Python calls: those of the check of the input, and one or two a step."""
    x, seen = inputs(1), []
    int8(x)
    sys.setprofile(lambda frame, event, _: event == "call" and seen.append(frame.f_code.co_name))
    try:
        int8(x)
    finally:
        sys.setprofile(None)
    assert len(seen) <= 6 + 2 * len(int8.bound.steps), seen


class Woven(nn.Module):
    """Lines (what, i, j): each makes a value of the values i and j before it, or of i alone, the three inputs
    being the first. The last values are the outputs. A value is (N, 6) or (N, 2, 3)."""

    def __init__(self, lines, outputs):
        self.lines, self.outputs = lines, outputs

    def forward(self, a, b, c):
        values = [a, b, c]
        for what, i, j in self.lines:
            x, y = values[i % len(values)], values[j % len(values)]
            if what == "turn":
                values.append(x.reshape(len(x), 6) if x.ndim == 3 else x.reshape(len(x), 2, 3))
            elif what == "relu":
                values.append(F.relu(x))
            elif what == "add":
                values.append(x + y.reshape(*x.shape))
            elif what == "permute":
                values.append(x.reshape(len(x), 2, 3).permute(0, 2, 1).reshape(*x.shape))
            else:
                values.append(F.stack([x, y.reshape(*x.shape)], 1)[:, 1])
        return {f"made_{i}": value + 0.5 for i, value in enumerate(values[-self.outputs:])}


def test_no_buffer_is_overwritten_before_it_is_read():
    """An input of which a step changes only the shape lies in that step's buffer from the first step on."""
    rng = np.random.default_rng(0)
    ops = ["turn", "relu", "add", "permute", "stack"]
    for _ in range(100):
        lines = [(ops[k], i, j) for k, i, j in rng.integers(10, size=(rng.integers(1, 12), 3)) % (5, 10, 10)]
        model = Woven(lines, int(rng.integers(1, 4)))
        shapes = [(2, 6) if flat else (2, 2, 3) for flat in rng.integers(2, size=3)]
        x = tuple(rng.normal(size=shape).astype(np.float32) for shape in shapes)
        program, want = compress.convert(model, x), model(*map(nn.Tensor, x))
        for _ in range(2):
            found = program(*x)
            found = found if isinstance(found, dict) else {"made_0": found}
            for name, one in want.items():
                np.testing.assert_array_equal(found[name], one.data)

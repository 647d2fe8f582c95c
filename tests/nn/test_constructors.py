"""New tensors: PyTorch's names, shapes, dtypes and random numbers, and one error for what is none."""

import numpy as np
import pytest

import nn
import nn.tensor  # the module, which is also the function
from nn import tensor as module
from nn.tensor import Tensor

f32, f64, i64 = np.float32, np.float64, np.int64

MADE = [
    (lambda: nn.zeros(2, 3), np.zeros((2, 3), f32)),
    (lambda: nn.zeros((2, 3)), np.zeros((2, 3), f32)),
    (lambda: nn.zeros(()), np.zeros((), f32)),
    (lambda: nn.zeros(0, 3, dtype=i64), np.zeros((0, 3), i64)),
    (lambda: nn.ones([2], dtype="float64"), np.ones(2, f64)),
    (lambda: nn.ones(2, dtype=bool), np.ones(2, bool)),
    (lambda: nn.full((2, 2), 1.5), np.full((2, 2), 1.5, f32)),
    (lambda: nn.full((2,), 3), np.full(2, 3, i64)),
    (lambda: nn.full(2, True), np.full(2, True)),
    (lambda: nn.full((2,), 3, dtype=f64), np.full(2, 3, f64)),
    (lambda: nn.full_like(nn.ones(2, dtype=i64), 2.7), np.full(2, 2, i64)),
    (lambda: nn.zeros_like(nn.ones(2, dtype=f64)), np.zeros(2, f64)),
    (lambda: nn.ones_like(np.zeros((2, 1)), dtype=f32), np.ones((2, 1), f32)),
    (lambda: nn.arange(5), np.arange(5)),
    (lambda: nn.arange(2, 5), np.array([2, 3, 4])),
    (lambda: nn.arange(5, 1, -2), np.array([5, 3])),
    (lambda: nn.arange(0, 1, 0.25), np.array([0, 0.25, 0.5, 0.75], f32)),
    (lambda: nn.arange(3.0), np.array([0, 1, 2], f32)),
    (lambda: nn.arange(3, dtype=f32), np.array([0, 1, 2], f32)),
    (lambda: nn.arange(0), np.zeros(0, i64)),
    (lambda: nn.linspace(0, 1, 5), np.array([0, 0.25, 0.5, 0.75, 1], f32)),
    (lambda: nn.linspace(0, 5, 3, dtype=i64), np.array([0, 2, 5])),
    (lambda: nn.linspace(3, 4, 0), np.zeros(0, f32)),
    (lambda: nn.eye(2), np.eye(2, dtype=f32)),
    (lambda: nn.eye(2, 3, dtype=i64), np.eye(2, 3, dtype=i64)),
    (lambda: nn.tensor([1.0, 2.0]), np.array([1, 2], f32)),
    (lambda: nn.tensor([1, 2]), np.array([1, 2], i64)),
    (lambda: nn.tensor([[True], [False]]), np.array([[True], [False]])),
    (lambda: nn.tensor(3.5), np.array(3.5, f32)),
    (lambda: nn.tensor([0.1], dtype=f64), np.array([0.1])),
    (lambda: nn.tensor(np.array([0.1])), np.array([0.1])),
    (lambda: nn.tensor([1.9, -1.9], dtype=i64), np.array([1, -1])),
    (lambda: nn.tensor(nn.ones(2), dtype=f64), np.ones(2)),
    (lambda: nn.ones(2, dtype=f64).new_zeros(2, 1), np.zeros((2, 1))),
    (lambda: nn.ones(2, dtype=f64).new_ones((2,), dtype=f32), np.ones(2, f32)),
    (lambda: nn.ones(2).new_full((2,), 7), np.full(2, 7, f32)),
]  # fmt: skip


@pytest.mark.parametrize("at", range(len(MADE)))
def test_shape_dtype_and_entries_are_pytorchs(at):
    make, want = MADE[at]
    have = make()
    assert type(have) is Tensor
    assert not have.requires_grad
    assert have.dtype == want.dtype
    np.testing.assert_array_equal(have.data, want, strict=True)


FLOATS = {
    "tensor": [[1.0]], "zeros": [2], "ones": [2], "full": [(2,), 1.0], "zeros_like": [np.ones(2)],
    "ones_like": [np.ones(2)], "full_like": [np.ones(2), 3], "arange": [3.0], "linspace": [0, 1, 3],
    "eye": [2], "rand": [2], "randn": [2], "rand_like": [np.ones(2)], "randn_like": [np.ones(2)],
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float16, f32, f64])
@pytest.mark.parametrize("name", FLOATS)
def test_all_take_a_dtype_and_requires_grad(name, dtype):
    t = getattr(nn, name)(*FLOATS[name], dtype=dtype, requires_grad=True)
    assert t.dtype == dtype
    assert t.is_leaf
    t.sum().backward()
    np.testing.assert_array_equal(t.grad, np.ones(t.shape))


@pytest.mark.parametrize("name", [name for name in FLOATS if "rand" not in name])
def test_integers_want_no_gradient(name):
    with pytest.raises(TypeError, match="only floats have gradients"):
        getattr(nn, name)(*FLOATS[name], dtype=i64, requires_grad=True)


def test_random_numbers_are_those_of_the_librarys_generator():
    makers = (lambda: nn.rand(3, 2), lambda: nn.randn(4, dtype=f64), lambda: nn.randint(2, 9, (5,)),
              lambda: nn.randint(9, (5,)), lambda: nn.randperm(6), lambda: nn.rand_like(np.ones(3)),
              lambda: nn.rand(50, dtype=np.float16), lambda: nn.randn_like(nn.ones(3, dtype=np.float16)))
    drawn = []
    for _ in range(2):
        nn.manual_seed(5)
        drawn.append([make().data for make in makers])
    for first, second in zip(*drawn, strict=True):
        np.testing.assert_array_equal(first, second, strict=True)
    nn.manual_seed(5)
    np.testing.assert_array_equal(nn.rand(3, 2).data, np.random.default_rng(5).random((3, 2), f32))
    assert sorted(nn.randperm(6).tolist()) == list(range(6))
    assert {nn.randint(2, 4, ()).item() for _ in range(60)} == {2, 3}


@pytest.mark.parametrize("dtype", [np.float16, f32, f64])
def test_random_numbers_have_their_distribution(dtype):
    nn.manual_seed(0)
    uniform, normal = (make(20_000, dtype=dtype).data.astype(f64) for make in (nn.rand, nn.randn))
    assert 0 <= uniform.min() < 0.01 < 0.99 < uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.01
    assert abs(normal.mean()) < 0.03
    assert abs(normal.std() - 1) < 0.03


def test_from_numpy_shares_its_memory_and_tensor_does_not():
    array = np.zeros(3)
    shared, copied = nn.from_numpy(array), nn.tensor(array)
    array[0] = 5
    assert shared.tolist() == [5, 0, 0]
    assert copied.tolist() == [0, 0, 0]
    assert shared.numpy() is array
    nn.zeros_like(shared).add_(1)
    assert array.sum() == 5


def test_tensor_is_a_function_and_a_module():
    assert nn.tensor is module
    assert module.Tensor is Tensor is nn.Tensor
    assert module.apply is not None    # what the package itself reads there
    namespace = {}
    exec("from nn import *", namespace)
    assert namespace["tensor"]([1.0]).tolist() == [1.0]


z = nn.ones(2)
REFUSED = [
    (TypeError, "zeros: the shape is", lambda: nn.zeros(2.5)),
    (ValueError, r"ones: the shape is \(2, -1\)", lambda: nn.ones(2, -1)),
    (TypeError, "zeros: dtype is 'complex64'", lambda: nn.zeros(2, dtype="complex64")),
    (TypeError, "zeros: dtype is 'float33'", lambda: nn.zeros(2, dtype="float33")),
    (TypeError, "full: fill_value is 'x'", lambda: nn.full((2,), "x")),
    (TypeError, "zeros_like: the input is a list", lambda: nn.zeros_like([1, 2])),
    (TypeError, "from_numpy: got a list", lambda: nn.from_numpy([1.0])),
    (TypeError, "from_numpy: dtype is", lambda: nn.from_numpy(np.array(["a"]))),
    (ValueError, "arange: no step of 0", lambda: nn.arange(0, 5, 0)),
    (ValueError, "arange: no step of 1 leads from 5 to 0", lambda: nn.arange(5, 0)),
    (ValueError, "arange: .* finite", lambda: nn.arange(np.inf)),
    (TypeError, "arange: end is 'x'", lambda: nn.arange("x")),
    (ValueError, "linspace: the shape is", lambda: nn.linspace(0, 1, -1)),
    (TypeError, "linspace: the shape is", lambda: nn.linspace(0, 1, 2.5)),
    (TypeError, "rand: dtype is .* floats", lambda: nn.rand(2, dtype=np.int64)),
    (TypeError, "randn: the shape is", lambda: nn.randn("2")),
    (ValueError, "randint: there is no integer from 3 to 3", lambda: nn.randint(3, 3, (2,))),
    (TypeError, "randint: low, high", lambda: nn.randint(0.5, 3, (2,))),
    (ValueError, "randperm: the shape is", lambda: nn.randperm(-1)),
    (ValueError, "Tensor: the data does not make an array", lambda: nn.tensor([[1.0], [1.0, 2.0]])),
    (TypeError, "Tensor: the data is", lambda: nn.tensor("abc", dtype=np.float32)),
    (TypeError, "tensor: dtype is", lambda: nn.tensor([1.0], dtype=str)),
    (TypeError, "new_full: dtype", lambda: z.new_full((2,), 1, "q8")),
    (ValueError, "new_zeros: the shape", lambda: z.new_zeros(-2)),
]  # fmt: skip


@pytest.mark.parametrize(("error", "message", "call"), REFUSED, ids=range(len(REFUSED)))
def test_refused(error, message, call):
    with pytest.raises(error, match=message):
        call()

"""Checkpoints of functions that take keywords and tuples and give several tensors: as without one."""

from typing import NamedTuple

import numpy as np
import pytest

import nn


class Two(NamedTuple):
    first: nn.Tensor
    second: nn.Tensor


def leaf(*shape, dtype=np.float64):
    return nn.Tensor(np.random.default_rng(0).normal(size=shape).astype(dtype), requires_grad=True)


w = leaf(3, 3)
FUNCTIONS = {
    "a tuple in": lambda x, y: (
        (lambda pair, scale: (pair[0] @ w * scale).tanh() + pair[1]), ((x, y), 2.0), {}),
    "keywords": lambda x, y: (
        (lambda a, *, b, scale=1.0: (a @ w * scale).tanh() + b), (x,), {"b": y, "scale": 3.0}),
    "a dict in a list in": lambda x, y: ((lambda d: d[0]["x"] @ d[1] @ w), ([{"x": x}, y],), {}),
    "a tuple out": lambda x, y: ((lambda a, b: ((a @ w).exp(), a * b)), (x, y), {}),
    "a list out": lambda x, y: ((lambda a, b: [(a @ w).exp(), (a * b).sum()]), (x, y), {}),
    "a named tuple out": lambda x, y: ((lambda a, b: Two((a @ w).exp(), b)), (x, y), {}),
    "a dict of tuples out": lambda x, y: ((lambda a, b: {"u": ((a @ w).exp(), 7), "v": a * b}), (x, y), {}),
    "integers and constants too": lambda x, y: (
        (lambda a, b: (a.max(1)[1], (a @ w).exp(), b.detach(), None)), (x, y), {}),
    "two dtypes out": lambda x, y: ((lambda a, b: ((a @ w).float().exp(), a * b)), (x, y), {}),
    "extremes": lambda x, y: ((lambda a, b: (a * b).max(1)), (x, y), {}),
}  # fmt: skip


def tensors(result):
    if isinstance(result, dict):
        result = tuple(result.values())
    if isinstance(result, (tuple, list)):
        return [t for part in result for t in tensors(part)]
    return [result] if isinstance(result, nn.Tensor) else []


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_gradients_are_those_without_a_checkpoint(name, create_graph):
    found = []
    for checkpoint in (lambda f, *inputs, **named: f(*inputs, **named), nn.checkpoint):
        x, y = leaf(3, 3), leaf(3, 3)
        f, inputs, named = FUNCTIONS[name](x, y)
        result = checkpoint(f, *inputs, **named)
        outs = tensors(result)
        loss = sum((i + 1.0) * (t * t).sum() for i, t in enumerate(outs) if t.requires_grad)
        grads = nn.grad(loss, (x, y, w), create_graph=create_graph, allow_unused=True)
        if create_graph:
            again = sum((g * g).sum() for g in grads if g is not None)
            grads = *grads, *nn.grad(again, (x, y, w), allow_unused=True)
        arrays = [np.asarray(0.0 if g is None else getattr(g, "data", g)) for g in grads]
        found.append((type(result), [(t.data, t.dtype, t.requires_grad) for t in outs], arrays))
    (kind, plain, grads), (same_kind, kept, again) = found
    assert kind is same_kind
    for (a, *what), (b, *same) in zip(plain, kept, strict=True):
        np.testing.assert_array_equal(a, b)
        assert what == same
    for i, (a, b) in enumerate(zip(grads, again, strict=True)):
        np.testing.assert_allclose(a, b, rtol=0 if i < 3 else 1e-12)    # bit for bit at first order


def test_nothing_of_f_is_kept_but_its_inputs_and_outputs():
    class Seen:
        times = 0

    def f(pair, *, scale):
        Seen.times += 1
        return (pair[0] * scale).exp(), pair[1].sum()

    x = leaf(4)
    a, b = nn.checkpoint(f, (x, x), scale=2.0)
    (a.sum() + b).backward()
    assert Seen.times == 2    # once in each direction, for both outputs together
    np.testing.assert_allclose(x.grad, 2 * np.exp(2 * x.data) + 1)


def test_an_input_inside_a_tuple_that_is_overwritten_is_noticed():
    x = leaf(3)
    y = nn.checkpoint(lambda pair: pair[0] * pair[1] @ pair[1], (x, nn.tensor([1.0, 2.0, 3.0])))
    held = nn.tensor([1.0, 2.0, 3.0])
    y = nn.checkpoint(lambda pair: (pair[0] * pair[1]).sum(), (x, held))
    held.copy_(5)
    with pytest.raises(RuntimeError, match="overwritten"):
        y.backward()


def test_pytorchs_keyword_is_no_argument_of_f():
    x = leaf(3)
    nn.checkpoint(lambda x: x * x, x, use_reentrant=False).sum().backward()
    np.testing.assert_array_equal(x.grad, 2 * x.data)

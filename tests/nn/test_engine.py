"""The walk of backward: right on any graph, linear, without recursion or cycles, freeing as it goes;
what it refuses; and what was found wrong in other libraries, once each."""

import copy
import gc
import pickle
import subprocess
import sys
import time
import tracemalloc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn import functional as F
from nn.rules import Rule
from nn.tensor import apply


def leaf(values, dtype=np.float64):
    return nn.Tensor(np.array(values, dtype), requires_grad=True)


# Right on any graph


@given(st.lists(st.tuples(st.sampled_from("+-*"), st.integers(0, 99), st.integers(0, 99)), max_size=12))
def test_a_random_graph_against_forward_differentiation(steps):
    """Values used many times, paths that part and meet: reverse mode against (value, derivative) pairs."""
    x = leaf(1.25)
    reverse, forward = [x], [(1.25, 1.0)]
    for sign, i, j in steps:
        i, j = i % len(reverse), j % len(reverse)
        (a, da), (b, db) = forward[i], forward[j]
        if sign == "+":
            reverse.append(reverse[i] + reverse[j])
            forward.append((a + b, da + db))
        elif sign == "-":
            reverse.append(reverse[i] - reverse[j] * 0.5)
            forward.append((a - b / 2, da - db / 2))
        else:
            reverse.append(reverse[i] * reverse[j] * 0.5)
            forward.append((a * b / 2, (a * db + b * da) / 2))
    reverse[-1].backward()
    np.testing.assert_allclose(x.grad, forward[-1][1], rtol=1e-9)


def test_a_value_used_in_two_branches_gets_both_gradients():
    x = leaf(3.0)
    y = x * x
    (y + y * x).backward()
    assert x.grad == 2 * 3 + 3 * 9


def test_doubling_sixty_times_is_sixty_steps():
    """y = y + y has 2⁶⁰ paths and 60 nodes."""
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad == 2.0**60


def test_gradients_accumulate_over_calls():
    x = leaf(2.0)
    for times in (1, 2, 3):
        (x * x).backward()
        assert x.grad == 4 * times


def test_only_leaves_get_gradients():
    x, c = leaf([1.0, 2.0]), nn.Tensor(np.array([3.0, 4.0]))
    y = x * c
    y.sum().backward()
    assert y.grad is None
    assert c.grad is None
    np.testing.assert_array_equal(x.grad, [3, 4])


def test_the_root_may_be_a_leaf():
    x = leaf([1.0, 2.0])
    seed = np.array([5.0, 6.0])
    x.backward(seed)
    np.testing.assert_array_equal(x.grad, seed)
    assert not np.shares_memory(x.grad, seed)


def test_a_rule_may_send_nothing_back():
    nothing = Rule("nothing", "y = x;  dx = none", lambda x: (x + 0, None), lambda g, saved, needs: (None,))
    x = leaf(2.0)
    (apply(nothing, x * x) * 3 + x).backward()
    assert x.grad == 1


# Never a shared buffer


def test_no_two_gradients_share_memory_nor_do_they_alias_the_seed_or_an_input():
    a, b, c, d = leaf([1.0, 2.0]), leaf([3.0, 4.0]), leaf([5.0, 6.0]), leaf([[1.0, 1.0]])
    seed = np.ones((2, 2))
    y = (a + b - c).reshape(1, 2).expand(2, 2) + d + a.reshape(2, 1).T
    y.backward(seed)
    grads = [t.grad for t in (a, b, c, d)]
    for i, g in enumerate(grads):
        assert g.flags.writeable
        for other in (*grads[:i], seed, a.data, b.data, c.data, d.data):
            assert not np.shares_memory(g, other)
    grads[0][...] = 99
    np.testing.assert_array_equal(b.grad, [2, 2])


def test_an_earlier_gradient_that_someone_holds_is_not_changed():
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    held = x.grad
    (x * x).sum().backward()
    np.testing.assert_array_equal(held, [2, 4])
    np.testing.assert_array_equal(x.grad, [4, 8])


def test_gradients_have_the_dtype_of_the_leaf():
    x = leaf([1.0, 2.0], np.float32)
    (x * np.array([1.5, 2.5])).sum().backward()  # computed in float64
    assert x.grad.dtype == np.float32
    (x * np.array([1.5, 2.5])).sum().backward()
    assert x.grad.dtype == np.float32


# Linear, no recursion, no cycles, freed as it goes


def chain(x, length):
    for _ in range(length):
        x = x * 1.0001
    return x


def test_ten_thousand_operations_are_linear_and_do_not_recurse():
    assert sys.getrecursionlimit() <= 10_000
    times = []
    for length in (10_000, 20_000, 40_000):
        x = leaf(1.0)
        start = time.process_time()
        chain(x, length).backward()
        times.append(time.process_time() - start)
        np.testing.assert_allclose(x.grad, 1.0001**length, rtol=1e-6)
    assert times[2] < 12 * max(times[0], 0.005)  # 4 if linear, 16 if quadratic; the machine may be busy


def test_a_deep_graph_is_freed_without_recursion():
    """In a process of its own, for it would crash: CPython frees nested objects by recursion if it can."""
    code = (
        "import nn\nx = y = nn.Tensor(1.0, requires_grad=True)\n"
        "for _ in range(200_000): y = y * 1.0\ndel y\nprint('freed')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "freed\n", done.stderr


def test_no_reference_cycles():
    gc.collect()
    gc.disable()
    try:
        x = leaf(np.ones((2, 3, 4, 4)))
        w = leaf(np.ones((3, 3, 1, 1)))
        y = F.relu(F.conv2d(x, w))
        z = F.cross_entropy(F.linear(F.flatten(F.max_pool2d(y, 2), 1), np.ones((5, 12))), np.array([1, 2]))
        seen = [weakref.ref(t) for t in (y, z)] + [weakref.ref(y.data)]
        del y, z
        assert all(ref() is None for ref in seen)
        assert gc.collect() == 0
    finally:
        gc.enable()


def traced_memory(function):
    tracemalloc.start()
    try:
        result = function()
        return tracemalloc.get_traced_memory()[0], tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


def test_memory_falls_while_backward_runs():
    """What is saved is dropped on the way: the peak of backward is near the memory after forward."""
    size = 100_000 * 8
    x = leaf(np.ones(100_000))
    alive = []
    spy = Rule(
        "spy",
        "y = x;  dx = g",
        lambda a: (a, None),
        lambda g, saved, needs: (alive.append(tracemalloc.get_traced_memory()[0] / size), (g,))[1],
    )

    def run():
        y = x
        for _ in range(20):
            y = apply(spy, y * y)
        y = y.sum()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        y.backward()
        return before / size

    after, peak, before = traced_memory(run)
    assert before > 19
    assert peak / size < before + 4
    assert alive[0] > alive[10] + 8 > alive[19] + 16
    assert after / size < 2.5  # x.grad, and what x*x saved of x itself was there before


def test_what_backward_saved_is_gone_even_while_the_output_lives():
    x = leaf(np.ones(100_000))
    y = (x * x).exp()
    inner = weakref.ref(y._operation.saved[0])
    z = y.sum()
    del y
    assert inner() is not None
    z.backward()
    assert inner() is None
    assert z.item() > 0


# Second backward


def test_a_second_backward_raises_and_names_the_operation():
    x = leaf([1.0, 2.0])
    y = (x * x).exp()
    z = y.sum()
    z.backward()
    with pytest.raises(RuntimeError, match=r"^sum: backward has been through .* retain_graph=True"):
        z.backward()
    first = x.grad.copy()
    with pytest.raises(RuntimeError, match=r"^exp: backward has been through"):
        (y * 2).sum().backward()
    np.testing.assert_array_equal(x.grad, first)  # and nothing was added


def test_retain_graph_allows_it():
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad == 12
    with pytest.raises(RuntimeError, match="mul"):
        y.backward()


# What backward is not given


def test_backward_without_a_gradient_needs_one_element():
    x = leaf([1.0, 2.0])
    with pytest.raises(RuntimeError, match=r"backward: the tensor has shape \(2,\)"):
        (x * 2).backward()
    (x * 2).sum().reshape(1, 1).backward()
    np.testing.assert_array_equal(x.grad, [2, 2])


@pytest.mark.parametrize("grad", [np.ones(3), np.ones((2, 1)), 1.0])
def test_backward_with_a_gradient_of_another_shape(grad):
    with pytest.raises(ValueError, match=r"backward: the gradient given has shape .*, wanted \(2,\)"):
        (leaf([1.0, 2.0]) * 2).backward(grad)


def test_backward_of_what_needs_no_gradient():
    with pytest.raises(RuntimeError, match="backward: the tensor requires no grad"):
        nn.Tensor([1.0]).backward()
    with nn.no_grad():
        y = leaf([1.0]) * 2
    with pytest.raises(RuntimeError, match="no_grad"):
        y.backward()


def test_a_vjp_whose_gradient_does_not_fit_is_named():
    wrong = Rule("wrong", "", lambda x: (x * 1, None), lambda g, saved, needs: (np.ones((5, 7)),))
    with pytest.raises(RuntimeError, match=r"^wrong: its vjp gave a gradient of shape \(5, 7\)"):
        apply(wrong, leaf(np.ones((2, 7)))).sum().backward()


def test_a_vjp_that_forgets_an_input_is_found():
    wrong = Rule("wrong", "", lambda a, b: (a * b, None), lambda g, saved, needs: (g,))
    with pytest.raises(ValueError, match="zip"):
        apply(wrong, leaf(1.0), leaf(1.0)).backward()


# nn.grad


def test_grad_of_leaves_and_others_touches_no_grad():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = x * w
    z = (y * y).sum()
    of_y, of_x = nn.grad(z, [y, x], retain_graph=True)
    np.testing.assert_array_equal(of_y, [6, 16])
    np.testing.assert_array_equal(of_x, [18, 64])
    assert x.grad is None
    assert w.grad is None
    (again,) = nn.grad(z, x, grad_output=2.0)
    np.testing.assert_array_equal(again, [36, 128])
    assert not np.shares_memory(again, of_x)


def test_grad_of_the_output_itself():
    x = leaf([1.0, 2.0])
    y = x * 2
    (of_y,) = nn.grad(y, y, np.array([1.0, 5.0]))
    np.testing.assert_array_equal(of_y, [1, 5])


def test_grad_of_what_the_output_was_not_computed_from():
    x, other = leaf(1.0), leaf([1.0, 2.0])
    with pytest.raises(
        RuntimeError, match=r"grad: the output was not computed from input 1, of shape \(2,\)"
    ):
        nn.grad(x * 2, [x, other])


@pytest.mark.parametrize("create_graph", [False, True])
def test_grad_may_be_told_that_an_input_is_unused(create_graph):
    x, other, inner = leaf([1.0]), leaf([1.0, 1.0]), leaf([2.0])
    unused = inner * 3    # computed, but not by what the output came from
    y = x * 2
    grads = nn.grad(y, [x, other, unused, y], create_graph=create_graph, allow_unused=True)
    assert [None if g is None else float(g[0]) for g in grads] == [2, None, None, 1]
    with pytest.raises(RuntimeError, match=r"from input 1.*, which requires no grad"):
        nn.grad(x * 2, [x, nn.tensor([1.0])], create_graph=create_graph, allow_unused=True)


# Copies


def test_leaves_can_be_copied_and_pickled_and_what_was_computed_not():
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin.requires_grad
        assert twin.is_leaf
        np.testing.assert_array_equal(twin.grad, x.grad)
        assert not np.shares_memory(twin.data, x.data)
        (twin * 2).sum().backward()
        np.testing.assert_array_equal(x.grad, [2, 4])
    with pytest.raises(RuntimeError, match=r"computed \(by mul\)"):
        copy.deepcopy(x * 2)

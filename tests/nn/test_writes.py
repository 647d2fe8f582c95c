"""Writing into tensors: allowed where nothing is recorded, found where backward would have been wrong."""

import numpy as np
import pytest

import nn
from nn import versions
from nn.versions import wrote


def leaf(values, dtype=np.float64):
    return nn.Tensor(np.array(values, dtype), requires_grad=True)


# Writing


def test_tensors_that_nothing_records_can_be_written_to():
    t = nn.Tensor([1.0, 2.0, 3.0])
    t[1:] = nn.Tensor([7.0, 8.0])
    t[nn.Tensor(0)] = 6
    np.testing.assert_array_equal(t.data, [6, 7, 8])
    before = t.data
    t += 1
    t *= nn.Tensor([1.0, 2.0, 3.0])
    t -= np.float64(1)
    t /= 2
    assert t.data is before
    np.testing.assert_array_equal(before, [3, 7.5, 13])
    assert t.copy_(1.0) is t
    np.testing.assert_array_equal(before, 1)


def test_a_parameter_is_updated_in_place_under_no_grad():
    w = leaf([1.0, 2.0])
    (w * w).sum().backward()
    for p in [w]:
        with nn.no_grad():
            p -= 0.5 * p.grad
    np.testing.assert_array_equal(w.data, [0, 0])
    assert w.requires_grad


@pytest.mark.parametrize(
    "write",
    [
        lambda x, v: x.__setitem__(0, 1.0),
        lambda x, v: (x * 2).__setitem__(0, 1.0),
        lambda x, v: x.copy_(1.0),
        lambda x, v: x.__iadd__(1.0),
        lambda x, v: v.__setitem__(0, x[0]),
        lambda x, v: v.copy_(x),
    ],
    ids=["x[0] = 1", "y[0] = 1", "x.copy_(1)", "x += 1", "v[0] = x", "v.copy_(x)"],
)
def test_a_write_while_recording_says_what_to_do(write):
    with pytest.raises(RuntimeError, match=r"nn.no_grad\(\)"):
        write(leaf([1.0, 2.0]), nn.Tensor(np.zeros(2)))


def test_augmented_assignment_to_what_is_recorded_computes_a_new_tensor():
    x = leaf([1.0, 2.0])
    y = x * x
    old = y
    y += x
    assert y is not old
    c = nn.Tensor(np.ones(2))
    c *= x
    (y + c).sum().backward()
    np.testing.assert_array_equal(x.grad, [2 + 1 + 1, 4 + 1 + 1])


def test_writes_that_do_not_fit():
    with pytest.raises(TypeError, match="data: int64 came for a tensor that requires grad"):
        leaf([1.0]).data = np.array([1])
    t = nn.Tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="broadcast"):
        t.copy_(np.ones(3))
    with pytest.raises(TypeError, match="cast"):
        nn.Tensor([1, 2]).copy_(0.5)
    with pytest.raises(TypeError, match="cast"):
        nn.Tensor([1, 2]).__iadd__(0.5)


# Overwritten arrays


@pytest.mark.parametrize(
    "write",
    [
        lambda t: setattr(t, "data", np.array([9.0, 9.0])),
        lambda t: t.data.__imul__(2) is not None and setattr(t, "data", t.data),  # t.data *= 2
        lambda t: t.__setitem__(0, 9.0),
        lambda t: t.copy_(np.array([9.0, 9.0])),
        lambda t: t.__iadd__(1.0),
        lambda t: t.reshape(2, 1).copy_(9.0),  # through a view
        lambda t: t[1:].__setitem__(0, 9.0),
        lambda t: (np.add(t.data, 1, out=t.data), wrote(t.data)),
    ],
    ids=["data =", "data *=", "t[0] =", "copy_", "+=", "parametrization", "slice", "wrote"],
)
@pytest.mark.parametrize("which", ["input", "output"])
def test_an_array_that_backward_needs_was_overwritten(write, which):
    x = leaf([1.0, 2.0])
    y = x * x if which == "input" else x.exp()
    with nn.no_grad():
        write(x if which == "input" else y)
    name = "mul" if which == "input" else "exp"
    with pytest.raises(
        RuntimeError, match=rf"^{name}: backward needs an array of shape \(2,\) that was overwritten"
    ):
        y.sum().backward()
    assert x.grad is None


def test_writes_that_do_no_harm_are_allowed():
    x, other = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    y = (x + 1).sum()  # add saves nothing
    with nn.no_grad():
        x += 1
    y.backward()
    z = (other * other).sum()
    with nn.no_grad():
        x += 1  # not what z needs
    z.backward()
    np.testing.assert_array_equal(other.grad, [2, 4])
    with nn.no_grad():
        other += 1  # before the forward pass
    (other * other).sum().backward()
    np.testing.assert_array_equal(other.grad, [2 + 4, 4 + 6])


def test_the_log_of_writes_forgets_arrays_that_are_gone():
    before = len(versions._written)    # the first weights of layers that other tests keep, for instance
    for _ in range(100):
        wrote(np.zeros(3))
    assert len(versions._written) < before + 50


def test_an_optimizer_step_between_forward_and_backward_is_found():
    w = nn.Parameter(np.array([1.0, 2.0]))
    optimizer = nn.optim.SGD([w], lr=0.1)
    (w * w).sum().backward()
    loss = (w * w).sum()
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"^mul: .* overwritten"):
        loss.backward()

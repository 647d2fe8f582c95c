"""adam_step: bad arguments get one clear error and write nothing, in NumPy and in C."""

import re
import warnings
import weakref

import numpy as np
import pytest

from nn.kernels import adam_step

NAMES = ("params", "grads", "exp_avgs", "exp_avg_sqs")
SHARED = np.ones(20, np.float32)


pytestmark = pytest.mark.usefixtures("backend")


def good():
    return [[np.full((2, 5), i + 1, np.float32), np.full(3, i + 1, np.float32)] for i in range(4)]


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


ONE = np.ones((2, 5), np.float32)
BAD = [
    (TypeError, 0, [[1.0]] * 10, "list"), (TypeError, 1, None, "nothing"),
    (TypeError, 2, ONE.astype(int), "int64"),
    (TypeError, 3, ONE.astype(">f4"), "byte-swapped"), (TypeError, 1, np.ma.masked_array(ONE), "masked"),
    (ValueError, 1, ONE[:1], r"\(1, 5\)"), (ValueError, 2, ONE.ravel(), r"\(10,\)"),
    (ValueError, 3, ONE.T, r"\(5, 2\)"),
    (ValueError, 0, read_only(ONE), "read-only"), (ValueError, 2, read_only(ONE), "read-only"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "at", "value", "came"), BAD, ids=range(len(BAD)))
def test_a_bad_array_is_refused_before_anything_is_written(error, at, value, came):
    lists = good()
    lists[at].append(value)
    for i in set(range(4)) - {at}:
        lists[i].append(np.ones((2, 5), np.float32))
    with pytest.raises(error, match=rf"^adam_step: {NAMES[at]}\[2\] ") as raised:
        adam_step(*lists, [1, 1, 1], lr=0.1)
    assert re.search(came, str(raised.value))
    assert all((x == y).all() for some, others in zip(lists, good(), strict=True)
               for x, y in zip(some, others, strict=False))


@pytest.mark.parametrize(("error", "change", "message"), [
    (TypeError, {"params": ONE}, "params must be a list, got ndarray"),
    (ValueError, {"grads": []}, "grads must have 2 entries, got 0"),
    (ValueError, {"steps": [1]}, "steps must have 2 entries, got 1"),
    (ValueError, {"steps": [1, 0]}, r"steps must be in 1\.\."),
    (TypeError, {"steps": [1, 1.5]}, "steps must be an integer, got float"),
    (TypeError, {"lr": "fast"}, "lr must be a number, got str"),
    (ValueError, {"betas": (1.0, 0.9)}, r"beta1 must be in \[0, 1\), got 1.0"),
    (ValueError, {"betas": (0.9, -0.1)}, r"beta2 must be in \[0, 1\), got -0.1")])
def test_other_bad_arguments(error, change, message):
    call = {**dict(zip(NAMES, good(), strict=True)), "steps": [1, 1], "lr": 0.1, **change}
    with pytest.raises(error, match=f"^adam_step: {message}"):
        adam_step(**call)


@pytest.mark.parametrize(("one", "other"), [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)])
def test_arrays_of_one_tensor_may_not_overlap(one, other):
    lists = good()
    for some in lists:
        some.append(np.ones(5, np.float32))
    lists[one][2], lists[other][2] = SHARED[:5], SHARED[4:9]
    with pytest.raises(ValueError, match=r"adam_step: .* must not overlap"):
        adam_step(*lists, [1, 1, 1], lr=0.1)
    assert (lists[0][0] == 1).all()
    lists[other][2] = SHARED[5:10]    # end to end
    adam_step(*lists, [1, 1, 1], lr=0.1)


def test_gradients_may_lie_anyhow():
    want = good()
    adam_step(*want, [1, 2], lr=0.1)
    got = good()
    got[1] = [np.asfortranarray(got[1][0]), np.repeat(got[1][1], 2)[::2]]
    adam_step(*got, (1, 2), lr=0.1)
    assert all((x == y).all() for some, others in zip(got, want, strict=True)
               for x, y in zip(some, others, strict=True))


def test_no_tensors_and_scalars():
    adam_step([], [], [], [], [], lr=0.1)
    p, g, m, v = (np.array(1, np.float32) for _ in range(4))
    adam_step([p], [g], [m], [v], [1], lr=0.5, betas=(0.0, 0.0), eps=0.0)
    assert p == 0.5


def stepped(lists, steps=(1, 1)):
    """What the specification makes of copies of these."""
    copies = [[x.copy() for x in some] for some in lists]
    adam_step.reference(*copies, list(steps), lr=0.1)
    return copies


def check_step(lists):
    want = stepped(lists)
    adam_step(*lists, [1, 1], lr=0.1)
    assert all((x == y).all() for some, others in zip(lists, want, strict=True)
               for x, y in zip(some, others, strict=True))


def test_tensors_of_the_call_before_with_other_gradients_and_other_tensors():
    lists = good()
    check_step(lists)
    lists[1] = [np.full((2, 5), 7, np.float32), np.full(3, 8, np.float32)]    # the same, other gradients
    check_step(lists)
    for at in (0, 2, 3):    # another array among the same
        lists[at][1] = lists[at][1].copy()
        check_step(lists)
    lists = [[some[1], some[0]] for some in lists]    # the same in another order
    check_step(lists)
    lists = [some[:1] for some in lists]    # fewer
    want = stepped(lists, [1])
    adam_step(*lists, [1], lr=0.1)
    assert all((some[0] == others[0]).all() for some, others in zip(lists, want, strict=True))


def test_what_was_right_once_is_looked_at_again():
    lists = good()
    adam_step(*lists, [1, 1], lr=0.1)
    with pytest.raises(ValueError, match=r"grads\[0\] must have the shape"):
        adam_step(lists[0], [np.ones((5, 2), np.float32), lists[1][1]], *lists[2:], [1, 1], lr=0.1)
    with pytest.raises(TypeError, match=r"grads\[1\]"):
        adam_step(lists[0], [lists[1][0], np.ones(3, int)], *lists[2:], [1, 1], lr=0.1)
    lists[2][1].flags.writeable = False
    with pytest.raises(ValueError, match=r"exp_avgs\[1\] .* read-only"):
        adam_step(*lists, [1, 1], lr=0.1)


def test_a_dtype_changed_in_place_is_noticed():
    p, g, m, v = (np.ones(8, np.float32) for _ in range(4))
    adam_step([p], [g], [m], [v], [1], lr=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        p.dtype = np.float64    # of shape (4,) now, while m and v have 8 entries
    with pytest.raises(ValueError, match=r"exp_avgs\[0\] must have the shape \(4,\)"):
        adam_step([p], [g[:4]], [m], [v], [2], lr=0.1)


def test_nothing_is_kept_alive():
    lists = good()
    adam_step(*lists, [1, 1], lr=0.1)
    alive = [weakref.ref(x) for some in lists for x in some]
    del lists
    assert not any(x() is not None for x in alive)

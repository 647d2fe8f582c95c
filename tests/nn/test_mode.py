"""no_grad: nested, as a decorator, through errors, and in its own thread."""

import threading

import numpy as np
import pytest

import nn


def leaf(values, dtype=np.float64):
    return nn.Tensor(np.array(values, dtype), requires_grad=True)


def test_no_grad_nests_and_decorates_and_survives_errors():
    x = leaf(1.0)
    quiet = nn.no_grad()
    with quiet, quiet:
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad

    @nn.no_grad()
    def double(t):
        """Twice."""
        return t * 2

    assert double.__name__ == "double"
    assert not double(x).requires_grad
    with pytest.raises(ZeroDivisionError), nn.no_grad():
        1 / 0  # noqa: B018
    assert (x * 2).requires_grad


def test_no_grad_is_of_one_thread():
    x, seen = leaf(1.0), []
    with nn.no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))
        thread.start()
        thread.join()
        assert not (x * 2).requires_grad
    assert seen == [True]


def test_threads_that_share_a_weight_each_walk_their_own_graph():
    w = leaf(np.ones(50))
    results = [None] * 4

    def work(i):
        for _ in range(50):
            (results[i],) = nn.grad((w * float(i + 1)).sum() + (w * w).sum(), w)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    for i, g in enumerate(results):
        np.testing.assert_array_equal(g, np.full(50, i + 3))

"""What becomes of each axis of an operation's inputs: the table is complete, and true of every sample."""

import numpy as np
import pytest

import nn
from nn.axes import AXES, axes, factors
from nn.graph import Node
from nn.rules import RULES
from nn.sizes import Size, at, length_of, names_in
from nn.tracing import _defaults

N, S = Size("N"), Size("S")


def known(name):
    return name in AXES or getattr(RULES[name], "axes", None)


def sampled():
    for name, rule in ((name, rule) for name, rule in RULES.items() if known(name)):
        for i, (arrays, attrs) in enumerate(rule.samples(np.random.default_rng(0))):
            yield pytest.param(rule, arrays, {**_defaults(rule), **attrs}, id=f"{name}-{i}")


def test_of_every_operation_that_a_forward_may_apply_the_axes_are_known():
    assert AXES.keys() <= RULES.keys()
    assert not [name for name in RULES if not known(name) and not name.endswith(("_grad", "_at"))]


def test_an_operation_of_which_nothing_is_known_is_refused(monkeypatch):
    monkeypatch.delitem(AXES, "tanh")
    with pytest.raises(nn.TraceError, match="tanh in module '0': nothing is known of its axes; wanted"):
        nn.trace(nn.Sequential(nn.Tanh()), np.zeros((2, 3), np.float32))


@pytest.mark.parametrize(("rule", "arrays", "attrs"), list(sampled()))
def test_axes_that_stay_hold_entries_apart_and_in_their_places(rule, arrays, attrs):
    """Entries that change places along such axes of the inputs change them in the output; and what stands
    in one place of the output is made of what stands there in the inputs, and of nothing beside."""
    def run(inputs):
        return np.asarray(rule.forward(*inputs, **attrs)[0])

    out = run(arrays)
    shapes = [None if x is None else np.shape(x) for x in arrays]
    maps = axes(Node(rule.name, (), "", attrs, out.shape, "", out.dtype), shapes)
    assert [len(one) for one in maps] == [len(shape or ()) for shape in shapes]
    for j, n in enumerate(out.shape):
        there = {i: one.index(j) for i, one in enumerate(maps) if j in one and shapes[i][one.index(j)] != 1}
        if not there or any(shapes[i][a] != n for i, a in there.items()):
            continue
        turned = [np.flip(x, there[i]) if i in there else x for i, x in enumerate(arrays)]
        np.testing.assert_allclose(run(turned), np.flip(out, j), rtol=1e-9, atol=1e-12)
        first = [np.take(x, np.zeros(n, int), there[i]) if i in there else x for i, x in enumerate(arrays)]
        np.testing.assert_allclose(run(first), np.take(out, np.zeros(n, int), j), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("op", "attrs", "shapes", "out", "wanted"), [
    ("relu", {}, [(N, 3)], (N, 3), [(0, 1)]),
    ("add", {}, [(N, 3, 8), (8,)], (N, 3, 8), [(0, 1, 2), (2,)]),
    ("softmax", {"dim": -1}, [(N, 3)], (N, 3), [(0, None)]),
    ("conv2d", {"groups": 1}, [(N, 4, 8, 8), (6, 4, 3, 3), (6,)], (N, 6, 8, 8),
     [(0, None, None, None), (1, None, None, None), (1,)]),
    ("conv2d", {"groups": 2}, [(N, 4, 8, 8), (6, 2, 3, 3), (6,)], (N, 6, 8, 8),
     [(0, None, None, None), (None, None, None, None), (None,)]),
    ("conv2d", {"groups": 4}, [(N, 4, 8, 8), (4, 1, 3, 3), None], (N, 4, 8, 8),
     [(0, 1, None, None), (1, None, None, None), ()]),
    ("reshape", {}, [(N, 4, 2, 2)], (N, 16), [(0, None, None, None)]),
    ("reshape", {}, [(N, 1, S, 8)], (N, S, 2, 4), [(0, None, 1, None)]),
    ("permute", {"dims": (0, 2, 1)}, [(N, 3, 8)], (N, 8, 3), [(0, 2, 1)]),
    ("index", {"index": (slice(None), 0)}, [(N, 3, 8)], (N, 8), [(0, None, 1)]),
    ("index", {"index": (..., None, slice(0, S))}, [(N, S)], (N, 1, S), [(0, 2)]),
    ("embedding", {}, [(20, 8), (N, S)], (N, S, 8), [(None, 2), (0, 1)]),
    ("mean", {"dim": (1, 2), "keepdim": False}, [(N, 3, 4, 5)], (N, 5), [(0, None, None, 1)]),
])
def test_what_the_table_says(op, attrs, shapes, out, wanted):
    assert axes(Node(op, (), "", attrs, out, "", np.dtype(np.float32)), shapes) == wanted


def test_a_reshape_is_a_list_of_groups():
    assert factors((N, 3, 4), (N, 12)) == [(range(0, 1), range(0, 1)), (range(1, 3), range(1, 2))]
    assert factors((N, S, 8), (Size("N·S"), 2, 4)) == [(range(0, 2), range(0, 1)), (range(2, 3), range(1, 3))]
    assert factors((1, N), (N,)) == [(range(0, 1), range(0, 0)), (range(1, 2), range(0, 1))]
    assert factors((), (1, 1)) == [(range(0, 0), range(0, 2))]
    assert factors((3,), (1, 3)) == [(range(0, 1), range(0, 2))]
    assert factors((0, 2), (0, 5)) == [(range(0, 1), range(0, 1)), (range(1, 2), range(1, 2))]
    assert factors((2, 0), (0, 7)) == [(range(0, 2), range(0, 2))]


def test_a_size_is_the_polynomial_through_what_was_seen():
    points = [{"N": n, "S": s} for n, s in ((3, 6), (1, 6), (2, 6), (5, 6), (3, 5), (3, 3), (5, 3))]
    for text in (N, "4·N", "N·S", "S + 1", "S - 2", "4·N·S + 4·N", "-1·S + 9"):
        size = Size(text)
        assert length_of([size.at(point) for point in points], points) == text
        assert names_in(size) == {name for name in "NS" if name in text}
    assert length_of([7] * 7, points) == 7
    assert length_of([point["S"] // 2 for point in points], points) is None
    assert length_of([point["S"] ** 2 for point in points], points) is None


def test_sizes_become_numbers_wherever_they_are():
    n = Size("2·N")
    made = at({"shape": (n, -1), "index": (slice(0, n), ..., [n]), "dim": 1}, {"N": 3})
    assert made == {"shape": (6, -1), "index": (slice(0, 6), ..., [6]), "dim": 1}
    assert str((Size("2·N"), 4)) == "(2·N, 4)"

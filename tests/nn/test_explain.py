"""explain: every operation of the graph, in order, with what it keeps."""

import re

import numpy as np
import pytest

import nn
from nn import functional as F


def network():
    x = nn.Tensor(np.ones((4, 3), np.float32))
    w = nn.Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    return x, w, F.cross_entropy((x @ w.T).exp(), np.array([0, 1, 0, 1]))


def test_it_names_operations_arguments_shapes_and_formulas_in_order():
    *_, loss = network()
    text = loss.explain()
    assert text == nn.explain(loss)
    lines = text.splitlines()
    assert lines[0].startswith("5 operations from 1 tensors that require grad")
    assert lines[1] == "  w1: (2, 3) float32"
    assert [line.split("(")[0].strip() for line in lines[2::2]] == [
        "t1 = permute", "t2 = matmul", "t3 = exp", "t4 = cross_entropy", "t5 = mean",
    ]  # fmt: skip
    assert "t2 = matmul(·, t1)" in text
    assert "permute(w1, dims=(1, 0))" in text
    assert "      y = a·b;  da = g·bᵀ, db = aᵀ·g" in lines


def test_the_bytes_are_those_that_backward_frees():
    """Each array counts once, at the operation that brought it in; the leaves' own do not count."""
    *_, loss = network()
    sizes = [int(n.replace(",", "")) for n in re.findall(r"([\d,]+) B", loss.explain())]
    held, stack, seen = 0, [loss._operation], set()
    while stack:
        node = stack.pop()
        for kept in (*(node.saved or ()), *(node.inputs or ())):
            if isinstance(kept, np.ndarray):
                kept = kept if kept.base is None else kept.base
                if id(kept) not in seen and kept.shape != (2, 3):
                    seen.add(id(kept))
                    held += kept.nbytes
        stack += [p for p in node.parents if hasattr(p, "saved")]
    assert sum(sizes) == held > 0


def test_after_backward_it_says_freed():
    *_, loss = network()
    loss.backward()
    assert "freed" in loss.explain()


def test_what_has_no_graph():
    assert "needs no gradient" in nn.explain(nn.Tensor([1.0]))
    assert "is a leaf" in nn.Tensor([1.0], requires_grad=True).explain()
    with pytest.raises(TypeError, match="explain: wanted a Tensor, got int"):
        nn.explain(3)


def test_a_value_used_twice_comes_once_and_a_long_graph_is_cut():
    x = y = nn.Tensor([1.0, 2.0], requires_grad=True)
    z = x * 2
    assert (z * z).explain().count("t1 = ") == 1
    for _ in range(1000):
        y = y + 1
    text = y.explain()
    assert "800 operations come before these" in text
    assert text.count("\n") < 420
    assert "t1000 = add(t999, ·)" in text

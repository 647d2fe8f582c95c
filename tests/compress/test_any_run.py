"""A Program gives what its network gives: of several inputs and outputs, whatever shares a buffer."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress.program.ready import SMALL
from nn import functional as F

WIDTH = 8
MANY = SMALL // (4 * WIDTH) + 1  # rows that are too large to be copied
SHAPES = [(8,), (2, 4), (1, 8), (2, 2, 2)]
OPS = {
    "flat": lambda net, a, b: a.flatten(1), "relu": lambda net, a, b: F.relu(a),
    "deep": lambda net, a, b: a.flatten(1).reshape(len(a), -1, 2),
    "turned": lambda net, a, b: a.flatten(1).reshape(len(a), 2, -1).transpose(1, 2),
    "stacked": lambda net, a, b: F.stack([a.flatten(1)], 1),
    "linear": lambda net, a, b: net.fc(a.flatten(1)),
    "sum": lambda net, a, b: a.flatten(1) + b.flatten(1),
    "product": lambda net, a, b: a.flatten(1) * b.flatten(1),
    "half of both": lambda net, a, b: F.cat([a.flatten(1), b.flatten(1)], 1)[:, ::2]}


class Drawn(nn.Module):
    """Each operation reads two of the values so far, its inputs among them; the last few are the outputs."""

    def __init__(self, ops, outputs):
        self.ops, self.outputs, self.fc = ops, outputs, nn.Linear(WIDTH, WIDTH, rng=np.random.default_rng(0))

    def forward(self, *inputs):
        values = list(inputs)
        for op, i, j in self.ops:
            values.append(OPS[op](self, values[i % len(values)], values[j % len(values)]))
        return {f"y{i}": value for i, value in enumerate(values[-self.outputs:])}


PLACES = st.integers(0, 9)


@given(st.lists(st.tuples(st.sampled_from(list(OPS)), PLACES, PLACES), min_size=3, max_size=12),
       st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3), st.integers(1, 3), st.integers(0, 99))
def test_a_program_gives_what_its_network_gives(ops, shapes, outputs, seed):
    rng, model = np.random.default_rng(seed), Drawn(ops, outputs)

    def drawn(n):
        return tuple(rng.standard_normal((n, *shape)).astype(np.float32) for shape in shapes)

    program = compress.convert(model, drawn(2))
    before = {}
    for n in (1, 3, 1, MANY):
        inputs = drawn(n)
        kept = [x.copy() for x in inputs]
        wanted, found = model(*map(nn.Tensor, inputs)), program(*inputs)
        found = found if isinstance(found, dict) else {"y0": found}
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():  # sums of up to ten products of products of normal numbers
            size = max(1, np.abs(value.data).max())
            np.testing.assert_allclose(found[name], value.data, rtol=1e-4, atol=1e-5 * size, err_msg=name)
        assert all((x == y).all() for x, y in zip(inputs, kept, strict=True)), "a run writes to its input"
        assert all((array == copy).all() for array, copy in before.values()), "a run writes to what it gave"
        before = {name: (array, array.copy()) for name, array in found.items()}

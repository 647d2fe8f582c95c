"""What is simulated in training equals what the integer Program computes, on random networks and recipes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress.simulate import Simulation
from tests.compress.networks import networks

CHOICES = (
    None,
    compress.Quantize(),
    compress.Quantize(),
    compress.Prune(0.5),
    compress.Prune(0.5, compress.Cubic(end=2)),
    [compress.Prune(0.7, compress.Cubic(end=3)), compress.Quantize()],
)


@given(networks(), st.randoms(use_true_random=False), st.integers(0, 2))
def test_simulated_is_computed(drawn, random, more):
    model, recipe = drawn.model, {name: random.choice(CHOICES) for name in drawn.layers()}
    if not any(recipe.values()):
        return
    compress.prepare(model, recipe, drawn.example)
    if not isinstance(model.view, Simulation):
        return
    model.train()
    optimizer = nn.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(3 + more):  # so that every schedule ends
        optimizer.zero_grad()
        out = model(nn.Tensor(drawn.example))
        (out * nn.Tensor(drawn.rng.normal(size=out.shape).astype(np.float32))).sum().backward()
        optimizer.step()
    model.eval()
    with nn.no_grad():
        simulated = model(nn.Tensor(drawn.x)).data
    np.testing.assert_array_equal(compress.convert(model)(drawn.x), simulated)

"""What is simulated in training equals what the integer Program computes, on random networks and recipes."""

import numpy as np
import pytest
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


LOW = [compress.Quantize(weights=weights, activations=activations)
       for weights in ("int2", "int3", "int4-tensor", "int5", "ternary", "binary", "pow2")
       for activations in ("uint8", "uint4", "uint2", "uint1", "sign", "int8-dynamic", "int3-dynamic")]
REALS = [compress.Quantize(weights=weights, activations=None)
         for weights in ("int8", "int3", "int4-block32", "binary", "ternary", "pow2")]
SHARED = [[*before, compress.Cluster(2, activations="int8-dynamic")]
          for before in ((), (compress.Prune(0.3),), (compress.Prune(0.3, compress.Cubic(end=2)),))]


SCALED = [compress.Quantize(weights=weights, activations=activations, gradient="ewgs", clip=clip)
          for weights, activations, clip in (("int2", "uint2", None), ("binary", "sign", 0.2),
                                             ("ternary", "uint1", None), ("pow2", "uint4", 0.1))]
SCALED += [compress.LearnedStep(3), compress.LearnedStep(2, activations="uint2", ranges="mse")]


@given(networks(), st.randoms(use_true_random=False), st.integers(0, 2))
def test_simulated_is_computed(drawn, random, more):
    simulated_is_computed(drawn, {name: random.choice(CHOICES) for name in drawn.layers()}, more)


@given(networks(), st.randoms(use_true_random=False))
def test_simulated_is_computed_below_eight_bits(drawn, random):
    choices = [None, *LOW, *LOW, *REALS, *SCALED, *SHARED, *SHARED]
    simulated_is_computed(drawn, {name: random.choice(choices) for name in drawn.layers()}, 0)


def simulated_is_computed(drawn, recipe, more):
    model = drawn.model
    if not any(recipe.values()):
        return
    compress.prepare(model, recipe, drawn.example)
    if not isinstance(model.parametrization, Simulation):
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


def test_a_simulation_goes_on_from_its_state():
    def prepared():
        model = nn.models.digits_cnn(0.2, rng=np.random.default_rng(0))
        return compress.prepare(model, compress.Quantize(), nn.data.digits().x_train[:50])

    first, second = prepared(), prepared()
    first.train()
    for _ in range(3):
        first(nn.Tensor(2 * nn.data.digits().x_train[50:90]))
    assert first.parametrization.ranges != second.parametrization.ranges
    second.parametrization.load_state(first.parametrization.state_arrays())
    assert second.parametrization.ranges == first.parametrization.ranges
    with pytest.raises(ValueError, match="lacks"):
        second.parametrization.load_state({})

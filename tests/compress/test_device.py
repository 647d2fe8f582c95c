"""A Program on a GPU, or on its emulation, computes what it computes on a CPU: integer for integer, and reals
within the rounding of sums."""


import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
from compress import Cluster, Prune, Quantize
from nn.testing.networks import networks
from tests.compress.networks import close
from tests.compress.test_integer_networks import IMAGES, prepared
from tests.nn.cuda.conftest import device  # noqa: F401 -- a fixture

RECIPES = st.sampled_from([None, Quantize(), Prune(0.5), Cluster(2), Quantize(bits=4)])


def alike(program, bound, *x, exact):
    """Every value of a run, here and there."""
    here, there = program.every_value(*x), bound.every_value(*x)
    for name in here.keys() & there.keys():
        if exact or here[name].dtype.kind != "f":
            np.testing.assert_array_equal(there[name], here[name], err_msg=name)
        else:
            close(there[name], here[name])


@given(networks(), RECIPES)
def test_every_network_computes_there_what_it_computes_here(network, recipe):
    if recipe is not None:
        try:
            compress.prepare(network, recipe, network.inputs(6))
        except ValueError:  # it has no layer for that
            pass
    program = compress.convert(network, network.inputs(3))
    bound = program.bind("cuda", crossing=True)
    alike(program, bound, *network.inputs(3, seed=1), exact=False)
    for n in 4, 1, 0, 4:
        x = network.inputs(n, seed=n)
        close(bound(*x), program(*x))


@pytest.mark.parametrize("build", IMAGES)
def test_integers_are_the_same(build):
    model, x = prepared(build)
    program = compress.convert(model, integer=True)
    alike(program, program.bind("cuda", crossing=True), 1.3 * x[:3], exact=True)

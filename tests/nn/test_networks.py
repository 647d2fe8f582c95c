"""Random networks of any layers: each is written down as a Graph, which computes what the model computes."""

import numpy as np
from hypothesis import given

import nn
from nn.testing.network_lines import Line
from nn.testing.networks import Input, build, networks


def forward(network, inputs):
    with nn.no_grad():
        return network(*map(nn.Tensor, inputs)).data


@given(networks())
def test_every_network_is_traced_and_its_graph_is_the_network(network):
    graph = nn.trace(network, *network.inputs(3))
    for n in (1, 2, 3, 7):
        inputs = network.inputs(n, seed=n)
        np.testing.assert_array_equal(graph.run(*inputs), forward(network, inputs))


@given(networks(kinds=("image", "signal", "vector", "masked")))
def test_a_row_of_nan_reaches_no_other_row(network):
    graph = nn.trace(network, *network.inputs(3))
    inputs = network.inputs(3, seed=1)
    with np.errstate(all="ignore"):
        before = np.isnan(graph.run(*inputs))
        inputs[0][1] = np.nan
        after = np.isnan(graph.run(*inputs))
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])


def test_a_network_prints_as_the_class_that_makes_it():
    network = build((Input("x", "floats", (3,)),), [Line("x = {0}(x)", ("nn.Linear(3, 2, rng=rng)",))], 7)
    scope = {"nn": nn, "np": np}
    exec(str(network), scope)
    x = network.inputs(2)
    np.testing.assert_array_equal(forward(network, x).shape, forward(scope["Net"](), x).shape)
    np.testing.assert_array_equal(scope["Net"]().linear0.weight.data, network.linear0.weight.data)

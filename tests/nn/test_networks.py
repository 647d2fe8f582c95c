"""Random networks of any layers: each is written down as a Graph, which computes what the model computes."""

import numpy as np
from hypothesis import given

import nn
from nn.testing.networks import networks


def forward(network, inputs):
    with nn.no_grad():
        return network(*map(nn.Tensor, inputs)).data


@given(networks())
def test_every_network_is_traced_and_its_graph_is_the_network(network):
    graph = nn.trace(network, *network.inputs(3))
    for n in (1, 2, 3, 7):
        inputs = network.inputs(n, seed=n)
        np.testing.assert_array_equal(graph.run(*inputs), forward(network, inputs))

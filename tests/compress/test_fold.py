"""Batch norms in the layers before them: the same function, whatever γ; what can't be folded stays."""

from dataclasses import replace

import numpy as np
import pytest

import compress
import nn
from compress.lower.fold import Folding
from nn import functional as F
from tests.compress.networks import exactly, statistics
from tests.net import Net


def fold_batch_norm(graph):
    """The graph with its norms folded, and its constants and chains."""
    folding = Folding.of(graph)
    constants, chains = folding.numbers(graph.constants, graph.parametrizations)
    return replace(folding.graph, constants=constants, parametrizations=chains)


def graph_of(model, shape, rng=None):
    statistics(model, np.random.default_rng(0) if rng is None else rng)
    return nn.trace(model.eval(), np.zeros((1, *shape), np.float32))


def ops(graph):
    return [node.op for node in graph.nodes]


def same_function(model, graph, shape):
    x = np.random.default_rng(1).normal(size=(3, *shape)).astype(np.float32)
    wanted, bound = exactly(model, x)
    exact = {name: array.astype(np.float64) for name, array in graph.constants.items()}
    got = replace(graph, constants=exact).run(x.astype(np.float64))
    assert np.all(np.abs(got - wanted) <= bound)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_conv_and_linear_take_the_batch_norm_after_them(bias, affine):
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=bias),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(36, 5, bias=bias),
        nn.BatchNorm1d(5),
    )
    if not affine:
        statistics(model, np.random.default_rng(0))
        model[1].weight = model[1].bias = None
        graph = nn.trace(model.eval(), np.zeros((1, 2, 5, 5), np.float32))
    else:
        graph = graph_of(model, (2, 5, 5))
    folded = fold_batch_norm(graph)
    assert ops(folded) == ["conv2d", "relu", "reshape", "linear"]
    assert folded.output == folded.nodes[-1].output
    assert all(None not in node.inputs for node in folded.nodes)
    if affine:
        same_function(model, folded, (2, 5, 5))


def test_negative_and_zero_gamma_and_a_conv_bias_by_hand():
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3, eps=1.0)).eval()
    model[0].weight.data[:, 0, 0, 0] = [2, 2, 2]
    model[0].bias.data[:] = [10, 10, 10]
    model[1].weight.data[:] = [3, -3, 0]
    model[1].bias.data[:] = [1, 2, 3]
    model[1].running_mean[:] = 4
    model[1].running_var[:] = 8  # √(8 + 1) = 3
    graph = fold_batch_norm(nn.trace(model, np.zeros((1, 1, 2, 2), np.float32)))
    np.testing.assert_array_equal(graph.constants["0.weight"][:, 0, 0, 0], [2, -2, 0])
    np.testing.assert_array_equal(graph.constants["0.bias"], [10 - 4 + 1, -(10 - 4) + 2, 3])


def test_the_model_and_the_graph_that_was_traced_stay():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    graph = graph_of(model, (3,))
    compress.prepare(model, compress.Quantize())
    graph = nn.trace(model, np.zeros((1, 3), np.float32))
    before, nodes, constants = model.state_dict(), graph.nodes, dict(graph.constants)
    scale = model[0].weight.parametrization.states[0].scale.copy()
    fold_batch_norm(graph)
    assert graph.nodes == nodes
    assert all(graph.constants[name] is constants[name] for name in constants)
    assert set(graph.constants) == set(constants)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    np.testing.assert_array_equal(model[0].weight.parametrization.states[0].scale, scale)


def test_a_view_is_rescaled_with_its_weight():
    model = nn.Sequential(nn.Linear(3, 2, bias=False), nn.BatchNorm1d(2))
    statistics(model, np.random.default_rng(0))
    compress.prepare(model, [compress.Prune(0.5), compress.Quantize()])
    graph = nn.trace(model, np.zeros((1, 3), np.float32))
    folded = fold_batch_norm(graph)
    factor = model[1].weight.data / np.sqrt(model[1].running_var + 1e-5)
    before, after = (g.parametrizations["0.weight"].states for g in (graph, folded))
    np.testing.assert_array_equal(after[0].mask, before[0].mask)
    np.testing.assert_allclose(after[1].scale, before[1].scale * np.abs(factor), rtol=1e-6)


def test_a_batch_norm_with_nothing_to_fold_into_stays():
    model = nn.Sequential(
        nn.BatchNorm2d(2), nn.ReLU(), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)
    )
    folded = fold_batch_norm(graph_of(model, (2, 3, 3)))
    assert ops(folded) == ["batch_norm_eval", "relu", "batch_norm_eval", "conv2d"]
    same_function(model, folded, (2, 3, 3))


def test_two_in_a_row_are_still_one_function():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    same_function(model, fold_batch_norm(graph_of(model, (3,))), (3,))


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.norm(m.fc(m.fc(x))),  # the layer is used twice
        lambda m, x: (lambda y: m.norm(y) + y)(m.fc(x)),  # somebody else reads what it makes
        lambda m, x: m.norm(m.tied(x)) + m.fc(x),  # somebody else has its weight
    ],
    ids=["layer-used-twice", "value-read-twice", "weight-tied"],
)
def test_what_others_see_too_is_left_alone(forward):
    model = Net(forward, fc=nn.Linear(3, 3), norm=nn.BatchNorm1d(3), tied=nn.Linear(3, 3))
    model.tied.weight = model.fc.weight
    folded = fold_batch_norm(graph_of(model, (3,)))
    assert "batch_norm_eval" in ops(folded)
    same_function(model, folded, (3,))


def test_a_batch_norm_after_a_relu_is_not_moved_before_it():
    model = Net(lambda m, x: m.norm(F.relu(m.fc(x))), fc=nn.Linear(3, 3), norm=nn.BatchNorm1d(3))
    folded = fold_batch_norm(graph_of(model, (3,)))
    assert ops(folded) == ["linear", "relu", "batch_norm_eval"]
    same_function(model, folded, (3,))


def test_a_norm_over_another_axis_than_that_of_the_layers_outputs_stays():
    """Of rows (N, S, C) a batch norm takes S for the channels; a linear layer makes C, here as many."""
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5))
    graph = graph_of(model, (5, 4))
    assert ops(fold_batch_norm(graph)) == ["linear", "batch_norm_eval"]
    same_function(model, fold_batch_norm(graph), (5, 4))
    x = np.random.default_rng(1).normal(size=(3, 5, 4)).astype(np.float32)
    with nn.no_grad():
        wanted = model(nn.Tensor(x)).data
    np.testing.assert_allclose(compress.convert(model, x)(x), wanted, rtol=1e-4, atol=1e-4)

"""Parametrizations: the defaults of their hooks, and what is refused when one is attached."""

import numpy as np
import pytest

import nn
from nn.parametrize import ModuleParametrization, Parametrization


class Symmetric(Parametrization):
    def project(self, parameter):
        return (parameter + parameter.T) / 2


class Factor(Parametrization):
    """Trains a factor in the weight's place, from the first update on."""

    def __init__(self):
        self.factor, self.begun = nn.Parameter(np.ones((), np.float32)), False

    def project(self, parameter):
        return parameter.detach() * self.factor if self.begun else parameter

    def trainables(self, parameter):
        return [parameter, self.factor]

    def active(self, parameter):
        return [self.factor] if self.begun else [parameter]

    def update(self, parameter, step):
        self.begun = True
        parameter.settle()


class Twice(ModuleParametrization):
    def __call__(self, module, x):
        return module.forward(x) * 2


def linear():
    return nn.Linear(3, 3, rng=np.random.default_rng(0))


def test_only_what_differs_from_the_defaults_is_written():
    layer, twin = linear(), linear()
    layer.weight.parametrization = parametrization = Symmetric()
    assert layer.weight.trainables() == layer.weight.active() == [layer.weight]
    assert layer.weight.trains
    assert parametrization.update(layer.weight, 1) is None
    assert layer.state_dict().keys() == twin.state_dict().keys()    # it knows nothing of its own
    assert layer.load_state_dict(twin.state_dict()) == ([], [])
    symmetric = layer.weight.parametrized().data
    np.testing.assert_array_equal(symmetric, symmetric.T)
    optimizer = nn.optim.SGD(layer.parameters(), lr=0.1)
    layer(nn.ones(2, 3)).sum().backward()
    optimizer.step()
    assert (layer.weight.data != twin.weight.data).any()


def test_what_is_no_parametrization_is_refused_and_nothing_is_changed():
    class Duck:
        def project(self, parameter):
            return parameter

        def trainables(self, parameter):
            return [parameter]

    layer = linear()
    for wrong in (Duck(), Symmetric, Twice(), lambda w: w, 0):
        with pytest.raises(TypeError, match=r"parametrization must be an nn\.parametrize\.Parametrization"):
            layer.weight.parametrization = wrong
    for wrong in (lambda module, x: x, Symmetric(), Twice, 0):
        with pytest.raises(TypeError, match=r"Linear: parametrization must be an nn\.parametrize\.ModulePar"):
            layer.parametrization = wrong
    assert layer.weight.parametrization is layer.parametrization is None


def test_trainables_that_are_no_parameters_are_refused_when_attached():
    layer, parametrization = linear(), Factor()
    parametrization.factor = nn.Tensor(1.0)
    with pytest.raises(TypeError, match=r"Factor\.trainables must give Parameters, got Tensor"):
        layer.weight.parametrization = parametrization
    assert layer.weight.parametrization is None


def test_a_source_is_set_where_one_attaches_and_settles_and_not_by_looking():
    weight, parametrization = linear().weight, Factor()
    assert parametrization.trainables(weight)[1].source is None
    weight.parametrization = parametrization
    assert parametrization.factor.source is weight
    parametrization.factor = nn.Parameter(np.ones((), np.float32))    # a later one
    assert weight.trainables()[1].source is None
    parametrization.update(weight, 1)
    assert parametrization.factor.source is weight
    assert not weight.trains
    assert not weight.data.flags.writeable


def test_hooks_that_have_no_default_say_so():
    layer = linear()
    layer.weight.parametrization = Parametrization()
    with pytest.raises(TypeError, match="Parametrization has no project method"):
        layer(nn.ones(2, 3))
    layer.parametrization = ModuleParametrization()
    with pytest.raises(TypeError, match="ModuleParametrization has no __call__ method"):
        layer(nn.ones(2, 3))


def test_what_has_attributes_must_say_what_to_save():
    layer = linear()
    layer.weight.parametrization = Factor()
    with pytest.raises(TypeError, match=r"state_dict: weight\.parametrization: Factor has the attributes "):
        layer.state_dict()
    layer.weight.parametrization = Symmetric()
    with pytest.raises(ValueError, match=r"parametrization: a Symmetric has no scale"):
        layer.load_state_dict({**linear().state_dict(), "weight.parametrization.scale": np.ones(1)})


def test_a_module_s_computes_in_place_of_forward_but_not_in_a_trace():
    layer, x = linear(), nn.ones(2, 3)
    plain = layer(x).data
    layer.parametrization = Twice()
    np.testing.assert_array_equal(layer(x).data, 2 * plain)
    assert [node.op for node in nn.trace(layer, x).nodes] == ["linear"]
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_a_parameter_has_all_methods_of_a_tensor():
    weight = linear().weight
    weight.parametrization = Symmetric()
    assert weight.view(9).shape == (9,)

"""Walking a tree of modules, and turning all of it into another dtype."""

import numpy as np
import pytest

import compress
import nn


def network():
    return nn.Sequential(nn.Linear(4, 3, rng=np.random.default_rng(0)), nn.BatchNorm1d(3),
                         nn.Sequential(nn.ReLU(), nn.Linear(3, 2, rng=np.random.default_rng(1))))


def test_children_modules_and_apply_visit_each_once():
    model = network()
    assert list(model.children()) == [model[0], model[1], model[2]]
    assert list(model.modules()) == [model, model[0], model[1], model[2], model[2][0], model[2][1]]
    seen = []
    assert model.apply(seen.append) is model
    assert seen == [model[0], model[1], model[2][0], model[2][1], model[2], model]    # children first
    twice = nn.Module()
    twice.a = twice.b = nn.Linear(1, 1)
    assert list(twice.children()) == [twice.a]


def test_apply_starts_weights():
    def start(module):
        if isinstance(module, nn.Linear):
            nn.init.constant_(module.weight, 0.5)

    model = network().apply(start)
    assert (model[0].weight.data == 0.5).all()
    assert (model[2][1].weight.data == 0.5).all()


@pytest.mark.parametrize(("turn", "dtype"), [
    (lambda m: m.to(np.float64), np.float64), (lambda m: m.double(), np.float64),
    (lambda m: m.to("float16"), np.float16), (lambda m: m.half(), np.float16),
    (lambda m: m.double().float(), np.float32),
], ids=range(5))
def test_all_floats_of_a_model_take_the_dtype(turn, dtype):
    model, x = network(), np.random.default_rng(0).normal(size=(5, 4))
    model(nn.tensor(x, dtype=np.float32)).sum().backward()
    assert turn(model) is model
    for name, array in model.state_dict().items():
        assert array.dtype == (np.int64 if "tracked" in name else dtype), name
    for p in model.parameters():
        assert (p.grad.dtype, p.requires_grad, type(p)) == (dtype, True, nn.Parameter)
    out = model(nn.tensor(x, dtype=dtype))
    assert out.dtype == dtype
    model.zero_grad()
    out.sum().backward()
    assert {p.grad.dtype for p in model.parameters()} == {np.dtype(dtype)}
    assert model[1].running_mean.dtype == dtype    # batch norm goes on writing into what it has


def test_the_values_stay_and_a_shared_weight_stays_shared():
    model = network()
    model.tied = nn.Linear(4, 3)
    model.tied.weight = model[0].weight
    before = model.state_dict()
    model.double()
    assert model.tied.weight is model[0].weight
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("make", [lambda p: nn.optim.Adam(p, lr=0.1), lambda p: nn.optim.SGD(p, lr=0.1),
                                  lambda p: nn.optim.SGD(p, lr=0.1, momentum=0.9)],
                         ids=["Adam", "SGD", "momentum"])
def test_an_optimizer_from_before_refuses_to_go_on(make):
    model = network()
    optimizer, average = make(model.parameters()), nn.optim.AveragedModel(model)
    model(nn.ones(5, 4)).sum().backward()
    model.double()
    before = model.state_dict()
    with pytest.raises(RuntimeError, match=r"dtype changed .* build the optimizer after model\.to"):
        optimizer.step()
    with pytest.raises(RuntimeError, match="AveragedModel: a dtype changed"):
        average.update_parameters()
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    make(model.parameters()).step()


def test_what_is_no_float_dtype_and_what_is_compressed_is_refused():
    model = network()
    for wrong in (np.int64, "cpu", bool, "float33"):
        with pytest.raises(TypeError, match=r"to: dtype is .* wanted one of NumPy's: floats"):
            model.to(wrong)
    compress.prepare(model, compress.Prune(0.5))
    with pytest.raises(RuntimeError, match=r"to: 0\.weight has a Chain .* before it gets parametrizations"):
        model.double()
    assert {p.dtype for p in model.parameters()} == {np.dtype(np.float32)}


def test_freezing():
    model = network()
    assert model.requires_grad_(False) is model
    assert not any(p.requires_grad for p in model.parameters())
    model[2].requires_grad_()
    model(nn.ones(5, 4)).sum().backward()
    assert model[0].weight.grad is None
    assert model[2][1].weight.grad is not None

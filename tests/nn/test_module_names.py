"""What children, Parameters and buffers may be called, what buffers may be, and slices of containers."""

import copy
import pickle

import numpy as np
import pytest

import nn

TAKEN = [
    "forward", "train", "eval", "training", "parameters", "named_modules", "state_dict",
    "zero_grad", "load_state_dict", "register_buffer", "extra_repr", "__call__", "__class__",
    "parametrization"]
SETTERS = {
    "Sequential": lambda name: nn.Sequential({"a": nn.Linear(2, 2), name: nn.ReLU()}),
    "a child": lambda name: setattr(nn.Module(), name, nn.ReLU()),
    "a child of a list": lambda name: setattr(nn.ModuleList(), name, nn.ReLU()),
    "a Parameter": lambda name: setattr(nn.Module(), name, nn.Parameter(np.ones(2, np.float32))),
    "a buffer": lambda name: nn.Module().register_buffer(name, np.ones(2)),
    "no buffer yet": lambda name: nn.Module().register_buffer(name, None),
}


@pytest.mark.parametrize("name", [*TAKEN, "", "a.b", "."])
@pytest.mark.parametrize("set_it", SETTERS.values(), ids=SETTERS)
def test_a_name_that_would_hide_something_is_refused(set_it, name):
    with pytest.raises(ValueError, match=f"{name!r} can't be the name of a child or parameter"):
        set_it(name)


def test_methods_of_a_subclass_are_not_hidden_either():
    class Net(nn.Module):
        act = None

        def encode(self, x):
            return x

    model = Net()
    model.act = nn.ReLU()    # a default of the class may be overridden
    with pytest.raises(ValueError, match="Net: 'encode'"):
        model.encode = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="ModuleList: 'append'"):
        nn.ModuleList().append = nn.ReLU()
    model.forward = lambda x: x    # a function is no child
    assert model(3) == 3


FREE = ["view", "prepared", "data", "grad", "source", "shape", "buffers", "weights", "tensor",
        "_state", "_walk", "_buffers", "_check_name", "_as_buffer", "_children", "_entries", "_parameters",
        "_modules", "_Module__buffers", "_Module__children", "_data", "_node", "_check_own"]


def plain_function(*args):
    return "the user's own"


class Net(nn.Module):
    def __init__(self, name="other", value=None):
        self.fc = nn.Linear(2, 2, rng=np.random.default_rng(0))
        self.register_buffer("seen", np.zeros(2, np.float32))
        if isinstance(value, np.ndarray):
            self.register_buffer(name, value)
        elif value is not None:
            setattr(self, name, value)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, x):
        return self.norm(self.fc(x))


def walk(model, path):
    """Everything that walks through the tree, with an attribute or a class of the user's own in it."""
    x, y = np.ones((4, 2), np.float32), np.zeros(4, np.int64)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    nn.train.fit(model, x, y, epochs=1, optimizer=optimizer, rng=np.random.default_rng(0), progress=False,
                 checkpoint=path)
    twin = copy.deepcopy(model)
    assert twin.load_state_dict(model.state_dict()) == ([], [])
    nn.checkpoint(model, nn.Tensor(x)).sum().backward()
    names = [name for name, _ in model.named_modules()]
    assert names == [name for name, _ in pickle.loads(pickle.dumps(twin)).named_modules()]
    assert model.train().to(np.float64).to(np.float32).eval() is model
    assert model.requires_grad_(False).apply(lambda module: None) is model
    model.zero_grad()
    return names, set(model.state_dict()), repr(model), str(nn.trace(model, x))


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    return walk(Net(), tmp_path_factory.mktemp("plain") / "run")


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize("value", [3, plain_function, nn.ReLU(), np.ones(2, np.float32),
                                   nn.Parameter(np.ones(2, np.float32))], ids=lambda v: type(v).__name__)
def test_all_other_names_are_the_users(tmp_path, wanted, name, value):
    names, state, text, graph = walk(Net(name, value), tmp_path / "run")
    assert names == [*wanted[0][:2], *([name] if isinstance(value, nn.Module) else []), *wanted[0][2:]]
    assert state == wanted[1] | ({name} if isinstance(value, (np.ndarray, nn.Parameter)) else set())
    assert text.replace(f"\n  ({name}): ReLU()", "") == wanted[2]
    assert graph == wanted[3]


LAYERS = {    # how each is built, and the shapes that it takes
    nn.Linear: ((2, 2), [(3, 2)]), nn.Conv1d: ((2, 2, 1), [(1, 2, 3)]),
    nn.Conv2d: ((2, 2, 1), [(1, 2, 3, 3)]), nn.ConvTranspose2d: ((2, 2, 1), [(1, 2, 3, 3)]),
    nn.MaxPool1d: ((1,), [(1, 2, 3)]), nn.AvgPool2d: ((1,), [(1, 2, 3, 3)]),
    nn.AdaptiveMaxPool2d: ((1,), [(1, 2, 3, 3)]), nn.BatchNorm1d: ((2,), [(3, 2)]),
    nn.GroupNorm: ((1, 2), [(3, 2)]), nn.LayerNorm: ((2,), [(3, 2)]),
    nn.MultiheadAttention: ((2, 1), [(3, 1, 2)] * 3),
    nn.TransformerEncoderLayer: ((2, 1, 2, 0.0), [(3, 1, 2)]),
    nn.KLDivLoss: ((), [(3, 2)] * 2), nn.BCEWithLogitsLoss: ((), [(3, 2)] * 2), Net: ((), [(4, 2)])}


@pytest.mark.parametrize("name", [
    *FREE, "_mask", "_heads", "_projected", "_fits", "_fitting", "_share", "_padded", "_surrounded", "_axes",
    "_parametrized", "_attended", "_weighted", "_sized", "axes", "shapes", "function", "reductions", "masks"])
def test_a_subclass_may_have_methods_of_these_names(name):
    for base, (arguments, shapes) in LAYERS.items():
        xs = [nn.Tensor(np.random.default_rng(0).random(shape, np.float32)) for shape in shapes]
        made = []
        for cls in (base, type(base.__name__, (base,), {name: plain_function})):
            nn.manual_seed(0)
            layer = cls(*arguments)
            found = layer(*xs)
            found = found[0] if isinstance(found, tuple) else found
            made.append((repr(layer), list(layer.state_dict()), found.data.tobytes()))
        assert made[0] == made[1]
        assert getattr(layer, name)() == "the user's own"


def test_a_class_called_module_may_mangle_any_name():
    class Module(Net):
        def __init__(self):
            self.__buffers = self.__children = self.__walk = None
            super().__init__()

    assert list(Module().state_dict()) == list(Net().state_dict())


def test_every_name_of_a_sequential_is_run():
    names = ["a", "b", "0", "act", "x y", "add", "layers", "modules_", "weight"]
    model = nn.Sequential({name: nn.Linear(2, 2) for name in names})
    assert len(model) == len(names)
    with pytest.raises(TypeError, match="Sequential: names must be text, got 1"):
        nn.Sequential({1: nn.ReLU()})


# Buffers


class Counter(nn.Module):
    def __init__(self):
        self.register_buffer("n", np.zeros((), np.int64))
        self.register_buffer("total", np.zeros((), np.float32))
        self.register_buffer("mean", np.zeros(3, np.float32))
        self.register_buffer("later", None)

    def forward(self, x):
        self.n = self.n + 1
        self.total = self.total + 0.5
        self.mean = self.mean * 0.5 + 1
        return x


def test_buffers_may_be_put_in_place_of_each_other():
    model, other = Counter(), Counter()
    for _ in range(2):
        model(nn.Tensor([1.0]))
    assert {name: (array.dtype, array.shape) for name, array in model.named_buffers()} == {
        "n": (np.int64, ()), "total": (np.float32, ()), "mean": (np.float32, (3,))
    }  # fmt: skip
    for loaded in (model, other):
        assert loaded.load_state_dict(model.state_dict()) == ([], [])
        assert (loaded.n, loaded.total, *loaded.mean) == (2, 1, 1.5, 1.5, 1.5)
        assert all(isinstance(array, np.ndarray) for _, array in loaded.named_buffers())
    model.n = True
    model.total = 7
    assert (model.n.dtype, model.total.dtype, float(model.total)) == (np.int64, np.float32, 7)
    with pytest.raises(TypeError, match="Counter: the buffer n must be an array, a number or None, got list"):
        model.n = [1]


def test_a_buffer_that_is_not_there_is_no_part_of_the_state():
    model = Counter()
    assert list(model.state_dict()) == ["n", "total", "mean"]
    model.later, model.mean = np.ones(2), None
    assert list(model.state_dict()) == ["n", "total", "later"]
    assert [name for name, _ in model.named_buffers()] == ["n", "total", "later"]
    model.load_state_dict(model.state_dict())
    assert Counter().load_state_dict(model.state_dict(), strict=False) == (["mean"], ["later"])
    norm = nn.BatchNorm1d(3)
    norm.running_mean = None
    assert list(norm.state_dict()) == ["weight", "bias", "running_var", "num_batches_tracked"]
    del norm.running_var
    norm.load_state_dict(norm.state_dict())


def test_a_name_that_is_registered_twice_is_there_once():
    model = nn.Module()
    for value in (1.0, 2.0):
        model.register_buffer("a", np.array(value))
    assert [(name, float(array)) for name, array in model.named_buffers()] == [("a", 2.0)]
    model.b = 3
    with pytest.raises(ValueError, match="Module has an attribute 'b' already"):
        model.register_buffer("b", np.ones(1))
    with pytest.raises(TypeError, match="a name must be text"):
        model.register_buffer(1, np.ones(1))


def test_a_buffer_that_can_not_be_written_to_gets_a_new_array():
    model = nn.Module()
    model.register_buffer("a", np.broadcast_to(np.float32(1), (3,)))
    model.load_state_dict({"a": np.arange(3.0, dtype=np.float32)})
    np.testing.assert_array_equal(model.a, [0, 1, 2])


def test_a_loss_that_diverges_puts_back_buffers_that_were_replaced():
    class Net(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(2, 2)
            self.register_buffer("n", np.zeros((), np.int64))

        def forward(self, x):
            self.n = self.n + 1
            return self.fc(x) * np.float32(np.inf)

    model = Net()
    with pytest.raises(nn.train.Diverged):
        nn.train.fit(model, np.ones((4, 2), np.float32), np.zeros(4, np.int64), epochs=1, progress=False,
                     optimizer=nn.optim.SGD(model.parameters()), rng=np.random.default_rng(0))
    assert model.n == 0


# Slices


@pytest.mark.parametrize("index", [np.s_[:1], np.s_[1:], np.s_[:], np.s_[::2], np.s_[::-1], np.s_[5:]])
def test_a_slice_of_a_container_is_one(index):
    layers = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4)]
    part = nn.Sequential(*layers)[index]
    assert type(part) is nn.Sequential
    assert list(part) == layers[index]
    assert [name for name, _ in part.named_children()] == ["0", "1", "2"][index]    # as PyTorch has it
    part = nn.ModuleList(layers)[index]
    assert type(part) is nn.ModuleList
    assert list(part) == layers[index]
    assert [name for name, _ in part.named_children()] == [str(i) for i in range(len(layers[index]))]


def test_a_slice_runs_and_shares_its_modules():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4))
    x = nn.Tensor(np.ones((1, 2), np.float32))
    np.testing.assert_array_equal(model[1:](model[:1](x)).data, model(x).data)
    assert model[:1][0] is model[0]
    assert model[np.int64(-1)] is model[2]
    with pytest.raises(IndexError):
        model[3]


def test_the_class_of_a_slice():
    class Named(nn.Sequential):
        pass

    class Deep(nn.Sequential):
        def __init__(self, depth):
            super().__init__(*(nn.ReLU() for _ in range(depth)))

    assert type(Named(nn.ReLU(), nn.ReLU())[:1]) is Named
    assert type(Deep(3)[:1]) is nn.Sequential


@pytest.mark.parametrize("new", [nn.Parameter(np.ones(3, np.float32)), nn.Linear(2, 2)],
                         ids=["Parameter", "Module"])
def test_what_takes_the_place_of_a_buffer_is_none(new):
    module = nn.Module()
    module.register_buffer("v", np.zeros(3, np.float32))
    module.v = new
    assert list(module.named_buffers()) == []
    assert all(name.startswith("v") for name in module.state_dict())


@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm_need_not_count_its_batches(momentum):
    norm = nn.BatchNorm1d(2, momentum=momentum)
    norm.num_batches_tracked = None
    before = norm.running_mean.copy()
    norm(nn.Tensor(np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)))
    assert np.array_equal(norm.running_mean, before) == (momentum is None)    # as in PyTorch


def test_every_float_buffer_follows_to():
    module = nn.Module()
    module.register_buffer("array", np.ones(2, np.float32))
    module.register_buffer("gone", np.ones(2, np.float32))
    module.array = nn.Tensor(np.ones(2, np.float32))
    del module.gone
    assert module.to(np.float64).array.dtype == np.float64


@pytest.mark.parametrize("wrong", [5, None])
def test_a_list_of_modules_is_one(wrong):
    with pytest.raises(TypeError, match="ModuleList: modules must be a list of Modules, got"):
        nn.ModuleList(wrong)

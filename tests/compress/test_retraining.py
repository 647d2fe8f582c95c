"""Dense-sparse-dense and lottery tickets, bit for bit what their steps by hand give."""

import copy

import numpy as np
import pytest

import compress
import nn
from compress import Prune
from compress.retraining import dense_sparse_dense, lottery_ticket, rewound
from nn.train import fit


def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, 6)).astype(np.float32)
    return x, (x[:, 0] > x[:, 1]).astype(int)


def fresh(seed=1):
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Linear(6, 8, rng=rng), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2, rng=rng))


def sgd(parameters):
    return nn.optim.SGD(parameters, lr=0.1, momentum=0.9)


HOW = {"batch_size": 8, "progress": False}


def same(model, other):
    state = other.state_dict() if isinstance(other, nn.Module) else other
    return all(array.tobytes() == state[name].tobytes() for name, array in model.state_dict().items())


def test_dense_sparse_dense_is_its_three_phases():
    x, y = data()
    found = dense_sparse_dense(fresh(), x, y, Prune(0.5), epochs=(2, 3, 2), optimizer=sgd,
                               rng=np.random.default_rng(3), **HOW)
    model, rng = fresh(), np.random.default_rng(3)
    fit(model, x, y, epochs=2, optimizer=sgd(model.parameters()), rng=rng, **HOW)
    compress.prepare(model, Prune(0.5))
    fit(model, x, y, epochs=3, optimizer=sgd(model.parameters()), rng=rng, **HOW)
    compress.unprepare(model)
    assert np.count_nonzero(model[0].weight.data == 0) == 24     # from where the last phase begins
    fit(model, x, y, epochs=2, optimizer=nn.optim.SGD(model.parameters(), lr=0.1 * 0.1, momentum=0.9),
        rng=rng, **HOW)
    assert same(found, model)
    assert np.all(found[0].weight.data != 0)
    assert found[0].weight.parametrization is None


def test_its_control_is_dense_for_as_many_epochs():
    x, y = data()
    found = dense_sparse_dense(fresh(), x, y, None, epochs=(1, 2, 1), rates=(1, 1, 1), optimizer=sgd,
                               rng=np.random.default_rng(3), **HOW)
    model, rng = fresh(), np.random.default_rng(3)
    for epochs in (1, 2, 1):
        fit(model, x, y, epochs=epochs, optimizer=sgd(model.parameters()), rng=rng, **HOW)
    assert same(found, model)


@pytest.mark.parametrize("rewind", [0, 3])
def test_a_ticket_is_its_mask_on_the_weights_of_that_step(rewind):
    x, y = data()
    seen = []
    ticket = lottery_ticket(fresh(), x, y, [Prune(0.5)], epochs=2, rewind=rewind, optimizer=sgd,
                            rng=np.random.default_rng(3), on_step=lambda step, loss: seen.append(step), **HOW)
    assert seen == [*range(1, 9), *range(1, 9)]

    model, rng, early = fresh(), np.random.default_rng(3), {}
    early = model.state_dict()

    def keep(step, loss):
        if step == rewind:
            early.update(model.state_dict())

    fit(model, x, y, epochs=2, optimizer=sgd(model.parameters()), rng=rng, on_step=keep, **HOW)
    by_hand, masks = fresh(), []
    for at in (0, 3):
        w = model[at].weight.data
        mask = np.ones(w.size, np.float32)
        mask[np.argsort(np.abs(w), axis=None, kind="stable")[:w.size // 2]] = 0
        masks.append(mask.reshape(w.shape))
    by_hand.load_state_dict(early)

    def prune():
        for at, mask in zip((0, 3), masks, strict=True):
            by_hand[at].weight.data = by_hand[at].weight.data * mask

    prune()
    fit(by_hand, x, y, epochs=2, optimizer=sgd(by_hand.parameters()), rng=rng,
        on_step=lambda step, loss: prune(), **HOW)
    for at, mask in zip((0, 3), masks, strict=True):
        assert np.array_equal(ticket[at].weight.parametrization.states[0].mask, mask)
    compress.unprepare(ticket)
    for name, array in by_hand.state_dict().items():
        assert np.array_equal(ticket.state_dict()[name], array), name


def test_in_rounds_masks_grow_and_each_begins_where_the_first_did():
    x, y = data()
    begun = fresh().state_dict()
    starts, masks = [], []

    class Watched(Prune):
        """Prune, which notes what it saw."""

        def fit(self, w, context):
            state = super().fit(w, context)
            masks.append(state.mask.copy())
            return state

    model = fresh()

    def on_step(step, loss):
        if step == 1:
            starts.append(model[0].weight.data.copy())

    lottery_ticket(model, x, y, [Watched(0.25), Watched(0.5), Watched(0.75)], epochs=2, optimizer=sgd,
                   rng=np.random.default_rng(3), on_step=on_step, **HOW)
    assert [np.count_nonzero(mask == 0) for mask in masks[::2]] == [12, 24, 36]
    assert all(np.all(after <= before) for before, after in zip(masks[::2], masks[2::2], strict=False))
    assert len(starts) == 4
    assert all(np.abs(start[mask != 0] - begun["0.weight"][mask != 0]).max() < 0.3
               for start, mask in zip(starts[1:], masks[::2], strict=True))


def test_the_control_has_the_masks_and_weights_of_a_fresh_network():
    x, y = data()
    ticket = lottery_ticket(fresh(), x, y, [Prune(0.5)], epochs=1, optimizer=sgd,
                            rng=np.random.default_rng(3), **HOW)
    masks = [ticket[at].weight.parametrization.states[0].mask.copy() for at in (0, 3)]
    control, other = rewound(copy.deepcopy(ticket), fresh(9).state_dict()), fresh(9)
    for at, mask in zip((0, 3), masks, strict=True):
        w = control[at].weight
        assert np.array_equal(w.parametrization.states[0].mask, mask)
        assert np.array_equal(w.parametrization.project(w).data, other[at].weight.data * mask)
    assert np.array_equal(control[1].running_mean, other[1].running_mean)
    fit(control, x, y, epochs=1, optimizer=sgd(control.parameters()), rng=np.random.default_rng(4), **HOW)
    assert all(not np.any(control[at].weight.data[mask == 0]) for at, mask in zip((0, 3), masks, strict=True))


def test_what_cant_be_done_is_refused(tmp_path):
    x, y = data()
    rng = np.random.default_rng(0)
    how = {"optimizer": sgd, "rng": rng, **HOW}
    with pytest.raises(ValueError, match="wanted one recipe at least"):
        lottery_ticket(fresh(), x, y, [], epochs=1, **how)
    with pytest.raises(TypeError, match=r"recipes must be a list of recipes, .*, got Prune"):
        lottery_ticket(fresh(), x, y, Prune(0.5), epochs=1, **how)
    for name, phases in (("epochs", (1, 1)), ("epochs", 3), ("rates", (1.0, 0.1))):
        with pytest.raises(ValueError, match=f"{name} must be those of three phases; got"):
            dense_sparse_dense(fresh(), x, y, Prune(0.5), **{"epochs": (1, 1, 1), name: phases}, **how)
    with pytest.raises(ValueError, match="a training has 4 steps; it can't be rewound to step 5"):
        lottery_ticket(fresh(), x, y, [Prune(0.5)], epochs=1, rewind=5, **how)
    with pytest.raises(ValueError, match="a checkpoint is of one call of fit"):
        dense_sparse_dense(fresh(), x, y, Prune(0.5), epochs=(1, 1, 1), checkpoint=tmp_path / "run", **how)
    with pytest.raises(ValueError, match="is not prepared: it has no masks to keep"):
        rewound(fresh(), fresh().state_dict())
    model = compress.prepare(fresh(), Prune(0.5))
    with pytest.raises(ValueError, match="is prepared already"):
        dense_sparse_dense(model, x, y, Prune(0.5), epochs=(1, 1, 1), **how)
    with pytest.raises(ValueError, match=r"the state has no 0.weight"):
        rewound(model, {name: array for name, array in fresh().state_dict().items() if name != "0.weight"})
    with pytest.raises(ValueError, match=r"the schedule of 0.weight has not ended"):
        rewound(compress.prepare(fresh(), Prune(0.5, compress.Cubic(end=3))), fresh().state_dict())
    with pytest.raises(ValueError, match=r"0.weight is computed, by"):
        rewound(compress.prepare(fresh(), compress.Cluster(2)), fresh().state_dict())

"""The rows of pruning that --all has: each prunes what its name says, and its file has the size it says."""

from dataclasses import replace

import numpy as np
import pytest

import compress
import nn
from compress.cli import experiment, pruned, techniques
from compress.cli.experiment import Budget, Data, Trainer
from compress.cli.techniques import NETWORKS, TECHNIQUES

SHORT = Budget(base=1, tune=3, base_rate=1e-2, tune_rate=3e-3, batch=64, rounds=2)
OTHERS = ("channels removed", "RigL", "dense-sparse-dense", "int4 + rANS", "int4 + rANS, rate in the loss",
          "shared int8")
ROWS = {one.name: one for one in TECHNIQUES if one.more and ("prune" in one.name or one.name in OTHERS)}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Every row of a narrow network, by its name, as the ledger trains and saves it."""
    out, patch = tmp_path_factory.mktemp("rows"), pytest.MonkeyPatch()
    narrow = replace(NETWORKS["cnn"], build=lambda width, **how: nn.models.digits_cnn(width / 4, **how))
    patch.setitem(techniques.NETWORKS, "cnn", narrow)
    found = {}
    for network in ("cnn", "mlp"):
        rows = [(replace(one, control=False), one.options[-1] if one.options else None)
                for one in ROWS.values() if one.network == network]
        results = experiment.train(Data(limit=128), SHORT, 0, rows, out, (), lambda epochs: None)
        found |= dict(zip((one.name for one, _ in rows), results.values(), strict=True))
    patch.undo()
    return {name: result.path for name, result in found.items()}


def weights(path):
    """Of the layers of a file."""
    return {name.removesuffix(".weight"): stored.decode()
            for name, stored in compress.load(path).constants.items() if name.endswith("weight")}


@pytest.mark.parametrize("name", ROWS)
def test_the_bytes_that_a_row_reports_are_those_of_its_file(files, name):
    report = compress.report(compress.load(files[name]))
    assert sum(sum(parts.values()) for parts in report.layers.values()) == files[name].stat().st_size


@pytest.mark.parametrize(("name", "pattern"), [(name, pattern) for name, pattern, *_ in techniques.PATTERNS])
def test_each_pattern_has_a_row_whose_zeros_are_such_groups(files, name, pattern):
    found = weights(files[name])
    (stage,) = ROWS[name].recipe(ROWS[name].options[0] if ROWS[name].options else None, 6).chain_for(
        "conv2", nn.Conv2d(4, 4, 3)).stages
    for layer in ("conv2", "conv3"):
        mask = found[layer] != 0
        assert stage.pattern.made(mask)
        assert 1 - mask.mean() == pytest.approx(stage.sparsity, abs=0.05)
    assert np.count_nonzero(found["conv1"]) == found["conv1"].size


@pytest.mark.parametrize("name", ["pruned filters", "pruned channels", "channels removed", "pruned rows"])
def test_what_is_structured_is_a_smaller_dense_network(files, name):
    found, network = weights(files[name]), ROWS[name].network
    whole = nn.models.digits_cnn(0.25) if network == "cnn" else nn.models.digits_mlp()
    assert all(np.count_nonzero(w) > 0.9 * w.size for w in found.values())
    assert sum(w.size for w in found.values()) < 0.8 * sum(
        w.data.size for name, w in whole.named_parameters() if name.endswith("weight"))
    assert found["fc" if network == "cnn" else "fc3"].shape[0] == 10


@pytest.mark.parametrize("name", [
    "pruned by taylor", "pruned by obd", "pruned by obs", "pruned globally", "RigL"])
def test_scores_and_distributions_prune_as_much_in_all(files, name):
    found = weights(files[name])
    zeros = sum(np.count_nonzero(found[layer] == 0) for layer in pruned.PRUNED)
    assert zeros / sum(found[layer].size for layer in pruned.PRUNED) == pytest.approx(0.95, abs=0.003)


def test_what_is_chosen_for_each_layer_differs(files):
    uniform = {np.mean(weights(files["RigL"])[layer] == 0).round(2) for layer in pruned.PRUNED}
    assert len(uniform) == 1
    for name in ("pruned globally", "pruned by a scan"):
        assert len({np.mean(weights(files[name])[layer] == 0).round(2) for layer in pruned.PRUNED}) > 1


def test_a_scan_leaves_no_more_multiply_adds_than_equal_sparsities():
    data = Data(limit=128).load()
    model = Trainer(data, SHORT, 0, lambda epochs: None).network("cnn", 0.25)
    macs = {}
    for name, recipe in (("scanned", pruned.scanned(model, data, 0.9, 6)),
                         ("uniform", pruned.at_once(0.9, 6))):
        own = compress.prepare(nn.models.digits_cnn(0.25, rng=np.random.default_rng(0)), {
            layer: replace(chain.stages[0], schedule=compress.Once())
            for layer, chain in recipe.choices.items() if chain is not None})
        macs[name] = compress.convert(own, data.x_train[:1]).macs
    assert macs["scanned"] <= macs["uniform"]


def test_dense_sparse_dense_ends_dense(files):
    found = weights(files["dense-sparse-dense"])
    for layer in pruned.PRUNED:  # 30 % were zero; what reads nothing but zeros stays so
        assert np.mean(found[layer] == 0) < 0.1


def test_a_rate_in_the_loss_makes_the_codes_cheaper():
    """The more so the higher the price is; here it and the steps are large, so that a few of them show it."""
    budget = replace(SHORT, tune_rate=3e-2)
    trainer, sizes = Trainer(Data(limit=128).load(), budget, 0, lambda epochs: None), []
    for name, price in (("int4 + rANS", None), ("int4 + rANS, rate in the loss", 1e-4)):
        model = trainer.network("cnn", 0.25)
        sizes.append(compress.report(trainer.program(trainer.compressed(
            ROWS[name], price, model, model))).on_disk)
    assert sizes[1] < 0.97 * sizes[0]


def test_regrowth_and_cuts_fit_the_shortest_training():
    for steps in (2, 3, 10, 230):
        for recipe in (pruned.regrown(0.9, steps), pruned.by_score("obd", 0.9, steps)):
            stage = recipe.choices["conv2"].stages[0]
            assert 0 <= getattr(stage, "schedule", stage).end <= steps

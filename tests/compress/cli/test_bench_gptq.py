"""espalier bench gptq, in small: what it compares, and that no error is above its certificate."""

import pytest

from compress.cli import job
from compress.cli.bench import gptq


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(job, "FULL", job.QUICK)
    for name, value in {"SEEDS": 2, "ROWS": 4, "COLUMNS": 200}.items():
        monkeypatch.setattr(gptq, name, value)


@pytest.mark.long
def test_it_pairs_seeds_and_holds_errors_to_their_certificates(small):
    rows = list(gptq.rows(0))
    won = [row for row in rows if row.unit == "standard errors better"]
    assert len(won) == 2 * 2 * 2 * 3  # networks, bits, activations, what is compared
    assert [row.bar for row in won] == [None, 2, 2, None, 2, 2] + 18 * [2]
    for row in won:
        mine, nearest, gain = (row.context[name] for name in ("GPTQ", "nearest", "gain"))
        assert gain == pytest.approx((mine - nearest) * (1 if "accuracy" in row.measure else -1), abs=2e-4)
    assert all(row.value > 0 for row in won if "logits" in row.measure)
    certified = [row for row in rows if row.unit == "of its certificate"]
    mlp, cnn = ["fc1.weight", "fc2.weight", "fc3.weight"], ["conv1.weight", "conv2.weight", "conv3.weight",
                                                            "fc.weight"]
    assert [sorted(row.context["layers"]) for row in certified] == [mlp, mlp, cnn, cnn]
    assert all(row.met and 0 < row.value < 1 for row in certified)
    assert rows[-1].context["same codes %"] == 100

"""A ledger with every row that a usual run has, of plausible figures that crowd as those of a real run do."""

import numpy as np

from compress.cli.ledger import Ledger, Row
from compress.cli.techniques import TECHNIQUES

LAYERS = {"cnn": ("conv1", "conv2", "conv3", "fc"), "mlp": ("fc1", "fc2", "fc3")}


def ledger(seeds=3):
    """Techniques get smaller and faster from one to the next; some have the same bytes and accuracy."""
    rng = np.random.default_rng(0)
    rows = []
    for i, technique in enumerate(technique for technique in TECHNIQUES if not technique.more):
        label = technique.label(technique.options[0] if technique.options else None)
        disk = 240_000.0 / (1 + i // 2 * 2)  # every other technique has the bytes of the one before it
        mean = 0.97 - 0.002 * (i // 2)
        rows.append(row(technique.network, label, mean + 0.004 * rng.standard_normal(seeds), disk))
        if technique.control:
            accuracies = mean - 0.01 + 0.004 * rng.standard_normal(seeds)
            rows.append(row(technique.network, label + Row.CONTROL, accuracies, 1.02 * disk))
    chosen = {f"{t.network} {t.name}": t for t in TECHNIQUES if t.options}
    options = {key: t.options[0] for key, t in chosen.items()}
    seen = {key: {"float": 0.97, t.label(t.options[0]): 0.968} for key, t in chosen.items()}
    settings = {"quick": False, "images": 1437}
    return Ledger(tuple(rows), tuple(range(seeds)), {"options": options, "validation": seen}, {}, settings)


def row(network, technique, accuracies, disk):
    """One row; its layers have equal shares of the bytes."""
    names = LAYERS[network]
    layers = {name: {"payload": round(disk / len(names))} for name in names} | {"file": {"header": 3000}}
    accuracies = tuple(map(float, accuracies))
    differences = tuple(a - 0.97 for a in accuracies)
    return Row(network, technique, accuracies, differences, disk, 240_000 / disk, 2 * disk, 1e5, disk / 5e4,
               240_000 / disk, 0.02, 0.01, layers)  # fmt: skip

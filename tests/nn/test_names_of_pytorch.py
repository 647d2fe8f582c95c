"""The table in nn's docstring: beside what PyTorch calls it the line of ours that does the same, and runs."""

import numpy as np
import pytest

import nn
from nn import functional as F

TABLE = [line.strip().split("  ", 1) for line in nn.__doc__.splitlines() if line.startswith("    ")]


def scope():
    rng = np.random.default_rng(0)
    x, y = nn.tensor(rng.normal(size=(3, 3))), nn.tensor(rng.uniform(0.5, 2, (3, 3)))
    return {"x": x, "y": y, "v": nn.tensor([0.3, 0.6, 0.1]), "t": np.arange(3), "F": F, "nn": nn, "np": np,
            "rng": rng}


@pytest.mark.parametrize("line", [ours.strip() for _, ours in TABLE])
def test_every_line_of_the_table_runs(line):
    results = eval(line, scope())
    assert all(result is not None for result in (results if isinstance(results, tuple) else (results,)))


def test_the_table_is_one():
    assert len(TABLE) >= 20
    assert all(theirs and ours.strip() for theirs, ours in TABLE)


@pytest.mark.parametrize(("theirs", "want"), [
    ("torch.outer", lambda x, y, v: np.outer(v, v)),
    ("torch.diag", lambda x, y, v: (np.diag(v), np.diagonal(x))),
    ("torch.roll", lambda x, y, v: np.roll(x, 1, 0)),
    ("x.repeat_interleave", lambda x, y, v: np.repeat(x, 2, 0)),
    ("x.masked_select", lambda x, y, v: (x[x > 0], np.argwhere(x))),
    ("y.log2", lambda x, y, v: (np.log2(y), np.tan(x), np.floor(x))),
    ("F.relu6", lambda x, y, v: (np.clip(x, 0, 6), np.where(x > 0, x, np.expm1(x)))),
    ("F.normalize", lambda x, y, v: x / np.linalg.norm(x, axis=1, keepdims=True)),
    ("F.cosine_similarity",
     lambda x, y, v: np.einsum("ij,ij->i", x, y) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)),
])  # fmt: skip
def test_what_the_lines_compute(theirs, want):
    (line,) = (ours.strip() for name, ours in TABLE if name.startswith(theirs))
    given = scope()
    have, wanted = eval(line, given), want(*(given[name].data for name in ("x", "y", "v")))
    pairs = zip(have, wanted, strict=True) if isinstance(have, tuple) else [(have, wanted)]
    for one, other in pairs:
        np.testing.assert_allclose(getattr(one, "data", one), other, rtol=1e-6)

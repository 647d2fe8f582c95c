"""A technique of one's own, as the README says: a Transform with its State is checked by the laws, trained
with, converted, saved and loaded, without a word in the library.
"""

from dataclasses import dataclass

import numpy as np
import pytest

import compress
import nn
from compress import Chain, Invariant, Transform
from compress.dense import DenseWeight
from compress.formats.straight_through import STRAIGHT_THROUGH
from compress.stored import as_matrix
from compress.testing import check
from nn.tensor import Tensor, apply


@dataclass
class Signs:
    """One size for all weights of a channel."""

    size: np.ndarray


class Binary(Transform):
    """Every weight becomes ± the mean magnitude of its channel (Rastegari et al. 2016, eq. 6); 0 stays 0."""

    keeps = frozenset({Invariant.SUPPORT, Invariant.NM})
    makes = frozenset({Invariant.LEVELS})

    def fit(self, w, context):
        magnitudes = np.abs(as_matrix(w), dtype=np.float64)
        return Signs(
            (magnitudes.sum(axis=1) / np.maximum((magnitudes > 0).sum(axis=1), 1)).astype(np.float32)
        )

    def project(self, w, state):
        return apply(STRAIGHT_THROUGH, w, Tensor(self.binary(w.data, state)))

    def binary(self, w, state):
        return np.sign(w) * state.size.reshape(-1, *[1] * (w.ndim - 1)) + 0.0

    def update(self, state, w, step):
        state.size = self.fit(w.data, None).size

    def rescaled(self, state, factor):
        return Signs((state.size * np.abs(factor)).astype(np.float32))

    def encode(self, w, state):
        return DenseWeight(self.binary(w, state))

    def bound(self, w, state):
        """No weight is farther from the mean magnitude of its channel than from 0 and its largest."""
        magnitudes = np.abs(as_matrix(w), dtype=np.float64)
        size = state.size.astype(np.float64)[:, None]
        farthest = np.maximum(size, magnitudes.max(axis=1, keepdims=True) - size)
        return float(np.sqrt(np.sum(farthest**2 * np.ones(magnitudes.shape)))) * (1 + 1e-6)

    def __repr__(self):
        return "Binary()"


def test_it_obeys_the_laws():
    report = check(Binary(), examples=20)
    assert report, str(report)


def test_it_obeys_them_after_pruning():
    report = check([compress.Prune(0.5), Binary()], examples=20)
    assert report, str(report)


@pytest.mark.parametrize("later", [compress.Quantize(), compress.Prune(0.5)])
def test_quantizing_and_pruning_it_afterwards_is_refused(later):
    with pytest.raises(ValueError, match=r" after Binary would destroy .* \(LEVELS\)"):
        Chain([Binary(), later])


def test_it_trains_converts_and_comes_back(tmp_path):
    digits = nn.data.digits()
    x, y = digits.x_train[:400], digits.y_train[:400]
    model = nn.models.digits_cnn(0.5, rng=np.random.default_rng(0))
    compress.prepare(model, {"conv?": Binary(), "fc": compress.Quantize()}, x[:100])
    model.parametrization = None  # train on float activations
    optimizer = nn.optim.Adam(model.parameters(), lr=3e-3)
    rng = np.random.default_rng(0)
    nn.train.fit(model, x, y, epochs=4, optimizer=optimizer, rng=rng, progress=False)
    program = compress.convert(model, x[:100])
    compress.save(program, tmp_path / "p")
    again = compress.load(tmp_path / "p")
    np.testing.assert_array_equal(again(digits.x_test), program(digits.x_test))
    model.eval()
    own = nn.train.accuracy(model, digits.x_test, digits.y_test)
    assert own > 0.6
    assert abs(nn.train.accuracy(again, digits.x_test, digits.y_test) - own) < 0.02
    for name in ("conv1", "conv2", "conv3"):
        folded = program.constants[f"{name}.weight"].decode()
        assert all(len(np.unique(np.abs(channel))) == 1 for channel in folded)

"""Prune with one planted mistake each: in how many groups it prunes, in which, and in what a group is."""

from __future__ import annotations

import numpy as np

from compress import Prune
from compress.pruning.block import Block
from compress.pruning.n_of_m import NOfM
from compress.techniques.prune import PruneState
from compress.testing import laws_prune
from tests.compress.mutants import killed_by, magnitude_mask


@killed_by(laws_prune.prunes_exactly, 0.5)
class PruneByThreshold(Prune):
    """Keeps every weight >= the threshold: too many where they tie."""

    def fit(self, w, context):
        threshold = np.sort(np.abs(w), axis=None)[min(round(self.sparsity * w.size), w.size - 1)]
        return PruneState((np.abs(w) >= threshold).astype(np.float32))


@killed_by(laws_prune.prunes_exactly, 0.97)
class PruneTheLastWeight(Prune):
    """Forgets that one weight stays."""

    def fit(self, w, context):
        mask = magnitude_mask(w, self.sparsity)
        return PruneState(mask * 0 if round(self.sparsity * w.size) == w.size else mask)


@killed_by(laws_prune.prunes_exactly, 0.5)
class PruneBySignedValue(Prune):
    """Ranks by value, not by magnitude."""

    def fit(self, w, context):
        return PruneState(magnitude_mask(w - w.min(), self.sparsity))


class Shifted(Block, name="shifted (.*)x(.*)"):
    def labels(self, shape):
        return np.roll(super().labels(shape), 1, axis=-1)

    def __repr__(self):
        return "'2x3'"


@killed_by(laws_prune.prunes_by_its_pattern, 0.5, pattern=Shifted(2, 3))
class PrunesBlocksAskew(Prune):
    """Whole groups, but not those that the name says."""


class AlongTheOutputs(NOfM, name="across (.*):(.*)"):
    def labels(self, shape):
        return np.arange(np.prod(shape)).reshape(-1, shape[0]).T.reshape(shape)

    def refuses(self, shape):
        return None if len(shape) == 2 and shape[0] % self.m == 0 else "no"

    def collect(self, saliency):
        return saliency.T.ravel()

    def spread(self, kept, shape):
        return kept.reshape(shape[::-1]).T.astype(np.float32)


@killed_by(laws_prune.prunes_by_its_pattern, pattern=AlongTheOutputs(2, 4))
class PrunesAlongTheOutputs(Prune):
    """Two of every four, of the dimension that no product sums over."""

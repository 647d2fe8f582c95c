"""Data: real handwritten digits that come with the package, IDX files from disk, and seeded batches."""

from nn.data.idx import mnist, read_idx
from nn.data.minibatches import batches
from nn.data.uci import Digits, digits

__all__ = ["Digits", "batches", "digits", "mnist", "read_idx"]

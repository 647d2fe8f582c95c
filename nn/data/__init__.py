"""Data: handwritten digits that come with the package, IDX and CIFAR files, seeded batches, augmentation."""

from . import augment
from .ahead import prefetch
from .cifar import cifar10, read_cifar10
from .idx import mnist, read_idx
from .minibatches import batches
from .uci import Digits, digits

__all__ = "Digits", "augment", "batches", "cifar10", "digits", "mnist", "prefetch", "read_cifar10", "read_idx"

"""Data: handwritten digits that come with the package, IDX and CIFAR files, 5000 images of MNIST, seeded
batches, augmentation, text."""

from . import augment
from .ahead import prefetch
from .cifar import cifar10, read_cifar10
from .idx import mnist, read_idx
from .minibatches import batches
from .mnist5k import mnist5k
from .text import Vocabulary, Windows, python_topics, read_text, windows
from .uci import Digits, digits

__all__ = ("Digits", "Vocabulary", "Windows", "augment", "batches", "cifar10", "digits", "mnist", "mnist5k",
           "prefetch", "python_topics", "read_cifar10", "read_idx", "read_text", "windows")

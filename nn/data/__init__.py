"""Data: handwritten digits that come with the package, IDX and CIFAR files, seeded batches, augmentation.

What few programs need is imported at its first use, so that `import nn` stays quick.
"""

from importlib import import_module
from typing import Any

from .idx import mnist, read_idx
from .minibatches import batches
from .uci import Digits, digits

__all__ = ["Digits", "augment", "batches", "cifar10", "digits", "mnist", "prefetch", "read_cifar10",
           "read_idx"]

_LATER = {"cifar10": "nn.data.cifar", "read_cifar10": "nn.data.cifar", "prefetch": "nn.data.ahead"}


def __getattr__(name: str) -> Any:
    """augment, cifar10, read_cifar10 and prefetch at their first use; afterwards they are attributes."""
    if name == "augment":
        return import_module("nn.data.augment")
    if name not in _LATER:
        raise AttributeError(f"module 'nn.data' has no attribute {name!r}")
    globals()[name] = found = getattr(import_module(_LATER[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

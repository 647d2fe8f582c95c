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

_LATER = {"augment": "augment", "cifar10": "cifar", "read_cifar10": "cifar", "prefetch": "ahead"}


def __getattr__(name: str) -> Any:
    """augment, cifar10, read_cifar10 and prefetch at their first use; afterwards they are attributes."""
    if name not in _LATER:
        raise AttributeError(f"module 'nn.data' has no attribute {name!r}")
    module = import_module(f"nn.data.{_LATER[name]}")
    globals()[name] = found = getattr(module, name, module)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

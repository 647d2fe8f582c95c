"""The techniques, a file each: how a weight trains, how it is stored, what multiplies with it.

Every file in this folder is loaded with the package, and its Transform is one of the package's names."""

from importlib import import_module
from pkgutil import iter_modules

from ..transform import Transform

_files = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
_transforms = {name: value for file in _files for name, value in vars(file).items() if isinstance(value, type)
               and issubclass(value, Transform) and value.__module__ == file.__name__}
globals().update(_transforms)
__all__ = [*_transforms]

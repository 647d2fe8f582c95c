"""The techniques, a file each: how a weight trains, how it is stored, what multiplies with it.

Every file in this folder is loaded with the package, and its Transform is one of the package's names."""

from importlib import import_module
from pkgutil import iter_modules

from ..transform import Transform

__all__ = []

for _found in iter_modules(__path__):
    _module = import_module(f"{__name__}.{_found.name}")
    for _name, _value in vars(_module).items():
        if (isinstance(_value, type) and issubclass(_value, Transform)
                and _value.__module__ == _module.__name__):
            globals()[_name] = _value
            __all__.append(_name)

"""Ranges of activations, a file a way to find one: what a grid is to cover. Each file is loaded with the
package."""

from importlib import import_module
from pkgutil import iter_modules

for _found in iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")

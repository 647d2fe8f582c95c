"""Number formats, a file each: how codes stand for reals. Each file here is loaded with the package."""

from importlib import import_module
from pkgutil import iter_modules

for _found in iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")

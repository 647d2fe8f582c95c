"""What pruning chooses by: scores (which weights matter least) and patterns (which go together), a file an
idea. Each file is loaded with the package."""

from importlib import import_module
from pkgutil import iter_modules

for _found in iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")

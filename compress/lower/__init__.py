"""From a Graph to the calls of a Program: a file an op family, in the table (table.py) by being there."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f".{_module.name}", __name__)

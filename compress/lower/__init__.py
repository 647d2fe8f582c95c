"""Lowering: from the Graph of a network to the calls of a Program.

A file an op family; each adds its rows to the table (table.py) by being there."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f".{_module.name}", __name__)

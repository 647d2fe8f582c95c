"""From the Graph of a network to the calls of a Program: a file an op family, whose rows are in the table
(table.py) by its being there."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f".{_module.name}", __name__)

"""The table of operations: RULES maps each name to its Rule. A Rule in a file of this folder is in it."""

from importlib import import_module
from pkgutil import iter_modules

from .record import Rule

RULES = {rule.name: rule for room in iter_modules(__path__)
         for rule in vars(import_module(f"{__name__}.{room.name}")).values() if isinstance(rule, Rule)}

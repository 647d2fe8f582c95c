"""The table of operations: RULES maps each name to its Rule. A Rule in a file of this folder is in it.

UFUNCS maps NumPy's functions to the Rules that take their place if one is called with a Tensor: np.exp(t).
"""

from importlib import import_module
from pkgutil import iter_modules

import numpy as np

from .record import Rule

RULES = {rule.name: rule for room in iter_modules(__path__)
         for rule in vars(import_module(f"{__name__}.{room.name}")).values() if isinstance(rule, Rule)}

_NUMPYS = {  # its names, where they are not ours
    "sub": "subtract", "mul": "multiply", "div": "divide", "neg": "negative", "pow": "power", "lt": "less",
    "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
    "both": "bitwise_and", "either": "bitwise_or"}
UFUNCS = {function: rule for name, rule in RULES.items()
          if isinstance(function := getattr(np, _NUMPYS.get(name, name), None), np.ufunc)}

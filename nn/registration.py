"""Tables of classes by name, which classes enter by being defined."""

from __future__ import annotations

from collections.abc import Hashable, MutableMapping
from typing import Any


def register(table: MutableMapping[Any, Any], name: Hashable, entry: Any, what: str) -> None:
    """table[name] = entry: a class, or an object of one. What is defined anew, as when a cell of a notebook
    runs again, takes its own place. Raises TypeError where another class has the name; what: of whom it is,
    such as "the score"."""
    new, known = (one if isinstance(one, type) else type(one) for one in (entry, table.get(name, entry)))
    if (known.__module__, known.__qualname__) != (new.__module__, new.__qualname__):
        raise TypeError(f"{new.__name__}: {what} {name!r} is {known.__name__} already")
    table[name] = entry

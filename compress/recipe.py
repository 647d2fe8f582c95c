"""Which weight gets which transforms.

    Recipe({"*": Prune(0.9), "conv1": None, nn.Linear: Prune(0.95)})

A key is a module's name, a pattern for names, or a layer class. The most specific key that fits decides: a
name before a pattern before a class; a pattern with more literal characters before one with fewer; a class
before its bases. Two keys that are equally specific are an error, not a matter of order. The table of an
nn.Embedding, which nothing need multiply with, is chosen by name or class; no pattern means it."""

from fnmatch import fnmatchcase
from typing import Any

import nn

from .chain import Chain
from .transform import Transform


class Recipe:
    """Choices by name, pattern or layer class; a value is a transform, a list of them, a Chain, or None.

    choices: such a mapping, or one transform for all. Raises TypeError for what is none. `prepare` raises
    ValueError for a name or a pattern that no layer has, and for two that fit one equally well."""

    def __init__(self, choices: Any) -> None:
        choices = choices if isinstance(choices, dict) else {"*": choices}
        for key in choices:
            if not (isinstance(key, str) or (isinstance(key, type) and issubclass(key, nn.Module))):
                raise TypeError(f"Recipe: a key is a module name, a pattern or a layer class; got {key!r}")
        self.choices = {key: _chain(value) for key, value in choices.items()}

    def chain_for(self, name: str, layer: nn.Module) -> Chain | None:
        """The chain for the weight of the module `layer` called `name`; None to leave it alone."""
        fits = {key: fit for key in self.choices if (fit := _specificity(key, name, layer))}
        best = [key for key, fit in fits.items() if fit == max(fits.values())]
        if len(best) > 1:
            raise ValueError(f"Recipe: {name!r} fits {best[0]!r} and {best[1]!r} equally well; name it")
        return self.choices[best[0]] if best else None

    def chains(self, model: nn.Module) -> dict[str, Chain]:
        """Name of a layer → chain, for all that the recipe touches; ValueError where a key fits no layer."""
        layers = {name: layer for name, layer in model.named_modules() if _weights(layer)}
        for key in self.choices:
            if not any(_specificity(key, name, layer) for name, layer in layers.items()):
                raise ValueError(f"Recipe: {key!r} fits no layer; those with weights are {sorted(layers)}")
        return {name: chain for name, layer in layers.items() if (chain := self.chain_for(name, layer))}

    def weights(self, model: nn.Module) -> dict[str, Chain]:
        """The same by the names of the layers' weights."""
        layers = dict(model.named_modules())
        return {f"{name}.{own}" if name else own: chain for name, chain in self.chains(model).items()
                for own in _weights(layers[name])}

    def __repr__(self) -> str:
        return f"Recipe({self.choices!r})"


def _weights(layer: nn.Module) -> tuple[str, ...]:
    """The weights of a layer that a product reads, or of a table, by the names of its attributes."""
    if isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding)):
        return ("weight",)
    return ("in_proj_weight",) if hasattr(layer, "in_proj_weight") else ()


def _chain(value: Any) -> Chain | None:
    if value is None or isinstance(value, Chain):
        return value
    if isinstance(value, (Transform, list, tuple)):
        return Chain(value if isinstance(value, (list, tuple)) else [value])
    raise TypeError("Recipe: a choice is a transform, a list of transforms, a Chain or None; got "
                    f"{value!r} (a technique is an instance of a subclass of compress.Transform)")


def _specificity(key: str | type, name: str, layer: nn.Module) -> tuple[int, int] | None:
    """How well a key fits, as a sort key; None if it does not."""
    if isinstance(key, type):
        return (0, len(key.__mro__)) if isinstance(layer, key) else None
    if key == name:
        return (2, 0)
    if any(c in key for c in "*?[") and fnmatchcase(name, key) and not isinstance(layer, nn.Embedding):
        return (1, sum(c not in "*?[]" for c in key))
    return None

"""Where the bytes of a file are, layer by layer, as in Tables 2 and 3 of Han, Mao & Dally (2016)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np

from .. import Program, report
from ..coding import Coded
from ..table import whole

HEAD = ("layer", "weights", "kept", "bits", "coded", "entropy", "index bits", "coded", "entropy", "payload",
        "indices", "tables", "bytes", "of float32")


@dataclass(frozen=True)
class Bits:
    """Bits of one kept weight: as they are packed, as they are coded, and the entropy of the symbols, which
    does not count tables."""

    packed: float
    coded: float
    entropy: float

    def cells(self) -> tuple[str, str, str]:
        """As text."""
        return f"{self.packed:.2f}", f"{self.coded:.2f}", f"{self.entropy:.2f}"


@dataclass(frozen=True)
class Layer:
    """One weight in a file: its numbers, those that are kept (not 0), the bits of their codes and of where
    they stand, and its bytes by what they are."""

    name: str
    weights: int
    kept: int
    codes: Bits
    places: Bits
    sizes: dict[str, int]

    @property
    def nbytes(self) -> int:
        """All its bytes."""
        return sum(self.sizes.values())

    def cells(self) -> tuple[str, ...]:
        """A line of the table."""
        return (self.name, f"{self.weights:,}", f"{self.kept / self.weights:.1%}", *self.codes.cells(),
                *self.places.cells(), *_sizes(self.sizes), f"{self.nbytes / (4 * self.weights):.2%}")


def layers(program: Program) -> list[Layer]:
    """The coded weights of a Program."""
    return [_layer(name.removesuffix(".weight"), weight) for name, weight in program.constants.items()
            if isinstance(weight, Coded)]


def _layer(name: str, weight: Coded) -> Layer:
    sizes, packed, least = weight.itemised(), weight.uncoded(), weight.entropies()
    kept = int(np.count_nonzero(weight.decode()))

    def bits(what: str) -> Bits:
        return Bits(*(8 * size.get(what, 0) / max(kept, 1) for size in (packed, sizes, least)))

    return Layer(name, prod(weight.shape), kept, bits("payload"), bits("indices"), sizes)


def text(program: Program) -> str:
    """The table: a line for each coded weight, what else is in the file, and all of it."""
    known = report(program)
    found = layers(program)
    inside = {f"{layer.name}.weight" for layer in found}
    rest: dict[str, int] = {}
    for name, parts in known.items.items():
        for what, size in parts.items() if name not in inside else ():
            rest[what] = rest.get(what, 0) + size
    every = {what: sum(layer.sizes.get(what, 0) for layer in found) + rest.get(what, 0)
             for what in ("payload", "indices", "tables")}
    weights, kept = (sum(getattr(layer, what) for layer in found) for what in ("weights", "kept"))
    share = f"{known.on_disk / (4 * max(weights, 1)):.2%}"
    return whole(HEAD, [
        *(layer.cells() for layer in found), ("biases and the like", *[""] * 8, *_sizes(rest), ""),
        ("header", *[""] * 11, f"{known.header:,}", ""),
        ("file", f"{weights:,}", f"{kept / max(weights, 1):.1%}", *[""] * 6, *_sizes(every)[:3],
         f"{known.on_disk:,}", share)])


def _sizes(sizes: dict[str, int]) -> tuple[str, ...]:
    parts = [sizes.get(what, 0) for what in ("payload", "indices", "tables")]
    return (*(f"{part:,}" for part in parts), f"{sum(parts):,}")


def to_json(program: Program) -> list[dict[str, Any]]:
    """The layers as plain values."""
    return [asdict(layer) | {"bytes": layer.nbytes} for layer in layers(program)]

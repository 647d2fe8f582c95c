"""The domain of a kernel that has none of its own: cases that follow from its contract.

Its variants are held to the bits of the specification. A kernel with a bound, or with more to say about its
arguments than their types, has a domain in a file of its own.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ..kernels import Kernel
from .case import STYLES, Case, floats, integers
from .domain import SEEDS
from .domain_pass import Pass

SIZES = (0, 1, 2, 3, 7, 8, 9, 16, 17, 33)    # around the widths of vectors


class FromContract(Pass):
    """Arrays of any sizes that agree, each in a style of its own; attributes as they are by default.

    Raises ValueError for a kernel that no case follows from: with lists, numbers that may be vectors, axes
    that are no names, or attributes without a default.
    """

    exact = takes_out = True

    def __init__(self, kernel: Kernel) -> None:
        self.name, self.contract = kernel.name, kernel.contract
        reference, c = kernel.reference, kernel.contract
        count = c.positional - len(reference.__defaults__ or ())
        without = {*c.parameters[:count], *c.parameters[c.positional:]} - {*(reference.__kwdefaults__ or {})}
        arrays = [k for k in c.arrays.values() if k.name in without]
        if without & {*c.attributes} or any(k.many or k.number for k in arrays) or not all(
                dim.isidentifier() for k in arrays for dim in k.dims or ()):
            raise ValueError(f"{kernel.name}: needs a domain of its own; no case follows from its contract")
        self.arrays = arrays

    def cases(self) -> st.SearchStrategy[Case]:
        """Sizes of the axes by name; arrays of any shape are matrices."""
        names = dict.fromkeys(dim for k in self.arrays for dim in k.dims or ("rows", "columns"))
        sizes = st.fixed_dictionaries(dict.fromkeys(names, st.sampled_from(SIZES)))
        return st.builds(self._make, sizes, st.sampled_from(STYLES), SEEDS)

    def _make(self, sizes: dict[str, int], style: str, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        shapes = [tuple(sizes[dim] for dim in k.dims or ("rows", "columns")) for k in self.arrays]
        return Case(tuple(floats(rng, shape, style) if k.usual.kind == "f" else
                          integers(rng, shape, k.usual, style)
                          for k, shape in zip(self.arrays, shapes, strict=True)), {}, seed)

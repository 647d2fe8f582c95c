"""What the domains of x (M,K) by the transpose of a sparse W (N,K) share, of float32 and of 8-bit integers.

The arguments are x and then what W is stored as."""

from __future__ import annotations

import numpy as np

from .case import Case, floats, integers
from .domain import Domain


class Sparse(Domain):
    """f32 x·Wᵀ."""

    exact = False
    dtype: type = np.float32               # of what W stores

    def numbers(self, rng: np.random.Generator, shape: tuple[int, int], style: str) -> np.ndarray:
        """Activations."""
        return floats(rng, shape, style)

    def weights(self, rng: np.random.Generator, shape: tuple[int, ...], style: str) -> np.ndarray:
        """Weights."""
        return floats(rng, shape, style)

    def around(self, rng: np.random.Generator, n: int, dtype: np.dtype) -> dict:
        """Further options."""
        return {}

    def exactly(self, case: Case) -> np.ndarray:
        """(M, N) the product in float64."""
        return case.args[0].astype(np.float64) @ self.dense(case).T

    def rows(self, case: Case, index) -> Case:
        """The case that computes only these rows of the output."""
        return case.on(case.args[0][index], *case.args[1:])

    def per_column(self, case: Case, index) -> dict:
        """The options that hold a number for each column of the output, of these columns."""
        return {name: v[index] for name, v in case.options.items() if isinstance(v, np.ndarray)}

    def weight(self, case: Case) -> tuple[np.ndarray, ...]:
        """What is packed, and what `unpack` must give back."""
        return case.args[1:]

    def to_pack(self, case: Case) -> tuple:
        """What is stored doesn't say how many columns W has."""
        return *case.args[1:], case.args[0].shape[1]


class OfIntegers:
    """u8|s8 x by int8 W, exact; a zero point, bias and requantisation: before a class of Sparse."""

    exact, dtype = True, np.int8

    def numbers(self, rng, shape, style) -> np.ndarray:
        """Of either dtype."""
        return integers(rng, shape, rng.choice([np.uint8, np.int8]), style)

    def weights(self, rng, shape, style) -> np.ndarray:
        """int8."""
        return integers(rng, shape, np.int8, style)

    def around(self, rng, n, dtype) -> dict:
        """x_zero, bias, and what requantises the sums of n columns, each there or not."""
        options: dict = {}
        if rng.random() < 0.5:
            options["x_zero"] = int(integers(rng, (), dtype, "corners"))
        if rng.random() < 0.5:
            span = 2 ** int(rng.integers(1, 31))
            options["bias"] = rng.integers(-span, span, n, dtype=np.int32)
        if rng.random() < 0.5:
            scales = (10.0 ** rng.uniform(-5, 1, n + 1)).astype(np.float32)
            options["scale"] = scales[:n] if rng.random() < 0.5 else float(scales[n])
            options["out_dtype"] = rng.choice([np.uint8, np.int8])
            options["out_zero"] = int(integers(rng, (), options["out_dtype"], "corners"))
            if rng.random() < 0.3:
                options["clip"] = tuple(np.sort(integers(rng, 2, options["out_dtype"], "corners")).tolist())
            if rng.random() < 0.3:
                options["rounding"] = "fixed-point"
        return options

    def bound(self, case: Case) -> float:
        """Zero: integers are exact."""
        return 0.0

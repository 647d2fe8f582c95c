"""One call of a kernel as data, and how an example of one is drawn.

Hypothesis draws the few numbers that matter (shape, seed, style of values) and shrinks them; NumPy's
generator fills the arrays. Drawing every element with Hypothesis would be slow, and its default fill would
make most of them equal.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st


@dataclass(frozen=True)
class Case:
    """The arguments of one call: `args`, its arrays; `options`, by keyword; and a `seed` for what a law draws
    by itself."""

    args: tuple[np.ndarray, ...]
    options: dict = field(default_factory=dict)
    seed: int = 0

    def rng(self) -> np.random.Generator:
        """A generator that is the same each time it is asked for: a law that failed fails again."""
        return np.random.default_rng(self.seed)

    def on(self, *args: np.ndarray, **options) -> Case:
        """The same case with other arrays and with some options replaced."""
        return replace(self, args=args, options={**self.options, **options})

    def __repr__(self) -> str:
        given = [show(a) for a in self.args] + [f"{name}={show(v)}" for name, v in self.options.items()]
        return f"({', '.join(given)}) [seed {self.seed}]"


def show(value: object) -> str:
    """An argument as a person would note it: dtype and shape, the values too when there are few."""
    if not isinstance(value, np.ndarray):
        return getattr(value, "__name__", None) or repr(value)
    dims = ", ".join(map(str, value.shape))
    values = f" = {np.array2string(value, threshold=12, max_line_width=10**6)}".replace("\n", "")
    return f"{value.dtype}({dims}){values if 0 < value.size <= 12 else ''}"


def for_all(cases: st.SearchStrategy[Case], test: Callable[[Case], None], examples: int | None = None,
            shrink: bool = True):
    """Run test(case) on drawn cases.

    A test need not give the same verdict twice: a kernel may return what the heap held, keep a state, throw
    dice. So a case that failed once has failed; it is not tried again while a smaller one is looked for.

    Args:
        cases: where they come from, e.g. `nn.testing.cases(nn.kernels.gemm)`.
        test: raises to say that a case fails.
        examples: how many cases, always the same ones; if not given, what the Hypothesis profile says.
        shrink: whether, when one fails, smaller ones that fail are looked for, which takes most of the time.
    Raises:
        AssertionError: what test raised, for the smallest case that Hypothesis found, and that case; and
            whether the same case passes as well. If it does not, it is the error's `case`.
    """
    failed: dict[bytes, Exception] = {}
    smallest = b""

    @given(cases)
    def one(case: Case) -> None:
        nonlocal smallest
        as_drawn = pickle.dumps(case)    # a kernel may write into its arguments
        if as_drawn not in failed:
            try:
                test(case)
            except Exception as error:
                failed[as_drawn] = error
        if as_drawn in failed:
            smallest, error = as_drawn, failed[as_drawn]
            raise AssertionError(said(error, as_drawn)) from error

    if examples is not None:
        phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
        one = settings(max_examples=examples, derandomize=True, database=None, deadline=None,
                       report_multiple_bugs=False, phases=phases,
                       suppress_health_check=list(HealthCheck))(one)
    try:
        one()
    except AssertionError as error:
        if any(passes(test, pickle.loads(smallest)) for _ in range(3)):
            error.args = (f"{error}\n    and it passes when it is tried again: the result depends on more "
                          "than the arguments (memory never written, something kept between calls, chance)",)
        else:
            error.case = pickle.loads(smallest)
        raise


def said(error: Exception, case: bytes) -> str:
    """What a failed test has to say, and of which case, as it was before the test."""
    kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
    return f"{kind}{error}\n    for {pickle.loads(case)!r}"


def passes(test: Callable[[Case], None], case: Case) -> bool:
    """Whether a test lets the case pass."""
    try:
        test(case)
    except Exception:
        return False
    return True


def near(*tiles: int, most: int) -> st.SearchStrategy[int]:
    """Sizes where kernels break: 0, 1, and those within 1 of a tile or two tiles, up to `most`."""
    sizes = {0, 1, 2, 3, 5} | {m * t + d for t in tiles for m in (1, 2) for d in (-1, 0, 1)}
    return st.sampled_from(sorted(s for s in sizes if s <= most))


STYLES = ("uniform", "corners", "sparse", "constant")


def integers(rng: np.random.Generator, shape: tuple[int, ...], dtype: type, style: str) -> np.ndarray:
    """Bytes in one of four styles; "corners" are the values where saturation and sign handling go wrong."""
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    if style == "corners":
        corners = [low, low + 1, 0, 1, 63, 64, 65, 126, 127, high - 1, high]
        corners += [-64, -65, -1] if low else [128, 129]
        return rng.choice(np.array(corners), shape).astype(dtype)
    if style == "constant":
        return np.full(shape, rng.choice([low, high, 1, 64]), dtype)
    values = rng.integers(low, high, shape, endpoint=True)
    if style == "sparse":
        values *= rng.random(shape) < 0.1
    return values.astype(dtype)


SPECIAL = (0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 1.1754944e-38, 1e-30, 1e15, -1e15, 3.0000002)


def floats(rng: np.random.Generator, shape: tuple[int, ...], style: str) -> np.ndarray:
    """Finite float32 in one of four styles; "corners" plants both zeros, subnormals and large values."""
    if style == "constant":
        return np.full(shape, rng.choice([0.1, -1.0, 3e-20, 1e10]), np.float32)
    values = rng.standard_normal(shape) * 2.0 ** rng.integers(-20, 20)
    if style == "corners":
        values = np.where(rng.random(shape) < 0.2, rng.choice(SPECIAL, shape), values)
    if style == "sparse":
        values = values * (rng.random(shape) < 0.1)
    return values.astype(np.float32)

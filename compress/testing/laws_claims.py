"""The laws of what a transform says of itself: it must be true, and close enough to be of use."""

from collections.abc import Iterator

import numpy as np

from nn.tensor import Tensor
from nn.testing.case import Case

from ..stored import as_matrix, gamma
from ..transform import Invariant
from .laws_stored import product
from .subject import Law, Subject, same, seen, stored
from .weights import inputs

GENEROUS = 2.0**10  # what a bound may be beyond the usual one: of a chain of products, say
GENERIC = {2: (8, 512), 4: (8, 8, 8, 8)}  # weights so large that chance explains nothing


def says_what_it_makes(subject: Subject, case: Case) -> None:
    """What can be seen of a weight of normal numbers is in `makes`: otherwise a later stage could destroy it.
    """
    for stage in subject.stages:
        alone = Subject("", (stage,))
        w = case.rng().standard_normal(GENERIC[min(alone.dimensions)]).astype(np.float32)
        if not alone.takes(w):
            continue
        parameter = alone.finished(w)
        for shown, needed in shows(alone, parameter):
            if not needed & stage.makes:
                names = " or ".join(sorted(invariant.name for invariant in needed))
                raise AssertionError(f"{stage!r} makes {shown}, and does not say {names}")


def shows(subject: Subject, parameter: object) -> list[tuple[str, frozenset[Invariant]]]:
    """What can be seen of a weight and its stored form, and which of the invariants that may be."""
    (stage,), (state,) = subject.stages, parameter.parametrization.states
    w, found = seen(parameter), []
    large = np.full(w.shape, 2.0**100, np.float32)
    zeros = np.all([stage.project(Tensor(sign * large), state).data == 0 for sign in (1, -1)], axis=0)
    if zeros.any():
        needed = {Invariant.SUPPORT, Invariant.LEVELS}  # 0 may be one of the values that weights share
        found.append(("zeros of whatever comes", frozenset(needed)))
        in_four = as_matrix(zeros).reshape(-1, 4).sum(axis=1)
        if np.all(in_four == in_four[0]) and in_four[0] < 4:
            found.append((f"{in_four[0]} zeros of every 4", frozenset({Invariant.NM})))
    rows = [row[row != 0] for row in as_matrix(w)]
    if sum(len(np.unique(row)) for row in rows) < sum(map(len, rows)) / 1.8:
        found.append(("few values of many", frozenset({Invariant.LEVELS, Invariant.GRID})))
    matrix = as_matrix(w).astype(np.float64)
    if np.count_nonzero(matrix) > matrix.size / 2 and np.linalg.matrix_rank(matrix, rtol=1e-5) < len(matrix):
        found.append(("a lower rank", frozenset({Invariant.RANK})))
    packed = parameter.parametrization.encode(parameter.data)
    size = sum(array.nbytes for array in packed.arrays().values())
    if size < 0.9 * w.nbytes:
        found.append((f"{size} bytes of {w.nbytes}", frozenset(Invariant)))
    return found


def bounds_the_weight_closely(subject: Subject, case: Case) -> None:
    """`bound` is no more than 4·√n·‖w‖: 0 in place of the weight errs by no more than ‖w‖. In a norm of the
    technique's own, ‖w‖ is taken times the largest norm of a change of 1 in one weight."""
    parameter = subject.attached(*case.args)
    (w,), chain = case.args, parameter.parametrization
    bound, norm = chain.bound(parameter.data), float(np.linalg.norm(w.astype(np.float64)))
    if bound is None:
        return
    one = max(chain.norm(change) for change in ones(w.shape))
    most = (4 * np.sqrt(w.size) * norm + w.size * 2.0**-120) * one
    if not 0 <= bound <= most:
        raise AssertionError(f"the bound is {bound}, of a weight of norm {norm}")


def ones(shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Changes of 1 in one weight of the first row."""
    for at in np.ndindex(shape[1:]):
        change = np.zeros(shape, np.float32)
        change[(0, *at)] = 1
        yield change


def bounds_the_product_closely(subject: Subject, case: Case) -> None:
    """`product_bound` is no more than 2¹⁰ times γ_K·(|x|·|w|), the worst of a product in float32; or, of a
    form that rounds x more coarsely, whose errors are larger than that, than 1/128 of max|x|·Σ|w|. It is
    never negative or NaN."""
    packed, rng = stored(subject, case), case.rng()
    w = as_matrix(packed.decode()).astype(np.float64)
    probe = rng.standard_normal((16, w.shape[1])).astype(np.float32)
    usual = gamma(w.shape[1] + 2)
    coarse = np.abs(product(packed, probe) - probe @ w.T).max() > 4 * usual * size_of(probe, w)
    for x in (probe, *filter(np.any, inputs(rng, w.shape[1]))):
        bounds = packed.product_bound(x)
        most = (1 / 128 if coarse else GENEROUS * usual) * size_of(x, w)
        most += 2.0**-120 * (w.size + np.abs(x, dtype=np.float64).sum())  # what underflows
        if not 0 <= bounds.min(initial=0) <= bounds.max(initial=0) <= most:
            raise AssertionError(f"product_bound is up to {bounds.max():.3g}; {most:.3g} would be loose")


def size_of(x: np.ndarray, w: np.ndarray) -> float:
    """max|x| · Σ|w|, of the row of w that has most: what no entry of the product exceeds."""
    return float(np.abs(x, dtype=np.float64).max(initial=0) * np.abs(w).sum(axis=1).max())


def counts_its_macs(subject: Subject, case: Case) -> None:
    """macs() is a whole number: at least one for each row and for each column of the weight that is not 0."""
    packed = stored(subject, case)
    macs, w = packed.macs(), as_matrix(packed.decode())
    least = max(np.count_nonzero(w.any(axis=axis)) for axis in (0, 1))
    if not isinstance(macs, (int, np.integer)) or isinstance(macs, bool) or not macs >= least:
        raise AssertionError(f"macs() is {macs!r}, wanted an int of at least {least}")


def refuses_what_does_not_fit(subject: Subject, case: Case) -> None:
    """`from_arrays` raises ValueError (TypeError for a dtype) where an array has another length, rank or
    dtype, or holds NaN or infinity, or the shape is another. What it takes all the same is what `arrays()`
    then gives, of the shape that was asked for."""
    packed = stored(subject, case)
    arrays, shape = packed.arrays(), packed.shape
    spoiled = [(f"{name} {what}", {**arrays, name: array}, shape) for name in arrays
               for what, array in spoil(arrays[name])]
    spoiled += [(f"shape {other}", arrays, other) for other in ((shape[0] + 1, *shape[1:]),
                                                                 (*shape[:-1], shape[-1] + 1))]
    for what, given, of_shape in spoiled:
        try:
            got = type(packed).from_arrays({name: array.copy() for name, array in given.items()}, of_shape)
        except (ValueError, TypeError):
            continue
        except Exception as error:
            raise AssertionError(f"from_arrays with {what}: {type(error).__name__}: {error}") from error
        weight, back = got.decode(), got.arrays()
        if weight.shape != of_shape or not np.isfinite(weight).all():
            raise AssertionError(f"from_arrays takes {what}, and gives a weight {weight.shape} of it")
        for name, array in given.items():
            same(back[name], array, f"from_arrays takes {what}, and arrays() gives other {name}")


def spoil(array: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """An array with one thing wrong at a time."""
    last = array[-1:] if len(array) else np.ones(1, array.dtype)
    wrong = [("with an element more", np.concatenate([array, last])), ("with a dimension more", array[None]),
             ("in complex128", array.astype(np.complex128))]
    if len(array):
        wrong.append(("with an element less", array[:-1]))
    if array.dtype.kind == "f" and array.size:
        for value in (np.nan, np.inf):
            spoiled = array.copy()
            spoiled.flat[-1] = value
            wrong.append((f"with {value}", spoiled))
    return wrong


CLAIM_LAWS: tuple[Law, ...] = (says_what_it_makes, bounds_the_weight_closely, bounds_the_product_closely,
                               counts_its_macs, refuses_what_does_not_fit)

"""The laws of a stored weight: its bytes, its way through a file, its product."""

import json
from contextlib import nullcontext

import numpy as np

from nn.kernels import gemm, use
from nn.testing.case import Case

from ..stored import Stored, as_matrix
from .subject import Law, Subject, same, stored
from .weights import inputs


def product(stored: Stored, x: np.ndarray) -> np.ndarray:
    """x (batch, in) float32 times the transpose of the `stored` weight → (batch, out) float32, by its kernel.

    Where that wants integers, x is put on a grid over its own range first."""
    operand, activations = stored.operand(), stored.format and stored.format.activations
    with np.errstate(over="ignore", invalid="ignore"):    # it is compared; what overflows is found there
        if activations is None:
            y = stored.kernel(x, operand)
            return y * stored.scale if stored.rescales and stored.scale is not None else y
        grid = activations.fit(float(x.min(initial=0)), float(x.max(initial=0)))
        sums = stored.kernel(grid.quantize(x), operand, a_zero=grid.zero)
        return sums.astype(np.float32) * np.float32(grid.scale) * stored.scale


def says_its_bytes(subject: Subject, case: Case) -> None:
    """`sizes()` is what the file holds, part by part; memory holds no less than what is stored."""
    packed = stored(subject, case)
    file = packed.to_bytes()
    length = int.from_bytes(file[:8], "little")
    header = json.loads(file[8 : 8 + length])
    header.pop("__metadata__", None)
    found = {"payload": 0, "indices": 0, "tables": 0, "header": 8 + length}
    for name, tensor in header.items():
        first, last = tensor["data_offsets"]
        found[packed.parts[name].what] += last - first
    if packed.sizes() != found:
        raise AssertionError(f"sizes() says {packed.sizes()}, the file has {found}")
    held = len(file) - found["header"]
    if packed.nbytes < held:
        raise AssertionError(f"nbytes is {packed.nbytes}, less than the {held} bytes stored")


def survives_a_file(subject: Subject, case: Case) -> None:
    """`from_arrays` of copies of `arrays()` gives the same weight: same shape, decode, product and arrays."""
    packed = stored(subject, case)
    arrays = packed.arrays()
    if set(arrays) != set(packed.parts):
        raise AssertionError(f"arrays() has {sorted(arrays)}, parts says {sorted(packed.parts)}")
    copied = type(packed).from_arrays({name: array.copy() for name, array in arrays.items()}, packed.shape)
    same(copied.decode(), packed.decode(), "decode() after from_arrays")
    for name, array in arrays.items():
        same(copied.arrays()[name], array, f"{name} after from_arrays")
    for x in inputs(case.rng(), as_matrix(packed.decode()).shape[1]):
        same(product(copied, x), product(packed, x), "the product after from_arrays")


def is_told_by_its_operand(subject: Subject, case: Case) -> None:
    """The arrays that `told` makes of an operand, which are then not held beside it, are those held."""
    packed = stored(subject, case)
    operand = packed.operand()
    told = packed.told(getattr(operand, "kernel", None))
    for name, made in told.items():
        same(made(operand.unpack(), packed.shape), packed.held[name], f"{name} told by the operand")


def multiplies(subject: Subject, case: Case) -> None:
    """The product is x · decode()ᵀ in float64, within product_bound(x), whichever variant runs; 0 for x = 0.
    What a kernel of its own reads is made without decode()."""
    packed = stored(subject, case)
    w = as_matrix(packed.decode()).astype(np.float64)
    sealed = packed if packed.kernel is gemm else without_decode(packed)
    forced = [("", nullcontext()), *((f"with {v.name}: ", use(v)) for v in packed.kernel.variants())]
    for x in inputs(case.rng(), w.shape[1]):
        exact = x @ w.T
        bound = packed.product_bound(x)
        if bound.shape != exact.shape or bound.dtype != np.float64:
            raise AssertionError(f"product_bound has {bound.dtype} {bound.shape}, not float64 {exact.shape}")
        for which, block in forced:  # first whichever is taken: only if that is right, a variant is to blame
            with block:
                y = product(sealed, x)
            if y.dtype != np.float32 or y.shape != exact.shape:
                raise AssertionError(f"{which}the product is {y.dtype} {y.shape}, wanted float32 "
                                     f"{exact.shape}")
            if not np.all(np.abs(y - exact) <= bound):
                over = np.abs(y - exact) - bound
                i, j = np.unravel_index(np.argmax(np.where(np.isnan(over), np.inf, over)), over.shape)
                raise AssertionError(f"{which}the product [{i}, {j}] is {y[i, j]:.9g}, wanted "
                                     f"{exact[i, j]:.9g} ± {bound[i, j]:.3g}")
            if not np.any(x) and np.any(y):
                raise AssertionError(f"{which}the product of 0 is not 0")


def without_decode(packed: Stored) -> Stored:
    """The same weight, unable to build the dense one."""
    def decode(self: Stored) -> np.ndarray:
        raise AssertionError("operand() builds the dense weight with decode()")

    twin = object.__new__(type(type(packed).__name__, (type(packed),), {"decode": decode}))
    vars(twin).update(vars(packed))
    return twin


STORED_LAWS: tuple[Law, ...] = (says_its_bytes, survives_a_file, is_told_by_its_operand, multiplies)

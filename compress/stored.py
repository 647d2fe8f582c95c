"""A weight in its stored form: arrays for a file, how to read them back, and what a kernel multiplies with.

    class BinaryWeight(Stored):
        kind = "binary"                                       # its name in a file
        parts = {"signs": Part("payload", np.uint8, (None,)), "scale": Part("tables", np.float32, ("out",))}
        kernel = gemm                                         # and: decode, operand, macs

A class registers itself by being defined: files that name its kind are read by it from then on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, ClassVar

import numpy as np

from nn.files import arrays_to_bytes
from nn.registration import register

STORED: dict[str, type[Stored]] = {}  # kind in a file -> class
CODED: dict[str, type[Any]] = {}  # behind "+" in a kind -> the Coding (coding.py)


@dataclass(frozen=True)
class Part:
    """One array of a stored form: what its bytes are (payload, indices or tables), its dtypes and its shape.

    A size is a number, "out" or "in" (rows and columns of the weight as a matrix), "…" (the weight's whole
    shape) or None for any. An `optional` part may have no elements, which means that it isn't there."""

    what: str
    dtype: type | tuple[type, ...]
    shape: tuple[int | str | None, ...]
    optional: bool = False

    def sizes(self, weight: tuple[int, ...]) -> tuple[int | None, ...]:
        """The shape of the array, of a weight of this shape; None for any length."""
        sizes = {"out": (weight[0],), "in": (prod(weight[1:]),), "…": weight}
        return tuple(n for size in self.shape for n in sizes.get(size, (size,)))

    def check(self, who: str, name: str, array: np.ndarray, weight: tuple[int, ...]) -> None:
        """Raise ValueError unless the array is such a part of a weight of this shape; floats are finite."""
        wanted = self.sizes(weight)
        dtypes = self.dtype if isinstance(self.dtype, tuple) else (self.dtype,)
        shape = tuple(None if n is None else size for n, size in zip(wanted, array.shape, strict=False))
        fits = (shape == wanted and array.ndim == len(wanted)) or (self.optional and array.shape == (0,))
        if array.dtype not in dtypes or not fits or not np.isfinite(array).all():
            shape = ", ".join("any" if n is None else str(n) for n in wanted) + "," * (len(wanted) == 1)
            raise ValueError(f"{who}: {name} must be {'finite ' * (np.dtype(dtypes[0]).kind == 'f')}"
                             f"{' or '.join(np.dtype(one).name for one in dtypes)} ({shape}); "
                             f"got {array.dtype} {array.shape}")


class Stored:
    """A weight in its stored form. It never changes, and holds nothing but the arrays of a file.

    A subclass names its `kind`, `parts` and `kernel`, and has `decode`, `operand` and `macs`; its `__init__`
    ends with `self.hold(shape, arrays)`. Raises TypeError when a subclass lacks one of these."""

    kind: ClassVar[str]                   # names the class in a file
    parts: ClassVar[Mapping[str, Part]]   # its arrays, by name
    kernel: ClassVar[Any]                 # of nn.kernels: what multiplies with it
    format: ClassVar[Any] = None          # the number Format of the weight; None for reals
    skips: ClassVar[bool] = False         # the kernel leaves out zeros, or adds before it multiplies: rows of
    #                                       x with NaN or infinity want the dense product
    rescales: ClassVar[bool] = True       # whether the product's columns are multiplied by what is stored as
    #                                       "scale", if it is there
    strings: ClassVar[bool] = False       # whether its arrays are strings of bytes: a file joins those of all
    #                                       its weights (program/files.py)
    plain: ClassVar[type[Stored]]         # whose parts are held: itself, but for what is coded (coding.py)
    shape: tuple[int, ...]                # of the weight, as in nn
    held: dict[str, np.ndarray]           # what is stored, read-only, by the names of `parts`

    def __init_subclass__(cls, *, abstract: bool = False) -> None:
        super().__init_subclass__()
        if not abstract:  # no base of others
            complete(cls, Stored, ("kind", "parts", "kernel", "decode", "operand", "macs"))
        if "kind" in vars(cls):
            cls.plain = vars(cls).get("plain", cls)
            register(STORED, cls.kind, cls, "a file's")

    def hold(self, shape: tuple[int, ...], arrays: Mapping[str, np.ndarray | None], copy=True) -> None:
        """Keep these arrays, or copies, as what is stored; None for an optional part that isn't there."""
        self.shape, self.held = tuple(shape), {}
        for name, part in self.plain.parts.items():
            array = np.zeros(0, part.dtype) if arrays[name] is None else arrays[name]
            self.held[name] = np.array(array, order="C") if copy else np.ascontiguousarray(array).view()
            self.held[name].flags.writeable = False

    @cached_property
    def scale(self) -> np.ndarray | None:
        """What is stored as "scale", float32; None where there is none. A subclass that stores one number for
        all channels repeats it here, once `check` has seen how many there are."""
        scale = self.held.get("scale")
        return scale if scale is not None and scale.size else None

    def arrays(self) -> dict[str, np.ndarray]:
        """What is stored: exactly these arrays, read-only."""
        return dict(self.held)

    @classmethod
    def symbol_bits(cls, held: Mapping[str, np.ndarray]) -> dict[str, int]:
        """Which of these arrays are symbols, and of how many bits: they stand one behind the other, the
        lowest bit first, and an entropy coder writes them in fewer (coding.py). By default none."""
        return {}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> Stored:
        """The inverse of `arrays()`. Raises ValueError where they do not fit each other or the shape."""
        weight, who = cls.__new__(cls), f"{cls.kind} weight {tuple(shape)}"
        for name, part in cls.parts.items():
            part.check(who, name, arrays[name], shape)
        weight.hold(shape, arrays, copy=False)
        weight.check(who)
        return weight

    def check(self, who: str) -> None:
        """Raise ValueError, beginning with `who`, where arrays from a file do not fit each other."""

    def decode(self) -> np.ndarray:
        """The weight as float32, in its own shape."""

    def operand(self, kernel: Any = None) -> Any:
        """What its kernel, or this one, multiplies with, made anew: whoever runs it holds it."""

    @classmethod
    def told(cls, kernel: Any) -> dict[str, Callable[[Any, tuple[int, ...]], np.ndarray]]:
        """The arrays that an operand of this kernel tells to the bit, so that nobody holds them beside it: by
        name, how each is made of what `unpack()` gives, and the shape of the weight. By default none."""
        return {}

    def kernel_with(self, activations: Any) -> Any:
        """The kernel of its product with activations of a Format, or with reals (None); None: there is none.
        """
        return self.kernel if activations is None else None

    def macs(self) -> int:
        """Multiply-adds for one row of x: at least one for each row and each column that is not all 0."""

    def product_bound(self, x: np.ndarray) -> np.ndarray:
        """Element-wise bound of what the kernel's product and x·decode()ᵀ differ by, (batch, out) float64; a
        close one: see `bounds_the_product_closely` in compress/testing/laws_claims.py. Here γ_k·(|x|·|w|ᵀ),
        and half a subnormal step for each product that underflows (Higham 2002, eq. 2.8 and 3.4)."""
        w = np.abs(as_matrix(self.decode()).T, dtype=np.float64)
        sizes, k = np.abs(x, dtype=np.float64), x.shape[1]
        bound, scale = gamma(k) * (sizes @ w) + k * 2.0**-150, self.scale
        if scale is None or not self.rescales:
            return bound
        lost = k * 2.0**-150 * np.abs(scale, dtype=np.float64)           # the scale rounds decode()'s entries
        smallest = 2.0**-149 * (1 + sizes.sum(axis=1, keepdims=True))    # and the result, each once
        return bound * 1.0001 + 2.0**-22 * (sizes @ w) + lost + smallest

    @property
    def nbytes(self) -> int:
        """Bytes that it holds itself; those of an operand come on top."""
        return sum(array.nbytes for array in self.held.values())

    def __reduce__(self) -> tuple[Any, ...]:
        return self.from_arrays, (self.arrays(), self.shape)  # pickled as it is stored

    def to_bytes(self) -> bytes:
        """The weight as a safetensors file of its own."""
        return arrays_to_bytes(self.arrays(), {"kind": self.kind, "shape": json.dumps(self.shape)})

    def itemised(self) -> dict[str, int]:
        """Bytes of the stored arrays by what they are: payload, indices, tables, as far as there are any."""
        sizes = dict.fromkeys((part.what for part in self.parts.values()), 0)
        for name, array in self.arrays().items():
            sizes[self.parts[name].what] += array.nbytes
        return sizes

    def sizes(self) -> dict[str, int]:
        """Bytes of `to_bytes()`, itemised: payload, indices, tables and header; they sum to its length."""
        sizes = dict.fromkeys(("payload", "indices", "tables"), 0) | self.itemised()
        return sizes | {"header": len(self.to_bytes()) - sum(sizes.values())}


def complete(cls: type, base: type, names: tuple[str, ...]) -> None:
    """Raise TypeError, naming what is missing, for a subclass that does not say what `base` leaves open."""
    missing = [name for name in names if getattr(cls, name, None) is getattr(base, name, None)]
    if missing:
        raise TypeError(f"{cls.__name__}: a subclass of {base.__name__} needs {', '.join(missing)}; see "
                        f"help({base.__module__}.{base.__name__})")


def class_of(kind: str) -> type[Stored]:
    """The class that a file calls `kind`, as "pruned-shared", or coded: "pruned-shared+huffman". Raises
    ValueError for a kind that nobody defined."""
    plain, plus, coder = kind.partition("+")
    if plain not in STORED or (plus and coder not in CODED):
        coders = ", ".join(f"+{name}" for name in sorted(CODED))
        raise ValueError(f"no stored form is called {kind!r:.80}; there are {', '.join(sorted(STORED))}, and "
                         f"coded ones: {coders}")
    return CODED[coder].coded(STORED[plain]) if plus else STORED[plain]


def read(kind: str, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> Stored:
    """The weight of the class that a file calls `kind`. Raises ValueError for a kind that nobody defined."""
    return class_of(kind).from_arrays(arrays, shape)


def gamma(k: int) -> float:
    """γ_k = k·u / (1 − k·u), u = 2⁻²⁴: the float32 error of a sum of k products (Higham 2002, eq. 3.4)."""
    ku = k * 2.0**-24
    return ku / (1.0 - ku)


def per_channel(values: np.ndarray, ndim: int) -> np.ndarray:
    """(O,) → (O, 1, …), so that it multiplies an array of `ndim` dimensions along the first one."""
    return values.reshape(-1, *[1] * (ndim - 1))


def as_matrix(w: np.ndarray) -> np.ndarray:
    """A weight as the matrix (out, in) that multiplies: (O,I,kH,kW) → (O, kH·kW·I), as in N,H,W,C im2col."""
    if w.ndim not in (2, 3, 4):
        raise ValueError(f"a weight has shape (out, in), (O, I, k) or (O, I, kH, kW); got {w.shape}")
    return np.ascontiguousarray(w.transpose(0, *range(2, w.ndim), 1)).reshape(len(w), prod(w.shape[1:]))


def from_matrix(matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `as_matrix` for a weight of the given shape."""
    (out, channels, *window), last = shape, len(shape) - 1
    return np.ascontiguousarray(matrix.reshape(out, *window, channels).transpose(0, last, *range(1, last)))

"""The kernel object: one name for a specification, its checks, its packing and its implementations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from . import native

_kernels: dict[str, Kernel] = {}


class Variant(NamedTuple):
    """One implementation of a kernel. `tile` is the block of the result one micro-kernel call computes."""

    name: str
    backend: str                    # "numpy" or "c"
    isa: str                        # "any", "scalar", "avx2", "avx512" or "avx512vnni"
    tile: tuple[int, int] | None


class Kernel:
    """A callable kernel. Its attributes: `name`, `reference` (the NumPy body, the oracle of every test).

    How a call goes: `bind` gives the function that checks the arguments and runs `choice`, which is
    NUMPY (the reference), BEST (the C side picks by its cost model) or the number of one C variant.
    """

    def __init__(self, reference: Callable) -> None:
        self.name = reference.__name__
        self.reference = reference
        self.choice = native.default_choice()
        self.__doc__, self.__module__, self.__name__ = reference.__doc__, reference.__module__, self.name

    def bind(self, call: Callable, pack: Callable | None = None, unpack: Callable | None = None,
             repack: Callable | None = None) -> None:
        """Give the kernel its checked call, its packer, the packer's inverse, and a packer from that result
        (None where there is no operand that lasts from call to call).

        The call goes on the class, where Python looks `kernel(...)` up: passing it through a method
        of its own would cost 0.4 µs of re-packing keyword arguments.
        """
        type(self).__call__ = staticmethod(call)
        self.pack, self.unpack, self.repack = pack, unpack, repack
        self.__wrapped__ = call   # inspect.signature and help() look here

    @property
    def compiled(self) -> bool:
        """Whether a call runs C now, and not the NumPy specification, which is written to be read."""
        return self.choice != native.NUMPY

    def of(self, *arrays: Any) -> Callable:
        """The kernel itself for float32 (None may be among them), its specification for everything else."""
        single = all(x is None or x.dtype == np.float32 for x in arrays)
        return self if single else self.reference

    @property
    def vectorized(self) -> bool:
        """Whether a call runs C with AVX2 or better. (Scalar C is slower than BLAS.)"""
        return self.choice != native.NUMPY and native.has(1)

    def variants(self) -> tuple[Variant, ...]:
        """Every implementation that can run on this machine, the NumPy specification first."""
        return tuple(v for v in self._all_variants() if native.runs(v))

    def _all_variants(self) -> list[Variant]:
        return [Variant(f"{self.name}_numpy", "numpy", "any", None),
                *(Variant(*row) for row in native.variants(self.name))]

    def __reduce__(self) -> str:
        return self.name   # a kernel is pickled as the name it has in its module

    def __repr__(self) -> str:
        return f"<kernel {self.name}>"


def kernel(reference: Callable[..., Any]) -> Kernel:
    """Make a kernel of the function `reference`, whose body is its NumPy specification."""
    made = type(f"Kernel_{reference.__name__}", (Kernel,), {})(reference)
    _kernels[made.name] = made
    return made


def all_kernels() -> tuple[Kernel, ...]:
    """Every kernel there is."""
    return tuple(_kernels.values())


class use:
    """Force what kernels run, for the whole process, inside a `with` block.

    `what` is an instruction set (a cap: "scalar", "avx2", "avxvnni", "avx512"), a backend ("numpy", "c"),
    or a Variant or its name (that kernel alone runs it, whatever the shape).
    Raises ValueError for a name nobody knows, RuntimeError for one this machine can't run.
    """

    def __init__(self, what: str | Variant) -> None:
        name = what.name if isinstance(what, Variant) else what
        if not isinstance(name, str):
            raise TypeError(f"use: wanted a name or a Variant, got {type(what).__name__}")
        variants = {v.name: (k, v) for k in _kernels.values() for v in k._all_variants()}
        known = [*native.ISAS, *native.BACKENDS, *variants]
        if name not in known:
            raise ValueError(f"use: {name!r} is none of {', '.join(known)}")
        self.cap: int | None = None
        self.choices: dict[Kernel, int] = {}
        self.before: list[tuple[dict[Kernel, int], int | None]] = []   # one entry for each `with` we are in
        if name in variants:
            k, v = variants[name]
            if not native.runs(v):
                raise RuntimeError(f"use: this CPU (or NN_ISA) has no {v.isa}, which {name} needs")
            self.choices = {k: native.NUMPY if v.backend == "numpy" else native.number(name)}
        elif name == "numpy":
            self.choices = dict.fromkeys(_kernels.values(), native.NUMPY)
        elif native.lib is None:
            raise RuntimeError(f"use: {name!r} needs the C kernels. {native.why_not_c()}")
        else:
            self.choices = dict.fromkeys(_kernels.values(), native.BEST)
            if name != "c":
                self.cap = native.ISAS.index(name)
                if not native.has(self.cap):
                    raise RuntimeError(f"use: this CPU (or NN_ISA) has no {name}")

    def __enter__(self) -> None:
        choices = {k: k.choice for k in self.choices}
        self.before.append((choices, None if self.cap is None else native.lib.nn_isa_cap(self.cap)))
        for k, choice in self.choices.items():
            k.choice = choice

    def __exit__(self, *error: object) -> None:
        choices, cap = self.before.pop()
        for k, choice in choices.items():
            k.choice = choice
        if cap is not None:
            native.lib.nn_isa_cap(cap)

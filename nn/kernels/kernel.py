"""The kernel object: one name for a specification, its checks, its packing and its implementations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..context import Brief, Context, ambient, within
from . import native

_kernels: dict[str, Kernel] = {}


class Variant(NamedTuple):
    """One implementation of a kernel: its specification, or a micro-kernel that others may share. `tile`
    is the block of the result that one call of the micro-kernel computes."""

    name: str                       # "gemm_numpy", or a row of csrc/micro.def: "rows_f32_6x16_avx2"
    backend: str                    # "numpy" or "c"
    isa: str                        # "any", "scalar", "avx2", "avxvnni", "avx512" or "avx512vnni"
    tile: tuple[int, int] | None


class _Choice:
    """What a kernel runs in this thread: looked up here while some thread forces something."""

    def __get__(self, kernel: Kernel, owner: type) -> int:
        forced = ambient.context.forced
        return native.default_choice() if forced is None else forced.of(kernel)


class Kernel:
    """A callable kernel. Its attributes: `name`, `reference` (the NumPy body, the oracle of every test).

    How a call goes: `bind` gives the function that checks the arguments and runs `choice`, which is
    NUMPY (the reference), BEST (the C side picks by its cost model), BEST under a cap (native.capped) or the
    number of a row of csrc/micro.def.

    `choice` is what the thread that asks has forced. That is slower to find than an attribute, so as long as
    no thread forces anything each kernel has the attribute, and Python never comes to this class's.
    """

    choice = _Choice()
    __call__: Callable[..., Any]    # of each kernel's own class: `bind` puts it there
    pack: Any
    unpack: Any

    def __init__(self, reference: Callable) -> None:
        self.name = reference.__name__
        self.reference = reference
        with _lock:
            if not _blocks:
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
        return tuple(v for v in self._all_variants() if native.runs(v.name))

    def _all_variants(self) -> list[Variant]:
        return [Variant(f"{self.name}_numpy", "numpy", "any", None),
                *(Variant(m.name, "c", m.features, m.tile) for m in native.micro_kernels_of(self.name))]

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


_lock, _blocks = Brief(), 0   # how many blocks force something now, in all threads


class Forced(NamedTuple):
    """What a thread has forced: a choice for each of some kernels, one for the others, a cap or None."""

    choices: dict[Kernel, int]
    others: int
    cap: int | None

    def of(self, kernel: Kernel) -> int:
        """What this kernel is to run."""
        return self.choices.get(kernel, self.others)


class forcing(within):
    """`with forcing(forced):` a block in which this thread's kernels run as they did where `forced` was
    ambient.context.forced: in another thread, or at another time."""

    def __init__(self, forced: Forced | None) -> None:
        super().__init__("forced", forced)


    def __enter__(self) -> None:
        _count(1)
        super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        _count(-1)

    def __del__(self) -> None:
        super().__del__()
        _count(-len(getattr(self, "_entered", ())))


def _count(more: int) -> None:
    """So many more blocks: the kernels have their attribute while there are none."""
    global _blocks
    with _lock:
        before, _blocks = _blocks, _blocks + more
        if _blocks and not before:
            for k in _kernels.values():
                vars(k).pop("choice", None)
        elif before and not _blocks:
            for k in _kernels.values():
                k.choice = native.default_choice()


class use(forcing):
    """Force what kernels run in this thread, and in those that nn starts for it, inside a `with` block.

    `what` is an instruction set (a cap: "scalar", "avx2", "avxvnni", "avx512"), a backend ("numpy", "c"),
    or a Variant or its name: "gemm_numpy", that kernel's specification; or a row of csrc/micro.def, such as
    "rows_f32_6x16_avx2", which every kernel runs that can, whatever the shape. The others stay as they were.
    Raises ValueError for a name nobody knows, RuntimeError for one this machine can't run.
    """

    def __init__(self, what: str | Variant) -> None:
        super().__init__(None)
        name = what.name if isinstance(what, Variant) else what
        if not isinstance(name, str):
            raise TypeError(f"use: wanted a name or a Variant, got {type(what).__name__}")
        variants = {v.name for k in _kernels.values() for v in k._all_variants()}
        known = [*native.ISAS, *native.BACKENDS, *sorted(variants)]
        if name not in known:
            raise ValueError(f"use: {name!r} is none of {', '.join(known)}")
        self.name, self.cap, self.only = name, None, {}
        if name in native.micro_kernels():
            row = native.micro_kernels()[name]
            if not native.runs(name):
                raise RuntimeError(f"use: this CPU (or NN_ISA) has no {row.features}, which {name} needs")
            self.only = {k: row.number for k in _kernels.values() if row in native.micro_kernels_of(k.name)}
        elif name in variants:
            self.only = {k: native.NUMPY for k in _kernels.values() if name == f"{k.name}_numpy"}
        elif name != "numpy" and native.lib is None:
            raise RuntimeError(f"use: {name!r} needs the C kernels. {native.why_not_c()}")
        elif name in native.ISAS:
            self.cap = native.ISAS.index(name)
            if not native.has(self.cap):
                raise RuntimeError(f"use: this CPU (or NN_ISA) has no {name}")

    def value(self, context: Context) -> Forced:
        """This, on top of what the thread has forced already."""
        before = context.forced or Forced({}, native.default_choice(), None)
        if self.only:
            return before._replace(choices={**before.choices, **self.only})
        cap = before.cap if self.cap is None else self.cap
        best = native.BEST if cap is None else native.capped(cap)
        return Forced({}, native.NUMPY if self.name == "numpy" else best, cap)


def isa() -> str:
    """Name of the richest instruction set in force in this thread ("scalar" also where everything runs on
    NumPy)."""
    forced = ambient.context.forced
    cap = len(native.ISAS) - 1 if forced is None or forced.cap is None else forced.cap
    return native.ISAS[max(level for level in range(cap + 1) if native.has(level))]

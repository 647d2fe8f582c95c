"""A kernel on the device: under its own name and contract, for arrays that lie there or cross for a call.

    @on_device(qgemm, "naive", "mma", needs={"mma": (8, 0)}, pack=_pack)
    def _qgemm(call: Call, out: DeviceArray, a: DeviceArray, b: DeviceOperand, *, a_zero, ...) -> None:

The function gets what the kernel's contract has let pass: arrays on the device, an operand as `pack` made it
there of the arrays that the kernel's own `pack` takes, attributes as they came. It writes `out`. Its rungs,
from the plainest to the fastest, are variants of the kernel: `qgemm_cuda_mma`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from typing import Any, NamedTuple

import numpy as np

from ..kernels import native
from ..kernels.arguments import FLOATS, output
from ..kernels.calling import checked, unpacked
from ..kernels.kernel import Kernel, use
from ..kernels.native import Variant
from ..kernels.operand import Operand
from .array import DeviceArray, constant, empty, to_device
from .library import Library, library, why_not
from .stream import current

DEVICE_KERNELS: dict[str, DeviceKernel] = {}  # name of a kernel -> what runs it on the device


FEW = 1 << 12  # bytes of a part of an operand, a codebook, that the checks of a contract may want to look at


class DeviceOperand:
    """An operand in the layout that its kernel reads on the device. parts: arrays there, and numbers.
    outside: what the checks of the contract look at in its place."""

    def __init__(self, kernel: Kernel, shape: tuple[int, ...], parts: dict[str, Any],
                 numbers: dict[str, Any]) -> None:
        self.kernel, self.shape, self.parts = kernel, shape, parts
        for part in parts.values():
            if isinstance(part, DeviceArray):
                part.host = None  # it lies there, and nowhere else
        self.outside = Operand.__new__(Operand)
        self.outside.kernel, self.outside.shape, self.outside.parts = kernel, shape, numbers
        self.outside.c = self.outside._last = None

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return sum(part.nbytes for part in _arrays(self))

    def __getattr__(self, name: str) -> Any:
        try:
            return vars(self)["parts"][name]
        except KeyError:
            raise AttributeError(f"the operand has no part {name!r}") from None

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.shape))
        return f"<{self.kernel.name} operand {shape} on the device, {self.nbytes} bytes>"


class Call(NamedTuple):
    """What a function of the device is told of its call: which rung was forced (None: the best for these
    sizes), and the library."""

    rung: str | None
    library: Library

    def __call__(self, function: str, *arguments: Any) -> None:
        """Call a function of the library, the stream behind its arguments: arrays by their addresses, None
        as no address."""
        self.library.call(function, *(self._for_c(x) for x in arguments), current())

    def _for_c(self, x: Any) -> Any:
        return self.library.ffi.NULL if x is None else x.pointer if isinstance(x, DeviceArray) else x


class DeviceKernel:
    """How one kernel runs on the device. rungs: its variants there, the plainest first; needs: the capability
    that one asks for beyond (7, 5)."""

    def __init__(self, kernel: Kernel, rungs: Sequence[str], needs: dict[str, tuple[int, int]],
                 run: Callable[..., None], pack: Callable[..., dict[str, Any]] | None) -> None:
        self.kernel, self.rungs, self.needs, self.run, self._pack = kernel, tuple(rungs), needs, run, pack

    def why_not(self) -> str | None:
        """None, or why there is no device."""
        return why_not()

    def has(self, arguments: Sequence[Any]) -> bool:
        """Whether one of them lies on the device."""
        return any(isinstance(x, (DeviceArray, DeviceOperand)) for x in arguments)

    def variants(self) -> list[Variant]:
        """Those that this device can run."""
        if why_not():
            return []
        return [Variant(f"{self.kernel.name}_cuda_{rung}", "cuda", f"sm_{''.join(map(str, least))}", None,
                        native.CUDA - 1 - i, -1, 0)
                for i, rung in enumerate(self.rungs)
                if (least := self.needs.get(rung, (7, 5))) <= library().capability]

    def pack(self, operand: Operand) -> DeviceOperand:
        """An operand of the kernel as one of the device."""
        arrays = unpacked(self.kernel, {self.kernel.contract.packed: operand})
        numbers = {name: part for name, part in operand.parts.items()
                   if not isinstance(part, np.ndarray) or part.nbytes <= FEW}
        return self._laid_out(operand.shape, arrays, numbers)

    def _laid_out(self, shape: tuple[int, ...], arrays: dict[str, Any], numbers: dict[str, Any]
                  ) -> DeviceOperand:
        with_it = [numbers[name] for name in self.kernel.packed_with]
        parts = self._pack(*arrays.values(), *with_it) if self._pack else {
            name: constant(np.ascontiguousarray(array)) for name, array in arrays.items()}
        return DeviceOperand(self.kernel, shape, parts, numbers)

    def __call__(self, choice: int, arguments: dict[str, Any], out: Any = None) -> Any:
        """The kernel's call: `out`, or the result, on the device if an argument lies there."""
        c, who = self.kernel.contract, self.kernel.name
        lies_there = self.has([*arguments.values(), out])
        found, other = c.plain(who, {name: _outside(x) for name, x in arguments.items()})
        if other and lies_there:
            floats = " or ".join(d.name for d in FLOATS)
            raise TypeError(f"{who}: a kernel of the device takes float32, got {floats}")
        if other or (missing := why_not()):
            if lies_there or (not other and choice <= native.CUDA and missing):
                raise RuntimeError(f"{who}: {missing}")
            return self._as_specified(arguments, out)
        made, run = self._prepared(choice, arguments, found, out, lies_there)
        run()
        if lies_there:
            return made
        if out is None:
            return made.numpy()
        output(who, out, made.shape, made.dtype, *arguments.values())[...] = made.numpy()
        return out

    def prepare(self, *given: Any, out: DeviceArray, **options: Any) -> Callable[[], None]:
        """A call of the kernel with arrays of the device made ready: a function of nothing that computes the
        same each time, with nothing left to check and nothing to bring over."""
        bound = signature(self.kernel.reference).bind_partial(*given, **options)
        bound.apply_defaults()
        c, who = self.kernel.contract, self.kernel.name
        arguments = {name: bound.arguments.get(name) for name in c.parameters}  # (None: packed with another)
        found, other = c.plain(who, {name: _outside(x) for name, x in arguments.items()})
        if other:
            raise TypeError(f"{who}: a kernel of the device takes float32")
        return self._prepared(self.kernel.choice, arguments, found, out, True)[1]

    def _prepared(self, choice: int, arguments: dict[str, Any], found: dict[str, Any], out: Any,
                  lies_there: bool) -> tuple[DeviceArray, Callable[[], None]]:
        """The result, and what computes it."""
        found, shape, dtype = checked(self.kernel, found, False)
        inside = {name: self._inside(name, found, arguments.get(name)) for name in found}
        made = self._room(out, shape, dtype, arguments) if lies_there else empty(shape, dtype)
        call = Call(self._rung(choice), library())
        return made, partial(self.run, call, made, **inside) if made.size else _nothing

    def _as_specified(self, arguments: dict[str, Any], out: Any) -> Any:
        with use(f"{self.kernel.name}_numpy"):
            return self.kernel(**arguments, **({} if out is None else {"out": out}))

    def _rung(self, choice: int) -> str | None:
        forced = native.CUDA - 1 - choice
        return self.rungs[forced] if choice < native.CUDA else None

    def _inside(self, name: str, found: dict[str, Any], came: Any) -> Any:
        """A checked argument, on the device."""
        x, c = found[name], self.kernel.contract
        if isinstance(came, (DeviceArray, DeviceOperand)):
            return came
        if isinstance(x, Operand):
            return self.pack(x)
        if name == c.packed and self._pack:
            return self._laid_out(x.shape, {name: x}, {n: found[n] for n in self.kernel.packed_with})
        return to_device(x) if isinstance(x, np.ndarray) and x.ndim else x

    def _room(self, out: Any, shape: tuple[int, ...], dtype: np.dtype, arguments: dict[str, Any]
              ) -> DeviceArray:
        if out is None:
            return empty(shape, dtype)
        if not isinstance(out, DeviceArray) or out.shape != shape or out.dtype != dtype:
            came = f"{out.dtype}{out.shape}" if isinstance(out, DeviceArray) else type(out).__name__
            raise ValueError(f"{self.kernel.name}: out must be {dtype}{shape} on the device, got {came}")
        if out.host is not None:
            raise ValueError(f"{self.kernel.name}: out must not be a constant")
        if any(out.overlaps(array) for x in arguments.values() for array in _arrays(x)):
            raise ValueError(f"{self.kernel.name}: out must not overlap an input")
        return out


def on_device(kernel: Kernel, *rungs: str, needs: dict[str, tuple[int, int]] | None = None,
              pack: Callable[..., dict[str, Any]] | None = None) -> Callable[[Callable], Callable]:
    """Make the function below what runs `kernel` on the device; its rungs, the plainest first.

    needs: the compute capability that a rung asks for, where that is more than 7.5. pack: of the arrays of
    the kernel's operand, the parts that the device reads, by name."""
    def register(run: Callable[..., None]) -> Callable[..., None]:
        made = DEVICE_KERNELS[kernel.name] = DeviceKernel(kernel, rungs, needs or {}, run, pack)
        kernel.runs_elsewhere(made)
        return run
    return register


def _nothing() -> None:
    """The call for a result of no numbers."""


def _arrays(x: Any) -> list[DeviceArray]:
    """The arrays of the device that an argument consists of."""
    parts = x.parts.values() if isinstance(x, DeviceOperand) else [x]
    return [part for part in parts if isinstance(part, DeviceArray)]


def _outside(x: Any) -> Any:
    """What stands for an argument where the contract is checked: of an array of the device its shape and
    dtype, and its numbers where they are known."""
    if isinstance(x, DeviceArray):
        return np.broadcast_to(np.ones((), x.dtype), x.shape) if x.host is None else x.host
    return x.outside if isinstance(x, DeviceOperand) else x

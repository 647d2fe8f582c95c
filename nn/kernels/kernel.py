"""The kernel object: one name for a specification, its checks, its packing and its implementations."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property, partial
from types import SimpleNamespace
from typing import Any, NamedTuple

from ..context import Brief, Context, ambient, within
from . import native
from .arguments import array
from .contract import Contract, names_of
from .gate import compiled
from .native import Variant
from .operand import Operand

_kernels: dict[str, Kernel] = {}


class _Choice:
    """What a kernel runs in this thread: looked up here while some thread forces something."""

    def __get__(self, kernel: Kernel, owner: type) -> int:
        forced = ambient.context.forced
        return kernel.default if forced is None else forced.of(kernel)


class Kernel:
    """A callable kernel. Its attributes: `name`, `reference` (the NumPy body, the oracle of every test),
    `contract` (what it asks of its arguments), `gate` (the source of what a call runs).

    `choice` is what runs: NUMPY (the reference), BEST (the C side picks by its cost model), BEST under a cap
    (native.capped) or the number of a row of csrc/micro.def; the thread that asks may have forced it. That is
    slower to find than an attribute, so each kernel has the attribute as long as no thread forces anything.
    """

    choice = _Choice()
    elsewhere: Any = None           # what runs it for arrays that NumPy does not hold (nn/cuda)
    __call__: Callable[..., Any]    # of each kernel's own class, where Python looks `kernel(...)` up
    _followed: tuple[str, ...] = ()  # names of attributes that follow from the contract and from `runs`
    call: Any = None                # the text of its C call, or a function that makes several

    def __init__(self, reference: Callable, types: dict[str, Any]) -> None:
        self.name, self.reference, self._types = reference.__name__, reference, types
        with _lock:
            if not _blocks:
                self.choice = self.default
        self.__module__, self.__name__ = reference.__module__, self.name
        self.runs(None)

    @property
    def default(self) -> int:
        """What it runs where nothing is forced."""
        return native.CUDA if self.elsewhere and native.backend == "cuda" else native.DEFAULT

    def documentation(self) -> str:
        """What the reference says of itself, and the contract of the arguments."""
        return f"{(self.reference.__doc__ or '').rstrip()}\n\n{self.contract.describe()}\n"

    def runs(self, call: str | Callable | None, *, plan: Callable | None = None,
             pack: Callable | None = None, unpack: Callable | None = None, seen_by_c: Callable | None = None,
             unpacked: str | None = None, values: Callable | None = None) -> None:
        """How the kernel runs in C.

        call: the C call, as a gate has it (nn/kernels/gate.py); or a function of the checked arguments that
            it names, after the choice, which makes several calls.
        plan: what the types can't say. A function of what it names: `who` (the kernel's name), then arguments
            (an array is given as its shape, a vector or None as itself), or one's dtype (`a_dtype`). It
            raises, or gives an object with what the call reads (contract.Plan is one), once for each shapes
            and attributes, unless it asks for a vector.
        values: the same of values; raises where one is wrong. C has looked; this says which.
        pack, unpack: an operand of an array, and the way back. seen_by_c: its parts for C; else the first.
        unpacked: the C call of an operand that was not packed, where that needs no packing.
        """
        self.call, self.packer, self.unpack, self.unpacked = call, pack, unpack, unpacked
        self.pack, self._plan, self._values = self._pack if pack else None, plan, values
        self.seen_by_c = seen_by_c or (lambda w: native.from_buffer(next(iter(w.parts.values()))))
        self.plans: dict[Any, Any] = {}
        for name in (*self._followed, "__wrapped__", "prepare"):  # of what was said before
            vars(self).pop(name, None)
        type(self).__call__ = staticmethod(lambda *args, **kwargs: self.__wrapped__(*args, **kwargs))

    def __getattr__(self, name: str) -> Any:
        """The contract, and what follows from it and from `runs`: read when first wanted, since a program
        calls few of the kernels that it imports. Raises AttributeError for any other name."""
        if "contract" not in vars(self):
            made = vars(self._read())
            vars(self).update(made, _followed=tuple(made))  # at once: other threads see all of it or nothing
        if name not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return vars(self)[name]

    def _read(self) -> SimpleNamespace:
        read = SimpleNamespace()
        c = read.contract = Contract(self.reference, self._types)
        read.packed_with = [n for n in (names_of(self.packer) if self.packer else ()) if n in c.attributes]
        values, looks_at = self._of_name(self._values)
        at = [c.parameters.index(name) for name in looks_at]
        read.values = values and (lambda *given: values(*(given[i] for i in at)))
        # A call's plan depends on: the shape of an operand, which stays the same; the planner's other
        # arguments (`named`); the lengths that vectors must have; the vectors that only C reads.
        vectors = {k.name: k for k in c.alone if k.optional or k.number}
        read.planner, named = self._of_name(self._plan or (self.call and vectors and (lambda: None)) or None)
        read.named = sorted(named, key=lambda name: name != c.packed)
        asked = [name if name in c.attributes or name in vectors else f"{name}.shape" if name in c.arrays
                 else f"{name[:-6]}.dtype" for name in read.named]
        lengths = {name: f"{c.axes[k.dims[0]][0]}.shape" for name, k in vectors.items()
                   if self.call and k.rank == 1}
        read.pointed = [name for name in lengths if name not in asked]
        read.asked = list(dict.fromkeys([*asked, *lengths.values(), *read.pointed]))
        read.asks = [one.partition(".") for one in read.asked]
        read.only_in_c = len(read.asked) - len(read.pointed)
        read.optional = [(read.asked.index(name), k) for name, k in vectors.items()
                         if self.call and k.rank > 1]
        read.vectors = [(read.asked.index(name), vectors[name], read.asked.index(length))
                        for name, length in lengths.items()]
        read.nothing = (...,) * (len(read.asked) + len(read.pointed)) if read.planner else None
        return read

    def _of_name(self, function: Callable | None) -> tuple[Callable | None, tuple[str, ...]]:
        """A function that may ask for the kernel's name, given that, and the names of its other arguments."""
        names = names_of(function) if function else ()
        return (partial(function, self.name), names[1:]) if names[:1] == ("who",) else (function, names)

    @cached_property
    def __wrapped__(self) -> Callable:
        """The gate, written when it is first wanted; inspect.signature and help() look here too."""
        self._source, made = compiled(self)
        out = {"out": "np.ndarray | None"} if self.contract.out else {}
        made.__annotations__, made.__doc__ = {**self.reference.__annotations__, **out}, self.__doc__
        made.__module__, type(self).__call__ = self.__module__, staticmethod(made)
        return made

    @cached_property
    def prepare(self) -> Callable[..., Callable[[], Any]]:
        """A call made ready: `again = kernel.prepare(x, ..., out=out)` takes the kernel's own arguments and
        gives a function of nothing that computes the same, each time from what the arrays hold then.

        All checks are done here, but for those that C makes: `again()` costs a third to a tenth of a call.
        The shapes of the arrays, and where they lie, must not change. What is not usual (no C, an array with
        gaps) is looked at in each call.
        """
        _, made = compiled(self, prepares=True)
        made.__doc__, made.__module__ = type(self).prepare.__doc__, self.__module__
        return made

    @property
    def gate(self) -> str:
        """The Python source of what a call runs."""
        return self.__wrapped__ and self._source

    def _pack(self, *given: Any, **more: Any) -> Operand:
        c, who = self.contract, f"{self.name}.pack"
        if c.looked_at:
            return self.packer(who, None, *given, **more)
        k = c.arrays[c.packed]
        x = array(who, k.name, given[0] if given else more.pop(k.name), k.rank, *k.dtypes)
        return self.packer(x, *given[1:], **more)

    def variants(self) -> tuple[Variant, ...]:
        """Every implementation that can run on this machine, the NumPy specification first."""
        return tuple(v for v in self._all_variants() if v.here)

    def _all_variants(self) -> list[Variant]:
        specification = Variant(f"{self.name}_numpy", "numpy", "any", None, native.NUMPY, -1, 0)
        elsewhere = self.elsewhere.variants() if self.elsewhere else ()
        return [specification, *native.micro_kernels_of(self.name), *elsewhere]

    def runs_elsewhere(self, device: Any) -> None:
        """Give the kernel what runs it on a device: an object that is called with the choice, the arguments
        by name and `out`; has(arguments) says whether some are arrays of the device; variants() what there
        is to choose from; why_not() in one sentence why there is nothing, or None."""
        self.elsewhere = device
        with _lock:
            if not _blocks:
                self.choice = self.default
        look_again()

    def __reduce__(self) -> str:
        return self.name  # a kernel is pickled as the name it has in its module

    def __repr__(self) -> str:
        return f"<kernel {self.name}>"


def kernel(**types: Any) -> Callable[[Callable[..., Any]], Kernel]:
    """Make a kernel of a function, whose body is its NumPy specification.

    types: what each of its arrays is, and `out`, the result (nn/kernels/contract.py).
    """
    def make(reference: Callable[..., Any]) -> Kernel:
        own = {"__doc__": property(Kernel.documentation)}
        made = type(f"Kernel_{reference.__name__}", (Kernel,), own)(reference, types)
        _kernels[made.name] = made
        _variants_by_name.cache_clear()
        return made
    return make


def all_kernels() -> tuple[Kernel, ...]:
    """Every kernel there is."""
    return tuple(_kernels.values())


@cache
def _variants_by_name() -> dict[str, dict[Kernel, Variant]]:
    """The variants of every name, each by its kernel: a row of csrc/micro.def may be one of several."""
    found: dict[str, dict[Kernel, Variant]] = {}
    for k in _kernels.values():
        for v in k._all_variants():
            found.setdefault(v.name, {})[k] = v
    return found


def look_again() -> None:
    """A device has come: there may be more variants than before."""
    _variants_by_name.cache_clear()


_lock, _blocks = Brief(), 0  # how many blocks force something now, in all threads


class Forced(NamedTuple):
    """What a thread has forced: a choice for each of some kernels, one for the others, a cap or None."""

    choices: dict[Kernel, int]
    others: int
    cap: int | None

    def of(self, kernel: Kernel) -> int:
        """What this kernel is to run; on a device only if it has a variant there."""
        choice = self.choices.get(kernel, self.others)
        return native.DEFAULT if choice == native.CUDA and kernel.elsewhere is None else choice


class forcing(within):
    """A block in which this thread's kernels run as they did where `forced` was ambient.context.forced: in
    another thread, or at another time."""

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
                k.choice = k.default


class use(forcing):
    """Force what kernels run in this thread, and in those that nn starts for it, inside a `with` block.

    `what` is an instruction set (a cap: "scalar", "avx2", "avxvnni", "avx512"), a backend ("numpy", "c", and
    "cuda" once nn.cuda is imported: what is written for it runs there, and arrays cross for each call),
    or a Variant or its name: "gemm_numpy", that kernel's specification; or a row of csrc/micro.def, such as
    "rows_f32_6x16_avx2", which every kernel runs that can, whatever the shape. The others stay as they were.
    Raises ValueError for a name nobody knows, RuntimeError for one this machine can't run.
    """

    def __init__(self, what: str | Variant) -> None:
        super().__init__(None)
        name = what.name if isinstance(what, Variant) else what
        if not isinstance(name, str):
            raise TypeError(f"use: wanted a name or a Variant, got {type(what).__name__}")
        found = _variants_by_name().get(name, {})
        if not (found or name in native.ISAS or name in native.BACKENDS):
            known = [*native.ISAS, *native.BACKENDS, *sorted(_variants_by_name())]
            raise ValueError(f"use: {name!r} is none of {', '.join(known)}")
        self.name, self.cap, self.only = name, None, {k: v.number for k, v in found.items()}
        if not all(v.here for v in found.values()):
            isa = native.micro_kernels()[name].isa
            raise RuntimeError(f"use: this CPU (or NN_ISA) has no {isa}, which {name} needs")
        if name == "cuda":
            devices = [k.elsewhere for k in _kernels.values() if k.elsewhere]
            if why := devices[0].why_not() if devices else "nn.cuda is not imported.":
                raise RuntimeError(f"use: no 'cuda' here. {why}")
        elif not self.only and name != "numpy" and native.lib is None:
            raise RuntimeError(f"use: {name!r} needs the C kernels. {native.why_not_c()}")
        if name in native.ISAS:
            self.cap = native.ISAS.index(name)
            if not native.has(self.cap):
                raise RuntimeError(f"use: this CPU (or NN_ISA) has no {name}")

    def value(self, context: Context) -> Forced:
        """This, on top of what the thread has forced already."""
        before = context.forced or Forced({}, native.DEFAULT, None)
        if self.only:
            return before._replace(choices={**before.choices, **self.only})
        cap = before.cap if self.cap is None else self.cap
        best = native.BEST if cap is None else native.capped(cap)
        return Forced({}, {"numpy": native.NUMPY, "cuda": native.CUDA}.get(self.name, best), cap)


def isa() -> str:
    """Name of the richest instruction set in force in this thread ("scalar" also where everything runs on
    NumPy)."""
    forced = ambient.context.forced
    cap = len(native.ISAS) - 1 if forced is None or forced.cap is None else forced.cap
    return native.ISAS[max(level for level in range(cap + 1) if native.has(level))]

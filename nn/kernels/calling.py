"""What a gate leaves to others: calls that are not usual, the plans of calls, and what went wrong in C."""

from functools import partial
from itertools import repeat
from marshal import dumps
from operator import is_
from typing import Any

import numpy as np

from . import native
from .arguments import READABLE, dense, disagree, no_room, output
from .contract import lasting, plain
from .operand import Operand

MOST_PLANS = 256  # of one kernel that are kept
ARRAYS = repeat(np.ndarray)


def otherwise(kernel: Any, *given: Any, by_c: bool = True) -> Any:
    """A call that is not usual: an error, or arrays in disguise, or (without by_c always) the specification's
    to compute."""
    c, who = kernel.contract, kernel.name
    arguments, out = dict(zip(c.parameters, given, strict=False)), given[len(c.parameters):]
    if kernel.elsewhere is not None and (kernel.choice <= native.CUDA or kernel.elsewhere.has(given)):
        return kernel.elsewhere(kernel.choice, arguments, *out)
    packed = arguments.get(c.packed)
    if type(packed) is Operand:
        if packed.kernel is not kernel:
            raise TypeError(f"{who}: {c.packed} must be packed by {who}.pack, got one packed by "
                            f"{packed.kernel.name}.pack")
        if any(arguments[name] is not None for name in c.others):
            raise TypeError(f"{who}: packed {c.packed} have their {' and '.join(c.others)} with them, got "
                            "another")
    found, other = c.plain(who, arguments)
    if by_c and kernel.choice > native.NUMPY and not other and kernel.call:
        foreign = [k for k in c.alone if not k.number and found[k.name] is not None
                   and found[k.name].dtype not in k.dtypes[:k.native]]
        if foreign and kernel.values:
            kernel.values(*found.values())
        found |= {k.name: found[k.name].astype(k.usual) for k in foreign}
        return type(kernel).__call__(**found, **dict(zip(("out",), out, strict=False)))
    return _specified(kernel, found, other, *out)


def checked(kernel: Any, found: dict[str, Any], other: bool) -> tuple[dict[str, Any], tuple, np.dtype]:
    """Plain arguments that have passed all checks, a weight of several arrays packed; and of a kernel with
    one result its shape (None where the specification says it) and dtype."""
    c, packed = kernel.contract, kernel.contract.packed
    if c.looked_at and type(found[packed]) is not Operand:
        first = next(iter(found.values()))
        found = {**found, packed: kernel.packer(kernel.name, first, *(found[n] for n in (packed, *c.others)))}
    ends = {k.name for k in c.arrays.values() if k.reading == "dense" and k.dims}  # read from end to end
    found = {name: dense(x) if name in ends and isinstance(x, np.ndarray) else x for name, x in found.items()}
    shapes = {name: x.shape for name, x in found.items() if name in c.arrays and hasattr(x, "shape")}
    sizes, plan = c.agree(kernel.name, shapes), None
    if kernel.planner:
        asked = [getattr(found[name], what) if what else found[name] for name, _, what in kernel.asks]
        _as_packed(kernel, found.get(packed), asked)
        plan = kernel.planner(**dict(zip(kernel.named, asked, strict=False)))
    if kernel.values:
        kernel.values(*found.values())
    if not c.out:
        return found, None, None
    (k,) = c.results
    shape = (next(iter(shapes.values())) if k.dims is None else plan.shape if c.shaped_by_plan
             else tuple(sizes[d] for d in k.dims))
    kinds = [getattr(found[a.name], "dtype", k.usual) for a in c.arrays.values()
             if a.usual is k.usual and found[a.name] is not None]
    dtype = np.result_type(*kinds) if other and kinds else k.usual if k.native == 1 else plan.dtype
    return found, shape, dtype


def unpacked(kernel: Any, found: dict[str, Any]) -> dict[str, Any]:
    """The arguments with an operand as the arrays that it was packed from."""
    c, packed = kernel.contract, kernel.contract.packed
    if not packed or type(found[packed]) is not Operand:
        return found
    parts = found[packed].unpack()
    return found | dict(zip((packed, *c.others), parts if c.others else (parts,), strict=True))


def _specified(kernel: Any, found: dict[str, Any], other: bool, out: Any = None) -> Any:
    """What the specification makes of plain arrays; other: one is of a dtype that C does not take."""
    c = kernel.contract
    inputs = [y for x in found.values() for y in (x if isinstance(x, (list, tuple)) else (x,))]
    found, shape, dtype = checked(kernel, found, other)
    result = partial(kernel.reference, **unpacked(kernel, found))
    if not c.out:
        return result()
    if out is not None:
        output(kernel.name, out, shape, dtype, *inputs)
    elif other or c.results[0].dims is None:
        return result()
    else:
        try:
            out = np.empty(shape, dtype)
        except (MemoryError, ValueError) as error:
            raise no_room(kernel.name, shape, error) from None
    out[...] = result()
    return out


def recall(kernel: Any, operand: Operand | None, *asked: Any) -> tuple | None:
    """The plan of a call, and the addresses of vectors that only C reads; None if one is no plain vector.

    Plans are kept by the values of shapes and attributes; an operand remembers, by identity, what its last
    call was given, where that can't change.
    """
    who, c, given, found, key = kernel.name, kernel.contract, list(asked), [], None
    for i, k in kernel.optional:
        x = asked[i]
        if x is not None and (type(x) is not np.ndarray or x.dtype not in k.dtypes or x.ndim != k.rank):
            return None
    for i, k, length in kernel.vectors:
        x = asked[i]
        if x is not None and not (k.number and not getattr(x, "ndim", 0)):
            if type(x) is not np.ndarray or x.dtype not in k.dtypes or x.ndim != 1:
                return None
            first, axis = c.axes[k.dims[0]]
            if asked[length][axis:][:1] != x.shape:  # (of an array of no axes there is none)
                raise disagree(who, k.dims[0], first, asked[length], k.name, x.shape)
            if x.flags.num & READABLE != READABLE:
                given[i] = x = dense(x)
        if i >= kernel.only_in_c:
            found.append(native.NULL if x is None else native.from_buffer(x))
    if operand is not None and kernel.packed_with:
        _as_packed(kernel, operand, asked)
    wanted = [x.char if isinstance(x, np.dtype) else x for x in given[:len(kernel.named)]]
    if not any(map(isinstance, wanted, ARRAYS)):
        key = dumps(wanted, 2) if plain(wanted) else repr(wanted) if lasting(wanted) else None
    plan = kernel.plans.get(key, ...)
    if plan is ...:
        asked_for = zip(kernel.asked, asked, strict=True)
        c.agree(who, {name[:-6]: x for name, x in asked_for if name.endswith(".shape")})
        plan = kernel.planner(**dict(zip(kernel.named, given, strict=False)))
        if key is not None:  # it says everything that the plan was made of
            if len(kernel.plans) >= MOST_PLANS:
                kernel.plans.clear()
            kernel.plans[key] = plan
    if (operand is not None and getattr(plan, "lasting", True) and all(map(is_, given, asked))
            and lasting(asked)):
        operand._last = (plan, *found, *asked[1:])
    return plan, *found


def reads_anew(plan: Any, *asked: Any) -> bool:
    """Whether a call with this plan, made again, reads all arrays that it was asked about anew: none was
    copied, as one with gaps is, nor read when the plan was made, as one number is."""
    return getattr(plan, "lasting", True) and not any(
        isinstance(x, np.ndarray) and (not x.ndim or x.flags.num & READABLE != READABLE) for x in asked)


def _as_packed(kernel: Any, operand: Any, asked: Any) -> None:
    """Raise unless the attributes are those that an operand was packed for: its layout depends on them."""
    for name in kernel.packed_with if type(operand) is Operand else ():
        value = asked[kernel.asked.index(name)]
        if value != operand.parts[name]:
            raise ValueError(f"{kernel.name}: {name} must be {operand.parts[name]}, as "
                             f"{kernel.contract.packed} was packed, got {value}")


def failed(kernel: Any, status: int, *arguments: Any) -> None:
    """Raise what a C function's result says went wrong."""
    if kernel.values:
        kernel.values(*arguments)
    native.check(kernel.name, status)

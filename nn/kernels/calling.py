"""What a gate leaves to others: calls that are not usual, the plans of calls, and what went wrong in C."""

from functools import partial
from itertools import repeat
from marshal import dumps
from typing import Any

import numpy as np

from . import native
from .arguments import dense, no_room, output
from .contract import lasting
from .operand import Operand

MOST_PLANS = 256    # of one kernel that are kept
ARRAYS = repeat(np.ndarray)


def otherwise(kernel: Any, *given: Any) -> Any:
    """A call that is not usual: an error, or arrays in disguise, or the specification's to compute."""
    c, who = kernel.contract, kernel.name
    arguments, out = dict(zip(c.parameters, given, strict=False)), given[len(c.parameters):]
    packed = arguments.get(c.packed)
    if type(packed) is Operand:
        if packed.kernel is not kernel:
            raise TypeError(f"{who}: {c.packed} must be packed by {who}.pack, got one packed by "
                            f"{packed.kernel.name}.pack")
        more = [name for name in c.others if arguments[name] is not None]
        if more:
            raise TypeError(f"{who}: packed {c.packed} have their {' and '.join(more)} with them, got "
                            "another")
    found, other = c.plain(who, arguments)
    if kernel.choice != native.NUMPY and not other and kernel.call:
        foreign = [k for k in c.alone if not k.number and found[k.name] is not None
                   and found[k.name].dtype not in k.dtypes[:k.native]]
        if foreign and kernel.values:
            kernel.values(*found.values())
        found |= {k.name: found[k.name].astype(k.usual) for k in foreign}
        return type(kernel).__call__(**found, **dict(zip(("out",), out, strict=False)))
    return _specified(kernel, found, other, *out)


def specified(kernel: Any, *given: Any) -> Any:
    """What the specification makes of a call that C does not take, whose arrays are plain."""
    names = kernel.contract.parameters
    found = dict(zip(names, given[:len(names)], strict=True))
    return _specified(kernel, found, False, *given[len(names):])


def _specified(kernel: Any, found: dict[str, Any], other: bool, out: Any = None) -> Any:
    """What the specification makes of checked arrays."""
    c, packed = kernel.contract, kernel.contract.packed
    inputs = [y for x in found.values() for y in (x if isinstance(x, (list, tuple)) else (x,))]
    if packed and (c.others or c.arrays[packed].many) and type(found[packed]) is not Operand:
        first = next(iter(found.values()))
        found = {**found, packed: kernel.packer(kernel.name, first, *(found[n] for n in (packed, *c.others)))}
    ends = {k.name for k in c.arrays.values() if k.reading == "dense" and k.dims}    # read from end to end
    found = {name: dense(x) if name in ends and isinstance(x, np.ndarray) else x for name, x in found.items()}
    for name in kernel.packed_with if type(found.get(packed)) is Operand else ():
        _as_packed(kernel, found[packed], name, found[name])
    shapes = {name: x.shape for name, x in found.items() if name in c.arrays and hasattr(x, "shape")}
    sizes, plan = c.agree(kernel.name, shapes), None
    if kernel.planner:
        plan = kernel.planner(*(shapes[name[:-6]] if name.endswith(".shape") else
                              found[name[:-6]].dtype if name.endswith(".dtype") else found[name]
                              for name in kernel.asked[:kernel.named]))
    if kernel.values:
        kernel.values(*found.values())
    call = dict(found)
    if packed and type(found[packed]) is Operand:
        parts = found[packed].unpack()
        call |= dict(zip((packed, *c.others), parts if c.others else (parts,), strict=True))
    result = partial(kernel.reference, **call)
    if not c.out:
        return result()
    (k,) = c.results
    shape = (next(iter(shapes.values())) if k.dims is None else plan.shape if c.shaped_by_plan
             else tuple(sizes[d] for d in k.dims))
    kinds = [getattr(found[a.name], "dtype", k.usual) for a in c.arrays.values()
             if a.usual is k.usual and found[a.name] is not None]
    dtype = np.result_type(*kinds) if other and kinds else k.usual if k.native == 1 else plan.dtype
    if out is not None:
        output(kernel.name, out, shape, dtype, *inputs)
    elif other or k.dims is None:
        return result()
    else:
        try:
            out = np.empty(shape, dtype)
        except (MemoryError, ValueError) as error:
            raise no_room(kernel.name, shape, error) from None
    out[...] = result()
    return out


def recall(kernel: Any, operand: Operand | None, *asked: Any) -> tuple | None:
    """The plan of a call, and addresses of its vectors; None if one is no plain vector.

    Plans are kept by the values of shapes and attributes; an operand remembers, by identity, what its last
    call was given, where that can't change.
    """
    given, kept, found = list(asked), True, []
    for i, k, axis in kernel.vectors:    # axis: where among the shapes its size is
        x = asked[i]
        if isinstance(x, np.ndarray) and (x.ndim or not k.number):
            x = kernel.contract.vector(kernel.name, k, x, asked, axis)
            if x is None:
                return None
            given[i], kept = x, kept and x is asked[i]
        elif x is not None and not k.number:
            return None
        else:
            kept = kept and (x is None or lasting(x))
        if i >= kernel.named:
            found.append(native.NULL if x is None else native.from_buffer(x))
    if operand is not None:
        for name in kernel.packed_with:
            _as_packed(kernel, operand, name, asked[kernel.asked.index(name)])
    plan = _plan(kernel, given, asked)
    if operand is not None and kept and getattr(plan, "lasting", True):
        others = [value for i, value in enumerate(asked) if i != kernel.operand_at]
        if all(map(lasting, map(asked.__getitem__, kernel.plain))):
            operand._last = (plan, *found, *others)
    return plan, *found


def _as_packed(kernel: Any, operand: Operand, name: str, value: Any) -> None:
    """Raise unless an attribute is what an operand was packed for: its layout depends on it."""
    if value != operand.parts[name]:
        raise ValueError(f"{kernel.name}: {name} must be {operand.parts[name]}, as {kernel.contract.packed} "
                         f"was packed, got {value}")


def _plan(kernel: Any, given: list, asked: tuple) -> Any:
    """The plan of what it asks for: one made before, or a new one, kept where its key says everything."""
    wanted, key = given[:kernel.named], None
    if not any(map(isinstance, wanted, ARRAYS)):
        try:
            key = dumps(wanted, 2)
        except ValueError:    # of a dtype, which has no bytes, or of an object of a user's
            key = repr(wanted) if all(map(lasting, wanted)) else None
        plan = kernel.plans.get(key, ...)
        if plan is not ...:
            return plan
    asked_by_name = zip(kernel.asked, asked, strict=True)
    shapes = {name[:-6]: x for name, x in asked_by_name if name.endswith(".shape")}
    kernel.contract.agree(kernel.name, shapes)
    plan = kernel.planner(*wanted)
    if key is not None:
        if len(kernel.plans) >= MOST_PLANS:
            kernel.plans.clear()
        kernel.plans[key] = plan
    return plan


def failed(kernel: Any, status: int, *arguments: Any) -> None:
    """Raise what a C function's result says went wrong."""
    if kernel.values:
        kernel.values(*arguments)
    native.check(kernel.name, status)

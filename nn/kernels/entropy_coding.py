"""What huffman.py and rans.py have in common: their calls of C, the room for what these write, and errors.

Both write symbols by a table with a number for each, `beside` each other in some streams or lanes."""

from collections.abc import Callable

import numpy as np

from .arguments import U8, no_room
from .contract import Plan
from .native import check, ffi, from_buffer, lib


def encoded(who: str, refuse: Callable[..., None], choice: int, symbols: np.ndarray, table: np.ndarray,
            beside: int, plan: Plan) -> np.ndarray:
    """The bytes that nn_`who` writes. `refuse(who, symbols, table)` raises where a symbol has no code."""
    data, size = _room_for(who, plan), ffi.new("int64_t *")
    status = getattr(lib, f"nn_{who}")(choice, len(symbols), len(table), from_buffer(symbols),
                                       from_buffer(table), beside, from_buffer(data), size)
    if status == lib.NN_NO_CODE:
        refuse(who, symbols, table)
    check(who, status)
    return data[:size[0]].copy()


def decoded(who: str, wrong: Callable[[str, int], ValueError], choice: int, data: np.ndarray,
            table: np.ndarray, n: int, beside: int, plan: Plan) -> np.ndarray:
    """The n symbols that nn_`who` reads. `wrong(who, n)` is the error for data that are not those."""
    symbols = _room_for(who, plan)
    status = getattr(lib, f"nn_{who}")(choice, len(data), len(table), n, from_buffer(data),
                                       from_buffer(table), beside, from_buffer(symbols))
    if status == lib.NN_BAD_DATA:
        raise wrong(who, n)
    check(who, status)
    return symbols


def without_code(who: str, symbols: np.ndarray, table: np.ndarray, what: str) -> None:
    """Raise ValueError if the table (A,) has a 0 for one of the symbols, or is too short for it."""
    counts = np.bincount(symbols, minlength=len(table))
    there = counts.astype(bool)
    there[:len(table)] &= table == 0
    if there.any():
        raise ValueError(f"{who}: symbols must have {what}, got {np.argmax(there)}, which has none")


def _room_for(who: str, plan: Plan) -> np.ndarray:
    """An array as the plan says; MemoryError, naming `who`, if there is no memory for it."""
    try:
        return np.empty(plan.shape, plan.dtype or U8)
    except (MemoryError, ValueError) as error:
        raise no_room(who, plan.shape, error) from None

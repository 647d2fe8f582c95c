"""rans_encode and rans_decode: symbols at the cost of their frequencies, fractions of a bit and all."""

import numpy as np

from ..geometry import LARGEST
from .arguments import U8, U16, integer
from .contract import Plan
from .entropy_coding import decoded, encoded, without_code
from .frequencies import check_frequencies
from .kernel import kernel

LANES = 32       # states that are worked on side by side
FEW = 1 << 16    # symbols, fewer than which one state has to do: the states would count
WORD = 16        # bits by which a state grows and shrinks
LEAST = 1 << WORD  # a state is in 2^16 … 2^32 − 1; an encoder starts with this


@kernel(symbols="u16||u8[n]", frequencies="u16[A]", out=("data: u8[<room]",))
def rans_encode(symbols: np.ndarray, frequencies: np.ndarray, *, lanes: int = LANES) -> np.ndarray:
    """Symbols, uint8 or uint16 (n,), as the digits of large numbers → uint8 (bytes,). Duda (2013), rANS.

    frequencies (A,): how often each symbol comes, of Σ frequencies = M, a power of two in 2 … 2^15
    (`frequencies.table` makes them of counts). A symbol s costs log₂(M / f[s]) bits, for a state x becomes

        x' = ⌊x / f[s]⌋ · M + start[s] + x mod f[s]        start[s] = Σ of the f before s

    and x' mod M says which s it was. Before that, while x' would be 2^32 or more, the low 16 bits of x are
    written out as a word. Encoding goes from the last symbol to the first, decoding forwards.

    Symbol i is in lane i mod `lanes`, a power of two in 1 … 32, each with a state of its own that begins as
    2^16, so that they can be decoded side by side (Giesen 2014). The data are the last states, uint32, and
    the words, uint16, lowest byte first, in the order in which a decoder wants them: symbol by symbol of the
    first `lanes`, of the next. `lanes_for(n)` says how many pay. Raises ValueError for a symbol whose
    frequency is 0.
    """
    bits = check_frequencies("rans_encode", frequencies)
    f = frequencies.astype(np.int64)
    start = np.cumsum(f) - f
    x, words = np.full(lanes, LEAST, np.int64), [np.empty(0, np.int64)]
    for first in range(0, len(symbols), lanes)[::-1]:
        s = symbols[first:first + lanes]
        own = x[:len(s)]
        full = own >= f[s] << 32 - bits
        words.append(own[full] & LEAST - 1)
        own[full] >>= WORD
        own[...] = (own // f[s] << bits) + start[s] + own % f[s]
    return np.concatenate([x.astype("<u4").view(U8), np.concatenate(words[::-1]).astype("<u2").view(U8)])


@kernel(data="u8[bytes]", frequencies="u16[A]", out=("symbols: u8|u16[n]",))
def rans_decode(data: np.ndarray, frequencies: np.ndarray, n: int, *, lanes: int = LANES) -> np.ndarray:
    """The n symbols (n,) that `rans_encode` made these data of, with these frequencies and lanes.

    x mod M is in the part of one symbol s of 0 … M − 1; then x is f[s] · ⌊x / M⌋ + x mod M − start[s], and
    takes a word if that is less than 2^16. Symbols are uint8 where there are at most 256 frequencies, else
    uint16. Raises ValueError unless at the end every state is 2^16 again and every word was taken: data that
    were cut off, changed or are of other frequencies are found out. (What is accepted is what rans_encode
    makes of the result, to the bit.) A symbol may cost next to nothing, so n is not bounded by the size of
    the data: it is the caller's to know how many are wanted.
    """
    bits = check_frequencies("rans_decode", frequencies)
    f = frequencies.astype(np.int64)
    start, symbol_of = np.cumsum(f) - f, np.repeat(np.arange(len(f)), f)
    x = np.frombuffer(data[:4 * lanes].tobytes(), "<u4").astype(np.int64)
    words = np.frombuffer(data[4 * lanes:].tobytes(), "<u2").astype(np.int64)
    symbols, at = np.empty(n, U8 if len(f) <= 256 else U16), 0
    for first in range(0, n, lanes):
        own = x[:n - first]
        slot = own & (1 << bits) - 1
        s = symbol_of[slot]
        own[...] = f[s] * (own >> bits) + slot - start[s]
        low = np.flatnonzero(own < LEAST)
        if at + len(low) > len(words):
            raise wrong("rans_decode", n)
        own[low] = own[low] << WORD | words[at:at + len(low)]
        at += len(low)
        symbols[first:first + lanes] = s
    if at < len(words) or (x != LEAST).any():
        raise wrong("rans_decode", n)
    return symbols


def lanes_for(n: int) -> int:
    """How many lanes n symbols should have: 32, or 1 of so few that 32 states of 4 bytes would count."""
    return LANES if n >= FEW else 1


def wrong(who: str, n: int) -> ValueError:
    """The error for data that are no n symbols."""
    return ValueError(f"{who}: data are not {n} symbols of these frequencies: they were cut off or changed, "
                      f"or n or the frequencies are another's")


def _lanes(who: str, lanes: int) -> int:
    lanes = integer(who, "lanes", lanes, 1, LANES)
    if lanes & lanes - 1:
        raise ValueError(f"{who}: lanes must be a power of two in 1..{LANES}, got {lanes}")
    return lanes


def _room(who, symbols, lanes) -> Plan:
    """The states, and a word for each symbol, which is the most that one can cost."""
    if symbols[0] > LARGEST:
        raise ValueError(f"{who}: symbols must be at most {LARGEST}, got {symbols[0]}")
    return Plan((4 * _lanes(who, lanes) + 2 * symbols[0],))


def _symbols(who, data, frequencies, n, lanes) -> Plan:
    before = 4 * _lanes(who, lanes)
    if data[0] < before or data[0] % 2:
        raise ValueError(f"{who}: data must have {before} bytes of states and two for each word, got "
                         f"{data[0]}")
    return Plan((integer(who, "n", n, 0, LARGEST),), U8 if frequencies[0] <= 256 else U16)


def _have_frequencies(who, symbols, frequencies) -> None:
    check_frequencies(who, frequencies)
    without_code(who, symbols, frequencies, "frequencies above 0")


def _states(who, data, frequencies, n, lanes) -> None:
    if not check_frequencies(who, frequencies) and n:
        raise ValueError(f"{who}: frequencies must not all be 0 for {n} symbols")
    states = np.frombuffer(data[:4 * lanes].tobytes(), "<u4")
    if states.min() < LEAST:
        raise ValueError(f"{who}: data must begin with states of at least 2^16, got {states.min()}")


def _encode(choice, symbols, frequencies, lanes, plan) -> np.ndarray:
    check_frequencies("rans_encode", frequencies)
    return encoded("rans_encode", _have_frequencies, choice, symbols, frequencies, lanes, plan)


def _decode(choice, data, frequencies, n, lanes, plan) -> np.ndarray:
    _states("rans_decode", data, frequencies, n, lanes)
    return decoded("rans_decode", wrong, choice, data, frequencies, n, lanes, plan)


rans_encode.runs(_encode, plan=_room, values=_have_frequencies)
rans_decode.runs(_decode, plan=_symbols, values=_states)

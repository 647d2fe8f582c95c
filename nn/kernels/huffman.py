"""huffman_encode and huffman_decode: symbols as the codewords of a canonical prefix code, and back."""

import numpy as np

from ..geometry import LARGEST
from .arguments import U8, U16, integer
from .contract import Plan
from .entropy_coding import decoded, encoded, without_code
from .kernel import kernel
from .prefix_code import LIMIT, check_lengths, codewords

STREAMS = 4      # that are decoded side by side
SIZE = 4         # bytes of the size of a stream
FEW = 1 << 14    # symbols, fewer than which are one stream: the sizes would count


@kernel(symbols="u16||u8[n]", lengths="u8[A]", out=("data: u8[<room]",))
def huffman_encode(symbols: np.ndarray, lengths: np.ndarray, *, streams: int = STREAMS) -> np.ndarray:
    """The codewords of symbols, uint8 or uint16 (n,), one after another → uint8 (bytes,). Huffman (1952).

    lengths (A,): the bits of each symbol's codeword, at most 15, 0 for one that never comes: a complete code,
    as `prefix_code.code_lengths` makes it of counts, whose canonical codewords `prefix_code.codewords` has.

    With 4 streams each quarter of the symbols is one, so that four can be decoded side by side: the data are
    the sizes of the first three in bytes, uint32, lowest byte first, and the streams. With 1 stream they are
    that alone; `streams_for(n)` says which pays. (A quarter is ⌈n/4⌉ symbols, the last what is left.) In a
    stream the first bit of a codeword is its highest, and comes in the highest bit of the first byte that has
    room; behind the last codeword a byte is filled with zeros.
    Raises ValueError for a symbol without a codeword.
    """
    _, words = codewords(lengths)
    word_of = np.zeros(len(lengths), np.int64)
    word_of[codewords(lengths)[0]] = words
    parts = []
    for quarter in quarters(len(symbols), streams):
        own = symbols[quarter]
        length = lengths[own].astype(np.int64)
        k = np.arange(LIMIT)                       # of each codeword its bit k, and whether it has one
        bits = word_of[own][:, None] >> (length[:, None] - 1 - k).clip(0) & 1
        parts.append(np.packbits(bits[k < length[:, None]].astype(U8)))
    sizes = np.array([len(part) for part in parts[:-1]], "<u4")
    return np.concatenate([sizes.view(U8), *parts])


@kernel(data="u8[bytes]", lengths="u8[A]", out=("symbols: u8|u16[n]",))
def huffman_decode(data: np.ndarray, lengths: np.ndarray, n: int, *, streams: int = STREAMS) -> np.ndarray:
    """The n symbols (n,) that `huffman_encode` made these data of, with these lengths and streams.

    They are uint8 where lengths are of at most 256 symbols, else uint16. Raises ValueError for other data:
    those that were cut off, changed or are another code's, sizes that lie, bytes or bits left over. (What is
    accepted is what huffman_encode makes of the result, to the bit.) n is at most 8 · bytes.
    """
    symbols = np.empty(n, U8 if len(lengths) <= 256 else U16)
    found, _ = codewords(lengths)
    longest = int(lengths.max(initial=0))
    room = np.int64(1) << longest - lengths[found].astype(np.int64)
    table = np.repeat(found, room)                 # what begins with these `longest` bits
    for quarter, part in zip(quarters(n, streams), parts_of("huffman_decode", data, streams), strict=True):
        bits = np.concatenate([np.unpackbits(part), np.zeros(longest, U8)])
        windows = np.zeros(len(bits) - longest + 1, np.int64)
        for k in range(longest):                   # at each bit, the number that begins there
            windows = 2 * windows + bits[k:len(windows) + k]
        at, end = 0, 8 * len(part)
        if len(table) == 1 << longest:
            own = table[windows]
            length = lengths[own]
        else:                                      # one symbol, or none: a 1 is no codeword
            own, length = np.full(len(windows), found.sum()), (1 - windows) * len(found)
        for i in range(quarter.start, quarter.stop):
            if at >= end or not length[at]:
                raise wrong("huffman_decode", n)
            symbols[i] = own[at]
            at += int(length[at])
        if not 0 <= end - at < 8 or bits[at:].any():
            raise wrong("huffman_decode", n)
    return symbols


def streams_for(n: int) -> int:
    """How many streams n symbols should be: 4, or 1 of so few that three sizes would count."""
    return STREAMS if n >= FEW else 1


def quarters(n: int, streams: int) -> list[slice]:
    """Which of n symbols are in each stream."""
    each = -(-n // streams)
    return [slice(min(s * each, n), min((s + 1) * each, n)) for s in range(streams)]


def parts_of(who: str, data: np.ndarray, streams: int) -> list[np.ndarray]:
    """The streams in these data; ValueError where they are shorter than their sizes say."""
    before = SIZE * (streams - 1)
    if len(data) < before:
        raise ValueError(f"{who}: data must begin with {before} bytes of sizes, got {len(data)} bytes")
    ends = np.cumsum(np.frombuffer(data[:before].tobytes(), "<u4").astype(np.int64))
    if len(ends) and ends[-1] > len(data) - before:
        raise ValueError(f"{who}: data must hold {ends[-1]} bytes of the first three streams, got "
                         f"{len(data) - before}")
    return np.split(data[before:], ends)


def wrong(who: str, n: int) -> ValueError:
    """The error for data that are no n codewords."""
    return ValueError(f"{who}: data are not {n} symbols in this code: they were cut off or changed, or n or "
                      f"the code is another's")


def _streams(who: str, streams: int) -> int:
    if streams not in (1, STREAMS) or isinstance(streams, bool):
        raise ValueError(f"{who}: streams must be 1 or {STREAMS}, got {streams!r}")
    return SIZE * (streams - 1)


def _room(who, symbols, streams) -> Plan:
    """Room for the longest codewords only."""
    if symbols[0] > LARGEST:
        raise ValueError(f"{who}: symbols must be at most {LARGEST}, got {symbols[0]}")
    return Plan((_streams(who, streams) + STREAMS + -(-symbols[0] * LIMIT // 8),))


def _symbols(who, data, lengths, n, streams) -> Plan:
    n, most = integer(who, "n", n, 0, LARGEST), 8 * data[0]
    if n > most:
        raise ValueError(f"{who}: n must be at most {most}, as {data[0]} bytes have no more bits, got {n}")
    _streams(who, streams)
    return Plan((n,), U8 if lengths[0] <= 256 else U16)


def _have_codewords(who, symbols, lengths) -> None:
    check_lengths(who, lengths)
    without_code(who, symbols, lengths, "codewords")


def _make_a_code(who, lengths) -> None:
    check_lengths(who, lengths)


def _encode(choice, symbols, lengths, streams, plan) -> np.ndarray:
    check_lengths("huffman_encode", lengths)
    return encoded("huffman_encode", _have_codewords, choice, symbols, lengths, streams, plan)


def _decode(choice, data, lengths, n, streams, plan) -> np.ndarray:
    check_lengths("huffman_decode", lengths)
    parts_of("huffman_decode", data, streams)
    return decoded("huffman_decode", wrong, choice, data, lengths, n, streams, plan)


huffman_encode.runs(_encode, plan=_room, values=_have_codewords)
huffman_decode.runs(_decode, plan=_symbols, values=_make_a_code)

"""Canonical Huffman, solved again: two queues, codewords as numbers, and a decoder without codewords."""

import math
import struct


def entropy(counts):
    """As in the task: log₂ n less the mean of log₂ counts."""
    n = sum(counts)
    return math.log2(n) - math.fsum(c * math.log2(c) for c in counts if c) / n if n else 0.0


def code_lengths(counts):
    """As in the task: what is merged comes out in order, so that a queue beside the sorted leaves is enough
    (van Leeuwen 1976). A tree of parents; depths from the root down."""
    leaves = sorted((n, s) for s, n in enumerate(counts) if n)
    weights, parent = [n for n, _ in leaves], {}
    leaf, inner = 0, len(leaves)
    for node in range(len(leaves), 2 * len(leaves) - 1):
        total = 0
        for _ in range(2):
            if leaf < len(leaves) and (inner == node or weights[leaf] <= weights[inner]):
                parent[leaf], total, leaf = node, total + weights[leaf], leaf + 1
            else:
                parent[inner], total, inner = node, total + weights[inner], inner + 1
        weights.append(total)
    depth = [0] * len(weights)
    for node in reversed(range(len(weights) - 1)):
        depth[node] = depth[parent[node]] + 1
    lengths = [0] * len(counts)
    for i, (_, s) in enumerate(leaves):
        lengths[s] = max(depth[i], 1)
    return lengths


def numbered(lengths):
    """Of each symbol its codeword as a number."""
    longest = max(lengths, default=0)
    if min(lengths, default=0) < 0:
        raise ValueError("a length is below 0")
    room, of = 1 << longest, [0] * len(lengths)
    taken = 0
    for length in range(1, longest + 1):
        for s, own in enumerate(lengths):
            if own == length:
                of[s] = taken >> longest - length
                taken += 1 << longest - length
    if longest and taken != room and not (longest == 1 and sum(lengths) == 1):
        raise ValueError("the lengths leave room, or have none")
    return of


def codewords(lengths):
    """As in the task."""
    return [bin(number + (1 << length))[3:] if length else ""
            for number, length in zip(numbered(lengths), lengths, strict=True)]


def encode(symbols, lengths):
    """As in the task: one number of all bits."""
    of, bits, size = numbered(lengths), 0, 0
    for s in symbols:
        if s < 0 or s >= len(lengths) or lengths[s] == 0:
            raise ValueError("a symbol has no codeword")
        bits, size = bits << lengths[s] | of[s], size + lengths[s]
    return (bits << -size % 8).to_bytes((size + 7) // 8, "big")


def decode(payload, lengths, count):
    """As in the task: a codeword of a length is the first of that length plus its place (Moffat & Turpin
    1997)."""
    numbered(lengths)
    of_length = [[s for s, own in enumerate(lengths) if own == n] for n in range(max(lengths, default=0) + 1)]
    found, at, end = [], 0, 8 * len(payload)
    if count > end:
        raise ValueError("there are fewer bits than symbols")
    for _ in range(count):
        value = first = 0
        for mine in of_length[1:]:
            if at == end:
                raise ValueError("it ends too early")
            value, at, first = 2 * value + (payload[at >> 3] >> 7 - at % 8 & 1), at + 1, 2 * first
            if value - first < len(mine):
                found.append(mine[value - first])
                break
            first += len(mine)
        else:
            raise ValueError("there is no such codeword")
    rest = int.from_bytes(payload, "big") & (1 << end - at) - 1
    if end - at >= 8 or rest:
        raise ValueError("something follows")
    return found


def write(symbols, k):
    """As in the task."""
    if any(s not in range(k) for s in symbols):
        raise ValueError("a symbol is out of range")
    lengths = code_lengths([symbols.count(s) for s in range(k)])
    return struct.pack(f"<4sIH{k}B", b"HUF1", len(symbols), k, *lengths) + encode(symbols, lengths)


def read(content):
    """As in the task."""
    try:
        magic, count, k = struct.unpack_from("<4sIH", content)
        lengths = struct.unpack_from(f"{k}B", content, 10)
    except struct.error:
        raise ValueError("it ends within its header") from None
    if magic != b"HUF1":
        raise ValueError("it is another file")
    return decode(content[10 + k:], list(lengths), count)

"""Canonical Huffman, solved a third time: by a list that is sorted again and again, the first codeword of
each length, and a tree to read by."""

import math


def entropy(counts):
    """As in the task."""
    h, n = 0.0, sum(counts)
    for c in counts:
        if c > 0:
            h -= c / n * (math.log(c / n) / math.log(2))
    return h


def code_lengths(counts):
    """As in the task: groups are tuples of (symbol, depth)."""
    groups = [(n, [(s, 0)]) for s, n in enumerate(counts) if n > 0]
    if len(groups) == 1:
        groups = [(0, [(s, 1) for s, _ in groups[0][1]])]
    while len(groups) > 1:
        groups.sort(key=lambda group: (-group[0], len(group[1])))
        n, one = groups.pop()
        m, other = groups.pop()
        groups.append((n + m, [(s, depth + 1) for s, depth in one + other]))
    depth_of = dict(groups[0][1]) if groups else {}
    return [depth_of.get(s, 0) for s in range(len(counts))]


def codewords(lengths):
    """As in the task, by the first codeword of every length (Deflate, RFC 1951, §3.2.2)."""
    longest = max([0, *lengths])
    of_length = [0] + [lengths.count(n) for n in range(1, longest + 1)]
    taken = sum(number << longest - n for n, number in enumerate(of_length))
    alone = longest == 1 and of_length == [0, 1]
    if longest and not alone and taken != 1 << longest:
        raise ValueError("the lengths are not right")
    code, following = 0, {}
    for n in range(1, longest + 1):
        code = code + of_length[n - 1] << 1
        following[n] = code
    words = []
    for length in lengths:
        words.append(format(following[length], "b").rjust(length, "0") if length else "")
        if length:
            following[length] += 1
    return words


def encode(symbols, lengths):
    """As in the task: a byte is filled bit by bit."""
    words, found, bits = codewords(lengths), bytearray(), 0
    for s in symbols:
        if s < 0 or s >= len(words) or words[s] == "":
            raise ValueError("a symbol that can't be written")
        for bit in words[s]:
            if bits % 8 == 0:
                found.append(0)
            if bit == "1":
                found[-1] |= 128 >> bits % 8
            bits += 1
    return bytes(found)


def decode(payload, lengths, count):
    """As in the task: from the root of a tree down, and from its leaves back to the root."""
    root = {}
    for s, word in enumerate(codewords(lengths)):
        node = root
        for bit in word[:-1]:
            node = node.setdefault(bit, {})
        if word:
            node[word[-1]] = s
    found, node, bits = [], root, 0
    for byte in payload:
        for bit in format(byte, "08b"):
            if len(found) == count:
                if bit == "1":
                    raise ValueError("what is left over is not 0")
                continue
            if bit not in node:
                raise ValueError("no codeword is like this")
            node, bits = node[bit], bits + 1
            if not isinstance(node, dict):
                found.append(node)
                node = root
    if len(found) < count or len(payload) != math.ceil(bits / 8):
        raise ValueError("there are too few bytes, or too many")
    return found


def write(symbols, k):
    """As in the task."""
    counts = dict.fromkeys(range(k), 0)
    for s in symbols:
        if s not in counts:
            raise ValueError("that is no symbol")
        counts[s] += 1
    lengths = code_lengths(list(counts.values()))
    content = bytearray(b"HUF1")
    for number, size in ((len(symbols), 4), (k, 2), *((length, 1) for length in lengths)):
        content += number.to_bytes(size, "little")
    return bytes(content) + encode(symbols, lengths)


def read(content):
    """As in the task: one part after the other is taken off."""
    parts, at = [], 0
    for size in (4, 4, 2):
        parts.append(content[at:at + size])
        at += size
    magic, count, k = parts[0], *(int.from_bytes(part, "little") for part in parts[1:])
    lengths = list(content[10:10 + k])
    if magic != b"HUF1" or len(parts[2]) < 2 or len(lengths) != k:
        raise ValueError("the beginning is wrong")
    return decode(content[10 + k:], lengths, count)

"""Mistakes that students make in a Huffman coder, each of which must lose points."""

from compress.classroom.mutation import Bug

ENTROPY, LENGTHS = "entropy_is_the_mean_surprise", "lengths_make_a_whole_code"
WORDS, WRONG = "codewords_are_canonical", "wrong_lengths_are_refused"
SHORTEST, MEAN = "no_other_lengths_are_shorter", "the_mean_is_within_a_bit_of_the_entropy"
BYTES, DECODED, FILE = "bytes_are_as_said", "decodes_what_was_encoded", "a_file_gives_its_symbols_back"
DEEP, CUT = "deep_codes_are_exact", "every_cut_is_an_error"
MORE, DAMAGED = "what_is_left_over_is_an_error", "a_damaged_file_is_refused_or_read_as_it_says"
STRANGERS = "symbols_without_a_codeword_are_refused"

HEAP = """    heap = [(n, s, [s]) for s, n in enumerate(counts) if n]
"""
MERGE = """        heapq.heappush(heap, (n + m, s, group + other))
"""
LAST = """    return lengths
"""
KRAFT = "    if used not in ([], [1]) and sum(Fraction(1, 2**length) for length in used) != 1:"
ORDER = """    for length, s in sorted((length, s) for s, length in enumerate(lengths) if length):
        code <<= length - before
"""
KNOWN = """    if any(not (0 <= s < len(words) and words[s]) for s in symbols):
        raise ValueError("a symbol has no codeword")
"""
PADDED = """    bits += "0" * (-len(bits) % 8)
"""
BYTE = "int(bits[at:at + 8], 2)"
ENDS = """        elif end >= min(begin + longest, len(bits)):
            raise ValueError(f"after {len(symbols)} symbols of {count} there is no codeword")
"""
BEHIND = """    if len(bits) - begin > 7 or "1" in bits[begin:]:
"""
RANGE = """    if sum(counts) < len(symbols):
        raise ValueError(f"a symbol is not in 0 … {k - 1}")
"""
BEGINS = """    if content[:4] != b"HUF1" or len(content) < 10:
"""
HEADER = """    if len(content) < 10 + k:
        raise ValueError(f"the file ends before its {k} lengths do")
"""

BUGS = [
    Bug("entropy in nats", "math.log2(total / n)", "math.log(total / n)", (ENTROPY,)),
    Bug("entropy has the wrong sign", "math.log2(total / n)", "math.log2(n / total)", (ENTROPY,)),
    Bug("entropy as if all symbols came equally often",
        "float(sum(n / total * math.log2(total / n) for n in counts if n))",
        "math.log2(max(1, sum(n > 0 for n in counts)))", (ENTROPY,)),
    Bug("the logarithm of 0", "total / n) for n in counts if n)", "total / n) for n in counts)", (ENTROPY,)),
    Bug("a symbol that never comes has a length",
        "enumerate(counts) if n]", "enumerate(counts)]", (LENGTHS,)),
    Bug("the only symbol has 0 bits",
        "        lengths[heap[0][1]] = 1\n", "        lengths[heap[0][1]] = 0\n", (LENGTHS, FILE)),
    Bug("Shannon's lengths: −log₂ p, rounded up",
        HEAP, """    n = sum(counts)
    return [max(1, math.ceil(math.log2(n / c))) if c else 0 for c in counts]
""", (LENGTHS, SHORTEST)),
    Bug("all symbols have equal lengths",
        HEAP, """    used = sum(n > 0 for n in counts)
    return [max(1, math.ceil(math.log2(used))) if n else 0 for n in counts]
""", (LENGTHS, SHORTEST, MEAN)),
    Bug("one bit more for each rarer symbol",
        HEAP, """    used = sorted((-n, s) for s, n in enumerate(counts) if n)
    return [min(used.index((-n, s)) + 1, max(1, len(used) - 1)) if n else 0 for s, n in enumerate(counts)]
""", (SHORTEST, MEAN)),
    Bug("Fano's halves: from the top, in place of Huffman's pairs",
        HEAP, """    lengths = [0] * len(counts)
    parts = [sorted((s for s, n in enumerate(counts) if n), key=lambda s: -counts[s])]
    if len(parts[0]) == 1:
        lengths[parts[0][0]] = 1
    while parts:
        part = parts.pop()
        if len(part) > 1:
            cut = min(range(1, len(part)), key=lambda i: abs(sum(counts[s] for s in part[:i])
                                                             - sum(counts[s] for s in part[i:])))
            for s in part:
                lengths[s] += 1
            parts += [part[:cut], part[cut:]]
    return lengths
    heap = []
""", (SHORTEST,)),
    Bug("a group counts as much as its larger part", MERGE, MERGE.replace("n + m", "max(n, m)"), (SHORTEST,)),
    Bug("a merged group is taken next, whatever it counts",
        MERGE, MERGE.replace("heapq.heappush(heap, ", "heap.insert(0, "),
        (SHORTEST,)),
    Bug("lengths end at 32 bits", "            lengths[member] += 1\n",
        "            lengths[member] = min(lengths[member] + 1, 32)\n", (DEEP,)),
    Bug("the counts are used up", "    lengths = [0] * len(counts)\n    heap",
        "    given, counts = counts, list(counts)\n    given[:] = lengths = [0] * len(counts)\n    heap",
        (LENGTHS, SHORTEST)),
    Bug("lengths are not checked", KRAFT, "    if False:", (WRONG,)),
    Bug("only lengths that do not fit are refused", KRAFT, KRAFT.replace("!= 1:", "> 1:"), (WRONG,)),
    Bug("Kraft's sum in floats", KRAFT, KRAFT.replace("Fraction(1, 2**length)", "2.0**-length"), (WRONG,)),
    Bug("a single length may be any",
        KRAFT, KRAFT.replace("used not in ([], [1])", "len(used) > 1"), (WRONG,)),
    Bug("the only symbol's length is refused", KRAFT, KRAFT.replace("([], [1])", "([],)"), (WORDS, FILE)),
    Bug("of equal length the higher symbol comes first",
        ORDER, ORDER.replace("if length)", "if length)[::-1]").replace("(length, s) for", "(-length, s) for")
        .replace("code <<=", "length = -length\n        code <<="), (WORDS,)),
    Bug("1 is added after the zeros were appended",
        ORDER, ORDER.replace("code <<= length - before",
                             "code = (code - 1 << length - before) + 1 if before else 0"),
        (WORDS,)),
    Bug("zeros stand before the number, not behind",
        ORDER, ORDER.replace("        code <<= length - before\n", ""), (WORDS,)),
    Bug("codewords are turned round",
        'words[s] = f"{code:0{length}b}"', 'words[s] = f"{code:0{length}b}"[::-1]',
        (WORDS, DECODED)),
    Bug("leading zeros are lost", 'f"{code:0{length}b}"', 'f"{code:b}"', (WORDS, BYTES)),
    Bug("codewords have 64 bits at most",
        'f"{code:0{length}b}"', 'f"{code & 2**64 - 1:0{length}b}"', (WORDS,)),
    Bug("the lengths are sorted in place", "    words, code, before = [",
        "    lengths.sort()\n    words, code, before = [", (WORDS,)),
    Bug("a symbol without a codeword is left out",
        KNOWN, "    symbols = [s for s in symbols if s < len(words)]\n",
        (STRANGERS,)),
    Bug("a symbol below 0 is one from the end",
        KNOWN, KNOWN.replace("0 <= s < len", "s < len"), (STRANGERS,)),
    Bug("a symbol that is too large is an IndexError",
        KNOWN, KNOWN.replace("0 <= s < len(words) and ", "s >= 0 and "), (STRANGERS,)),
    Bug("what is left over is ones", PADDED, PADDED.replace('"0" *', '"1" *'), (BYTES, FILE)),
    Bug("a full byte is followed by another",
        PADDED, PADDED.replace("(-len(bits) % 8)", "(8 - len(bits) % 8)"), (BYTES, FILE)),
    Bug("the last byte is lost if it is not full",
        PADDED, "    bits = bits[:len(bits) // 8 * 8]\n", (BYTES, FILE)),
    Bug("the lowest bit first", BYTE, "int(bits[at:at + 8][::-1], 2)", (BYTES, FILE)),
    Bug("the lowest bit is read first", '"".join(f"{byte:08b}" for', '"".join(f"{byte:08b}"[::-1] for',
        (DECODED, FILE)),
    Bug("all codewords are read, also those of what is left over",
        "    while len(symbols) < count:\n", "    while end < len(bits):\n", (DECODED, FILE)),
    Bug("a first codeword that never ends", ENDS, "", (CUT,)),
    Bug("what is there is returned when the bytes end",
        ENDS, ENDS[:ENDS.index("raise")] + "return symbols\n", (CUT, DAMAGED)),
    Bug("an IndexError when the bytes end",
        "        word = bits[begin:end]\n", "        word = bits[begin:end - 1] + bits[end - 1]\n", (CUT,)),
    Bug("room for all symbols that are claimed",
        "symbols, begin, end = [], 0, 0", "symbols, begin, end = [0] * count, 0, 0\n    symbols.clear()",
        (DAMAGED,)),
    Bug("bytes behind the last symbol are passed over",
        BEHIND, '    if "1" in bits[begin:-(-begin // 8) * 8]:\n', (MORE,)),
    Bug("what is left over may be anything", BEHIND, "    if len(bits) - begin > 7:\n", (MORE, DAMAGED)),
    Bug("only ones are too many", BEHIND, '    if "1" in bits[begin:]:\n', (MORE,)),
    Bug("a last byte that is full is too many", BEHIND, BEHIND.replace("> 7", ">= 7"), (DECODED,)),
    Bug("how many bits there are, not symbols",
        'len(symbols).to_bytes(4, "little")', 'sum(map(lengths.__getitem__, symbols)).to_bytes(4, "little")',
        (FILE,)),
    Bug("the count has its highest byte first",
        'len(symbols).to_bytes(4, "little")', 'len(symbols).to_bytes(4, "big")', (FILE,)),
    Bug("counts in place of lengths",
        "sizes + bytes(lengths)", "sizes + bytes(min(n, 255) for n in counts)", (FILE,)),
    Bug("nothing says what file it is", 'return b"HUF1" + sizes', "return bytes(4) + sizes", (FILE,)),
    Bug("symbols are sorted in place", "    counts = [symbols.count(s) for s in range(k)]\n",
        "    symbols.sort()\n    counts = [symbols.count(s) for s in range(k)]\n", (FILE,)),
    Bug("any file will do", BEGINS, "    if len(content) < 10:\n", (DAMAGED,)),
    Bug("lengths that the file does not have are 0",
        HEADER, "    content += bytes(max(0, 10 + k - len(content)))\n", (CUT,)),
    Bug("a file that ends too early raises EOFError",
        HEADER, HEADER.replace("ValueError", "EOFError"), (CUT,)),
    Bug("whatever goes wrong in a file is silence",
        "    return decode(content[10 + k:], list(content[10:10 + k]), count)\n",
        "    try:\n        return decode(content[10 + k:], list(content[10:10 + k]), count)\n"
        "    except ValueError:\n        return []\n", (CUT, MORE, DAMAGED)),
]

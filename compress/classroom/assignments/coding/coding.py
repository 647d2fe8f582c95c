"""Assignment 12: canonical Huffman, to a file

Codes of shared weights do not all come equally often: Deep Compression (Han, Mao & Dally 2016, §4) writes the
frequent ones in fewer bits. You write that coder, down to the file. `notebooks/09_sharing.py` asks how much
there is to gain. Symbols are integers 0 … k − 1, k from 1 to 256; counts[s] says how often s comes.

1. No code with a codeword for each symbol takes fewer bits a symbol than the *entropy* (Shannon 1948), H =
   −Σ p log₂ p over the symbols that come, with p = counts[s] / Σ counts. Of no symbols it is 0.

2. *Huffman's algorithm* (1952) finds lengths of least total Σ counts[s] · lengths[s]: the two rarest groups
   of symbols become one, whose count is their sum, and the lengths of all its members grow by 1, until one
   group is left. Of groups as rare any will do: lengths may differ then, their total does not. A symbol that
   never comes has the length 0; the only one that comes, 1, since 0 bits can't be counted. Of two or more
   Σ 2^−length = 1 (Kraft 1949), and H ≤ mean length < H + 1. A codeword may have 255 bits.

3. The *canonical* codewords follow from the lengths alone (Schwartz & Kallick 1964): shorter ones come first,
   of equal length that of the lower symbol. The first consists of zeros; each other is the one before it plus
   1, as binary numbers, with zeros appended up to its length. So lengths 2, 1, 3, 3 give 10, 0, 110, 111.
   Lengths are *right* if they can come of 2.: over those that are not 0, Σ 2^−length = 1 exactly, or there is
   only one, of 1, or none.

4. In bytes, codewords follow each other without gaps, first bits first, from the highest bit of the first
   byte on. What is left over of the last byte is 0. There is no further byte.

5. A file is b"HUF1"; how many symbols there are, 4 bytes; k, 2 bytes (of both the lowest byte first); the k
   lengths, a byte each; the bytes of 4. It may come from anywhere: whatever is wrong with it raises
   ValueError, soon and without much memory, however many symbols it claims to have.

Lists that come in stay as they are. Run this file to see what holds; more is looked at when it is graded.
"""

import heapq
import math
import random
import struct
from fractions import Fraction
from operator import mul

from hypothesis import example, given
from hypothesis import strategies as st

from compress.classroom import expect, graded, main


def entropy(counts):
    """H of symbols that come so often, in bits a symbol: a float."""
    ### BEGIN SOLUTION
    total = sum(counts)
    return float(sum(n / total * math.log2(total / n) for n in counts if n))
    ### END SOLUTION


def code_lengths(counts):
    """Lengths of least total, a list of k ints."""
    ### BEGIN SOLUTION
    lengths = [0] * len(counts)
    heap = [(n, s, [s]) for s, n in enumerate(counts) if n]
    heapq.heapify(heap)
    if len(heap) == 1:
        lengths[heap[0][1]] = 1
    while len(heap) > 1:
        n, _, group = heapq.heappop(heap)
        m, s, other = heapq.heappop(heap)
        for member in group + other:
            lengths[member] += 1
        heapq.heappush(heap, (n + m, s, group + other))
    return lengths
    ### END SOLUTION


def codewords(lengths):
    """The canonical codewords of right lengths, texts of "0" and "1", "" for length 0. Else ValueError."""
    ### BEGIN SOLUTION
    used = [length for length in lengths if length]
    if used not in ([], [1]) and sum(Fraction(1, 2**length) for length in used) != 1:
        raise ValueError(f"these are not the lengths of a Huffman code: {lengths}")
    words, code, before = [""] * len(lengths), 0, 0
    for length, s in sorted((length, s) for s, length in enumerate(lengths) if length):
        code <<= length - before
        words[s] = f"{code:0{length}b}"
        code, before = code + 1, length
    return words
    ### END SOLUTION


def encode(symbols, lengths):
    """The symbols in their codewords, bytes. Raises ValueError for lengths that are not right, and for a
    symbol that has no codeword or is not in 0 … k − 1."""
    ### BEGIN SOLUTION
    words = codewords(lengths)
    if any(not (0 <= s < len(words) and words[s]) for s in symbols):
        raise ValueError("a symbol has no codeword")
    bits = "".join(words[s] for s in symbols)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[at:at + 8], 2) for at in range(0, len(bits), 8))
    ### END SOLUTION


def decode(payload, lengths, count):
    """The `count` symbols in these bytes, a list. Raises ValueError for lengths that are not right, bytes
    that end too early or begin no codeword, and behind the last symbol a byte, or bits that are not 0."""
    ### BEGIN SOLUTION
    symbol_of = {word: s for s, word in enumerate(codewords(lengths)) if word}
    longest = max(lengths, default=0)
    bits = "".join(f"{byte:08b}" for byte in payload)
    symbols, begin, end = [], 0, 0
    while len(symbols) < count:
        end += 1
        word = bits[begin:end]
        if word in symbol_of:
            symbols.append(symbol_of[word])
            begin = end
        elif end >= min(begin + longest, len(bits)):
            raise ValueError(f"after {len(symbols)} symbols of {count} there is no codeword")
    if len(bits) - begin > 7 or "1" in bits[begin:]:
        raise ValueError("there is more behind the last symbol")
    return symbols
    ### END SOLUTION


def write(symbols, k):
    """A file of these symbols, bytes, its total the least. Raises ValueError for one not in 0 … k − 1."""
    ### BEGIN SOLUTION
    counts = [symbols.count(s) for s in range(k)]
    if sum(counts) < len(symbols):
        raise ValueError(f"a symbol is not in 0 … {k - 1}")
    lengths = code_lengths(counts)
    sizes = len(symbols).to_bytes(4, "little") + k.to_bytes(2, "little")
    return b"HUF1" + sizes + bytes(lengths) + encode(symbols, lengths)
    ### END SOLUTION


def read(content):
    """The symbols in a file of these bytes, a list. Raises ValueError where `decode` does, for a file that
    begins otherwise, and for one that ends before its lengths do."""
    ### BEGIN SOLUTION
    if content[:4] != b"HUF1" or len(content) < 10:
        raise ValueError("this is no file of canonical Huffman")
    count, k = int.from_bytes(content[4:8], "little"), int.from_bytes(content[8:10], "little")
    if len(content) < 10 + k:
        raise ValueError(f"the file ends before its {k} lengths do")
    return decode(content[10 + k:], list(content[10:10 + k]), count)
    ### END SOLUTION


# What is graded. `student` is the module that was handed in. (Functions of your own stand above this line,
# and have other names than those below it.)

SEEDS = st.integers(0, 999)
COUNTS = st.lists(st.sampled_from([0, 1, 1, 2, 3, 5, 8, 13, 100]), min_size=1, max_size=8)


def whole_code(leaves, seed, deep):
    """Lengths of a whole code in any order, and zeros among them; each split is of the deepest if `deep`."""
    rng, lengths = random.Random(seed), [0]
    while len(lengths) < leaves:
        lengths += [lengths.pop(-1 if deep else rng.randrange(len(lengths))) + 1] * 2
    lengths = (lengths if leaves > 1 else [1]) + [0] * rng.randrange(3)
    return rng.sample(lengths, len(lengths))


def coded(lengths):
    """Lengths, and symbols that have codewords."""
    symbols = st.sampled_from([s for s, length in enumerate(lengths) if length])
    return st.tuples(st.just(lengths), st.lists(symbols, max_size=30))


LENGTHS = st.builds(whole_code, st.sampled_from([1, 2, 3, 4, 6, 12]), SEEDS, st.booleans())
CODED = LENGTHS.flatmap(coded)


def kraft(lengths):
    """Σ 2^−length over lengths that are not 0."""
    return sum(Fraction(1, 2**length) for length in lengths if length)


def lengths_of(student, counts):
    """What `code_lengths` returns, checked: 0 where a symbol never comes, and there only."""
    found = expect.items(student.code_lengths(counts), "code_lengths", len(counts))
    assert not student.code_lengths.changed, "code_lengths writes into its counts"
    lengths = [expect.whole(length, "a length") for length in found]
    for n, length in zip(counts, lengths, strict=True):
        assert 0 < length < 256 if n else length == 0, f"of counts {counts} the lengths are {lengths}"
    return lengths


def words_of(student, lengths):
    """What `codewords` returns, checked."""
    words = expect.items(student.codewords(lengths), "codewords", len(lengths))
    assert not student.codewords.changed, "codewords writes into its lengths"
    right = all(isinstance(word, str) and len(word) == length and not {*word} - {"0", "1"}
                for word, length in zip(words, lengths, strict=True))
    assert right, f"of the lengths {lengths} the codewords are {words}"
    return words


def file_of(student, symbols, lengths):
    """The file of these symbols by right lengths, of least total or not; by what `codewords` returns."""
    words = words_of(student, lengths)
    bits, head = "".join(words[s] for s in symbols), struct.pack("<IH", len(symbols), len(lengths))
    payload = bytes(int(bits[at:at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8))
    return b"HUF1" + head + bytes(lengths) + payload


@graded(points=1)
@given(counts=COUNTS)
@example(counts=[0, 0])
def entropy_is_the_mean_surprise(student, counts):
    """H = −Σ p log₂ p, and 0 where nothing comes."""
    got, n = expect.real(student.entropy(counts), "entropy"), sum(counts)
    wanted = math.fsum(-c / n * math.log2(c / n) for c in counts if c)
    assert abs(got - wanted) <= 1e-9, f"counts {counts}: the entropy is {wanted}, got {got}"


@graded(points=2)
@given(counts=COUNTS)
@example(counts=[0, 0])
def lengths_make_a_whole_code(student, counts):
    """Σ 2^−length = 1 for two symbols or more; one that comes alone has 1 bit."""
    lengths = lengths_of(student, counts)
    wanted = {0: 0, 1: Fraction(1, 2)}.get(sum(n > 0 for n in counts), 1)
    assert kraft(lengths) == wanted, f"counts {counts}: of lengths {lengths} the sum is {kraft(lengths)}"


def shapes(n):
    """The lengths of all whole codes for n ≥ 2 symbols. (In others, some length could be one less.)"""
    return {(1, 1)} if n == 2 else {tuple(sorted((*one[:i], one[i] + 1, one[i] + 1, *one[i + 1:])))
                                    for one in shapes(n - 1) for i in range(n - 1)}


@graded(points=2)
@given(counts=COUNTS.filter(lambda counts: sum(n > 0 for n in counts) > 1))
@example(counts=[15, 7, 6, 6, 5])
def no_other_lengths_are_shorter(student, counts):
    """The total Σ counts · lengths is the least there is: all codes are tried."""
    often = sorted((n for n in counts if n), reverse=True)
    totals = {sum(map(mul, often, shape)): shape for shape in shapes(len(often))}
    lengths = lengths_of(student, counts)
    total, least = sum(map(mul, counts, lengths)), min(totals)
    assert total == least, f"counts {counts}: {lengths} take {total} bits, {totals[least]} would {least}"


@graded(points=1)
@given(k=st.sampled_from([2, 5, 64, 256]), sigma=st.floats(0.1, 99))
def the_mean_is_within_a_bit_of_the_entropy(student, k, sigma):
    """H ≤ mean length < H + 1, of counts along a normal distribution."""
    counts = [int(999 * math.exp(-(s / sigma)**2 / 2)) + (s < 2) for s in range(k)]
    n, lengths = sum(counts), lengths_of(student, counts)
    h = math.fsum(-c / n * math.log2(c / n) for c in counts if c)
    mean = sum(map(mul, counts, lengths)) / n
    assert h - 1e-9 <= mean < h + 1, f"counts {counts}: the entropy is {h}, the mean length {mean}"


@graded(points=2)
@given(lengths=LENGTHS)
@example(lengths=[0, 0])
@example(lengths=[2, 1, 3, 3])
@example(lengths=[*range(1, 71), 70])
def codewords_are_canonical(student, lengths):
    """As a fraction in binary, a codeword is the sum of 2^−length over all that come before it: each begins
    where the one before ends, so that none is the beginning of another."""
    words, before = words_of(student, lengths), Fraction(0)
    for length, s in sorted((length, s) for s, length in enumerate(lengths) if length):
        right = Fraction(int(words[s], 2), 2**length) == before
        assert right, f"lengths {lengths}: the codeword of {s} is {words[s]}; before it the sum is {before}"
        before += Fraction(1, 2**length)


@graded(points=2)
@given(coded=CODED)
@example(coded=([2, 1, 3, 3], []))
@example(coded=([2, 1, 3, 3], [3, 0, 1, 2]))
def bytes_are_as_said(student, coded):
    """Codewords stand bit behind bit, from the highest bit of the first byte on; the rest is 0."""
    lengths, symbols = coded
    got = student.encode(symbols, lengths)
    assert not student.encode.changed, "encode writes into the lists that it is given"
    payload = file_of(student, symbols, lengths)[10 + len(lengths):]
    expect.same_bytes(got, payload, f"{symbols} by lengths {lengths}")


@graded(points=2)
@given(coded=CODED)
def decodes_what_was_encoded(student, coded):
    """Symbols come back, also where a codeword looks like what is left over."""
    lengths, symbols = coded
    got = student.decode(file_of(student, symbols, lengths)[10 + len(lengths):], lengths, len(symbols))
    assert not student.decode.changed, "decode writes into the lengths"
    expect.same_integers(got, symbols, f"by lengths {lengths}")


@graded(points=2)
@given(picks=st.lists(st.integers(0, 99), max_size=30), k=st.integers(1, 7))
@example(picks=[1] * 300, k=256)
def a_file_gives_its_symbols_back(student, picks, k):
    """All parts of a file are as said, its lengths of least total, and its symbols come back."""
    symbols = [i % k for i in picks]
    content, counts = student.write(symbols, k), [symbols.count(s) for s in range(k)]
    assert not student.write.changed, "write writes into the symbols"
    right = isinstance(content, bytes) and len(content) >= 10 + k
    assert right, f"{symbols}, k = {k}: wanted 10 bytes, the lengths and the payload; got {content!r:.80}"
    lengths, own = [*content[10:10 + k]], lengths_of(student, counts)
    right = sum(map(mul, counts, lengths)) == sum(map(mul, counts, own)) and any(counts) == any(lengths)
    assert right, f"counts {counts}: in the file are the lengths {lengths}; code_lengths says {own}"
    expect.same_bytes(content, file_of(student, symbols, lengths), f"{symbols}, k = {k}")
    expect.same_integers(student.read(content), symbols, f"what is read of {content!r}")


### BEGIN HIDDEN TESTS
def read_back(student, lengths, symbols):
    """These, and their file, which is read."""
    content = file_of(student, symbols, lengths)
    expect.same_integers(student.read(content), symbols, f"what is read of {content!r}")
    return lengths, symbols, content


@graded(points=2)
@given(lengths=LENGTHS, at=SEEDS, by=st.sampled_from([-1, 1, 7]))
@example(lengths=[0, 1], at=1, by=1)
@example(lengths=[*range(1, 71), 70], at=70, by=1)
def wrong_lengths_are_refused(student, lengths, at, by):
    """Right lengths have codewords; no others do, whether their sum is off by a half or by 2^−71."""
    words_of(student, lengths)
    wrong = list(lengths)
    wrong[at % len(wrong)] += by
    if min(wrong) >= 0 and kraft(wrong) != 1 and sum(wrong) > 1:
        file = b"HUF1" + struct.pack("<IH", 0, len(wrong)) + bytes(wrong)
        for ask, *args in ((student.codewords, wrong), (student.decode, b"", wrong, 0), (student.read, file)):
            expect.refused(ask, *args, why=f"lengths {wrong}")


@graded(points=1)
@given(k=st.sampled_from([40, 70, 256]))
def deep_codes_are_exact(student, k):
    """Fibonacci's numbers as counts make codewords of up to k − 1 bits."""
    counts = [1, 1]
    while len(counts) < k:
        counts.append(counts[-1] + counts[-2])
    lengths = lengths_of(student, counts)
    assert sorted(lengths) == [*range(1, k), k - 1], f"{k} of Fibonacci's numbers: lengths {lengths}"
    read_back(student, lengths, [0, k - 1, 1, k // 2])


@graded(points=2)
@given(coded=CODED)
def every_cut_is_an_error(student, coded):
    """A file is read as a whole; with its last bytes cut off, however many, it raises ValueError."""
    *_, content = read_back(student, *coded)
    for size in range(len(content)):
        expect.refused(student.read, content[:size], why=f"{content!r}, of which {size} bytes are left")


@graded(points=1)
@given(coded=CODED)
def what_is_left_over_is_an_error(student, coded):
    """A byte behind the payload raises ValueError, also a zero; and so do bits that are not 0."""
    lengths, symbols, content = read_back(student, *coded)
    for more in (b"\x00", b"\x80", bytes(9)):
        expect.refused(student.read, content + more, why=f"{more!r} behind {content!r}")
    for i in range(-sum(lengths[s] for s in symbols) % 8):
        wrong = content[:-1] + bytes([content[-1] | 1 << i])
        expect.refused(student.read, wrong, why=f"{wrong!r}, where bit {i} of the last byte is left over")


@graded(points=2)
@given(coded=CODED, seed=SEEDS, lie=st.sampled_from([0, 1, 8, 255, 2**31, 2**32 - 1]))
def a_damaged_file_is_refused_or_read_as_it_says(student, coded, seed, lie):
    """Whatever is changed, the count too: ValueError, or the symbols of which this is the file."""
    (*_, content), rng = read_back(student, *coded), random.Random(seed)
    damaged = [content[:4] + struct.pack("<I", lie) + content[8:]]
    for at in (rng.randrange(4), *rng.choices(range(len(content)), k=6)):
        damaged.append(content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1:])
    for one in damaged:
        try:
            symbols = expect.items(student.read(one), "read")
        except AssertionError:
            expect.refused(student.read, one, why=f"{content!r} became {one!r}")
        else:
            now = [*one[10:10 + int.from_bytes(one[8:10], "little")]]
            right = [s for s in symbols if expect.whole(s, "a symbol") in range(len(now)) and now[s]]
            assert right == symbols, f"{symbols} were read of {one!r}"
            expect.same_bytes(one, file_of(student, symbols, now), f"a file which reads {symbols}")


@graded(points=1)
@given(coded=CODED, wrong=st.sampled_from([-1, 300]))
def symbols_without_a_codeword_are_refused(student, coded, wrong):
    """A symbol below 0, of k or more, or of length 0 raises ValueError."""
    lengths, symbols, content = read_back(student, *coded)
    k = len(lengths)
    expect.same_bytes(student.encode(symbols, lengths), content[10 + k:], f"{symbols} by {lengths}")
    for bad in ([*symbols, wrong], [*symbols, k]):
        expect.refused(student.write, bad, k, why=f"symbols {bad} for k = {k}")
        for more in (lengths, [*lengths, 0]):
            expect.refused(student.encode, bad, more, why=f"symbols {bad}, lengths {more}")


### END HIDDEN TESTS
if __name__ == "__main__":
    main(__file__)

"""Text for language models: bytes as tokens, in windows, each with what comes next.

A byte that the training part has not is one that a model can't know: all of them are one token, `unknown`.
Which of the 256 bytes it was is not said by it, and costs 8 bits more (nn.language.bits_per_byte)."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np

from ..arguments import count, instance, is_int, number
from ..files import FileError


class Vocabulary:
    """The tokens of a text: one for each byte value in it, in their order, and a last one, `unknown`, for any
    other. seen: the bytes of a text. Raises TypeError for what is not bytes, ValueError for none."""

    def __init__(self, seen: bytes) -> None:
        instance("Vocabulary", "seen", seen, bytes, "bytes")
        if not seen:
            raise ValueError("Vocabulary: the text is empty")
        self.bytes = bytes(sorted(set(seen)))
        self._tokens = np.full(256, len(self.bytes), np.int64)
        self._tokens[np.frombuffer(self.bytes, np.uint8)] = np.arange(len(self.bytes))

    @property
    def size(self) -> int:
        """The number of tokens."""
        return len(self.bytes) + 1

    @property
    def unknown(self) -> int:
        """The token of a byte that was not seen."""
        return len(self.bytes)

    def encode(self, text: bytes | str) -> np.ndarray:
        """The tokens of a text, int64 (bytes,); a str is encoded as UTF-8."""
        instance("encode", "text", text, (bytes, str), "bytes or a str")
        return self._tokens[np.frombuffer(text.encode() if isinstance(text, str) else text, np.uint8)]

    def decode(self, tokens: np.ndarray) -> str:
        """The text of tokens (N,); for `unknown`, and where bytes are no UTF-8, it has �. Raises ValueError
        for what is no token, TypeError for what are no integers."""
        tokens = np.asarray(tokens)
        if tokens.ndim != 1 or (tokens.size and tokens.dtype.kind not in "iu"):
            raise TypeError(f"decode: wanted tokens (N,), integers, got {tokens.dtype} {tokens.shape}")
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < self.size:
            raise ValueError(f"decode: tokens go from 0 to {self.unknown}, got {tokens.min()} to "
                             f"{tokens.max()}")
        table = [*(bytes([byte]) for byte in self.bytes), "\ufffd".encode()]
        return b"".join(table[token] for token in tokens.tolist()).decode("utf-8", "replace")


class Windows(NamedTuple):
    """Windows of tokens (N, T), int64, and of what comes next to each of them (N, T), as two parts.

    x_train, y_train: to train on; x_test, y_test: to test on. vocabulary: what the tokens are.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    vocabulary: Vocabulary

    def validation_split(self, size: int) -> Windows:
        """The training part alone, with its last `size` windows as the test part, to choose by. Raises
        ValueError if that leaves no window in one of the parts."""
        if not is_int(size) or not 0 < size < len(self.x_train):
            raise ValueError(f"validation_split: size must be in 1..{len(self.x_train) - 1}, got {size!r}")
        return Windows(self.x_train[:-size], self.y_train[:-size], self.x_train[-size:], self.y_train[-size:],
                       self.vocabulary)


def python_topics() -> bytes:
    """The reference texts that Python's help() prints, about 0.45 MB: every installation has them, and they
    differ a little from version to version. They are its topics in alphabetical order, without their
    names."""
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics)).encode()


def read_text(path: str | os.PathLike[str]) -> bytes:
    """The bytes of the file `path`. Raises FileError for an empty one, OSError for one that can't be read."""
    with open(path, "rb") as file:
        text = file.read()
    if not text:
        raise FileError.of(path, "the text is empty")
    return text


def windows(text: bytes, context: int, held_out: float = 0.1) -> Windows:
    """A text cut into windows of `context` tokens, side by side: of its beginning to train on, of the rest,
    the fraction `held_out` of all bytes, to test on.

    What fills no window is left out. The vocabulary is that of the training part. Raises ValueError for a
    text of which one of the parts has not a window's bytes and one more, TypeError for what is not bytes."""
    instance("windows", "text", text, bytes, "bytes")
    count("windows", "context", context)
    number("windows", "held_out", held_out, 0, 1, above=True)
    at = len(text) - round(held_out * len(text))
    if min(at, len(text) - at) <= context:
        raise ValueError(f"windows: a text of {len(text)} bytes, of which {len(text) - at} are held out, is "
                         f"too short for windows of {context} and the byte that follows; wanted "
                         f"{context + 1} in each part")
    vocabulary = Vocabulary(text[:at])
    train, test = (_cut(vocabulary.encode(part), context) for part in (text[:at], text[at:]))
    return Windows(*train, *test, vocabulary)


def _cut(tokens: np.ndarray, context: int) -> tuple[np.ndarray, np.ndarray]:
    rows = (len(tokens) - 1) // context
    return tuple(tokens[first:first + rows * context].reshape(rows, context) for first in (0, 1))

"""What the command prints, on the terminal that there is: with the letters and on the columns that it has."""

import codecs
import re
import shutil
import sys
import textwrap
from functools import partial

LIKE = {  # replacements of letters that a terminal can't show
    "×": "x", "→": "->", "←": "<-", "─": "-", "−": "-", "–": "-", "—": "-", "…": "...", "Δ": "d", "‖": "||",
    "·": "*", "≤": "<=", "≥": ">=", "±": "+-", "µ": "u", "∂": "d", "Σ": "sum", "√": "sqrt", "π": "pi",
    "σ": "sigma", "γ": "gamma", "β": "beta", "ε": "eps", "α": "alpha", "μ": "mu", "δ": "delta", "Φ": "Phi",
    "φ": "phi", "∈": "in", "≠": "!=", "∞": "inf", "“": '"', "”": '"', "’": "'", "⊙": "*", "∘": "o",
    "θ": "theta", "λ": "lambda", "Π": "prod", "∏": "prod", "∫": "int", "∇": "grad", "≪": "<<", "⊗": "x",
    "↦": "->", "′": "'", "⌈": "ceil(", "⌉": ")", "⌊": "floor(", "⌋": ")", "⟨": "<", "⟩": ">", "§": "S",
    "●": "*", "½": "(1/2)", "⁄": "/", "ŵ": "w^", "ẋ": "x'", "ẏ": "y'",
    "▏": " ", "▎": " ", "▍": " ", "▌": "#", "▋": "#", "▊": "#", "▉": "#", "█": "#",  # eighths of a bar
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^", "\N{COMBINING MACRON}": "_bar", "\N{COMBINING DOT ABOVE}": "'"}
RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ᐟᵀᵇᵐⁿᵖᵗˣʸ", "0123456789+-()/Tbmnptxy", strict=True))
LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ᵢⱼₖₙ", "0123456789+-()ijkn", strict=True))
SCRIPT = re.compile(f"[{''.join(RAISED)}]+|[{''.join(LOWERED)}]+")  # a whole exponent, or a whole index
POWER = re.compile(r"(?<=\^)−?\w{2,}")  # of the e^−βx that has no brackets


def accept_every_letter() -> None:
    """Standard output and error replace a letter that they can't encode by the nearest that they can.

    Every other letter becomes a backslash escape, which is the name of no other file; nothing fails."""
    codecs.register_error("espalier.like", _like)
    for stream in (sys.stdout, sys.stderr):
        if not hasattr(stream, "reconfigure"):
            continue
        encoding = codecs.lookup(stream.encoding).name
        if encoding.startswith("utf") or "a".encode(encoding) != b"a":
            stream.reconfigure(errors="espalier.like")
        else:  # each letter asks, so that an exponent of which Latin-1 has one half is written in one way
            codecs.register_error(f"espalier.like.{encoding}", partial(_like, encoding=encoding))
            stream.reconfigure(encoding="ascii", errors=f"espalier.like.{encoding}")


def _like(error: UnicodeError, encoding: str = "ascii") -> tuple[str | bytes, int]:
    """What is written, in this encoding, for the letters at an error's start; and where they end."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text, at = error.object, error.start
    letter = text[at]
    if 0xDC80 <= ord(letter) <= 0xDCFF:  # a byte of a file's name that is no letter: as it was given
        return bytes([ord(letter) - 0xDC00]), at + 1
    run = SCRIPT.match(text, at) or POWER.match(text, at)
    end = run.end() if run else at + 1
    try:
        return text[at:end].encode(encoding), end
    except UnicodeEncodeError:
        pass
    if letter in RAISED or letter in LOWERED:
        mark, signs = ("^", RAISED) if letter in RAISED else ("_", LOWERED)
        plain = "".join(map(signs.__getitem__, text[at:end]))
        like = mark + (plain if re.fullmatch(r"-?(\d+|[A-Za-z])", plain) else f"({plain})")
        return like + " " * _letter(text[end : end + 1]), end
    if run and not set(text[at:end]).isdisjoint(LIKE) and all(map(_known, text[at:end])):
        return "(" + "".join(_apart(text, i) for i in range(at, end)).strip() + ")", end
    return _apart(text, at), at + 1


def _letter(letter: str) -> bool:
    """Whether it is a letter or a digit on the line, neither raised nor lowered."""
    return letter.isalnum() and letter not in RAISED and letter not in LOWERED


def _known(letter: str) -> bool:
    return letter.isascii() or letter in LIKE


def _apart(text: str, at: int) -> str:
    """What stands for one letter. A word does not touch the letters beside it: 2πn is 2 pi n."""
    letter, before, after = text[at], text[max(at - 1, 0) : at], text[at + 1 : at + 2]
    like = letter if letter.isascii() else LIKE.get(letter)
    if like is None:
        return letter.encode("ascii", "backslashreplace").decode()
    if letter.isascii() or not like.rstrip("(").isalpha():
        return like
    if len(like) > 1:
        touches = _letter
    elif like in "xo":  # 3×3, but m x n
        touches = str.isalpha
    else:
        return like
    opened = " " * (before.isascii() and touches(before))
    return opened + like + " " * (not like.endswith("(") and touches(after))


def width() -> int | None:
    """The columns of the terminal, by $COLUMNS first; None where standard output is none.

    A terminal that doesn't know counts as 80."""
    unknown = 80 if sys.stdout is not None and sys.stdout.isatty() else 0
    return shutil.get_terminal_size((unknown, 0)).columns or None


def folded(text: str, columns: int | None, indent: str = "  ") -> str:
    """Each line of the text on lines of at most this many columns, all but its first indented."""
    if columns is None:
        return text
    how = {"width": max(columns, 20), "subsequent_indent": indent, "break_on_hyphens": False}
    return "\n".join(textwrap.fill(line, **how) for line in text.split("\n"))

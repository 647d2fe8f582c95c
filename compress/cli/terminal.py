"""What the command prints, on the terminal that there is: with the letters and on the columns that it has."""

from __future__ import annotations

import codecs
import shutil
import sys
import textwrap
import unicodedata

__all__ = ["accept_every_letter", "folded", "width"]

LIKE = {  # what stands for a letter where it can't be written
    "×": "x", "→": "->", "←": "<-", "─": "-", "−": "-", "–": "-", "—": "-", "…": "...", "Δ": "d", "‖": "||",
    "·": "*", "≤": "<=", "≥": ">=", "±": "+-", "µ": "u", "∂": "d", "Σ": "sum", "√": "sqrt", "π": "pi",
    "σ": "sigma", "γ": "gamma", "β": "beta", "ε": "eps", "α": "alpha", "μ": "mu", "δ": "delta", "Φ": "Phi",
    "φ": "phi", "∈": "in", "≠": "!=", "∞": "inf", "“": '"', "”": '"', "’": "'", "⁻": "-", "⊙": "*", "∘": "o",
    "θ": "theta", "λ": "lambda", "Π": "Pi", "∏": "prod", "∫": "int", "∇": "grad", "≪": "<<", "⊗": "x",
    "↦": "->", "′": "'", "₋": "-", "⌈": "ceil(", "⌉": ")", "⌊": "floor(", "⌋": ")", "⟨": "<",
    "⟩": ">", "§": "S",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^", "\N{COMBINING MACRON}": "_", "\N{COMBINING DOT ABOVE}": "'",
}  # fmt: skip


def accept_every_letter() -> None:
    """Standard output and error write what they can't encode as the nearest that they can, and never fail."""
    codecs.register_error("bonsai.like", _like)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="bonsai.like")


def _like(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if 0xDC80 <= ord(letter) <= 0xDCFF:  # a byte of a file's name that is no letter: as it was given
        return bytes([ord(letter) - 0xDC00]), error.start + 1
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return LIKE.get(letter) or plain or "?", error.start + 1


def width() -> int | None:
    """The columns of the terminal, by $COLUMNS first; None where standard output is none.

    A terminal that doesn't know counts as 80.
    """
    unknown = 80 if sys.stdout is not None and sys.stdout.isatty() else 0
    return shutil.get_terminal_size((unknown, 0)).columns or None


def folded(text: str, columns: int | None, indent: str = "  ") -> str:
    """Each line of the text on lines of at most this many columns, all but its first indented."""
    if columns is None:
        return text
    how = {"width": max(columns, 20), "subsequent_indent": indent, "break_on_hyphens": False}
    return "\n".join(textwrap.fill(line, **how) for line in text.split("\n"))

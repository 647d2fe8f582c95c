"""A table as text: whole where there is room for it, else without the columns that matter least."""

from collections.abc import Sequence

Lines = Sequence[tuple[str, ...]]


def whole(head: tuple[str, ...], lines: Lines) -> str:
    """All columns, each as wide as its widest cell, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    rule = "  ".join("─" * width for width in widths)
    return "\n".join([_line(head, widths), rule, *(_line(line, widths) for line in lines)])


def narrowed(head: tuple[str, ...], lines: Lines, columns: int,
             spare: Sequence[str]) -> tuple[str, list[str]]:
    """The table in at most this many columns of text, and the names of what had to be left out for it: the
    `spare` first. Names of columns stand on as many lines as they have words."""
    out: list[str] = []
    while True:
        chosen = [i for i, name in enumerate(head) if name not in out]
        words = [head[i].split() for i in chosen]
        cells = [tuple(line[i] for i in chosen) for line in lines]
        tall = max(map(len, words))
        heads = list(zip(*([""] * (tall - len(some)) + some for some in words), strict=True))
        widths = [max(map(len, column)) for column in zip(*heads, *cells, strict=True)]
        left = [name for name in spare if name not in out]
        if sum(widths) + 2 * (len(widths) - 1) <= columns or not left:
            break
        out.append(left[0])
    widths[0] = max(min(widths[0], columns - sum(widths[1:]) - 2 * (len(widths) - 1)), 1)
    rule = "  ".join("─" * width for width in widths)
    text = [*(_line(one, widths) for one in heads), rule, *(_line(one, widths) for one in cells)]
    return "\n".join(text), out


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0] if len(cells[0]) <= widths[0] else cells[0][: widths[0] - 1] + "…"
    rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
    return "  ".join([first.ljust(widths[0]), *rest])

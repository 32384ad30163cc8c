"""Rows of text as a table, for a terminal or a README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def table(rows: Sequence[Mapping[str, str]], *, markdown: bool = False) -> str:
    """`rows` under the columns that any of them has, in order of appearance; what a row lacks is `-`."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names] + [[row.get(name, "-") for name in names] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    lines = [[cell.rjust(width) for cell, width in zip(line, widths, strict=True)] for line in cells]
    if not markdown:
        return "\n".join("  ".join(line) for line in lines)
    lines.insert(1, ["-" * (width - 1) + ":" for width in widths])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

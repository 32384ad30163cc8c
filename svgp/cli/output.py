"""Printing: results on stdout, remarks and errors on stderr."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def error_line(text: str) -> None:
    """One message on stderr, as it is: no wrapping, no markup, since it names files and keys."""
    label = "\x1b[31merror:\x1b[0m" if sys.stderr.isatty() else "error:"
    print(f"{label} {text}", file=sys.stderr, flush=True)


def note_line(text: str) -> None:
    """A remark on stderr."""
    print(text, file=sys.stderr, flush=True)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """A table on stdout; the columns named in `right` are aligned right. Whole cells, never cut off."""
    rows = [[" ".join(cell.split()) for cell in row] for row in rows]  # a name may hold an end of line
    widths = [max(map(len, (header, *column))) for header, *column in zip(headers, *rows, strict=True)]
    for number, row in enumerate([headers, *rows]):
        cells = [
            cell.rjust(width) if header in right else cell.ljust(width)
            for header, cell, width in zip(headers, row, widths, strict=True)
        ]
        line = "  ".join(cells).rstrip()
        print(f"\x1b[1m{line}\x1b[0m" if number == 0 and sys.stdout.isatty() else line)


def print_metrics(metrics: Mapping[str, Any]) -> None:
    """`name  value` lines on stdout."""
    width = max((len(name) for name in metrics), default=0)
    for name, value in metrics.items():
        print(f"{name.ljust(width)}  {number(value)}")


def number(value: Any) -> str:
    """A number as a person reads it, four significant digits; text as it is; `-` for none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10000 else str(value)
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"

"""Names in messages: the nearest known one, and lists that stay short."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

_SHOWN = 8


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known name that resembles `name` most, else an empty string."""
    by_lower = {other.lower(): other for other in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean '{by_lower[found[0]]}'?" if found else ""


def listed(names: Sequence[object]) -> str:
    """The names, quoted and joined; beyond eight only their number is given."""
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def counted(number: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")

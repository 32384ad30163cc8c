"""The lines of `svgp init`'s config that tell how the table and its columns are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from svgp.config.writer import inline

ColumnKind = Literal["number", "category", "date", "other"]
_REASON = 90  # characters of a comment

_MISSING = {
    "error": "rows with missing values: an error that names the columns; drop, indicator",
    "drop": "rows with missing values{count}: left out; or error, indicator",
    "indicator": "missing values{count}: the mean, and an input that says where; or drop, error",
}


def format_lines(settings: Mapping[str, Any]) -> str:
    """`data.format`, where a file is not what its suffix says; nothing else is stated."""
    if not settings:
        return "  format: {}\tdelimiter, encoding, decimal and thousands are found out; or state them"
    stated = ", ".join(f"{key}: {inline(value)}" for key, value in settings.items())
    return f"  format: {{{stated}}}\tas found; also thousands, table, query"


def input_lines(inputs: Sequence[tuple[str, ColumnKind]], why: Mapping[str, str]) -> str:
    """`data.inputs`: every column, or those that are used, with the reasons why the others are not."""
    left_out = [name for name, kind in inputs if kind == "other"]
    if not left_out or len(left_out) == len(inputs):
        return "  inputs: null\tevery other column; or a list of names"
    lines = ["  inputs:\tcolumns that are not listed are left out"]
    for name, kind in inputs:
        column = f"- {inline(name)}"
        reason = _short(why.get(name, "neither numbers nor categories"))
        lines.append(f"    # {column}\t{reason}" if kind == "other" else f"    {column}")
    return "\n".join(lines)


def categorical_lines(inputs: Sequence[tuple[str, ColumnKind]], why: Mapping[str, str]) -> str:
    """`data.categorical`: the columns of categories."""
    names = [name for name, kind in inputs if kind == "category"]
    if not names:
        return "  categorical: []\tcolumns of categories, to be one-hot encoded"
    lines = ["  categorical:\tcolumns of categories, one-hot encoded"]
    told = (f"    - {inline(name)}" + (f"\t{_short(why[name])}" if name in why else "") for name in names)
    return "\n".join([*lines, *told])


def column_lines(settings: Mapping[str, Mapping[str, Any]], why: Mapping[str, str]) -> str:
    """`data.columns`: dates, and numbers with signs."""
    if not settings:
        return "  columns: {}\thow single ones are read: {when: {type: date, parts: [month, weekday]}}"
    dated = any(of.get("type") == "date" for of in settings.values())
    hint = "\tof dates, parts: [year, month, weekday, hour] adds inputs" if dated else ""
    lines = [f"  columns:{hint}"]
    for name, of in settings.items():
        stated = ", ".join(f"{key}: {inline(value)}" for key, value in of.items())
        lines.append(f"    {inline(name)}: {{{stated}}}" + (f"\t{_short(why[name])}" if name in why else ""))
    return "\n".join(lines)


def missing_line(policy: str, rows: int) -> str:
    """`data.missing`, with the number of rows that it concerns."""
    return f"{policy}\t{_MISSING[policy].format(count=f' ({rows:,} here)' if rows else '')}"


def _short(reason: str) -> str:
    reason = " ".join(reason.split())
    return reason if len(reason) <= _REASON else reason[: _REASON - 3] + "..."

"""What each column of a table seems to be, and why some are better left out of the inputs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from svgp.data.dates import is_dated
from svgp.data.numeric import is_text, plain_column, to_float
from svgp.data.origin import source_of
from svgp.data.readings import Doubt, Reading
from svgp.errors import DataError

Kind = Literal["number", "category", "date", "other"]

# More levels than this are rather names or free text.
MOST_LEVELS = 50
_GAPS = 0.5  # share of missing values from which a column says too little
_UNIQUE = 0.99  # share of different values from which whole numbers of that name identify rows
_EXACT = 2.0**53  # whole numbers beyond are not all float64
_ID_NAME = re.compile(r"(^|[^a-z])(id|ids|uuid|guid|key|index|idx|nr|no|row|rownum|serial|code|ref)$", re.I)
_ID_CAMEL = re.compile(r"[a-z](Id|ID|Nr|No|Key|Uuid|UUID)$")


@dataclass(frozen=True)
class Guess:
    """One column: its kind, how it is read, what is worth saying about that, which rows [N] miss a value."""

    name: str
    kind: Kind
    why: str
    absent: np.ndarray
    reading: Reading | None = None


def numbers_of(table: pa.Table, name: str, reading: Reading | None) -> np.ndarray:
    """Values `[N]` of a column of numbers, NaN where there is none; nothing of any other."""
    found = _numbers(table, name, reading)
    return np.zeros(0) if found is None else found


def guess_column(table: pa.Table, name: str, decided: Mapping[str, Reading | Doubt]) -> Guess:
    """The kind of one column. Raises DataError where its numbers or dates may be read in two ways."""
    found = decided.get(name)
    if isinstance(found, Doubt):
        if found.proposal is None:
            raise DataError(f"{source_of(table)}: column '{name}' {found.reason}")
        found = found.proposal
    column = plain_column(table, name) if not pa.types.is_nested(table.column(name).type) else None
    if column is None:
        return Guess(name, "other", f"{table.column(name).type} values", np.zeros(table.num_rows, dtype=bool))
    if found is not None or not is_text(column.type):
        values = _numbers(table, name, found)
        if values is not None:
            dated = found is not None and found.type == "date" or is_dated(column.type)
            return _of_numbers(name, "date" if dated else "number", values, found, column)
    return _of_text(table, name, column)


def _of_numbers(
    name: str, kind: Kind, values: np.ndarray, reading: Reading | None, column: pa.ChunkedArray
) -> Guess:
    absent = np.isnan(values)
    present = values[~absent]
    why = _useless(absent) or ("the same value everywhere" if np.ptp(present) == 0 else "")
    if not why and kind == "number" and _is_row_number(values):
        why = "a row number"
    if not why and kind == "number" and _identifies(name, present, column):
        why = "an identifier: hardly a value occurs twice"
    if why:
        return Guess(name, "other", why, absent)
    said = reading.describe(name).split(": ", 1)[1] if reading is not None else ""
    return Guess(name, kind, said, absent, reading)


def _of_text(table: pa.Table, name: str, column: pa.ChunkedArray) -> Guess:
    absent = column.is_null().to_numpy()
    if why := _useless(absent):
        return Guess(name, "other", why, absent)
    if not is_text(column.type):
        return Guess(name, "other", f"{column.type} values, neither numbers nor categories", absent)
    values = _numbers(table, name, None)
    if values is not None:
        return _of_numbers(name, "number", values, None, column)
    levels, rows = pc.count_distinct(column).as_py(), len(column) - column.null_count
    if levels == 1:
        return Guess(name, "other", "the same text everywhere", absent)
    if levels > MOST_LEVELS or (levels > 20 and levels > rows / 2):
        return Guess(name, "other", f"text: {levels:,} different values in {rows:,} rows", absent)
    return Guess(name, "category", f"{levels} levels", absent)


def _useless(absent: np.ndarray) -> str:
    share = float(absent.mean()) if len(absent) else 1.0
    return "no values at all" if share == 1.0 else f"{share:.0%} are missing" if share > _GAPS else ""


def _is_row_number(values: np.ndarray) -> bool:
    """Whether `values [N]` are whole numbers that go up by one from row to row."""
    return len(values) > 2 and bool(np.all(np.diff(values) == 1.0) and values[0] == np.floor(values[0]))


def _identifies(name: str, values: np.ndarray, column: pa.ChunkedArray) -> bool:
    if len(values) < 20 or not np.array_equal(values, np.floor(values)):
        return False
    different = pc.count_distinct(column, mode="only_valid").as_py()
    if different < _UNIQUE * len(values):
        return False
    named = bool(_ID_NAME.search(name) or _ID_CAMEL.search(name))
    return named or float(np.abs(values).min()) > _EXACT


def _numbers(table: pa.Table, name: str, reading: Reading | None) -> np.ndarray | None:
    """Values `[N]` with NaN for missing, or None where the column does not hold numbers or dates."""
    try:
        if reading is None:
            return to_float(table, name, "")
        made = pa.table({name: reading.apply(table, name)[name]})
        return to_float(made, name, "")
    except DataError:
        return None

"""What a table's columns seem to hold, for a first config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from svgp.data.categories import level_text
from svgp.data.checks import require
from svgp.data.numeric import is_text, plain_column, to_float
from svgp.errors import DataError

# More levels than this are rather names or free text; fewer whole numbers than this may be classes.
_MOST_LEVELS = 50
_MOST_COUNTS = 100


@dataclass(frozen=True)
class Sniffed:
    """Columns with their kinds, the likelihood that suits the target, rows, rows with something missing."""

    columns: list[tuple[str, Literal["number", "category", "other"]]]
    likelihood: Literal["gaussian", "bernoulli", "poisson"]
    rows: int
    missing: int


def sniff_table(table: pa.Table, targets: Sequence[str]) -> Sniffed:
    """Guess what each column holds and which likelihood suits `targets`.

    A column is a number, a category (text with few levels), or other: text with many levels, dates,
    no values, or 1, 2, 3, ... (a row number). A target of two values is bernoulli; of few different
    whole numbers from 0, poisson; else gaussian. Raises DataError where a target is not there or
    cannot be predicted.
    """
    require(table, targets, "target")
    columns = [(name, _kind(table, name)) for name in table.column_names if name not in targets]
    used = [*targets, *(name for name, kind in columns if kind != "other")]
    missing = np.any([_is_missing(table, name) for name in used], axis=0)
    return Sniffed(columns, _likelihood(table, targets), table.num_rows, int(missing.sum()))


def _is_row_number(values: np.ndarray) -> bool:
    """Whether `values [N]` are whole numbers that go up by one from row to row."""
    return len(values) > 2 and bool(np.all(np.diff(values) == 1.0) and values[0] == np.floor(values[0]))


def _kind(table: pa.Table, name: str) -> Literal["number", "category", "other"]:
    column = plain_column(table, name)
    if column.null_count == len(column):
        return "other"
    values = _numbers(table, name)
    if values is not None:
        if np.isnan(values).all() or _is_row_number(values):
            return "other"
        return "number"
    if is_text(column.type) and 1 < pc.count_distinct(column).as_py() <= _MOST_LEVELS:
        return "category"
    return "other"


def _likelihood(table: pa.Table, targets: Sequence[str]) -> Literal["gaussian", "bernoulli", "poisson"]:
    if len(targets) == 1 and _two_values(table, targets[0]):
        return "bernoulli"
    for name in targets:
        values = _numbers(table, name)
        if values is None:
            raise DataError(
                f"target '{name}' is not made of numbers and has other than two values;"
                " svgp predicts numbers, counts and two classes"
            )
    finite = [values[np.isfinite(values)] for values in (_numbers(table, name) for name in targets)]  # type: ignore[index]
    counts = all(len(v) and np.all((v >= 0) & (v == np.floor(v))) and v.max() <= _MOST_COUNTS for v in finite)
    return "poisson" if counts else "gaussian"


def _two_values(table: pa.Table, name: str) -> bool:
    values = plain_column(table, name).unique().drop_null()
    return (
        len(values) <= 3 and len({level_text(value) for value in values.to_pylist() if value == value}) == 2
    )


def _is_missing(table: pa.Table, name: str) -> np.ndarray:
    values = _numbers(table, name)
    if values is not None:
        return np.isnan(values)
    return plain_column(table, name).is_null().to_numpy()


def _numbers(table: pa.Table, name: str) -> np.ndarray | None:
    """Values `[N]` with NaN for missing, or None where the column does not hold numbers."""
    try:
        return to_float(table, name, "")
    except DataError:
        return None

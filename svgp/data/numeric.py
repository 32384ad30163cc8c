"""Columns of a table as float64 vectors, and their moments."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from svgp.data.origin import row_number, source_of
from svgp.data.spelling import trimmed
from svgp.errors import DataError

# Squares of larger (or smaller) magnitudes overflow (underflow) float64.
_LARGE, _SMALL = 1e150, 1e-150


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type is a kind of string."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view"


def plain_column(table: pa.Table, name: str) -> pa.ChunkedArray:
    """A column, with dictionary encoding undone. Raises DataError for lists and records."""
    column = table.column(name)
    if pa.types.is_nested(column.type):
        raise DataError(
            f"{source_of(table)}: column '{name}' holds {column.type} values; expected numbers or text,"
            " one to a row: leave it out of data.inputs"
        )
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def to_float(table: pa.Table, name: str, advice: str) -> np.ndarray:
    """Values `[N]` of a column in float64; missing ones are NaN.

    Numbers, truth values and text that spells numbers are taken. Raises DataError, with the file,
    the column, the first offending row and `advice`, for anything else.
    """
    column = plain_column(table, name)
    kind = column.type
    if is_text(kind):
        column = _parsed(table, name, column, advice)
    elif pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif not (
        pa.types.is_floating(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    ):
        raise DataError(f"{source_of(table)}: column '{name}' holds {kind} values, not numbers; {advice}")
    # Integers beyond 2^53 are rounded: a safe cast would refuse them.
    values = column.cast(pa.float64(), safe=False).to_numpy()
    return np.asarray(values, dtype=np.float64)


def moments(values: np.ndarray) -> tuple[float, float]:
    """Mean and population standard deviation of `values [N]`; the latter exactly 0 for a constant.

    Two passes about the first value, so a small spread at 1e9 keeps its digits.
    """
    origin = float(values[0])
    size = float(np.max(np.abs(values)))
    if size > _LARGE:
        mean, deviation = moments(values / size)
        return mean * size, deviation * size
    centred = values - origin  # [N]
    spread = float(np.max(np.abs(centred)))
    if spread == 0.0:
        return origin, 0.0
    unit = spread if spread < _SMALL else 1.0
    centred = centred / unit
    shift = float(np.mean(centred))
    return origin + shift * unit, float(np.sqrt(np.mean(np.square(centred - shift)))) * unit


def skewness(values: np.ndarray) -> float:
    """m3 / m2^1.5 of `values [N]`, not all the same."""
    centred = values - values.mean()
    return float(np.mean(centred**3) / np.mean(centred**2) ** 1.5)


def _parsed(table: pa.Table, name: str, column: pa.ChunkedArray, advice: str) -> pa.ChunkedArray:
    text = trimmed(column)
    if _spells_numbers(text):
        return text.cast(pa.float64())
    first = _first_text(text)
    raise DataError(
        f"{source_of(table)}: column '{name}' has text where a number is needed, first at row"
        f" {row_number(table, first)}: {column[first].as_py()[:60]!r}; {advice}"
    )


def _spells_numbers(text: pa.ChunkedArray) -> bool:
    try:
        text.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _first_text(text: pa.ChunkedArray) -> int:
    low, high = 0, len(text)  # the first offender lies in [low, high)
    while high - low > 1:
        middle = (low + high) // 2
        if _spells_numbers(text.slice(low, middle - low)):
            low = middle
        else:
            high = middle
    return low

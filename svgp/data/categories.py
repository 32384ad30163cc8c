"""Levels of categorical columns and class labels, compared as text whatever their type."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from svgp.data.names import counted, listed
from svgp.data.numeric import plain_column
from svgp.data.origin import source_of
from svgp.errors import DataError

MISSING, UNSEEN = -2, -1
# One level is one input column; far beyond this a column is rather an identifier than a category.
MAX_LEVELS = 1000


def level_text(value: object) -> str:
    """The text by which a level is known: 3, 3.0 -> '3'; True -> 'true'; text stays as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def find_levels(table: pa.Table, name: str) -> list[str]:
    """Distinct levels of a column, numbers by value, others by text. Raises DataError if too many."""
    values = plain_column(table, name).unique().drop_null()
    if len(values) > MAX_LEVELS:
        raise DataError(
            f"{source_of(table)}: categorical column '{name}' has {counted(len(values), 'level')}; at most"
            f" {MAX_LEVELS:,} can be one-hot encoded: leave it out of data.inputs, or group its levels"
        )
    levels = {level_text(value) for value in values.to_pylist() if value == value}
    return sorted(levels, key=_order)


def level_codes(table: pa.Table, name: str, levels: Sequence[str]) -> np.ndarray:
    """Index `[N]` of each row's level; UNSEEN for a level not in the list, MISSING for none.

    Text that spells a number ('1.0', '01') stands for the level '1' where nothing matches exactly.
    """
    encoded = plain_column(table, name).dictionary_encode().combine_chunks()
    place = {level: index for index, level in enumerate(levels)}
    codes = [_code(value, place) for value in encoded.dictionary.to_pylist()] + [MISSING]
    indices = encoded.indices.fill_null(len(codes) - 1).to_numpy(zero_copy_only=False)
    return np.asarray(codes, dtype=np.int64)[indices]


def refuse_unseen(table: pa.Table, name: str, codes: np.ndarray) -> None:
    """Raise DataError that names the levels and counts the rows that training has not seen."""
    rows = np.flatnonzero(codes == UNSEEN)
    column = plain_column(table, name)
    examples = sorted({level_text(column[int(row)].as_py()) for row in rows[:1000]})
    raise DataError(
        f"{source_of(table)}: categorical column '{name}' has levels that the training rows have not:"
        f" {listed(examples)} ({counted(len(rows), 'row')}); remove those rows, or set data.unseen: zeros"
    )


def _code(value: object, place: dict[str, int]) -> int:
    if value is None or value != value:
        return MISSING
    text = level_text(value)
    if text in place:
        return place[text]
    if isinstance(value, str):
        lowered = value.strip().lower()
        if lowered in ("true", "false"):
            return place.get(lowered, UNSEEN)
        try:
            return place.get(level_text(float(value)), UNSEEN)
        except ValueError:
            return UNSEEN
    return UNSEEN


def _order(level: str) -> tuple[int, float, str]:
    try:
        return (0, float(level), level)
    except ValueError:
        return (1, 0.0, level)

"""What must hold of a table before its values are used: columns there, values there and finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from svgp.data.names import counted, nearest
from svgp.data.origin import row_number, source_of
from svgp.errors import DataError

LARGEST = 1e150  # sums of squares of larger values, such as those of an RMSE, overflow float64


def require(table: pa.Table, names: Sequence[str], role: str) -> None:
    """Raise DataError for the first of `names` that the table does not have."""
    have = set(table.column_names)
    for name in names:
        if name not in have:
            raise DataError(
                f"{source_of(table)}: {role} column '{name}' is not there{nearest(name, have)}"
                f" (columns: {_columns(table)})"
            )


def refuse_infinite(table: pa.Table, by_name: Mapping[str, np.ndarray]) -> None:
    """Raise DataError that names the columns with infinite values, or some too large to be squared."""
    for what, remedy, is_bad in (
        ("infinite values", "replace them or remove the rows", np.isinf),
        (f"values beyond {LARGEST:g}", "their squares are no float64: divide those columns", _too_large),
    ):
        found = {name: is_bad(values) for name, values in by_name.items()}
        told = [
            f"'{name}' ({counted(int(bad.sum()), 'row')}, first row {row_number(table, int(np.argmax(bad)))})"
            for name, bad in found.items()
            if bad.any()
        ]
        if told:
            raise DataError(f"{source_of(table)}: {what} in {', '.join(told)}; {remedy}")


def _too_large(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(values) > LARGEST)


def refuse_missing(
    table: pa.Table,
    by_name: Mapping[str, np.ndarray],
    remedy: str = ", or set data.missing: drop",
) -> None:
    """Raise DataError that names the columns with missing values; `remedy`: what else helps."""
    told = missing_counts(by_name)
    if told:
        raise DataError(
            f"{source_of(table)}: missing values in {told}, of {counted(table.num_rows, 'row')};"
            f" fill them in, or remove those rows{remedy}"
        )


def missing_counts(by_name: Mapping[str, np.ndarray]) -> str:
    """`'a' (3 rows), 'b' (1 row)` for the columns with NaN, else an empty string."""
    counts = {name: int(np.isnan(values).sum()) for name, values in by_name.items()}
    return ", ".join(f"'{name}' ({counted(count, 'row')})" for name, count in counts.items() if count)


def _columns(table: pa.Table) -> str:
    names = table.column_names
    return ", ".join(names[:12]) + (f", and {len(names) - 12} more" if len(names) > 12 else "")

"""Predicting a file: streamed in, streamed out, its other columns kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from svgp.data import TableWriter, iter_tables
from svgp.data.layout import AS_FOUND, TableFormat
from svgp.errors import DataError
from svgp.runs.predictions import Predictions


def predict_table(table: pa.Table, predictions: Predictions) -> pa.Table:
    """`table` with the predictions' columns behind its own. Raises DataError where a name is taken."""
    added = predictions.to_columns()
    taken = [name for name in added if name in table.column_names]
    if taken:
        raise DataError(
            f"the table already has a column '{taken[0]}', a name that predictions need "
            f"({', '.join(added)}); rename it"
        )
    for name, column in added.items():
        table = table.append_column(name, column)
    return table


def predict_stream(
    data: str | Path,
    out: str | Path,
    predict: Callable[[pa.Table], Predictions],
    *,
    text: list[str],
    format: TableFormat = AS_FOUND,
    rows: int = 65536,
) -> int:
    """Read `data` piece by piece, write it with predictions to `out`, return the number of rows.

    `text` are the columns to read as text (categories). Raises DataError and RunError; `out` appears
    only when it is whole.
    """
    if Path(out).exists() and Path(out).samefile(data):
        raise DataError(f"{out}: is the table itself; choose another file for the predictions")
    with TableWriter(out) as writer:
        for table in iter_tables(data, rows=rows, text=text, format=format):
            writer.write(predict_table(table, predict(table)))
    return writer.rows

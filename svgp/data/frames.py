"""Tables that a caller has in memory: Arrow, pandas, polars, mappings and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from svgp.data.arrow import without_views
from svgp.data.objects import to_array
from svgp.data.readings import Reading
from svgp.errors import DataError

_MICROSECONDS = 8.64e10  # of a day


def is_frame(X: Any) -> bool:
    """Whether X has columns with names."""
    return isinstance(X, (pa.Table, pa.RecordBatch, Mapping)) or any(
        hasattr(X, name) for name in ("iloc", "__arrow_c_stream__", "__dataframe__")
    )


def frame_table(X: Any) -> pa.Table:
    """A table of anything with named columns; an index of pandas' is left out. Raises DataError.

    X: a pyarrow Table, a pandas or polars DataFrame, whatever else exports an Arrow stream (a DuckDB
    relation, an Ibis table), or a mapping from names to columns.
    """
    try:
        return without_views(_frame_table(X))
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(
            f"a {type(X).__name__} cannot be taken as a table: {' '.join(str(error).split())}"
        ) from error


def _frame_table(X: Any) -> pa.Table:
    if isinstance(X, pa.Table):
        return X
    if hasattr(X, "iloc"):
        return pa.Table.from_pandas(X, preserve_index=False)
    if isinstance(X, Mapping):
        return pa.table({str(name): _column(values) for name, values in X.items()})
    return pa.table(X) if hasattr(X, "__arrow_c_stream__") else pa.Table.from_batches([X])


def array_table(X: Any, names: Sequence[str], readings: Mapping[str, Reading]) -> pa.Table:
    """A table of an array `[N, D]` (`[N]` where there is one column) with these D columns.

    Where a column of numbers is read as dates they are days since 1970-01-01. Raises DataError for another
    shape.
    """
    array = np.asarray(X)
    array = array[:, None] if array.ndim == 1 and len(names) == 1 else array
    if array.ndim != 2 or array.shape[1] != len(names):
        raise DataError(
            f"predict: an array must be [rows, {len(names)}] with the columns {', '.join(names[:8])}, got"
            f" shape {np.shape(X)}; or pass a table with these names"
        )
    named = zip(names, array.T, strict=True)
    return pa.table({name: _array_column(values, readings.get(name)) for name, values in named})


def _array_column(values: np.ndarray, reading: Reading | None) -> pa.Array:
    if reading is not None and reading.type == "date" and values.dtype.kind in "fiu":
        days = pa.array(np.asarray(values, dtype=np.float64) * _MICROSECONDS, from_pandas=True)
        return days.cast(pa.int64(), safe=False).cast(pa.timestamp("us"))
    return to_array(values.tolist())


def _column(values: Any) -> Any:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    if hasattr(values, "__arrow_c_stream__") or hasattr(values, "__arrow_c_array__"):
        return pa.chunked_array(values) if hasattr(values, "__arrow_c_stream__") else pa.array(values)
    array = np.asarray(values)
    return to_array(array.tolist()) if array.dtype == object else pa.array(array)

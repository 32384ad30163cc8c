"""NumPy archives (.npz): each 1-D array is a column, each 2-D array a block of columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from svgp.errors import DataError


def read(path: Path) -> pa.Table:
    """Arrays by name: 1-D `y` is column y, 2-D `X` [N, D] is x1..xD, 2-D `y` [N, 1] is y.

    Raises DataError for arrays with other dimensions, of objects, or of unequal lengths.
    """
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty (0 bytes)")
    columns: dict[str, np.ndarray] = {}
    with np.load(path, allow_pickle=False) as archive:
        for name in archive.files:
            for column, values in _columns(path, name, archive[name]):
                if column in columns:
                    raise DataError(f"{path}: two arrays give the column '{column}'; rename one of them")
                columns[column] = values
    lengths = {name: len(values) for name, values in columns.items()}
    if not columns:
        raise DataError(f"{path}: holds no arrays")
    if len(set(lengths.values())) > 1:
        raise DataError(
            f"{path}: the arrays differ in length: {', '.join(f'{k}: {n}' for k, n in lengths.items())}"
        )
    return pa.table(columns)


def stream(path: Path, rows: int) -> Iterator[pa.Table]:
    """The table as one piece: an archive has to be read whole."""
    yield read(path)


def _columns(path: Path, name: str, array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    if array.dtype.kind not in "biufU":
        raise DataError(f"{path}: array '{name}' has dtype {array.dtype}; expected numbers, booleans or text")
    if array.ndim == 1:
        yield name, array
    elif array.ndim == 2 and array.shape[1] == 1 and name != "X":
        yield name, array[:, 0]
    elif array.ndim == 2:
        for index in range(array.shape[1]):
            yield f"{name.lower()}{index + 1}", array[:, index]
    else:
        raise DataError(f"{path}: array '{name}' has shape {array.shape}; expected [rows] or [rows, columns]")

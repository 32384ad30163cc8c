"""Parquet: one file, or a folder of them (with `key=value` folders as columns)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset

from svgp.errors import DataError
from svgp.remote import RemotePath


def files_in(folder: Path) -> list[Path]:
    """The folder's Parquet files, sorted by path; hidden ones and those of `_` folders left out."""
    found = [
        file
        for file in sorted(folder.rglob("*.parquet"))
        if file.is_file() and not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
    ]
    if not found:
        raise DataError(
            f"{folder}: is a folder without .parquet files; name a file, or a folder that has some"
        )
    return found


def read(path: Path) -> pa.Table:
    """Read everything. Raises DataError."""
    return open_dataset(path).to_table()


def stream(path: Path, rows: int) -> Iterator[pa.Table]:
    """Read batches of at most `rows` rows, in the order of the sorted files."""
    # Little read-ahead: a stream is asked for where memory is short.
    for batch in open_dataset(path).to_batches(batch_size=rows, batch_readahead=2, fragment_readahead=1):
        yield pa.Table.from_batches([batch])


def open_dataset(path: Path) -> pa.dataset.Dataset:
    """The file, or the sorted files of a folder, as one table that is not read yet."""
    if not path.is_dir():
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty (0 bytes)")
        return pa.dataset.dataset(_place(path), format="parquet", filesystem=_store(path))
    return pa.dataset.dataset(
        [_place(file) for file in files_in(path)],
        format="parquet",
        filesystem=_store(path),
        partitioning=pa.dataset.partitioning(flavor="hive"),
        partition_base_dir=_place(path),
    )


def _store(path: Path) -> Any:
    return path.store if isinstance(path, RemotePath) else None


def _place(path: Path) -> str:
    return path.place if isinstance(path, RemotePath) else str(path)

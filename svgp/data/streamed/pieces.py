"""The row groups of a Parquet file or folder, each of which can be read by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from svgp.data import parquet
from svgp.data.arrow import without_views
from svgp.data.origin import mark
from svgp.data.sources import reading
from svgp.remote import table_path

SLICE = 1 << 16  # rows that are turned into numbers at a time, however long a row group is


class Pieces:
    """Row groups in the order of the sorted files; `rows` `[k]` is how many rows each has.

    Column names and types are those of the whole folder, `key=value` folders are columns.
    Raises DataError where the path cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = table_path(path)
        with reading(self.path):
            dataset = parquet.open_dataset(self.path)
            self._fragments = [
                group for file in dataset.get_fragments() for group in file.split_by_row_group()
            ]
        self.schema: pa.Schema = dataset.schema
        self.rows = np.array([sum(g.num_rows for g in f.row_groups) for f in self._fragments], np.int64)
        self._first = np.concatenate([[0], np.cumsum(self.rows)]) + 1  # data rows are counted from 1

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def count(self) -> int:
        """All rows."""
        return int(self.rows.sum())

    def read(self, number: int, columns: Sequence[str]) -> pa.Table:
        """One row group, marked with where it comes from. Raises DataError."""
        with reading(self.path):
            table = self._fragments[number].to_table(schema=self.schema, columns=list(columns))
        return mark(without_views(table), str(self.path), int(self._first[number]))

    def slices(self, number: int, columns: Sequence[str]) -> Iterator[pa.Table]:
        """One row group in tables of at most SLICE rows."""
        table = self.read(number, columns)
        for start in range(0, table.num_rows, SLICE):
            yield mark(table.slice(start, SLICE), str(self.path), int(self._first[number]) + start)

    def head(self, columns: Sequence[str], rows: int) -> pa.Table:
        """About so many rows, from row groups spread over the whole: enough to see what columns hold."""
        wanted = max(1, min(len(self), rows // SLICE + 1))
        chosen = np.unique(np.linspace(0, len(self) - 1, wanted).round().astype(int))
        parts = [self.read(int(number), columns).slice(0, max(1, rows // len(chosen))) for number in chosen]
        return mark(pa.concat_tables(parts), str(self.path))

    def fingerprint(self) -> str:
        """SHA-256 of the schema and of each row group's rows, sizes and statistics; not of all bytes."""
        digest = hashlib.sha256(str(self.schema).encode())
        for fragment in self._fragments:
            for group in fragment.row_groups:
                digest.update(f"{group.num_rows} {group.total_byte_size} {_statistics(group)}\n".encode())
        return digest.hexdigest()


def _statistics(group: Any) -> list[tuple[str, Any]]:
    try:
        return sorted((group.statistics or {}).items())
    except pa.ArrowException:  # of float16 it cannot read any
        return []

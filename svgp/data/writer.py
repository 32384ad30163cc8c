"""Writing tables: a stream of pieces into one CSV or Parquet file that appears only when it is whole."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from svgp.errors import DataError
from svgp.files import cannot_write

WRITABLE = (".csv", ".csv.gz", ".parquet")


class TableWriter:
    """A context manager that writes tables of one schema one after the other.

        with TableWriter("out.csv.gz") as writer:
            for table in tables:
                writer.write(table)

    The rows go to a temporary file beside `path`, which takes its name when the block ends well and
    vanishes when it does not; an existing file is replaced only then, and without a first table no
    file is made. Raises DataError for another
    suffix or a table that does not fit the first, RunError where the file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.rows = 0
        name = self.path.name.lower()
        if not name.endswith(WRITABLE):
            raise DataError(
                f"{path}: output is written by suffix, one of {', '.join(WRITABLE)}; choose such a name"
            )
        self._parquet = name.endswith(".parquet")
        self._compressed = name.endswith(".gz")
        self._schema: pa.Schema | None = None
        self._sink: Any = None
        self._temporary: Path | None = None
        self._file: IO[bytes] | None = None
        self._bytes: IO[bytes] | None = None

    def __enter__(self) -> TableWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_dir():
                raise IsADirectoryError(21, "it is a folder")
            descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._temporary = Path(name)
        self._file = os.fdopen(descriptor, "wb")
        # Without name and time in the header, equal tables give equal bytes.
        self._bytes = gzip.GzipFile("", "wb", 6, self._file, mtime=0) if self._compressed else self._file  # type: ignore[assignment]
        return self

    def write(self, table: pa.Table) -> None:
        """Append the rows of `table`; the first one fixes names and types."""
        table = table.replace_schema_metadata(None)
        try:
            if self._schema is None:
                self._start(table.schema)
            assert self._schema is not None
            if table.column_names != self._schema.names:
                raise DataError(
                    f"{self.path}: a piece has columns {table.column_names}, the first {self._schema.names}"
                )
            self._sink.write_table(table.cast(self._schema))
            self.rows += table.num_rows
        except OSError as error:
            raise cannot_write(self.path, error) from error
        except pa.ArrowException as error:
            raise DataError(
                f"{self.path}: a table cannot be written: {' '.join(str(error).split())}"
            ) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._close(keep=True)
            else:
                with contextlib.suppress(Exception):  # the first error is the one to show
                    self._close(keep=False)
        except OSError as failure:
            raise cannot_write(self.path, failure) from failure
        finally:
            if self._temporary is not None:
                self._temporary.unlink(missing_ok=True)

    def _start(self, schema: pa.Schema) -> None:
        self._schema = schema
        if self._parquet:
            self._sink = pa.parquet.ParquetWriter(self._bytes, schema)
            return
        for column in schema:
            if pa.types.is_nested(column.type):
                raise DataError(
                    f"{self.path}: column '{column.name}' holds {column.type} values, which CSV cannot hold;"
                    " leave it out, or write to .parquet"
                )
        assert self._bytes is not None
        header = io.StringIO()  # pyarrow would quote every name
        csv.writer(header, lineterminator="\n").writerow(schema.names)
        self._bytes.write(header.getvalue().encode())
        options = pa.csv.WriteOptions(include_header=False)
        self._sink = pa.csv.CSVWriter(pa.PythonFile(self._bytes, "w"), schema, write_options=options)

    def _close(self, keep: bool) -> None:
        assert self._file is not None and self._temporary is not None
        try:
            if self._sink is not None:
                self._sink.close()
            if self._bytes is not None and self._bytes is not self._file:
                self._bytes.close()
            if keep and self._schema is not None:
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()
        if keep and self._schema is not None:
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(self._temporary, 0o666 & ~mask)
            os.replace(self._temporary, self.path)

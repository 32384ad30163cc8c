"""Reading tables: one front for every file format, whole or as a stream.

Formats, by suffix: delimited text (.csv, .tsv, .txt, .dat, .data, each also with .gz), Parquet (.parquet,
or a folder of such files), Arrow (.arrow, .feather, .ipc), NumPy (.npz), and with an extra installed Excel
(.xlsx), SQLite (.sqlite, .db; needs none) and DuckDB (.duckdb). Parquet may lie in a store (`svgp.remote`).
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from svgp.data import arrow, database, delimited, excel, npz, parquet
from svgp.data.layout import AS_FOUND, TableFormat, check_encoding
from svgp.data.names import listed, nearest
from svgp.data.origin import mark, rechunk
from svgp.errors import DataError
from svgp.remote import RemotePath, is_remote, table_path

_TEXT = (".csv", ".tsv", ".txt", ".dat", ".data", ".tab")
SUFFIXES = (
    *_TEXT, *(f"{suffix}.gz" for suffix in _TEXT), ".parquet", ".pq", ".arrow", ".feather", ".ipc", ".npz",
    ".xlsx", ".sqlite", ".sqlite3", ".db", ".duckdb",
)  # fmt: skip


class _Format(NamedTuple):
    read: Callable[[Path, Sequence[str], TableFormat], pa.Table]
    stream: Callable[[Path, int, Sequence[str], TableFormat], Iterator[pa.Table]]


def _typed(read: Callable[[Path], pa.Table], stream: Callable[[Path, int], Iterator[pa.Table]]) -> _Format:
    """A format that knows its own types: what a config says of text is not for it."""
    return _Format(lambda path, text, wanted: read(path), lambda path, rows, text, wanted: stream(path, rows))


def _in_one_piece(read: Callable[[Path, TableFormat], pa.Table]) -> _Format:
    """A format that has to be read whole."""
    return _Format(
        lambda path, text, wanted: read(path, wanted),
        lambda path, rows, text, wanted: iter([read(path, wanted)]),
    )


_DELIMITED = _Format(delimited.read, delimited.stream)
_PARQUET = _typed(parquet.read, parquet.stream)
_NPZ = _typed(npz.read, npz.stream)
_ARROW = _typed(arrow.read, arrow.stream)
_EXCEL = _in_one_piece(excel.read)
_DATABASE = _in_one_piece(database.read)


def read_table(path: str | Path, *, text: Sequence[str] = (), format: TableFormat = AS_FOUND) -> pa.Table:
    """Read a whole table; CSV columns named in `text` are read as text whatever they look like.

    Of text files, delimiter and encoding are found where `format` does not state them.

    Missing values are Arrow nulls; in CSV they are empty fields and the usual spellings (NA, N/A,
    NaN, null). Raises DataError where the file is missing, unreadable, damaged, without a header,
    without rows, or has columns with equal or empty names.
    """
    path = table_path(path)
    with reading(path):
        table = _format_of(path, format).read(path, text, format)
        _check_names(path, table.column_names)
    if table.num_rows == 0:
        raise _no_rows(path)
    return mark(_without_index(table), str(path))


def iter_tables(
    path: str | Path, rows: int = 65536, *, text: Sequence[str] = (), format: TableFormat = AS_FOUND
) -> Iterator[pa.Table]:
    """Stream a table in pieces of `rows` rows that all have one schema, in bounded memory.

    A CSV file that is too large to hold is read twice: once for its column types, which depend on
    all rows, then for its values. Raises DataError as `read_table` does; faults in the file may
    show only when their piece is reached.
    """
    if rows < 1:
        raise DataError(f"rows is {rows}; expected at least 1 row in each piece")
    path = table_path(path)
    pieces = 0
    with reading(path):
        stream = _format_of(path, format).stream(path, rows, text, format)
        for piece in rechunk(map(_without_index, stream), rows, str(path)):
            if pieces == 0:
                _check_names(path, piece.column_names)
            pieces += 1
            yield piece
    if pieces == 0:
        raise _no_rows(path)


def fingerprint(path: str | Path) -> str:
    """SHA-256 of a file's bytes; of a folder: of the names and bytes of its Parquet files, sorted."""
    path = table_path(path)
    digest = hashlib.sha256()
    with reading(path):
        if not path.is_dir():
            _feed(digest, path)
            return digest.hexdigest()
        for file in parquet.files_in(path):
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
            _feed(digest, file)
    return digest.hexdigest()


def _feed(digest: hashlib._Hash, path: Path) -> None:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)


def _format_of(path: Path, wanted: TableFormat) -> _Format:
    if not path.exists():
        raise DataError(_missing(path))
    if path.is_dir():
        return _PARQUET
    name = path.name.lower()
    if is_remote(path) and not name.endswith((".parquet", ".pq")):
        raise DataError(f"{path}: of a store only Parquet is read; write it so, or copy it to this machine")
    if wanted.encoding:
        check_encoding(wanted.encoding)
    if name.removesuffix(".gz").endswith(_TEXT):
        _check_content(path)
        return _DELIMITED
    for suffixes, format in (
        ((".parquet", ".pq"), _PARQUET), ((".npz",), _NPZ), ((".arrow", ".feather", ".ipc"), _ARROW),
        ((".xlsx", ".xlsm"), _EXCEL), ((".sqlite", ".sqlite3", ".db", ".duckdb"), _DATABASE),
    ):  # fmt: skip
        if name.endswith(suffixes):
            return format
    raise DataError(
        f"{path}: the format is told by the suffix, one of {', '.join(SUFFIXES)}; rename or convert the file"
    )


def _check_content(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(6)
    if not start:
        raise DataError(f"{path}: the file is empty (0 bytes)")
    if start[:2] == b"\x1f\x8b" and not path.name.lower().endswith(".gz"):
        raise DataError(f"{path}: the content is gzip-compressed; rename it to {path.name}.gz")
    for magic, kind, suffix in (
        (b"PAR1", "Parquet", ".parquet"), (b"ARROW1", "Arrow", ".arrow"), (b"PK\x03\x04", "Excel", ".xlsx"),
        (b"SQLite", "SQLite", ".sqlite"),
    ):  # fmt: skip
        if start.startswith(magic):
            raise DataError(f"{path}: the content is {kind}; rename it to {path.stem}{suffix}")


def _missing(path: Path) -> str:
    if is_remote(path):
        return f"{path}: no such file or folder in that store"
    parent = path.parent
    if not parent.is_dir():
        return f"{path}: no such file: the folder {parent} does not exist"
    return f"{path}: no such file{nearest(path.name, (entry.name for entry in parent.iterdir()))}"


def _no_rows(path: Path) -> DataError:
    return DataError(f"{path}: has a header but no rows of data")


def _check_names(path: Path, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise DataError(
            f"{path}: the column names {listed(twice)} occur more than once; give each column its own"
        )
    if "" in names:
        position = list(names).index("") + 1
        raise DataError(
            f"{path}: column {position} of {len(names)} has no name; name it in the header"
            " (pandas: write with to_csv(index=False))"
        )


def _without_index(table: pa.Table) -> pa.Table:
    # pandas stores a row index in Parquet as a column; taken as an input it would be a row number.
    index = [name for name in table.column_names if name.startswith("__index_level_")]
    return arrow.without_views(table.drop_columns(index) if index else table)


# KeyError and SyntaxError: of a zip archive that is no workbook, or whose XML is broken.
_DAMAGED = (
    pa.ArrowException, OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, KeyError, SyntaxError,
)  # fmt: skip


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the readers raise into one DataError that names the file."""
    try:
        yield
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(f"{path}: permission denied; make the file readable for this user") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: the text is not {error.encoding} ({error.reason}); save it as UTF-8, or set"
            " data.format.encoding"
        ) from error
    except _DAMAGED as error:
        if isinstance(path, RemotePath):
            raise path.failure(error) from error
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: cannot be read: {reason}; the file is damaged or not what its suffix says"
        ) from error

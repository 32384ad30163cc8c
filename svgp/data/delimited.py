"""CSV and TSV text, plain or gzipped, through pyarrow."""

from __future__ import annotations

import contextlib
import csv
import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from svgp.data.names import counted
from svgp.errors import DataError

# Below this many bytes on disk a stream reads the file at once instead of twice.
WHOLE_BYTES = 32 << 20
_GZIP_RATIO = 8
_BLOCK_BYTES = 4 << 20


def read(path: Path, text: Sequence[str] = ()) -> pa.Table:
    """Read the whole file; types are inferred from all rows. Raises DataError."""
    header = _header(path)
    types = {raw: pa.string() for raw in header if raw.strip() in text}
    try:
        table = pa.csv.read_csv(_open(path), _blocks(), _parse(path), _convert(types))
    except pa.ArrowInvalid as error:
        raise _explained(path, error) from error
    return _named(path, table, header)


def stream(path: Path, rows: int, text: Sequence[str] = ()) -> Iterator[pa.Table]:
    """Read block by block with the types that all rows together have. Raises DataError."""
    ratio = _GZIP_RATIO if _compressed(path) else 1
    if path.stat().st_size * ratio <= WHOLE_BYTES:
        yield read(path, text)
        return
    header = _header(path)
    types = _scan_types(path, header, {raw for raw in header if raw.strip() in text})
    for batch in _batches(path, types):
        yield _named(path, pa.Table.from_batches([batch]), header)


def _scan_types(path: Path, header: list[str], text: set[str]) -> dict[str, pa.DataType]:
    # Blocks are read as text because the first block alone may hold integers where a later one
    # holds fractions or words.
    wider = {pa.int64(): pa.float64(), pa.float64(): pa.bool_(), pa.bool_(): pa.string()}
    types = {name: pa.string() if name in text else pa.int64() for name in header}
    for batch in _batches(path, {name: pa.string() for name in header}):
        for name in header:
            while not _castable(batch.column(name), types[name]):
                types[name] = wider[types[name]]
    return _recheck_booleans(path, types)


def _recheck_booleans(path: Path, types: dict[str, pa.DataType]) -> dict[str, pa.DataType]:
    # Unlike the other steps, numbers to truth values is no widening: rows seen before may not fit.
    doubtful = [name for name, kind in types.items() if kind == pa.bool_()]
    if not doubtful:
        return types
    for batch in _batches(path, {name: pa.string() for name in types}):
        for name in doubtful:
            if not _castable(batch.column(name), pa.bool_()):
                types[name] = pa.string()
    return types


def _castable(column: pa.Array, kind: pa.DataType) -> bool:
    try:
        column.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _batches(path: Path, types: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    try:
        with pa.csv.open_csv(_open(path), _blocks(), _parse(path), _convert(types)) as reader:
            yield from reader
    except pa.ArrowInvalid as error:
        raise _explained(path, error) from error


def _header(path: Path) -> list[str]:
    """Names in the first line that is not blank, as written. Raises DataError."""
    opener = gzip.open if _compressed(path) else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            names = next((row for row in csv.reader(file, delimiter=_delimiter(path)) if row), None)
    except csv.Error as error:
        raise DataError(f"{path}: the header cannot be read: {error}") from error
    if names is None:
        raise DataError(f"{path}: the file is empty; expected a header line with column names")
    if all(_is_number(name) for name in names):
        raise DataError(
            f"{path}: the first line holds only numbers ({', '.join(names[:4])});"
            " add a header line with column names"
        )
    return names


def _named(path: Path, table: pa.Table, header: list[str]) -> pa.Table:
    for name, column in zip(header, table.columns, strict=True):
        if pa.types.is_binary(column.type):
            raise DataError(
                f"{path}: column '{name.strip()}' holds text that is not UTF-8; save the file as UTF-8"
            )
    return table.rename_columns([name.strip() for name in header])


def _explained(path: Path, error: pa.ArrowInvalid) -> DataError:
    """Find the row behind a parse error; pyarrow tells its number only when it reads on one thread."""
    bad: list[pa.csv.InvalidRow] = []

    def keep(row: pa.csv.InvalidRow) -> str:
        bad.append(row)
        return "error"

    parse = _parse(path)
    parse.invalid_row_handler = keep
    types = {name: pa.string() for name in _header(path)}
    with contextlib.suppress(pa.ArrowInvalid):
        pa.csv.read_csv(_open(path), _blocks(threads=False), parse, _convert(types))
    if not bad:
        reason = " ".join(str(error).split())
        if "Empty CSV" in reason:
            return DataError(f"{path}: has a header but no rows of data")
        return DataError(f"{path}: cannot be read: {reason}")
    row = bad[0]
    return DataError(
        f"{path}: line {row.number} has {counted(row.actual_columns, 'field')} where the header has"
        f" {row.expected_columns}: {row.text[:80]!r}; quote fields that contain the delimiter"
    )


def _open(path: Path) -> pa.NativeFile:
    file = pa.OSFile(str(path))
    return pa.CompressedInputStream(file, "gzip") if _compressed(path) else file


def _blocks(threads: bool = True) -> pa.csv.ReadOptions:
    return pa.csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=threads)


def _parse(path: Path) -> pa.csv.ParseOptions:
    return pa.csv.ParseOptions(delimiter=_delimiter(path), newlines_in_values=True)


def _convert(types: dict[str, pa.DataType]) -> pa.csv.ConvertOptions:
    return pa.csv.ConvertOptions(column_types=types, strings_can_be_null=True)


def _delimiter(path: Path) -> str:
    return "\t" if path.name.lower().endswith((".tsv", ".tsv.gz")) else ","


def _compressed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

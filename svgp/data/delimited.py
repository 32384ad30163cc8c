"""Delimited text, plain or gzipped, in any encoding, through pyarrow."""

from __future__ import annotations

import codecs
import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.csv

from svgp.data.layout import (
    AS_FOUND,
    Layout,
    TableFormat,
    find_layout,
    is_compressed,
    squeezed,
)
from svgp.data.names import counted
from svgp.data.origin import mark_decimals, mark_layout
from svgp.data.survey import Survey
from svgp.errors import DataError

# Below this many bytes on disk a stream reads the file at once instead of twice.
WHOLE_BYTES = 32 << 20
_GZIP_RATIO = 8
_BLOCK_BYTES = 4 << 20

Result = TypeVar("Result")


class _NotUtf8(Exception):
    """The beginning was UTF-8 and a later part is not."""


def read(path: Path, text: Sequence[str] = (), wanted: TableFormat = AS_FOUND) -> pa.Table:
    """Read the whole file; types are inferred from all rows. Raises DataError.

    A last column without name and values, which a delimiter at the end of each line makes, is left out.
    """
    table = _retried(path, wanted, lambda layout: _read(path, layout, set(text), wanted))
    last = table.num_columns - 1
    trailing = last > 0 and not table.column_names[last] and table.column(last).null_count == table.num_rows
    return table.remove_column(last) if trailing else table


def stream(
    path: Path, rows: int, text: Sequence[str] = (), wanted: TableFormat = AS_FOUND
) -> Iterator[pa.Table]:
    """Read block by block with the types that all rows together have. Raises DataError."""
    ratio = _GZIP_RATIO if is_compressed(path) else 1
    if path.stat().st_size * ratio <= WHOLE_BYTES:
        yield read(path, text, wanted)
        return
    layout, (types, decimals) = _retried(
        path, wanted, lambda layout: (layout, _scan_types(path, layout, set(text), wanted))
    )
    for batch in _batches(path, layout, types):
        yield mark_decimals(_named(pa.Table.from_batches([batch]), layout), decimals)


def _retried(path: Path, wanted: TableFormat, work: Callable[[Layout], Result]) -> Result:
    """`work` with the file's layout; once more where a later part of the file is not UTF-8."""
    layout = find_layout(path, wanted)
    try:
        return work(layout)
    except _NotUtf8 as error:
        if wanted.encoding:
            raise DataError(
                f"{path}: the text is not {wanted.encoding}, as data.format.encoding says; null has it found"
            ) from error
    return work(find_layout(path, wanted, utf8=False))


def _read(path: Path, layout: Layout, text: set[str], wanted: TableFormat) -> pa.Table:
    types = {raw: pa.string() for raw in layout.header if raw.strip() in text}
    table = _table(path, layout, types)
    floats = [
        raw for raw, kind in zip(layout.header, table.schema.types, strict=True) if kind == pa.float64()
    ]
    if not floats or not (_commas(wanted) or Survey(skip=text).add(table).has_commas):
        return table
    # Where numbers have decimal commas, 1.234 in another column may be more than a thousand.
    as_text = _table(path, layout, types | {raw: pa.string() for raw in floats})
    survey = Survey(format=wanted, skip=text).add(as_text)
    thousands = survey.decide()
    for name in {raw.strip() for raw in floats} & set(thousands):
        table = table.set_column(table.column_names.index(name), name, as_text.column(name))
    return mark_decimals(table, "".join(survey.decimals))


def _commas(wanted: TableFormat) -> bool:
    return wanted.decimal == "," or wanted.thousands == "."


def _table(path: Path, layout: Layout, types: dict[str, pa.DataType]) -> pa.Table:
    try:
        table = pa.csv.read_csv(_open(path, layout), _blocks(layout), _parse(layout), _convert(types))
    except pa.ArrowInvalid as error:
        raise _explained(path, layout, error) from error
    return _named(table, layout)


def _scan_types(
    path: Path, layout: Layout, text: set[str], wanted: TableFormat
) -> tuple[dict[str, pa.DataType], str]:
    """The types that all rows together have, and the decimal marks that are beyond doubt."""
    # Blocks are read as text because the first block alone may hold integers where a later one
    # holds fractions or words.
    wider = {pa.int64(): pa.float64(), pa.float64(): pa.bool_(), pa.bool_(): pa.string()}
    types = {name: pa.string() if name.strip() in text else pa.int64() for name in layout.header}
    survey = Survey(format=wanted, skip=text)
    for batch in _batches(path, layout, {name: pa.string() for name in layout.header}):
        for name in layout.header:
            while not _castable(batch.column(name), types[name]):
                types[name] = wider[types[name]]
        survey.add(_named(pa.Table.from_batches([batch]), layout))
    types = _recheck_booleans(path, layout, types)
    # Where numbers have decimal commas, 1.234 in another column may be more than a thousand.
    thousands = survey.decide() if survey.has_commas or _commas(wanted) else {}
    marked = {
        name: pa.string() if kind == pa.float64() and name.strip() in thousands else kind
        for name, kind in types.items()
    }
    return marked, "".join(survey.decimals)


def _recheck_booleans(path: Path, layout: Layout, types: dict[str, pa.DataType]) -> dict[str, pa.DataType]:
    # Unlike the other steps, numbers to truth values is no widening: rows seen before may not fit.
    doubtful = [name for name, kind in types.items() if kind == pa.bool_()]
    if not doubtful:
        return types
    for batch in _batches(path, layout, {name: pa.string() for name in types}):
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


def _batches(path: Path, layout: Layout, types: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    try:
        with pa.csv.open_csv(_open(path, layout), _blocks(layout), _parse(layout), _convert(types)) as reader:
            yield from reader
    except pa.ArrowInvalid as error:
        raise _explained(path, layout, error) from error


def _named(table: pa.Table, layout: Layout) -> pa.Table:
    if any(pa.types.is_binary(kind) for kind in table.schema.types):
        raise _NotUtf8
    table = table.rename_columns([name.strip() for name in layout.header])
    return mark_layout(table, layout.delimiter, layout.encoding, layout.note)


def _explained(path: Path, layout: Layout, error: pa.ArrowInvalid) -> Exception:
    """Find the row behind a parse error; pyarrow tells its number only when it reads on one thread."""
    if "UTF8" in str(error):
        return _NotUtf8()
    bad: list[pa.csv.InvalidRow] = []

    def keep(row: pa.csv.InvalidRow) -> str:
        bad.append(row)
        return "error"

    parse = _parse(layout)
    parse.invalid_row_handler = keep
    types = {name: pa.string() for name in layout.header}
    with contextlib.suppress(pa.ArrowInvalid):
        pa.csv.read_csv(_open(path, layout), _blocks(layout, threads=False), parse, _convert(types))
    if not bad:
        reason = " ".join(str(error).split())
        if "Empty CSV" in reason:
            return DataError(f"{path}: has a header but no rows of data")
        return DataError(f"{path}: cannot be read: {reason}")
    row = bad[0]
    return DataError(
        f"{path}: line {row.number} has {counted(row.actual_columns, 'field')} where the header has"
        f" {row.expected_columns}: {row.text[:80]!r}; quote fields that contain the delimiter"
        f" {layout.delimiter!r}, or name another one: data.format.delimiter"
    )


class _Squeezed(io.RawIOBase):
    """A stream of text in UTF-8 with runs of blanks turned into single ones, line by line."""

    def __init__(self, file: pa.NativeFile, encoding: str) -> None:
        self._file, self._decoder = file, codecs.getincrementaldecoder(encoding)()
        self._line, self._ready = "", b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        while not self._ready:
            block = self._file.read(_BLOCK_BYTES)
            lines = (self._line + self._decoder.decode(block, final=not block)).split("\n")
            self._line = lines.pop() if block else ""
            text = "\n".join(squeezed(line.strip()) for line in lines) + ("\n" if lines and block else "")
            self._ready = text.encode()
            if not block:
                break
        taken = self._ready[: len(view)]
        view[: len(taken)], self._ready = taken, self._ready[len(taken) :]
        return len(taken)


def _open(path: Path, layout: Layout) -> pa.NativeFile:
    file = pa.OSFile(str(path))
    file = pa.CompressedInputStream(file, "gzip") if is_compressed(path) else file
    return pa.PythonFile(_Squeezed(file, layout.encoding), "r") if layout.delimiter == " " else file


def _blocks(layout: Layout, threads: bool = True) -> pa.csv.ReadOptions:
    encoding = "utf8" if layout.delimiter == " " or layout.encoding == "utf-8" else layout.encoding
    return pa.csv.ReadOptions(
        block_size=_BLOCK_BYTES, use_threads=threads, encoding=encoding, skip_rows=layout.skip
    )


def _parse(layout: Layout) -> pa.csv.ParseOptions:
    return pa.csv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=layout.delimiter != " ")


def _convert(types: dict[str, pa.DataType]) -> pa.csv.ConvertOptions:
    return pa.csv.ConvertOptions(column_types=types, strings_can_be_null=True)

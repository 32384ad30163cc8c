"""Where a table came from, carried in its schema so that an error can name file and row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

_SOURCE = b"svgp.source"
_FIRST_ROW = b"svgp.first_row"
_NUMBERS, _DECIMALS = b"svgp.numbers", b"svgp.decimals"
_DELIMITER, _ENCODING, _NOTE = b"svgp.delimiter", b"svgp.encoding", b"svgp.note"


def mark(table: pa.Table, source: str, first_row: int = 1) -> pa.Table:
    """The same table, remembering its source and the number (from 1) of its first data row there."""
    origin = {_SOURCE: source.encode(), _FIRST_ROW: str(first_row).encode()}
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **origin})


def source_of(table: pa.Table) -> str:
    """The name to use for this table in a message."""
    return (table.schema.metadata or {}).get(_SOURCE, b"the table").decode()


def row_number(table: pa.Table, index: int) -> int:
    """Number of the table's row `index` among the data rows of its source, counted from 1."""
    return int((table.schema.metadata or {}).get(_FIRST_ROW, b"1")) + int(index)


def mark_numbers(table: pa.Table) -> pa.Table:
    """The same table, remembering that its columns have been read as numbers."""
    return table.replace_schema_metadata({**(table.schema.metadata or {}), _NUMBERS: b"1"})


def is_numbers(table: pa.Table) -> bool:
    """Whether `mark_numbers` marked it."""
    return _NUMBERS in (table.schema.metadata or {})


def mark_layout(table: pa.Table, delimiter: str, encoding: str, note: str) -> pa.Table:
    """The same table, remembering how its file was read, and what is to be noted about that."""
    said = {_DELIMITER: delimiter.encode(), _ENCODING: encoding.encode(), _NOTE: note.encode()}
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **said})


def layout_of(table: pa.Table) -> tuple[str, str, str]:
    """What `mark_layout` kept: delimiter, encoding and note; empty texts where there is none."""
    known = table.schema.metadata or {}
    delimiter, encoding, note = (known.get(key, b"").decode() for key in (_DELIMITER, _ENCODING, _NOTE))
    return delimiter, encoding, note


def mark_decimals(table: pa.Table, marks: str) -> pa.Table:
    """The same table, remembering which decimal marks some column of its file has without doubt."""
    return table.replace_schema_metadata({**(table.schema.metadata or {}), _DECIMALS: marks.encode()})


def decimals_of(table: pa.Table) -> set[str]:
    """What `mark_decimals` kept."""
    return set((table.schema.metadata or {}).get(_DECIMALS, b"").decode())


def rechunk(tables: Iterable[pa.Table], rows: int, source: str) -> Iterator[pa.Table]:
    """Regroup a stream of tables into tables of `rows` rows (the last may be shorter), each marked."""
    waiting: list[pa.Table] = []
    held, first_row = 0, 1
    for table in tables:
        waiting.append(table)
        held += table.num_rows
        if held < rows:
            continue
        joined = pa.concat_tables(waiting)
        whole = held - held % rows
        for start in range(0, whole, rows):
            yield mark(joined.slice(start, rows), source, first_row)
            first_row += rows
        waiting, held = [joined.slice(whole)], held - whole
    if held:
        yield mark(pa.concat_tables(waiting), source, first_row)

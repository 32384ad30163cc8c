"""Arrow files and streams (.arrow, .ipc), and Feather, which is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.feather

from svgp.errors import DataError

_FILE, _FEATHER_1 = b"ARROW1", b"FEA1"


def read(path: Path) -> pa.Table:
    """Read everything. Raises DataError."""
    return pa.concat_tables(stream(path, 0))


def stream(path: Path, rows: int) -> Iterator[pa.Table]:
    """The record batches as they were written, one after the other: `rows` is not needed."""
    with path.open("rb") as file:
        start = file.read(len(_FILE))
    if not start:
        raise DataError(f"{path}: the file is empty (0 bytes)")
    if start.startswith(_FEATHER_1):
        yield pyarrow.feather.read_table(path)
        return
    with pa.memory_map(str(path)) as source:
        if start == _FILE:
            reader = pa.ipc.open_file(source)
            batches = (reader.get_batch(place) for place in range(reader.num_record_batches))
        else:
            reader = pa.ipc.open_stream(source)
            batches = iter(reader)
        yield reader.schema.empty_table()
        for batch in batches:
            yield pa.Table.from_batches([batch])


def without_views(table: pa.Table) -> pa.Table:
    """The table with its string views as strings: few of Arrow's own functions take views yet."""
    for place, column in enumerate(table.columns):
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if str(kind) in _VIEWS:
            plain = [chunk.dictionary_decode() if kind != column.type else chunk for chunk in column.chunks]
            plain = pa.chunked_array([chunk.cast(_VIEWS[str(kind)]) for chunk in plain], _VIEWS[str(kind)])
            table = table.set_column(place, table.field(place).with_type(plain.type), plain)
    return table


_VIEWS = {"string_view": pa.large_string(), "binary_view": pa.large_binary()}

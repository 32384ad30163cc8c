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

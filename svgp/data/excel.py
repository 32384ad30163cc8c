"""Excel sheets (.xlsx), through openpyxl: an extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from svgp.data.layout import AS_FOUND, TableFormat
from svgp.data.names import listed, nearest
from svgp.data.objects import to_array
from svgp.errors import DataError


def read(path: Path, wanted: TableFormat = AS_FOUND) -> pa.Table:
    """The first sheet, or the one that `wanted.table` names: a header row, then the rows.

    Empty rows at the end and columns without header and values are left out. Raises DataError.
    """
    try:
        import openpyxl
    except ImportError as error:
        raise DataError(
            f"{path}: Excel files need openpyxl: pip install 'svgp[excel]'; or save the sheet as CSV"
        ) from error
    with path.open("rb") as file:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        rows = [list(row) for row in _sheet(path, book, wanted.table).iter_rows(values_only=True)]
    rows = [row for row in rows if any(cell is not None for cell in row)]
    if not rows:
        raise DataError(f"{path}: the sheet is empty; expected a header row with column names")
    width = max(map(len, rows))
    rows = [row + [None] * (width - len(row)) for row in rows]
    columns = {place: [row[place] for row in rows] for place in range(width)}
    kept = [cells for cells in columns.values() if any(cell is not None for cell in cells)]
    names = ["" if cells[0] is None else str(cells[0]).strip() for cells in kept]
    return pa.Table.from_arrays([to_array(cells[1:]) for cells in kept], names=names)


def _sheet(path: Path, book: Any, name: str | None) -> Any:
    if name is None:
        return book.worksheets[0]
    if name not in book.sheetnames:
        names = book.sheetnames
        raise DataError(f"{path}: has no sheet '{name}'{nearest(name, names)} (there are {listed(names)})")
    return book[name]

"""Tables that a finished run is asked about: how their files are read."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from svgp.data import iter_tables
from svgp.data.layout import AS_FOUND, TableFormat
from svgp.data.origin import layout_of
from svgp.errors import DataError

if TYPE_CHECKING:
    from svgp.runs.run import Run


_OF_TABLES = (".xlsx", ".xlsm", ".sqlite", ".sqlite3", ".db", ".duckdb")


def format_for(run: Run, path: str | Path) -> TableFormat:
    """How to read a file: as it looks, or as the run's data.format says where only that gives its inputs.

    Of a database or a workbook the table, sheet or query that the config names comes first. Where neither
    gives them, as it looks.
    """
    if not str(path).lower().endswith(_OF_TABLES) and _gives_inputs(run, path, AS_FOUND):
        return AS_FOUND
    stated = TableFormat(**run.config.data.format.model_dump())
    return stated if stated != AS_FOUND and _gives_inputs(run, path, stated) else AS_FOUND


def _gives_inputs(run: Run, path: str | Path, format: TableFormat) -> bool:
    """Whether the file has the run's inputs so, with an encoding that is no guess."""
    try:
        first = next(islice(iter_tables(path, text=run.columns.text, format=format), 1))
    except (DataError, StopIteration):
        return False
    guessed = bool(layout_of(first)[2])
    return not guessed and set(run.columns.inputs) <= set(first.column_names)

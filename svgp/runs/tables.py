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


def format_for(run: Run, path: str | Path) -> TableFormat:
    """How to read a file: as it looks, or as the run's data.format says where only that gives its inputs.

    A table, sheet or query that the config names comes first. Of a file that neither gives, as it looks.
    """
    if _gives_inputs(run, path, AS_FOUND) and not _stated(run).table:
        return AS_FOUND
    stated = _stated(run)
    return stated if stated != AS_FOUND and _gives_inputs(run, path, stated) else AS_FOUND


def _stated(run: Run) -> TableFormat:
    return TableFormat(**run.config.data.format.model_dump())


def _gives_inputs(run: Run, path: str | Path, format: TableFormat) -> bool:
    """Whether the file has the run's inputs so, with an encoding that is no guess."""
    try:
        first = next(islice(iter_tables(path, text=run.columns.text, format=format), 1))
    except (DataError, StopIteration):
        return False
    guessed = bool(layout_of(first)[2])
    return not guessed and set(run.columns.inputs) <= set(first.column_names)

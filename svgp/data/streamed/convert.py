"""A folder of delimited files, written once as Parquet beside it."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from svgp import files
from svgp.data.layout import AS_FOUND, TableFormat
from svgp.data.sources import iter_tables
from svgp.data.writer import TableWriter
from svgp.errors import DataError
from svgp.remote import is_remote

DELIMITED = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
SAID_EVERY_S = 5.0


def delimited_files(folder: Path) -> list[Path]:
    """The delimited files of a folder and those in it, sorted; none where it holds Parquet."""
    if is_remote(folder) or not folder.is_dir() or next(folder.rglob("*.parquet"), None) is not None:
        return []
    found = [path for path in sorted(folder.rglob("*")) if path.name.lower().endswith(DELIMITED)]
    return [path for path in found if path.is_file() and not path.name.startswith((".", "_"))]


def as_parquet(folder: Path, *, text: Sequence[str] = (), format: TableFormat = AS_FOUND) -> Path:
    """A folder's delimited files as Parquet, in `<folder>.parquet-<digest>`; made if it is not there.

    One file for each, of the same columns. The digest is that of the files' names, sizes and times, so a
    folder that has changed is written anew. Says how far it is on stderr. Raises DataError, RunError.
    """
    found = delimited_files(folder)
    seen = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in found]
    digest = hashlib.sha256(repr((seen, sorted(text), format)).encode()).hexdigest()[:12]
    out = folder.with_name(f"{folder.name}.parquet-{digest}")
    if out.is_dir():
        return out
    columns: list[str] = []
    rows, said = 0, time.monotonic()
    with files.new_directory(out) as new:
        for number, path in enumerate(found):
            with TableWriter(new / f"part-{number:05d}.parquet") as writer:
                for table in iter_tables(path, text=text, format=format):
                    columns = columns or table.column_names
                    if table.column_names != columns:
                        raise DataError(
                            f"{path}: has the columns {', '.join(table.column_names)}, and {found[0].name} "
                            f"{', '.join(columns)}; the files of a folder must have the same"
                        )
                    writer.write(table)
                    rows += table.num_rows
                    if time.monotonic() - said > SAID_EVERY_S:
                        said = time.monotonic()
                        told = (
                            f"{folder}: {rows:,} rows of file {number + 1} of {len(found)} written to {out}"
                        )
                        print(told, file=sys.stderr, flush=True)
    print(f"{folder}: {rows:,} rows written to {out}", file=sys.stderr, flush=True)
    return out

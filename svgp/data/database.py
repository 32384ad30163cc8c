"""Tables of SQLite databases (from the standard library) and of DuckDB ones (an extra)."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa

from svgp.data.layout import AS_FOUND, TableFormat
from svgp.data.names import listed, nearest
from svgp.data.objects import to_array
from svgp.errors import DataError

_TABLES = """SELECT name FROM sqlite_master
WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name"""


def read(path: Path, wanted: TableFormat = AS_FOUND) -> pa.Table:
    """The database's only table, the one that `wanted.table` names, or what `wanted.query` selects.

    Databases are opened for reading only. Raises DataError.
    """
    return _duckdb(path, wanted) if path.name.lower().endswith(".duckdb") else _sqlite(path, wanted)


def _sqlite(path: Path, wanted: TableFormat) -> pa.Table:
    try:
        uri = f"file:{quote(str(path.absolute()))}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            tables = [name for (name,) in connection.execute(_TABLES)]
            cursor = connection.execute(_query(path, wanted, tables))
            names = [column[0] for column in cursor.description]
            rows = cursor.fetchall()
    except sqlite3.Error as error:
        raise DataError(f"{path}: cannot be read as a SQLite database: {error}") from error
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return pa.Table.from_arrays([to_array(values) for values in columns], names=names)


def _duckdb(path: Path, wanted: TableFormat) -> pa.Table:
    try:
        import duckdb
    except ImportError as error:
        raise DataError(
            f"{path}: DuckDB files need duckdb: pip install 'svgp[duckdb]'; or export the table to Parquet"
        ) from error
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            tables = [row[0] for row in connection.execute("SHOW TABLES").fetchall()]
            return connection.sql(_query(path, wanted, tables)).to_arrow_table()
    except duckdb.Error as error:
        raise DataError(f"{path}: cannot be read by DuckDB: {' '.join(str(error).split())}") from error


def _query(path: Path, wanted: TableFormat, tables: list[str]) -> str:
    if wanted.query:
        return wanted.query
    if wanted.table is None and len(tables) != 1:
        raise DataError(
            f"{path}: has {len(tables)} tables ({listed(tables)}); name one: data.format: {{table: NAME}}, or"
            " data.format: {query: 'SELECT ...'}"
        )
    name = wanted.table or tables[0]
    if name not in tables:
        raise DataError(f"{path}: has no table '{name}'{nearest(name, tables)} (there are {listed(tables)})")
    return 'SELECT * FROM "' + name.replace('"', '""') + '"'

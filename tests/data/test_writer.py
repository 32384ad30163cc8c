from __future__ import annotations

import gzip

import pyarrow as pa
import pytest

from svgp.data import TableWriter, iter_tables, read_table
from svgp.errors import DataError, RunError

TABLES = [
    pa.table({"a, b": [0.1, 1 / 3, None], "text": ["x", 'q"r,s', None], "n": [1, 2, 3]}),
    pa.table({"a, b": [1e-300], "text": ["two\nlines"], "n": [2**62]}),
]
JOINED = pa.concat_tables(TABLES).to_pydict()


@pytest.mark.parametrize("name", ["o.csv", "o.csv.gz", "o.parquet", "new/folder/o.csv"])
def test_what_is_written_reads_back_to_the_last_bit(tmp_path, name):
    path = tmp_path / name
    with TableWriter(path) as writer:
        for table in TABLES:
            writer.write(table)
        assert not path.exists()
    assert writer.rows == 4
    assert read_table(path).to_pydict() == JOINED
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o400


def test_csv_is_plain(tmp_path):
    with TableWriter(tmp_path / "o.csv") as writer:
        writer.write(pa.table({"x": [1.5, 2.0], "y": [1, 2]}))
    assert (tmp_path / "o.csv").read_bytes() == b"x,y\n1.5,1\n2,2\n"


def test_equal_tables_give_equal_gzip_bytes(tmp_path):
    for name in ("a.csv.gz", "b.csv.gz"):
        with TableWriter(tmp_path / name) as writer:
            writer.write(TABLES[0])
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()).startswith(b'"a, b",text,n\n')


@pytest.mark.parametrize("name", ["o.csv", "o.csv.gz", "o.parquet"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), TableWriter(path) as writer:
        writer.write(TABLES[0])
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_origin_of_a_table_is_not_written(tmp_path):
    with TableWriter(tmp_path / "a.csv") as writer:
        writer.write(TABLES[0])
    with TableWriter(tmp_path / "a.parquet") as writer:
        for piece in iter_tables(tmp_path / "a.csv", rows=1):
            writer.write(piece)
    assert b"svgp" not in (tmp_path / "a.parquet").read_bytes()


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(DataError, match=r"one of .csv, .csv.gz, .parquet"):
        TableWriter(tmp_path / "o.xlsx")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(RunError, match="cannot be written"), TableWriter(tmp_path / "folder.csv"):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"), TableWriter(tmp_path / "file" / "o.csv"):
        pass
    with pytest.raises(DataError, match="a piece has columns"), TableWriter(tmp_path / "o.csv") as writer:
        writer.write(pa.table({"a": [1]}))
        writer.write(pa.table({"b": [1]}))
    fault = "column 'a' holds list.*or write to .parquet"
    with pytest.raises(DataError, match=fault), TableWriter(tmp_path / "o.csv") as writer:
        writer.write(pa.table({"a": [[1, 2]]}))
    with pytest.raises(DataError, match="cannot be written"), TableWriter(tmp_path / "o.csv") as writer:
        writer.write(pa.table({"a": [1]}))
        writer.write(pa.table({"a": ["x"]}))
    with TableWriter(tmp_path / "o.csv"):
        pass
    assert not (tmp_path / "o.csv").exists()

"""Delimiters, encodings, and the formats that are no text."""

from __future__ import annotations

import gzip
import sqlite3

import pyarrow as pa
import pyarrow.feather
import pytest

from svgp.data import delimited, iter_tables, read_table
from svgp.data.layout import TableFormat
from svgp.data.origin import layout_of
from svgp.errors import DataError

EXPECTED = {"a": [1.5, 4.0], "é b": ["x", "y"], "c": [3, 6]}


@pytest.mark.parametrize("stream", [False, True], ids=["small", "streamed"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "  "])
@pytest.mark.parametrize("suffix", [".csv", ".txt.gz"])
def test_delimiter_and_encoding_are_found(write, monkeypatch, delimiter, encoding, suffix, stream):
    if stream:
        monkeypatch.setattr(delimited, "WHOLE_BYTES", 0)
    rows = [["a", '"é b"' if delimiter != "  " else "é b".replace(" ", "_"), "c"], ["1.5", "x", "3"],
            ["4", "y", "6"]]  # fmt: skip
    data = "".join(delimiter.join(row) + "\r\n" for row in rows).encode(encoding)
    path = write("t" + suffix, gzip.compress(data) if suffix.endswith("gz") else data)
    (table,) = iter_tables(path)
    expected = {name.replace(" ", "_") if delimiter == "  " else name: v for name, v in EXPECTED.items()}
    assert table.to_pydict() == expected
    if not stream:
        found, decoded, note = layout_of(read_table(path))
        assert found == delimiter[:1]
        assert decoded.replace("cp1252", "latin").startswith(encoding.split("-")[0])
        assert ("Latin-1" in note) == (encoding == "latin-1")


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("a,b\n1;2,3\n", ["a", "b"]),
        ("Größe, m2;Preis\n1,5;2\n3,5;4\n", ["Größe, m2", "Preis"]),
        ("first name,y\nAnn Lee,1\nBob,2\n", ["first name", "y"]),
        ("a;b\n1,5;\n2,5;3,5\n", ["a", "b"]),
        ('a;b\n"one;\ntwo";3\n', ["a", "b"]),
        ("sep=;\na;b\n1;2\n", ["a", "b"]),
        ("only\n1\n2\n", ["only"]),
        ("a;b;\n1;2;\n3;4;\n", ["a", "b"]),
        ("  a   b\n  1   2\n 3 4\n", ["a", "b"]),
        ("a\tb c\n1\tx y\n", ["a", "b c"]),
        ("a|b,c\n1|2,5\n2|3,5\n", ["a", "b,c"]),
    ],
)
def test_which_delimiter(write, content, names):
    assert read_table(write("t.csv", content)).column_names == names


def test_a_ragged_file_is_refused_by_its_delimiter(write):
    with pytest.raises(DataError, match="line 3 has 1 field where the header has 2.*data.format.delimiter"):
        read_table(write("t.csv", "a;b\n1;2\n3\n"))


@pytest.mark.parametrize("rows", [10, 60_000])
@pytest.mark.parametrize("limit", [0, 1 << 30], ids=["streamed", "whole"])
def test_letters_that_are_not_utf8_are_found_wherever_they_are(write, monkeypatch, rows, limit):
    monkeypatch.setattr(delimited, "WHOLE_BYTES", limit)
    data = ("a,t\n" + "1,x\n" * rows + "2,caf\xe9 5\x80\n").encode("latin-1")
    tables = list(iter_tables(write("t.csv", data)))
    assert tables[-1]["t"].to_pylist()[-1] == "café 5€"
    with pytest.raises(DataError, match="is not utf-8"):
        list(iter_tables(write("t.csv", data), format=TableFormat(encoding="utf-8")))


def test_what_the_config_says_of_a_file_is_done(write):
    path = write("t.csv", "a~b\n1~é\n".encode("cp850"))
    found = read_table(path, format=TableFormat(delimiter="~", encoding="cp850"))
    assert found.to_pydict() == {"a": [1], "b": ["é"]}
    with pytest.raises(DataError, match="no encoding 'utf8x'"):
        read_table(path, format=TableFormat(encoding="utf8x"))


def test_arrow_and_feather(tmp_path):
    table = pa.table({"a": [1, 2, 3], "t": pa.array(["x", None, "z"]).dictionary_encode()})
    pyarrow.feather.write_feather(table, tmp_path / "t.feather", compression="zstd")
    with pa.ipc.new_stream(tmp_path / "stream.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    for name in ("t.feather", "stream.arrow"):
        assert read_table(tmp_path / name).to_pydict() == table.to_pydict()
        assert [piece.num_rows for piece in iter_tables(tmp_path / name, rows=2)] == [2, 1]


def make_sqlite(path):
    with sqlite3.connect(path) as connection:
        connection.execute("create table houses (size real, town text, price)")
        rows = [(1.5, "Ulm", 10), (2, None, 12.5), (None, "Köln", 3)]
        connection.executemany("insert into houses values (?, ?, ?)", rows)
    connection.close()


HOUSES = {"size": [1.5, 2.0, None], "town": ["Ulm", None, "Köln"], "price": [10.0, 12.5, 3.0]}


def test_sqlite(tmp_path):
    path = tmp_path / "t.db"
    make_sqlite(path)
    assert read_table(path).to_pydict() == HOUSES
    query = TableFormat(query="select size from houses where size > 1 order by size desc")
    assert read_table(path, format=query).to_pydict() == {"size": [2.0, 1.5]}
    with pytest.raises(DataError, match="no table 'house'; did you mean 'houses'"):
        read_table(path, format=TableFormat(table="house"))
    with pytest.raises(DataError, match="readonly|read-only|not authorized"):
        read_table(path, format=TableFormat(query="delete from houses"))
    with sqlite3.connect(path) as connection:
        connection.execute("create table more (a)")
    connection.close()
    with pytest.raises(DataError, match=r"has 2 tables \('houses', 'more'\); name one: data.format"):
        read_table(path)


def test_duckdb(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect(str(tmp_path / "t.duckdb")) as connection:
        connection.execute("create table houses as select 1.5 as size, 'Ulm' as town")
    assert read_table(tmp_path / "t.duckdb")["town"].to_pylist() == ["Ulm"]
    with pytest.raises(DataError, match="cannot be read by DuckDB"):
        read_table(tmp_path / "t.duckdb", format=TableFormat(query="select nothing from nowhere"))


def test_excel(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["size", "town", None], [1.5, "Ulm", None], [2, None, None], [None, None, None]):
        book.active.append(row)
    book.create_sheet("more").append(["a"])
    book.save(tmp_path / "t.xlsx")
    assert read_table(tmp_path / "t.xlsx").to_pydict() == {"size": [1.5, 2.0], "town": ["Ulm", None]}
    with pytest.raises(DataError, match="no rows"):
        read_table(tmp_path / "t.xlsx", format=TableFormat(table="more"))
    with pytest.raises(DataError, match="no sheet 'moer'; did you mean 'more'"):
        read_table(tmp_path / "t.xlsx", format=TableFormat(table="moer"))


@pytest.mark.parametrize(("name", "extra"), [("openpyxl", "excel"), ("duckdb", "duckdb")])
def test_an_extra_that_is_missing_says_what_to_install(write, monkeypatch, name, extra):
    monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(DataError, match=rf"pip install 'svgp\[{extra}\]'"):
        read_table(write({"openpyxl": "t.xlsx", "duckdb": "t.duckdb"}[name], "content"))

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import os
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from svgp.data import delimited, fingerprint, iter_tables, read_table
from svgp.errors import DataError


def rows_of(table):
    return table.to_pydict()


def test_quotes_bom_crlf_unicode_headers_and_lines_within_fields(write):
    path = write(
        "t.csv", '\ufefflänge,"b ,x", 名前 \r\n1,"he said ""hi"", ok",3\r\n\r\n2.5,"two\nlines",4\r\n'
    )
    assert rows_of(read_table(path)) == {
        "länge": [1.0, 2.5], "b ,x": ['he said "hi", ok', "two\nlines"], "名前": [3, 4],
    }  # fmt: skip


def test_empty_fields_and_the_usual_spellings_are_missing(write):
    path = write("t.csv", "a,b,c\n1,,x\nNA,nan,\n3,null,NA\n")
    assert rows_of(read_table(path)) == {"a": [1, None, 3], "b": [None] * 3, "c": ["x", None, None]}


@pytest.mark.parametrize(
    "suffix, delimiter", [(".csv", ","), (".tsv", "\t"), (".csv.gz", ","), (".tsv.gz", "\t"), (".CSV", ",")]
)
def test_the_suffix_tells_delimiter_and_compression(write, suffix, delimiter):
    text = f"a{delimiter}b\n1{delimiter}2,5\n".replace(",5", ".5").encode()
    path = write("t" + suffix, gzip.compress(text) if suffix.endswith("gz") else text)
    assert rows_of(read_table(path)) == {"a": [1], "b": [2.5]}
    assert [rows_of(piece) for piece in iter_tables(path)] == [{"a": [1], "b": [2.5]}]


def test_columns_read_as_text_keep_leading_zeros(write):
    path = write("t.csv", "zip ,y\n01,1\n2,2\n")
    assert rows_of(read_table(path))["zip"] == [1, 2]
    assert rows_of(read_table(path, text=["zip"]))["zip"] == ["01", "2"]


def test_parquet_file_and_folder(tmp_path):
    for place, part in enumerate(["2", "1"]):
        pq.write_table(pa.table({"a": [place, place + 10]}), tmp_path / f"part{part}.parquet")
    pq.write_table(pa.table({"a": [99]}), tmp_path / ".hidden.parquet")
    assert rows_of(read_table(tmp_path / "part1.parquet")) == {"a": [1, 11]}
    assert rows_of(read_table(tmp_path)) == {"a": [1, 11, 0, 10]}  # in the order of the names
    assert [piece["a"].to_pylist() for piece in iter_tables(tmp_path, rows=3)] == [[1, 11, 0], [10]]


def test_parquet_partitions_become_columns_and_a_pandas_index_is_left_out(tmp_path):
    for site in ("east", "west"):
        (tmp_path / f"site={site}").mkdir()
        table = pa.table({"a": [1], "__index_level_0__": [7]})
        pq.write_table(table, tmp_path / f"site={site}" / "0.parquet")
    assert rows_of(read_table(tmp_path)) == {"a": [1, 1], "site": ["east", "west"]}


def test_npz_arrays_become_columns(tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, X=np.arange(6.0).reshape(3, 2), y=np.ones((3, 1)), label=np.array(["a", "b", "c"]))
    assert rows_of(read_table(path)) == {
        "x1": [0, 2, 4],
        "x2": [1, 3, 5],
        "y": [1, 1, 1],
        "label": ["a", "b", "c"],
    }
    assert [piece.num_rows for piece in iter_tables(path, rows=2)] == [2, 1]


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"X": np.ones((3, 2)), "y": np.ones(4)}, "differ in length"),
        ({"X": np.ones((3, 2)), "x1": np.ones(3)}, "two arrays give the column 'x1'"),
        ({"a": np.ones((2, 2, 2))}, "shape"),
        ({"a": np.ones(3) * 1j}, "complex128"),
        ({}, "holds no arrays"),
        ({"a": np.array([{}, []], dtype=object)}, "cannot be read"),
    ],
)
def test_npz_faults(tmp_path, arrays, message):
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "t.npz")


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("t.csv", b"", r"the file is empty \(0 bytes\)"),
        ("t.csv", b"\n\n", "the file is empty; expected a header"),
        ("t.csv", b"a,b\n", "header but no rows"),
        ("t.csv", b"a,b", "header but no rows"),
        ("t.csv", b"a,b,a\n1,2,3\n", "'a' occur more than once"),
        ("t.csv", b",b\n1,2\n", "column 1 of 2 has no name"),
        ("t.csv", b"1.5,2\n3,4\n", "only numbers"),
        ("t.csv", b"a,b\n1,2\n3\n", r"line 3 has 1 field where the header has 2: '3'"),
        ("t.csv", b"a,b\n1,2\n3,4,5\n", r"line 3 has 3 fields where the header has 2: '3,4,5'"),
        ("t.csv", gzip.compress(b"a\n1\n", mtime=0), "rename it to t.csv.gz"),
        ("t.csv", b"PAR1....", "rename it to t.parquet"),
        ("t.csv.gz", b"a,b\n1,2\n", "damaged"),
        ("t.csv.gz", gzip.compress(os.urandom(4000).hex().encode())[:-2000], "damaged"),
        ("t.parquet", b"", "empty"),
        ("t.parquet", b"PAR1 broken PAR1", "damaged"),
        ("t.npz", b"", "empty"),
        ("t.npz", b"PK broken", "cannot be read"),
        ("t.csv", b"ARROW1..", "rename it to t.arrow"),
        ("t.csv", b"PK\x03\x04....", "rename it to t.xlsx"),
        ("t.arrow", b"", "empty"),
        ("t.arrow", b"ARROW1 broken", "damaged"),
        ("t.xlsx", b"broken", "cannot be read"),
        ("t.sqlite", b"broken" * 200, "cannot be read as a SQLite database"),
        ("t.doc", b"zip", "told by the suffix"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("read", [read_table, lambda path: list(iter_tables(path))], ids=["whole", "stream"])
def test_a_damaged_or_empty_file_is_one_clear_error(write, name, content, message, read):
    path = write(name, content)
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_gzip_is_never_read_as_a_shorter_table(write):
    whole = gzip.compress(
        b"a\n" + "\n".join(map(str, np.random.default_rng(0).integers(0, 10**9, 5000))).encode()
    )
    for cut in (5, 8, 100, len(whole) // 2):
        with pytest.raises(DataError, match="damaged"):
            read_table(write("t.csv.gz", whole[:-cut]))


def test_a_missing_file_suggests_a_neighbour(write, tmp_path):
    write("train.csv", "a\n1\n")
    with pytest.raises(DataError, match=r"trian.csv: no such file; did you mean 'train.csv'\?"):
        read_table(tmp_path / "trian.csv")
    with pytest.raises(DataError, match="the folder .* does not exist"):
        read_table(tmp_path / "nowhere" / "train.csv")


def test_a_folder_without_parquet(tmp_path):
    with pytest.raises(DataError, match=r"without .parquet files"):
        read_table(tmp_path)


def test_an_unreadable_file(write, monkeypatch):
    path = write("t.csv", "a\n1\n")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(
        delimited, "find_layout", refuse
    )  # the tests may run as root, who may read everything
    with pytest.raises(DataError, match="permission denied; make the file readable"):
        read_table(path)


def test_a_large_csv_streams_with_the_types_of_all_its_rows(write, monkeypatch):
    monkeypatch.setattr(delimited, "WHOLE_BYTES", 0)
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 2000)
    rows = 2000
    late = "\n".join(
        f"{i},{i if i < 1900 else i + 0.5},{i if i < 1900 else 'word'},{'true' if i % 2 else 'false'},"
        f"{1 if i < 1000 else 'true'},{7 if i < 900 else '' if i < 1100 else 'true'},{i:04d},"
        for i in range(rows)
    )
    path = write("t.csv", "int,float,text,bool,onetrue,mixed,code,none\n" + late + "\n")
    pieces = list(iter_tables(path, rows=300, text=["code"]))
    assert [piece.num_rows for piece in pieces] == [300] * 6 + [200]
    assert len({str(piece.schema.remove_metadata()) for piece in pieces}) == 1
    assert [str(field.type) for field in pieces[0].schema] == [
        "int64", "double", "string", "bool", "bool", "string", "string", "int64",
    ]  # fmt: skip
    joined = pa.concat_tables([piece.replace_schema_metadata(None) for piece in pieces])
    whole = read_table(path, text=["code"]).replace_schema_metadata(None)
    for name in ("int", "float", "text", "bool", "mixed", "code"):
        assert joined[name].to_pylist() == whole[name].to_pylist(), name


def test_lines_within_fields_may_span_blocks(write, monkeypatch):
    monkeypatch.setattr(delimited, "WHOLE_BYTES", 0)
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 1000)
    path = write("t.csv", "a,b\n" + '"one\ntwo, ""three""\n",1\n' * 500)
    for table in (read_table(path), *iter_tables(path)):
        assert table.to_pydict() == {"a": ['one\ntwo, "three"\n'] * 500, "b": [1] * 500}


def test_a_ragged_row_in_a_large_csv_is_found(write, monkeypatch):
    monkeypatch.setattr(delimited, "WHOLE_BYTES", 0)
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 1000)
    path = write("t.csv", "a,b\n" + "1,2\n" * 3000 + "1,2,3\n")
    with pytest.raises(DataError, match="line 3002 has 3 fields where the header has 2"):
        list(iter_tables(path))


def test_fingerprints_are_of_the_raw_bytes(write, tmp_path):
    path = write("t.csv", "a\n1\n")
    assert fingerprint(path) == hashlib.sha256(b"a\n1\n").hexdigest()
    write("folder/a.parquet", b"1")
    write("folder/b.parquet", b"2")
    first = fingerprint(tmp_path / "folder")
    assert first == hashlib.sha256(b"a.parquet\x001b.parquet\x002").hexdigest()
    (tmp_path / "folder/b.parquet").rename(tmp_path / "folder/c.parquet")
    assert fingerprint(tmp_path / "folder") != first


def test_damage_inside_an_archive_is_told_as_such(tmp_path):
    rows = "".join(f"{i},{i * 7919 % 10007}\n" for i in range(4000))
    packed = bytearray(gzip.compress(("a,y\n" + rows).encode()))
    packed[2000:2100] = bytes(100)
    (tmp_path / "bad.csv.gz").write_bytes(packed)
    with zipfile.ZipFile(tmp_path / "letter.xlsx", "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    names = ["bad.csv.gz", *(["letter.xlsx"] if importlib.util.find_spec("openpyxl") else [])]
    for name in names:
        with pytest.raises(DataError, match=f"{name}: cannot be read.*damaged"):
            read_table(tmp_path / name)

"""Tables by URI: of a store the same rows as of a folder here, and one message for each fault."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem, _MockFileSystem

from svgp import remote
from svgp.config import Config, load_config
from svgp.data import iter_tables, load_dataset
from svgp.data.sources import fingerprint, read_table
from svgp.errors import ConfigError, DataError
from svgp.remote import RemotePath, is_remote, table_path


def make_table(rows, seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=rows)
    return pa.table({"a": a, "colour": rng.choice(["red", "green"], rows), "y": np.sin(a)})


@pytest.fixture
def folder(tmp_path):
    """Two years in folders of their own, and what a store may hold beside them."""
    path = tmp_path / "store" / "rows"
    for year, rows in ((2020, 300), (2021, 250)):
        (path / f"year={year}").mkdir(parents=True)
        pq.write_table(make_table(rows, year), path / f"year={year}" / "part.parquet", row_group_size=100)
    (path / "_delta").mkdir()
    pq.write_table(make_table(10, 1), path / "_delta" / "log.parquet")
    return path


@pytest.fixture
def bucket(folder, monkeypatch):
    """The same as s3://bucket/rows; the URIs that were opened."""
    asked = []

    def open_store(uri):
        asked.append(uri)
        place = uri.split("?")[0].removeprefix("s3://bucket/")
        return SubTreeFileSystem(str(folder.parent), LocalFileSystem()), place

    monkeypatch.setattr(remote, "open_store", open_store)
    return asked


def config(path, **more):
    test = more.pop("test", {"fraction": 0.2, "split": "hash"})
    data = {"path": str(path), "target": "y", "categorical": ["colour"], "test": test, **more}
    return Config.from_dict({"name": "stored", "data": data}).data


def arrays(dataset):
    rows = [dataset.rows, *([] if dataset.test_rows is None else [dataset.test_rows])]
    return [
        np.concatenate(part) for r in rows for part in zip(*((b.X, b.Y) for b in r.blocks(64)), strict=True)
    ]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kind", ["file", "s3", "one file"])
def test_a_table_in_a_store_is_that_of_the_folder(folder, bucket, monkeypatch, kind, stream):
    here, uri = folder, "s3://bucket/rows?region=eu-west-1"
    if kind == "file":
        monkeypatch.undo()
        uri = folder.as_uri()
    if kind == "one file":
        here, uri = folder / "year=2020/part.parquet", "s3://bucket/rows/year=2020/part.parquet"
    local = load_dataset(config(here, stream=stream), "regression")
    stored = load_dataset(config(uri, stream=stream), "regression")
    assert stored.columns.input_names == local.columns.input_names
    assert ("year" in stored.columns.input_names) == (kind != "one file")
    for one, other in zip(arrays(stored), arrays(local), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (stored.sha256, stored.name) == (local.sha256, local.name)


def test_test_rows_may_lie_in_a_store(folder, bucket):
    wanted = {"path": "s3://bucket/rows/year=2021/part.parquet"}
    for stream in (True, False):
        found = load_dataset(
            config(folder / "year=2020/part.parquet", test=wanted, stream=stream), "regression"
        )
        assert (found.rows.count, found.test_rows.count) == (300, 250)


def test_pyarrows_own_store_in_memory(monkeypatch):
    store = _MockFileSystem()
    store.create_dir("bucket/rows")
    pq.write_table(make_table(40, 0), "bucket/rows/a.parquet", filesystem=store)
    monkeypatch.setattr(remote, "open_store", lambda uri: (store, uri.removeprefix("gs://")))
    assert read_table("gs://bucket/rows").equals(read_table("gs://bucket/rows/a.parquet"))
    assert sum(table.num_rows for table in iter_tables("gs://bucket/rows", 16)) == 40
    with pytest.raises(DataError, match="gs://bucket/none: no such file or folder in that store"):
        read_table("gs://bucket/none")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (OSError("AWS Error NO_SUCH_BUCKET"), r"NO_SUCH_BUCKET.*is the name right"),
        (
            OSError("AWS Error ACCESS_DENIED during HeadObject"),
            r"ACCESS_DENIED.*credentials in the environment",
        ),
        (
            pa.ArrowNotImplementedError("Got GCS URI but Arrow compiled without GCS support"),
            "install a pyarrow",
        ),
        (pa.ArrowInvalid("Missing bucket name in S3 URI"), "Missing bucket"),
    ],
)
def test_what_a_store_answers_is_one_message(monkeypatch, answer, told):
    def refuse(uri):
        raise answer

    monkeypatch.setattr(remote, "open_store", refuse)
    for read in (
        lambda: load_dataset(config("s3://bucket/rows"), "regression"),
        lambda: read_table("s3://bucket/rows.parquet"),
        lambda: fingerprint("s3://bucket/rows"),
    ):
        with pytest.raises(DataError, match=f"s3://bucket/rows.*cannot be read: .*{told}"):
            read()


def test_a_fault_within_the_table_names_it_as_well(folder, bucket):
    part = folder / "year=2020" / "part.parquet"
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(DataError, match="s3://bucket/rows: cannot be read"):
        load_dataset(config("s3://bucket/rows", stream=True), "regression")
    (folder / "a.csv").write_text("a,y\n1,2\n")
    with pytest.raises(DataError, match="a.csv: of a store only Parquet is read"):
        read_table("s3://bucket/rows/a.csv")


def test_a_uri_stays_as_it_is_in_a_config(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("data: {path: 's3://bucket/rows?region=x', target: y, test: {path: gs://b/t.parquet}}\n")
    found = load_config(path)
    assert str(found.data.path) == "s3://bucket/rows?region=x"
    path.write_text(found.to_yaml())
    assert "path: s3://bucket/rows?region=x\n" in path.read_text()
    assert load_config(path) == found
    path.write_text("data: {path: 'https://a.b/c.csv', target: y}\n")
    with pytest.raises(ConfigError, match="path on this machine, got 'https://a.b.*URI of s3://, gs://"):
        load_config(path)


def test_a_uri_that_was_made_a_path_is_one_again():
    """The command line's arguments are Paths, which take one slash from two."""
    assert table_path(Path("s3://bucket/rows")) == RemotePath("s3://bucket/rows")
    assert table_path(Path("file:///tmp/rows")) == RemotePath("file:///tmp/rows")
    assert table_path("rows.csv") == Path("rows.csv") and not is_remote("/s3:/x") and not is_remote("c:/x")
    assert table_path("hdfs://host:8020/rows/x.parquet").name == "x.parquet"

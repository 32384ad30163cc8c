"""A Parquet folder read as a stream: the same columns, rows and split as in memory, in bounded pieces."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from svgp.config.data import DataConfig
from svgp.config.likelihoods import LIKELIHOODS
from svgp.data import load_dataset
from svgp.data.held_out import held_out_rows
from svgp.data.streamed import gathered, load
from svgp.data.streamed import rows as streamed_rows
from svgp.errors import DataError


def make_table(rows: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    a = rng.normal(1e6, 2.0, rows)
    colour = rng.choice(["red", "green", "blue"], rows)
    y = np.sin(a) + 0.1 * rng.normal(size=rows)
    return pa.table({"a": a, "colour": colour, "flat": np.ones(rows), "y": y})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two years in folders of their own, seven row groups."""
    path = tmp_path_factory.mktemp("table")
    for year, rows in ((2020, 900), (2021, 650)):
        (path / f"year={year}").mkdir()
        table = make_table(rows, seed=year)
        pq.write_table(table, path / f"year={year}" / "part.parquet", row_group_size=250)
    return path


def config(path, **more):
    test = {"fraction": 0.2, "split": "hash", **more.pop("test", {})}
    return DataConfig(**{"path": path, "target": ["y"], "categorical": ["colour"], "test": test, **more})


def everything(rows):
    blocks = list(rows.blocks(100))
    assert [block.start for block in blocks] == list(range(0, rows.count, 100))
    return np.concatenate([block.X for block in blocks]), np.concatenate([block.Y for block in blocks])


def test_a_stream_has_the_rows_columns_and_scales_of_the_table_in_memory(folder):
    whole = load_dataset(config(folder, stream=False), "regression")
    stream = load_dataset(config(folder, stream=True), "regression")
    assert whole.columns.input_names == stream.columns.input_names
    for name in ("input_mean", "input_scale", "target_mean", "target_scale"):
        np.testing.assert_allclose(getattr(stream.columns, name), getattr(whole.columns, name), rtol=1e-11)
    for rows, X, Y in (
        (stream.rows, whole.X, whole.Y),
        (stream.test_rows, whole.X_test, whole.Y_test),
    ):
        assert not rows.in_memory and rows.count == len(X)
        for found, wanted in zip((*everything(rows), *rows.sample()), (X, Y, X, Y), strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-9)  # the mean is 1e6 deviations from zero
        np.testing.assert_allclose(rows.extent(), [X.min(axis=0), X.max(axis=0)], atol=1e-9)
        for found, wanted in zip(rows.moments(), (X.mean(0), X.std(0), Y.mean(0), Y.std(0)), strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_epochs_of_a_stream_see_each_row_once_in_a_new_order_and_go_on_from_any_step(folder, monkeypatch):
    monkeypatch.setattr(streamed_rows, "WINDOW", 400)  # so that there are several
    rows = load_dataset(config(folder, stream=True), "regression").rows
    size = 97
    steps = -(-rows.count // size)
    seen = [Y for _, Y in islice(rows.batches(size, seed=5), 2 * steps)]
    epochs = [np.concatenate(seen[:steps])[:, 0], np.concatenate(seen[steps:])[:, 0]]
    wanted = np.sort(everything(rows)[1][:, 0])
    assert all(np.array_equal(np.sort(epoch), wanted) for epoch in epochs)
    assert not np.array_equal(*epochs)
    assert all(len(Y) == size for Y in seen[: steps - 1])
    # Neighbours in an epoch come from places far apart in the table, not from one row group.
    place = np.searchsorted(wanted, epochs[0])
    assert np.abs(np.corrcoef(place[:-1], place[1:])[0, 1]) < 0.1
    for step in (3, steps - 1, steps + 4):
        X, Y = next(rows.batches(size, seed=5, start=step))
        np.testing.assert_array_equal(Y, seen[step])
    halves = [next(rows.batches(size, seed=5, start=3, shard=(k, 2)))[1] for k in range(2)]
    np.testing.assert_array_equal(np.concatenate(halves), seen[3])


def test_what_is_at_hand_is_part_of_what_predictions_see(folder, monkeypatch):
    for module in (load, gathered):
        monkeypatch.setattr(module, "SAMPLE", 300)
    monkeypatch.setattr(gathered, "NEAR", 700)
    rows = load_dataset(config(folder, stream=True), "regression").rows
    monkeypatch.setattr(gathered, "NEAR", 0)
    alone = load_dataset(config(folder, stream=True), "regression").rows
    (X, Y), (near, targets) = rows.sample(), rows.near()
    assert len(X) == 300 and len(near) == 700
    np.testing.assert_array_equal(X, alone.sample()[0])  # the same rows, whatever is kept beside them
    assert alone.near()[0] is alone.sample()[0]
    seen = {row.tobytes() for row in np.c_[near, targets]}
    assert len(seen) == 700 and {row.tobytes() for row in np.c_[X, Y]} < seen


def test_shards_of_a_stream_make_up_the_whole(folder):
    rows = load_dataset(config(folder, stream=True), "regression").rows
    shards = [rows.shard(k, 3) for k in range(3)]
    assert min(shard.count for shard in shards) > 0.15 * rows.count
    together = np.concatenate([block.Y for shard in shards for block in shard.blocks()])
    np.testing.assert_array_equal(together, everything(rows)[1])


def test_a_hash_holds_out_its_share_and_new_rows_move_no_old_one():
    values = np.random.default_rng(0).normal(size=(20_000, 3))
    names = ["a", "b", "c"]
    mask = held_out_rows(values, names, 0.1, seed=4)
    assert abs(mask.mean() - 0.1) < 5 * np.sqrt(0.09 / 20_000)  # five standard errors
    np.testing.assert_array_equal(held_out_rows(values[:50], names, 0.1, seed=4), mask[:50])
    np.testing.assert_array_equal(held_out_rows(values[:, ::-1], names[::-1], 0.1, seed=4), mask)
    assert np.any(held_out_rows(values, names, 0.1, seed=5) != mask)
    wider = np.c_[values, np.zeros(len(values))]  # a level that no old row has
    np.testing.assert_array_equal(held_out_rows(wider, [*names, "d=new"], 0.1, seed=4), mask)


def test_faults_in_a_stream_are_named_with_their_row(tmp_path):
    table = make_table(300)
    a = table["a"].to_numpy().copy()
    a[277] = np.inf
    pq.write_table(table.set_column(0, "a", pa.array(a)), tmp_path / "bad.parquet", row_group_size=100)
    with pytest.raises(DataError, match=r"infinite values in 'a' \(1 row, first row 278\)"):
        load_dataset(config(tmp_path / "bad.parquet", stream=True), "regression")
    a[277] = np.nan
    pq.write_table(table.set_column(0, "a", pa.array(a)), tmp_path / "gap.parquet", row_group_size=100)
    left = config(tmp_path / "gap.parquet", stream=True, missing="drop")
    found = load_dataset(left, "regression")
    assert found.rows.count + found.test_rows.count == 299
    assert any("1 row of 300 dropped" in note for note in found.notes)
    with pytest.raises(DataError, match="is for Parquet"):
        load_dataset(DataConfig(path=tmp_path / "t.csv", target=["y"], stream=True), "regression")


def test_a_folder_of_delimited_files_is_written_as_parquet_once(tmp_path, capsys):
    folder = tmp_path / "logs"
    folder.mkdir()
    for part in range(2):
        rows = "".join(f"{i},red,{i * part}\n" for i in range(40))
        (folder / f"{part}.csv").write_text("a,colour,y\n" + rows)
    wanted = config(folder, stream=True)
    found = load_dataset(wanted, "regression")
    assert found.rows.count + found.test_rows.count == 80 and found.name == "logs"
    assert "80 rows written" in capsys.readouterr().err
    again = load_dataset(wanted, "regression")
    assert again.sha256 == found.sha256 and capsys.readouterr().err == ""
    (folder / "2.csv").write_text("a,y\n1,2\n")
    with pytest.raises(DataError, match="must have the same"):
        load_dataset(wanted, "regression")
    assert len(list(tmp_path.iterdir())) == 2  # nothing is left of the attempt


def gappy(path, rows=400):
    """A table with gaps in a number, a category and a date, and a positive target of one missing row."""
    table = make_table(rows, seed=9)
    rng = np.random.default_rng(9)
    a, colour = table["a"].to_numpy().copy(), np.array(table["colour"].to_pylist(), object)
    a[rng.random(rows) < 0.2] = np.nan
    colour[rng.random(rows) < 0.1] = None
    y = np.exp(2.0 * table["y"].to_numpy())
    y[7] = np.nan
    day = [None if i % 9 == 0 else f"2024-01-{1 + i % 28:02d}" for i in range(rows)]
    content = {"a": a, "full": rng.normal(size=rows), "colour": pa.array(colour), "day": day, "y": y}
    pq.write_table(pa.table(content), path, row_group_size=90)
    return path


@pytest.mark.parametrize("transform", ["none", "log", "quantile"])
def test_gaps_and_transforms_of_a_stream_are_those_of_the_table_in_memory(tmp_path, transform):
    path = gappy(tmp_path / "gaps.parquet")
    more = {"missing": "indicator", "target_transform": transform}
    whole = load_dataset(config(path, stream=False, **more), "regression")
    stream = load_dataset(config(path, stream=True, **more), "regression")
    assert stream.columns.input_names == whole.columns.input_names
    assert stream.columns.input_names[-3:] == ["a missing", "colour missing", "day missing"]
    for rows, X, Y in ((stream.rows, whole.X, whole.Y), (stream.test_rows, whole.X_test, whole.Y_test)):
        for found, wanted in zip((*everything(rows), *rows.sample()), (X, Y, X, Y), strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-8)
        for found, wanted in zip(rows.moments()[2:], (Y.mean(0), Y.std(0)), strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-9)
    # A row that is held out stays so, whatever other rows make the mean that stands in for a gap.
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table.slice(0, 30)]), tmp_path / "more.parquet")
    longer = load_dataset(config(tmp_path / "more.parquet", stream=True, **more), "regression")
    kept = longer.columns.unscale_mean(longer.test_rows.sample()[1])
    assert set(np.round(whole.columns.unscale_mean(whole.Y_test)[:, 0], 9)) == set(np.round(kept[:, 0], 9))


def test_a_stream_keeps_the_order_of_levels_and_refuses_what_has_no_logarithm(tmp_path):
    rng = np.random.default_rng(0)
    grade = rng.choice(["low", "middle", "high"], 90)
    pq.write_table(pa.table({"a": rng.normal(size=90), "y": grade}), tmp_path / "grades.parquet")
    likelihood = LIKELIHOODS["ordinal"](type="ordinal", levels=["low", "middle", "high"])
    wanted = config(tmp_path / "grades.parquet", stream=True, categorical=[])
    assert load_dataset(wanted, likelihood).columns.classes == ["low", "middle", "high"]
    y = np.r_[rng.random(89) + 1.0, -2.0]
    pq.write_table(pa.table({"a": rng.normal(size=90), "y": y}), tmp_path / "negative.parquet")
    for seed in range(3):  # whichever side of the split the row is on
        asked = config(
            tmp_path / "negative.parquet", stream=True, categorical=[], target_transform="log",
            test={"fraction": 0.5, "seed": seed},
        )  # fmt: skip
        with pytest.raises(DataError, match="-2"):
            load_dataset(asked, "regression")

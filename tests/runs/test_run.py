from __future__ import annotations

import contextlib
import shutil
import sqlite3
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from matplotlib.figure import Figure

import svgp
from svgp import files
from svgp.data import read_table
from svgp.errors import DataError, RunError
from svgp.runs import Run, evaluate, predict_file


@pytest.fixture(scope="module")
def alone(regression, tmp_path_factory):
    """The same run, opened where its training data are not."""
    path = tmp_path_factory.mktemp("elsewhere") / "run"
    shutil.copytree(regression.path, path)
    config = path / "config.yaml"
    config.write_text(config.read_text().replace("regression.csv", "gone.csv"))
    return svgp.load_run(path)


def test_an_opened_run_predicts_as_the_trained_one_without_its_data(regression, alone, tables):
    table = read_table(tables["regression"], text=["colour"])
    ours, theirs = regression.predict(table), alone.predict(table)
    np.testing.assert_array_equal(ours.mean, theirs.mean)
    np.testing.assert_array_equal(ours.quantiles, theirs.quantiles)
    assert alone.metrics == regression.metrics
    with pytest.raises(DataError, match="gone.csv"):
        _ = alone.dataset


def test_predictions_are_in_original_units(regression):
    said = regression.predict({"x": [0.0, 1.0], "z": [150.0, 250.0], "colour": ["red", "green"]})
    assert said.mean.shape == said.std.shape == (2,) and said.quantiles.shape == (2, 3)
    assert np.all(np.abs(said.mean - 5000) < 3000) and np.all(said.std > 1)
    # A Gaussian predictive distribution: median at the mean, 97.5% at 1.96 standard deviations.
    np.testing.assert_allclose(said.quantiles[:, 1], said.mean, rtol=1e-9)
    np.testing.assert_allclose(said.quantiles[:, 2], said.mean + 1.959964 * said.std, rtol=1e-6)


def test_arrays_come_in_the_order_of_the_inputs(make_config, no_plots):
    run = svgp.train(make_config("count", max_steps=2))
    x = np.array([0.0, 1.0])
    np.testing.assert_array_equal(run.predict(x).mean, run.predict({"x": x}).mean)
    assert np.all(run.predict(x[:, None]).quantiles >= 0)
    with pytest.raises(DataError, match=r"must be \[rows, 1\].*got shape \(2, 2\)"):
        run.predict(np.zeros((2, 2)))


def test_evaluate_on_the_held_out_rows_gives_the_logged_metrics(regression):
    found = evaluate(regression.path)
    for name, value in found.items():
        assert value == pytest.approx(regression.metrics[f"test.{name}"], rel=1e-9)


def test_evaluate_on_a_file(alone, tables, tmp_path):
    assert evaluate(alone, tables["regression"])["rmse"] > 0
    table = read_table(tables["regression"], text=["colour"]).drop_columns(["y"])
    pyarrow.parquet.write_table(table, tmp_path / "inputs.parquet")
    with pytest.raises(DataError, match="lack the target column 'y'"):
        evaluate(alone, tmp_path / "inputs.parquet")


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_predict_file_keeps_the_other_columns(alone, tables, tmp_path, suffix):
    out = tmp_path / f"out.{suffix}"
    assert predict_file(alone, tables["regression"], out) == 60
    written, given = read_table(out), read_table(tables["regression"])
    assert written.column_names == [*given.column_names, "y_mean", "y_std", "y_q025", "y_q500", "y_q975"]
    assert written["id"].to_pylist() == given["id"].to_pylist()
    np.testing.assert_allclose(written["y_mean"], alone.predict(given).mean, rtol=1e-12)


def test_predict_file_of_classes(make_config, tables, tmp_path, no_plots):
    run = svgp.train(make_config("binary", max_epochs=10, learning_rate=0.1))
    predict_file(run, tables["binary"], tmp_path / "out.csv")
    written = read_table(tmp_path / "out.csv")
    probability = np.array(written["y_probability"])
    assert np.all((probability > 0) & (probability < 1))
    labels = np.array(written["y_label"].to_pylist())
    np.testing.assert_array_equal(labels, np.where(probability >= 0.5, "yes", "no"))
    assert np.mean(labels == np.array(written["y"].to_pylist())) > 0.8


def test_a_name_that_is_taken_is_refused_and_nothing_written(alone, tables, tmp_path):
    table = read_table(tables["regression"]).append_column("y_std", pa.array(np.ones(60)))
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    with pytest.raises(DataError, match="already has a column 'y_std'"):
        predict_file(alone, tmp_path / "in.parquet", tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]


def test_every_plot_is_a_figure(regression):
    for name in ("loss_curves", "inducing_over_time", "inducing_positions", "ard_relevance",
                 "predicted_vs_actual", "residuals_vs_std", "calibration"):  # fmt: skip
        assert isinstance(getattr(regression, f"plot_{name}")(), Figure)
    with pytest.raises(RunError, match="fit: needs a run with one input"):
        regression.plot_fit()
    drawn = {path.stem for path in (regression.path / "plots").iterdir()}
    assert drawn == set(regression.figures())


def test_the_report_is_one_page(regression):
    page = (regression.path / "report.html").read_text()
    assert "data:image/png;base64," in page and "regression" in page


def test_the_relevance_of_each_input_is_in_the_metrics(regression):
    assert list(regression.metrics["relevance"]) == regression.columns.input_names
    assert regression.metrics["relevance"]["x"] > 0.1  # the target is mostly a sine of it


def test_what_was_found_at_the_end_stands_in_the_report(regression, tmp_path):
    shutil.copytree(regression.path, tmp_path / "run")
    run = svgp.load_run(tmp_path / "run")
    files.write_json(run.folder.metrics, {**run.metrics, "notes": ["1 of 3 inputs is idle"]})
    run.write_report()
    assert "<li>1 of 3 inputs is idle</li>" in (tmp_path / "run" / "report.html").read_text()


def test_without_test_rows_pictures_show_training_rows_and_say_so(regression):
    whole = regression.dataset
    bare = Run(regression.folder, dataset=replace(whole, X_test=None, Y_test=None))
    said, Y = bare.predict_held_out([0.1, 0.9])
    assert said.quantiles.shape == (48, 2) and len(Y) == 48
    assert bare.plot_calibration().axes[0].get_ylabel() == "share of training rows inside"


def test_no_run_folder(tmp_path):
    with pytest.raises(RunError, match="no such run folder"):
        svgp.load_run(tmp_path / "nothing")


def test_predict_reads_a_file_as_the_config_says_where_it_must_and_never_replaces_it(regression, tmp_path):
    odd, said = tmp_path / "odd.csv", []
    odd.write_text("x~z~colour\n0.5~200~red\n0.1~150~mauve\n", encoding="utf-8")
    with pytest.raises(DataError, match="input column 'x' is not there"):
        regression.predict_file(odd, tmp_path / "out.csv")
    run = svgp.load_run(regression.path)
    stated = run.config.data.format.model_copy(update={"delimiter": "~"})
    data = run.config.data.model_copy(update={"format": stated, "missing": "drop"})
    run.__dict__["config"] = run.config.model_copy(update={"data": data})
    assert run.predict_file(odd, tmp_path / "out.csv", note=said.append) == 2
    assert said == ["1 row with a level of 'colour' that training has not seen: zeros there"]
    usual = tmp_path / "usual.csv"
    usual.write_text("x,z,colour,y\n0.5,200,red,5000\n0.1,,red,5000\n", encoding="utf-8")
    with pytest.raises(DataError, match="is the table itself"):
        run.predict_file(usual, usual)
    assert set(run.evaluate(usual)) == {"rmse", "nlpd", "coverage_50", "coverage_90", "coverage_95"}


def test_of_a_workbook_or_database_the_table_that_the_config_names_comes_first(regression, tmp_path):
    path = tmp_path / "all.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as base:
        for name, x in (("first", 0.5), ("second", -0.5)):
            base.execute(f"CREATE TABLE {name} (x REAL, z REAL, colour TEXT)")
            base.execute(f"INSERT INTO {name} VALUES ({x}, 200, 'red')")
        base.commit()
    run = svgp.load_run(regression.path)
    with pytest.raises(DataError, match="has 2 tables"):
        run.predict_file(path, tmp_path / "out.csv")
    stated = run.config.data.format.model_copy(update={"table": "second"})
    data = run.config.data.model_copy(update={"format": stated})
    run.__dict__["config"] = run.config.model_copy(update={"data": data})
    run.predict_file(path, tmp_path / "out.csv")
    assert read_table(tmp_path / "out.csv")["x"].to_pylist() == [-0.5]

"""evaluate, predict, plot, report, runs, export: each on a run that was trained once."""

from __future__ import annotations

import json
import shutil

import pyarrow.csv
import pytest


@pytest.fixture
def points(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("id,x,y\na,-1.5,0.1\nb,0.0,0.2\nc,1.5,0.3\n", encoding="utf-8")
    return path


def test_evaluate_repeats_the_metrics_of_training(svgp, run_folder):
    metrics = json.loads((run_folder / "metrics.json").read_text())
    scores = json.loads(svgp("evaluate", run_folder, "--json").out)
    assert scores["rmse"] == pytest.approx(metrics["test.rmse"], rel=1e-9)
    assert scores["nlpd"] == pytest.approx(metrics["test.nlpd"], rel=1e-9)


def test_evaluate_on_a_table(svgp, run_folder, points):
    ended = svgp("evaluate", run_folder, "--data", points)
    assert ended.code == 0 and ended.out.split()[0] == "rmse"


def test_predict_keeps_the_columns_and_adds_its_own(svgp, run_folder, points, tmp_path):
    out = tmp_path / "out.csv.gz"
    ended = svgp("predict", run_folder, points, "-o", out)
    assert ended.code == 0 and ended.out == f"{out}: 3 rows\n"
    table = pyarrow.csv.read_csv(out)
    assert table.column_names == ["id", "x", "y", "y_mean", "y_std", "y_q025", "y_q500", "y_q975"]
    assert table["id"].to_pylist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("data", "out", "told"),
    [
        ("nowhere.csv", "out.csv", "nowhere.csv"),
        ("points.csv", "out.xlsx", ".csv, .csv.gz, .parquet"),
        ("lacks.csv", "out.csv", "input column 'x' is not there"),
    ],
)
def test_predict_refuses(svgp, run_folder, points, tmp_path, data, out, told):
    (tmp_path / "lacks.csv").write_text("z\n1\n", encoding="utf-8")
    ended = svgp("predict", run_folder, tmp_path / data, "-o", tmp_path / out)
    assert ended.code == 1 and told in ended.err
    assert not (tmp_path / out).exists()


@pytest.mark.parametrize("command", [["evaluate"], ["report"], ["plot"], ["predict", "x.csv", "-o", "y.csv"]])
def test_what_is_no_run_is_refused(svgp, tmp_path, command):
    ended = svgp(command[0], tmp_path / "no_run", *command[1:])
    assert ended.code == 1 and "no such run folder" in ended.err


def test_plot_writes_where_it_is_told(svgp, run_folder, tmp_path):
    ended = svgp("plot", run_folder, "-o", tmp_path / "plots")
    assert ended.code == 0
    written = sorted(path.name for path in (tmp_path / "plots").glob("*.png"))
    assert "loss_curves.png" in written and "fit.png" in written
    assert sorted(ended.out.split()) == [str(tmp_path / "plots" / name) for name in written]


def test_plot_lays_runs_over_each_other(svgp, run_folder, tmp_path):
    other = tmp_path / "small" / "second"
    shutil.copytree(run_folder, other)
    ended = svgp("plot", run_folder, other, "-o", tmp_path / "both")
    assert ended.code == 0 and ended.out == f"{tmp_path}/both/loss_curves.png\n"
    (other / "metrics.jsonl").unlink()
    ended = svgp("plot", run_folder, other, "-o", tmp_path / "both")
    assert ended.code == 1 and "has logged nothing yet" in ended.err


def test_report_is_written_anew(svgp, run_folder, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    (run / "report.html").unlink()
    assert svgp("report", run).out == f"{run}/report.html\n"
    assert (run / "report.html").read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")


def test_runs_lists_and_sorts(svgp, run_folder, tmp_path):
    for number, rmse in enumerate((0.3, 0.1, 0.2)):
        shutil.copytree(run_folder, tmp_path / f"small/{number}")
        metrics = json.loads((run_folder / "metrics.json").read_text())
        (tmp_path / f"small/{number}/metrics.json").write_text(json.dumps({**metrics, "test.rmse": rmse}))
    best_first = svgp("runs", tmp_path, "--sort", "test.rmse").out.splitlines()
    assert best_first[0].split()[:3] == ["name", "started", "status"]
    assert [line.split()[-1] for line in best_first[1:]] == [f"{tmp_path}/small/{n}" for n in (1, 2, 0)]
    rows = json.loads(svgp("runs", tmp_path, "--sort", "-test.rmse", "--json").out)
    assert [row["test.rmse"] for row in rows] == [0.3, 0.2, 0.1]
    wrong = svgp("runs", tmp_path, "--sort", "colour")
    assert wrong.code == 2 and "test.rmse" in wrong.err


def test_no_runs(svgp, tmp_path):
    assert svgp("runs", tmp_path).out == f"no runs in {tmp_path}; svgp train CONFIG makes one\n"
    assert json.loads(svgp("runs", tmp_path / "nowhere", "--json").out) == []


def test_export_writes_a_saved_model(svgp, run_folder, tmp_path):
    ended = svgp("export", run_folder, "-o", tmp_path / "served")
    assert ended.code == 0 and ended.out == f"{tmp_path}/served\n"
    assert json.loads((tmp_path / "served/svgp.json").read_text())["inputs"] == ["x"]
    assert (tmp_path / "served/saved_model.pb").exists()
    again = svgp("export", run_folder, "-o", tmp_path / "served")
    assert again.code == 1 and "already exists" in again.err


def test_diagnose_prints_sentences_or_json(svgp, run_folder, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    ended = svgp("diagnose", run)
    assert ended.code == 0 and "- At most" in ended.out and "residual_mean" in ended.out
    found = json.loads(svgp("diagnose", run, "--json").out)
    assert found["sentences"][-1] in ended.out
    assert json.loads((run / "diagnose.json").read_text())["sentences"] == found["sentences"]


def test_update_folds_rows_into_a_new_run(svgp, run_folder, points, tmp_path):
    ended = svgp("update", run_folder, points, "--run-dir", tmp_path / "updated")
    assert ended.code == 0, ended.err
    assert "update.rows" in ended.out and str(tmp_path / "updated") in ended.out

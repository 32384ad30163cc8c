from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

import svgp
from svgp import files
from svgp.config import load_config
from svgp.diagnostics.plots import save_all
from svgp.errors import RunError, TrainingDiverged
from svgp.models.collapsed.bound import CollapsedBound
from svgp.training import METHODS, Adam, Silent


def test_a_run_folder_holds_what_is_promised(regression):
    names = {path.name for path in regression.path.iterdir()}
    assert names == {
        "config.yaml", "environment.json", "status.json", "metrics.json", "metrics.jsonl", "inducing.jsonl",
        "inducing_start.json", "checkpoints", "model", "plots", "report.html",
    }  # fmt: skip
    assert regression.status == "finished"
    assert regression.path.parent.name == "regression"
    assert load_config(regression.path / "config.yaml") == regression.config


def test_final_metrics(regression):
    metrics = dict(regression.metrics)
    assert set(metrics) >= {
        "train.elbo", "test.rmse", "test.nlpd", "test.coverage_50", "test.coverage_90", "test.coverage_95",
        "wall_s", "steps",
    }  # fmt: skip
    assert metrics["steps"] == 9 and metrics["stopped"] == "max_epochs: 3 epochs done"
    relevance = metrics.pop("relevance")
    metrics.pop("predictive", None), metrics.pop("notes", None)
    least, most = metrics.pop("forecast.before")
    assert 0.0 < least <= most < math.inf
    assert len(relevance) > 1 and all(math.isfinite(value) for value in relevance.values())
    assert all(math.isfinite(value) for value in metrics.values() if not isinstance(value, str))
    # The target's standard deviation is about 650: original units, not standardised ones.
    assert 10 < metrics["test.rmse"] < 3000


def test_history_rows(regression):
    rows = regression.history()
    assert [row["step"] for row in rows] == [3, 6, 9]
    assert list(rows[0])[:9] == [
        "step", "epoch", "wall_s", "elbo", "elbo_per_row", "expected_log_likelihood", "kl", "jitter",
        "repairs",
    ]  # fmt: skip
    assert rows[-1]["test.rmse"] == regression.metrics["test.sparse.rmse"]
    assert rows[-1]["wall_s"] <= regression.metrics["wall_s"]
    assert [row["step"] for row in regression.inducing_history()] == [0, 3, 6, 9]
    assert "NaN" not in (regression.path / "metrics.jsonl").read_text()


def test_environment_says_what_the_run_was_made_with(regression):
    environment = regression.environment
    assert environment["packages"]["tensorflow"] == tf.__version__
    assert environment["tf32"] is False
    assert len(environment["data"]["sha256"]) == 64


def test_the_final_elbo_is_the_bound_of_all_rows(regression):
    dataset = regression.dataset
    assert regression.metrics["train.elbo"] == pytest.approx(
        float(regression.model.elbo((dataset.X, dataset.Y))), rel=1e-9
    )


@pytest.mark.parametrize(
    "name, expected",
    [("binary", {"test.accuracy", "test.nlpd", "test.ece"}), ("count", {"test.rmse", "test.nlpd"})],
)
def test_other_tasks(make_config, name, expected, monkeypatch):
    shown = "probability_surface" if name == "binary" else "fit"

    def one_picture(run):  # what draws the others is the same for all tasks
        return save_all({shown: run.figures()[shown]}, run.folder.plots)

    monkeypatch.setattr(svgp.runs.Run, "write_plots", one_picture)
    run = svgp.train(make_config(name))
    sparse = {key.replace("test.", "test.sparse.") for key in expected}  # the inducing points alone
    assert {key for key in run.metrics if key.startswith("test.")} == expected | sparse
    assert (run.path / "plots" / f"{shown}.png").exists()


def test_the_progress_hears_of_rows_and_time(make_config, tmp_path, no_plots):
    heard = SimpleNamespace(notes=[], left=[])

    class Ear(Silent):
        def note(self, text):
            heard.notes.append(text)

        def row(self, row, *, rate, remaining_s):
            heard.left.append(remaining_s)

    svgp.train(make_config(max_steps=6, evaluate_every=100.0), run_dir=tmp_path / "run", progress=Ear())
    assert "8 inducing points; adam, 3 steps an epoch; float64 on cpu" in heard.notes[0]
    assert str(tmp_path / "run") in heard.notes[1]
    assert len(heard.left) == 2 and heard.left[0] > 0 and heard.left[-1] == 0


def test_precision_is_honoured(make_config, tmp_path, no_plots):
    run = svgp.train(make_config(precision="float32", max_steps=2), run_dir=tmp_path / "run")
    assert run.model.dtype == tf.float32
    assert svgp.load_run(run.path).model.dtype == tf.float32


def test_divergence_keeps_the_last_good_state(make_config, tmp_path, monkeypatch, no_plots):
    class Sabotaged(Adam):
        def advance(self):
            if self.step == 4:
                self.model.q_mean.assign(self.model.q_mean * np.nan)
            return super().advance()

    monkeypatch.setitem(METHODS, "adam", Sabotaged)
    with pytest.raises(TrainingDiverged) as error:
        svgp.train(make_config(max_epochs=4, checkpoint_every=1e-9), run_dir=tmp_path / "run")
    assert "diverged at step 5" in str(error.value) and "not finite: q_mean" in str(error.value)
    run = svgp.load_run(tmp_path / "run")
    assert run.status == "failed"
    assert np.isfinite(run.predict_scaled(np.zeros((2, 4))).mean).all()
    assert max(row["step"] for row in run.history()) < 5
    status = files.read_json(tmp_path / "run" / "status.json")
    assert "diverged at step 5" in status["message"]


def test_a_folder_in_use_is_refused_before_anything_is_read(make_config, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"already exists and is not empty.*--resume"):
        svgp.train(make_config(), run_dir=tmp_path)
    with pytest.raises(RunError, match="not a folder that may be written to"):
        svgp.train(make_config(), run_dir=tmp_path / "notes.txt" / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_bad_data_leave_no_folder(make_config, tmp_path):
    config = make_config()
    missing = config.data.model_copy(update={"path": tmp_path / "missing.csv"})
    with pytest.raises(svgp.errors.DataError):
        svgp.train(config.model_copy(update={"data": missing}), run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_a_clear_error(make_config, tmp_path):
    with pytest.raises(RunError, match=r"train.device: gpu was asked for.*train.device=cpu"):
        svgp.train(make_config(device="gpu"), run_dir=tmp_path / "run")


def test_tensorboard_only_if_asked(regression, make_config, tmp_path, no_plots):
    pytest.importorskip("tensorboard")
    assert not (regression.path / "tensorboard").exists()
    svgp.train(make_config(tensorboard=True, max_steps=2), run_dir=tmp_path / "run")
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_fewer_rows_than_inducing_points_is_said(make_config, tmp_path, no_plots):
    config = make_config(max_steps=1)
    model = config.model.model_copy(
        update={"inducing": config.model.inducing.model_copy(update={"count": 500})}
    )
    run = svgp.train(config.model_copy(update={"model": model}), run_dir=tmp_path / "run")
    assert run.metrics["inducing"] == 48
    assert any("48" in note and "500" in note for note in run.environment["notes"])
    assert json.loads((tmp_path / "run" / "inducing.jsonl").read_text().splitlines()[0])["count"] == 48


def test_a_subset_is_completed_before_the_final_scores(make_config, tmp_path, no_plots):
    """Patience ends the run at a step that the method cannot foresee: q(u) has seen 20 of 48 rows by then."""
    said: list[str] = []

    class Ear(Silent):
        def note(self, text):
            said.append(text)

    settings = {"method": "collapsed", "subset_rows": 20, "max_epochs": 60, "patience": 1}
    run = svgp.train(make_config(**settings), run_dir=tmp_path / "run", progress=Ear())
    dataset, metrics = run.dataset, run.metrics
    best = CollapsedBound(run.model, dataset.X, dataset.Y).evaluate().bound
    assert metrics["train.elbo"] == pytest.approx(best, rel=1e-6)
    assert metrics["test.rmse"] == pytest.approx(run.evaluate()["rmse"], rel=1e-9)
    assert metrics["notes"] and all(note in said for note in metrics["notes"])
    assert metrics["notes"][0].startswith("collapsed bound")

"""A run under `model.bound: ppgpr`: what its folder says, saving, resuming, starts and the export."""

from __future__ import annotations

import os
import shutil
import signal

import numpy as np
import pytest
import tensorflow as tf

import svgp
from svgp import files
from svgp.config import Config
from svgp.errors import Interrupted
from svgp.models import model_state
from svgp.runs import diagnose
from svgp.runs.export import export
from svgp.training import Silent

pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture(scope="module")
def ppgpr_config(make_config):
    def make(**train):
        values = make_config(**{"max_epochs": 4, "log_every": 4, "method": "auto", **train}).to_dict()
        values["model"]["bound"] = "ppgpr"
        return Config.from_dict(values)

    return make


def titles(run):
    found = [axes.get_title(loc="left") for axes in run.plot_loss_curves().axes]
    return [title for title in found if title]


class Ear(Silent):
    """Keeps what is said; presses Ctrl-C once a row of step `stop` is logged."""

    def __init__(self, stop=None):
        self.said, self.stop = [], stop

    def note(self, text):
        self.said.append(text)

    def row(self, row, *, rate, remaining_s):
        if self.stop is not None and row["step"] >= self.stop:
            self.stop = None
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def trained(ppgpr_config, tmp_path_factory):
    ear = Ear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svgp.runs.Run, "write_plots", lambda run: [])
        folder = tmp_path_factory.mktemp("ppgpr") / "run"
        return svgp.train(ppgpr_config(), run_dir=folder, progress=ear), ear.said


def test_elbo_and_objective_stand_side_by_side(trained):
    run, said = trained
    data = run.dataset.X, run.dataset.Y
    assert run.metrics["method"] == "adam" and any("model.bound: ppgpr is no ELBO" in line for line in said)
    assert run.metrics["train.elbo"] == pytest.approx(float(run.model.elbo(data)), rel=1e-9)
    assert run.metrics["train.objective"] == pytest.approx(float(run.model.objective(data)), rel=1e-9)
    for row in run.history():
        assert row["objective"] > row["elbo"]
        assert row["objective_per_row"] == row["objective"] / 48
        assert row["elbo"] == pytest.approx(row["expected_log_likelihood"] - row["kl"])
    page = (run.path / "report.html").read_text()
    assert "Predictive objective" in page and "objective_per_row" in page
    assert titles(run)[:2] == ["ELBO", "Predictive objective"]


def test_other_runs_have_no_objective_of_their_own(regression):
    assert not [name for name in regression.metrics if "objective" in name]
    assert "Predictive objective" not in titles(regression)


def test_a_saved_model_and_an_export_predict_the_same(trained, tmp_path):
    run, _ = trained
    again = svgp.load_run(run.path)
    assert again.model.bound.name == "ppgpr"
    table = {"x": [0.1, -1.0], "z": [150.0, 250.0], "colour": ["red", "green"]}
    expected = run.predict(table)
    np.testing.assert_array_equal(again.predict(table).mean, expected.mean)
    serve = tf.saved_model.load(str(export(run, tmp_path / "export"))).signatures["serving_default"]
    numbers = tf.constant(np.stack([table["x"], table["z"]], 1))
    served = serve(inputs=numbers, categories=tf.constant([["red"], ["green"]]))
    np.testing.assert_allclose(np.ravel(served["mean"]), np.ravel(expected.mean), rtol=1e-9)
    np.testing.assert_allclose(np.ravel(served["std"]), np.ravel(expected.std), rtol=1e-9)


def test_interrupted_and_resumed_equals_uninterrupted(ppgpr_config, trained, tmp_path):
    with pytest.raises(Interrupted):
        svgp.train(ppgpr_config(), run_dir=tmp_path / "run", progress=Ear(stop=6))
    straight, resumed = trained[0], svgp.train(resume=tmp_path / "run")
    ours, theirs = model_state(straight.model), model_state(resumed.model)
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    rows = [[{**row, "wall_s": 0.0} for row in run.history()] for run in (straight, resumed)]
    assert rows[0] == rows[1]
    assert straight.metrics["train.objective"] == resumed.metrics["train.objective"]


def test_starts_are_compared_by_what_is_trained(ppgpr_config, tmp_path):
    ear = Ear()
    run = svgp.train(ppgpr_config(restarts=2), run_dir=tmp_path / "run", progress=ear)
    assert any("start 2 of 2 (seed 5, lengthscales x 0.5): objective/row" in line for line in ear.said)
    trials = files.read_json(run.path / "restarts.json")
    best = max(trials, key=lambda trial: trial["bound"])["start"]
    assert f"start {best + 1} goes on: it has the best bound" in ear.said


def test_diagnose_does_not_call_its_elbo_untrained(trained, tmp_path):
    shutil.copytree(trained[0].path, tmp_path / "run")
    text = "\n".join(diagnose(svgp.load_run(tmp_path / "run"))["sentences"])
    assert (
        "model.bound=ppgpr looks for good predictions instead" in text
        and "q(u) misses its optimum" not in text
    )

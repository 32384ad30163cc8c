"""Several starts: the best goes on, within the budget; interrupted while trying, resumed to the same bits."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

import svgp
from svgp import files
from svgp.errors import Interrupted, TrainingDiverged
from svgp.models import model_state
from svgp.runs import restarts
from svgp.training import Silent

pytestmark = pytest.mark.usefixtures("no_plots", "steps_without_graphs")

# 3 steps an epoch: 24 in all, 2 for each start. What an evaluation says is tested elsewhere.
SETTINGS = {"restarts": 3, "max_epochs": 8, "evaluate_every": 4.0}


class Ear(Silent):
    """Keeps what is said; presses Ctrl-C when it hears `word`."""

    def __init__(self, word=None):
        self.said, self.word = [], word

    def note(self, text):
        self.said.append(text)
        if self.word and self.word in text:
            self.word = None
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def straight(make_config, tmp_path_factory, steps_without_graphs):
    ear = Ear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svgp.runs.Run, "write_plots", lambda run: [])
        return svgp.train(
            make_config(**SETTINGS), run_dir=tmp_path_factory.mktemp("restarts") / "run", progress=ear
        ), ear.said


def test_the_best_of_all_starts_goes_on(straight):
    run, said = straight
    trials = files.read_json(run.path / "restarts.json")
    assert [trial["start"] for trial in trials] == [0, 1, 2] and {trial["steps"] for trial in trials} == {2}
    best = max(trials, key=lambda trial: trial["bound"])["start"]
    assert f"start {best + 1} goes on: it has the best bound" in said
    assert any(line.startswith("start 2 of 3 (seed 5, lengthscales x 0.5): ELBO/row") for line in said)
    assert not list(run.folder.checkpoints.glob("start_*"))
    # It went on where its trial had ended, and the clock shows all trials.
    assert run.metrics["steps"] == 24 and run.history()[0]["step"] == 3
    assert run.inducing_history()[0]["step"] == 2
    assert run.metrics["wall_s"] > sum(trial["seconds"] for trial in trials)
    method, _ = restarts.prepare(run.config, run.dataset, best)
    np.testing.assert_array_equal(run.inducing_start(), method.model.Z.numpy())


def test_each_start_is_another(straight):
    run, _ = straight
    models = [restarts.prepare(run.config, run.dataset, start)[0].model for start in range(3)]
    scales = [model.kernel.lengthscales.numpy()[0] for model in models]
    assert len(set(scales)) == 3 and scales[0] > scales[1]
    assert not np.array_equal(models[0].Z.numpy(), models[1].Z.numpy())


@pytest.mark.parametrize("word", ["start 1 of 3", "start 3 of 3"])
def test_interrupted_while_trying_and_resumed_equals_uninterrupted(make_config, straight, tmp_path, word):
    with pytest.raises(Interrupted, match="--resume"):
        svgp.train(make_config(**SETTINGS), run_dir=tmp_path / "run", progress=Ear(word))
    ear = Ear()
    resumed = svgp.train(resume=tmp_path / "run", progress=ear)
    assert not any(word in line for line in ear.said)  # what was tried is not tried again
    assert resumed.metrics["test.rmse"] == straight[0].metrics["test.rmse"]
    ours, theirs = model_state(straight[0].model), model_state(resumed.model)
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    untimed = [
        [{k: v for k, v in row.items() if k != "wall_s"} for row in run.history()]
        for run in (straight[0], resumed)
    ]
    assert untimed[0] == untimed[1]


def test_time_for_all_starts_comes_out_of_the_budget(make_config, tmp_path):
    settings = {"restarts": 2, "max_epochs": None, "max_seconds": 1.0, "method": "collapsed"}
    run = svgp.train(make_config(**settings), run_dir=tmp_path / "run")
    trials = files.read_json(run.path / "restarts.json")
    assert all(trial["steps"] >= 1 for trial in trials)
    assert sum(trial["seconds"] for trial in trials) <= run.metrics["wall_s"]
    assert run.metrics["stopped"].startswith(("max_seconds", "converged"))


def test_a_start_that_diverges_is_passed_over_and_all_of_them_are_an_error(
    make_config, straight, tmp_path, monkeypatch
):
    trying = restarts._try

    def first_diverges(config, dataset, start, request, folder):
        if start in bad:
            return restarts.Trial(start, None, 2, 0.1, "it broke"), {}
        return trying(config, dataset, start, request, folder)

    monkeypatch.setattr(restarts, "_try", first_diverges)
    bad = {max(files.read_json(straight[0].path / "restarts.json"), key=lambda t: t["bound"])["start"]}
    ear = Ear()
    run = svgp.train(make_config(**SETTINGS), run_dir=tmp_path / "one", progress=ear)
    assert run.metrics["steps"] == 24 and any("diverged: it broke" in line for line in ear.said)
    bad = {0, 1, 2}
    with pytest.raises(TrainingDiverged, match="all 3 starts diverged; the first one: it broke"):
        svgp.train(make_config(**SETTINGS), run_dir=tmp_path / "all")

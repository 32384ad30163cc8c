"""Interrupted and resumed equals uninterrupted, to the last bit."""

from __future__ import annotations

import os
import re
import shutil
import signal

import numpy as np
import pytest

import svgp
from svgp.config import Config
from svgp.errors import Interrupted, RunError, TrainingDiverged
from svgp.models import model_state
from svgp.models.collapsed.panels import Lanes
from svgp.runs import Run, list_runs, session
from svgp.training import Silent

pytestmark = pytest.mark.usefixtures("no_plots")


class Killer(Silent):
    """Presses Ctrl-C while a certain row is logged."""

    def __init__(self, step: int, number: int = signal.SIGINT) -> None:
        self.step, self.number = step, number

    def row(self, row, *, rate, remaining_s):
        if row["step"] >= self.step:
            self.step = 10**9
            os.kill(os.getpid(), self.number)


def untimed(rows):
    return [{name: value for name, value in row.items() if name != "wall_s"} for row in rows]


def assert_equal_runs(one, other):
    assert untimed(one.history()) == untimed(other.history())
    assert one.inducing_history() == other.inducing_history()
    ours, theirs = model_state(one.model), model_state(other.model)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    timed = (
        "wall_s",
        "session_s",
        "stopped",
        "forecast.train_s",
        "forecast.session_s",
        "forecast.before",
        "peak_bytes",
    )
    before, after = ({k: v for k, v in run.metrics.items() if k not in timed} for run in (one, other))
    for metrics in (before, after):  # passes are those of the last session, and so is the form
        metrics["notes"] = [re.sub(r"\w+ form, \d+ passes", "", n) for n in metrics.get("notes", [])]
    assert before == after


@pytest.fixture(scope="module")
def settings():
    # Rows every 4 steps do not fall together with evaluations every 3: an interrupt leaves steps unlogged.
    return {"max_epochs": 4, "log_every": 4}


@pytest.fixture(scope="module")
def straight(make_config, settings, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "write_plots", lambda run: [])
        return svgp.train(make_config(**settings), run_dir=tmp_path_factory.mktemp("straight") / "run")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_resumed_equals_uninterrupted(make_config, settings, straight, tmp_path, number):
    with pytest.raises(Interrupted, match=f"at step 6.*--resume {tmp_path}") as error:
        svgp.train(make_config(**settings), run_dir=tmp_path / "run", progress=Killer(6, number))
    assert error.value.exit_code == 130
    halted = svgp.load_run(tmp_path / "run")
    assert halted.status == "interrupted"
    assert np.isfinite(halted.predict_scaled(np.zeros((1, 4))).mean).all()
    resumed = svgp.train(resume=tmp_path / "run")
    assert_equal_runs(straight, resumed)
    assert resumed.environment["resumed"][0]["step"] == 6


class Panels:
    """Sends SIGTERM while rows are in a panel of a pass, the `number`-th time that there are any."""

    def __init__(self, monkeypatch, number):
        self.left, run = number, Lanes.run

        def counted(lanes, work, keep_going, rows=None):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGTERM)
            run(lanes, work, keep_going, rows)

        monkeypatch.setattr(Lanes, "run", counted)


@pytest.mark.parametrize("where", ["the first evaluation", "a pass", "the predictions"])
def test_a_stop_within_a_pass_or_at_the_end_is_no_other_run(make_config, tmp_path, monkeypatch, where):
    config = make_config(method="collapsed", max_epochs=4, log_every=2, subset_rows=40)
    straight = svgp.train(config, run_dir=tmp_path / "straight")
    with monkeypatch.context() as patch:
        if where == "the predictions":
            fit = session.fit_predictive

            def killed(*arguments, **options):
                os.kill(os.getpid(), signal.SIGTERM)
                return fit(*arguments, **options)

            patch.setattr(session, "fit_predictive", killed)
        else:
            Panels(patch, 2 if where == "the first evaluation" else 6)
        ended = "while the run was ending" if where == "the predictions" else r"at step [0-3]; everything"
        with pytest.raises(Interrupted, match=f"SIGTERM {ended}.*--resume {tmp_path}"):
            svgp.train(config, run_dir=tmp_path / "run")
    assert svgp.load_run(tmp_path / "run").status == "interrupted"
    assert_equal_runs(straight, svgp.train(resume=tmp_path / "run"))


def test_a_finished_run_goes_on_as_if_it_had_never_ended(make_config, settings, straight, tmp_path):
    """Ends at step 5, between two rows: the row that the end forced is dropped again."""
    first = svgp.train(make_config(**settings, max_steps=5), run_dir=tmp_path / "run")
    assert first.history()[-1]["step"] == 5 and "test.rmse" in first.history()[-1]
    resumed = svgp.train(make_config(**settings), resume=tmp_path / "run")
    assert_equal_runs(straight, resumed)


def test_a_damaged_newest_checkpoint_costs_steps_and_not_the_run(make_config, settings, straight, tmp_path):
    with pytest.raises(Interrupted):
        svgp.train(
            make_config(**settings, checkpoint_every=1e-9), run_dir=tmp_path / "run", progress=Killer(6)
        )
    (tmp_path / "run/checkpoints/step_000000006/state.safetensors").write_bytes(b"torn")
    said: list[str] = []

    class Ear(Silent):
        def note(self, text):
            said.append(text)

    resumed = svgp.train(resume=tmp_path / "run", progress=Ear())
    assert_equal_runs(straight, resumed)
    assert any("step_000000006" in text and "going back" in text for text in said)


def test_equal_seeds_give_equal_runs(make_config, settings, straight, tmp_path):
    assert_equal_runs(straight, svgp.train(make_config(**settings), run_dir=tmp_path / "run"))


def test_resuming_refuses_another_run(make_config, regression, tmp_path):
    with pytest.raises(RunError, match=r"train.batch_size \(16 -> 8\).*Only these may change"):
        svgp.train(make_config(batch_size=8), resume=regression.path)
    with pytest.raises(RunError, match="no such run folder"):
        svgp.train(resume=tmp_path / "nothing")
    with pytest.raises(RunError, match="holds no config.yaml"):
        svgp.train(resume=tmp_path)


def test_resuming_refuses_data_that_changed(on_a_table_of_its_own, tmp_path):
    table = on_a_table_of_its_own(tmp_path / "run")
    table.write_text(table.read_text().replace("red", "green"))
    with pytest.raises(RunError, match="data have changed"):
        svgp.train(resume=tmp_path / "run")


def test_a_run_that_is_still_running_is_left_alone(regression, tmp_path):
    shutil.copytree(regression.path, tmp_path / "run")
    run = svgp.load_run(tmp_path / "run")
    run.folder.write_status("running", pid=os.getppid())
    with pytest.raises(RunError, match="still running"):
        svgp.train(resume=tmp_path / "run")


def test_a_resumed_run_takes_the_paths_that_it_began_with(tmp_path, monkeypatch):
    """Of two paths the rounding differs: measured anew, the other one could win."""
    from types import SimpleNamespace

    from svgp import files
    from svgp.linalg import paths
    from svgp.runs.folder import RunFolder
    from svgp.runs.launch import _take_paths

    folder, adam = RunFolder(tmp_path), SimpleNamespace(name="adam")
    files.write_json(folder.environment, {"paths": {"float64": 512, "float32": 1024, "source": "measured"}})
    monkeypatch.setattr(paths, "tune", lambda: pytest.fail("measured again"))
    try:
        _take_paths(folder, adam, resumed=True)
        assert paths.current() == paths.Paths(512, 1024, "measured")
    finally:
        paths.take(paths.FIXED)
    _take_paths(folder, SimpleNamespace(name="collapsed"), resumed=False)  # which has one path only
    assert paths.current() == paths.FIXED


def test_two_trainings_do_not_share_a_folder_and_an_edited_config_is_no_resumed_run(
    make_config, regression, tmp_path
):
    shutil.copytree(regression.path, tmp_path / "run")
    run = svgp.load_run(tmp_path / "run")
    with run.folder.claimed(), pytest.raises(RunError, match="another process is training"):
        svgp.train(resume=tmp_path / "run")
    edited = run.folder.config.read_text().replace("seed: 4", "seed: 5")
    run.folder.config.write_text(edited)
    with pytest.raises(RunError, match=r"config.yaml: has been changed.*train.seed \(4 -> 5\)"):
        svgp.train(resume=tmp_path / "run")
    assert run.folder.config.read_text() == edited


def test_damaged_parts_of_a_run_folder_are_named(regression, tmp_path):
    shutil.copytree(regression.path, tmp_path / "run")
    folder = svgp.load_run(tmp_path / "run").folder
    folder.status.write_text("[]")
    with pytest.raises(RunError, match="status.json: holds list where an object is expected.*delete it"):
        svgp.train(resume=folder.path)
    folder.status.unlink()
    for path in folder.checkpoints.glob("*/state.json"):
        path.write_text(path.read_text().replace('"loop"', '"pool"'))
    with pytest.raises(RunError, match="holds no readable checkpoint"):
        svgp.train(resume=folder.path)
    folder.metrics.write_text("[]")
    (folder.model / "model.json").write_text('{"format": 1}')
    (row,) = list_runs(folder.path)
    assert row["status"] == "interrupted" and "metrics.json: holds list" in row["message"]
    with pytest.raises(RunError, match="not a whole saved model"):
        svgp.load_run(folder.path).predict({"x": [0.0]})


def test_a_start_that_is_no_model_is_a_divergence_with_its_diagnosis(make_config, tmp_path, no_plots):
    values = make_config(max_steps=2).to_dict()
    values["model"]["kernel"] = {"type": "matern32", "lengthscales": 1e-300}
    with pytest.raises(TrainingDiverged, match="Likely causes"):
        svgp.train(Config.from_dict(values), run_dir=tmp_path / "run")


def test_a_run_without_its_first_checkpoint_begins_again(make_config, settings, straight, tmp_path):
    begun = tmp_path / "run"
    shutil.copytree(straight.path, begun)
    for name in ("checkpoints", "model", "plots"):
        shutil.rmtree(begun / name, ignore_errors=True)
    (begun / "metrics.json").unlink()
    (begun / "checkpoints").mkdir()
    (begun / "checkpoints" / ".step_000000000.abcd1234").mkdir()
    assert_equal_runs(straight, svgp.train(resume=begun))
    assert not list((begun / "checkpoints").glob(".*"))
    shutil.rmtree(begun / "checkpoints")
    before = (begun / "metrics.json").read_bytes()
    with pytest.raises(RunError, match="holds no readable checkpoint"):  # of a run that is done: it stays
        svgp.train(resume=begun)
    assert (begun / "metrics.json").read_bytes() == before

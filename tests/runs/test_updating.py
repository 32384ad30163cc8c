"""Going on from a run: new rows folded in, and a warm start."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

import svgp
from svgp.config import Config
from svgp.data import read_table
from svgp.errors import DataError, RunError
from svgp.runs import update
from svgp.runs.updating import _targets

pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A table in two halves, and all of it."""
    folder = tmp_path_factory.mktemp("parts")
    rng = np.random.default_rng(8)
    x, z = rng.uniform(-2, 2, (2, 80))
    y = 50.0 + 10.0 * np.sin(2 * x) + z + rng.normal(size=80)
    table = pa.table({"x": x, "z": z, "y": y})
    paths = {"first": table[:40], "second": table[40:], "all": table}
    for name, rows in paths.items():
        pyarrow.csv.write_csv(rows, folder / f"{name}.csv")
    return folder


@pytest.fixture(scope="module")
def first(parts):
    """Trained by the collapsed bound, whose q(u) is the optimum for its rows."""
    return train(parts, "first")


def train(folder, name, *, count=8, **model):
    config = Config.from_dict(
        {
            "name": "going_on",
            "data": {"path": str(folder / f"{name}.csv"), "target": "y", "test": None},
            "model": {
                "inducing": {"count": count, "trainable": False},
                **{"neighbours": {"count": 0}, **model},
            },
            "train": {"method": "collapsed", "max_steps": 4, "checkpoint_every": 1e6},
            "output": {"dir": str(folder / "runs")},
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svgp.runs.Run, "write_plots", lambda run: [])
        return svgp.train(config)


def test_new_rows_make_a_new_run_beside_the_old_one(first, parts):
    from svgp.models.collapsed.bound import CollapsedBound

    before = (first.folder.model / "model.safetensors").read_bytes()
    updated = update(first.path, parts / "second.csv")
    assert updated.path.parent == first.path.parent and updated.path != first.path
    assert (first.folder.model / "model.safetensors").read_bytes() == before
    metrics = svgp.load_run(updated.path).metrics
    assert metrics["rows"] == 80 and metrics["update.rows"] == 40 and metrics["inducing"] == 8
    assert metrics["update.before.rmse"] > updated.evaluate(parts / "second.csv")["rmse"]
    assert svgp.load_run(updated.path).status == "finished"
    # The optimum for all rows at these hyperparameters and points, which the halves reach exactly.
    columns = first.columns
    table = read_table(parts / "all.csv")
    X, Y = columns.transform_inputs(table), columns.transform_targets(table)
    ours = updated.predict(table)
    whole = updated.model
    bound = CollapsedBound(whole, X, Y)
    bound.assign(bound.posterior()[0])
    mean, variance = whole.predict_y(X)
    np.testing.assert_allclose(ours.mean, columns.unscale_mean(mean)[:, 0], rtol=1e-8)
    np.testing.assert_allclose(ours.std, columns.unscale_std(np.sqrt(variance))[:, 0], rtol=1e-6)


def test_an_update_may_add_points_and_refit(first, parts, tmp_path, monkeypatch):
    monkeypatch.setattr("svgp.runs.updating.REFIT_STEPS", 2)
    new = {name: read_table(parts / "second.csv")[name].to_numpy() for name in ("x", "z", "y")}
    updated = update(first, new, run_dir=tmp_path / "new", points=3, refit=True)
    assert svgp.load_run(tmp_path / "new").model.num_inducing == 11
    np.testing.assert_array_equal(updated.inducing_inputs()[:8], first.inducing_inputs())
    assert not np.allclose(updated.lengthscales(), first.lengthscales())


def test_old_and_new_rows_are_neighbours(parts):
    run = train(parts, "first", neighbours={"count": 8, "fit": "after"}, kernel={"type": "matern12"})
    old, new = (read_table(parts / f"{name}.csv") for name in ("first", "second"))
    scaled = run.columns.transform_targets(old)
    if run.predictive.neighbours is None:  # left out where they help no prediction: not what this is about
        from svgp.models.predictive.corrections import NeighbourRows
        from svgp.models.predictive.predictive import Predictive

        X = run.columns.transform_inputs(old)
        parts_of = run.predictive.sparse.parts(X)
        noise = np.full_like(parts_of.mean, float(np.asarray(run.model.likelihood.noise_variance())))
        residual = (scaled - parts_of.mean) / (1 - parts_of.explained / noise)
        rows = NeighbourRows(run.model, X, residual, noise, 8)
        run.__dict__["predictive"] = Predictive(run.model, None, rows)
    found = _targets(run.predictive)
    np.testing.assert_allclose(found, scaled, atol=1e-6)
    updated = update(run, new)
    if updated.predictive.neighbours is not None:
        assert len(updated.predictive.neighbours.X) == 80


def test_an_update_needs_rows_with_a_target_and_a_free_folder(first, parts, tmp_path):
    with pytest.raises(DataError, match="lack the target column 'y'"):
        update(first, {"x": [1.0], "z": [0.0]}, run_dir=tmp_path / "a")
    with pytest.raises(DataError, match="no new rows"):
        update(first, read_table(parts / "second.csv")[:0], run_dir=tmp_path / "a")
    with pytest.raises(RunError, match="already exists"):
        update(first, parts / "second.csv", run_dir=first.path)
    assert not (tmp_path / "a").exists()


def test_a_warm_start_is_the_earlier_model_with_more_points(first, parts):
    from svgp.runs.earlier import earlier_columns
    from svgp.runs.restarts import prepare

    config = Config.from_dict(
        {
            "data": {"path": str(parts / "all.csv"), "target": "y", "test": None},
            "model": {
                "start_from": str(first.path),
                "inducing": {"count": 12},
                "posterior": {"whiten": True},
                "neighbours": {"count": 0},
            },
        }
    )
    dataset = svgp.data.load_dataset(config.data, "regression", earlier_columns(config))
    np.testing.assert_array_equal(dataset.columns.input_mean, first.columns.input_mean)
    method, notes = prepare(config, dataset)
    assert any("8 points and 4 more" in note for note in notes)
    model = method.model
    assert model.num_inducing == 12 and model.num_data == 80 and model.whiten
    for ours, before in zip(model.predict_f(dataset.X), first.model.predict_f(dataset.X), strict=True):
        np.testing.assert_allclose(ours, before, rtol=1e-6, atol=1e-8)


def test_a_run_goes_on_from_another(first, parts):
    run = train(parts, "all", start_from=str(first.path))
    again = svgp.load_run(run.path)
    assert again.columns.target_scale == first.columns.target_scale
    assert again.dataset.columns.target_scale == first.columns.target_scale
    with pytest.raises(svgp.errors.ModelError, match="start_from.*kernel"):
        train(parts, "all", start_from=str(first.path), kernel={"type": "matern32", "ard": False})
    with pytest.raises(RunError, match="start_from.*holds no saved model"):
        train(parts, "all", start_from=str(parts))

"""One object answers everywhere: training's own scores, an opened run, files and tables agree."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow as pa
import pytest

import svgp
from svgp.config import Config
from svgp.data import read_table
from svgp.runs import Run


@pytest.fixture(scope="module")
def with_neighbours(make_config, tmp_path_factory):
    """A run whose predictions see neighbours, and the same opened where its data are not."""
    config = make_config("regression", max_epochs=2).to_dict()
    config["model"]["neighbours"] = {"count": 6, "fit": "after"}
    config["model"]["inducing"]["count"] = 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "write_plots", lambda run: [])
        run = svgp.train(Config.from_dict(config))
    path = tmp_path_factory.mktemp("elsewhere") / "run"
    shutil.copytree(run.path, path)
    opened = path / "config.yaml"
    opened.write_text(opened.read_text().replace("regression.csv", "gone.csv"))
    return run, svgp.load_run(path)


def test_all_ways_to_ask_give_the_same(with_neighbours, tables, tmp_path):
    run, alone = with_neighbours
    assert run.predictive.neighbours is not None, "the data should be such that neighbours help"
    found = run.evaluate()
    for name, value in found.items():
        assert run.metrics[f"test.{name}"] == pytest.approx(value, rel=1e-10)
    # The inducing points alone are something else.
    assert run.metrics["test.sparse.nlpd"] != pytest.approx(run.metrics["test.nlpd"], rel=1e-3)
    table = read_table(tables["regression"], text=["colour"])
    ours, theirs = run.predict(table), alone.predict(table)
    for name in ("mean", "std", "quantiles"):
        np.testing.assert_allclose(getattr(theirs, name), getattr(ours, name), rtol=1e-10)
    alone.predict_file(tables["regression"], tmp_path / "out.csv")
    written = read_table(tmp_path / "out.csv")
    np.testing.assert_allclose(written["y_mean"], ours.mean, rtol=1e-10)
    np.testing.assert_allclose(written["y_q975"], ours.quantiles[:, 2], rtol=1e-10)
    assert alone.evaluate(tables["regression"]) == pytest.approx(
        run.evaluate(tables["regression"]), rel=1e-10
    )


def test_draws_covariances_and_slopes_agree_with_predictions(with_neighbours, tables):
    run, _ = with_neighbours
    rows = {"x": [0.0, 1.0, -1.5], "z": [150.0, 250.0, 180.0], "colour": ["red", "green", "red"]}
    X = run.columns.transform_inputs(pa.table(rows))
    variance = run.predictive.latent(X).variance[:, 0] * run.columns.target_scale[0] ** 2
    np.testing.assert_allclose(np.diag(run.covariance(rows)), variance, rtol=1e-9)
    np.testing.assert_allclose(run.covariance(rows, full_output_cov=True)[:, 0, 0], variance, rtol=1e-9)
    draws = run.sample(rows, 2000)
    assert np.all(np.abs(draws.mean(axis=0) - run.predict(rows).mean) < 4 * np.sqrt(variance / 2000))
    np.testing.assert_allclose(draws.var(axis=0), variance, rtol=0.15)
    up, down = ({**rows, "x": np.asarray(rows["x"]) + h} for h in (1e-5, -1e-5))
    difference = (run.predict(up).mean - run.predict(down).mean) / 2e-5
    place = run.columns.input_names.index("x")
    np.testing.assert_allclose(run.gradient(rows)[:, place], difference, rtol=1e-5)


def test_calibration_can_be_turned_off(make_config, no_plots):
    config = make_config("regression", max_steps=2).to_dict()
    config["model"]["calibration"] = "none"
    run = svgp.train(Config.from_dict(config))
    for name, value in run.evaluate().items():
        assert (
            run.metrics[f"test.{name}"]
            == run.metrics[f"test.sparse.{name}"]
            == pytest.approx(value, rel=1e-10)
        )

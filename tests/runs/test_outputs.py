"""Runs with several targets whose outputs are mixtures of latent GPs."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

import svgp
from svgp.config import Config
from svgp.data import load_dataset
from svgp.errors import ConfigError
from svgp.models import build_model, load_model, save_model

pytestmark = pytest.mark.usefixtures("no_plots")

TYPES = {
    "lmc": {"type": "lmc", "latents": 2},
    "lmc_shared": {"type": "lmc", "kernels": "shared"},
    "icm": {"type": "icm"},
    "separate": {"kernels": "separate"},
    "own_points": {"kernels": "separate"},
}
OWN_POINTS = {"count": 8, "shared": False}


@pytest.fixture(scope="module")
def config_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("targets")
    rng = np.random.default_rng(1)
    x, z = rng.uniform(-2, 2, (2, 90))
    g = np.stack([np.sin(2 * x), x * z], axis=1)
    Y = g @ np.array([[5.0, 2.0, 0.0], [0.0, 1.0, -300.0]]) + rng.normal(size=(90, 3)) * [0.5, 0.2, 20.0]
    names = {"a": Y[:, 0], "b": Y[:, 1] + 70, "c": Y[:, 2]}
    pyarrow.csv.write_csv(pa.table({"x": x, "z": z, **names}), folder / "targets.csv")

    def make(outputs: dict, inducing: dict | None = None, **train: object) -> Config:
        return Config.from_dict(
            {
                "data": {"path": str(folder / "targets.csv"), "target": ["a", "b", "c"], "test": None},
                "model": {
                    "outputs": outputs,
                    "inducing": inducing or {"count": 16},
                    "neighbours": {"count": 0},
                },
                "train": {"batch_size": 30, "checkpoint_every": 1e6, **train},
                "output": {"dir": str(folder / "runs")},
            }
        )

    return make


@pytest.mark.parametrize("name", TYPES)
def test_a_built_model_is_saved_and_read_again(config_of, name, tmp_path):
    config = config_of(TYPES[name], OWN_POINTS if name == "own_points" else None)
    data = load_dataset(config.data, "regression")
    model, _ = build_model(config.model, data.X, data.Y, columns=data.columns)
    assert model.num_latent == config.model.outputs.latent_count(3) == {"lmc": 2, "icm": 4}.get(name, 3)
    assert model.num_functions == 3
    if name in ("lmc", "icm"):
        # The prior covariance of the targets, 1 in variance, is what W and noise begin with.
        W = np.asarray(model.outputs.weights())
        np.testing.assert_allclose(np.diag(W @ W.T), 1.0, atol=0.15)
    if name == "lmc":
        lengthscales = np.asarray(model.kernel.input_lengthscales(2))
        # Of the components, one is a function of x alone and the other of both.
        assert np.ptp(lengthscales[:, 1]) > 0.5
    save_model(tmp_path / "m", model, config.model, columns=data.columns, precision="float64")
    again, _ = load_model(tmp_path / "m")
    for one, two in zip(model.predict_f(data.X), again.predict_f(data.X), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.fixture(scope="module")
def mixed(config_of):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svgp.runs.Run, "write_plots", lambda run: [])
        return svgp.train(config_of(TYPES["lmc"], method="natgrad", max_steps=60, evaluate_every=1000))


def test_a_run_of_mixtures_learns_and_answers_as_others_do(mixed):
    run = svgp.load_run(mixed.path)
    rows = {"x": [0.0, 1.0], "z": [0.5, -1.0]}
    said = run.predict(rows)
    assert said.mean.shape == (2, 3)
    truth = np.array([[0.0, 70.0, 0.0], [5 * np.sin(2.0), 2 * np.sin(2.0) + 69.0, 300.0]])
    assert np.all(np.abs(said.mean - truth) < [1.5, 0.7, 80.0])
    assert run.sample(rows, 5).shape == (5, 2, 3) and run.covariance(rows).shape == (3, 2, 2)
    assert run.gradient(rows).shape == (2, 3, 2)
    W = np.asarray(run.model.outputs.weights())
    assert not np.allclose(W, run.evaluator.model.outputs.W.numpy() * 0.0)


def test_correlations_between_targets(mixed):
    run = svgp.load_run(mixed.path)
    found = run.output_correlations()
    np.testing.assert_allclose(np.diag(found), 1.0)
    # b is 2 sin(2x) + xz: it goes with a, and against c.
    assert found[0, 1] > 0.3 and found[1, 2] < -0.1 and abs(found[0, 2]) < 0.4
    joint = run.covariance({"x": [0.3], "z": [0.1]}, full_output_cov=True)
    assert joint.shape == (1, 3, 3)
    np.testing.assert_allclose(joint[0], joint[0].T)
    variances = [run.covariance({"x": [0.3], "z": [0.1]})[p, 0, 0] for p in range(3)]
    np.testing.assert_allclose(np.diag(joint[0]), variances)
    figure = run.plot_output_correlations()
    assert len(figure.axes) >= 1


def test_a_run_whose_latents_have_points_of_their_own(
    config_of, tmp_path, published_without_graphs, steps_without_graphs
):
    """Trained, interrupted and resumed, opened again, updated with more points, and started from."""
    whole = svgp.train(config_of(TYPES["own_points"], OWN_POINTS, method="natgrad", max_steps=6))
    folder = svgp.train(config_of(TYPES["own_points"], OWN_POINTS, method="natgrad", max_steps=3)).path
    resumed = svgp.train(
        config_of(TYPES["own_points"], OWN_POINTS, method="natgrad", max_steps=6), resume=folder
    )
    run = svgp.load_run(resumed.path)
    assert run.model.Z.shape == (3, 8, 2) and run.inducing_inputs().shape == (24, 2)
    # Each latent has its own points from the start on.
    start = run.inducing_start().reshape(3, 8, 2)
    assert not np.allclose(np.sort(start[0], axis=0), np.sort(start[1], axis=0))
    np.testing.assert_array_equal(run.model.Z, whole.model.Z)
    rows = {"x": [0.0, 1.0], "z": [0.5, -1.0]}
    np.testing.assert_array_equal(run.predict(rows).mean, whole.predict(rows).mean)
    more = {"a": [0.1, 0.2], "b": [70.0, 71.0], "c": [0.0, 5.0]}
    updated = svgp.runs.update(run, {**rows, **more}, run_dir=tmp_path / "updated", points=2)
    assert updated.model.Z.shape == (3, 10, 2)
    config = config_of(TYPES["own_points"], {**OWN_POINTS, "count": 9}).model
    data = load_dataset(config_of({}).data, "regression")
    onward = config.model_copy(update={"start_from": run.path})
    model, _ = build_model(onward, data.X, data.Y, columns=run.columns)
    assert model.Z.shape == (3, 9, 2)


def test_what_does_not_go_together_is_refused(config_of):
    with pytest.raises(ConfigError, match="latents.*is for types lmc and icm"):
        config_of({"latents": 3})
    with pytest.raises(ConfigError, match="icm has one kernel by definition"):
        config_of({"type": "icm", "kernels": "separate"})

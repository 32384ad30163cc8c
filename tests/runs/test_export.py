"""A SavedModel must say what the run says, without svgp."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from svgp import files, kernels, likelihoods
from svgp.data import Columns
from svgp.data.readings import Reading
from svgp.errors import RunError
from svgp.models import SVGP, Predictive
from svgp.runs.evaluation import Evaluator
from svgp.runs.export import export
from svgp.runs.outcomes import predict

RNG = np.random.default_rng(0)
ROWS = 50
TABLE = pa.table(
    {
        "a": 100 + 7 * RNG.standard_normal(ROWS),
        "colour": ["red", "blue", "grün", "blue", "red"] * (ROWS // 5),
        "b": RNG.random(ROWS),
        "size": [1, 2] * (ROWS // 2),
        "y": 1e3 + RNG.standard_normal(ROWS),
        "z": RNG.standard_normal(ROWS),
        "count": RNG.integers(0, 5, ROWS),
        "label": ["no", "yes"] * (ROWS // 2),
    }
)
KINDS = {
    "regression": (["y"], lambda: likelihoods.Gaussian(0.2)),
    "two targets": (["y", "z"], lambda: likelihoods.Gaussian(0.2)),
    "student_t": (["y"], lambda: likelihoods.StudentT(0.3, 4.0)),
    "count": (["count"], likelihoods.Poisson),
    "binary": (["label"], likelihoods.Bernoulli),
}


def make_run(
    kind: str, *, unseen: str = "zeros", categorical: tuple[str, ...] = ("colour", "size"), **model: Any
) -> Any:
    """A run's model and columns, with q(u) somewhere other than at the prior."""
    targets, likelihood = KINDS[kind]
    task = kind if kind in ("binary", "count") else "regression"
    inputs = ["a", "colour", "b", "size"] if categorical else ["b", "a"]
    columns = Columns.fit(
        TABLE, task=task, inputs=inputs, targets=targets, categorical=categorical, unseen=unseen
    )
    D, L = len(columns.input_names), len(targets)
    rng = np.random.default_rng(1)
    svgp = SVGP(
        kernels.Matern32(1.3, rng.random(D) + 1.0), likelihood(), rng.standard_normal((8, D)), num_data=ROWS,
        q_mean=rng.standard_normal((L, 8)), q_sqrt=np.tril(rng.standard_normal((L, 8, 8))), **model,
    )  # fmt: skip
    return SimpleNamespace(model=svgp, columns=columns, predictive=Predictive(svgp))


def text(name: str) -> list[bytes]:
    return [str(value).encode() for value in TABLE[name].to_pylist()]


@pytest.mark.parametrize("kind", KINDS)
def test_the_saved_model_says_what_the_run_says(tmp_path, kind):
    run = make_run(kind)
    said = predict(Evaluator(run.model), run.columns, run.columns.transform_inputs(TABLE))
    path = export(run, tmp_path / "served")
    served = tf.saved_model.load(str(path)).signatures["serving_default"]
    inputs = np.stack([TABLE["a"].to_numpy(), TABLE["b"].to_numpy()], axis=1)  # [N, 2]
    got = served(
        inputs=tf.constant(inputs), categories=tf.constant(np.stack([text("colour"), text("size")], axis=1))
    )
    targets = len(run.columns.target_names)
    if kind == "binary":
        np.testing.assert_allclose(got["probability"], said.probability, rtol=1e-9)
        assert [label.decode() for label in got["label"].numpy()] == said.label.tolist()
    else:
        np.testing.assert_allclose(got["mean"], said.mean.reshape(ROWS, targets), rtol=1e-9)
        np.testing.assert_allclose(got["std"], said.std.reshape(ROWS, targets), rtol=1e-8)
        np.testing.assert_allclose(got["quantiles"], said.quantiles.reshape(ROWS, targets, 3), rtol=1e-8)


def test_a_whitened_model_of_numbers_alone(tmp_path):
    run = make_run("regression", categorical=(), whiten=True)
    said = predict(Evaluator(run.model), run.columns, run.columns.transform_inputs(TABLE))
    served = tf.saved_model.load(str(export(run, tmp_path / "s"))).signatures["serving_default"]
    got = served(inputs=tf.constant(np.stack([TABLE["b"].to_numpy(), TABLE["a"].to_numpy()], axis=1)))
    np.testing.assert_allclose(got["mean"][:, 0], said.mean, rtol=1e-9)
    np.testing.assert_allclose(got["std"][:, 0], said.std, rtol=1e-8)


def test_unseen_levels(tmp_path):
    inputs = tf.zeros([1, 2], tf.float64)
    zeros = tf.saved_model.load(str(export(make_run("regression"), tmp_path / "zeros"))).signatures[
        "serving_default"
    ]
    assert np.isfinite(zeros(inputs=inputs, categories=tf.constant([["mauve", "1"]]))["mean"]).all()
    strict_run = make_run("regression", unseen="error")
    strict = tf.saved_model.load(str(export(strict_run, tmp_path / "strict"))).signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="colour.* has a level"):
        strict(inputs=inputs, categories=tf.constant([["mauve", "1"]]))


def test_a_missing_number_gives_nan_in_its_row_only(tmp_path):
    served = tf.saved_model.load(str(export(make_run("regression", categorical=()), tmp_path / "s")))
    got = served.signatures["serving_default"](
        inputs=tf.constant([[0.5, 100.0], [np.nan, 100.0]], tf.float64)
    )
    assert np.isfinite(got["mean"][0, 0]) and np.isnan(got["mean"][1, 0])


def test_the_columns_are_named_beside_it(tmp_path):
    described = files.read_json(export(make_run("binary"), tmp_path / "s") / "svgp.json")
    assert described == {
        "inputs": ["a", "b"],
        "categories": {"colour": ["blue", "grün", "red"], "size": ["1", "2"]},
        "unseen": "zeros",
        "extras": {},
        "targets": ["label"],
        "outputs": ["probability", "label"],
        "classes": ["no", "yes"],
        "levels": None,
    }


def test_an_existing_folder_is_left_alone(tmp_path: Path):
    (tmp_path / "precious").write_text("keep")
    with pytest.raises(RunError, match="already exists"):
        export(make_run("regression"), tmp_path)
    assert (tmp_path / "precious").read_text() == "keep"


@pytest.mark.slow
def test_serving_needs_tensorflow_alone(tmp_path):
    path = export(make_run("regression", categorical=()), tmp_path / "s")
    code = (
        "import sys, tensorflow as tf\n"
        f"served = tf.saved_model.load({str(path)!r}).signatures['serving_default']\n"
        "print(served(inputs=tf.constant([[0.5, 100.0]], tf.float64))['mean'].shape, 'svgp' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "(1, 1) False\n"


def test_dates_and_missing_values_are_served(tmp_path):
    table = pa.table(
        {
            "when": ["2024-01-01", "2024-02-29", None, "2024-12-30"] * 5,
            "a": [1.0, None, 3.0, 4.0] * 5,
            "c": ["x", "y", "x", None] * 5,
            "y": RNG.standard_normal(20),
        }
    )
    columns = Columns.fit(
        table, task="regression", inputs=["when", "a", "c"], targets=["y"], categorical=["c"], unseen="error",
        readings={"when": Reading("date", parts=("month",))}, gaps=["when", "a", "c"],
    )  # fmt: skip
    D = len(columns.input_names)
    model = SVGP(
        kernels.Matern32(1.3, np.ones(D)), likelihoods.Gaussian(0.2), RNG.standard_normal((6, D)),
        num_data=20, q_mean=RNG.standard_normal((1, 6)), q_sqrt=0.3 * np.eye(6)[None],
    )  # fmt: skip
    run = SimpleNamespace(model=model, columns=columns, predictive=Predictive(model))
    said = predict(Evaluator(model), columns, columns.transform_inputs(table))
    path = export(run, tmp_path / "s")
    assert files.read_json(path / "svgp.json")["inputs"] == ["when", "when.month", "a"]
    days = [19723.0, 19782.0, np.nan, 20087.0]
    inputs = np.stack([days, [1.0, 2.0, np.nan, 12.0], [1.0, np.nan, 3.0, 4.0]], axis=1)
    served = tf.saved_model.load(str(path)).signatures["serving_default"]
    got = served(inputs=tf.constant(inputs), categories=tf.constant([["x"], ["y"], ["x"], [""]]))
    np.testing.assert_allclose(got["mean"][:, 0], said.mean[:4], rtol=1e-9)


@pytest.mark.parametrize(
    "likelihood, task, target, extras",
    [
        (lambda: likelihoods.Poisson(exposure=True), "count", "count", {"exposure": "hours"}),
        (lambda: likelihoods.Gaussian(0.2, per_row=True), "regression", "y", {"noise": "sigma"}),
        (lambda: likelihoods.Weibull(1.5, censored=True), "positive", "y", {"censored": "alive"}),
    ],
)
def test_what_a_likelihood_is_told_of_a_row_is_an_input_of_the_saved_model(
    tmp_path, likelihood, task, target, extras
):
    told = {"hours": 1.0 + np.arange(ROWS), "sigma": 0.1 * np.arange(ROWS), "alive": np.arange(ROWS) % 2}
    table = pa.table({**{name: TABLE[name] for name in TABLE.column_names}, **told})
    columns = Columns.fit(table, task=task, inputs=["b", "a"], targets=[target], extras=extras)
    rng = np.random.default_rng(1)
    model = SVGP(
        kernels.Matern32(1.0, [1.0, 1.5]), likelihood(), rng.standard_normal((8, 2)), num_data=ROWS,
        q_mean=rng.standard_normal((1, 8)),
    )  # fmt: skip
    run = SimpleNamespace(model=model, columns=columns, predictive=Predictive(model))
    path = export(run, tmp_path / "served")
    served = tf.saved_model.load(str(path)).signatures["serving_default"]
    inputs = {"inputs": tf.constant(np.stack([TABLE["b"].to_numpy(), TABLE["a"].to_numpy()], axis=1))}
    (kind, name), X = next(iter(extras.items())), columns.transform_inputs(table)
    described = files.read_json(path / "svgp.json")["extras"]
    if kind == "censored":  # says nothing of a prediction
        assert described == {}
    else:
        assert described == {name: columns.extra_defaults[0]}
        given = told[name].copy()
        given[::2] = np.nan
        inputs["extras"] = tf.constant(given[:, None])
    table = table.set_column(
        table.column_names.index(name), name,
        [np.where(np.isnan(inputs["extras"][:, 0]), columns.extra_defaults[0], told[name])
         if kind != "censored" else told[name]],
    )  # fmt: skip
    said = predict(Evaluator(model), columns, X, extras=columns.transform_extras(table))
    got = served(**inputs)
    np.testing.assert_allclose(got["mean"][:, 0], said.mean, rtol=1e-10)
    np.testing.assert_allclose(got["std"][:, 0], said.std, rtol=1e-10)
    np.testing.assert_allclose(got["quantiles"][:, 0], said.quantiles, rtol=1e-10)

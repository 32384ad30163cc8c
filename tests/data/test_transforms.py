"""Transforms of a target: there and back, slopes, and what a config makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.config import load_config
from svgp.data import Columns, load_dataset
from svgp.data.transforms import fit_transform, transform_from_dict
from svgp.errors import ConfigError, DataError

SKEWED = np.exp(1.5 * np.random.default_rng(0).standard_normal(500))


@pytest.mark.parametrize("name", ["log", "quantile"])
def test_there_and_back_beyond_the_training_values(name):
    transform = fit_transform(name, SKEWED, "y")
    y = np.concatenate([np.geomspace(SKEWED.min() / 2, SKEWED.max() * 2, 300), [np.nan]])
    t = transform.forward(y)
    np.testing.assert_allclose(transform.inverse(t), y, rtol=1e-12)
    assert np.all(np.diff(t[:-1]) > 0)
    step = 1e-7 * y
    slope = (transform.forward(y + step) - transform.forward(y - step)) / (2 * step)
    close = np.isclose(np.exp(transform.log_slope(y)), slope, rtol=1e-5)
    assert close[:-1].mean() > 0.98  # a knot within a step has two slopes
    again = transform_from_dict(transform.to_dict())
    np.testing.assert_array_equal(again.forward(y), t)


def test_normal_scores_are_normal():
    t = fit_transform("quantile", SKEWED, "y").forward(SKEWED)
    assert abs(t.mean()) < 0.05 and abs(t.std() - 1) < 0.05 and abs(np.mean(t**3)) < 0.2


def test_values_that_many_rows_have_are_one_knot():
    y = np.concatenate([np.zeros(300), SKEWED[:200]])
    transform = fit_transform("quantile", y, "y")
    assert np.all(np.diff(transform.y) > 0) and np.all(np.diff(transform.t) > 0)
    assert np.isfinite(transform.log_slope(y)).all()


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("log", [1.0, 0.0], "log needs positive values, and the least is 0"),
        ("quantile", [1.0, 2.0] * 50, "needs a target of many values"),
    ],
)
def test_targets_without_such_a_transform(name, values, message):
    with pytest.raises(DataError, match=message):
        fit_transform(name, np.array(values), "target 'y'")


@pytest.mark.parametrize("name", ["log", "quantile"])
def test_columns_keep_it(write, data_config, name):
    path = write("t.csv", "x,y\n" + "".join(f"{i},{y}\n" for i, y in enumerate(SKEWED)))
    dataset = load_dataset(data_config(path, target_transform=name), "regression")
    columns = Columns.from_dict(dataset.columns.to_dict())
    assert abs(dataset.Y.mean()) < 1e-12 and abs(dataset.Y.std() - 1) < 1e-12
    np.testing.assert_allclose(columns.unscale_mean(dataset.Y)[:, 0], SKEWED, rtol=1e-12)
    if name == "log":
        with pytest.raises(DataError, match="target 'y' is -1 at row 1, and its logarithm was learned"):
            load_dataset(
                data_config(path, target_transform=name, test={"path": write("u.csv", "x,y\n1,-1\n")}),
                "regression",
            )


def test_transforms_are_for_regressions(tmp_path):
    (tmp_path / "c.yaml").write_text("data: {path: t.csv, target: y, target_transform: log}\n")
    with pytest.raises(ConfigError, match="data.target_transform: log is for regressions"):
        load_config(tmp_path / "c.yaml", ["model.likelihood.type=poisson"])
    with pytest.raises(ConfigError, match="has no mean"):
        load_config(tmp_path / "c.yaml", ["model.likelihood.type=student_t"])

"""Columns that a likelihood reads beside the targets, and targets of which some are missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from svgp.config import Config
from svgp.data import Columns, load_dataset
from svgp.errors import DataError

ROWS = 40


def load(
    folder: Path, likelihood: dict[str, Any], target: Any = "y", missing: str = "error", **columns: Any
) -> Any:
    pa.csv.write_csv(pa.table(columns), folder / "t.csv")
    config = Config.from_dict(
        {
            "data": {
                "path": str(folder / "t.csv"),
                "target": target,
                "missing": missing,
                "test": {"fraction": 0.25},
            },
            "model": {"likelihood": likelihood},
        }
    )
    return load_dataset(config.data, config.model.likelihood)


def test_known_noise_comes_in_the_units_of_the_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.5, 2.0, ROWS)
    found = load(
        tmp_path, {"type": "gaussian", "noise": {"column": "s"}}, x=rng.normal(size=ROWS),
        y=50.0 + 7.0 * rng.normal(size=ROWS), s=sigma,
    )  # fmt: skip
    columns = found.columns
    assert columns.inputs == ["x"] and found.Y.shape == (30, 2)
    every = np.sort(np.concatenate([found.Y[:, 1], found.Y_test[:, 1]]))
    np.testing.assert_allclose(every, np.sort(sigma) / columns.target_scale[0])
    assert 10 < columns.unscale_mean(found.Y).mean() < 90 and columns.unscale_mean(found.Y).shape == (30, 1)
    # A table to predict for that has no such column is taken for the training rows' root mean square.
    told = columns.transform_extras(pa.table({"x": [0.0, 1.0]}))
    assert told is not None
    np.testing.assert_allclose(told[:, 0], np.sqrt(np.mean(found.Y[:, 1] ** 2)), rtol=1e-12)
    again = Columns.from_dict(columns.to_dict())
    np.testing.assert_array_equal(again.transform_extras(pa.table({"x": [0.0, 1.0]})), told)
    with pytest.raises(DataError, match="noise column 's' is not there"):
        columns.transform_targets(pa.table({"x": [0.0], "y": [1.0]}))


@pytest.mark.parametrize(
    ("likelihood", "y", "extra", "message"),
    [
        ({"type": "binomial", "trials": "n"}, [5] * ROWS, [4] * ROWS, "has 5 at row 1, more than the 4"),
        ({"type": "binomial", "trials": "n"}, [0, 1] * 20, [1.5] * ROWS, "column 'n' has 1.5 .*whole number"),
        ({"type": "poisson", "exposure": "n"}, [1] * ROWS, [0.0] * ROWS, "column 'n' has 0 .*above 0"),
        ({"type": "weibull", "censored": "n"}, [1.0] * ROWS, [2] * ROWS, "column 'n' has 2 .*0 or 1"),
        ({"type": "weibull"}, [0.0] * ROWS, [1] * ROWS, "a value that is not above zero, first at row 1"),
        ({"type": "beta"}, [1.5] * ROWS, [1] * ROWS, "a value outside 0 to 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named_with_its_row(
    tmp_path: Path, likelihood: dict[str, Any], y: list[float], extra: list[float], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load(tmp_path, likelihood, x=np.arange(ROWS) * 1.5, y=y, n=extra)


def test_a_censored_column_may_be_true_or_false(tmp_path: Path) -> None:
    alive = np.arange(ROWS) % 3 == 0
    found = load(
        tmp_path, {"type": "exponential", "censored": "alive"}, x=np.arange(ROWS) ** 0.5,
        y=np.arange(ROWS) + 1.0, alive=alive,
    )  # fmt: skip
    assert found.Y[:, 1].sum() + found.Y_test[:, 1].sum() == alive.sum()
    assert found.columns.extras == {"censored": "alive"}
    # Positive targets are divided by their geometric mean.
    np.testing.assert_allclose(np.log(found.Y[:, 0]).mean(), 0.0, atol=1e-12)


def test_levels_have_the_order_that_the_config_says(tmp_path: Path) -> None:
    words = np.array(["low", "high", "middle"])[np.arange(ROWS) % 3]
    levels = ["low", "middle", "high"]
    found = load(tmp_path, {"type": "ordinal", "levels": levels}, x=np.arange(ROWS) * 0.3, y=words)
    assert found.columns.classes == levels and set(np.unique(found.Y)) == {0.0, 1.0, 2.0}
    with pytest.raises(DataError, match="say in which order"):
        load(tmp_path, {"type": "ordinal"}, x=np.arange(ROWS) * 0.3, y=words)
    with pytest.raises(DataError, match="has the level 'middle'.*lists"):
        load(tmp_path, {"type": "ordinal", "levels": ["low", "high"]}, x=np.arange(ROWS) * 0.3, y=words)


def test_some_of_several_targets_may_be_missing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=ROWS), rng.normal(size=ROWS)
    a[3], b[:10] = np.nan, np.nan
    told = {
        "x": rng.normal(size=ROWS),
        "a": pa.array(a, from_pandas=True),
        "b": pa.array(b, from_pandas=True),
    }
    with pytest.raises(DataError, match="missing values"):  # row 4 has neither
        load(tmp_path, {"type": "gaussian"}, ["a", "b"], **told)
    found = load(tmp_path, {"type": "gaussian"}, ["a", "b"], "drop", **told)
    Y = np.concatenate([found.Y, found.Y_test])
    assert len(Y) == ROWS - 1 and np.isnan(Y[:, 1]).sum() == 9 and not np.isnan(Y[:, 0]).any()
    assert any("missing targets, which count for nothing: 'b' (9 rows)" in note for note in found.notes)
    np.testing.assert_allclose(np.nanmean(found.Y, axis=0), 0.0, atol=1e-12)

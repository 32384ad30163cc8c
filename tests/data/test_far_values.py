"""Inputs with values far outside the rest: what is drawn in, how far, and back again."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from svgp.config import DataConfig
from svgp.data import Columns, load_dataset
from svgp.data.far_values import FAR, find_squeeze

RNG = np.random.default_rng(3)
ROWS = 2000
FAR_ONES = np.where(RNG.random(ROWS) < 0.05, 1e4, 1.0) * RNG.standard_normal(ROWS)
COLOURS = np.where(RNG.random(ROWS) < 0.02, "red", "blue")
TABLE = pa.table(
    {
        "near": 5.0 + RNG.standard_normal(ROWS),
        "far": FAR_ONES,
        "colour": COLOURS,
        "rare": np.where(RNG.random(ROWS) < 0.1, RNG.pareto(0.5, ROWS), 0.0),
        "y": RNG.standard_normal(ROWS),
    }
)


def fitted(table: pa.Table = TABLE, **more) -> Columns:
    return Columns.fit(
        table,
        **{
            "task": "regression", "inputs": ["near", "far", "colour", "rare"], "targets": ["y"],
            "categorical": ["colour"], "squeeze": True, **more,
        },
    )  # fmt: skip


@pytest.mark.parametrize(
    "values",
    [
        RNG.standard_normal(10**5),
        np.exp(RNG.standard_normal(10**4)),
        RNG.random(1000),
        np.zeros(10),
        np.array([0.0] * 999 + [1.0]),
        np.array([-999.0] + [np.inf] * 3),
    ],
    ids=["normal", "log-normal", "uniform", "constant", "one other value", "infinite"],
)
def test_what_is_usual_stays_as_it_is(values):
    with np.errstate(invalid="ignore"):
        assert find_squeeze(values) is None


def test_among_the_rest_little_changes_and_far_values_come_near():
    found = find_squeeze(FAR_ONES)
    assert found is not None and abs(found.centre) < 0.1 and 2.5 < found.width < 4.0
    u = found.forward(FAR_ONES)
    near = np.abs(FAR_ONES) < 1.0
    np.testing.assert_allclose(u[near], FAR_ONES[near], atol=0.03)
    assert np.abs(u).max() < FAR and np.array_equal(np.argsort(u), np.argsort(FAR_ONES))
    np.testing.assert_allclose(found.inverse(u), FAR_ONES, rtol=1e-9)
    step = 1e-4 * np.maximum(1.0, np.abs(FAR_ONES))
    slope = (found.forward(FAR_ONES + step) - found.forward(FAR_ONES - step)) / (2.0 * step)
    np.testing.assert_allclose(found.slope(u), slope, rtol=1e-5)


def test_columns_draw_in_those_inputs_alone_and_give_their_units_back():
    columns = fitted()
    assert set(columns.squeezed) == {"far", "rare"}
    X = columns.transform_inputs(TABLE)
    np.testing.assert_allclose(X[:, [0, 1, 4]].mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(X[:, [0, 1, 4]].std(axis=0), 1.0)
    assert np.abs(X[:, 1]).max() < 15.0
    raw = columns.unscale_inputs(X)
    np.testing.assert_allclose(raw[:, 1], FAR_ONES, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(raw[:, 4], TABLE["rare"].to_numpy(), rtol=1e-9, atol=1e-9)
    moved = columns.scale_inputs(raw + [0, 1e-5, 0, 0, 0]) - columns.scale_inputs(raw - [0, 1e-5, 0, 0, 0])
    np.testing.assert_allclose(columns.input_slopes(X)[:, 1], moved[:, 1] / 2e-5, rtol=1e-3, atol=1e-9)
    np.testing.assert_array_equal(columns.input_slopes(X)[:, 0], 1.0 / columns.input_scale[0])
    again = Columns.from_dict(columns.to_dict())
    np.testing.assert_array_equal(again.transform_inputs(TABLE), X)


def test_a_column_that_is_the_mean_and_inputs_that_are_not_scaled_stay():
    assert set(fitted(plain=("far",)).squeezed) == {"rare"}
    assert not fitted(squeeze=False).squeezed


def test_the_middle_stands_in_for_a_missing_value():
    lacking = FAR_ONES.copy()
    lacking[:7] = np.nan
    lacking[7:20] = 1e6  # the mean lies far from the middle
    table = TABLE.set_column(1, "far", pa.array(lacking))
    columns = fitted(table, gaps=["far"])
    assert columns.stand_ins["far"] == columns.squeezed["far"].centre
    assert abs(columns.unscale_inputs(columns.transform_inputs(table))[0, 1]) < 0.2


def test_a_config_decides_and_a_stream_finds_the_same(tmp_path):
    pq.write_table(TABLE, tmp_path / "t.parquet", row_group_size=300)

    def loaded(**more):
        options = {"path": tmp_path / "t.parquet", "target": ["y"], "categorical": ["colour"], "test": None}
        return load_dataset(DataConfig(**{**options, **more}), "regression")

    plain, whole, stream = loaded(input_transform="none"), loaded(), loaded(stream=True)
    assert not plain.columns.squeezed and not loaded(standardize=False).columns.squeezed
    assert stream.columns.squeezed == whole.columns.squeezed and set(whole.columns.squeezed) == {
        "far",
        "rare",
    }
    assert any("values far outside the rest" in note and "far" in note for note in whole.notes)
    order = np.argsort(whole.Y[:, 0]), np.argsort(stream.Y[:, 0])
    np.testing.assert_allclose(stream.X[order[1]], whole.X[order[0]], atol=1e-9)
    for found, wanted in zip(stream.rows.moments(), (whole.X.mean(0), whole.X.std(0)), strict=False):
        np.testing.assert_allclose(found, wanted, atol=1e-9)
    np.testing.assert_allclose(stream.rows.extent(), [whole.X.min(axis=0), whole.X.max(axis=0)], atol=1e-9)

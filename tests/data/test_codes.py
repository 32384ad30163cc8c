"""Numbers that stand for a missing value: found by `init`, named in a config, and missing from then on."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from svgp.config import Config, DataConfig, load_config
from svgp.data import Columns, load_dataset
from svgp.data.codes import find_code
from svgp.data.first_config import first_config
from svgp.errors import ConfigError

RNG = np.random.default_rng(8)
TEMPERATURES = RNG.uniform(-10, 40, 300).round(1)
CODED = np.where(np.arange(300) % 10 == 3, -99.0, TEMPERATURES)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (CODED, -99.0),
        (np.where(CODED == -99, 9999, TEMPERATURES), 9999.0),
        (np.where(CODED == -99, np.nan, TEMPERATURES), None),
        (np.arange(20.0, 100.0).repeat(5), None),  # ages to 99
        (np.where(np.arange(300) < 2, -99.0, TEMPERATURES), None),  # twice may be chance
        (np.where(CODED == -99, -120.0, TEMPERATURES), None),
        (np.array([0.0, 999.0] * 50), None),
    ],
    ids=["-99", "9999", "none", "ages", "twice", "no nines", "two values"],
)
def test_what_is_taken_for_a_code(values, code):
    assert find_code(values) == code


@pytest.fixture
def tables(tmp_path):
    """The same rows as CSV and Parquet; and as CSV with commas for points."""
    table = pa.table({"t": CODED, "n": RNG.integers(0, 9, 300), "y": RNG.standard_normal(300)})
    pyarrow.csv.write_csv(table, tmp_path / "t.csv")
    pq.write_table(table, tmp_path / "t.parquet")
    lines = [";".join(f"{x:.6g}".replace(".", ",") for x in row) for row in table.to_pandas().to_numpy()]
    (tmp_path / "comma.csv").write_text("\n".join(["t;n;y", *lines]) + "\n")
    return tmp_path


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "comma.csv"])
def test_init_names_the_code_and_its_config_leaves_these_rows_out(tables, name):
    text, told = first_config(tables / name, ["y"], tables / "c.yaml")
    assert "'t': -99 counts as a missing value (data.columns)" in told
    (tables / "c.yaml").write_text(text)
    config = load_config(tables / "c.yaml")
    assert config.data.columns["t"].missing == [-99.0] and config.data.missing == "drop"
    dataset = load_dataset(config.data, "regression")
    assert len(dataset.X) + len(dataset.X_test) == 270
    assert dataset.columns.unscale_inputs(dataset.X)[:, 0].min() > -20


def test_a_table_to_predict_for_is_read_the_same(tables):
    settings = {"path": tables / "t.csv", "target": ["y"], "columns": {"t": {"missing": [-99]}}}
    for stream in (False, True):
        more = {"path": tables / "t.parquet", "stream": True} if stream else {}
        data = DataConfig(**{**settings, **more, "missing": "indicator", "test": None})
        columns = Columns.from_dict(load_dataset(data, "regression").columns.to_dict())
        assert columns.input_names == ["t", "n", "t missing"]
        given = pa.table({"t": [-99, 20], "n": [1, 2]})
        for table in (given, given.set_column(0, "t", pa.array(["-99", "20"]))):
            X = columns.unscale_inputs(columns.read_inputs(table))
            np.testing.assert_allclose(X[:, 2], [1.0, 0.0], atol=1e-9)
            assert X[0, 0] == pytest.approx(TEMPERATURES[CODED != -99].mean(), abs=1e-6)


def test_only_numbers_have_codes(tables):
    settings = {"path": "t.csv", "target": "y", "columns": {"t": {"type": "date", "missing": [-99]}}}
    with pytest.raises(ConfigError, match="missing: is for type: number"):
        Config.from_dict({"data": settings})

"""What columns seem to hold, and which likelihood suits the target."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pytest

from svgp.data.sniff import sniff_table
from svgp.errors import DataError

ROWS = 120


def test_kinds_of_columns():
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "id": np.arange(ROWS),
            "size": rng.standard_normal(ROWS),
            "number_as_text": [str(i % 9) for i in range(ROWS)],
            "colour": ["red", "green", "blue"] * (ROWS // 3),
            "name": [f"person {i}" for i in range(ROWS)],
            "day": [datetime.date(2026, 1, 1)] * ROWS,
            "nothing": pa.nulls(ROWS),
            "one_level": ["same"] * ROWS,
            "flag": [True, False] * (ROWS // 2),
            "y": rng.standard_normal(ROWS),
        }
    )
    kinds = dict(sniff_table(table, ["y"]).columns)
    assert kinds == {
        "id": "other", "size": "number", "number_as_text": "number", "colour": "category", "name": "other",
        "day": "other", "nothing": "other", "one_level": "other", "flag": "number",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("target", "likelihood"),
    [
        (np.linspace(-1, 1, ROWS), "gaussian"),
        (np.linspace(0, 1, ROWS), "beta"),
        (["a", "b", "c"] * (ROWS // 3), "softmax"),
        (np.arange(ROWS) % 5 + 1, "ordinal"),
        (np.arange(ROWS) % 2, "bernoulli"),
        (["yes", "no"] * (ROWS // 2), "bernoulli"),
        ([True, None, False] * (ROWS // 3), "bernoulli"),
        (np.arange(ROWS) % 5, "softmax"),
        (np.repeat([0, 1, 2, 3], [60, 35, 20, 5]), "poisson"),
        (np.arange(ROWS) % 5 - 1, "gaussian"),
        (np.arange(ROWS) * 1000.0, "gaussian"),
        ([1.0, None, 2.0, 0.0] * (ROWS // 4), "softmax"),
    ],
)
def test_the_likelihood_that_suits_the_target(target, likelihood):
    table = pa.table({"x": np.linspace(0, 1, ROWS), "y": target})
    assert sniff_table(table, ["y"]).likelihood == likelihood


def test_rows_with_something_missing_are_counted_once():
    table = pa.table(
        {"a": [1.0, None, float("nan"), 4.0], "b": ["u", None, "v", "u"], "y": [1.5, 2.0, 3.0, None]}
    )
    found = sniff_table(table, ["y"])
    assert (found.rows, found.missing) == (4, 3)


def test_missing_values_of_a_column_that_is_left_out_do_not_count():
    table = pa.table({"a": [1.0, 2.0, 5.0], "note": pa.nulls(3), "y": [1.5, 2.5, 3.5]})
    assert sniff_table(table, ["y"]).missing == 0


def test_a_target_of_many_labels_cannot_be_predicted():
    table = pa.table({"x": np.linspace(0, 1, 60), "y": [f"label {k}" for k in range(60)]})
    with pytest.raises(DataError, match="target 'y' is neither numbers nor classes"):
        sniff_table(table, ["y"])
    with pytest.raises(DataError, match="'z' is not there"):
        sniff_table(table, ["z"])

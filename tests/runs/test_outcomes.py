"""Scores where some rows, or all of them, say nothing."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from svgp.data import Columns
from svgp.kernels import Matern32
from svgp.likelihoods import Weibull
from svgp.models import SVGP
from svgp.runs.evaluation import Evaluator
from svgp.runs.findings import on_calibration
from svgp.runs.outcomes import combined, score


def test_test_rows_that_are_all_censored_have_a_density_alone():
    table = pa.table({"x": np.arange(6.0), "y": np.arange(1.0, 7.0), "alive": [1.0] * 6})
    columns = Columns.fit(table, task="positive", inputs=["x"], targets=["y"], extras={"censored": "alive"})
    X, Y = columns.transform_inputs(table), columns.transform_targets(table)
    evaluator = Evaluator(SVGP(Matern32(), Weibull(censored=True), X[:2], num_data=6))
    found = score(evaluator, columns, X, Y)
    assert np.isfinite(found.pop("nlpd")) and set(found) > {"rmse", "coverage_95"}
    assert np.all(np.isnan(list(found.values())))
    assert on_calibration({f"test.{name}": x for name, x in found.items()}, 6, gaussian=False) == []


def test_a_block_without_a_row_that_tells_does_not_spoil_the_others():
    parts = [
        (2, {"rmse": 3.0, "nlpd": 1.0}),
        (5, {"rmse": float("nan"), "nlpd": 2.0}),
        (2, {"rmse": 1.0, "nlpd": 3.0}),
    ]
    found = combined(parts)
    assert found["rmse"] == pytest.approx(5.0**0.5) and found["nlpd"] == pytest.approx(2.0)

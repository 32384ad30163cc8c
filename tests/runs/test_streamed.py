"""A run on a table that stays on the disk gives what the same run gives on the table in memory."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import svgp
from svgp.config import Config
from svgp.data import load_dataset
from svgp.data.streamed import rows as streamed_rows
from svgp.kernels import Matern32
from svgp.likelihoods import Gaussian
from svgp.means import Constant as ConstantMean
from svgp.models import SVGP
from svgp.models.collapsed import bound
from svgp.models.collapsed.bound import CollapsedBound
from svgp.rows import ArrayRows
from svgp.runs import Run
from svgp.runs.outcomes import score


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("table")
    for part in range(2):
        X = rng.uniform(-2.0, 2.0, size=(300, 2))
        y = np.sin(2.0 * X[:, 0]) * X[:, 1] + 0.1 * rng.normal(size=300)
        table = pa.table({"a": X[:, 0], "b": X[:, 1], "y": y})
        pq.write_table(table, path / f"{part}.parquet", row_group_size=64)
    return path


def config(folder, stream, **train):
    return Config.from_dict(
        {
            "data": {"path": str(folder), "target": "y", "stream": stream, "test": {"split": "hash"}},
            "model": {"inducing": {"count": 15}, "neighbours": {"count": 8, "fit": "after"}},
            "train": {"max_epochs": 3, "evaluate_every": 3, **train},
        }
    )


def test_the_collapsed_bound_of_a_stream_is_that_of_the_table(folder, monkeypatch):
    # Blocks of 100 rows, so that there are several.
    monkeypatch.setattr(bound, "BLOCK_ROWS", 100)
    data = {stream: load_dataset(config(folder, stream).data, "regression") for stream in (True, False)}
    Z = data[False].X[:15]
    for kind, mean in (("tight", None), ("standard", ConstantMean(0.3))):
        model = SVGP(Matern32(1.3, [0.7, 1.9]), Gaussian(0.05), Z, num_data=481, mean=mean, bound=kind)
        one, two = (CollapsedBound(model, data[stream].rows).evaluate() for stream in (True, False))
        np.testing.assert_allclose(one.bound, two.bound, rtol=1e-10)
        for first, second in zip(one.gradients, two.gradients, strict=True):
            np.testing.assert_allclose(first, second, rtol=1e-8, atol=1e-8)


def test_a_run_on_a_stream_fits_a_sample_and_gives_q_all_rows(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(streamed_rows, "BLOCK_ROWS", 100)
    monkeypatch.setattr(Run, "write_plots", lambda run: [])  # they take longer than the run
    run = svgp.train(config(folder, True, method="collapsed", subset_rows=200), run_dir=tmp_path / "run")
    data = load_dataset(config(folder, False).data, "regression")
    rows = ArrayRows(data.X, data.Y)
    assert run.metrics["rows"] == rows.count and run.metrics["test_rows"] == len(data.X_test)
    # All rows give this q(u) at these hyperparameters, and all of them are in the bound.
    assert run.metrics["train.elbo"] == pytest.approx(
        CollapsedBound(run.model, rows).evaluate().bound, rel=1e-8
    )
    whole = score(run.predictive, data.columns, data.X_test, data.Y_test)
    assert len(run.predictive.neighbours.X) == rows.count  # the rows at hand, here all
    for name in ("rmse", "nlpd", "coverage_95"):
        assert run.metrics[f"test.{name}"] == pytest.approx(whole[name], rel=1e-8), name
    assert svgp.load_run(run.path).evaluate() == pytest.approx(run.evaluate())

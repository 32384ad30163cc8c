"""train.subset_rows: auto takes all rows where they are affordable, and else as many as the time allows."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import tensorflow as tf

from svgp.budget import EVALUATIONS, FEWEST, KEPT_FROM, MOST_OPERATIONS
from svgp.networks import Network
from svgp.training.methods.affordable import (
    KEPT_FROM_OF_NETWORK,
    most_operations,
    plan,
    rows_to_fit,
    rows_to_learn,
)


def config(subset_rows="auto", max_seconds=None):
    return SimpleNamespace(subset_rows=subset_rows, max_seconds=max_seconds)


def test_all_rows_where_an_evaluation_of_them_is_affordable():
    assert rows_to_fit(config(), 40_000, 512) is None
    assert rows_to_fit(config(None), 10**9, 4096) is None and rows_to_fit(config(77), 10**9, 10) == 77
    most = int(MOST_OPERATIONS / (3 * 1000**2))
    assert rows_to_fit(config(), most, 1000) is None and rows_to_fit(config(), most + 1, 1000) < most


@pytest.mark.parametrize("capability, times", [((9, 0), 100.0), ((8, 9), 10.0)])
def test_a_gpu_takes_on_more(monkeypatch, capability, times):
    """By its kind: float64 at half of the float32 rate (an H100), or a sixty-fourth."""
    before = rows_to_fit(config(), 10**9, 1000)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["card"])
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["card"])
    details = {"compute_capability": capability}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda card: details)
    assert most_operations() == times * MOST_OPERATIONS
    assert rows_to_fit(config(), 10**9, 1000) == pytest.approx(times * before, rel=1e-3)
    assert rows_to_fit(config(), 8 * 10**6, 1000) is None


def test_else_what_the_time_allows():
    found = rows_to_fit(config(), 10**7, 1000)
    # At 50 GFLOP/s the evaluations of these rows take ten minutes.
    assert EVALUATIONS * 7 * 1000**2 * found / 5e10 == pytest.approx(600.0, rel=1e-3)
    # The pass over all rows takes 2e13 operations, 400 s of the hour.
    share = 0.7 * (3600.0 - 400.0) / 600.0
    assert rows_to_fit(config(max_seconds=3600.0), 10**7, 1000) == pytest.approx(share * found, rel=1e-3)
    assert rows_to_fit(config(max_seconds=1.0), 10**7, 1000) == FEWEST
    assert rows_to_fit(config(), 10**9, 1000) == found  # more rows, the same fit


def test_the_plan_says_what_there_is_time_for():
    assert plan(config(), 40_000, 512, 1e10) is None
    assert "one pass over all rows for q(u), about 2e+03 s;" in plan(config(), 10**7, 1000, 1e10)
    told = plan(config(max_seconds=1000.0), 10**7, 1000, 1e10)  # half of it for the pass
    assert "from 50,000 of 10,000,000 rows" in told
    assert "one pass over 2,500,000 rows, as many as there is time for, for q(u)" in told


@pytest.mark.parametrize(("parts", "least"), [((), KEPT_FROM), ((Network([2, 1]),), KEPT_FROM_OF_NETWORK)])
def test_rows_are_kept_out_to_judge_predictions_and_for_a_network_sooner(parts, least):
    model = SimpleNamespace(num_inducing=10, judged=True, submodules=parts)
    assert rows_to_learn(model, least - 1, config()) is None
    assert rows_to_learn(model, least, config()) == least - least // 10
    assert rows_to_learn(SimpleNamespace(**{**vars(model), "judged": False}), least, config()) is None

"""What a run says of its inputs and intervals: functions whose answers are known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from svgp.models.bounds import BOUNDS
from svgp.runs.evaluation import Latent
from svgp.runs.findings import on_calibration, on_neighbours, on_relevance, on_signal, relevance
from svgp.runs.session import Session


class Known:
    """An evaluator whose posterior mean is a given function."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def latent(self, X: np.ndarray) -> Latent:
        mean = self.function(X)
        return Latent(mean, np.ones_like(mean))


def inputs(rows=2000, columns=3):
    return np.random.default_rng(3).normal(size=(rows, columns))


def test_relevance_is_the_root_of_the_share_of_variance_of_an_additive_function():
    # f = 3 x0 + 4 x2: shuffling a column changes f by twice that column's variance.
    found = relevance(Known(lambda X: 3 * X[:, :1] + 4 * X[:, 2:]), inputs(), ["a", "b", "c"])
    assert found["b"] == 0.0
    assert found["a"] == pytest.approx(0.6, abs=0.08) and found["c"] == pytest.approx(0.8, abs=0.08)
    assert relevance(Known(lambda X: 1e-9 * X[:, :1]), inputs(), ["a", "b", "c"])["a"] == pytest.approx(
        1, abs=0.1
    )


def test_a_trend_under_a_long_lengthscale_counts_as_an_effect():
    # A lengthscale at its limit is no proof of irrelevance: a large variance makes a trend of it.
    found = relevance(
        Known(lambda X: 1e3 * np.sin(X[:, :1] / 1e3) + 0.01 * X[:, 1:2]), inputs(), ["a", "b", "c"]
    )
    assert found["a"] > 0.9 and 0.005 < found["b"] < 0.02
    assert on_relevance(found) == ["1 of 3 inputs have no effect on the predictions: c"]


def test_all_latent_functions_count_and_a_constant_one_has_no_relevant_input():
    several = relevance(Known(lambda X: X[:, :2] * [1.0, 2.0]), inputs(), ["a", "b", "c"])
    assert several["c"] == 0.0 < several["a"] < several["b"]
    none = relevance(Known(lambda X: np.full((len(X), 1), 7.0)), inputs(50), ["a", "b", "c"])
    assert set(none.values()) == {0.0}
    assert "no input has an effect" in on_relevance(none)[0]
    assert on_relevance({"a": 1.0, "b": 0.01}) == []


def test_long_lists_of_inputs_are_cut():
    (said,) = on_relevance({f"x{i}": float(i == 0) for i in range(40)})
    assert said.startswith("39 of 40 inputs") and said.endswith("x12 and 27 more")


def said(half, most, rows=1000, gaussian=True, standard=True):
    metrics = {"test.coverage_50": half, "test.coverage_95": most}
    return on_calibration(metrics, rows, gaussian=gaussian, standard=standard)


def test_good_intervals_and_chance_are_not_remarked_on():
    assert said(0.5, 0.95) == [] and said(0.6, 0.97) == []
    assert said(0.75, 0.92, rows=28) == []  # two rows more or less
    assert on_calibration({"test.rmse": 1.0}, 1000, gaussian=True) == []


def test_what_is_wrong_with_intervals_is_named():
    assert "too narrow" in said(0.4, 0.85)[0]
    assert "too wide" in said(0.8, 0.995)[0] and "model.bound=tight" in said(0.8, 0.995)[0]
    assert "model.bound=tight" not in said(0.8, 0.995, standard=False)[0]
    # y = +-2 around f under normal noise of deviation 2: nothing within 1.35, all within 3.9.
    assert "two groups" in said(0.0, 1.0)[0] and said(0.3, 0.98) == []
    assert "too narrow" in said(0.1, 0.94)[0] and said(0.4, 0.93) == []
    tails = said(0.9505, 0.9758)[0]  # bike: most rows without noise, some far off
    assert "95% of the test rows lie in the 50% intervals" in tails and "student_t" in tails
    assert "student_t" not in said(0.9505, 0.9758, gaussian=False)[0]


def test_predictions_that_hardly_vary_are_remarked_on():
    X = inputs()
    Y = X[:, :1] + 3.0
    assert on_signal(Known(lambda X: 0.5 * X[:, :1]), X, Y) == []
    assert "almost constant" in on_signal(Known(lambda X: 0.01 * X[:, :1]), X, Y)[0]
    assert "nothing to learn" in on_signal(Known(lambda X: 0 * X[:, :1]), X, 0 * Y)[0]


@pytest.mark.parametrize("constant", [False, True])
def test_flat_predictions_are_remarked_on_once(constant):
    X = inputs()
    Y = X[:, :1] * (not constant)
    dataset = SimpleNamespace(
        X=X,
        Y=Y,
        rows=SimpleNamespace(count=len(X), notes=[]),
        test_rows=SimpleNamespace(count=len(X)),
        columns=SimpleNamespace(task="regression", targets_of=lambda Y: Y),
    )
    known = Known(lambda X: 0 * X[:, :1])
    known.model = SimpleNamespace(submodules=[])
    session = SimpleNamespace(
        dataset=dataset,
        test_rows=dataset.test_rows,
        _began=0.0,
        evaluator=known,
        method=SimpleNamespace(notes=[]),
        model=SimpleNamespace(bound=BOUNDS["tight"]),
        config=SimpleNamespace(model=SimpleNamespace(likelihood=SimpleNamespace(type_name="gaussian"))),
    )
    wide = {"test.coverage_50": 1.0, "test.coverage_95": 1.0}
    said = Session._notes(session, {"a": 0.0, "b": 0.0}, wide)
    assert ("nothing to learn" if constant else "almost constant") in said[0]
    assert not any("no input has an effect" in line for line in said)
    assert len(said) == (1 if constant else 2)  # the intervals as well, where there is anything to miss


def test_what_neighbours_bring_is_said():
    assert on_neighbours({"neighbours": 0, "neighbours_asked": 0}, 100, 0) == []
    summary = {"neighbours": 8, "neighbours_asked": 8, "log_density": 1.5, "log_density_sparse": 0.5}
    summary |= {"explained_by_neighbours": 0.75, "nearest_median": 0.2, "too_far": 0.2}
    (said,) = on_neighbours(summary, 1000, 2**20)
    assert "see 8 neighbours" in said and "gain 1 nats" in said and "75%" in said and "1 MiB" in said
    assert "20% of the rows they are too far" in said
    assert "inducing points alone" in on_neighbours({**summary, "neighbours": 0}, 1000, 0)[0]

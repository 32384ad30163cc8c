"""The likelihood that suits a target, and what speaks for it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats as st
import sklearn.datasets

from svgp.data import make_dataset
from svgp.data.origin import mark
from svgp.data.recommend import recommend_for_numbers, recommend_likelihood, rows_above_largest
from svgp.errors import DataError

RNG = np.random.default_rng(0)
N = 2000
CASES = {
    "gaussian": RNG.normal(size=N),
    "student_t": RNG.standard_t(1.5, size=N),
    "bernoulli": RNG.integers(0, 2, N),
    "poisson": RNG.poisson(3.0, N),
    "negative_binomial": RNG.poisson(RNG.gamma(0.5, 80.0, N)),
    "zero_inflated_poisson": RNG.poisson(4.0, N) * (RNG.random(N) > 0.4),
    "ordinal": RNG.integers(1, 6, N),
    "beta": RNG.beta(2.0, 3.0, N),
    "lognormal": np.exp(1.5 * RNG.normal(size=N)),
}


@pytest.mark.parametrize("likelihood", CASES)
def test_what_suits_draws_of_each_kind(likelihood: str) -> None:
    table = mark(pa.table({"y": CASES[likelihood]}), "t.csv")
    assert recommend_likelihood(table, "y").likelihood == likelihood


def test_the_reason_says_what_was_seen() -> None:
    found = recommend_likelihood(mark(pa.table({"y": CASES["negative_binomial"]}), "t.csv"), "y")
    assert found.reason.startswith("whole numbers from 0 to ") and " times the mean" in found.reason


@pytest.mark.parametrize(
    ("dataset", "target", "likelihood"),
    [
        ("digits", "digit", "softmax"),
        ("iris", "kind", "softmax"),
        ("wine", "grower", "softmax"),
        ("diabetes", "progression", "gaussian"),
        ("grades", "grade", "ordinal"),
        ("visits", "visits", "negative_binomial"),
        ("counts", "count", "poisson"),
    ],
)
def test_built_in_sets(dataset: str, target: str, likelihood: str) -> None:
    assert recommend_likelihood(make_dataset(dataset), target).likelihood == likelihood


@pytest.mark.parametrize("load", ["load_iris", "load_wine", "load_digits"])
def test_labels_that_are_whole_numbers_are_classes(load: str) -> None:
    """As scikit-learn has them: 0 to K - 1, about as many of each."""
    found = recommend_for_numbers(getattr(sklearn.datasets, load)().target.astype(float))
    assert found.likelihood == "softmax"
    assert "none above" in found.reason and "poisson if they count something" in found.reason


@pytest.mark.parametrize("rows", [60, 150, 2000])
def test_counts_that_happen_to_have_few_values_stay_counts(rows: int) -> None:
    """Poisson, a mixture of rates, excess zeros: of 40 draws of each none is taken for classes."""
    rng = np.random.default_rng(rows)
    for _ in range(40):
        rate = rng.gamma(1.0, 1.0, rows)
        for mean in (0.3, 1.0, 2.0 * (rng.random(rows) > 0.4), rate):
            assert recommend_for_numbers(rng.poisson(mean, rows).astype(float)).likelihood != "softmax"


def test_rows_above_the_largest_count_are_no_more_than_expected() -> None:
    """Exact frequencies of mixed Poisson laws: the bound from levels up to K holds for the level K + 1."""
    k = np.arange(8)
    for weights, rates in (([1.0], [2.0]), ([0.5, 0.5], [0.5, 4.0]), ([0.3, 0.3, 0.4], [0.0, 1.0, 6.0])):
        p = 1e8 * np.dot(weights, st.poisson.pmf(k, np.array(rates)[:, None]))
        for top in range(2, 7):
            assert rows_above_largest(p[: top + 1]) <= p[top + 1]
    p = 1e8 * st.poisson.pmf(k, 2.0)
    assert rows_above_largest(p[:4]) == pytest.approx(p[4], rel=2e-3)  # one rate: equal, but for the errors


def test_what_the_values_leave_open_is_named() -> None:
    few = RNG.choice(3, 120, p=[0.8, 0.15, 0.05]).astype(float)
    found = recommend_for_numbers(few)
    assert found.likelihood == "poisson" and found.reason.endswith(
        "softmax if they are names of classes, ordinal if they are grades"
    )
    assert "softmax if they are names" in recommend_for_numbers(1.0 + np.arange(200) % 4).reason
    assert recommend_for_numbers(np.arange(20_000.0) % 26).likelihood == "softmax"  # letters, say


def test_text_of_many_kinds_is_no_target() -> None:
    with pytest.raises(DataError, match="neither numbers nor classes: 60 different texts"):
        recommend_likelihood(mark(pa.table({"y": [f"name {k}" for k in range(60)]}), "t.csv"), "y")


def test_a_text_among_numbers_is_shown_with_its_row() -> None:
    cells = [f"{k},5" for k in range(100)]
    cells[41], cells[70] = "y", ""
    with pytest.raises(DataError, match="target 'y' holds numbers and 1 text, first 'y' at row 42: a header"):
        recommend_likelihood(mark(pa.table({"y": cells}), "t.csv"), "y")


def test_linnerud_has_three_targets() -> None:
    table = make_dataset("linnerud")
    assert table.num_rows == 20 and {"weight", "waist", "pulse"} < set(table.column_names)


def test_a_target_that_is_skewed_is_not_taken_for_one_with_outliers():
    # A robust likelihood would follow the bulk of such rows and not their mean.
    skewed = np.where(RNG.random(N) < 0.4, 0.0, np.exp(RNG.normal(size=N)))
    for y, side in ((skewed, "above"), (-skewed, "below")):
        kind, reason = recommend_for_numbers(y)
        assert kind == "gaussian" and reason.endswith(f"far {side} the others")
    # A few that only ever err upwards leave the bulk as it is.
    err = np.where(np.arange(N) % 100 == 0, 50.0, RNG.normal(size=N))
    assert recommend_for_numbers(err).likelihood == "student_t"

"""The likelihood that suits a target, and what speaks for it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from svgp.data import make_dataset
from svgp.data.origin import mark
from svgp.data.recommend import recommend_likelihood
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
        ("digits", "digit", "poisson"),  # digits 0 to 9 look like counts: a person has to know better
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

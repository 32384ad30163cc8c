"""Targets that are better learnt as their logarithm, and others that only look like it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import scipy.stats

from svgp.config import load_config
from svgp.data.first_config import first_config
from svgp.data.log_target import _density, asks_for_log, gain_of_log

RNG = np.random.default_rng(12)
N = 1500
X = RNG.uniform(-2, 2, size=(N, 4))
F = np.sin(2 * X[:, 0]) + 0.5 * X[:, 1] * X[:, 2]
NOISE = RNG.standard_normal(N)


@pytest.mark.parametrize(
    ("y", "wanted"),
    [
        (np.exp(F + 0.4 * NOISE), True),
        (RNG.gamma(2.0, np.exp(F)), True),
        (1e5 * np.exp(F + 0.1 * NOISE), True),
        (np.exp(F + 0.4 * NOISE) - 1.0, False),  # not positive
        (10.0 + F + 0.3 * NOISE, False),  # not skewed
        (10.0 + F + 0.3 * NOISE + np.where(RNG.random(N) < 0.02, 50.0 * RNG.random(N), 0.0), False),
        (10.0 + F + RNG.chisquare(2.0, N), False),  # skewed noise, and as much of it everywhere
        (np.full(N, 3.0), False),
        (np.exp(F)[:40], False),  # too few to tell
    ],
    ids=["factors", "lifetimes", "prices", "negative", "normal", "far", "skewed noise", "constant", "few"],
)  # fmt: skip
def test_what_is_learnt_as_its_logarithm(y, wanted):
    assert asks_for_log(X[: len(y)], y) is wanted


def test_of_a_log_normal_the_gain_is_that_of_the_densities():
    y = np.exp(0.5 * NOISE)
    raw = y - np.median(y)
    fits = [
        scipy.stats.t.logpdf(raw, df, 0, s).mean() for df in (1.5, 3, 6, 12) for s in np.geomspace(0.1, 2, 60)
    ]
    best = max(fits)
    normal = scipy.stats.lognorm.logpdf(y, np.std(np.log(y))).mean()
    # The rows that are asked are a part; and by neighbours, who say nothing, the errors are larger.
    assert gain_of_log(X, y) == pytest.approx(normal - best, abs=0.06)
    assert _density(raw) == pytest.approx(best, abs=5e-3)


def test_units_of_the_target_and_of_the_inputs_say_nothing():
    y = np.exp(F + 0.4 * NOISE)
    wanted = gain_of_log(X, y)
    assert gain_of_log(np.exp(3.0 * X), 1e-7 * y) == pytest.approx(wanted, abs=1e-9)
    lacking = X.copy()
    lacking[::50, 0] = np.nan
    assert abs(gain_of_log(lacking, y) - wanted) < 0.05


def test_init_writes_it_and_says_so(tmp_path):
    table = pa.table({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": np.exp(F + 1.2 * NOISE)})
    pyarrow.csv.write_csv(table, tmp_path / "t.csv")
    text, told = first_config(tmp_path / "t.csv", ["y"], tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text(text)
    config = load_config(tmp_path / "c.yaml")
    assert config.data.target_transform == "log" and config.model.likelihood.type_name == "gaussian"
    assert "learnt as its logarithm (data.target_transform: none: as it is)" in told

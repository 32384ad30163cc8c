"""What benchmark_likelihoods measures a found parameter against."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import polygamma

SCRIPTS = Path(__file__).parents[2] / "scripts"
ROWS = 20_000
# Asymptotic errors where the level of f is fitted as well: of a variance, of a gamma's and a Weibull's shape.
ERRORS = {
    "gaussian": 0.09 * np.sqrt(2.0 / ROWS),
    "gamma": 1.0 / np.sqrt(ROWS * (polygamma(1, 2.5) - 1.0 / 2.5)),
    "weibull": 1.7 * np.sqrt(6.0 / ROWS) / np.pi,
}


@pytest.mark.parametrize("name", ERRORS)
def test_the_error_of_a_parameter_is_that_of_theory(name, monkeypatch):
    """The observed information of 20,000 rows scatters by about a per cent around the expected one."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from benchmarks.recovery_cases import CASES, standard_error, table

    x, columns = table(CASES[name], ROWS, 0)
    ((_, truth),) = CASES[name].parameters.items()
    assert standard_error(CASES[name], truth, x, columns) == pytest.approx(ERRORS[name], rel=0.05)

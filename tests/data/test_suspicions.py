"""Ranks and skewness are SciPy's, without its half a second of loading."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import rankdata, skew

from svgp.data.numeric import skewness
from svgp.data.suspicions import _ranks

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "values", [RNG.normal(size=50), RNG.integers(0, 5, 200) / 2, np.exp(RNG.normal(size=99))]
)
def test_ranks_and_skewness_are_those_of_scipy(values):
    np.testing.assert_array_equal(_ranks(values), rankdata(values))
    assert skewness(values) == pytest.approx(skew(values), rel=1e-12)


def test_a_summary_needs_no_statistics_of_scipy():
    code = "import sys, svgp.data.summary; assert 'scipy.stats' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

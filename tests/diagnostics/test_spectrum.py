"""The two numbers of a spectrum."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.diagnostics import condition_number, effective_rank


def test_spectrum() -> None:
    assert effective_rank(np.full(8, 0.3)) == pytest.approx(8.0)
    assert effective_rank(np.array([0.0, 0.0, 5.0])) == pytest.approx(1.0)
    assert condition_number(np.array([2.0, 8.0]), 1e-16) == pytest.approx(4.0)
    assert condition_number(np.array([-1e-18, 1.0]), 1e-16) == pytest.approx(1e16)

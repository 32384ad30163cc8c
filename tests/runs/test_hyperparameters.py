"""What training found, by role, in the model's units and in the table's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from svgp.data import Columns
from svgp.kernels import Matern32, Periodic
from svgp.likelihoods import Gaussian
from svgp.models import SVGP
from svgp.runs.hyperparameters import found_values


def test_values_come_by_role_with_units_of_input_and_target():
    rng = np.random.default_rng(0)
    table = pa.table({"a": rng.normal(0, 5.0, 40), "b": rng.normal(0, 0.1, 40), "y": rng.normal(9, 3.0, 40)})
    columns = Columns.fit(table, task="regression", inputs=["a", "b"], targets=["y"])
    kernel = Matern32(2.0, [0.5, 0.25]) + Periodic(Matern32(1.0, 1.5), period=[0.75], active_dims=[1])
    found = found_values(SVGP(kernel, Gaussian(0.01), np.zeros((1, 2))), columns)
    roles = [one.role for one in found]
    assert sorted(roles, key=["lengthscale", "period", "variance", "noise"].index) == roles
    seen = {(one.role, one.input, round(one.value, 6)): one.original for one in found}
    (a, b), y = columns.input_scale, float(columns.target_scale[0])
    assert seen["lengthscale", "a", 0.5] == pytest.approx(0.5 * a)
    assert seen["lengthscale", "b", 0.25] == pytest.approx(0.25 * b)
    assert seen["period", "b", 0.75] == pytest.approx(0.75 * b)
    assert seen["variance", "", 2.0] == pytest.approx(2.0 * y**2)
    assert seen["noise", "", 0.01] == pytest.approx(0.01 * y**2)
    assert {"kernel.kernels.0.lengthscales"} <= {one.name for one in found}

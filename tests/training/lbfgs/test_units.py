"""The units of L-BFGS's variables."""

from __future__ import annotations

import numpy as np

from svgp.kernels import Matern32
from svgp.likelihoods import Gaussian
from svgp.models import SVGP
from svgp.models.collapsed.bound import collapsed_variables
from svgp.training.lbfgs.units import HYPERPARAMETERS, LENGTHSCALES, variable_scales


def test_inducing_points_are_measured_in_lengthscales_and_hyperparameters_are_stretched():
    X = np.random.default_rng(0).normal(size=(100, 3)) * [1.0, 1.0, 5.0]
    kernel = Matern32(1.0, [0.5, 1e4], active_dims=(0, 2))  # no dependence on the second
    model = SVGP(kernel, Gaussian(0.1), X[:7], num_data=100)
    variables = collapsed_variables(model)
    scales = variable_scales(model, variables, X)
    assert scales.shape == (sum(int(np.prod(v.shape)) for v in variables),)
    start = 0
    for variable in variables:
        own = scales[start : start + int(np.prod(variable.shape))]
        start += len(own)
        if variable is model.Z:
            longest = LENGTHSCALES[1] * X.std(axis=0)
            wanted = np.tile([1.0 / 0.5, 1.0 / longest[1], 1.0 / longest[2]], 7)
            np.testing.assert_allclose(own, wanted, rtol=1e-12)
        else:
            assert np.all(own == HYPERPARAMETERS)

"""What a fit may take: batches or all rows."""

from __future__ import annotations

import numpy as np
import pytest

from svgp import budget
from svgp.config import TrainConfig
from svgp.kernels import Matern32
from svgp.likelihoods import Bernoulli, Poisson
from svgp.models import SVGP
from svgp.training.methods.natgrad import NaturalGradient
from svgp.training.methods.natgrad_whole import WholeNaturalGradient


@pytest.mark.parametrize(
    ("settings", "rows", "labels", "expected"),
    [
        ({}, 1000, False, True),
        ({}, 5000, False, True),  # 360 steps of 5,000 rows are less than 2,000 of 1,024
        ({}, 6000, False, False),
        ({}, 5000, True, False),  # of classes batches end after 200
        ({}, 1000, True, True),
        ({"learning_rate": 0.1}, 1000, False, False),
        ({"batch_size": 1024}, 5000, False, False),
        ({"batch_size": 5000}, 5000, True, True),
    ],
)
def test_all_rows_are_one_batch_where_that_is_less_work(settings, rows, labels, expected):
    assert budget.takes_all_rows(TrainConfig(**settings), rows, 20, labels) is expected


@pytest.mark.parametrize(("asked", "rows", "expected"), [("auto", 5000, 1024), ("auto", 9, 9), (64, 100, 64)])
def test_rows_of_a_batch(asked, rows, expected):
    assert budget.batch_rows(TrainConfig(batch_size=asked), rows) == expected


@pytest.mark.parametrize(
    ("likelihood", "rows", "expected"),
    [
        (Poisson, 3000, WholeNaturalGradient),
        (Poisson, 9000, NaturalGradient),
        (Bernoulli, 3000, NaturalGradient),
    ],
)
def test_natural_gradients_of_such_a_table(likelihood, rows, expected):
    model = SVGP(Matern32(), likelihood(), np.zeros((5, 1)), num_data=rows)
    assert NaturalGradient.variant(model, rows, TrainConfig()) is expected

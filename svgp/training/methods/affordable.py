"""How many rows the collapsed bound can afford on the device that there is: `train.subset_rows: auto`."""

from __future__ import annotations

from typing import Any

import numpy as np

from svgp import budget
from svgp.budget import KEPT_FROM, MOST_OPERATIONS, OPERATIONS, PASS, PASS_SHARE
from svgp.networks import Network
from svgp.training.device import device_speed

# A network learns its rows by heart, and to leave one out afterwards is too hopeful by far: robot_arm with
# 2,400 rows had 81% of its test rows in 90% intervals.
KEPT_FROM_OF_NETWORK = 500


def most_operations() -> float:
    """Of one evaluation, on the device that there is."""
    return MOST_OPERATIONS * device_speed()


def rows_to_learn(model: Any, rows: int, config: Any) -> int | None:
    """How many of so many rows hyperparameters and Z of `model` are fitted to; None: all.

    `rows_to_fit`, but where `config.subset_rows` leaves it open and predictions will be judged some are kept
    out.
    """
    fitted = rows_to_fit(config, rows, model.num_inducing)
    network = any(isinstance(part, Network) for part in model.submodules)
    least = KEPT_FROM_OF_NETWORK if network else KEPT_FROM
    if config.subset_rows != "auto" or not model.judged or rows < least:
        return fitted
    return min(fitted or rows, budget.rows_not_kept(rows))


def plan(config: Any, rows: int, points: int, rate: float) -> str | None:
    """What a fit to a subset will take at so many operations a second, in a sentence; None for all rows."""
    fitted = rows_to_fit(config, rows, points)
    if fitted is None or fitted >= rows:
        return None
    evaluation, whole = (f * points**2 * n / rate for f, n in ((OPERATIONS, fitted), (PASS, rows)))
    limit = np.inf if config.max_seconds is None else PASS_SHARE * config.max_seconds
    seen = (
        "all rows" if whole <= limit else f"{int(rows * limit / whole):,} rows, as many as there is time for,"
    )
    given = "" if config.max_seconds is None else f", of the {config.max_seconds:g} s that there are for both"
    return (
        f"hyperparameters and Z from {fitted:,} of {rows:,} rows (an evaluation: about {evaluation:.2g} s), "
        f"then one pass over {seen} for q(u), about {min(whole, limit):.2g} s{given}; "
        f"at {rate / 1e9:.2g}e9 operations a second"
    )


def rows_to_fit(config: Any, rows: int, points: int) -> int | None:
    """`svgp.budget.rows_to_fit` on the device that there is."""
    return budget.rows_to_fit(config, rows, points, device_speed())

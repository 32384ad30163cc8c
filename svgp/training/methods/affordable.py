"""How many rows the collapsed bound can afford: `train.subset_rows: auto`.

A step of L-BFGS costs the value and the gradient, about 7 M^2 operations a row (tight), and some dozens of
steps are needed for the hyperparameters; what they learn from more than some ten thousand rows a parameter is
little. q(u), which all rows improve, takes one pass over all of them, about 2 M^2 operations a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from svgp.networks import Network
from svgp.training.device import device_speed

# Where one evaluation takes longer than about half a minute (at 100 GFLOP/s) not all rows are used. This and
# RATE are of two cores: a GPU takes on `device_speed` times as much.
MOST_OPERATIONS = 3e12
OPERATIONS = 7.0  # times M^2, a row and evaluation
EVALUATIONS = 60
RATE = 5e10  # operations a second, of two cores
SECONDS = 600.0  # for the fit, where the config gives no time
SHARE = 0.7  # of the time that it gives
PASS_SHARE = 0.5  # of that time, at most, for the pass over all rows
PASS = 2.0  # times M^2, a row of the pass
FEWEST = 20_000

# Rows kept out of the fit of hyperparameters and Z, to tell afterwards how large errors are: a share of all
# and so many at most, none where there are few. To leave out a row that Z has seen is too hopeful (pol, 512
# points: RMSE .0717 where test rows had .0879; at rows that were kept out .0865).
KEPT_SHARE, KEPT_MOST, KEPT_FROM = 0.1, 2000, 2000
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
    return min(fitted or rows, rows - min(int(KEPT_SHARE * rows), KEPT_MOST))


def seconds_to_fit(config: Any, rows: int, points: int) -> float:
    """What `config.max_seconds` leaves beside the pass over all rows; SECONDS where it gives no time."""
    if config.max_seconds is None:
        return SECONDS
    passing = min(PASS * points**2 * rows / (RATE * device_speed()), PASS_SHARE * config.max_seconds)
    return SHARE * (config.max_seconds - passing)


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
    """How many of so many rows hyperparameters and Z are fitted to, for M = `points`; None: all.

    `config.subset_rows` where it is a number. `auto`: all where an evaluation of them is affordable, else as
    many as EVALUATIONS evaluations can take in the time that `config.max_seconds` gives, or ten minutes.
    """
    wanted = config.subset_rows
    if wanted != "auto":
        return wanted
    if 3.0 * points**2 * rows <= most_operations():
        return None
    operations = seconds_to_fit(config, rows, points) * RATE * device_speed()
    affordable = int(operations / (EVALUATIONS * OPERATIONS * points**2))
    found = max(FEWEST, 10 * points, affordable)
    return found if found < rows else None

"""What a fit of the collapsed bound may take, by time and rows: training and forecasts go by it.

No TensorFlow, so that a forecast answers at once. All is of two cores: a GPU takes on `speed` times as much
(`svgp.training.device.device_speed`).

A step of L-BFGS costs the value and the gradient, about 7 M^2 operations a row (tight), and some dozens of
steps are needed for the hyperparameters; what they learn from more than some ten thousand rows a parameter is
little. q(u), which all rows improve, takes one pass over all of them, about 2 M^2 operations a row.
"""

from __future__ import annotations

from typing import Any

# Where one evaluation takes longer than about half a minute (at 100 GFLOP/s) not all rows are used.
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


def affordable(rows: int, points: int, speed: float = 1.0) -> bool:
    """Whether an evaluation of the collapsed bound may see all rows."""
    return 3.0 * points**2 * rows <= speed * MOST_OPERATIONS


def seconds_to_fit(train: Any, rows: int, points: int, speed: float = 1.0) -> float:
    """What `train.max_seconds` leaves beside the pass over all rows; SECONDS where it gives no time."""
    if train.max_seconds is None:
        return SECONDS
    passing = min(PASS * points**2 * rows / (RATE * speed), PASS_SHARE * train.max_seconds)
    return SHARE * (train.max_seconds - passing)


def rows_to_fit(train: Any, rows: int, points: int, speed: float = 1.0) -> int | None:
    """How many of so many rows hyperparameters and Z are fitted to, for M = `points`; None: all.

    `train.subset_rows` where it is a number. `auto`: all where an evaluation of them is affordable, else as
    many as EVALUATIONS evaluations can take in the time that `train.max_seconds` gives, or ten minutes.
    """
    wanted = train.subset_rows
    if wanted != "auto":
        return wanted
    if affordable(rows, points, speed):
        return None
    operations = seconds_to_fit(train, rows, points, speed) * RATE * speed
    found = max(FEWEST, 10 * points, int(operations / (EVALUATIONS * OPERATIONS * points**2)))
    return found if found < rows else None


def rows_not_kept(rows: int) -> int:
    """How many of so many rows are left for the fit, where some are kept out of it."""
    return rows - min(int(KEPT_SHARE * rows), KEPT_MOST)

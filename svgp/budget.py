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

# Of classes, which rows left out judge from so many rows on: climbs of q(u) for each set of hyperparameters,
# each of 8 M^2 N + 6 M^3 operations a latent. All of one set take no more than this, and a share of the time.
JUDGED_TASKS, JUDGED_FROM = ("binary", "multiclass", "ordinal"), 200
CLIMBS, MOST_OF_CLIMBS, CLIMBS_SHARE = 60, 2e12, 0.25

BATCH = 1024  # rows of a batch where the config leaves it open
# Steps of natural gradients that a fit takes, each 8 M^2 B + 6 M^3 operations: in batches, and where one
# holds all rows (60 evaluations for L-BFGS, six steps of q(u) each).
BATCH_STEPS, WHOLE_STEPS = 2000, 360


def batch_rows(train: Any, rows: int) -> int:
    """Rows of a batch, of so many."""
    return min(BATCH if train.batch_size == "auto" else train.batch_size, rows)


def takes_all_rows(train: Any, rows: int, points: int, labels: bool) -> bool:
    """Whether one batch of natural gradients holds all rows, whose hyperparameters L-BFGS then fits.

    `labels`: of classes, where rows left out end training in batches far sooner.
    """
    if train.learning_rate is not None:
        return False
    if labels or train.batch_size != "auto":
        return batch_rows(train, rows) == rows
    return WHOLE_STEPS * step_operations(points, rows) <= BATCH_STEPS * step_operations(points, BATCH)


def step_operations(points: int, batch: int) -> float:
    """Of a step of natural gradients, a latent."""
    return 8.0 * points**2 * batch + 6.0 * points**3


def affordable(rows: int, points: int, speed: float = 1.0) -> bool:
    """Whether an evaluation of the collapsed bound may see all rows."""
    return 3.0 * points**2 * rows <= speed * MOST_OPERATIONS


def can_judge(train: Any, rows: int, points: int, latents: int) -> bool:
    """Whether there is time for rows left out to judge training, when it is over (`max_seconds` or not)."""
    climbs = CLIMBS * latents * step_operations(points, rows)
    limit = train.max_seconds
    return climbs <= (MOST_OF_CLIMBS if limit is None else min(MOST_OF_CLIMBS, CLIMBS_SHARE * limit * RATE))


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

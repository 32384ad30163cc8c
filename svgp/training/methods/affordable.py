"""How many rows the collapsed bound can afford: `train.subset_rows: auto`.

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
FEWEST = 20_000


def rows_to_fit(config: Any, rows: int, points: int) -> int | None:
    """How many of so many rows hyperparameters and Z are fitted to, for M = `points`; None: all.

    `config.subset_rows` where it is a number. `auto`: all where an evaluation of them is affordable, else as
    many as EVALUATIONS evaluations can take in the time that `config.max_seconds` gives, or ten minutes.
    """
    wanted = config.subset_rows
    if wanted != "auto":
        return wanted
    if 3.0 * points**2 * rows <= MOST_OPERATIONS:
        return None
    seconds = SECONDS if config.max_seconds is None else SHARE * config.max_seconds
    affordable = int(seconds * RATE / (EVALUATIONS * OPERATIONS * points**2))
    found = max(FEWEST, 10 * points, affordable)
    return found if found < rows else None

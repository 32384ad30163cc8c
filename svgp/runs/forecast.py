"""What a run will take, before it begins: seconds and peak memory, from operations and a measured rate.

No TensorFlow: NumPy's rates of products and exponentials stand for all work. A step of M points and B rows
takes about `7.5 M^2 B + 3.8 M^3` operations a latent GP and some work on each entry of a panel [M, B]; an
evaluation of the collapsed bound `6 M^2 N + 12 M^3`, of the evidence with m neighbours `(7 M^2 + 3 m^2 M) N`,
with one and a quarter evaluations a step of L-BFGS. With `inducing.count: auto` M is the most that the time
allows, as a run weighs it (`svgp.runs.inducing_count`): what fewer points are worth only its pilot tells.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from svgp.runs.decisions import (
    chosen_method,
    has_labels,
    has_second_stage,
    most_points,
    most_wanted,
    rows_a_step,
    rows_to_learn,
)

_SIZE, _TIMED_S = 512, 0.05  # of the products that are timed, and for how long
_EVALUATIONS = 1.25  # of L-BFGS an accepted step
SHARE_OF_PRODUCTS = 0.65  # of the product rate that a step's products reach
_ENTRY_S = 3e-8  # of the elementwise work on one entry of a panel [M, B], where nothing was measured
_EXPONENTIALS = 8.0  # so many exponentials take that long
_ITERATIONS, _EPOCHS = 60, 100  # until it has converged, where nothing else ends a run
_ROW_ENTRIES = 800.0  # of a panel, that take as long as a row's own small matrices in the second stage
_SECOND_PASS = 0.4  # of an evaluation of that stage: q(u) for all rows, where it was fitted to some
FIRST_SHARE = 0.25  # of the seconds, of the first of two stages; of steps it has half
_STEP_S = 0.003  # of a step beside its products
_START_S = 6.0  # imports, reading, compiling
_END_S = 6.0  # graphs and searches for predictions, pictures, the report
_PILOT_S = 2.0  # of inducing.count: auto
_START_BYTES = 0.9e9  # Python and TensorFlow before any data
_CHUNK_ENTRIES = 2**23  # of a panel [M, n] that is held at once
_SECOND_NEIGHBOURS, _MOST_NEIGHBOURS = 16, 128  # of a row in that stage; that are weighed for predictions
_NEAR, _TESTED = 1 << 19, 20_000  # of a stream: rows that may be neighbours, test rows that are scored
_JUDGES = 3000  # rows that say how many neighbours, and how wide predictions should be


@dataclass(frozen=True)
class Forecast:
    """Seconds of training until the first limit, of the whole command, and bytes at the peak."""

    method: str
    points: int  # M; the most there can be, where the run chooses
    chosen: bool  # whether the run chooses it
    steps: int
    train_s: float
    score_s: float  # of evaluations on test rows, while training
    end_s: float  # of what predictions need, once it has ended
    peak_bytes: float
    rate: float  # operations a second
    limit: str
    pass_s: float = 0.0  # of `train_s`: the pass over all rows for q(u) that follows a fit to some

    @property
    def total_s(self) -> float:
        """Of the whole command."""
        return _START_S + _PILOT_S * self.chosen + self.train_s + self.score_s + self.end_s

    def compared(self, steps: int, lately: int | None = None) -> dict[str, float]:
        """For metrics.json, after so many steps: `forecast.train_s` (`wall_s` is what it took),
        `forecast.session_s` (`session_s`: with evaluations and the end), and both `peak_bytes`.

        `lately`: how many of the steps this session took; None: all.
        """
        share, own = (count / max(1, self.steps) for count in (steps, steps if lately is None else lately))
        found = {
            "forecast.train_s": self.train_s * share,
            "forecast.session_s": (self.train_s + self.score_s) * own + self.end_s,
            "forecast.peak_bytes": self.peak_bytes,
        }
        peak = peak_bytes()
        return found if peak is None else {**found, "peak_bytes": peak}

    def describe(self) -> str:
        """One line for a person."""
        points = f"{self.points:,} inducing points{' at most (count: auto)' if self.chosen else ''}"
        fewer = "; with fewer points, or where it converges before, it takes less" if self.chosen else (
            "; a run that converges ends before"
        )  # fmt: skip
        passing = f" and {_seconds(self.pass_s)} of a pass over all rows" if self.pass_s else ""
        return (
            f"forecast: {self.method}, {points}, up to {self.steps:,} steps ({self.limit}){passing}: about"
            f" {_seconds(self.total_s)} and {self.peak_bytes / 1e9:.1f} GB, at {self.rate / 1e9:.0f}e9"
            f" operations a second measured just now{fewer}"
        )


def forecast(
    config: Any,
    rows: int,
    inputs: int,
    latents: int = 1,
    *,
    points: int | None = None,
    rate: float | None = None,
    at_hand: int | None = None,
) -> Forecast:
    """What training `config` on so many rows and inputs takes on this machine.

    points: inducing points, where their number is known. rate: operations a second; None: measured, in a
    twentieth of a second. at_hand: rows in memory, where the table is read as a stream. An estimate from
    above where training ends by itself: the limits of the config are what is known.
    """
    train, asked = config.train, points or config.model.inducing.count
    held = rows if at_hand is None else min(rows, at_hand)
    most, second = most_wanted(config, rows, held == rows), held == rows and has_second_stage(config)
    once = chosen_method(config, rows, 1) == "collapsed"
    each, second = 1 if once else latents, second and once
    M = asked
    if not isinstance(M, int):
        M = most_points(train, rows, most, each, once, second=second, labels=has_labels(config))
    M = min(M, rows)
    single = train.precision == "float32"
    kind = np.float32 if single else np.float64
    entry_s = _ENTRY_S if rate else _EXPONENTIALS * exponential_seconds(kind)
    rate = rate or product_rate(kind)
    work = _Work(config, rows, held, M, latents, SHARE_OF_PRODUCTS * rate, entry_s)
    method, pass_s = chosen_method(config, rows, M), 0.0
    if method == "collapsed":
        stages, per_epoch, guess = work.collapsed(), 1, _ITERATIONS
        pass_s = work.last_pass(stages)
    else:
        stages, per_epoch, guess = [work.batch()], math.ceil(rows / rows_a_step(config, rows, M)), _EPOCHS
    steps, limit = _steps(train, per_epoch, stages, guess, pass_s)
    train_s = steps * sum(stages) / len(stages) + pass_s
    if limit == "train.max_seconds":  # unevenly shared: its steps are none of the mean length
        train_s = train.max_seconds if steps > len(stages) else train.max_seconds + max(stages)
    evaluations = 1 + steps / per_epoch / train.evaluate_every
    if method == "collapsed":
        evaluations = min(evaluations, 1 + math.log(1 + evaluations) / math.log(1.1))
    test_s = work.test()
    size = 4 if single else 8
    panel = min(_CHUNK_ENTRIES, M * rows) if method == "collapsed" else M * rows_a_step(config, rows, M)
    neighbours = 8.0 * 2 * held * (inputs + _SECOND_NEIGHBOURS) if work.neighbours else 0.0
    peak = _START_BYTES + size * (6 * panel + 12 * latents * M**2) + 24.0 * held * (inputs + 1) + neighbours
    return Forecast(
        method, M, asked == "auto", steps, train_s, min(evaluations * test_s, 0.5 * train_s + test_s),
        _END_S + work.end(), peak, rate, limit, pass_s,
    )  # fmt: skip


class _Work:
    """Seconds of the parts of a run: M points, so many rows, operations a second that are reached."""

    def __init__(
        self, config: Any, rows: int, held: int, M: int, latents: int, rate: float, entry_s: float
    ) -> None:
        self.config, self.rows, self.held, self.M, self.latents = config, rows, held, M, latents
        self.rate, self.entry_s = rate, entry_s
        asked = config.model.neighbours.count
        self.neighbours = _MOST_NEIGHBOURS if asked == "auto" else asked
        # Of a table that is read as a stream.
        self.near = rows if held == rows else min(rows, _NEAR)
        self.tested = rows * _tenth(config) if held == rows else min(rows * _tenth(config), _TESTED)

    def _seconds(self, operations: float, entries: float) -> float:
        return operations / self.rate + entries * self.entry_s

    def collapsed(self) -> list[float]:
        """A step of each stage: the bound, and where predictions see neighbours, the evidence with them."""
        M, seen = self.M, rows_to_learn(self.config, self.rows, self.M)
        operations = 6.0 * M**2 * seen + 12.0 * M**3
        stages = [_EVALUATIONS * self._seconds(operations, M * seen) + _STEP_S]
        if self.neighbours and has_second_stage(self.config):
            seen = min(seen, self.held)
            operations = (7.0 * M**2 + 3.0 * _SECOND_NEIGHBOURS**2 * M) * seen + 12.0 * M**3
            entries = (2.0 * M + _ROW_ENTRIES) * seen
            stages.append(_EVALUATIONS * self._seconds(operations, entries) + _STEP_S)
        return stages

    def batch(self) -> float:
        """A step on a batch."""
        M, B = self.M, rows_a_step(self.config, self.rows, self.M)
        operations = self.latents * (7.5 * M**2 * B + 3.8 * M**3)
        return self._seconds(operations, float(self.latents * M * B)) + _STEP_S

    def test(self) -> float:
        """One evaluation of the test rows, by the inducing points alone."""
        return 2.0 * self.M**2 * self.tested * self.latents / self.rate

    def last_pass(self, stages: list[float]) -> float:
        """The passes over all rows for q(u) after a fit to some, of each stage's half of its time at most."""
        seen = rows_to_learn(self.config, self.rows, self.M)
        if seen == self.rows:
            return 0.0
        seconds = self._seconds(2.0 * self.M**2 * self.rows, float(self.M * self.rows))
        if len(stages) > 1:
            seconds += _SECOND_PASS * stages[1] / _EVALUATIONS * self.held / min(seen, self.held)
        limit = self.config.train.max_seconds
        return seconds if limit is None else min(seconds, 0.5 * limit / len(stages))

    def end(self) -> float:
        """Rows left out for calibration and neighbours, and the test rows as predicted."""
        judges, test = min(self.held, _JUDGES), self.tested
        if self.config.model.calibration == "none" and not self.neighbours:
            return self.test()
        m = min(self.neighbours, self.held)
        a_row = 2.0 * self.M**2 + 2.0 * m**2 * self.M + m**3 / 3.0
        residuals = 4.0 * self.M**2 * self.near if self.neighbours else 0.0  # of all that may be neighbours
        return self.latents * (a_row * (2.0 * judges + test) + residuals) / self.rate


def peak_bytes() -> float | None:
    """The most memory that this process has held; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit


def product_rate(kind: Any = np.float64) -> float:
    """Operations a second of matrix products [512, 512] in this type, the best of a few."""
    a = np.ones((_SIZE, _SIZE), kind)
    best, end = math.inf, time.perf_counter() + _TIMED_S
    out = a @ a
    while time.perf_counter() < end or best == math.inf:
        began = time.perf_counter()
        np.matmul(a, a, out=out)
        best = min(best, time.perf_counter() - began)
    return 2.0 * _SIZE**3 / best


def exponential_seconds(kind: Any = np.float64) -> float:
    """Seconds of one of many exponentials in this type, the best of three."""
    x = np.linspace(-1.0, 1.0, 1 << 17, dtype=kind)
    best = math.inf
    for _ in range(3):
        began = time.perf_counter()
        np.exp(x)
        best = min(best, time.perf_counter() - began)
    return best / len(x)


def _steps(train: Any, per_epoch: int, stages: Sequence[float], guess: int, pass_s: float) -> tuple[int, str]:
    """Steps until the first limit, and which one that is. Two stages share the steps, and the seconds."""
    part, shares = len(stages), (1.0,) if len(stages) == 1 else (FIRST_SHARE, 1.0 - FIRST_SHARE)
    left = (train.max_seconds or 0.0) - pass_s
    in_time = sum(int(share * left / step_s) for share, step_s in zip(shares, stages, strict=True))
    ends = {
        "train.max_epochs": train.max_epochs and train.max_epochs * per_epoch,
        "train.max_steps": train.max_steps,
        "train.max_seconds": train.max_seconds and max(1, in_time),
    }
    known = {name: end for name, end in ends.items() if end}
    if not known:
        return part * guess * per_epoch, "a guess, as it ends when it has converged"
    name = min(known, key=lambda key: known[key])
    return int(known[name]), name


def _tenth(config: Any) -> float:
    test = config.data.test
    return 0.0 if test is None else test.fraction or 0.1


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"

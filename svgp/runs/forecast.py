"""What a run will take, before it begins: seconds and peak memory, from operations and the machine's rates.

`svgp.runs.work` has what each part costs. How many steps it takes until a run has converged nobody knows
before: from few to many, as runs were seen to take, so that what is said is a range. With
`inducing.count: auto` M is the most that the time allows, as a run weighs it (`svgp.runs.inducing_count`),
unless it is given: what fewer points are worth only a pilot tells. No TensorFlow.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from svgp.runs.decisions import (
    chosen_method,
    has_labels,
    has_second_stage,
    is_whole,
    most_points,
    most_wanted,
    rows_a_step,
)
from svgp.runs.machine import Machine, machine
from svgp.runs.work import Work

# Steps until training has converged, in all runs but a few: of the bound; of the evidence, where no rows are
# kept out of it, and where some are, which end it sooner; of natural gradients on all rows; in batches.
_FIRST, _SECOND, _SECOND_JUDGED, _WHOLE, _BATCHES = (30, 200), (30, 600), (20, 100), (10, 40), (200, 4000)
_JUDGED = (40, 400)  # of classes in batches, which rows left out may end at the first look
_SLOWEST = 3  # times the most steps that a few runs have taken
FIRST_SHARE = 0.25  # of the seconds, of the first of two stages; of steps it has half
_ABOUT = 1.4  # a range that is no wider is a number
_START_S = 5.5  # imports, reading, first points
_PILOT_S = 1.0  # of inducing.count: auto
_END_S, _PICTURES_S = 1.0, 2.5  # graphs for predictions; pictures and the report
_START_BYTES, _COMPILED_BYTES = 1.0e9, 0.1e9  # Python and TensorFlow before any data; graphs
_CHUNK_ENTRIES = 2**23  # of a panel [M, n] that is held at once
_SETS = 18**2 * 3 + 16  # numbers of a row that the second stage keeps beside A and its like
_SECOND_ENTRIES = 2**27  # that it keeps in all


@dataclass(frozen=True)
class Forecast:
    """Seconds from the least to the most that a run may take, and bytes at the peak.

    `stages`: seconds of a step of each; `steps`: of each the least and the most. `train_s`: of both kinds,
    `once_s` of them beside the steps: for the pass over all rows that follows a fit to some, for graphs and
    for judging classes. `score_s`: of scores while training; `end_s`: of what predictions need, once it has
    ended; `around_s`: of what comes before and after.
    """

    method: str
    points: int  # M; the most there can be, where the run chooses
    chosen: bool  # whether the run chooses it
    stages: tuple[float, ...]
    steps: tuple[tuple[int, int], ...]
    train_s: tuple[float, float]
    score_s: tuple[float, float]
    end_s: float
    around_s: float
    peak_bytes: float
    rate: float  # operations a second
    limit: str
    once_s: float = 0.0

    @property
    def total_s(self) -> tuple[float, float]:
        """Of the whole command, the least and the most."""
        least, most = self.session_s
        return self.around_s + least, self.around_s + most

    @property
    def session_s(self) -> tuple[float, float]:
        """The same without imports and the report."""
        both = zip(self.train_s, self.score_s, strict=True)
        least, most = (train + score + self.end_s for train, score in both)
        return least, most

    def compared(self, steps: Sequence[int], lately: int | None = None) -> dict[str, Any]:
        """For metrics.json, after so many steps of each stage.

        `forecast.train_s` for these steps (`wall_s` is what they took), `forecast.session_s` (`session_s`:
        with evaluations and the end), both `peak_bytes`, and `forecast.before`, the least and the most that
        a session was to take before the steps were known. `lately`: how many of the steps this session took;
        None: all.
        """
        taken = sum(steps)
        share = 1.0 if lately is None else lately / max(1, taken)
        train_s = self.once_s + sum(s * n for s, n in zip(self.stages, steps, strict=False))
        most = max(1, sum(most for _, most in self.steps))
        score_s = self.score_s[1] * min(1.0, taken / most) ** 0.5  # ever more seldom
        found: dict[str, Any] = {
            "forecast.train_s": train_s,
            "forecast.session_s": (train_s + score_s) * share + self.end_s,
            "forecast.before": list(self.session_s),
            "forecast.peak_bytes": self.peak_bytes,
        }
        peak = peak_bytes()
        return found if peak is None else {**found, "peak_bytes": peak}

    def describe(self) -> str:
        """One line for a person."""
        points = f"{self.points:,} inducing points{' at most (count: auto)' if self.chosen else ''}"
        least, most = (sum(counts) for counts in zip(*self.steps, strict=True))
        number = f"{most:,}" if least == most else f"{least:,} to {most:,}"
        late = self.method == "collapsed" and self.once_s >= 1.0
        passing = f", {_seconds(self.once_s)} of a pass over all rows" if late else ""
        fewer = "; with fewer points it takes less" if self.chosen else ""
        return (
            f"forecast: {self.method}, {points}, {number} steps ({self.limit}){passing}: "
            f"{_range(*self.total_s)} and {self.peak_bytes / 1e9:.1f} GB, at {self.rate / 1e9:.0f}e9 "
            f"operations a second measured just now{fewer}"
        )


def forecast(
    config: Any,
    rows: int,
    inputs: int,
    latents: int = 1,
    *,
    points: int | None = None,
    on: Machine | None = None,
    at_hand: int | None = None,
    test_rows: int | None = None,
) -> Forecast:
    """What training `config` on so many rows and inputs takes on this machine.

    points: inducing points, where their number is known. on: the machine; None: measured, in a tenth of a
    second. at_hand: rows in memory, where the table is read as a stream. test_rows: None for what the config
    says of them.
    """
    train, asked = config.train, points or config.model.inducing.count
    held = rows if at_hand is None else min(rows, at_hand)
    M = min(asked if isinstance(asked, int) else _most(config, rows, held == rows, latents, inputs), rows)
    single = train.precision == "float32"
    on = on or machine(np.float32 if single else np.float64)
    work = Work(config, rows, held, inputs, M, latents, on)
    if test_rows is not None:
        work.tested = float(test_rows)
    method = chosen_method(config, rows, M)
    collapsed, whole, per_epoch = method == "collapsed", is_whole(config, rows, M), 1
    if collapsed:
        stages, once_s = work.collapsed(), work.last_pass()
        guesses = [_FIRST, _SECOND_JUDGED if work.fitted < rows else _SECOND][: len(stages)]
    else:
        stages, once_s = [work.batch()], work.graphs(method)
        judged = _JUDGED if method == "natgrad" and work.is_judged() else _BATCHES
        guesses, per_epoch = [_WHOLE if whole else judged], math.ceil(rows / rows_a_step(config, rows, M))
    steps, limit = _steps(train, per_epoch, stages, guesses, once_s)
    counts = [[n[end] for n in steps] for end in (0, 1)]
    times = [once_s + sum(s * n for s, n in zip(stages, few, strict=True)) for few in counts]
    if train.max_seconds is not None:
        # The first step is ended; what a graph does, and judging, is done in any case.
        limits = train.max_seconds + (0.0 if collapsed else stages[-1] + once_s), stages[0] + once_s
        times = [min(time, max(limits)) for time in times]
    scores = [work.score(sum(few), per_epoch, collapsed or whole) for few in counts]
    around_s = _START_S + _PICTURES_S + (_PILOT_S if config.model.inducing.count == "auto" else 0.0)
    return Forecast(
        method, M, not isinstance(asked, int), tuple(stages), tuple(steps), (times[0], times[1]),
        (scores[0], scores[1]), _END_S * on.pace + work.end(), around_s * on.pace,
        _peak(work, method, 4 if single else 8), on.rate, limit, once_s,
    )  # fmt: skip


def peak_bytes() -> float | None:
    """The most memory that this process has held; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit


def _most(config: Any, rows: int, in_memory: bool, latents: int, inputs: int) -> int:
    """The most points that `inducing.count: auto` may take."""
    once = chosen_method(config, rows, 1) == "collapsed"
    second = in_memory and once and has_second_stage(config, latents)
    most = most_wanted(config, rows, in_memory, latents)
    return most_points(
        config.train, rows, most, 1 if once else latents, once,
        second=second, labels=has_labels(config), inputs=inputs,
    )  # fmt: skip


def _peak(work: Work, method: str, size: int) -> float:
    """Bytes at the peak."""
    M, rows, config = work.M, work.rows, work.config
    collapsed = method == "collapsed"
    panel = min(_CHUNK_ENTRIES, M * rows) if collapsed else M * rows_a_step(config, rows, M)
    kept = min(_SECOND_ENTRIES, work.held * (4.0 * M + _SETS)) if collapsed and work.has_second() else 0.0
    numbers = max(6.0 * panel, kept) + 12.0 * work.latents * M**2
    data = 24.0 * work.held * (work.inputs + 1)
    graphs = 0.0 if collapsed else _COMPILED_BYTES
    return _START_BYTES + graphs + size * numbers + data


def _steps(
    train: Any, per_epoch: int, stages: Sequence[float], guesses: Sequence[tuple[int, int]], once_s: float
) -> tuple[list[tuple[int, int]], str]:
    """The least and the most steps of each stage, and what ends them.

    Two stages share the steps, and the seconds.
    """
    halves = (1.0,) if len(stages) == 1 else (0.5, 0.5)
    shares = (1.0,) if len(stages) == 1 else (FIRST_SHARE, 1.0 - FIRST_SHARE)
    ends = {
        "train.max_epochs": train.max_epochs and train.max_epochs * per_epoch,
        "train.max_steps": train.max_steps,
    }
    most = {name: [share * end for share in halves] for name, end in ends.items() if end}
    if train.max_seconds:
        left = max(0.0, train.max_seconds - once_s)
        most["train.max_seconds"] = [share * left / s for share, s in zip(shares, stages, strict=True)]
    # A limit that is set is what may well be reached.
    slowest = _SLOWEST if most else 1
    most["a guess, as it ends when it has converged"] = [float(slowest * high) for _, high in guesses]
    limit = min(most, key=lambda name: sum(s * n for s, n in zip(stages, most[name], strict=True)))
    known = train.tolerance is None and len(most) > 1 and not limit.startswith("a guess")
    found = []
    for number, guess in enumerate(guesses):
        high = max(1, round(min(counts[number] for counts in most.values())))
        found.append((high if known else min(high, guess[0]), high))
    return found, limit


def _range(least: float, most: float) -> str:
    if most <= _ABOUT * least:
        return f"about {_seconds(0.5 * (least + most))}"
    low, high = _seconds(least), _seconds(most)
    unit = high.split(" ")[1]
    return f"{low.removesuffix(f' {unit}')} to {high}"


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"

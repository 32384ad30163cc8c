"""What a run will take, before it begins: seconds and peak memory, from operations and a measured rate.

No TensorFlow: NumPy's rates of products and exponentials stand for all work. A step of M points and B rows
takes about `7.5 M^2 B + 3.8 M^3` operations a latent GP and some work on each entry of a panel [M, B]; an
evaluation of the collapsed bound `6 M^2 N + 12 M^3`, with one and a quarter evaluations a step of L-BFGS.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

_SIZE, _TIMED_S = 512, 0.05  # of the products that are timed, and for how long
_AFFORDABLE = 3e12  # operations of a collapsed evaluation, beyond which natural gradients take over
_EVALUATIONS = 1.25  # of L-BFGS an accepted step
_SHARE = 0.65  # of the product rate that a step's products reach
_ENTRY_S = 3e-8  # of the elementwise work on one entry of a panel [M, B], where nothing was measured
_EXPONENTIALS = 8.0  # so many exponentials take that long
_ITERATIONS, _EPOCHS = 60, 100  # until it has converged, where nothing else ends a run
_STEP_S = 0.003  # of a step beside its products
_START_S = 6.0  # imports, reading, compiling
_START_BYTES = 0.9e9  # Python and TensorFlow before any data
_CHUNK_ENTRIES = 2**23  # of a panel [M, n] that is held at once


@dataclass(frozen=True)
class Forecast:
    """Seconds of training until the first limit, of the whole command, and bytes at the peak."""

    method: str
    steps: int
    train_s: float
    total_s: float
    peak_bytes: float
    rate: float  # operations a second
    limit: str

    def compared(self, steps: int) -> dict[str, float]:
        """For metrics.json, after so many steps: their `forecast.train_s`, and both `peak_bytes`."""
        found = {"forecast.train_s": self.train_s * steps / max(1, self.steps)}
        found["forecast.peak_bytes"] = self.peak_bytes
        peak = peak_bytes()
        return found if peak is None else {**found, "peak_bytes": peak}

    def describe(self) -> str:
        """One line for a person."""
        return (
            f"forecast: {self.method}, up to {self.steps:,} steps ({self.limit}): about"
            f" {_seconds(self.total_s)} and {self.peak_bytes / 1e9:.1f} GB, at {self.rate / 1e9:.0f}e9"
            " operations a second measured just now; a run that converges ends before"
        )


def forecast(
    config: Any,
    rows: int,
    inputs: int,
    latents: int = 1,
    *,
    points: int | None = None,
    rate: float | None = None,
) -> Forecast:
    """What training `config` on so many rows and inputs takes on this machine.

    points: inducing points, where their number is known. rate: operations a second; None: measured, in a
    twentieth of a second. An estimate from above where training ends by itself: the limits of the config are
    what is known.
    """
    train, M = config.train, points or config.model.inducing.count
    M = min(M if isinstance(M, int) else _guess(rows), rows)
    single = train.precision == "float32"
    kind = np.float32 if single else np.float64
    entry_s = _ENTRY_S if rate else _EXPONENTIALS * exponential_seconds(kind)
    rate = rate or product_rate(kind)
    method = _method(config, rows, M)
    seen = rows_to_fit(train, rows, M)
    if method == "collapsed":
        operations, per_epoch = _EVALUATIONS * (6.0 * M**2 * seen + 12.0 * M**3), 1
        entries = _EVALUATIONS * M * seen
    else:
        B = min(train.batch_size, rows)
        operations, per_epoch = latents * (7.5 * M**2 * B + 3.8 * M**3), math.ceil(rows / B)
        entries = float(latents * M * B)
    step_s = operations / (_SHARE * rate) + entries * entry_s + _STEP_S
    steps, limit = _steps(train, per_epoch, step_s, _ITERATIONS if method == "collapsed" else _EPOCHS)
    train_s = steps * step_s
    test_s = 2.0 * M**2 * rows * _tenth(config) * latents / (_SHARE * rate)
    evaluations = 1 + steps / per_epoch / train.evaluate_every
    if method == "collapsed":
        evaluations = min(evaluations, 1 + math.log(1 + evaluations) / math.log(1.1))
    total_s = _START_S + train_s + min(evaluations * test_s, 0.5 * train_s + test_s)
    size = 4 if single else 8
    panel = min(_CHUNK_ENTRIES, M * rows) if method == "collapsed" else M * min(train.batch_size, rows)
    peak = _START_BYTES + size * (6 * panel + 12 * latents * M**2) + 8.0 * 3 * rows * (inputs + 1)
    return Forecast(method, steps, train_s, total_s, peak, rate, limit)


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


def _method(config: Any, rows: int, M: int) -> str:
    """What `train.method: auto` will choose; see `svgp.training.methods`."""
    train, model = config.train, config.model
    if train.method != "auto":
        return str(train.method)
    if model.bound == "ppgpr":
        return "adam"
    fits = model.likelihood.collapsible and train.precision == "float64" and model.posterior.type == "full"
    seen = rows_to_fit(train, rows, M)
    affordable = seen < rows or 3.0 * M**2 * rows <= _AFFORDABLE
    return "collapsed" if fits and affordable else "natgrad"


def rows_to_fit(train: Any, rows: int, M: int) -> int:
    """How many rows the collapsed bound is fitted to, as `svgp.training.methods.affordable` says."""
    if train.subset_rows != "auto":
        return min(rows, train.subset_rows or rows)
    if 3.0 * M**2 * rows <= _AFFORDABLE:
        return rows
    seconds = 600.0 if train.max_seconds is None else 0.7 * train.max_seconds
    return min(rows, max(20_000, 10 * M, int(seconds * 5e10 / (60 * 7.0 * M**2))))


def _guess(rows: int) -> int:
    return min(512, rows)


def _steps(train: Any, per_epoch: int, step_s: float, guess: int) -> tuple[int, str]:
    """Steps until the first limit, and which one that is."""
    ends = {
        "train.max_epochs": train.max_epochs and train.max_epochs * per_epoch,
        "train.max_steps": train.max_steps,
        "train.max_seconds": train.max_seconds and max(1, int(train.max_seconds / step_s)),
    }
    known = {name: end for name, end in ends.items() if end}
    if not known:
        return guess * per_epoch, "a guess, as it ends when it has converged"
    name = min(known, key=lambda key: known[key])
    return int(known[name]), name


def _tenth(config: Any) -> float:
    test = config.data.test
    return 0.0 if test is None else test.fraction or 0.1


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"

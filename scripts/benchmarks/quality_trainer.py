"""The contender's side: a plain training loop that can be paused, with a clock that counts training alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from benchmarks.channel import Channel, peak_mib
from benchmarks.quality_problem import Problem, load

LEARNING_RATE = 0.01
GAMMA = 0.1  # step length of the peers' natural gradients
START_VARIANCE = 1.0
START_NOISE = 0.1


class Settings(NamedTuple):
    """What the parent asks for."""

    method: str
    batch_size: int
    seed: int
    seconds: float  # of training in all
    dtype: str


class Prediction(NamedTuple):
    """Of the test rows, in standardised units."""

    mean: np.ndarray  # [N_test]
    variance: np.ndarray  # [N_test] noise included
    log_density: np.ndarray  # [N_test]
    inside: np.ndarray | None = None  # [N_test] of the contender's own 95% interval; None: the normal one


class Contender(Protocol):
    """Making one is timed. `train` calls `tick` after each step and returns where nothing is left to do."""

    label: str  # the method, `auto` resolved

    def train(self, tick: Callable[[], None]) -> None: ...

    def predict(self) -> Prediction: ...


def start_lengthscales(X: np.ndarray) -> np.ndarray:
    """sqrt(D) in each of the D columns: two random rows are then at about distance sqrt(2)."""
    return np.full(X.shape[1], X.shape[1] ** 0.5)  # [D]


def minibatches(problem: Problem, settings: Settings) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """An endless supply of batches without replacement, reshuffled each epoch."""
    rng = np.random.default_rng(settings.seed)
    dtype, size, N = settings.dtype, min(settings.batch_size, len(problem.X)), len(problem.X)
    X: np.ndarray = problem.X.astype(dtype)
    Y: np.ndarray = problem.Y.astype(dtype)
    order: list[np.ndarray] = []

    def batch() -> tuple[np.ndarray, np.ndarray]:
        if not order:
            order.extend(np.array_split(rng.permutation(N), max(1, round(N / size)))[::-1])
        rows = order.pop()
        return X[rows], Y[rows]

    return batch


class Clock:
    """Runs while training runs. At the end of a slice it stops, has the model evaluated, and waits."""

    def __init__(self, channel: Channel, problem: Problem) -> None:
        self.contender: Contender | None = None
        self._channel, self._problem = channel, problem
        self._seconds, self._steps = 0.0, 0
        self._until = 0.0
        self._started = time.perf_counter()

    def begin(self) -> None:
        """Wait for the first slice, and run."""
        self._until = self._channel.receive()["until"]
        self._started = time.perf_counter()

    def tick(self) -> None:
        """A step is done; the slice may be over."""
        self._steps += 1
        seconds = self._seconds + time.perf_counter() - self._started
        if seconds >= self._until:
            self._seconds = seconds
            self._report(finished=False)
            self.begin()

    def finish(self) -> None:
        """Training has ended by itself: this evaluation is the last."""
        self._seconds += time.perf_counter() - self._started
        self._report(finished=True)
        self._channel.receive()  # nothing comes; the process ends with the parent's goodbye

    def _report(self, finished: bool) -> None:
        assert self.contender is not None
        found = scores(self.contender.predict(), self._problem.Y_test[:, 0])
        counts = {"method": self.contender.label, "seconds": self._seconds, "steps": self._steps}
        self._channel.answer(**counts, **found, finished=finished, peak_mib=peak_mib())


def scores(prediction: Prediction, y: np.ndarray) -> dict[str, float | None]:
    """On standardised targets: NLPD (nats a row), RMSE, share of y inside the central 95% interval."""
    mean, variance, log_density = (np.asarray(part, np.float64).ravel() for part in prediction[:3])
    inside = np.abs(y - mean) <= 1.959964 * np.sqrt(variance)
    inside = inside if prediction.inside is None else np.ravel(prediction.inside)
    found = {
        "nlpd": -float(np.mean(log_density)),
        "rmse": float(np.sqrt(np.mean((y - mean) ** 2))),
        "coverage_95": float(np.mean(inside)),
    }
    return {name: value if np.isfinite(value) else None for name, value in found.items()}


def serve(make: Callable[[Problem, Settings], Contender]) -> None:
    """Answer the parent. Reading the data is not timed; building the model and compiling are."""
    channel = Channel()
    question = channel.receive()
    problem, settings = load(question["file"]), Settings(**question["settings"])
    clock = Clock(channel, problem)
    channel.answer(ready=True)
    clock.begin()
    clock.contender = make(problem, settings)
    clock.contender.train(clock.tick)
    clock.finish()
    sys.exit(0)

"""A training step to be timed: its sizes, its numbers (the same in every process), what it has to compute."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from benchmarks.channel import Channel, peak_mib

COLUMNS = 8
NUM_DATA = 40_000
NOISE = 0.1
LEARNING_RATE = 0.01
SHORT = 0.05  # seconds; a step that is shorter is run once untimed, so that its threads are awake


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    M: int
    B: int
    dtype: str  # float32, float64 or mixed
    whiten: bool

    @property
    def float_type(self) -> str:
        """Of the parameters: mixed has float64 ones."""
        return "float32" if self.dtype == "float32" else "float64"

    @property
    def jitter(self) -> float:
        """Added to the diagonal of Kuu by every library."""
        return 1e-5 if self.dtype == "float32" else 1e-6

    @property
    def operations(self) -> float:
        """Needed for value and gradient with Gaussian noise, structure used; multiply and add count as two.

        5 M^2 B and 11/3 M^3 (whitened) or 13/3 M^3: one weight serves all variances, so that the adjoints of
        S and Kuu share one symmetric rank-B update.
        """
        return 5 * self.M**2 * self.B + (11 if self.whiten else 13) / 3 * self.M**3


class Numbers(NamedTuple):
    """A Matérn 3/2 problem with an eigenvalue spread that float32 can hold."""

    X: np.ndarray  # [B, D]
    Y: np.ndarray  # [B, 1]
    Z: np.ndarray  # [M, D]
    lengthscales: np.ndarray  # [D]
    q_mean: np.ndarray  # [M]
    q_sqrt: np.ndarray  # [M, M] lower triangular


def numbers(case: Case) -> Numbers:
    """The same numbers for every library and precision."""
    rng = np.random.default_rng(0)
    X, Z = rng.normal(size=(case.B, COLUMNS)), rng.normal(size=(case.M, COLUMNS))
    Y = np.sin(X.sum(axis=1, keepdims=True)) + NOISE**0.5 * rng.normal(size=(case.B, 1))
    root = np.tril(rng.normal(size=(case.M, case.M)), -1) * 0.1 / case.M**0.5 + 0.5 * np.eye(case.M)
    found = Numbers(X, Y, Z, np.linspace(1.0, 2.0, COLUMNS), 0.1 * rng.normal(size=case.M), root)
    return Numbers(*(array.astype(case.float_type) for array in found))


class Contender(Protocol):
    """A library with a model that is ready to take steps."""

    def step(self) -> float:
        """Value and gradient of the ELBO, and Adam's update; returns the ELBO before it."""
        ...

    def gradients(self) -> dict[str, np.ndarray]:
        """The ELBO and its gradient with respect to the constrained parameters, by name."""
        ...


def serve(make: Callable[[Case, Numbers], Contender]) -> None:
    """Prepare the case that the parent names, then answer: `step`, or `gradients` into a file."""
    channel = Channel()
    loaded = peak_mib()
    case = Case(**channel.receive()["case"])
    contender = make(case, numbers(case))
    channel.answer(loaded_mib=loaded)
    while True:
        question = channel.receive()
        if question["do"] == "gradients":
            found: dict[str, Any] = {**make(case, numbers(case)).gradients()}
            np.savez(Path(question["file"]), **found)
            channel.answer()
        elif question["do"] == "step":
            if question["warm"]:
                contender.step()
            start, used = time.perf_counter(), time.process_time()
            elbo = contender.step()
            seconds, processor = time.perf_counter() - start, time.process_time() - used
            channel.answer(seconds=seconds, processor=processor, elbo=elbo, mib=peak_mib())

"""What a training method is: a state machine that the loop advances one step at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from svgp.errors import ModelError
from svgp.models.replacement import Move
from svgp.workers import present

STATISTICS = ("elbo", "expected_log_likelihood", "kl", "jitter", "repairs", "objective", "finite")


def no_time_left(max_seconds: float | None) -> str:
    """Why a method ended that the clock has stopped within a step."""
    return f"max_seconds: what is left of {max_seconds:g} s is too short for a step"


@dataclass(frozen=True)
class StepRecord:
    """Outcome of one step.

    `step` counts the steps taken, this one included; `epoch` the passes over the data.
    `statistics` is `[7]` in the order of STATISTICS (nats for the whole data set; `finite` 0 or 1).
    `objective` is what the method maximises, the log prior left out: the ELBO, but for `model.bound: ppgpr`.
    It may be a tensor still being computed: read it late, so that a GPU is not waited for.
    """

    step: int
    epoch: float
    statistics: Any

    @staticmethod
    def of(
        step: int,
        epoch: float,
        *,
        elbo: float,
        expected_log_likelihood: float,
        kl: float,
        jitter: float = 0.0,
        repairs: float = 0.0,
    ) -> StepRecord:
        """A record from plain numbers of a method that maximises the ELBO; finite where that is."""
        finite = float(np.isfinite(elbo))
        values = (elbo, expected_log_likelihood, kl, jitter, repairs, elbo, finite)
        return StepRecord(step, epoch, np.asarray(values, dtype=np.float64))

    def values(self) -> np.ndarray:
        """The statistics as an array `[7]`; waits for the step to end."""
        return np.asarray(self.statistics, dtype=np.float64)


class Method(ABC):
    """Advance, and hold the state that makes advancing repeatable.

    A subclass is made by `(model, X, Y, config.train)`, X `svgp.rows.Rows` and Y None, or arrays. It gives
    `name`, `advance`, `state` and `load_state`; all else has a default here. `state()` holds everything that
    `advance()` reads and changes: parameters, slots, counters. `load_state(method.state())` on a method built
    alike continues bit for bit, and reading it changes nothing, the model neither: whoever wants the model to
    be up to date calls `publish()` before. A step whose loss or gradient is not finite must leave the
    parameters as they were.
    """

    name: ClassVar[str]  # as `train.method` has it
    iterative: ClassVar[bool] = False  # a step is an iteration over all rows: its bound is exact
    settling: ClassVar[int] = 20  # steps, or epochs of minibatches, before `Convergence` judges
    learning_rate: float | None = None  # None where steps have no size that a user could set

    model: Any  # a tf.Module, as of svgp.models
    step: int = 0  # steps taken
    steps_per_epoch: int = 1
    replaced: int | None = None  # inducing points that have got new places; None where none ever do

    @property
    def neighbour_model(self) -> Any | None:
        """A model trained for predictions with neighbours, beside `model`; None where there is none."""
        return None

    @property
    def evidence(self) -> float | None:
        """Its log evidence in nats for all rows, an approximation and no bound."""
        return None

    @classmethod
    def variant(cls, model: Any, rows: int, config: Any) -> type[Method]:
        """The class that serves `model` on so many rows: this one, or another form of the same method."""
        return cls

    @classmethod
    def describe_step_size(cls, config: Any) -> str | None:
        """The learning rate under `config`, in words; None where the method has none."""
        if cls.learning_rate is None:
            return None
        if config.learning_rate is not None:
            return f"learning rate {config.learning_rate:g}, as the config says"
        return f"learning rate {cls.learning_rate:g}, the default of {cls.name}"

    @property
    def converged(self) -> bool:
        """Whether further steps cannot help; a stochastic method says False."""
        return False

    @property
    def ended(self) -> str | None:
        """Why there is no further step, in words, where the reason is not that it has converged."""
        return None

    @property
    def over(self) -> bool:
        """Whether it has ended by itself, or used what its config allows, as far as it reads that itself."""
        return self.converged or self.ended is not None

    @property
    def publish_steps(self) -> float:
        """Steps that one could take in the time of `publish`; 0 where it takes next to nothing."""
        return 0.0

    @property
    def notes(self) -> list[str]:
        """What a user should know at the end, a line each."""
        return []

    @property
    def elapsed(self) -> float | None:
        """Seconds of training, of earlier sessions too, where the method keeps the deadline itself."""
        return None

    def __init__(self, model: Any, X: Any, Y: Any, config: Any) -> None:
        self.model = model

    @property
    def stage(self) -> int:
        """Counts the objectives that are maximised one after the other; most methods have one, number 0."""
        return 0

    @property
    def steps_by_stage(self) -> list[int]:
        """The steps taken, by the method that took them where two follow each other."""
        return [self.step]

    def next_stage(self) -> bool:
        """Leave a stage that gains no more for the next one, if there is one."""
        return False

    @abstractmethod
    def advance(self) -> StepRecord:
        """Take one step."""

    @abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """All that the next step depends on, `step` among it."""

    @abstractmethod
    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from `state`, bit for bit. Raises RunError where it belongs to another model or method."""

    def spend(self, seconds: float) -> None:  # noqa: B027
        """Set the method's own clock, where it has one, to so many seconds of training."""

    def publish(self) -> None:  # noqa: B027
        """Give the model the present q(u), where training keeps it elsewhere, and feels nothing of this."""

    def release(self) -> None:  # noqa: B027
        """Give back memory that the next step would take again."""

    @property
    def unseen(self) -> np.ndarray | None:
        """Numbers of rows that hyperparameters and Z were not fitted to; None where there are none."""
        return None

    @property
    def bound_of_all_rows(self) -> float | None:
        """The ELBO of the model as it is, in nats, where the method knows it of all rows."""
        return None

    def finish(self) -> bool:
        """Do what is left to do when training ends; whether it changed the model."""
        return False

    def restart(self, move: Move) -> float:
        """Go on after `move`, which the model has made, forgetting what was learnt of the points that moved.

        Returns what the objective gains, in nats a row, or 0 where that is not known.
        """
        return 0.0


def require_alone(method: str) -> None:
    """Raise ModelError for a method that several workers cannot share."""
    if not present().alone:
        raise ModelError(
            f"train.method: {method} trains on one worker, and this run has {present().count}: "
            "use adam, or collapsed for Gaussian noise"
        )

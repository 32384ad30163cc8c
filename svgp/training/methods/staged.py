"""`model.neighbours.fit: evidence`: a first method for the sparse model, then the evidence with neighbours."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from svgp.errors import ModelError, NumericalError
from svgp.models import load_model_state, model_state
from svgp.models.collapsed.panels import Stopped
from svgp.models.replacement import Move
from svgp.training.methods.base import StepRecord
from svgp.training.methods.collapsed import subset
from svgp.training.methods.evidence import COUNT, EvidenceFit, twin

SHARE = 0.5  # of the run's steps and seconds: the first method's
LARGEST = 3e12  # operations of an evaluation, about 7 M^2 N: beyond, the evidence is that of a sample of rows


class Staged:
    """Takes the steps of `first` (method `collapsed`) until it has ended, then those of an `EvidenceFit`.

    `model`, the sparse model, stays as the first method left it, and so do the ELBO and what is said of the
    inducing points alone. `neighbour_model` is a copy with kernel, noise, mean and Z of its own, trained on
    the log evidence with neighbours, an approximation that is no bound, which each row of the second stage
    carries as `evidence`; its q(u) is that of the joint distribution with neighbours. It is None before the
    second stage has got anywhere, and then `model` is all there is.

    X `[N, D]`, Y `[N, P]`: where an evaluation of all rows would take too long, the second stage sees some.
    `config`: the run's, of whose limits `first` was given the share SHARE.
    """

    steps_per_epoch = 1
    iterative = True
    learning_rate = None

    def __init__(self, first: Any, X: np.ndarray, Y: np.ndarray, config: Any) -> None:
        self.first, self.model, self.name = first, first.model, first.name
        self.step: int = 0
        self._config, self._X, self._Y = config, X, np.asarray(Y, np.float64).reshape(len(X), -1)
        self._second: EvidenceFit | None = None
        self._spent = 0.0  # seconds in the second stage
        self._over = False
        self._last: StepRecord | None = None

    @property
    def neighbour_model(self) -> Any | None:
        """What the second stage has trained; None where it has got nowhere."""
        second = self._second
        return None if second is None or not np.isfinite(second.value) else second.model

    @property
    def evidence(self) -> float | None:
        """The log evidence of the neighbour model, in nats for all rows: no bound."""
        if self._second is None or not np.isfinite(self._second.value):
            return None
        return self._second.value * len(self._X) / len(self._second.X)

    @property
    def converged(self) -> bool:
        """Whether both stages have ended."""
        return self._over or (self._second is not None and self._second.converged)

    @property
    def replaced(self) -> int | None:
        """How many inducing points the first method has re-placed."""
        found: int | None = getattr(self.first, "replaced", None)
        return found

    @property
    def elapsed(self) -> float:
        """Seconds of training, of earlier sessions too."""
        return float(self.first.elapsed or 0.0) + self._spent

    @property
    def notes(self) -> list[str]:
        """What a user should know at the end, a line each."""
        own = []
        if (second := self._second) is not None:
            seen = "" if len(second.X) == len(self._X) else f" of {len(second.X)} rows"
            found = "not reached" if self.evidence is None else f"{self.evidence:.6g} nats{seen}, no bound"
            own.append(
                f"evidence with {COUNT} neighbours a row: {found}; {second.step} steps, neighbours searched "
                f"{second.searches} times"
            )
        return [*self.first.notes, *own]

    def advance(self) -> StepRecord:
        """A step of the stage that is on."""
        if self._second is None and not self.first_is_over():
            self._last = self.first.advance()
        else:
            self._advance_second()
        self.step += 1
        assert self._last is not None
        values = self._last.values().copy()
        if (evidence := self.evidence) is not None:
            values[5] = evidence  # the objective
        return StepRecord(self.step, float(self.step), values)

    def finish(self) -> bool:
        """What the first method has left to do."""
        return bool(self.first.finish())

    def publish(self) -> None:
        """What the first method keeps elsewhere."""
        if (publish := getattr(self.first, "publish", None)) is not None:
            publish()

    def spend(self, seconds: float) -> None:
        """Set the clock of the stage that is on."""
        if self._second is None:
            self.first.spend(seconds)
        else:
            self._spent = seconds - float(self.first.elapsed or 0.0)

    def restart(self, move: Move) -> float:
        """Go on after `move`; points move in the first stage alone."""
        gain: float = self.first.restart(move)
        return gain

    def state(self) -> dict[str, np.ndarray]:
        """The first method's, and of the second stage its model and its own."""
        arrays = {f"first/{name}": value for name, value in self.first.state().items()}
        last = np.full(7, np.nan) if self._last is None else self._last.values()
        arrays |= {"step": np.asarray(self.step, np.int64), "last": last}
        arrays |= {"spent": np.asarray(self._spent), "over": np.asarray(self._over)}
        if self._second is not None:
            arrays |= {f"second/{name}": value for name, value in self._second.state().items()}
            state = model_state(self._second.model)
            arrays |= {f"neighbour_model/{name}": value for name, value in state.items()}
        return arrays

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from `state`, bit for bit. Raises RunError where it belongs to another model."""
        self.first.load_state(_below("first/", state))
        self.step, self._spent = int(state["step"]), float(state["spent"])
        self._over = bool(state["over"])
        known = np.isfinite(state["last"]).all()
        self._last = StepRecord(self.step, float(self.step), state["last"]) if known else None
        self._second = None
        if own := _below("second/", state):
            self._second = self._begin()
            load_model_state(self._second.model, _below("neighbour_model/", state))
            self._second.load_state(own)

    def first_is_over(self) -> bool:
        """Whether the first method has converged or used its share."""
        return bool(self.first.converged or self.first.over)

    def _advance_second(self) -> None:
        started = time.perf_counter()
        if self._second is None:
            self.first.finish()
            self._second = self._begin()
        limit = self._config.max_seconds
        deadline = None if limit is None else started + limit - self.elapsed
        try:
            self._second.advance(deadline)
        except Stopped:
            self._over = True
        except NumericalError:
            if np.isfinite(self._second.value):
                raise
            self._over = True  # no evidence at the start: the sparse model is all there is
        finally:
            self._spent += time.perf_counter() - started

    def _begin(self) -> EvidenceFit:
        size = self.model.num_inducing
        most = int(LARGEST / (7.0 * size**2))
        wanted = min(getattr(self._config, "subset_rows", None) or len(self._X), most)
        rows = subset(len(self._X), wanted, self._config.seed)
        X, Y = (self._X, self._Y) if rows is None else (self._X[rows], self._Y[rows])
        return EvidenceFit(twin(self.model), X, Y, seed=self._config.seed)


def with_evidence(method: Any, X: np.ndarray, Y: np.ndarray, config: Any) -> Any:
    """`method`, followed by the evidence where the model wants that; `config`: the run's."""
    return Staged(method, X, Y, config) if wants_evidence(method.model, method.name) else method


def wants_evidence(model: Any, name: str) -> bool:
    """Whether the method `name` is followed by a stage on the evidence: `collapsed`, if the config says so."""
    wanted = getattr(model, "neighbours", None)
    return wanted is not None and wanted.count > 0 and wanted.fit == "evidence" and name == "collapsed"


def first_share(config: Any) -> Any:
    """The run's `train` section with the first stage's share of its limits."""
    shares = {
        "max_seconds": None if config.max_seconds is None else SHARE * config.max_seconds,
        "max_steps": None if config.max_steps is None else max(1, int(SHARE * config.max_steps)),
        "max_epochs": None if config.max_epochs is None else max(1, int(SHARE * config.max_epochs)),
    }
    return config.model_copy(update=shares)


def _below(prefix: str, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


__all__ = ["SHARE", "ModelError", "Staged", "first_share", "wants_evidence", "with_evidence"]

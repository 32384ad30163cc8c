"""`model.neighbours.fit: evidence`: a method for the sparse model, then the evidence with neighbours."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from svgp.errors import NumericalError
from svgp.models import load_model_state, model_state
from svgp.models.collapsed.panels import Stopped
from svgp.models.collapsed.posterior import assign_posterior
from svgp.models.neighbours.evidence import NeighbourEvidence
from svgp.models.replacement import Move
from svgp.rows import Rows
from svgp.training.device import device_speed
from svgp.training.methods.affordable import rows_to_learn
from svgp.training.methods.base import Method, StepRecord, no_time_left
from svgp.training.methods.drawn_rows import beyond, subset
from svgp.training.methods.evidence import COUNT, EvidenceFit, twin
from svgp.training.methods.near_start import start_near
from svgp.training.methods.stages import first_share
from svgp.training.methods.unseen_gain import UnseenGain
from svgp.workers import present

LAST_PASS, LAST_SHARE = 0.4, 0.25  # of an evaluation a row, and of the run's seconds: what `finish` may take
# For each coordinate of Z: with fewer rows the second stage leaves Z where the first put it: it could learn
# the rows by heart (concrete, .5 rows, mean RMSE of five splits: .249 so, .282 with Z moved, .260 by the
# inducing points alone; and in a tenth of the time). With .9 (pol, 512 points): .075 so, .072 with Z moved.
ROWS_A_COORDINATE = 0.75
FEWEST = 200  # rows that neither stage was fitted to by which predictions are judged
FEWEST_LOOKED_AT = 80  # by which differences between two states of training are
SEARCHED = 10**6  # rows, beyond which a GPU that is faster takes no more: the host searches among them
LARGEST = 3e12  # operations of an evaluation, about 7 M^2 N: beyond, the evidence is that of a sample of rows


class Staged(Method):
    """Takes the steps of `first` (method `collapsed`) until it has ended, then those of an `EvidenceFit`.

    `model`, the sparse model, stays as the first method left it, and so do the ELBO and what is said of the
    inducing points alone. `neighbour_model` is a copy with kernel, noise, mean and Z of its own, trained on
    the log evidence with neighbours, an approximation that is no bound, which each row of the second stage
    carries as `evidence`; its q(u) is that of the joint distribution with neighbours. It is None before the
    second stage has got anywhere, and then `model` is all there is.

    Where an evaluation on all rows would take too long, or they are not in memory, the second stage trains on
    some. `config`: the run's, of whose limits `first` was given a share (`svgp.training.methods.stages`). It
    also ends where rows that were kept out of both stages gain no more
    (`svgp.training.methods.unseen_gain`).
    """

    iterative = True
    settling = 30

    def __init__(self, first: Method, rows: Rows, config: Any) -> None:
        self.first, self.model = first, first.model
        self.name = first.name  # type: ignore[misc]  # of this one
        self._config, self._rows = config, rows
        self._second: EvidenceFit | None = None
        self._gain: UnseenGain | None = None  # of the second stage, where rows were kept out
        self._spent = 0.0  # seconds in the second stage
        self._reserve_s = 0.0  # of the time, for `finish`
        self._failed = False  # the evidence could not be computed
        self._time_is_up = False
        self._left = False  # the first stage, since it gained no more
        self._complete = True  # whether the neighbour model's q(u) has seen all rows that are at hand
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
        return self._second.value * self._rows.count / len(self._second.X)

    @property
    def unseen(self) -> np.ndarray | None:
        """Rows that neither stage was fitted to; None where they are too few to tell how large errors are."""
        unseen = self.first.unseen if self._second is None else self._beyond_both(len(self._second.X))
        return None if unseen is None or len(unseen) < FEWEST else unseen

    @property
    def bound_of_all_rows(self) -> float | None:
        """The first method's, whose model stays as it was."""
        return self.first.bound_of_all_rows

    @property
    def converged(self) -> bool:
        """Whether both stages have, each by itself."""
        return self._second is not None and self._second.converged

    @property
    def ended(self) -> str | None:
        """That the time was up within the second stage, its evidence has no value, or rows gain no more."""
        if self._time_is_up:
            return no_time_left(self._config.max_seconds)
        if self._failed:
            return "the evidence with neighbours cannot be computed any more"
        return self._gain.verdict if self._gain is not None else None

    @property
    def elapsed(self) -> float:
        """Seconds of training, of earlier sessions too."""
        return float(self.first.elapsed or 0.0) + self._spent

    @property
    def notes(self) -> list[str]:
        """What a user should know at the end, a line each."""
        own = []
        if (second := self._second) is not None:
            seen = "" if len(second.X) == self._rows.count else f", from {len(second.X)} rows"
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
            self.replaced = self.first.replaced
        else:
            self._advance_second()
        self.step += 1
        assert self._last is not None
        values = self._last.values().copy()
        if (evidence := self.evidence) is not None:
            values[5] = evidence  # the objective
        return StepRecord(self.step, float(self.step), values)

    def finish(self) -> bool:
        """What the first method has left to do, and q(u) of the neighbour model for all rows at hand.

        Where `max_seconds` leaves far too little for that, q(u) stays that of the rows that were fitted.
        """
        changed = self.first.finish()
        if self._second is not None:
            self._second.release()
        model, X, Y = self.neighbour_model, *self._rows.sample()
        if model is None or self._complete or self._is_late():
            return changed
        everything = NeighbourEvidence(
            model, X, Y, count=COUNT, seed=self._config.seed, group=present(), variables=()
        )  # all workers alike
        assign_posterior(model, everything.posterior())
        self._complete = True
        return True

    def _is_late(self) -> bool:
        limit = self._config.max_seconds
        if limit is None:
            return False
        left = max(limit - self.elapsed, LAST_SHARE * limit)
        return bool(present().agree(float(self._last_pass_s() > left)))

    def _last_pass_s(self) -> float:
        """What q(u) for all rows at hand may take, by the last evaluation of some."""
        assert self._second is not None
        return (
            LAST_PASS * self._second.seconds_an_evaluation * len(self._rows.sample()[0]) / len(self._second.X)
        )

    def publish(self) -> None:
        """What the first method keeps elsewhere."""
        self.first.publish()

    def spend(self, seconds: float) -> None:
        """Set the clock of the stage that is on."""
        if self._second is None:
            self.first.spend(seconds)
        else:
            self._spent = seconds - float(self.first.elapsed or 0.0)

    def restart(self, move: Move) -> float:
        """Go on after `move`; points move in the first stage alone."""
        return self.first.restart(move)

    def state(self) -> dict[str, np.ndarray]:
        """The first method's, and of the second stage its model and its own."""
        arrays = {f"first/{name}": value for name, value in self.first.state().items()}
        last = np.full(7, np.nan) if self._last is None else self._last.values()
        arrays |= {"step": np.asarray(self.step, np.int64), "last": last}
        arrays |= {"spent": np.asarray(self._spent), "over": np.asarray(self._failed)}
        arrays |= {"complete": np.asarray(self._complete), "left": np.asarray(self._left)}
        if self._second is not None:
            arrays |= {f"second/{name}": value for name, value in self._second.state().items()}
            if self._gain is not None:
                arrays["looks"] = self._gain.state()
            state = model_state(self._second.model)
            arrays |= {f"neighbour_model/{name}": value for name, value in state.items()}
        return arrays

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from `state`, bit for bit. Raises RunError where it belongs to another model."""
        self.first.load_state(_below("first/", state))
        self.replaced = self.first.replaced
        self.step, self._spent = int(state["step"]), float(state["spent"])
        self._failed, self._complete = bool(state["over"]), bool(state["complete"])
        self._time_is_up = False  # there may be more by now
        self._left = bool(state.get("left", False))
        known = np.isfinite(state["last"]).all()
        self._last = StepRecord(self.step, float(self.step), state["last"]) if known else None
        self._second = None
        if own := _below("second/", state):
            self._second = self._begin()
            load_model_state(self._second.model, _below("neighbour_model/", state))
            self._second.load_state(own)
            if self._gain is not None and "looks" in state:
                self._gain.load_state(state["looks"])

    def first_is_over(self) -> bool:
        """Whether the first method has converged or used its share."""
        return self._left or self.first.over

    @property
    def stage(self) -> int:
        """From 1 on where the objective is the evidence, which jumps where neighbours are found anew."""
        return 0 if self.evidence is None or self._second is None else self._second.searches

    @property
    def steps_by_stage(self) -> list[int]:
        """Of the first method, and on the evidence."""
        return [self.first.step, self.step - self.first.step]

    def next_stage(self) -> bool:
        """On to the evidence."""
        self._left = self._second is None and self.ended is None
        return self._left

    def _advance_second(self) -> None:
        started = time.perf_counter()
        if self._second is None:
            self.first.finish()
            self.first.release()
            self._second = self._begin(near=True)
        limit = self._config.max_seconds
        deadline = None if limit is None else started + limit - self.elapsed - self._reserve_s
        try:
            if self._second.advance(deadline):
                self._complete = len(self._second.X) == len(self._rows.sample()[0])
                if limit is not None and not self._complete:
                    self._reserve_s = min(self._last_pass_s(), LAST_SHARE * limit)
                if (gain := self._gain) is not None and self._second.step >= gain.due:
                    second = self._second
                    evidence = second.value / len(second.X)
                    gain.look(second.step, evidence, second.model, second.X, second.Y, COUNT)
        except Stopped:
            self._time_is_up = True
        except NumericalError:
            # No evidence, maybe of neighbours found anew: what there was, or the sparse model, is kept.
            self._failed = True
        finally:
            self._spent += time.perf_counter() - started

    def _begin(self, *, near: bool = False) -> EvidenceFit:
        size = self.model.num_inducing
        most = int(LARGEST / (7.0 * size**2))
        if (faster := int(device_speed() * most)) > most:
            most = max(most, min(faster, SEARCHED))
        fitted = rows_to_learn(self.model, self._rows.count, first_share(self._config))
        wanted = min(fitted or self._rows.count, most)
        X, Y = subset(self._rows, wanted, self._config.seed).sample()
        moves = len(X) >= ROWS_A_COORDINATE * np.size(self.model.Z.numpy())
        self._gain = self._watch(len(X))
        own = twin(self.model)
        if near:
            start_near(own, X, Y, count=COUNT, seed=self._config.seed)
        return EvidenceFit(own, X, Y, seed=self._config.seed, move_points=moves)

    def _watch(self, fitted: int) -> UnseenGain | None:
        """What looks at rows that neither stage is fitted to, where there are enough and training may end."""
        unseen = self._beyond_both(fitted)
        few = unseen is None or len(unseen) < FEWEST_LOOKED_AT
        if unseen is None or few or self._config.tolerance is None or not present().alone:
            return None
        X, Y = self._rows.sample()
        looked_at = np.random.default_rng([self._config.seed, 43]).permutation(unseen)
        return UnseenGain(X[looked_at], Y[looked_at])

    def _beyond_both(self, fitted: int) -> np.ndarray | None:
        """Rows that neither stage is fitted to, where the second has so many; None for none."""
        unseen, own = self.first.unseen, beyond(self._rows, fitted, self._config.seed)
        return None if unseen is None or own is None else np.intersect1d(unseen, own)


def _below(prefix: str, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}

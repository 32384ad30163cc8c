"""`model.inducing.replace_redundant`: a method around a method, which gives redundant points new places."""

from __future__ import annotations

from typing import Any

import numpy as np

from svgp.errors import ModelError, NumericalError
from svgp.models.replacement import Plan, plan_replacement, replace_points
from svgp.stopping import StopAsked
from svgp.training.methods.base import Method, StepRecord
from svgp.training.schedule import Schedule

LAST_SHARE = 0.9  # of max_seconds; a point that moves later has no time to be of use


class Replacing(Method):
    """Takes the steps of `method`; redundant points are re-placed at the start and after each evaluation.

    That is before the next step: what is evaluated and saved has not just been changed, nothing is re-placed
    after the last step, and the state and the number of steps alone decide, so that a resumed run does what
    an uninterrupted one does. Which points, where to and with what q(u) is in `svgp.models.replacement`.
    `method.restart(move)` makes the method forget what it has learnt about the points that moved, and returns
    the change of the objective where it knows it, else 0. Where that is a loss, everything goes back.

    A method whose steps are iterations over all rows (L-BFGS, which loses its memory) is interrupted less
    often: when its steps have grown by half.

    `replaced` counts the points. X `[N, D]` are the rows where they may go.
    """

    def __init__(self, method: Method, X: np.ndarray, config: Any) -> None:
        self.method, self.model = method, method.model
        self.name = method.name  # type: ignore[misc]  # of this one
        self.iterative = method.iterative  # type: ignore[misc]
        self.settling = method.settling  # type: ignore[misc]
        self.step, self.steps_per_epoch = method.step, method.steps_per_epoch
        self.learning_rate = method.learning_rate
        self.replaced: int = 0
        self._undone = 0
        self._looked_at = -1  # the last step after which points were re-placed, or need not be
        self._X, self._seed = X, config.seed
        self._schedule = Schedule.of(config, method)
        self._max_seconds = config.max_seconds

    @property
    def converged(self) -> bool:
        """Whether the method says so."""
        return self.method.converged

    @property
    def ended(self) -> str | None:
        """Why the method has ended, if not by converging."""
        return self.method.ended

    @property
    def over(self) -> bool:
        """Whether the method has ended, or used what its config allows."""
        return self.method.over

    @property
    def publish_steps(self) -> float:
        """The method's."""
        return self.method.publish_steps

    @property
    def notes(self) -> list[str]:
        """Those of the method, and how many points were re-placed."""
        undone = f" ({self._undone} moves undone, since the bound fell)" if self._undone else ""
        own = f"redundant inducing points re-placed: {self.replaced}{undone}"
        return [*self.method.notes, own]

    def advance(self) -> StepRecord:
        """Re-place what is redundant where that is due, and take one step."""
        plan = None
        if self._due():
            plan = plan_replacement(self.model, self._X, seed=[self._seed, 19, self.step])
        if plan is not None:
            self._follow(plan)
        self._looked_at = self.step  # and not again where a stop cuts the step short
        record = self.method.advance()
        self.step = record.step
        return record

    def release(self) -> None:
        """The method's."""
        self.method.release()

    @property
    def unseen(self) -> np.ndarray | None:
        """The method's."""
        return self.method.unseen

    @property
    def bound_of_all_rows(self) -> float | None:
        """The method's."""
        return self.method.bound_of_all_rows

    def finish(self) -> bool:
        """What the method has left to do."""
        return self.method.finish()

    def publish(self) -> None:
        """Give the model the method's q(u)."""
        self.method.publish()

    @property
    def elapsed(self) -> float | None:
        """The method's own clock."""
        return self.method.elapsed

    def spend(self, seconds: float) -> None:
        """Set the method's own clock."""
        self.method.spend(seconds)

    def state(self) -> dict[str, np.ndarray]:
        """The method's, and the counts."""
        own = np.array([self.replaced, self._undone, self._looked_at], np.int64)
        return {**self.method.state(), "replacing": own}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from `state`. Raises RunError where it belongs to another model."""
        self.method.load_state({name: array for name, array in state.items() if name != "replacing"})
        self.replaced, self._undone, *later = state["replacing"].tolist()
        self._looked_at = later[0] if later else -1  # an older checkpoint lacks it
        self.step = self.method.step

    def _due(self) -> bool:
        spent, limit = self.method.elapsed or 0.0, self._max_seconds
        late = limit is not None and spent > LAST_SHARE * limit
        if self._looked_at == self.step:
            return False
        return not late and not self.method.converged and self._schedule.replacement_due(self.step)

    def _follow(self, plan: Plan) -> None:
        method = self.method
        method.publish()  # the q(u) that is taken along
        before = {name: np.array(array) for name, array in method.state().items()}
        try:
            gain = method.restart(replace_points(self.model, plan))
        except (ModelError, NumericalError):
            gain = -np.inf  # Kuu or q cannot be factorised there
        except StopAsked:  # begun anew by the run that goes on
            method.load_state(before)
            raise
        if gain >= 0.0:
            self.replaced += len(plan.moved)
            return
        self._undone += 1
        spent = method.elapsed  # what is undone took its time all the same
        method.load_state(before)
        if spent is not None:
            method.spend(spent)


def replacing(method: Method, X: np.ndarray, config: Any) -> Method:
    """`method` itself, or inside a `Replacing` where its model asks for that."""
    return Replacing(method, X, config) if method.model.replace_redundant else method

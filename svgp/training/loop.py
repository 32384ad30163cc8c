"""The training loop: a generator of steps that reads top to bottom.

Printing, files, plots and evaluation belong to whoever iterates.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from svgp.errors import TrainingDiverged
from svgp.models.priors import has_priors, log_prior
from svgp.training.convergence import CONVERGED, Convergence
from svgp.training.divergence import describe_divergence
from svgp.training.methods.base import STATISTICS, Method, StepRecord
from svgp.training.schedule import Schedule
from svgp.workers import present


@dataclass(frozen=True)
class Stop:
    """When a run ends: at the first of these that is reached; None never ends it."""

    max_epochs: float | None = None
    max_steps: int | None = None
    max_seconds: float | None = None  # of training; evaluation and logging are not counted
    patience: int | None = None  # evaluations in a row without a better objective
    tolerance: float | None = None  # nats a row that going on for as long again would gain; see `Convergence`


@dataclass
class LoopState:
    """All that the loop remembers between two steps; a checkpoint holds it.

    `pending` are the steps since the last logged row. An evaluation judges the mean objective of the steps
    since the one before it: one minibatch's is too noisy to be patient with. The objective is what training
    maximises, the log prior included: an ELBO may well fall while `model.bound: ppgpr` gets what it is after.
    """

    wall_s: float = 0.0
    pending: list[StepRecord] = field(default_factory=list)
    objective_sum: float = 0.0
    objective_count: int = 0
    best_objective: float | None = None
    evaluations_without_better: int = 0
    convergence: Convergence = field(default_factory=Convergence)

    def to_dict(self) -> dict[str, Any]:
        """The state as plain JSON values; floats survive exactly."""
        pending = [
            {"step": r.step, "epoch": r.epoch, "statistics": r.values().tolist()} for r in self.pending
        ]
        return {**asdict(self), "pending": pending}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> LoopState:
        """The inverse of `to_dict`."""
        pending = [StepRecord(r["step"], r["epoch"], np.asarray(r["statistics"])) for r in values["pending"]]
        convergence = Convergence(**values.get("convergence", {}))
        return LoopState(**{**values, "pending": pending, "convergence": convergence})


@dataclass(frozen=True)
class Step:
    """What one turn of the loop hands out: a row where one is due, and whether to evaluate now."""

    step: int
    epoch: float
    wall_s: float
    row: dict[str, Any] | None
    evaluate: bool


def train_steps(method: Method, stop: Stop, *, schedule: Schedule, state: LoopState) -> Iterator[Step]:
    """Advance `method` until `stop`, a step at a time; `reason_to_stop` then says why.

    `schedule` says where a row is due and where the model, then up to date, is to be evaluated. Raises
    TrainingDiverged, with a diagnosis, where a step was not finite; such a step changed nothing.
    """
    while (reason := reason_to_stop(method, stop, state)) is None or go_on(reason, method, state):
        started = time.perf_counter()
        record = method.advance()
        state.pending.append(record)
        evaluate = schedule.evaluation_due(record.step)
        if evaluate:
            method.publish()
        row = read_row(method, state) if schedule.row_due(record.step) else None
        # All workers end together: the chief's clock is that of the run.
        state.wall_s = present().agree(state.wall_s + time.perf_counter() - started)
        if row is not None:
            row["wall_s"] = state.wall_s
        if evaluate:
            judge(state)
        yield Step(record.step, record.epoch, state.wall_s, row, evaluate)


def go_on(reason: str, method: Method, state: LoopState) -> bool:
    """Whether what has converged is a stage that another one follows; then on to that."""
    if not reason.startswith(CONVERGED) or not method.next_stage():
        return False
    state.convergence.restart()
    return True


def reason_to_stop(method: Method, stop: Stop, state: LoopState) -> str | None:
    """Why the run is over, in words, or None."""
    epoch = method.step / method.steps_per_epoch
    if stop.max_steps is not None and method.step >= stop.max_steps:
        return f"max_steps: {stop.max_steps} steps done"
    if stop.max_epochs is not None and epoch >= stop.max_epochs:
        return f"max_epochs: {stop.max_epochs:g} epochs done"
    if stop.max_seconds is not None and state.wall_s >= stop.max_seconds:
        return f"max_seconds: {stop.max_seconds:g} s of training done"
    if stop.patience is not None and state.evaluations_without_better >= stop.patience:
        return f"patience: {state.evaluations_without_better} evaluations without a better objective"
    if method.ended is not None:
        return method.ended
    if method.converged:
        return f"{CONVERGED}: no step improves the objective"
    return state.convergence.verdict(stop.tolerance, method.settling) if stop.tolerance is not None else None


def read_row(method: Method, state: LoopState) -> dict[str, Any] | None:
    """The row of the steps since the last one (None where there are none); waits for them to end.

    Means of the steps (of an iterative method the last one), the largest jitter and all repairs; the
    objective where it is not the ELBO. Raises TrainingDiverged.
    """
    if not state.pending:
        return None
    check_finite(method, state)
    values = np.stack([record.values() for record in state.pending])  # [k, 7]
    prior = {"log_prior": float(log_prior(method.model))} if has_priors(method.model) else {}
    rows = method.model.num_data
    state.convergence.add(
        (values[:, 5] + prior.get("log_prior", 0.0)) / rows,
        exact=method.iterative,
        steps_per_epoch=method.steps_per_epoch,
        stage=method.stage,
    )
    jitter, repairs = values[:, 3], values[:, 4]
    if method.iterative:
        values = values[-1:]  # exact for all rows, each at its own point: a mean is the bound of none
    elbo, expected, kl, _, _, objective, _ = values.T
    last = state.pending[-1]
    state.pending = []
    state.objective_sum += float(objective.sum()) + len(objective) * prior.get("log_prior", 0.0)
    state.objective_count += len(objective)
    trained = float(objective.mean())
    own = {"objective": trained, "objective_per_row": trained / rows}
    return {
        "step": last.step,
        "epoch": last.epoch,
        "wall_s": state.wall_s,
        "elbo": float(elbo.mean()),
        "elbo_per_row": float(elbo.mean()) / rows,
        "expected_log_likelihood": float(expected.mean()),
        "kl": float(kl.mean()),
        "jitter": float(jitter.max()),
        "repairs": int(repairs.sum()),
        **(own if (objective != elbo).any() else {}),
        **prior,
        **({} if method.evidence is None else {"evidence": method.evidence}),
        **replaced_points(method),
    }


def replaced_points(method: Method) -> dict[str, int]:
    """How many inducing points have got new places, where they get any."""
    return {} if method.replaced is None else {"replaced": method.replaced}


def check_finite(method: Method, state: LoopState) -> None:
    """Raise TrainingDiverged where a step since the last row was not finite; waits for them to end."""
    for record in state.pending:
        if not record.values()[STATISTICS.index("finite")]:
            raise TrainingDiverged(describe_divergence(method.model, record))


def judge(state: LoopState) -> None:
    """Compare the mean objective since the last evaluation with the best, and start counting anew."""
    objective = state.objective_sum / state.objective_count
    better = state.best_objective is None or objective > state.best_objective
    if better:
        state.best_objective = objective
    state.evaluations_without_better = 0 if better else state.evaluations_without_better + 1
    state.objective_sum, state.objective_count = 0.0, 0

"""`train.restarts`: several starts are tried for a short share of the budget, and the best one goes on."""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from svgp import files
from svgp.config import Config
from svgp.data import Dataset
from svgp.errors import Interrupted, NumericalError, TrainingDiverged
from svgp.models import build_model
from svgp.models.bounds import BOUNDS
from svgp.models.priors import log_prior
from svgp.runs.evaluation import Evaluator
from svgp.runs.folder import RunFolder
from svgp.runs.machine import SHARE_OF_PRODUCTS, product_rate
from svgp.stopping import StopAsked
from svgp.training import LoopState, Method, Progress, Schedule, Stop, checkpoints, choose, train_steps
from svgp.training.checkpoints import Checkpoint
from svgp.training.interrupts import StopRequest
from svgp.workers import present

SHARE = 0.25  # of the budget, for all trials together
FACTORS = (1.0, 0.5, 2.0, 0.25, 4.0)  # of the data-driven lengthscales, in turn
JUDGES = 10_000  # training rows, at most, at which minibatch methods are compared


@dataclass(frozen=True)
class Trial:
    """How far a start came: `bound` is the objective with the log prior, in nats; None where it diverged.

    The objective is the ELBO, but for `model.bound: ppgpr`, whose starts are compared by what it trains.
    """

    start: int
    bound: float | None
    steps: int
    seconds: float
    message: str = ""


def prepare(config: Config, dataset: Dataset, start: int = 0) -> tuple[Method, list[str]]:
    """Model and method from one of the starts, and notes: the first says which method, and why.

    Start 0 is the config's own. Start k takes the seed `train.seed + k` for all that is drawn (inducing
    points, the rows that choose lengthscales), and the factor `FACTORS[k % 5]` on the lengthscales that the
    data suggest. The order of minibatches is the same for all.
    """
    model, notes = build_model(
        config.model, dataset.X, dataset.Y, columns=dataset.columns, num_data=dataset.rows.count,
        seed=config.train.seed + start, precision=config.train.precision,
        lengthscale_factor=FACTORS[start % len(FACTORS)],
    )  # fmt: skip
    if config.model.inducing.keep_in_range:
        model.inducing_range = dataset.rows.extent()  # of all rows, not of those at hand
    choice = choose(model, dataset.rows.count, config.train)
    outlook = choice.plan(model, dataset.rows.count, config.train, SHARE_OF_PRODUCTS * product_rate())
    return choice.make(model, dataset.rows, None, config.train), [str(choice), *outlook, *notes]


def best_start(
    folder: RunFolder, config: Config, dataset: Dataset, progress: Progress, request: StopRequest
) -> int:
    """The start that goes on: all are tried for an equal share of the budget, unless restarts.json has them.

    The best one's state waits in the folder of checkpoints until `kept_state` is read and dropped. A Ctrl-C
    raises Interrupted; the trial under way is begun anew when the run is resumed. Raises TrainingDiverged
    where every start does.
    """
    trials = [Trial(**row) for row in files.read_json(folder.restarts)] if folder.restarts.exists() else []
    count = config.train.restarts
    for start in range(len(trials), count):
        trial, state = _try(config, dataset, start, request, folder)
        if trial.bound is not None and trial.bound > _bound(_best(trials)):
            checkpoints.save(_place(folder, start), trial.steps, Checkpoint(state, {}))
        trials.append(trial)
        files.write_json(folder.restarts, [asdict(trial) for trial in trials])
        _forget(folder, but=_best(trials))
        progress.note(_describe(trial, count, config, dataset.rows.count))
    best = _best(trials)
    if best is None:
        raise TrainingDiverged(f"all {count} starts diverged; the first one: {trials[0].message}")
    if start_is_new(folder):
        progress.note(f"start {best.start + 1} goes on: it has the best bound")
    return best.start


def start_is_new(folder: RunFolder) -> bool:
    """Whether training itself has not begun."""
    return not checkpoints.all_of(folder.checkpoints)


def kept_state(folder: RunFolder, start: int, progress: Progress) -> Checkpoint | None:
    """Where the best trial ended, as a checkpoint from which the loop goes on; its clock shows all trials."""
    found = checkpoints.load_newest(_place(folder, start), progress.note)
    if found is None:
        return None
    seconds = sum(row["seconds"] for row in files.read_json(folder.restarts))
    loop = LoopState(wall_s=seconds).to_dict()
    return Checkpoint(found.arrays, {"loop": loop, "rows": {"metrics": 0, "inducing": 0}})


def forget_trials(folder: RunFolder) -> None:
    """Drop the kept states; restarts.json stays."""
    _forget(folder, but=None)


def _try(
    config: Config, dataset: Dataset, start: int, request: StopRequest, folder: RunFolder
) -> tuple[Trial, dict[str, np.ndarray]]:
    # Limits of its own would make a method finish, which is for the end of training.
    unlimited = config.train.model_copy(update={"max_seconds": None, "max_steps": None, "max_epochs": None})
    method, _ = prepare(config.model_copy(update={"train": unlimited}), dataset, start)
    # A row a step: what is not finite is noticed at once.
    schedule = replace(Schedule.of(config.train, method), log_every=1, evaluate_every=math.inf)
    loop, row = LoopState(), None
    try:
        for step in train_steps(method, _limits(config, method), schedule=schedule, state=loop):
            row = step.row
            if present().any(present().stop.asked):
                raise StopAsked
        method.publish()
        bound = _compared_bound(method, dataset, row, config.train.seed)
    except StopAsked:
        raise Interrupted(
            f"{request.asked or 'a signal to another worker'} while start {start + 1} was tried; go on with: "
            f"svgp train --resume {folder.path}"
        ) from None
    except (NumericalError, TrainingDiverged) as error:
        return Trial(start, None, method.step, loop.wall_s, str(error)), {}
    return Trial(start, bound if math.isfinite(bound) else None, method.step, loop.wall_s), method.state()


def _limits(config: Config, method: Method) -> Stop:
    """When one trial ends."""
    train, share = config.train, SHARE / config.train.restarts
    ends = [train.max_steps, train.max_epochs and train.max_epochs * method.steps_per_epoch]
    steps = min((max(1, math.ceil(share * end)) for end in ends if end), default=None)
    return Stop(max_steps=steps, max_seconds=train.max_seconds and share * train.max_seconds)


def _compared_bound(method: Method, dataset: Dataset, row: dict[str, Any] | None, seed: int) -> float:
    prior = float(log_prior(method.model))
    if method.iterative and row is not None:
        return float(row["elbo"]) + prior  # of all rows that it sees
    rows = np.random.default_rng([seed, 17]).permutation(len(dataset.X))[:JUDGES]
    return Evaluator(method.model).bounds(dataset.X[rows], dataset.Y[rows]).objective + prior


def _best(trials: list[Trial]) -> Trial | None:
    return max((trial for trial in trials if trial.bound is not None), key=_bound, default=None)


def _bound(trial: Trial | None) -> float:
    return -math.inf if trial is None or trial.bound is None else trial.bound


def _place(folder: RunFolder, start: int) -> Path:
    return folder.checkpoints / f"start_{start:03d}"


def _forget(folder: RunFolder, but: Trial | None) -> None:
    for path in folder.checkpoints.glob("start_*"):
        if but is None or path != _place(folder, but.start):
            shutil.rmtree(path, ignore_errors=True)


def _describe(trial: Trial, count: int, config: Config, rows: int) -> str:
    factor, seed = FACTORS[trial.start % len(FACTORS)], config.train.seed + trial.start
    judged = "ELBO" if BOUNDS[config.model.bound].is_elbo else "objective"
    came = f"diverged: {trial.message}" if trial.bound is None else f"{judged}/row {trial.bound / rows:.4f}"
    return (
        f"start {trial.start + 1} of {count} (seed {seed}, lengthscales x {factor:g}): {came} "
        f"after {trial.steps} steps, {trial.seconds:.1f} s"
    )

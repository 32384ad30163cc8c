"""One training session on one run folder: what happens to each step that the loop hands out."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from svgp import files
from svgp.budget import batch_rows
from svgp.config import Config
from svgp.data import Dataset
from svgp.diagnostics import fixed_subset, inducing_diagnostics
from svgp.errors import NumericalError, RunError
from svgp.models import Predictive, fit_predictive, save_model
from svgp.models.priors import has_priors, log_prior
from svgp.rows import ArrayRows, Rows
from svgp.runs.baselines import on_linear_regression
from svgp.runs.diagnosis import advice_setup
from svgp.runs.evaluation import Evaluator
from svgp.runs.findings import on_calibration, on_neighbours, on_relevance, on_signal, relevance
from svgp.runs.folder import RunFolder
from svgp.runs.forecast import forecast
from svgp.runs.outcomes import score_rows
from svgp.runs.overfitting import on_networks
from svgp.training import LoopState, Method, Progress, Schedule, Step, Stop, checkpoints
from svgp.training.checkpoints import Checkpoint
from svgp.training.loggers import JsonLines, Shown, Sink, TensorBoard
from svgp.training.loop import check_finite, read_row, replaced_points
from svgp.training.methods.affordable import most_operations
from svgp.workers import present


class Session:
    """Folder, data, model, method and the loop's state, and what is done with them between two steps."""

    def __init__(
        self,
        folder: RunFolder,
        config: Config,
        dataset: Dataset,
        method: Method,
        progress: Progress,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.folder, self.config, self.dataset, self.method = folder, config, dataset, method
        self.progress, self.model, self.evaluator = progress, method.model, Evaluator(method.model)
        self.Z_start = np.array(self.model.Z.numpy())  # before a checkpoint moves it
        self.predictive: Predictive | None = None  # made when training has ended
        self.state = LoopState()
        kept = {"metrics": 0, "inducing": 0}
        if checkpoint is not None:
            method.load_state(checkpoint.arrays)
            self.state, kept = LoopState.from_dict(checkpoint.values["loop"]), checkpoint.values["rows"]
            method.spend(self.state.wall_s)
        train = config.train
        self.stop = Stop(
            train.max_epochs, train.max_steps, train.max_seconds, train.patience, train.tolerance
        )
        self.test_rows = _at_hand(dataset)
        tested = 0 if self.test_rows is None else self.test_rows.count
        self.schedule = Schedule.of(train, method, rows=dataset.rows.count, test_rows=tested)
        self.metrics = JsonLines(folder.history, kept["metrics"], progress.note)
        self.inducing = JsonLines(folder.inducing_history, kept["inducing"], progress.note)
        self.sinks: list[Sink] = [self.metrics, Shown(progress, method, self.stop, self.state)]
        if train.tensorboard:
            self.sinks.append(TensorBoard(folder.tensorboard))
        self._subset = fixed_subset(dataset.X, config.train.seed)
        self._diagnosed_at: int | None = self.inducing.last.get("step")  # of a run that goes on, not again
        self._saved_s = self.state.wall_s
        self._began, self._first_step = time.perf_counter(), method.step
        shape = dataset.X.shape[1], self.model.num_latent
        self._forecast = forecast(
            config, dataset.rows.count, *shape, points=self.model.num_inducing, at_hand=len(dataset.X),
            test_rows=tested,
        )  # fmt: skip

    def evaluate(self, row: dict[str, Any]) -> None:
        """Add the test metrics to `row`, and a row to the inducing diagnostics where one is due."""
        if self.test_rows is not None:
            found = score_rows(self.evaluator, self.dataset.columns, self.test_rows)
            row.update({f"test.{name}": value for name, value in found.items()})
        if self.schedule.diagnosis_due(row["step"]):
            self.log_diagnostics(row["step"], row["epoch"])

    def log(self, row: dict[str, Any]) -> None:
        """Write a row everywhere."""
        for sink in self.sinks:
            sink.write(row)

    def log_diagnostics(self, step: int, epoch: float) -> None:
        """Add a row to inducing.jsonl, once for a step."""
        if self._diagnosed_at == step:
            return
        self._diagnosed_at = step
        rows = self.dataset.rows
        try:
            row = inducing_diagnostics(
                self.model, self._subset, self.Z_start, step=step, epoch=epoch,
                data_range=rows.extent(),
                setup=advice_setup(self.config, self.model, rows.count),
            )  # fmt: skip
        except NumericalError as error:
            # The loop judges whether training can go on; a diagnosis that fails is one more finding.
            row = {"step": step, "epoch": epoch, "advice": [str(error)]}
        self.inducing.write({**row, **replaced_points(self.method)})

    def save_if_due(self, step: Step) -> None:
        """A checkpoint every `train.checkpoint_every` seconds of training."""
        if self.schedule.checkpoint_due(step.wall_s, self._saved_s):
            self.save_checkpoint()

    def save_checkpoint(self) -> None:
        """Everything needed to go on; the model is up to date then.

        Raises TrainingDiverged where the last steps were not finite.
        """
        check_finite(self.method, self.state)
        rows = {"metrics": self.metrics.rows, "inducing": self.inducing.rows}
        values = {"loop": self.state.to_dict(), "rows": rows, "config": self.config.to_dict()}
        self.method.publish()
        checkpoints.save(self.folder.checkpoints, self.method.step, Checkpoint(self.method.state(), values))
        self._saved_s = self.state.wall_s

    def save_model(self) -> None:
        """The portable model, whole or not at all."""
        config = self.config
        save_model(
            self.folder.model, self.model, config.model,
            columns=self.dataset.columns, precision=config.train.precision, predictive=self.predictive,
        )  # fmt: skip

    def restore_last_good(self) -> None:
        """Back to the newest checkpoint whose model gives a finite bound, and save that model."""

        def usable(checkpoint: Checkpoint) -> bool:
            self.method.load_state(checkpoint.arrays)
            rows = slice(0, batch_rows(self.config.train, self.dataset.rows.count))
            return math.isfinite(self.evaluator.elbo(self.dataset.X[rows], self.dataset.Y[rows]))

        found = checkpoints.load_newest(self.folder.checkpoints, self.progress.note, usable)
        if found is None:
            raise RunError(f"{self.folder.checkpoints}: no checkpoint holds a model whose bound is finite")
        self.save_model()
        self.progress.note(f"last good state: step {int(found.arrays['step'])}, in {self.folder.model}")

    def finish(self, reason: str, last: Step | None) -> dict[str, Any]:
        """The last row, diagnostics, portable model and metrics.json; returns the metrics.

        Nothing here is needed to do it again from the last checkpoint.
        """
        step = self.method.step
        epoch = step / self.method.steps_per_epoch
        if self._finish_method():
            row = {"step": step, "epoch": epoch, "wall_s": self.state.wall_s}
            self.evaluate(row)
        elif last is not None and last.row is not None and last.evaluate:
            row = last.row
        else:
            pending = read_row(self.method, self.state)
            row = pending or {"step": step, "epoch": epoch, "wall_s": self.state.wall_s}
            self.evaluate(row)
            if pending is not None:
                self.log(row)
        self.log_diagnostics(step, epoch)
        self.predictive = self._fit_predictive()
        self.save_model()
        metrics = self._final_metrics(reason, epoch, self._final_scores(row))
        files.write_json(self.folder.metrics, metrics)
        for line in metrics.get("notes", []):
            self.progress.note(line)
        return metrics

    def _fit_predictive(self) -> Predictive | None:
        """By the first of several workers alone: it writes the model and the scores."""
        model, dataset = self.config.model, self.dataset
        if not present().chief:
            return None
        try:
            # Of a stream a sample, which is larger than the one at hand: near rows gain most by their number.
            return fit_predictive(
                self.model, *dataset.rows.near(), neighbours=model.neighbours.count,
                calibrate=model.calibration != "none", seed=self.config.train.seed,
                own=self.method.neighbour_model, unseen=self.method.unseen,
            )  # fmt: skip
        except (NumericalError, np.linalg.LinAlgError) as error:
            self.progress.note(f"predictions are neither calibrated nor corrected: {error}")
            return Predictive(self.model)

    def _final_scores(self, row: dict[str, Any]) -> dict[str, Any]:
        """`test.*` of what `svgp predict` gives; from `row` `test.sparse.*`, of the inducing points alone."""
        if self.test_rows is None or self.predictive is None:
            return {}
        found = score_rows(self.predictive, self.dataset.columns, self.test_rows)
        sparse = {name[5:]: value for name, value in row.items() if name.startswith("test.")}
        return {
            **{f"test.{name}": value for name, value in found.items()},
            **{f"test.sparse.{name}": value for name, value in sparse.items()},
        }

    def close(self) -> None:
        """Close the files and the progress line."""
        for part in (*self.sinks, self.inducing):
            part.close()

    def _finish_method(self) -> bool:
        """What the method has left to do at the end counts as training; whether it changed the model."""
        started = time.perf_counter()
        changed = self.method.finish()
        self.state.wall_s += time.perf_counter() - started
        return changed

    def _bounds(self) -> tuple[float, float]:
        """ELBO and objective of all training rows; what is known takes no other pass over a stream.

        Where that pass would take longer than an evaluation may, an estimate from the rows at hand.
        """
        known, rows = self.method.bound_of_all_rows, self.dataset.rows
        if known is not None and not rows.in_memory:
            return known, known
        if not rows.in_memory and 3.0 * self.model.num_inducing**2 * rows.count > most_operations():
            rows = ArrayRows(*rows.sample())
        return self.evaluator.bounds(rows, workers=present())

    def _final_metrics(self, reason: str, epoch: float, test: dict[str, Any]) -> dict[str, Any]:
        dataset = self.dataset
        count = dataset.rows.count
        elbo, objective = self._bounds()
        own = {"train.objective": objective, "train.objective_per_row": objective / count}
        used = relevance(self.evaluator, dataset.X, dataset.columns.input_names, seed=self.config.train.seed)
        notes = self._notes(used, test)
        summary = {} if self.predictive is None else self.predictive.summary
        return {
            "name": self.config.name,
            "train.elbo": elbo,
            "train.elbo_per_row": elbo / count,
            **(own if objective != elbo else {}),
            **({} if self.method.evidence is None else {"train.evidence": self.method.evidence}),
            **({"train.log_prior": float(log_prior(self.model))} if has_priors(self.model) else {}),
            **test,
            "wall_s": self.state.wall_s,
            "steps": self.method.step,
            "epoch": epoch,
            "method": self.method.name,
            "inducing": self.model.num_inducing,
            **replaced_points(self.method),
            "rows": count,
            "test_rows": 0 if self.test_rows is None else self.test_rows.count,
            "stopped": reason,
            "relevance": used,
            **({"predictive": summary} if summary else {}),
            **({"notes": notes} if notes else {}),
            "session_s": time.perf_counter() - self._began,
            **self._forecast.compared(self.method.steps_by_stage, self.method.step - self._first_step),
        }

    def _notes(self, used: dict[str, float], test: dict[str, Any]) -> list[str]:
        """What a user should know at the end, a line each."""
        rows = 0 if self.test_rows is None else self.test_rows.count
        likelihood = self.config.model.likelihood.type_name
        X, columns = self.dataset.X, self.dataset.columns
        Y, regression = columns.targets_of(self.dataset.Y), columns.task == "regression"
        predictive = getattr(self, "predictive", None)
        near = None if predictive is None else predictive.neighbours
        flat = on_signal(self.evaluator, X, Y) if regression and near is None else []
        # Of flat predictions neither the inputs nor, of a constant target, the intervals mean anything.
        session_s = time.perf_counter() - self._began
        said = [
            *self.method.notes,
            *self.dataset.rows.notes,
            *present().describe(session_s),
            *(flat or on_relevance(used)),
        ]
        whole = 0 if self.dataset.test_rows is None else self.dataset.test_rows.count
        if rows < whole:
            said.append(f"scores are of {rows:,} of {whole:,} test rows, drawn at random; evaluate takes all")
        said += on_networks(self.evaluator, self.dataset.rows, self.test_rows)
        if not np.ptp(Y):
            return said
        standard = self.model.bound.name == "standard"
        if predictive is not None and predictive.summary:
            held = sum(array.nbytes for array in predictive.arrays().values())
            said += on_neighbours(predictive.summary, 0 if near is None else len(near.X), held)
        said += on_linear_regression(test, columns, self.dataset.rows, self.test_rows, likelihood=likelihood)
        return [*said, *on_calibration(test, rows, gaussian=likelihood == "gaussian", standard=standard)]


def _at_hand(dataset: Dataset) -> Rows | None:
    """Test rows that a run is scored on: all in memory, of a stream its sample."""
    rows = dataset.test_rows
    return rows if rows is None or rows.in_memory else ArrayRows(*rows.sample())

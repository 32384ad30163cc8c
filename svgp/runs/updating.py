"""`svgp update`: a run's model with new rows folded in, as a new run folder; without the old rows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from svgp import files
from svgp.data import read_table
from svgp.data.origin import source_of
from svgp.data.sources import fingerprint
from svgp.errors import DataError, ModelError, NumericalError, RunError
from svgp.inducing import further_points, with_further
from svgp.models import SVGP, load_model, load_model_state, model_state, save_model
from svgp.models.build import skeleton
from svgp.models.predictive import Predictive, Sites, fit_predictive
from svgp.models.predictive.cavities import LEAST_LEFT, is_gaussian
from svgp.models.streaming import fold_in, refresh, remember
from svgp.models.whitened import assign_whitened, extended, frame_of, whitened
from svgp.runs.environment import describe_environment
from svgp.runs.evaluation import Evaluator
from svgp.runs.folder import RunFolder, default_path, timestamp
from svgp.runs.outcomes import score
from svgp.runs.predictions import as_table
from svgp.runs.tables import format_for

if TYPE_CHECKING:
    from svgp.runs.run import Run

REFIT_STEPS = 20  # of L-BFGS


def update(
    run: Run, data: Any, *, run_dir: str | Path | None = None, points: int = 0, refit: bool = False
) -> Run:
    """Fold new rows into q(u) by the streaming bound (`svgp.models.streaming`), and return the new run.

    data: a path or a table with inputs and targets. run_dir: an absent or empty folder, by default beside the
    run's own, `<run>/../<UTC timestamp>`; the run itself stays as it is. points: so many inducing points are
    added, at the new rows that those there explain least. refit: hyperparameters are fitted to the new rows,
    and to the old ones as far as q(u) remembers them.

    metrics.json has `update.before.*`, the scores of the new rows by the model before it saw them (a
    forecast), and `test.*` where the config's own test rows are still there. Columns are scaled as they were.
    Where the run's predictions see neighbours, those of the new run see old and new rows. Raises DataError,
    ModelError, RunError.
    """
    from svgp.runs.run import Run

    folder = RunFolder(run_dir or default_path(run.path.parent.parent, run.path.parent.name))
    folder.require_free()
    columns, X, Y = _new_rows(run, data)
    if not run.folder.model.is_dir():
        raise RunError(f"{run.path}: has no saved model yet; finish it with svgp train --resume {run.path}")
    old, description = load_model(run.folder.model)
    before = score(Evaluator(old), columns, X, Y)
    started = time.perf_counter()
    memory = remember(old)
    model = old if points == 0 else _with_points(run, old, description, X, points)
    streamed = refresh(model, memory, X, Y, steps=REFIT_STEPS) if refit else fold_in(model, memory, X, Y)
    seconds = time.perf_counter() - started
    rows = len(X) + (model.num_data or 0)
    model.num_data = rows
    folder.create()
    folder.write_status("running", name=run.config.name, message=None, stopped=None)
    files.write_text(folder.config, run.folder.config.read_text(encoding="utf-8"))
    source = {"name": str(data), "sha256": fingerprint(data)} if isinstance(data, (str, Path)) else {}
    precision = description["precision"]
    environment = describe_environment(device="cpu", precision=precision, data={**source, "rows": len(X)})
    files.write_json(folder.environment, {**environment, "updated_from": str(run.path)})
    save_model(
        folder.model, model, run.config.model, columns=columns, precision=precision,
        predictive=_predictive(run, model, X, Y),
    )  # fmt: skip
    updated = Run(folder)
    found: dict[str, Any] = {
        "name": run.config.name,
        "updated_from": str(run.path),
        **{f"update.before.{name}": value for name, value in before.items()},
        "update.rows": len(X),
        **_test_scores(updated),
        "wall_s": seconds,
        "steps": streamed.passes,
        "method": "update",
        "inducing": model.num_inducing,
        "rows": rows,
    }
    files.write_json(folder.metrics, found)
    folder.write_status("finished", stopped="updated", steps=streamed.passes, finished=timestamp())
    updated.write_report()
    return updated


def _new_rows(run: Run, data: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """The run's columns and the rows scaled by them."""
    columns = run.columns
    if isinstance(data, (str, Path)):
        table = read_table(data, text=columns.text, format=format_for(run, data))
    else:
        table = as_table(data, columns)
    if not columns.has_targets(table):
        missing = [name for name in columns.target_names if name not in table.column_names]
        raise DataError(f"update: the new rows lack the target column '{missing[0]}'")
    columns = columns.matched([table], source_of(table))
    if run.config.data.missing == "drop":
        table = table.filter(columns.complete_rows(table, targets=True))
    if table.num_rows == 0:
        raise DataError("update: there are no new rows")
    return run.columns, columns.transform_inputs(table), columns.transform_targets(table)


def _predictive(run: Run, model: SVGP, X: np.ndarray, Y: np.ndarray) -> Predictive:
    """What the updated model says of rows: calibrated by the new ones, its neighbours old and new rows.

    A run with neighbours carries its training rows. For Gaussian noise their targets come back from the
    residuals that it keeps; for other likelihoods it is their sites that come back, and stay as they are.
    """
    config, rows, count, sites = run.config.model, run.predictive.neighbours, 0, None
    if rows is not None:
        count, targets = rows.count, _targets(run.predictive)
        if is_gaussian(run.model.likelihood):
            X, Y = np.concatenate([rows.X, X]), np.concatenate([targets, Y])
        else:
            sites = Sites(rows.X, targets, rows.noise)
    try:
        return fit_predictive(
            model, X, Y, neighbours=count, calibrate=config.calibration != "none",
            seed=run.config.train.seed, sites=sites,
        )  # fmt: skip
    except NumericalError:
        return Predictive(model)


def _targets(predictive: Predictive) -> np.ndarray:
    """Of the rows that are neighbours, targets or the means of their sites, `[N, L]`.

    From `y - mean`, or that over `1 - h` (leave-one-out).
    """
    rows = predictive.neighbours
    assert rows is not None
    parts = predictive.source.parts(rows.X)
    if rows.joint is not None:
        return np.asarray(parts.mean + rows.residual, np.float64)
    left = np.maximum(1.0 - parts.explained / rows.noise, LEAST_LEFT)
    return np.asarray(parts.mean + rows.residual * left, np.float64)


def _with_points(run: Run, old: SVGP, description: dict[str, Any], X: np.ndarray, points: int) -> SVGP:
    """The same model with further inducing points among the rows X, at their prior."""
    Z = np.asarray(old.Z, np.float64)
    jitter = float(np.max(old.factor().jitter))
    places = further_points(X, Z, points, old.kernel, jitter=jitter, seed=run.config.train.seed)
    shapes = {**description["shapes"], "inducing": old.num_inducing + len(places)}
    model = skeleton(run.config.model, shapes, description["precision"])
    model.jitter, kind = old.jitter, old.dtype.as_numpy_dtype
    state = model_state(old)
    own = model_state(model)
    state |= {"q_mean": own["q_mean"], "q_sqrt": own["q_sqrt"]}
    state["Z"] = with_further(Z, places).astype(kind)
    load_model_state(model, state)
    q = extended(*whitened(old, frame_of(old)), len(places))
    assign_whitened(model, frame_of(model), *q)
    return model


def _test_scores(run: Run) -> dict[str, float]:
    """Of the config's own test rows, where they are still there."""
    try:
        return {f"test.{name}": value for name, value in run.evaluate().items()}
    except (DataError, ModelError, RunError):
        return {}

"""Train a likelihood, with all defaults, on what it generated; compare with what that came from."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.recovery_cases import Case, Columns, standard_error, table
from svgp.config import Config
from svgp.data import Dataset, TableWriter, load_dataset
from svgp.models import Predictive, fit_predictive
from svgp.runs.inducing_count import with_count
from svgp.runs.restarts import prepare
from svgp.training import LoopState, Schedule, Stop, reason_to_stop, train_steps

TEST_ROWS = 2000


class Recovered(NamedTuple):
    """What came of it."""

    rows: int
    points: int
    seconds: float  # of processor time, training and all
    ended: str
    parameter: str = ""
    truth: float = np.nan
    found: float = np.nan
    error: float = np.nan  # standard error where f is known but for its level
    inside: float = np.nan  # share of test rows in the middle 90%

    @property
    def away(self) -> float:
        """By how many standard errors what was found differs from the truth."""
        return (self.found - self.truth) / self.error


def recover(case: Case, *, rows: int | None = None, seed: int = 0) -> Recovered:
    """Train on `rows` rows (the case's own), test on 2,000 others."""
    rows = case.rows if rows is None else rows
    x, columns = table(case, rows, seed)
    with tempfile.TemporaryDirectory() as folder:
        config = _config(case, Path(folder), (x, columns), table(case, TEST_ROWS, seed, test=True))
        began = time.process_time()
        dataset = load_dataset(config.data, config.model.likelihood)
        model, predictive, ended = fit(config, dataset)
        seconds = time.process_time() - began
    told = Recovered(rows, model.num_inducing, seconds, ended, inside=_inside(case, predictive, dataset))
    for name, truth in case.parameters.items():
        scale = float(np.ravel(dataset.columns.target_scale)[0]) ** case.scaled
        error = standard_error(case, truth, x, columns)
        return told._replace(parameter=name, truth=truth, found=scale * _value(model, name), error=error)
    return told


def fit(config: Config, dataset: Dataset) -> tuple[Any, Predictive, str]:
    """As `svgp train` does it, without a run folder: the model, its predictions, and why training ended."""
    config, _ = with_count(config, dataset)
    method, _ = prepare(config, dataset)
    train, state = config.train, LoopState()
    stop = Stop(train.max_epochs, train.max_steps, train.max_seconds, train.patience, train.tolerance)
    schedule = Schedule.of(train, method, rows=dataset.rows.count)
    for _ in train_steps(method, stop, schedule=schedule, state=state):
        pass
    ended = reason_to_stop(method, stop, state) or ""
    method.finish()
    method.publish()
    model, count = method.model, config.model.neighbours.count
    predictive = fit_predictive(model, dataset.X, dataset.Y, neighbours=count, own=method.neighbour_model)
    return model, predictive, ended


def _config(
    case: Case, folder: Path, train: tuple[np.ndarray, Columns], test: tuple[np.ndarray, Columns]
) -> Config:
    for name, (x, columns) in (("train", train), ("test", test)):
        with TableWriter(folder / f"{name}.parquet") as writer:
            writer.write(pa.table({"x": x, **columns}))
    data = {
        "path": str(folder / "train.parquet"),
        "target": "y",
        "inputs": ["x"],
        "test": {"path": str(folder / "test.parquet")},
    }
    return Config.from_dict({"data": data, "model": {"likelihood": case.likelihood}})


def _value(model: Any, name: str) -> float:
    if name.startswith("width"):
        edges = np.asarray(model.likelihood.bin_edges)
        return float(edges[2] - edges[1])
    return float(np.ravel(np.asarray(getattr(model.likelihood, name)))[0])


def _inside(case: Case, predictive: Predictive, dataset: Dataset) -> float:
    """Share of the test rows in the middle 90% of what is predicted for them.

    Of counts and classes, that the level `P(y' < y) + u P(y' = y)`, u uniform, lies there: uniform as well
    where predictions are right.
    """
    assert dataset.test_rows is not None
    X, Y = (np.concatenate(part) for part in list(zip(*dataset.test_rows.blocks(), strict=True))[1:])
    latent, likelihood = predictive.latent(X), predictive.likelihood
    y, extras = Y[:, 0], dataset.columns.extras_of(Y)
    if case.likelihood["type"] == "quantile":
        return float(np.mean(y <= latent.mean[:, 0]))
    if case.levels is not None:
        ends = likelihood.predict_quantiles(*latent, case.levels, extras).numpy()[:, 0]  # [N, 2]
        return float(np.mean((ends[:, 0] <= y) & (y <= ends[:, 1])))
    if dataset.columns.kind.labels:
        p = np.asarray(likelihood.class_probabilities(*latent))  # [N, K]
    else:
        counts = np.arange(y.max() + 1)
        told = [np.column_stack([np.full(len(Y), k), Y[:, 1:]]) for k in counts]
        p = np.exp([likelihood.predict_log_density(*latent, rows).numpy() for rows in told]).T
    k = y.astype(int)
    own = p[np.arange(len(p)), k]
    level = p.cumsum(1)[np.arange(len(p)), k] - np.random.default_rng(0).random(len(p)) * own
    return float(np.mean((level >= 0.05) & (level <= 0.95)))

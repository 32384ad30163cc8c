"""Partial dependence of a run's predictions on its inputs, in original units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from svgp.diagnostics.plots.dependence import Dependence

if TYPE_CHECKING:
    from svgp.runs.run import Run

ROWS, GRID, INPUTS = 100, 24, 6


def partial_dependence(run: Run, target: int = 0, *, rows: int = ROWS) -> list[Dependence]:
    """Of the predicted mean on the up to six most relevant inputs that vary, over `rows` training rows.

    The grid goes from the 1st to the 99th percentile of the input; of a column with few values (a category's
    0 and 1) it is these. Needs the data. Without neighbours: the smooth part is what such a picture is about.
    """
    X, columns = run.dataset.X, run.columns
    known = run.metrics.get("relevance") or {}
    lengthscales = np.min(run.lengthscales(), axis=0)  # [D]
    score = [known.get(name, -scale) for name, scale in zip(columns.input_names, lengthscales, strict=True)]
    order = np.argsort(-np.nan_to_num(np.asarray(score, float), neginf=-1e300), kind="stable")
    varying = [int(d) for d in order if np.ptp(X[:, d]) > 0][:INPUTS]
    few = X[np.random.default_rng(0).permutation(len(X))[:rows]]  # [n, D]
    own_units, found = columns.unscale_inputs(X), []
    for d in varying:
        values = np.unique(X[:, d])
        grid = values if len(values) < GRID else _between(X[:, d])
        wide = np.repeat(few, len(grid), axis=0)  # [n G, D]
        wide[:, d] = np.tile(grid, len(few))
        latent = run.evaluator.latent(wide)
        mean = np.asarray(run.model.likelihood.predict_mean_and_var(*latent)[0], np.float64)
        curves = columns.unscale_mean(mean)[:, target].reshape(len(few), len(grid))
        at = np.zeros((len(grid), X.shape[1]))
        at[:, d] = grid
        places = columns.unscale_inputs(at)[:, d]
        found.append(Dependence(columns.input_names[d], places, curves, own_units[:, d]))
    return found


def _between(values: np.ndarray) -> np.ndarray:
    low, high = np.quantile(values, [0.01, 0.99])
    return np.linspace(low, high, GRID)

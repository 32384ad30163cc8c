"""Whether a plain model would have predicted the test rows better: measured, and said where it would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from svgp.data import Columns
from svgp.diagnostics import scores

ROWS = 20_000  # that a line is fitted to
WIDEST = 2_000  # inputs, beyond which its normal equations are not worth a sentence
RIDGE = 1e-3  # of the rows, times the identity: columns may be one another's multiples
WORSE = 1.02  # times its RMSE: where the truth is a line, both are as good

ROBUST = ("student_t", "laplace")
OTHER = ("quantile", "binomial")  # predict no mean of the target, or one that a further column scales


def on_linear_regression(
    metrics: Mapping[str, float], columns: Columns, rows: Any, test_rows: Any, *, likelihood: str
) -> list[str]:
    """A sentence where least squares on the inputs has a lower RMSE on the test rows than `test.rmse`.

    rows, test_rows: `svgp.rows.Rows` of scaled inputs and targets; the line is fitted in original units,
    to 20,000 rows at most. `likelihood`: its type, which decides what to try.
    """
    found = metrics.get("test.rmse")
    if found is None or test_rows is None or likelihood in OTHER or rows.sample()[0].shape[1] > WIDEST:
        return []
    X, Y = rows.sample()
    thinned = slice(None, None, -(-len(X) // ROWS))  # a table may be sorted
    X, Y = X[thinned], Y[thinned]
    X_test, Y_test = test_rows.sample()
    targets, actual = (columns.unscale_mean(columns.targets_of(y)) for y in (Y, Y_test))  # [N, P]
    predicted = np.stack([_line(X, y, X_test) for y in targets.T], axis=1)
    seen = np.isfinite(actual) & np.isfinite(predicted)
    if not seen.any() or not found > WORSE * (linear := scores.rmse(actual[seen], predicted[seen])):
        return []
    remedy = "model.mean=linear, more inducing points (model.inducing.count) or train.restarts=5"
    if likelihood in ROBUST:
        remedy = (
            f"a {likelihood} likelihood follows the bulk of the rows, not their mean: try"
            " model.likelihood.type=gaussian, or data.target_transform=quantile with it"
        )
    elif likelihood != "gaussian":
        remedy = f"does a {likelihood} likelihood suit the target (svgp init says which it looks like)?"
    return [
        f"linear regression on the same inputs predicts the test rows better: RMSE {linear:.4g} against"
        f" {found:.4g}; {remedy if likelihood != 'gaussian' else 'try ' + remedy}"
    ]


def _line(X: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Least squares of y `[N]`, some of it missing, on X `[N, D]`: at `[T, D]` -> `[T]`."""
    known = np.isfinite(y)
    if not known.any():
        return np.full(len(at), np.nan)
    X, y = np.asarray(X[known], np.float64), y[known]
    middle, mean = X.mean(axis=0), y.mean()
    centred = X - middle
    normal = centred.T @ centred + RIDGE * len(X) * np.eye(X.shape[1])
    return np.asarray((at - middle) @ np.linalg.solve(normal, centred.T @ (y - mean)) + mean, np.float64)

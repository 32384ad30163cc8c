"""What becomes of predictions, by the kind of target (numbers, classes): scores, columns, exports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from svgp.data import Columns
from svgp.rows import Rows
from svgp.runs.evaluation import Predictor
from svgp.runs.outcomes.base import Outcome
from svgp.runs.outcomes.classes import Classes
from svgp.runs.outcomes.numbers import Numbers
from svgp.runs.predictions import LEVELS, Predictions

__all__ = ["Outcome", "combined", "outcome_of", "predict", "score", "score_rows"]

_NUMBERS, _CLASSES = Numbers(), Classes()


def outcome_of(columns: Columns) -> Outcome:
    """How predictions of these targets are scored, told and exported."""
    return _CLASSES if columns.kind.labels else _NUMBERS


def score(predictor: Predictor, columns: Columns, X: np.ndarray, Y: np.ndarray) -> dict[str, float]:
    """Test metrics of scaled rows X `[N, D]`, Y `[N, P + E]`, in original units; see the outcome."""
    return outcome_of(columns).score(predictor, columns, X, Y)


def score_rows(predictor: Predictor, columns: Columns, rows: Rows) -> dict[str, float]:
    """`score` of all `rows`, in bounded memory."""
    parts = [(len(X), score(predictor, columns, X, Y)) for _, X, Y in rows.blocks()]
    return combined(parts)


def combined(parts: Sequence[tuple[int, dict[str, float]]]) -> dict[str, float]:
    """Metrics of all rows from those of blocks (rows, metrics): means by rows, of an RMSE of its square.

    Exact for means over rows, such as nlpd, coverage and accuracy. A calibration error (ece) of blocks is an
    upper bound of that of all rows, by about a thousandth for blocks of 65,536 rows.
    """
    if len(parts) == 1:
        return parts[0][1]
    weights = np.array([count for count, _ in parts], np.float64)
    found = {}
    for name in parts[0][1]:
        values = np.array([metrics[name] for _, metrics in parts])
        power = 2.0 if name.startswith("rmse") else 1.0
        known = ~np.isnan(values)  # a block may have no row that tells
        if known.any():
            values = np.average(values[known] ** power, weights=weights[known]) ** (1.0 / power)
        found[name] = float(np.mean(values))
    return found


def predict(
    predictor: Predictor,
    columns: Columns,
    X: np.ndarray,
    levels: Sequence[float] = LEVELS,
    extras: np.ndarray | None = None,
) -> Predictions:
    """Predictions at scaled inputs X `[N, D]`; quantiles at `levels`, each in (0, 1).

    `extras` `[N, E]`: what the likelihood is told of each row (`Columns.transform_extras`); None: defaults.
    """
    if extras is None and columns.extras:
        extras = columns.default_extras(len(X))
    return outcome_of(columns).predict(predictor, columns, X, levels, extras)

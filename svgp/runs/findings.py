"""What a trained model turns out to be: which inputs it uses, and whether its intervals hold; in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from svgp.runs.evaluation import Evaluator

ROWS = 256  # of each shuffled input
UNUSED = 1e-3  # of the spread of the predictions: a millionth of their variance
FLAT = 0.05  # of the target's spread, below which predictions count as constant
LISTED = 12  # names in a sentence

WIDE, NARROW = 0.03, 0.03  # by which a coverage may miss its level before that is worth a sentence
PEAKED = 0.15  # by which half of the rows may be exceeded before the noise is called heavy-tailed
SPLIT = 0.2  # of the rows in the 50% intervals, below which the noise is called one of two groups


def relevance(
    evaluator: Evaluator, X: np.ndarray, names: Sequence[str], *, seed: int = 0
) -> dict[str, float]:
    """How much the predictions depend on each input: 0 not at all, about 1 on it alone.

    `rms(f(X) - f(X with column j shuffled)) / (sqrt(2) std f)`, f the posterior mean, over at most 256 of
    the scaled training rows X `[N, D]`, all latent GPs together. Unlike a lengthscale it can be compared
    between kernels, and it tells a long lengthscale under a large variance (a trend) from no effect.
    Source: permutation importance (Breiman 2001), of the predictions instead of their error.
    """
    generator = np.random.default_rng([seed, 19])
    rows = X if len(X) <= ROWS else X[np.sort(generator.choice(len(X), ROWS, replace=False))]
    count, inputs = rows.shape
    shuffled = np.tile(rows, (inputs, 1, 1))  # [D, n, D]
    for column in range(inputs):
        shuffled[column, :, column] = generator.permutation(rows[:, column])
    mean = evaluator.latent(rows).mean  # [n, L]
    moved = evaluator.latent(shuffled.reshape(-1, inputs)).mean.reshape(inputs, count, -1)  # [D, n, L]
    spread = np.mean((mean - mean.mean(axis=0)) ** 2)
    changes = np.mean((moved - mean) ** 2, axis=(1, 2))  # [D]
    shares = np.sqrt(changes / (2.0 * spread)) if spread > 0 else np.zeros(inputs)
    return {name: float(f"{share:.3g}") for name, share in zip(names, shares, strict=True)}


def on_relevance(found: Mapping[str, float]) -> list[str]:
    """A sentence that names the inputs without effect on the predictions, if there are any."""
    unused = [name for name, share in found.items() if share < UNUSED]
    if not unused:
        return []
    if len(unused) == len(found):
        return ["no input has an effect on the predictions: the target looks like noise around a constant"]
    more = f" and {len(unused) - LISTED} more" if len(unused) > LISTED else ""
    return [
        f"{len(unused)} of {len(found)} inputs have no effect on the predictions: "
        f"{', '.join(unused[:LISTED])}{more}"
    ]


def on_signal(evaluator: Evaluator, X: np.ndarray, Y: np.ndarray) -> list[str]:
    """A sentence where a regression's predictions hardly vary: it took the targets Y `[N, P]` for noise."""
    rows = slice(None, None, -(-len(X) // ROWS))
    mean, spread = evaluator.latent(X[rows]).mean, float(np.nanstd(Y))
    if spread == 0.0:
        return ["the target is the same in all training rows: there was nothing to learn"]
    share = float(mean.std(axis=0).max() / spread)
    if share >= FLAT:
        return []
    return [
        f"the predictions are almost constant, with {100 * share:.2g}% of the target's spread: either the "
        "inputs say nothing about it, or training ended in noise (try train.restarts=5)"
    ]


def on_calibration(
    metrics: Mapping[str, float], rows: int, *, gaussian: bool, standard: bool = False
) -> list[str]:
    """A sentence where a regression's intervals miss their level by more than chance would, and a remedy.

    metrics: `test.coverage_50` and `test.coverage_95` of so many test `rows`. `gaussian`: the likelihood is.
    `standard`: the bound is, which counts all unexplained variance as noise.
    """
    half, most = metrics.get("test.coverage_50"), metrics.get("test.coverage_95")
    if half is None or most is None or not rows or np.isnan([half, most]).any():
        return []
    chance = 3.0 * np.sqrt(0.95 * 0.05 / rows)
    said = f"{100 * half:.0f}% of the test rows lie in the 50% intervals, {100 * most:.1f}% in the 95% ones"
    least = max(PEAKED, 3.0 * np.sqrt(0.25 / rows))
    if half < SPLIT and most >= 0.95:
        return [
            f"{said}: hardly an error is small and none is large, as where rows of the same inputs fall into"
            " two groups with nothing between them; an input that tells these apart may be missing"
        ]
    if most < 0.95 - max(NARROW, chance) or (half < 0.5 - least and most < 0.95):
        return [f"{said}: intervals are too narrow; test rows unlike the training rows, or too few of those"]
    if half < 0.5 + least:
        return []
    if most > 0.95 + WIDE:
        remedy = " and model.bound=tight narrow" if standard else " or longer training narrows"
        return [
            f"{said}: intervals are too wide, since what the points leave unexplained counts as noise; "
            f"more of them (model.inducing.count){remedy} them"
        ]
    tails = "; model.likelihood.type=student_t is made for such noise" if gaussian else ""
    return [f"{said}: most errors are far smaller than the noise, and a few far larger{tails}"]


def on_neighbours(summary: Mapping[str, Any], rows: int, bytes_held: int) -> list[str]:
    """What neighbours bring (`svgp.models.predictive.fit_predictive`), or that they were not worth it."""
    if needed := summary.get("neighbours_need"):
        return [f"predictions are of the inducing points alone: neighbours need {needed}"]
    asked, count = summary.get("neighbours_asked", 0), summary.get("neighbours", 0)
    if not asked:
        return []
    gain = summary["log_density"] - summary["log_density_sparse"]
    if not count:
        return ["predictions are of the inducing points alone: of rows left out neighbours say no more"]
    said = (
        f"predictions see {count} neighbours: rows left out gain {gain:.2g} nats each, and "
        f"{100 * summary['explained_by_neighbours']:.2g}% of what the points leave unexplained is explained; "
        f"the nearest is {summary['nearest_median']:.2g} lengthscales away (median). model/ holds {rows:,} "
        f"training rows for it ({bytes_held / 2**20:.3g} MiB)"
    )
    far = summary["too_far"]
    return [said + (f"; for {100 * far:.2g}% of the rows they are too far to help" if far > 0.05 else "")]

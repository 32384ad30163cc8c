"""What stands out in a data set before anything is trained on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from svgp.data.codes import CODED
from svgp.data.dataset import Dataset
from svgp.data.names import counted
from svgp.data.recommend import Recommendation, recommend_for_numbers
from svgp.data.suspicions import on_drift, on_leaks, on_skew

# Duplicates and correlations are looked for in so many rows and inputs at most: enough to see, quick to do.
_ROWS = 200_000
_INPUTS = 300
_FAR = 30.0  # robust standard deviations: far beyond what heavy tails give by themselves
_SHOWN = 5  # findings of one kind


@dataclass(frozen=True)
class ColumnSummary:
    """One raw column over the training rows, in its own units; a category has levels in place of numbers."""

    name: str
    role: str  # input or target
    mean: float | None = None
    std: float | None = None
    low: float | None = None
    high: float | None = None
    levels: int | None = None  # of a category or a class
    constant: bool = False


@dataclass(frozen=True)
class Summary:
    """Rows, columns, and findings in words, the data's own notes first."""

    name: str
    rows: int  # all training rows
    at_hand: int  # of a table that is read as a stream a sample, which columns and findings are of; else all
    test_rows: int
    inputs: int  # D, after one-hot encoding
    columns: list[ColumnSummary]
    findings: list[str]
    recommended: Recommendation | None = None  # for the one target of numbers, by its values alone


def summarise(dataset: Dataset) -> Summary:
    """Describe the training rows of a data set and say what stands out.

    Looked for: constant columns and rows left out (both in `Dataset.notes`), repeated rows, far
    outliers, row numbers, inputs that repeat one another or the target (also through a monotone function),
    columns that are distributed differently in the test rows, skewed targets, classes out of balance, counts
    with more spread than Poisson noise has.
    """
    X = dataset.columns.unscale_inputs(dataset.X)  # [N, D] original units
    Y = dataset.columns.unscale_mean(dataset.Y)  # [N, P]
    findings = [
        *dataset.notes,
        *_repeated_rows(dataset.X, dataset.Y),
        *_outliers(dataset, X, Y),
        *_row_numbers(dataset, X),
        *_look_alikes(dataset),
        *on_leaks(dataset),
        *on_drift(dataset),
        *_target_findings(dataset, Y),
        *on_skew(dataset),
    ]
    rows, test_rows = dataset.rows.count, 0 if dataset.test_rows is None else dataset.test_rows.count
    columns = [*_input_columns(dataset, X), *_target_columns(dataset, Y)]
    own = dataset.columns
    one_of_numbers = len(own.target_names) == 1 and not own.kind.labels and not own.extras
    recommended = recommend_for_numbers(Y[:, 0]) if one_of_numbers else None
    return Summary(dataset.name, rows, len(X), test_rows, X.shape[1], columns, findings, recommended)


def _input_columns(dataset: Dataset, X: np.ndarray) -> Iterator[ColumnSummary]:
    place = 0
    for name in dataset.columns.inputs:
        if name in dataset.columns.levels:
            levels = len(dataset.columns.levels[name])
            place += levels
            yield ColumnSummary(name, "input", levels=levels, constant=levels == 1)
        else:
            yield _numeric(name, "input", X[:, place])
            place += 1


def _target_columns(dataset: Dataset, Y: np.ndarray) -> Iterator[ColumnSummary]:
    for place, name in enumerate(dataset.columns.target_names):
        if dataset.columns.classes is not None:
            yield ColumnSummary(name, "target", levels=len(dataset.columns.classes))
        else:
            yield _numeric(name, "target", Y[:, place])


def _numeric(name: str, role: str, values: np.ndarray) -> ColumnSummary:
    values = values[~np.isnan(values)]
    low, high = float(values.min()), float(values.max())
    return ColumnSummary(
        name, role, float(values.mean()), float(values.std()), low, high, constant=low == high
    )


def _repeated_rows(X: np.ndarray, Y: np.ndarray) -> Iterator[str]:
    rows = np.ascontiguousarray(np.concatenate([X, Y], axis=1)[:_ROWS])  # [N, D + P]
    as_bytes = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))
    repeated = len(rows) - len(np.unique(as_bytes))
    if repeated > 0.01 * len(rows):
        yield (
            f"{repeated:,} of {counted(len(rows), 'training row')} repeat an earlier row exactly; if test"
            " rows repeat training rows too, the test error looks better than it is"
        )


def _outliers(dataset: Dataset, X: np.ndarray, Y: np.ndarray) -> Iterator[str]:
    own = dataset.columns
    numeric = [name for name in own.input_names if name in own.inputs]
    places = {name: place for place, name in enumerate(dataset.columns.input_names)}
    columns = [("input", name, X[:, places[name]]) for name in numeric]
    if dataset.columns.task == "regression":
        named = zip(dataset.columns.target_names, Y.T, strict=True)
        columns += [("target", name, values[~np.isnan(values)]) for name, values in named]
    found = []
    for role, name, values in columns:
        low, middle, high = (float(np.percentile(values, share)) for share in (25, 50, 75))
        deviation = (high - low) / 1.349  # of a normal distribution with these quartiles
        far = np.abs(values - middle) > _FAR * deviation
        if deviation > 0 and far.any():
            worst, advice = values[np.argmax(np.abs(values - middle))], _far_off(role, name, values, far)
            if name in own.squeezed and role == "input" and "missing" not in advice:
                continue  # seen to, and said
            found.append(
                f"{role} '{name}': {counted(int(far.sum()), 'row')} further than {_FAR:g} robust standard"
                f" deviations from the median {middle:.4g}, up to {worst:.4g}; {advice}"
            )
    yield from _first(found, "columns with far outliers")


def _far_off(role: str, name: str, values: np.ndarray, far: np.ndarray) -> str:
    """What values so far off may be. Clipped at five deviations a twentieth of them did no harm."""
    levels, rows = np.unique(values[far].round(6), return_counts=True)  # scaled and back: not exact
    if rows.max() >= max(CODED, 0.5 * far.sum()):
        code = levels[np.argmax(rows)]
        return (
            f"{counted(int(rows.max()), 'row')} have {code:.6g} there, as if it stood for a missing value:"
            f" with data.columns={{{name}: {{missing: [{code:.6g}]}}}} and data.missing=indicator (or drop)"
            " it does"
        )
    if values.min() > 0:
        return "an error, or a case for its logarithm"
    return "an error? Clip them, or they hide what the other rows say" if role == "input" else "an error?"


def _row_numbers(dataset: Dataset, X: np.ndarray) -> Iterator[str]:
    for place, name in enumerate(dataset.columns.input_names):
        values = X[:, place]
        # Held-out rows leave gaps, so steps of more than one count as well.
        whole = np.allclose(values, np.round(values), rtol=1e-9, atol=1e-6)  # scaled and back: not exact
        rising = len(values) > 20 and bool(np.all(np.diff(values) > 0))
        if whole and rising and values[-1] - values[0] < 3 * len(values):
            yield f"input '{name}' rises from row to row like a row number; if it is one, leave it out"


def _look_alikes(dataset: Dataset) -> Iterator[str]:
    targets = dataset.columns.targets_of(dataset.Y[:_ROWS])
    values = np.concatenate([dataset.X[:_ROWS, :_INPUTS], targets], axis=1)  # [N, D + P]
    values = values[~np.isnan(values).any(axis=1)]
    names = [*dataset.columns.input_names[:_INPUTS], *dataset.columns.target_names]
    size = len(names) - len(dataset.columns.target_names)
    spread = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    correlation = np.abs(scaled.T @ scaled) / len(scaled)  # [D + P, D + P]
    pairs = np.argwhere(np.triu(correlation, k=1) > 0.9999)
    numeric = set(dataset.columns.inputs)  # one-hot columns of one category depend on each other by nature
    twins = [(a, b) for a, b in pairs if b < size and {names[a], names[b]} <= numeric]
    leaks = [a for a, b in pairs if a < size <= b]
    yield from _first(
        [
            f"inputs '{names[a]}' and '{names[b]}' are the same up to scale; one of them is enough"
            for a, b in twins
        ],
        "pairs of inputs alike",
    )
    yield from _first(
        [
            f"input '{names[a]}' is the target up to scale; leave it out if it is not known beforehand"
            for a in leaks
        ],
        "inputs that are the target",
    )


def _target_findings(dataset: Dataset, Y: np.ndarray) -> Iterator[str]:
    columns = dataset.columns
    for place, (name, values) in enumerate(zip(columns.target_names, Y.T, strict=True)):
        kind = columns.kind.of_target(place)
        yield from kind.findings(name, values[~np.isnan(values)], columns.classes)


def _first(found: list[str], what: str) -> Iterator[str]:
    yield from found[:_SHOWN]
    if len(found) > _SHOWN:
        yield f"... and {len(found) - _SHOWN} more {what}"

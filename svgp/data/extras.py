"""Columns that a likelihood reads beside the targets: exposures, trials, censoring, known noise.

What each is taken for where a table to predict for does not have it is told here; where a model is trained or
scored they must be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from svgp.data.checks import require
from svgp.data.names import counted
from svgp.data.numeric import to_float
from svgp.data.origin import row_number, source_of
from svgp.errors import DataError


@dataclass(frozen=True)
class Extra:
    """One kind: what it must be, in words and as a range, and what it is where nothing is said."""

    needs: str
    low: float
    high: float = np.inf
    open_low: bool = True
    whole: bool = False
    default: float | None = None  # None: the root mean square of the training rows
    in_target_units: bool = False
    in_predictions: bool = True  # whether what is predicted depends on it


EXTRAS: dict[str, Extra] = {
    "noise": Extra("a standard deviation from 0", 0.0, open_low=False, in_target_units=True),
    "exposure": Extra("a number above 0", 0.0, default=1.0),
    "trials": Extra("a whole number from 1", 1.0, open_low=False, whole=True, default=1.0),
    "censored": Extra(
        "0 or 1 (false or true)", 0.0, 1.0, open_low=False, whole=True, default=0.0, in_predictions=False
    ),
}


def extra_values(table: pa.Table, kind: str, name: str) -> np.ndarray:
    """The column `name` as what `kind` says, `[N]`; missing ones are NaN. Raises DataError."""
    require(table, [name], kind)
    rule = EXTRAS[kind]
    values = to_float(table, name, f"{kind} needs {rule.needs}")
    bad = (values < rule.low) | (values > rule.high) | (rule.open_low & (values == rule.low))
    bad |= rule.whole & (np.floor(values) != values)
    bad &= ~np.isnan(values)
    if np.any(bad):
        row = int(np.argmax(bad))
        raise DataError(
            f"{source_of(table)}: {kind} column '{name}' has {values[row]:g} at row {row_number(table, row)}"
            f" ({counted(int(bad.sum()), 'row')} like it); expected {rule.needs}"
        )
    return values


def extra_defaults(table: pa.Table, extras: Mapping[str, str]) -> list[float]:
    """For each kind, what it is where a table to predict for does not say; from training rows."""
    found = []
    for kind, name in extras.items():
        rule = EXTRAS[kind]
        values = extra_values(table, kind, name) if rule.default is None else np.ones(1)
        root = float(np.sqrt(np.nanmean(values**2)))
        found.append(root if rule.default is None else rule.default)
    return found


def refuse_more_than_trials(table: pa.Table, names: list[str], Y: np.ndarray, trials: np.ndarray) -> None:
    """Raise DataError where a count [N, P] is above the number of trials [N]."""
    for name, values in zip(names, Y.T, strict=True):
        if np.any(values > trials):
            row = int(np.argmax(values > trials))
            raise DataError(
                f"{source_of(table)}: target '{name}' has {values[row]:g} at row {row_number(table, row)},"
                f" more than the {trials[row]:g} trials there"
            )

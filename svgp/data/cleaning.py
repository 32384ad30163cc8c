"""Rows that miss a value: refused, left out, or kept with what stands in for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from svgp.data.categories import MISSING, level_codes
from svgp.data.checks import missing_counts, refuse_infinite, refuse_missing
from svgp.data.choice import Choice
from svgp.data.extras import extra_values
from svgp.data.names import counted, listed
from svgp.data.numeric import to_float
from svgp.data.origin import source_of
from svgp.data.readings import apply
from svgp.data.tasks import Task
from svgp.errors import DataError

_INPUT_ADVICE = "list it under data.categorical, or leave it out of data.inputs"


def clean(table: pa.Table, choice: Choice, task: Task, missing: str) -> tuple[pa.Table, list[str]]:
    """The chosen columns, with rows that miss a value dropped if `missing` is 'drop'.

    Of several numeric targets some may be missing; a row that misses all of them counts as one that misses
    one.
    """
    table = apply(table.select(choice.names), choice.readings, table.column_names)
    absent = _absent(table, choice, task)
    empty = [name for name, values in absent.items() if np.isnan(values).all()]
    if empty:
        raise DataError(
            f"{source_of(table)}: {listed(empty)} {'has' if len(empty) == 1 else 'have'} no values at all"
            " (all missing or NaN); leave such columns out of data.inputs"
        )
    refuse_infinite(table, absent)
    notes = _fill_allowed(table, choice, task, absent)
    if missing == "indicator":
        kept = {name: absent.pop(name) for name in choice.inputs if name not in choice.extras.values()}
        if told := missing_counts(kept):
            notes.append(
                f"{source_of(table)}: missing values in {told}: the mean (of a category no level)"
                " stands in, and a further input says where"
            )
    elif missing == "error":
        refuse_missing(table, absent)
        return table, notes
    keep = ~np.any([np.isnan(values) for values in absent.values()], axis=0)
    if keep.all():
        return table, notes
    dropped = int((~keep).sum())
    note = (
        f"{source_of(table)}: {dropped:,} of {counted(table.num_rows, 'row')} dropped for missing values:"
        f" {missing_counts(absent)}"
    )
    if not keep.any():
        raise DataError(f"{note}; no row is left: leave out the columns that are mostly missing")
    return table.filter(pa.array(keep)), [*notes, note]


def gaps_of(table: pa.Table, choice: Choice, task: Task) -> list[str]:
    """The inputs that miss values."""
    inputs = replace(choice, targets=[], extras={})
    read = apply(table.select(choice.inputs), choice.readings, choice.inputs)
    return [name for name, values in _absent(read, inputs, task).items() if np.isnan(values).any()]


def _fill_allowed(table: pa.Table, choice: Choice, task: Task, absent: dict[str, np.ndarray]) -> list[str]:
    """Take target values that may be missing out of `absent`, and say how many there are."""
    if len(choice.targets) < 2 or task.labels:
        return []
    lacking = {name: np.isnan(absent[name]) for name in choice.targets}
    all_lacking = np.all(list(lacking.values()), axis=0)
    told = missing_counts({name: np.where(all_lacking, 0.0, absent[name]) for name in choice.targets})
    for name in choice.targets:
        absent[name] = np.where(all_lacking, np.nan, 0.0)
    return [f"{source_of(table)}: missing targets, which count for nothing: {told}"] if told else []


def _absent(table: pa.Table, choice: Choice, task: Task) -> dict[str, np.ndarray]:
    """Each column's values `[N]`, of which only NaN and infinities matter here."""
    values: dict[str, np.ndarray] = {}
    for name in choice.inputs:
        if name in choice.categorical:
            values[name] = np.where(level_codes(table, name, []) == MISSING, np.nan, 0.0)
        else:
            values[name] = to_float(table, name, _INPUT_ADVICE)
    for name in choice.targets:
        values[name] = task.presence(table, name)
    for kind, name in choice.extras.items():
        values[name] = extra_values(table, kind, name)
    return values

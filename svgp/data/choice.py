"""Which columns of a table play which part, and how each is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from svgp.data.builtin import find_dataset
from svgp.data.checks import require
from svgp.data.layout import TableFormat
from svgp.data.names import listed, nearest
from svgp.data.origin import source_of
from svgp.data.readings import Reading, Wish, refuse_doubts
from svgp.data.survey import Survey
from svgp.data.tasks import Task
from svgp.errors import DataError


@dataclass(frozen=True)
class Choice:
    """Which columns play which part."""

    inputs: list[str]
    targets: list[str]
    categorical: list[str]
    readings: dict[str, Reading] = field(default_factory=dict)
    extras: dict[str, str] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)  # inputs that miss values and keep their rows

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys([*self.inputs, *self.targets, *self.extras.values()]))


def choose_columns(table: pa.Table, data: Any, extras: dict[str, str]) -> Choice:
    own = list(find_dataset(data.dataset.name).target) if data.dataset is not None else []
    targets = list(data.target or own)
    if not targets:
        raise DataError(f"{source_of(table)}: data.target names no column; name the column to predict")
    _require(table, targets, "target")
    for kind, name in extras.items():
        _require(table, [name], kind)
    used = {*targets, *extras.values()}
    inputs = list(data.inputs or [name for name in table.column_names if name not in used])
    _require(table, inputs, "input")
    both = [name for name in inputs if name in targets]
    if both:
        raise DataError(f"{source_of(table)}: {listed(both)} cannot be both target and input")
    if not inputs:
        raise DataError(f"{source_of(table)}: no input column is left beside the target {listed(targets)}")
    categorical = list(data.categories)
    for name in categorical:
        if name not in inputs:
            raise DataError(
                f"{source_of(table)}: data.categorical: '{name}' is not an input{nearest(name, inputs)}"
            )
    return Choice(inputs, targets, categorical, extras=extras)


def find_readings(
    table: pa.Table, choice: Choice, task: Task, data: Any, prior: dict[str, Reading]
) -> dict[str, Reading]:
    """How each of the chosen columns is read that is not numbers already. Raises DataError if in doubt."""
    wishes = {name: Wish.of(column.model_dump()) for name, column in data.columns.items()}
    _require(table, list(wishes), "data.columns:")
    survey = Survey(
        wishes,
        format_of(data),
        prior,
        skip={*choice.categorical, *(choice.targets if task.labels else [])},
    )
    survey.add(table.select(choice.names))
    found = refuse_doubts(survey.decide(), source_of(table))
    # A date is no target; to say so is the target's own check.
    return {
        name: reading for name, reading in found.items() if name in choice.inputs or reading.type == "number"
    }


def format_of(data: Any) -> TableFormat:
    return TableFormat(**data.format.model_dump())


def text_of(data: Any) -> list[str]:
    """Columns to read as text: categories, and those of whose numbers something is said."""
    spelled = [name for name, column in data.columns.items() if column.decimal or column.thousands]
    return [*data.categories, *spelled]


def _require(table: pa.Table, names: Sequence[str], role: str) -> None:
    try:
        require(table, names, role)
    except DataError as error:
        if len(table.column_names) == 1 and any(other in table.column_names[0] for other in ";\t|~^:"):
            raise DataError(
                f"{error}; is the delimiter right? data.format.delimiter names another one"
            ) from error
        raise

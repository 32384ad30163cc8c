"""From a data config to the arrays of a run: read, choose columns, check, split, scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from svgp.data.builtin import find_dataset, make_dataset, table_fingerprint
from svgp.data.categories import MISSING, level_codes
from svgp.data.checks import missing_counts, refuse_infinite, refuse_missing, require
from svgp.data.columns import Columns
from svgp.data.extras import extra_values
from svgp.data.held_out import held_out_rows
from svgp.data.layout import TableFormat, describe
from svgp.data.names import counted, listed, nearest
from svgp.data.numeric import to_float
from svgp.data.origin import layout_of, mark, source_of
from svgp.data.readings import Reading, Wish, apply, refuse_doubts
from svgp.data.sources import fingerprint, read_table
from svgp.data.survey import Survey
from svgp.data.tasks import TASKS, Task
from svgp.errors import DataError
from svgp.rows import ArrayRows, Rows

_INPUT_ADVICE = "list it under data.categorical, or leave it out of data.inputs"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test rows as a model sees them, and how they were made from a table.

    X, Y and their test counterparts are the rows at hand: all of them, unless the table is read as a stream
    (`source`), when they are a sample. What trains and scores asks `rows` and `test_rows`.
    """

    X: np.ndarray  # [N, D]
    Y: np.ndarray  # [N, P + E]: targets, and what the likelihood reads of each row besides
    X_test: np.ndarray | None  # [N_test, D]
    Y_test: np.ndarray | None  # [N_test, P + E], scaled as Y is
    columns: Columns
    name: str
    sha256: str  # of the file's bytes, or of a built-in table's content
    notes: list[str] = field(default_factory=list)
    source: Rows | None = None  # of all training rows, where X and Y are a sample of them
    test_source: Rows | None = None

    @cached_property
    def rows(self) -> Rows:
        """The training rows, whether they are in memory or not."""
        return self.source or ArrayRows(self.X, self.Y)

    @cached_property
    def test_rows(self) -> Rows | None:
        """The test rows; None where none are held out."""
        if self.X_test is None or self.Y_test is None or len(self.X_test) == 0:
            return None
        return self.test_source or ArrayRows(self.X_test, self.Y_test)


@dataclass(frozen=True)
class _Choice:
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


def load_dataset(data: Any, likelihood: Any, columns: Columns | None = None) -> Dataset:
    """Read, check, split and scale the table that `data` (a `svgp.config.DataConfig`) describes.

    `likelihood` is what `model.likelihood` holds (of which its `task`, `extra_columns` and `levels` matter
    here), or the name of a task alone (`svgp.data.tasks`). Rows are held out by `data.test`: a seeded random
    fraction, or a file of their own. Every statistic (means, scales, levels) comes from training
    rows alone, or from another run's `columns`. Raises DataError, with file, column and row, for what cannot
    be used.

    A Parquet table too large for the memory stays on the disk (`data.stream`, `svgp.data.streamed`); a folder
    of delimited files is written as Parquet first, once.
    """
    from svgp.data.streamed import as_parquet, delimited_files, load_streamed, should_stream

    task = TASKS[getattr(likelihood, "task", likelihood)]
    extras = dict(getattr(likelihood, "extra_columns", {}))
    if data.path is not None and delimited_files(data.path):
        written = as_parquet(data.path, text=_text(data), format=_format(data))
        data = data.model_copy(update={"path": written})
    if should_stream(data):
        return load_streamed(data, task, extras, columns)
    table, name, sha256 = _read(data)
    choice = choose_columns(table, data, extras)
    delimiter, encoding, note = layout_of(table)
    usual = delimiter in ("", ",", "\t") and encoding in ("", "utf-8")
    notes = [] if usual else [f"{source_of(table)}: {describe(delimiter, encoding)}"]
    notes += [note] if note else []
    readings = find_readings(table, choice, task, data, {} if columns is None else dict(columns.readings))
    notes += [reading.describe(name) for name, reading in readings.items()]
    choice = replace(choice, readings=readings)
    choice = replace(choice, gaps=_gaps(table, choice, task) if data.missing == "indicator" else [])
    table, more = _clean(table, choice, task, data.missing)
    notes += more
    order = getattr(likelihood, "levels", None)
    classes = task.find_classes(table, choice.targets[0], order) if len(choice.targets) == 1 else None
    train, test = _split(table, data, choice, task, notes)
    if columns is None:
        columns = Columns.fit(
            train, task=task.name, inputs=choice.inputs, targets=choice.targets,
            categorical=choice.categorical, unseen=data.unseen, standardize=data.standardize,
            classes=classes, readings=readings, extras=choice.extras, gaps=choice.gaps,
            transform=data.target_transform,
        )  # fmt: skip
    else:
        _require_columns(table, columns, choice, task, data.target_transform)
    X, Y = columns.transform_inputs(train), columns.transform_targets(train)
    _check_training_rows(table, columns, X, Y)
    notes += _constant_notes(columns, X, Y)
    dataset = Dataset(X, Y, None, None, columns, name, sha256, notes)
    return dataset if test is None else _with_test(dataset, test)


def _transform_of(columns: Columns) -> str:
    names = {found.name for found in columns.transforms if found is not None}
    return names.pop() if names else "none"


def _require_columns(table: pa.Table, columns: Columns, choice: _Choice, task: Task, transform: str) -> None:
    """Raise DataError where another run's columns are not those of this config."""
    own = {
        "task": task.name, "inputs": choice.inputs, "target": choice.targets,
        "categorical": choice.categorical, "extra columns": choice.extras, "target_transform": transform,
    }  # fmt: skip
    other = {
        "task": columns.task, "inputs": columns.inputs, "target": columns.target_names,
        "categorical": columns.categorical, "extra columns": dict(columns.extras),
        "target_transform": _transform_of(columns),
    }  # fmt: skip
    for name, value in own.items():
        if (sorted(value) if name == "categorical" else value) != (
            sorted(other[name]) if name == "categorical" else other[name]
        ):
            raise DataError(
                f"{source_of(table)}: model.start_from: the earlier run has {name} {other[name]}, and this "
                f"config {value}; they must be the same"
            )


def _with_test(dataset: Dataset, test: pa.Table) -> Dataset:
    columns = dataset.columns
    notes = [
        f"{counted(count, 'test row')} with a level of '{name}' that no training row has: all zeros there"
        for name, count in columns.count_unseen(test).items()
    ]
    X_test, Y_test = columns.transform_inputs(test), columns.transform_targets(test)
    return replace(dataset, X_test=X_test, Y_test=Y_test, notes=dataset.notes + notes)


def _read(data: Any) -> tuple[pa.Table, str, str]:
    if data.dataset is not None:
        name = data.dataset.name
        table = make_dataset(name, **data.dataset.options)
        return mark(table, f"dataset {name}"), name, table_fingerprint(table)
    name = data.path.name.split(".")[0] or data.path.name
    table = read_table(data.path, text=_text(data), format=_format(data))
    return table, name, fingerprint(data.path)


def _format(data: Any) -> TableFormat:
    return TableFormat(**data.format.model_dump())


def _text(data: Any) -> list[str]:
    """Columns to read as text: categories, and those of whose numbers something is said."""
    spelled = [name for name, column in data.columns.items() if column.decimal or column.thousands]
    return [*data.categories, *spelled]


def find_readings(
    table: pa.Table, choice: _Choice, task: Task, data: Any, prior: dict[str, Reading]
) -> dict[str, Reading]:
    """How each of the chosen columns is read that is not numbers already. Raises DataError if in doubt."""
    wishes = {name: Wish.of(column.model_dump()) for name, column in data.columns.items()}
    _require(table, list(wishes), "data.columns:")
    survey = Survey(
        wishes,
        _format(data),
        prior,
        skip={*choice.categorical, *(choice.targets if task.labels else [])},
    )
    survey.add(table.select(choice.names))
    found = refuse_doubts(survey.decide(), source_of(table))
    # A date is no target; to say so is the target's own check.
    return {
        name: reading for name, reading in found.items() if name in choice.inputs or reading.type == "number"
    }


def choose_columns(table: pa.Table, data: Any, extras: dict[str, str]) -> _Choice:
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
    return _Choice(inputs, targets, categorical, extras=extras)


def _require(table: pa.Table, names: Sequence[str], role: str) -> None:
    try:
        require(table, names, role)
    except DataError as error:
        if len(table.column_names) == 1 and any(other in table.column_names[0] for other in ";\t|~^:"):
            raise DataError(
                f"{error}; is the delimiter right? data.format.delimiter names another one"
            ) from error
        raise


def _clean(table: pa.Table, choice: _Choice, task: Task, missing: str) -> tuple[pa.Table, list[str]]:
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


def _gaps(table: pa.Table, choice: _Choice, task: Task) -> list[str]:
    """The inputs that miss values."""
    inputs = replace(choice, targets=[], extras={})
    read = apply(table.select(choice.inputs), choice.readings, choice.inputs)
    return [name for name, values in _absent(read, inputs, task).items() if np.isnan(values).any()]


def _fill_allowed(table: pa.Table, choice: _Choice, task: Task, absent: dict[str, np.ndarray]) -> list[str]:
    """Take target values that may be missing out of `absent`, and say how many there are."""
    if len(choice.targets) < 2 or task.labels:
        return []
    lacking = {name: np.isnan(absent[name]) for name in choice.targets}
    all_lacking = np.all(list(lacking.values()), axis=0)
    told = missing_counts({name: np.where(all_lacking, 0.0, absent[name]) for name in choice.targets})
    for name in choice.targets:
        absent[name] = np.where(all_lacking, np.nan, 0.0)
    return [f"{source_of(table)}: missing targets, which count for nothing: {told}"] if told else []


def _absent(table: pa.Table, choice: _Choice, task: Task) -> dict[str, np.ndarray]:
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


def _split(
    table: pa.Table, data: Any, choice: _Choice, task: Task, notes: list[str]
) -> tuple[pa.Table, pa.Table | None]:
    if data.test is None:
        return table, None
    if data.test.path is not None:
        test = read_table(data.test.path, text=_text(data), format=_format(data))
        require(test, choice.targets, "target")
        require(test, choice.inputs, "input")
        for kind, name in choice.extras.items():
            require(test, [name], kind)
        own = find_readings(test, choice, task, data, choice.readings)
        test, more = _clean(test, replace(choice, readings={**choice.readings, **own}), task, data.missing)
        notes += more
        return table, test
    if data.test.split == "hash":
        held_out = _split_by_hash(table, data, choice, task)
    else:
        held_out = split_rows(table.num_rows, data.test.fraction, data.test.seed)
    return table.filter(pa.array(~held_out)), table.filter(pa.array(held_out))


def _split_by_hash(table: pa.Table, data: Any, choice: _Choice, task: Task) -> np.ndarray:
    plain = Columns.fit(
        table, task=task.name, inputs=choice.inputs, targets=choice.targets, categorical=choice.categorical,
        standardize=False, readings=choice.readings, extras=choice.extras,
    ).unscaled()  # fmt: skip
    values = np.concatenate([plain.transform_inputs(table), plain.transform_targets(table)], axis=1)
    names = [*plain.input_names, *plain.target_names, *plain.extras.values()]
    mask = held_out_rows(values, names, data.test.fraction, data.test.seed)
    if not mask.any() or len(mask) - mask.sum() < 2:
        raise DataError(
            f"{source_of(table)}: of {counted(len(mask), 'row')} a hash holds out {int(mask.sum())}, which "
            "leaves nothing to train or to test on; add rows, or set data.test.split: random"
        )
    return mask


def split_rows(rows: int, fraction: float, seed: int) -> np.ndarray:
    """Mask `[rows]` of the held-out rows: `round(rows * fraction)` of them, at least one, at random.

    Raises DataError where fewer than two rows would be left for training.
    """
    held_out = max(1, round(rows * fraction))
    if rows - held_out < 2:
        raise DataError(
            f"{counted(rows, 'row')} with {held_out} held out leave {rows - held_out} to train on;"
            " at least 2 are needed: add rows, lower data.test.fraction, or set data.test: null"
        )
    mask: np.ndarray = np.zeros(rows, dtype=bool)
    mask[np.random.default_rng(seed).permutation(rows)[:held_out]] = True
    return mask


def _check_training_rows(table: pa.Table, columns: Columns, X: np.ndarray, Y: np.ndarray) -> None:
    if len(X) < 2:
        raise DataError(f"{source_of(table)}: {counted(len(X), 'training row')}; at least 2 are needed")
    columns.kind.check_rows(source_of(table), columns.targets_of(Y), columns.classes)


def _constant_notes(columns: Columns, X: np.ndarray, Y: np.ndarray) -> list[str]:
    notes = []
    targets = columns.targets_of(Y)
    for kind, names, values in (("input", columns.input_names, X), ("target", columns.target_names, targets)):
        constant = [name for name, column in zip(names, values.T, strict=True) if np.all(column == column[0])]
        if constant:
            what = f"{kind} {listed(constant)}" if len(constant) == 1 else f"{kind}s {listed(constant)}"
            notes.append(f"{what}: constant over the training rows; kept, with scale 1")
    return notes

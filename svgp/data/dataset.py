"""From a data config to the arrays of a run: read, choose columns, check, split, scale."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from svgp.data.builtin import make_dataset, table_fingerprint
from svgp.data.choice import Choice, choose_columns, find_readings, format_of, text_of
from svgp.data.cleaning import clean, gaps_of
from svgp.data.columns import Columns
from svgp.data.layout import describe
from svgp.data.names import counted, listed
from svgp.data.origin import layout_of, mark, source_of
from svgp.data.sources import fingerprint, read_table
from svgp.data.split import split
from svgp.data.tasks import Task, task_named
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


def load_dataset(
    data: Any, likelihood: Any, columns: Columns | None = None, plain: Collection[str] = ()
) -> Dataset:
    """Read, check, split and scale the table that `data` (a `svgp.config.DataConfig`) describes.

    `likelihood` is what `model.likelihood` holds (of which its `target_task`, `extra_columns` and `levels`
    matter here), or the name of a task alone (`svgp.data.tasks`). Rows are held out by `data.test`: a seeded
    random fraction, or a file of their own. Every statistic (means, scales, levels) comes from training
    rows alone, or from another run's `columns`. Inputs that are `plain` keep far values as they are. Raises
    DataError, with file, column and row, for what cannot be used.

    A Parquet table too large for the memory stays on the disk (`data.stream`, `svgp.data.streamed`); a folder
    of delimited files is written as Parquet first, once.
    """
    from svgp.data.streamed import as_parquet, delimited_files, load_streamed, should_stream

    task, extras, order = asked_of(likelihood)
    if data.path is not None and delimited_files(data.path):
        written = as_parquet(data.path, text=text_of(data), format=format_of(data))
        data = data.model_copy(update={"path": written})
    if should_stream(data):
        return load_streamed(data, likelihood, columns, plain)
    table, name, sha256 = _read(data)
    choice = choose_columns(table, data, extras)
    delimiter, encoding, note = layout_of(table)
    usual = delimiter in ("", ",", "\t") and encoding in ("", "utf-8")
    notes = [] if usual else [f"{source_of(table)}: {describe(delimiter, encoding)}"]
    notes += [note] if note else []
    readings = find_readings(table, choice, task, data, {} if columns is None else dict(columns.readings))
    notes += [reading.describe(name) for name, reading in readings.items()]
    choice = replace(choice, readings=readings)
    choice = replace(choice, gaps=gaps_of(table, choice, task) if data.missing == "indicator" else [])
    table, more = clean(table, choice, task, data.missing)
    notes += more
    classes = task.find_classes(table, choice.targets[0], order) if len(choice.targets) == 1 else None
    train, test = split(table, data, choice, task, classes, notes)
    if columns is None:
        columns = Columns.fit(
            train, task=task.name, inputs=choice.inputs, targets=choice.targets,
            categorical=choice.categorical, unseen=data.unseen, standardize=data.standardize,
            classes=classes, readings=readings, extras=choice.extras, gaps=choice.gaps,
            transform=data.target_transform, squeeze=wants_squeeze(data), plain=plain,
        )  # fmt: skip
    else:
        require_same_columns(columns, choice, task, data, source_of(table))
    X, Y = columns.transform_inputs(train), columns.transform_targets(train)
    if len(X) < 2:
        raise DataError(f"{source_of(table)}: {counted(len(X), 'training row')}; at least 2 are needed")
    columns.kind.check_rows(source_of(table), columns.targets_of(Y), columns.classes)
    notes += squeeze_notes(columns)
    notes += constant_notes(columns, np.ptp(X, axis=0) == 0.0, np.nanmin(Y, axis=0) == np.nanmax(Y, axis=0))
    dataset = Dataset(X, Y, None, None, columns, name, sha256, notes)
    return dataset if test is None else _with_test(dataset, test)


def asked_of(likelihood: Any) -> tuple[Task, dict[str, str], list[Any] | None]:
    """Task, extra columns and order of the levels that a likelihood (or a task's name) asks of a table."""
    task = task_named(getattr(likelihood, "target_task", likelihood))
    return task, dict(getattr(likelihood, "extra_columns", {})), getattr(likelihood, "levels", None)


def _transform_of(columns: Columns) -> str:
    names = {found.name for found in columns.transforms if found is not None}
    return names.pop() if names else "none"


def require_same_columns(columns: Columns, choice: Choice, task: Task, data: Any, where: str) -> None:
    """Raise DataError where another run's columns are not those of this config."""
    own = {
        "task": task.name, "inputs": choice.inputs, "target": choice.targets,
        "categorical": choice.categorical, "extra columns": choice.extras,
        "target_transform": data.target_transform,
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
                f"{where}: model.start_from: the earlier run has {name} {other[name]}, and this "
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
    table = read_table(data.path, text=text_of(data), format=format_of(data))
    return table, name, fingerprint(data.path)


def wants_squeeze(data: Any) -> bool:
    """Whether far values of inputs are drawn in: as `data.input_transform` says, where inputs are scaled."""
    return bool(data.standardize and data.input_transform == "auto")


def squeeze_notes(columns: Columns) -> list[str]:
    """Which inputs have far values that are drawn in."""
    if not columns.squeezed:
        return []
    role = "inputs" if len(columns.squeezed) > 1 else "input"
    return [
        f"{role} {listed(list(columns.squeezed))}: values far outside the rest; the logarithm of their"
        " distance counts (data.input_transform: none takes them as they are)"
    ]


def constant_notes(columns: Columns, inputs: np.ndarray, targets: np.ndarray) -> list[str]:
    """What is said of inputs `[D]` and targets `[P, ...]` that are constant (true) over the training rows."""
    notes = []
    for kind, names, mask in (
        ("input", columns.input_names, inputs),
        ("target", columns.target_names, targets),
    ):
        constant = [name for name, same in zip(names, mask, strict=False) if same]
        if constant:
            what = f"{kind} {listed(constant)}" if len(constant) == 1 else f"{kind}s {listed(constant)}"
            notes.append(f"{what}: constant over the training rows; kept, with scale 1")
    return notes

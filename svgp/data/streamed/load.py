"""From a data config to a Dataset whose rows stay on the disk."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from svgp.data.categories import find_levels
from svgp.data.choice import choose_columns, find_readings
from svgp.data.columns import Columns
from svgp.data.dataset import (
    Dataset,
    asked_of,
    constant_notes,
    require_same_columns,
    squeeze_notes,
    wants_squeeze,
)
from svgp.data.extras import EXTRAS
from svgp.data.far_values import find_squeeze
from svgp.data.names import counted, listed
from svgp.data.numeric import moments, plain_column
from svgp.data.origin import mark
from svgp.data.readings import names_of
from svgp.data.streamed.gathered import SAMPLE, Found, gather
from svgp.data.streamed.pieces import Pieces
from svgp.data.streamed.rows import Reader, Split
from svgp.data.tasks import Task
from svgp.data.transforms import fit_transform
from svgp.errors import DataError

TEST_SAMPLE = 20_000  # test rows at hand, for pictures
PROBE = 1 << 16  # rows from which types and readings are told
COPIES = 5  # of the numbers, while a table is read into memory, scaled and trained on


def should_stream(data: Any) -> bool:
    """Whether the table is left on the disk: as `data.stream` says; `auto` by its size against the memory.

    Raises DataError where a stream is asked for and the table is no Parquet.
    """
    parquet = data.path is not None and _is_parquet(data.path)
    if data.stream is True and not parquet:
        raise DataError(
            f"data.stream is true, which is for Parquet (a file or a folder), and the table is "
            f"{data.path or 'a built-in one'}; write it as Parquet, or set data.stream: auto"
        )
    if data.stream != "auto" or not parquet:
        return bool(data.stream is True)
    pieces = Pieces(data.path)
    return COPIES * 8 * pieces.count * len(pieces.schema) > memory_bytes()


def memory_bytes() -> float:
    """The machine's memory, or infinity where it cannot be told."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


def load_streamed(
    data: Any, likelihood: Any, known: Columns | None = None, plain: Collection[str] = ()
) -> Dataset:
    """The Dataset of a Parquet table that is never in memory as a whole; X and Y in it are a sample.

    Types are told from the schema and a look at some rows; levels and classes by a pass over those columns
    alone; moments, range and sample by one pass over the rest. Test rows are those that a hash of the row
    holds out (`svgp.data.held_out`), or a file of their own. A transform of the target is that of the sample.
    `known`: columns of another run; `plain`: inputs that keep far values. Raises DataError as `load_dataset`
    does.
    """
    task, extras, order = asked_of(likelihood)
    pieces = Pieces(data.path)
    columns = _columns(pieces, data, task, extras, order, known)
    fraction = data.test.fraction if data.test is not None and data.test.path is None else None
    split = None if fraction is None else Split(fraction, data.test.seed, held_out=False)
    reader = Reader(pieces, columns, data.missing != "error", split)
    train, test = gather(reader)
    if train.sums.rows < 2:
        raise DataError(f"{data.path}: {counted(train.sums.rows, 'training row')}; at least 2 are needed")
    empty = [n for n, low in zip(reader.names, train.sums.low, strict=True) if low == np.inf]
    if empty:
        raise DataError(
            f"{data.path}: {listed(empty)}: no values at all; leave such columns out of data.inputs"
        )
    if known is None:
        columns = _without_needless_gaps(columns, train, test)
        columns = _fitted(columns, train, data, plain)
    dropped = pieces.count - train.sums.rows - (test.sums.rows if test else 0)
    if split is None and data.test is not None:
        reader_test = Reader(_test_pieces(data.test.path), columns, data.missing != "error", None)
        test = gather(reader_test)[0]
    elif split is not None:
        reader_test = replace(reader, columns=columns, split=replace(split, held_out=True))
    _refuse_targets(columns, data, train, test)
    rows = train.rows(replace(reader, columns=columns))
    test_rows = None if test is None else test.rows(reader_test, limit=TEST_SAMPLE)
    X, Y = rows.sample()
    columns.kind.check_rows(str(data.path), columns.targets_of(Y), columns.classes)
    notes = [
        f"read as a stream: {counted(rows.count, 'training row')} in {counted(len(pieces), 'row group')}, "
        f"{len(X):,} of them at hand",
        *(reading.describe(name) for name, reading in columns.readings.items()),
    ]
    if dropped:
        notes.append(f"{counted(dropped, 'row')} of {pieces.count:,} dropped for missing values")
    if columns.gaps:
        notes.append(
            f"{data.path}: missing values in {listed(list(columns.gaps))}: the mean (of a category no level) "
            "stands in, and a further input says where"
        )
    same = train.sums.low == train.sums.high
    notes += squeeze_notes(columns)
    notes += constant_notes(columns, same, same[len(columns.input_names) :])
    name = data.path.name.split(".")[0] or data.path.name
    X_test, Y_test = (None, None) if test_rows is None else test_rows.sample()
    return Dataset(X, Y, X_test, Y_test, columns, name, pieces.fingerprint(), notes, rows, test_rows)


def _columns(
    pieces: Pieces, data: Any, task: Task, extras: dict[str, str], order: Any, known: Columns | None
) -> Columns:
    """Columns with all levels and classes of the table, not scaled yet; if asked all inputs may have gaps."""
    named = pa.table({field.name: pa.array([], field.type) for field in pieces.schema})
    probe = pieces.head([n for n in named.column_names if not n.startswith("__index_level_")], PROBE)
    choice = choose_columns(probe, data, extras)
    if known is not None:
        require_same_columns(known, choice, task, data, str(pieces.path))
        return known
    if not task.several and len(choice.targets) != 1:
        raise DataError(f"a {task.name} task has one target, got {listed(choice.targets)}")
    readings = find_readings(probe, choice, task, data, {})
    levels: dict[str, list[str]] = {}
    if choice.categorical:
        table = _distinct(pieces, choice.categorical)
        levels = {name: find_levels(table[name], name) for name in choice.categorical}
    classes = None
    if task.labels:
        target = choice.targets[0]
        classes = task.find_classes(_distinct(pieces, [target])[target], target, order)
    P = len(choice.targets)
    columns = Columns(
        task=task.name, inputs=choice.inputs, levels=levels, unseen=data.unseen, target_names=choice.targets,
        classes=classes, target_mean=np.zeros(P), target_scale=np.ones(P), readings=readings,
        extras=choice.extras,
    )  # fmt: skip
    if data.missing == "indicator":
        columns = replace(columns, gaps={name: columns.no_stand_in(name) for name in choice.inputs})
    size = len(columns.input_names)
    return replace(columns, input_mean=np.zeros(size), input_scale=np.ones(size))


def _distinct(pieces: Pieces, names: list[str]) -> dict[str, pa.Table]:
    """For each column a table of its distinct values: one pass over these columns alone."""
    found: dict[str, pa.Table] = {}
    for number in range(len(pieces)):
        table = pieces.read(number, names)
        for name in names:
            part = pa.table({name: plain_column(table, name).unique()})
            both = part if name not in found else pa.concat_tables([found[name], part])
            found[name] = pa.table({name: both[name].unique()})
    return {name: mark(table, str(pieces.path)) for name, table in found.items()}


def _without_needless_gaps(columns: Columns, train: Found, test: Found | None) -> Columns:
    """Without the columns that tell of missing values where none is missing; stand-ins are training means."""
    if not columns.gaps:
        return columns
    D, sides = len(columns.input_names), [side for side in (train, test) if side is not None]
    first = D - len(columns.gaps)
    missed = np.any([side.sums.high[first:D] == 1.0 for side in sides], axis=0)
    names = [name for name, missing in zip(columns.gaps, missed, strict=True) if missing]
    places = np.r_[:first, first + np.flatnonzero(missed), D : len(train.sums.mean)]
    for side in sides:
        side.keep(places)
    mean = dict(zip(columns.input_names, train.sums.mean, strict=False))
    gaps = {
        name: columns.no_stand_in(name)
        if name in columns.levels
        else [float(mean[part]) for part in names_of(columns.readings, [name])]
        for name in names
    }
    size = first + len(names)
    return replace(columns, gaps=gaps, input_mean=np.zeros(size), input_scale=np.ones(size))


def _fitted(columns: Columns, found: Found, data: Any, plain: Collection[str]) -> Columns:
    """With means and scales of the training rows; what sums do not tell of targets is told by the sample."""
    D, P, sums = len(columns.input_names), len(columns.target_names), found.sums
    roots = np.hypot(sums.mean, sums.std)[D + P :]  # root mean squares
    known = [(EXTRAS[kind].default, float(root)) for kind, root in zip(columns.extras, roots, strict=True)]
    defaults = [root if default is None else default for default, root in known]
    targets = found.sample.rows(SAMPLE)[:, D : D + P]  # [n, P]
    if data.target_transform != "none":
        least = sums.low[D : D + P, None]  # of all rows, not of the sample: the logarithm needs it positive
        named = zip(columns.target_names, least if data.target_transform == "log" else targets.T, strict=True)
        transforms = [fit_transform(data.target_transform, y, f"{data.path}: target '{n}'") for n, y in named]
        columns = replace(columns, transforms=transforms)
        targets = columns.forward(targets.copy())
    columns = replace(columns, extra_defaults=defaults)
    inputs = found.sample.rows(SAMPLE)[:, :D]
    if wants_squeeze(data):
        named = zip(columns.input_names, inputs.T, strict=True)
        numbers = {n: x[~np.isnan(x)] for n, x in named if n in columns.features and n not in plain}
        squeezes = {name: find_squeeze(x) for name, x in numbers.items() if len(x)}
        columns = columns.with_squeezes({name: of for name, of in squeezes.items() if of is not None})
    if not data.standardize:
        return columns
    one_hot = np.array([name not in columns.features for name in columns.input_names], bool)
    mean, std = sums.mean[:D].copy(), np.where(sums.std > 0, sums.std, 1.0)
    for name in columns.squeezed:  # whose sums are not those of what it becomes
        place = columns.input_names.index(name)
        mean[place], std[place] = moments(columns.squeezed[name].forward(numbers[name]))
    target_mean, target_scale = sums.mean[D : D + P], std[D : D + P]
    if columns.task != "regression" or columns.transforms:
        kinds = [columns.kind.of_target(place) for place in range(P)]
        both = zip(kinds, targets.T, strict=True)
        pairs = [kind.scaling(values[~np.isnan(values)]) for kind, values in both]
        target_mean, target_scale = np.array(pairs).T
    return replace(
        columns,
        input_mean=np.where(one_hot, 0.0, mean),
        input_scale=np.where(one_hot, 1.0, std[:D]),
        target_mean=target_mean,
        target_scale=target_scale,
    )


def _refuse_targets(columns: Columns, data: Any, train: Found, test: Found | None) -> None:
    """Raise DataError where a row to be read later has a target whose logarithm there is not."""
    D = len(columns.input_names)
    for place, transform in enumerate(columns.transforms):
        least = min(side.sums.low[D + place] for side in (train, test) if side is not None)
        if transform is not None and transform.name == "log" and least <= 0:
            raise DataError(
                f"{data.path}: test rows: target '{columns.target_names[place]}' has {least:g}, and its "
                "logarithm is learned (data.target_transform): it must be above zero"
            )


def _test_pieces(path: Path) -> Pieces:
    if not _is_parquet(path):
        raise DataError(
            f"{path}: data.test.path must be Parquet too where the table is read as a stream; write it as "
            "Parquet, or set data.stream: false"
        )
    return Pieces(path)


def _is_parquet(path: Path) -> bool:
    if path.is_dir():
        return next(path.rglob("*.parquet"), None) is not None
    return path.name.lower().endswith((".parquet", ".pq")) and path.exists()

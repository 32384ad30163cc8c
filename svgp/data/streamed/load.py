"""From a data config to a Dataset whose rows stay on the disk."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from svgp.data import dataset as tables
from svgp.data.categories import find_levels
from svgp.data.columns import Columns
from svgp.data.names import counted
from svgp.data.numeric import plain_column
from svgp.data.origin import mark
from svgp.data.readings import apply
from svgp.data.streamed.pieces import Pieces
from svgp.data.streamed.rows import ParquetRows, Reader, Split
from svgp.data.streamed.scan import Sample, Sums
from svgp.data.tasks import Task
from svgp.errors import DataError
from svgp.rows import Moments

SAMPLE = 1 << 17  # training rows at hand
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
    data: Any, task: Task, extras: dict[str, str], known: Columns | None = None
) -> tables.Dataset:
    """The Dataset of a Parquet table that is never in memory as a whole; X and Y in it are a sample.

    Types are told from the schema and a look at some rows; levels and classes by a pass over those columns
    alone; moments, range and sample by one pass over the rest. Test rows are those that a hash of the row
    holds out (`svgp.data.held_out`), or a file of their own. `known`: columns of another run.
    Raises DataError as `load_dataset` does.
    """
    if data.target_transform != "none" or data.missing == "indicator":
        key = "missing" if data.missing == "indicator" else "target_transform"
        raise DataError(
            f"{data.path}: data.{key}: {getattr(data, key)} looks at all rows at once, and this table is read"
            " as a stream; set data.stream: false, or another value"
        )
    pieces = Pieces(data.path)
    columns = _columns(pieces, data, task, extras) if known is None else known.unscaled()
    fraction = data.test.fraction if data.test is not None and data.test.path is None else None
    split = None if fraction is None else Split(fraction, data.test.seed, held_out=False)
    reader = Reader(pieces, columns, data.missing == "drop", split)
    train, test = _scan(reader)
    columns = _fitted(columns, train, data.standardize) if known is None else known
    dropped = pieces.count - train.sums.rows - (test.sums.rows if test else 0)
    if split is None and data.test is not None:
        reader_test = Reader(Pieces(data.test.path), columns, data.missing == "drop", None)
        test = _scan(reader_test)[0]
    elif split is not None:
        reader_test = replace(reader, columns=columns, split=replace(split, held_out=True))
    rows = train.rows(replace(reader, columns=columns))
    test_rows = None if test is None else test.rows(reader_test, limit=TEST_SAMPLE)
    X, Y = rows.sample()
    notes = [
        f"read as a stream: {counted(rows.count, 'training row')} in {counted(len(pieces), 'row group')}, "
        f"{len(X):,} of them at hand"
    ]
    if dropped:
        notes.append(f"{counted(dropped, 'row')} of {pieces.count:,} dropped for missing values")
    name = data.path.name.split(".")[0] or data.path.name
    X_test, Y_test = (None, None) if test_rows is None else test_rows.sample()
    return tables.Dataset(X, Y, X_test, Y_test, columns, name, pieces.fingerprint(), notes, rows, test_rows)


@dataclass
class _Found:
    """What a pass gathered of the rows on one side of the split."""

    sums: Sums
    sample: Sample
    counts: np.ndarray  # of each row group

    def rows(self, reader: Reader, limit: int = SAMPLE) -> ParquetRows:
        """As rows that `reader` reads."""
        at_hand = self.sample.rows()
        at_hand = at_hand[:: -(-len(at_hand) // limit)]
        (low, _), (high, _) = (
            reader.columns.scale(edge[None, :]) for edge in (self.sums.low, self.sums.high)
        )
        mean_x, mean_y = (part[0] for part in reader.columns.scale(self.sums.mean[None, :]))
        above = reader.columns.scale((self.sums.mean + self.sums.std)[None, :])
        moments = Moments(mean_x, above[0][0] - mean_x, mean_y, above[1][0] - mean_y)
        return ParquetRows(reader, self.counts, (low[0], high[0]), moments, reader.columns.scale(at_hand))


def _scan(reader: Reader) -> tuple[_Found, _Found | None]:
    """One pass over the table: its training rows, and its test rows where a hash tells them."""
    sizes = len(reader.names), len(reader.pieces)
    sides = [
        _Found(Sums(sizes[0]), Sample(SAMPLE), np.zeros(sizes[1], np.int64))
        for _ in range(1 if reader.split is None else 2)
    ]
    for number in range(len(reader.pieces)):
        for values in reader.raw(number):
            held = None if reader.split is None else reader.mask(values)
            for side, found in enumerate(sides):
                mine = values if held is None else values[held == bool(side)]
                found.sums.add(mine)
                found.sample.add(mine)
                found.counts[number] += len(mine)
    if sides[0].sums.rows < 2:
        raise DataError(f"{reader.pieces.path}: {counted(sides[0].sums.rows, 'training row')}; 2 are needed")
    return sides[0], sides[1] if len(sides) > 1 and sides[1].sums.rows else None


def _columns(pieces: Pieces, data: Any, task: Task, extras: dict[str, str]) -> Columns:
    """Columns with all levels and classes of the table, and not scaled yet."""
    named = pa.table({field.name: pa.array([], field.type) for field in pieces.schema})
    probe = pieces.head([n for n in named.column_names if not n.startswith("__index_level_")], PROBE)
    choice = tables.choose_columns(probe, data, extras)
    readings = tables.find_readings(probe, choice, task, data, {})
    levels: dict[str, list[str]] = {}
    if choice.categorical:
        table = _distinct(pieces, choice.categorical)
        levels = {name: find_levels(table[name], name) for name in choice.categorical}
    classes = None
    if task.labels and len(choice.targets) == 1:
        target = choice.targets[0]
        classes = task.find_classes(_distinct(pieces, [target])[target], target)
    part = apply(probe, readings, choice.names)
    columns = Columns.fit(
        part if data.missing != "drop" else part.drop_null(), task=task.name, inputs=choice.inputs,
        targets=choice.targets, categorical=choice.categorical, unseen=data.unseen, standardize=False,
        classes=classes, readings=readings, extras=choice.extras,
    )  # fmt: skip
    size = sum(len(levels[name]) if name in levels else 1 for name in columns.features)
    return replace(columns, levels=levels, input_mean=np.zeros(size), input_scale=np.ones(size))


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


def _fitted(columns: Columns, found: _Found, standardize: bool) -> Columns:
    """With means and scales of the training rows; of targets that are not standardised by the sample."""
    if not standardize:
        return columns
    D, P, sums = len(columns.input_names), len(columns.target_names), found.sums
    one_hot = np.array([name not in columns.features for name in columns.input_names], bool)
    std = np.where(sums.std > 0, sums.std, 1.0)
    target_mean, target_scale = sums.mean[D : D + P], std[D : D + P]
    if columns.task != "regression":
        targets = found.sample.rows()[:, D : D + P]
        pairs = [columns.kind.scaling(values[~np.isnan(values)]) for values in targets.T]
        target_mean, target_scale = np.array(pairs).T
    return replace(
        columns,
        input_mean=np.where(one_hot, 0.0, sums.mean[:D]),
        input_scale=np.where(one_hot, 1.0, std[:D]),
        target_mean=target_mean,
        target_scale=target_scale,
    )


def _is_parquet(path: Path) -> bool:
    if path.is_dir():
        return next(path.rglob("*.parquet"), None) is not None
    return path.name.lower().endswith((".parquet", ".pq")) and path.exists()

"""Which rows are held out: a random share, a share by hash, or a file of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from svgp.data.checks import require
from svgp.data.choice import Choice, find_readings, format_of, text_of
from svgp.data.cleaning import clean
from svgp.data.columns import Columns
from svgp.data.held_out import held_out_rows
from svgp.data.names import counted
from svgp.data.origin import source_of
from svgp.data.sources import read_table
from svgp.data.tasks import Task
from svgp.errors import DataError


def split(
    table: pa.Table, data: Any, choice: Choice, task: Task, classes: list[Any] | None, notes: list[str]
) -> tuple[pa.Table, pa.Table | None]:
    """Training and test rows of a clean table; what stands out in a test file is added to `notes`."""
    if data.test is None:
        return table, None
    if data.test.path is not None:
        test = read_table(data.test.path, text=text_of(data), format=format_of(data))
        require(test, choice.targets, "target")
        require(test, choice.inputs, "input")
        for kind, name in choice.extras.items():
            require(test, [name], kind)
        own = find_readings(test, choice, task, data, choice.readings)
        test, more = clean(test, replace(choice, readings={**choice.readings, **own}), task, data.missing)
        notes += more
        return table, test
    if data.test.split == "hash":
        held_out = _split_by_hash(table, data, choice, task, classes)
    else:
        held_out = split_rows(table.num_rows, data.test.fraction, data.test.seed)
    return table.filter(pa.array(~held_out)), table.filter(pa.array(held_out))


def _split_by_hash(
    table: pa.Table, data: Any, choice: Choice, task: Task, classes: list[Any] | None
) -> np.ndarray:
    plain = Columns.fit(
        table, task=task.name, inputs=choice.inputs, targets=choice.targets, categorical=choice.categorical,
        standardize=False, classes=classes, readings=choice.readings, extras=choice.extras, gaps=choice.gaps,
    ).unscaled()  # fmt: skip
    values = np.concatenate([plain.transform_inputs(table), plain.transform_targets(table)], axis=1)
    mask = held_out_by_hash(plain, values, data.test.fraction, data.test.seed)
    if not mask.any() or len(mask) - mask.sum() < 2:
        raise DataError(
            f"{source_of(table)}: of {counted(len(mask), 'row')} a hash holds out {int(mask.sum())}, which "
            "leaves nothing to train or to test on; add rows, or set data.test.split: random"
        )
    return mask


def held_out_by_hash(plain: Columns, values: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Mask `[n]` of rows `values` `[n, D + P + E]` in original units that a hash holds out.

    What stands in for a missing input depends on the other rows, and is no part of it.
    """
    names = [*plain.input_names, *plain.target_names, *plain.extras.values()]
    return held_out_rows(plain.with_gaps(values, 0.0), names, fraction, seed)


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

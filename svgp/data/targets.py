"""What a target column must hold for each task: regression, binary, count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from svgp.data.categories import MISSING, UNSEEN, level_codes, level_text
from svgp.data.names import counted, listed
from svgp.data.numeric import plain_column, to_float
from svgp.data.origin import row_number, source_of
from svgp.errors import DataError

TASKS = ("regression", "binary", "count")
_TEXT_ADVICE = {
    "regression": "a target of two labels needs model.likelihood: {type: bernoulli}",
    "count": "counts are the whole numbers 0, 1, 2, ...",
}


def find_classes(table: pa.Table, name: str) -> list[Any]:
    """The two labels of a binary target, sorted: `[negative, positive]`.

    Labels are numbers, truth values or text; whole numbers come back as int. Raises DataError
    unless there are exactly two.
    """
    values = plain_column(table, name).unique().drop_null()
    where = f"{source_of(table)}: target '{name}'"
    if len(values) > 1000:
        raise DataError(
            f"{where} has {counted(len(values), 'different value')}, {_NEEDS_TWO}; {_OTHER_LIKELIHOODS}"
        )
    labels = sorted({_label(value) for value in values.to_pylist() if value == value})
    if len(labels) == 1:
        raise DataError(
            f"{where} has one class only ({labels[0]!r}), {_NEEDS_TWO};"
            " add rows of the other class, or pick another target"
        )
    if len(labels) != 2:
        raise DataError(
            f"{where} has {len(labels)} classes ({listed(labels)}), {_NEEDS_TWO}; {_OTHER_LIKELIHOODS}"
        )
    return labels


_NEEDS_TWO = "a Bernoulli likelihood needs exactly two"
_OTHER_LIKELIHOODS = (
    "for numbers use model.likelihood gaussian, for counts poisson; or merge classes into two"
)


def target_values(table: pa.Table, name: str, task: str, classes: list[Any] | None) -> np.ndarray:
    """Target values `[N]` in float64, before scaling; missing ones are NaN.

    Binary: 0 for `classes[0]`, 1 for `classes[1]`. Raises DataError for text in a numeric target,
    a label that training has not seen, and counts that are negative or not whole.
    """
    if task == "binary":
        return _binary(table, name, list(classes or []))
    values = to_float(table, name, _TEXT_ADVICE[task])
    if task == "count":
        _check_counts(table, name, values)
    return values


def _binary(table: pa.Table, name: str, classes: list[Any]) -> np.ndarray:
    codes = level_codes(table, name, [level_text(label) for label in classes])
    if np.any(codes == UNSEEN):
        row = int(np.argmax(codes == UNSEEN))
        value = plain_column(table, name)[row].as_py()
        raise DataError(
            f"{source_of(table)}: target '{name}' has the label {value!r} at row {row_number(table, row)};"
            f" the training rows have {classes[0]!r} and {classes[1]!r}"
        )
    return np.where(codes == MISSING, np.nan, codes.astype(np.float64))


def _check_counts(table: pa.Table, name: str, values: np.ndarray) -> None:
    for fault, bad in (("a negative value", values < 0), ("a fraction", np.floor(values) != values)):
        bad = bad & np.isfinite(values)
        if np.any(bad):
            row = int(np.argmax(bad))
            raise DataError(
                f"{source_of(table)}: target '{name}' has {fault}, first at row {row_number(table, row)}:"
                f" {values[row]:g} ({counted(int(bad.sum()), 'row')}); a Poisson likelihood needs counts"
                " 0, 1, 2, ...: for other numbers use model.likelihood: {type: gaussian}"
            )


def _label(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, (bool, int, float, str)) else str(value)

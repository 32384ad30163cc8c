"""Targets that are labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from svgp.data.categories import MISSING, UNSEEN, level_codes, level_text
from svgp.data.names import counted, listed
from svgp.data.numeric import plain_column
from svgp.data.origin import row_number, source_of
from svgp.data.tasks.base import Task
from svgp.errors import DataError

MOST_CLASSES = 1000  # far beyond this a target is rather a number or a name


class Labels(Task):
    """A target of labels: numbers, truth values or text; whole numbers come back as int."""

    labels = True
    several = False
    needs: str  # what the likelihood needs, in words
    instead: str  # what else could be done

    def values(self, table: pa.Table, name: str, classes: Sequence[Any] | None) -> np.ndarray:
        """The place of each label in `classes`."""
        known = list(classes or [])
        codes = level_codes(table, name, [level_text(label) for label in known])
        if np.any(codes == UNSEEN):
            row = int(np.argmax(codes == UNSEEN))
            value = plain_column(table, name)[row].as_py()
            raise DataError(
                f"{source_of(table)}: target '{name}' has the label {value!r} at row"
                f" {row_number(table, row)}; the training rows have {_joined(known)}"
            )
        return np.where(codes == MISSING, np.nan, codes.astype(np.float64))

    def presence(self, table: pa.Table, name: str) -> np.ndarray:
        """NaN where there is no label."""
        return np.where(level_codes(table, name, []) == MISSING, np.nan, 0.0)

    def find_classes(self, table: pa.Table, name: str, order: Sequence[Any] | None = None) -> list[Any]:
        """The labels, sorted: numbers by value, text by the alphabet."""
        values = plain_column(table, name).unique().drop_null()
        where = f"{source_of(table)}: target '{name}'"
        if len(values) > MOST_CLASSES:
            raise DataError(
                f"{where} has {counted(len(values), 'different value')}, {self.needs}; {self.instead}"
            )
        labels = sorted({_label(value) for value in values.to_pylist() if value == value}, key=_order)
        if len(labels) == 1:
            raise DataError(
                f"{where} has one class only ({labels[0]!r}), {self.needs};"
                " add rows of the other class, or pick another target"
            )
        return labels

    def check_rows(self, where: str, Y: np.ndarray, classes: Sequence[Any] | None) -> None:
        """Each class must have a training row."""
        known = list(classes or [0, 1])
        missing = [label for code, label in enumerate(known) if not np.any(code == Y)]
        if len(known) - len(missing) == 1:
            only = known[int(Y[0, 0])]
            raise DataError(
                f"{where}: the training rows have one class only ({only!r}): the other one fell into"
                " the test rows; change data.test.seed, lower data.test.fraction, or add rows"
            )


class Binary(Labels):
    """Two labels; the second one is the positive class."""

    name = "binary"
    needs = "a Bernoulli likelihood needs exactly two"
    instead = (
        "for numbers use model.likelihood gaussian, for counts poisson, for several classes softmax; "
        "or merge classes into two"
    )

    def find_classes(self, table: pa.Table, name: str, order: Sequence[Any] | None = None) -> list[Any]:
        """`[negative, positive]`. Raises DataError unless there are exactly two."""
        labels = super().find_classes(table, name)
        if len(labels) != 2:
            raise DataError(
                f"{source_of(table)}: target '{name}' has {len(labels)} classes ({listed(labels)}), "
                f"{self.needs}; {self.instead}"
            )
        return labels

    def findings(self, name: str, values: np.ndarray, classes: Sequence[Any] | None) -> Iterator[str]:
        """The share of each class, and whether one is rare."""
        if classes is None:
            return
        negative, positive = classes
        share = float(values.mean())
        text = f"target '{name}': {share:.1%} are {positive!r}, {1 - share:.1%} {negative!r}"
        rare = min(share, 1 - share) < 0.05
        yield text + ("; with a class this rare look at test.nlpd, not at accuracy" if rare else "")


class Multiclass(Labels):
    """Any number of labels without an order."""

    name = "multiclass"
    needs = "and a classification needs from 2 to 1,000"
    instead = "for numbers use model.likelihood gaussian, for counts poisson"

    def findings(self, name: str, values: np.ndarray, classes: Sequence[Any] | None) -> Iterator[str]:
        """The largest and the smallest class."""
        if not classes:
            return
        rows = np.bincount(values.astype(int), minlength=len(classes))
        most, least = int(rows.argmax()), int(rows.argmin())
        yield (
            f"target '{name}': {len(classes)} classes, from {counted(int(rows[least]), 'row')} of "
            f"{classes[least]!r} to {rows[most]:,} of {classes[most]!r}"
        )


class Ordinal(Multiclass):
    """Labels with an order: numbers by value, text as the config lists it."""

    name = "ordinal"

    def find_classes(self, table: pa.Table, name: str, order: Sequence[Any] | None = None) -> list[Any]:
        """The labels in order. Raises DataError for text of which no order is given, or one not listed."""
        labels = super().find_classes(table, name)
        where = f"{source_of(table)}: target '{name}'"
        if order is None:
            if any(isinstance(label, str) for label in labels):
                raise DataError(
                    f"{where} has text for its levels ({listed(labels)}); say in which order they are: "
                    "model.likelihood: {type: ordinal, levels: [low, middle, high]}"
                )
            return labels
        known = {level_text(label) for label in order}
        strange = [label for label in labels if level_text(label) not in known]
        if strange:
            raise DataError(
                f"{where} has the level {strange[0]!r}, and model.likelihood.levels lists "
                f"{listed(list(order))}"
            )
        return list(order)


def _label(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2.0**63:
        return int(value)
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def _order(label: Any) -> tuple[int, float, str]:
    return (1, 0.0, label) if isinstance(label, str) else (0, float(label), "")


def _joined(labels: list[Any]) -> str:
    if len(labels) == 2:
        return f"{labels[0]!r} and {labels[1]!r}"
    return listed(labels)

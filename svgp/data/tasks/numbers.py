"""Targets that are numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from svgp.data.names import counted
from svgp.data.numeric import moments, to_float
from svgp.data.origin import row_number, source_of
from svgp.data.tasks.base import Task
from svgp.errors import DataError


class Numbers(Task):
    """A target that is read as numbers; `text_advice` ends the refusal of text."""

    text_advice: str

    def values(self, table: pa.Table, name: str, classes: Sequence[Any] | None) -> np.ndarray:
        """The numbers, checked."""
        values = to_float(table, name, self.text_advice)
        self._check(table, name, values)
        return values

    def _check(self, table: pa.Table, name: str, values: np.ndarray) -> None:
        """Raise DataError at the first value that is out of bounds."""

    def _refuse(self, table: pa.Table, name: str, values: np.ndarray, bad: np.ndarray, what: str) -> None:
        bad = bad & np.isfinite(values)
        if np.any(bad):
            row, (fault, needed) = int(np.argmax(bad)), what.split("|")
            raise DataError(
                f"{source_of(table)}: target '{name}' has {fault}, first at row {row_number(table, row)}:"
                f" {values[row]:g} ({counted(int(bad.sum()), 'row')}); {needed}"
            )


class Regression(Numbers):
    """Any number; the model's target is standardised."""

    name = "regression"
    continuous = True
    text_advice = "a target of two labels needs model.likelihood: {type: bernoulli}, of more {type: softmax}"

    def scaling(self, values: np.ndarray) -> tuple[float, float]:
        """Mean and standard deviation; 1 for a constant."""
        mean, deviation = moments(values)
        return mean, deviation if deviation > 0 else 1.0

    def findings(self, name: str, values: np.ndarray, classes: Sequence[Any] | None) -> Iterator[str]:
        """A target that is positive and spans orders of magnitude."""
        if values.min() > 0:
            low, high = (float(np.percentile(values, share)) for share in (1, 99))
            if high > 1000 * low:
                yield (
                    f"target '{name}' spans {high / low:,.0f}-fold; its logarithm may be easier to predict:"
                    " data.target_transform=log"
                )


class Positive(Numbers):
    """Numbers above zero. Divided by their geometric mean: log y is about zero then."""

    name = "positive"
    continuous = True
    text_advice = "this likelihood needs numbers above zero"

    def scaling(self, values: np.ndarray) -> tuple[float, float]:
        """0 and the geometric mean."""
        return 0.0, float(np.exp(moments(np.log(values))[0]))

    def _check(self, table: pa.Table, name: str, values: np.ndarray) -> None:
        needed = "this likelihood needs numbers above zero: for others use model.likelihood: {type: gaussian}"
        self._refuse(table, name, values, values <= 0, f"a value that is not above zero|{needed}")


class Share(Numbers):
    """Numbers from 0 to 1."""

    name = "share"
    continuous = True
    text_advice = "this likelihood needs numbers from 0 to 1"

    def _check(self, table: pa.Table, name: str, values: np.ndarray) -> None:
        needed = "shares lie from 0 to 1: divide by the whole, or use model.likelihood: {type: gaussian}"
        self._refuse(table, name, values, (values < 0) | (values > 1), f"a value outside 0 to 1|{needed}")

    def findings(self, name: str, values: np.ndarray, classes: Sequence[Any] | None) -> Iterator[str]:
        """Shares of exactly 0 and 1, which no beta density has."""
        edge = float(np.mean((values == 0) | (values == 1)))
        if edge:
            yield (
                f"target '{name}': {edge:.1%} are exactly 0 or 1; a beta density takes them for half a row's "
                "share away from there"
            )


class Count(Numbers):
    """Whole numbers from 0."""

    name = "count"
    text_advice = "counts are the whole numbers 0, 1, 2, ..."

    def _check(self, table: pa.Table, name: str, values: np.ndarray) -> None:
        needed = (
            "this likelihood needs counts 0, 1, 2, ...: "
            "for other numbers use model.likelihood: {type: gaussian}"
        )
        self._refuse(table, name, values, values < 0, f"a negative value|{needed}")
        self._refuse(table, name, values, np.floor(values) != values, f"a fraction|{needed}")

    def findings(self, name: str, values: np.ndarray, classes: Sequence[Any] | None) -> Iterator[str]:
        """How far from Poisson noise the counts are at most."""
        if values.mean() > 0:
            ratio = float(values.var() / values.mean())
            yield (
                f"target '{name}': mean {values.mean():.3g}, variance {ratio:.3g} times that,"
                f" {float((values == 0).mean()):.1%} zeros"
            )

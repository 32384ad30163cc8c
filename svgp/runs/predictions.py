"""Predictions in original units, and how they become columns of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from svgp.data import Columns
from svgp.data.frames import array_table, frame_table, is_frame

LEVELS = (0.025, 0.5, 0.975)


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of N rows, in the target's original units.

    `mean`, `std`: of a new observation, `[N]`, or `[N, P]` for P > 1 targets. `quantiles`
    `[N, Q]` (or `[N, P, Q]`) at `levels`; None for classes. `probability` `[N]` of the class
    `classes[1]` and the more probable `label` `[N]`: for two classes, else None. Of more classes
    `probabilities` `[N, K]` in the order of `classes`, and in `mean` that of the most probable one.
    """

    target_names: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    levels: tuple[float, ...]
    quantiles: np.ndarray | None = None
    probability: np.ndarray | None = None
    label: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    classes: tuple[Any, ...] = ()
    samples: np.ndarray | None = None  # [K, N] or [K, N, P]: functions drawn from the posterior

    def __len__(self) -> int:
        return len(self.mean)

    def to_columns(self) -> dict[str, pa.Array]:
        """Columns: `<target>_mean`, `_std`, `_q025` ..., or `_probability`, `_label`; `_sample_1` ..."""
        return {**self._own_columns(), **self._sample_columns()}

    def _sample_columns(self) -> dict[str, pa.Array]:
        if self.samples is None:
            return {}
        names = list(self.target_names)
        if self.classes and self.samples.ndim == 3:  # a probability for each class
            names = [f"{names[0]}_{label}" for label in self.classes]
        draws = self.samples.reshape(len(self.samples), len(self), len(names))  # [K, N, P]
        return {
            f"{name}_sample_{number + 1}": pa.array(draw[:, place])
            for place, name in enumerate(names)
            for number, draw in enumerate(draws)
        }

    def _own_columns(self) -> dict[str, pa.Array]:
        if self.probabilities is not None and self.label is not None:
            name = self.target_names[0]
            each = zip(self.classes, self.probabilities.T, strict=True)
            named = {f"{name}_probability_{label}": pa.array(values) for label, values in each}
            return {**named, f"{name}_label": pa.array(self.label.tolist())}
        if self.probability is not None and self.label is not None:
            name = self.target_names[0]
            label = pa.array(self.label.tolist())
            return {f"{name}_probability": pa.array(self.probability), f"{name}_label": label}
        assert self.quantiles is not None
        count, targets = len(self), len(self.target_names)
        mean, std = self.mean.reshape(count, targets), self.std.reshape(count, targets)
        quantiles = self.quantiles.reshape(count, targets, len(self.levels))
        named = {}
        for place, name in enumerate(self.target_names):
            named[f"{name}_mean"] = pa.array(mean[:, place])
            named[f"{name}_std"] = pa.array(std[:, place])
            for index, level in enumerate(self.levels):
                named[f"{name}_{quantile_name(level)}"] = pa.array(quantiles[:, place, index])
        return named


def as_table(X: Any, columns: Columns) -> pa.Table:
    """What a caller has, as a table with the model's input columns.

    X: a pyarrow Table, a pandas or polars DataFrame (or what else exports an Arrow stream), a mapping from
    names to columns, or an array `[N, D]` whose columns are the raw inputs in the order of `columns.inputs`
    (`[N]` where there is one; dates in days since 1970-01-01). Raises DataError.
    """
    if is_frame(X):
        return frame_table(X)
    return array_table(X, columns.inputs, columns.readings)


def quantile_name(level: float) -> str:
    """`q025` for 0.025, `q500` for a half: thousandths."""
    return "q" + f"{level * 1000:g}".zfill(3)

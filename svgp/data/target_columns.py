"""From a table's target columns to the numbers Y that a model sees, and back to original units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from svgp.data.checks import refuse_missing, require
from svgp.data.extras import EXTRAS, extra_values, refuse_more_than_trials
from svgp.data.origin import row_number, source_of
from svgp.data.raw_columns import RawColumns
from svgp.data.tasks import Task, task_named
from svgp.data.transforms import Transform
from svgp.errors import DataError


@dataclass(frozen=True, eq=False, kw_only=True)
class TargetColumns(RawColumns):
    """How raw columns become targets `Y [N, P]`, and what the likelihood reads besides behind them."""

    task: str
    target_names: list[str]
    classes: list[Any] | None = None  # labels in the order of their codes; [negative, positive] of two
    target_mean: np.ndarray = field(default_factory=lambda: np.zeros(1))  # [P]
    target_scale: np.ndarray = field(default_factory=lambda: np.ones(1))  # [P]
    extras: Mapping[str, str] = field(default_factory=dict)  # what the likelihood reads besides: its column
    extra_defaults: Sequence[float] = ()  # [E] where a table to predict for does not say
    transforms: Sequence[Transform | None] = ()  # [P] of targets before they are scaled; (): none

    @property
    def kind(self) -> Task:
        """The task as an object: what targets are legal, how they are scaled, whether they are classes."""
        return task_named(self.task)

    def transform_targets(self, table: pa.Table) -> np.ndarray:
        """Scaled targets `Y [N, P]`, after them the likelihood's extra columns `[N, P + E]`, float64.

        Of several numeric targets some may be missing (NaN). Raises DataError for missing columns or bad
        values.
        """
        Y = self._raw_targets(table)
        self._refuse_gaps(table, self.target_names, self.target_names, Y, allowed=self.may_lack_targets)
        scaled = (Y - self.target_mean) / self.target_scale
        return np.hstack([scaled, self._extras(table, Y)]) if self.extras else scaled

    @property
    def may_lack_targets(self) -> bool:
        """Whether rows may lack some of the targets."""
        return len(self.target_names) > 1 and not self.kind.labels

    def has_targets(self, table: pa.Table) -> bool:
        """Whether the table has every target column."""
        return set(self.target_names) <= set(table.column_names)

    def targets_of(self, Y: np.ndarray) -> np.ndarray:
        """The targets `[N, P]` of what `transform_targets` gave, the extra columns left out."""
        return Y[:, : len(self.target_names)]

    def extras_of(self, Y: np.ndarray) -> np.ndarray | None:
        """The extra columns `[N, E]` of what `transform_targets` gave; None where there are none."""
        return Y[:, len(self.target_names) :] if self.extras else None

    def transform_extras(self, table: pa.Table) -> np.ndarray | None:
        """The extra columns `[N, E]` for predictions, by default where they are not there; None without any.

        Trials and exposures default to 1, known noise to the root mean square of the training rows'.
        """
        if not self.extras:
            return None
        table = self.as_numbers(table)
        parts = zip(self.extras.items(), self.extra_defaults, strict=True)
        found = [
            extra_values(table, kind, name)
            if name in table.column_names
            else np.full(table.num_rows, default)
            for (kind, name), default in parts
        ]
        return self.in_model_units(np.stack(found, axis=1))

    def default_extras(self, rows: int) -> np.ndarray:
        """The extra columns `[N, E]` of rows of which nothing is told."""
        return self.in_model_units(np.tile(np.asarray(self.extra_defaults, float), (rows, 1)))

    def in_model_units(self, extras: Any) -> Any:
        """Extra columns `[N, E]`, array or tensor, scaled as the target is where they are in its units."""
        own = [EXTRAS[kind].in_target_units for kind in self.extras]
        return extras / np.where(own, self.target_scale[0], 1.0)  # [N, E]

    def unscale_mean(self, mean: np.ndarray) -> np.ndarray:
        """Values or quantiles `[..., P]` of the scaled target, in original units, without extra columns.

        Means as well, but where the target is transformed: these are integrals (`svgp.data.transforms`).
        """
        mean = np.asarray(mean)
        if self.extras and mean.shape[-1] == len(self.target_names) + len(self.extras):
            mean = mean[..., : len(self.target_names)]
        values = mean * self.target_scale + self.target_mean
        if not self.transforms:
            return values
        parts = [values[..., place] for place in range(values.shape[-1])]
        named = zip(self.transforms, parts, strict=True)
        return np.stack([part if found is None else found.inverse(part) for found, part in named], axis=-1)

    def unscale_std(self, std: np.ndarray) -> np.ndarray:
        """Standard deviations `[..., P]` of the scaled target, in original units unless it is transformed."""
        return np.asarray(std) * self.target_scale

    def log_slope(self, Y: np.ndarray) -> np.ndarray:
        """log dz/dy `[N, P]` at scaled targets z = Y `[N, P]`: what turns densities of z into those of y."""
        slope = np.broadcast_to(-np.log(self.target_scale), np.shape(Y))
        if not self.transforms:
            return slope
        y = self.unscale_mean(Y)
        named = enumerate(self.transforms)
        found = [slope[:, p] + (0.0 if of is None else of.log_slope(y[:, p])) for p, of in named]
        return np.stack(found, axis=1)

    def forward(self, Y: np.ndarray) -> np.ndarray:
        """Targets `[N, P]`, transformed in place."""
        for place, transform in enumerate(self.transforms):
            if transform is not None:
                Y[:, place] = transform.forward(Y[:, place])
        return Y

    def _extras(self, table: pa.Table, Y: np.ndarray) -> np.ndarray:
        table = self.as_numbers(table)
        values = {name: extra_values(table, kind, name) for kind, name in self.extras.items()}
        refuse_missing(table, values)
        if "trials" in self.extras:
            refuse_more_than_trials(table, self.target_names, Y, values[self.extras["trials"]])
        return self.in_model_units(np.stack(list(values.values()), axis=1))

    def _raw_targets(self, table: pa.Table) -> np.ndarray:
        """Targets `[N, P]` before scaling, transformed."""
        Y = self._untransformed(table)
        for place, transform in enumerate(self.transforms):
            if transform is None:
                continue
            if transform.name == "log" and np.any(Y[:, place] <= 0):
                first = int(np.argmax(Y[:, place] <= 0))
                raise DataError(
                    f"{source_of(table)}: target '{self.target_names[place]}' is {Y[first, place]:g} at row"
                    f" {row_number(table, first)}, and its logarithm was learned: it must be above zero"
                )
        return self.forward(Y)

    def _untransformed(self, table: pa.Table) -> np.ndarray:
        require(table, self.target_names, "target")
        table = self.as_numbers(table)
        kind, named = self.kind, enumerate(self.target_names)
        return np.stack([kind.of_target(p).values(table, name, self.classes) for p, name in named], axis=1)

    def _target_moments(self, table: pa.Table, standardize: bool) -> tuple[np.ndarray, np.ndarray]:
        size = len(self.target_names)
        mean, scale = np.zeros(size), np.ones(size)
        if standardize:
            for place, values in enumerate(self._raw_targets(table).T):
                kind = self.kind.of_target(place)
                mean[place], scale[place] = kind.scaling(values[~np.isnan(values)])
        return mean, scale

"""The preprocessor: from a table's columns to the arrays a model sees, and back to original units."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from svgp.data.categories import find_levels
from svgp.data.extras import extra_defaults, extra_values
from svgp.data.far_values import Squeeze
from svgp.data.input_columns import InputColumns
from svgp.data.origin import source_of
from svgp.data.readings import Reading, names_of, refuse_doubts
from svgp.data.survey import Survey
from svgp.data.target_columns import TargetColumns
from svgp.data.tasks import TASKS, task_named
from svgp.data.transforms import fit_transform, transform_from_dict
from svgp.errors import DataError

_ARRAYS = ("input_mean", "input_scale", "target_mean", "target_scale")


@dataclass(frozen=True, eq=False, kw_only=True)
class Columns(InputColumns, TargetColumns):
    """How a table becomes X and Y, inputs and targets together, fitted on training rows only."""

    @classmethod
    def fit(
        cls,
        table: pa.Table,
        *,
        task: str,
        inputs: Sequence[str],
        targets: Sequence[str],
        categorical: Sequence[str] = (),
        unseen: str = "zeros",
        standardize: bool = True,
        classes: list[Any] | None = None,
        readings: Mapping[str, Reading] | None = None,
        extras: Mapping[str, str] | None = None,
        gaps: Sequence[str] = (),
        transform: str = "none",
        squeeze: bool = False,
        plain: Collection[str] = (),
    ) -> Columns:
        """Levels, classes, means and standard deviations of the training rows `table`.

        A constant column, and every column if `standardize` is false, has scale 1; targets are scaled as
        their task says (`svgp.data.tasks`). Rows must be complete, but for inputs in `gaps`, and finite.
        `squeeze`: draw far values of inputs in (`svgp.data.far_values`), but of those that are `plain`.
        Raises DataError.
        """
        if not set(task.split("+")) <= set(TASKS):
            raise DataError(f"task {task!r} is unknown; expected one of {', '.join(TASKS)}")
        kind = task_named(task)
        if not kind.several and len(targets) != 1:
            raise DataError(
                f"a {task} task has one target, got {len(targets)} ({', '.join(targets)}); train one run each"
            )
        if classes is None and len(targets) == 1:
            classes = kind.find_classes(table, targets[0])
        levels = {name: find_levels(table, name) for name in inputs if name in set(categorical)}
        P = len(targets)
        columns = cls(
            task=task, inputs=list(inputs), levels=levels, unseen=unseen, target_names=list(targets),
            classes=classes, target_mean=np.zeros(P), target_scale=np.ones(P), readings=readings or {},
            extras=extras or {},
        )  # fmt: skip
        table = columns.as_numbers(table)
        stand_ins = {name: columns._means(table, name) for name in inputs if name in set(gaps)}
        columns = replace(columns, gaps=stand_ins)
        if squeeze:
            columns = columns.with_squeezes(columns._squeezes_of(table, plain))
        if transform != "none":
            named = zip(targets, columns._untransformed(table).T, strict=True)
            found = [fit_transform(transform, y, f"{source_of(table)}: target '{name}'") for name, y in named]
            columns = replace(columns, transforms=found)
        mean, scale = columns._input_moments(table, standardize)
        target_mean, target_scale = columns._target_moments(table, standardize)
        return replace(
            columns,
            input_mean=mean,
            input_scale=scale,
            target_mean=target_mean,
            target_scale=target_scale,
            extra_defaults=extra_defaults(table, extras or {}),
        )

    @property
    def raw_names(self) -> list[str]:
        """The columns that a table must have for training."""
        return list(dict.fromkeys([*self.inputs, *self.target_names, *self.extras.values()]))

    @property
    def text(self) -> list[str]:
        """Columns that a file's reader must leave as text: categories, and numbers with other marks."""
        marked = [
            name
            for name, reading in self.readings.items()
            if reading.type == "number" and (reading.spelling.thousands or reading.spelling.decimal != ".")
        ]
        return [*self.levels, *marked]

    def matched(self, tables: Iterable[pa.Table], source: str = "the table") -> Columns:
        """These columns for another table, given in pieces, that may write numbers and dates differently.

        What it leaves open (1,234; 01/02/2024) is read as in training. Raises DataError for what is in doubt.
        """
        skip = {*self.levels, *(self.target_names if self.classes is not None else [])}
        survey = Survey(prior=self.readings, skip=skip)
        names = set(self.raw_names)
        for table in tables:
            survey.add(table.select([name for name in table.column_names if name in names]))
            if not survey.has_text:
                break  # types are those of all pieces: nothing is left to find out
        return replace(self, readings={**self.readings, **refuse_doubts(survey.decide(), source)})

    def read_inputs(self, table: pa.Table) -> np.ndarray:
        """`transform_inputs` of a user's whole table, which may write numbers and dates in its own way."""
        return self.matched([table]).transform_inputs(table)

    def scale(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """X `[N, D]`, Y `[N, P + E]` of what `unscaled()` makes of a table, side by side `[N, D + P + E]`.

        NaN is an input that is missing.
        """
        D, P = len(self.input_names), len(self.target_names)
        X = self.scale_inputs(self._filled(values[:, :D].copy()))
        Y = (self.forward(values[:, D : D + P].copy()) - self.target_mean) / self.target_scale
        return X, np.hstack([Y, self.in_model_units(values[:, D + P :])]) if self.extras else Y

    def unscaled(self) -> Columns:
        """The same columns in their own units: mean 0, scale 1, targets as they are."""
        plain = {name: np.full_like(getattr(self, name), name.endswith("scale")) for name in _ARRAYS}
        return replace(self, **plain, transforms=(), squeezed={})

    def with_squeezes(self, found: Mapping[str, Squeeze]) -> Columns:
        """With far values of these columns drawn in; what stands in for a missing one is their middle."""
        gaps = dict(self.gaps)
        for name, values in self.gaps.items():
            parts = [] if name in self.levels else names_of(self.readings, [name])
            pairs = zip(parts, values, strict=False)
            gaps[name] = [found[part].centre if part in found else v for part, v in pairs] or values
        return replace(self, squeezed=found, gaps=gaps)

    def complete_rows(self, table: pa.Table, *, targets: bool = False) -> np.ndarray:
        """Mask `[N]` of the rows whose inputs (and targets, if asked) are all there, or may be missing."""
        complete = ~np.isnan(self._filled(self._raw_inputs(table))).any(axis=1)
        if targets:
            missing = np.isnan(self._raw_targets(table))  # [N, P]
            complete &= ~(missing.all(axis=1) if self.may_lack_targets else missing.any(axis=1))
            for kind, name in self.extras.items():
                complete &= ~np.isnan(extra_values(table, kind, name))
        return complete

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` gives the same preprocessor back, to the last bit."""
        return {
            "task": self.task,
            "inputs": list(self.inputs),
            "levels": {name: list(levels) for name, levels in self.levels.items()},
            "unseen": self.unseen,
            "target_names": list(self.target_names),
            "classes": self.classes,
            **{name: getattr(self, name).tolist() for name in _ARRAYS},
            "readings": {name: reading.settings() for name, reading in self.readings.items()},
            "extras": dict(self.extras),
            "extra_defaults": list(self.extra_defaults),
            "gaps": {name: list(values) for name, values in self.gaps.items()},
            "squeezed": {name: list(squeeze) for name, squeeze in self.squeezed.items()},
            "transforms": [None if found is None else found.to_dict() for found in self.transforms],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Columns:
        """The inverse of `to_dict`. Raises DataError where a field is missing or does not fit."""
        try:
            arrays = {name: np.asarray(data[name], dtype=np.float64) for name in _ARRAYS}
            columns = cls(
                task=data["task"],
                inputs=list(data["inputs"]),
                levels={name: list(levels) for name, levels in data["levels"].items()},
                unseen=data["unseen"],
                target_names=list(data["target_names"]),
                classes=data["classes"],
                **arrays,
                readings={name: Reading.from_settings(of) for name, of in data.get("readings", {}).items()},
                extras=dict(data.get("extras", {})),
                extra_defaults=list(data.get("extra_defaults", [])),
                gaps={name: list(values) for name, values in data.get("gaps", {}).items()},
                squeezed={name: Squeeze(*map(float, of)) for name, of in data.get("squeezed", {}).items()},
                transforms=[transform_from_dict(found) for found in data.get("transforms", [])],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"the stored columns are damaged: {type(error).__name__} {error}") from error
        wanted = {"input": (len(columns.input_names),), "target": (len(columns.target_names),)}
        for name, array in arrays.items():
            if array.shape != wanted[name.split("_")[0]]:
                raise DataError(f"the stored columns are damaged: {name} has shape {array.shape}")
        return columns

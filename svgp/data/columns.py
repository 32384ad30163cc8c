"""The preprocessor: from a table's columns to the arrays a model sees, and back to original units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from svgp.data.categories import MISSING, UNSEEN, find_levels, level_codes, refuse_unseen
from svgp.data.checks import LARGEST, refuse_infinite, refuse_missing, require
from svgp.data.extras import EXTRAS, extra_defaults, extra_values, refuse_more_than_trials
from svgp.data.numeric import moments, to_float
from svgp.data.origin import row_number, source_of
from svgp.data.readings import Reading, apply, names_of, refuse_doubts
from svgp.data.survey import Survey
from svgp.data.tasks import TASKS, Task
from svgp.data.transforms import Transform, fit_transform, transform_from_dict
from svgp.errors import DataError

_TEXT_ADVICE = "correct it; or train with the column under data.categorical, or out of data.inputs"


@dataclass(frozen=True, eq=False)
class Columns:
    """How raw columns become inputs `X [N, D]` and targets `Y [N, P]`, fitted on training rows only.

    A column is read as `readings` says of it, else as numbers: a date becomes days, and a column more for
    each part that was asked for. Numbers become `(x - mean) / scale`. A categorical column becomes one
    column of 0 and 1 for each level, in the place of the original, not scaled: a rare level would
    otherwise lie many units away from the rest. A level that training has not seen is all zeros, or an
    error (`unseen`). An input of `gaps` may miss values: its mean (no level) stands in for them, and a
    further column `<name> missing`, behind all others, is 1 there and 0 elsewhere.
    """

    task: str
    inputs: list[str]  # raw columns, in order
    levels: Mapping[str, list[str]]  # of the categorical ones among them
    unseen: str
    target_names: list[str]
    classes: list[Any] | None  # labels in the order of their codes; [negative, positive] of two
    input_mean: np.ndarray  # [D]
    input_scale: np.ndarray  # [D]
    target_mean: np.ndarray  # [P]
    target_scale: np.ndarray  # [P]
    readings: Mapping[str, Reading] = field(default_factory=dict)  # of raw columns
    extras: Mapping[str, str] = field(default_factory=dict)  # what the likelihood reads besides: its column
    extra_defaults: Sequence[float] = ()  # [E] where a table to predict for does not say
    gaps: Mapping[str, list[float]] = field(default_factory=dict)  # what stands in for missing inputs
    transforms: Sequence[Transform | None] = ()  # [P] of targets before they are scaled; (): none

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
    ) -> Columns:
        """Levels, classes, means and standard deviations of the training rows `table`.

        A constant column, and every column if `standardize` is false, has scale 1; targets are scaled as
        their task says (`svgp.data.tasks`). Rows must be complete, but for inputs in `gaps`, and finite.
        Raises DataError.
        """
        if task not in TASKS:
            raise DataError(f"task {task!r} is unknown; expected one of {', '.join(TASKS)}")
        if not TASKS[task].several and len(targets) != 1:
            raise DataError(
                f"a {task} task has one target, got {len(targets)} ({', '.join(targets)}); train one run each"
            )
        if classes is None and len(targets) == 1:
            classes = TASKS[task].find_classes(table, targets[0])
        levels = {name: find_levels(table, name) for name in inputs if name in set(categorical)}
        columns = cls(
            task, list(inputs), levels, unseen, list(targets), classes,
            np.zeros(0), np.ones(0), np.zeros(len(targets)), np.ones(len(targets)), readings or {},
            extras or {},
        )  # fmt: skip
        table = columns.as_numbers(table)
        stand_ins = {name: columns._means(table, name) for name in inputs if name in set(gaps)}
        columns = replace(columns, gaps=stand_ins)
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
    def kind(self) -> Task:
        """The task as an object: what targets are legal, how they are scaled, whether they are classes."""
        return TASKS[self.task]

    @property
    def categorical(self) -> list[str]:
        """The one-hot encoded columns; read as text (`read_table(path, text=...)`), '01' is not 1."""
        return list(self.levels)

    @property
    def features(self) -> list[str]:
        """The inputs, with a date's parts behind it."""
        return names_of(self.readings, self.inputs)

    @property
    def stand_ins(self) -> dict[str, float]:
        """What stands in for a missing value, for each column of numbers that may miss some."""
        found: dict[str, float] = {}
        for name, values in self.gaps.items():
            if name not in self.levels:
                found |= dict(zip(names_of(self.readings, [name]), values, strict=True))
        return found

    @property
    def text(self) -> list[str]:
        """Columns that a file's reader must leave as text: categories, and numbers with other marks."""
        marked = [
            name
            for name, reading in self.readings.items()
            if reading.type == "number" and (reading.spelling.thousands or reading.spelling.decimal != ".")
        ]
        return [*self.levels, *marked]

    def as_numbers(self, table: pa.Table) -> pa.Table:
        """The table with inputs and targets read as `readings` says. Raises DataError."""
        return apply(table, self.readings, self.raw_names)

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

    @property
    def input_names(self) -> list[str]:
        """Names of the D columns of X; level `red` of `colour` is `colour=red`."""
        names: list[str] = []
        for name in self.features:
            names += [f"{name}={level}" for level in self.levels[name]] if name in self.levels else [name]
        return [*names, *(f"{name} missing" for name in self.gaps)]

    def transform_inputs(self, table: pa.Table) -> np.ndarray:
        """Scaled inputs `X [N, D]`, float64; other columns of the table are ignored.

        Raises DataError for a missing column, text in a numeric one, missing or infinite values,
        and, with `unseen: error`, for a level that training has not seen.
        """
        X = self._filled(self._raw_inputs(table))
        self._refuse_gaps(table, self.inputs, self._owners(), X)
        X -= self.input_mean
        X /= self.input_scale
        return X

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

    def _extras(self, table: pa.Table, Y: np.ndarray) -> np.ndarray:
        table = self.as_numbers(table)
        values = {name: extra_values(table, kind, name) for kind, name in self.extras.items()}
        refuse_missing(table, values)
        if "trials" in self.extras:
            refuse_more_than_trials(table, self.target_names, Y, values[self.extras["trials"]])
        return self.in_model_units(np.stack(list(values.values()), axis=1))

    def scale(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """X `[N, D]`, Y `[N, P + E]` of what `unscaled()` makes of a table, side by side `[N, D + P + E]`.

        NaN is an input that is missing.
        """
        D, P = len(self.input_names), len(self.target_names)
        X = (self._filled(values[:, :D].copy()) - self.input_mean) / self.input_scale
        Y = (self.forward(values[:, D : D + P].copy()) - self.target_mean) / self.target_scale
        return X, np.hstack([Y, self.in_model_units(values[:, D + P :])]) if self.extras else Y

    def in_model_units(self, extras: Any) -> Any:
        """Extra columns `[N, E]`, array or tensor, scaled as the target is where they are in its units."""
        own = [EXTRAS[kind].in_target_units for kind in self.extras]
        return extras / np.where(own, self.target_scale[0], 1.0)  # [N, E]

    def unscaled(self) -> Columns:
        """The same columns in their own units: mean 0, scale 1, targets as they are."""
        plain = {name: np.full_like(getattr(self, name), name.endswith("scale")) for name in _ARRAYS}
        return replace(self, **plain, transforms=())

    def with_gaps(self, values: np.ndarray, filler: float) -> np.ndarray:
        """What `unscaled()` makes of rows, `[n, D + ...]`, with `filler` for missing numbers of inputs.

        A missing category stays without a level.
        """
        values, first = values.copy(), len(self.input_names) - len(self.gaps)
        for number, name in enumerate(self.gaps):
            missing = values[:, first + number] == 1.0
            for place in self._block(name) if name not in self.levels else []:
                values[missing, place] = filler
        return values

    def has_targets(self, table: pa.Table) -> bool:
        """Whether the table has every target column."""
        return set(self.target_names) <= set(table.column_names)

    def complete_rows(self, table: pa.Table, *, targets: bool = False) -> np.ndarray:
        """Mask `[N]` of the rows whose inputs (and targets, if asked) are all there, or may be missing."""
        complete = ~np.isnan(self._filled(self._raw_inputs(table))).any(axis=1)
        if targets:
            missing = np.isnan(self._raw_targets(table))  # [N, P]
            complete &= ~(missing.all(axis=1) if self.may_lack_targets else missing.any(axis=1))
            for kind, name in self.extras.items():
                complete &= ~np.isnan(extra_values(table, kind, name))
        return complete

    def count_unseen(self, table: pa.Table) -> dict[str, int]:
        """Rows with a level that training has not seen, for each categorical column that has any."""
        counts = {
            name: int((level_codes(table, name, self.levels[name]) == UNSEEN).sum()) for name in self.levels
        }
        return {name: count for name, count in counts.items() if count}

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
                transforms=[transform_from_dict(found) for found in data.get("transforms", [])],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"the stored columns are damaged: {type(error).__name__} {error}") from error
        wanted = {"input": (len(columns.input_names),), "target": (len(columns.target_names),)}
        for name, array in arrays.items():
            if array.shape != wanted[name.split("_")[0]]:
                raise DataError(f"the stored columns are damaged: {name} has shape {array.shape}")
        return columns

    def _raw_inputs(self, table: pa.Table) -> np.ndarray:
        require(table, self.inputs, "input")
        table = self.as_numbers(table)
        X = np.empty((table.num_rows, len(self.input_names)))  # [N, D]
        place = 0
        for name in self.features:
            if name not in self.levels:
                X[:, place] = to_float(table, name, _TEXT_ADVICE)
                place += 1
                continue
            codes = level_codes(table, name, self.levels[name])  # [N]
            if self.unseen == "error" and np.any(codes == UNSEEN):
                refuse_unseen(table, name, codes)
            block = (codes[:, None] == np.arange(len(self.levels[name]))).astype(np.float64)
            block[codes == MISSING] = np.nan
            X[:, place : place + block.shape[1]] = block
            place += block.shape[1]
        for name in self.gaps:
            X[:, place] = np.isnan(X[:, self._block(name)[0]])
            place += 1
        return X

    def _block(self, name: str) -> list[int]:
        """Where the columns of X are that an input, with its parts, becomes."""
        made = set(names_of(self.readings, [name]))
        return [place for place, owner in enumerate(self._owners()) if owner in made]

    def _filled(self, X: np.ndarray) -> np.ndarray:
        """X `[N, D]`, in place, with what stands in for missing values of the inputs that may have some."""
        for name, values in self.gaps.items():
            for place, value in zip(self._block(name), values, strict=True):
                X[np.isnan(X[:, place]), place] = value
        return X

    def no_stand_in(self, name: str) -> list[float]:
        """A zero for each column of X that an input becomes, which is none of its levels."""
        made = self.levels[name] if name in self.levels else names_of(self.readings, [name])
        return [0.0] * len(made)

    def _means(self, table: pa.Table, name: str) -> list[float]:
        """What stands in for a missing value of an input: its mean, or none of its levels."""
        if name in self.levels:
            return self.no_stand_in(name)
        made = names_of(self.readings, [name])
        return [moments(_present(to_float(table, part, _TEXT_ADVICE)))[0] for part in made]

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

    def forward(self, Y: np.ndarray) -> np.ndarray:
        """Targets `[N, P]`, transformed in place."""
        for place, transform in enumerate(self.transforms):
            if transform is not None:
                Y[:, place] = transform.forward(Y[:, place])
        return Y

    def _untransformed(self, table: pa.Table) -> np.ndarray:
        require(table, self.target_names, "target")
        table = self.as_numbers(table)
        return np.stack([self.kind.values(table, name, self.classes) for name in self.target_names], axis=1)

    def _owners(self) -> list[str]:
        """For each column of X, but those that tell of missing values, the column that it comes from."""
        return [
            name
            for name in self.features
            for _ in range(len(self.levels[name]) if name in self.levels else 1)
        ]

    def _refuse_gaps(
        self,
        table: pa.Table,
        names: Sequence[str],
        owners: list[str],
        values: np.ndarray,
        *,
        allowed: bool = False,
    ) -> None:
        if (np.abs(values) <= LARGEST).all():
            return
        by_name = {name: values[:, owners.index(name)] for name in names}
        refuse_infinite(table, by_name)
        if not allowed:
            of_inputs = "; data.missing: indicator trains for such inputs"
            refuse_missing(table, by_name, of_inputs if names == self.inputs else "")

    def _input_moments(self, table: pa.Table, standardize: bool) -> tuple[np.ndarray, np.ndarray]:
        size = len(self.input_names)
        mean, scale = np.zeros(size), np.ones(size)
        if standardize:
            for place, owner in enumerate(self._owners()):
                if owner not in self.levels:
                    mean[place], scale[place] = _standard(_present(to_float(table, owner, _TEXT_ADVICE)))
        return mean, scale

    def _target_moments(self, table: pa.Table, standardize: bool) -> tuple[np.ndarray, np.ndarray]:
        size = len(self.target_names)
        mean, scale = np.zeros(size), np.ones(size)
        if standardize:
            for place, values in enumerate(self._raw_targets(table).T):
                mean[place], scale[place] = self.kind.scaling(values[~np.isnan(values)])
        return mean, scale


_ARRAYS = ("input_mean", "input_scale", "target_mean", "target_scale")


def _present(values: np.ndarray) -> np.ndarray:
    """The values that are there; a column without any is taken for zero."""
    present = values[~np.isnan(values)]
    return present if len(present) else np.zeros(1)


def _standard(values: np.ndarray) -> tuple[float, float]:
    mean, deviation = moments(values)
    return mean, deviation if deviation > 0 else 1.0

"""From a table's input columns to the numbers X that a model sees."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from svgp.data.categories import MISSING, UNSEEN, level_codes, refuse_unseen
from svgp.data.checks import require
from svgp.data.far_values import Squeeze, find_squeeze
from svgp.data.numeric import moments, to_float
from svgp.data.raw_columns import TEXT_ADVICE, RawColumns
from svgp.data.readings import names_of


@dataclass(frozen=True, eq=False, kw_only=True)
class InputColumns(RawColumns):
    """How raw columns become inputs `X [N, D]`.

    A column is read as `readings` says of it, else as numbers: a date becomes days, and a column more for
    each part that was asked for. Numbers become `(x - mean) / scale`, after values far outside the rest were
    drawn in where `squeezed` says so (`svgp.data.far_values`). A categorical column becomes one
    column of 0 and 1 for each level, in the place of the original, not scaled: a rare level would
    otherwise lie many units away from the rest. A level that training has not seen is all zeros, or an
    error (`unseen`). An input of `gaps` may miss values: its mean (no level) stands in for them, and a
    further column `<name> missing`, behind all others, is 1 there and 0 elsewhere.
    """

    inputs: list[str]  # raw columns, in order
    levels: Mapping[str, list[str]]  # of the categorical ones among them
    unseen: str = "zeros"
    input_mean: np.ndarray = field(default_factory=lambda: np.zeros(0))  # [D]
    input_scale: np.ndarray = field(default_factory=lambda: np.ones(0))  # [D]
    gaps: Mapping[str, list[float]] = field(default_factory=dict)  # what stands in for missing inputs
    squeezed: Mapping[str, Squeeze] = field(default_factory=dict)  # of columns of X, by name

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
        remedy = "; data.missing: indicator trains for such inputs"
        self._refuse_gaps(table, self.inputs, self._owners(), X, remedy=remedy)
        return self.scale_inputs(X)

    def scale_inputs(self, raw: np.ndarray) -> np.ndarray:
        """X of inputs `[N, D]` in their own units, in place: `raw`, float64, is overwritten."""
        for place, squeeze in self._squeezes():
            raw[:, place] = squeeze.forward(raw[:, place])
        raw -= self.input_mean
        raw /= self.input_scale
        return raw

    def unscale_inputs(self, X: np.ndarray) -> np.ndarray:
        """The inverse: X `[..., D]` in the inputs' own units."""
        raw = np.asarray(X, np.float64) * self.input_scale + self.input_mean
        for place, squeeze in self._squeezes():
            raw[..., place] = squeeze.inverse(raw[..., place])
        return raw

    def input_slopes(self, X: np.ndarray) -> np.ndarray:
        """By how much X `[N, D]` changes with the inputs in their own units, `[N, D]`."""
        slopes = np.broadcast_to(1.0 / self.input_scale, X.shape).copy()
        for place, squeeze in self._squeezes():
            slopes[:, place] *= squeeze.slope(X[:, place] * self.input_scale[place] + self.input_mean[place])
        return slopes

    def count_unseen(self, table: pa.Table) -> dict[str, int]:
        """Rows with a level that training has not seen, for each categorical column that has any."""
        counts = {
            name: int((level_codes(table, name, self.levels[name]) == UNSEEN).sum()) for name in self.levels
        }
        return {name: count for name, count in counts.items() if count}

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

    def no_stand_in(self, name: str) -> list[float]:
        """A zero for each column of X that an input becomes, which is none of its levels."""
        made = self.levels[name] if name in self.levels else names_of(self.readings, [name])
        return [0.0] * len(made)

    def _squeezes(self) -> list[tuple[int, Squeeze]]:
        return [(self.input_names.index(name), squeeze) for name, squeeze in self.squeezed.items()]

    def _raw_inputs(self, table: pa.Table) -> np.ndarray:
        require(table, self.inputs, "input")
        table = self.as_numbers(table)
        X = np.empty((table.num_rows, len(self.input_names)))  # [N, D]
        place = 0
        for name in self.features:
            if name not in self.levels:
                X[:, place] = to_float(table, name, TEXT_ADVICE)
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

    def _means(self, table: pa.Table, name: str) -> list[float]:
        """What stands in for a missing value of an input: its mean, or none of its levels."""
        if name in self.levels:
            return self.no_stand_in(name)
        made = names_of(self.readings, [name])
        return [moments(_present(to_float(table, part, TEXT_ADVICE)))[0] for part in made]

    def _owners(self) -> list[str]:
        """For each column of X, but those that tell of missing values, the column that it comes from."""
        return [
            name
            for name in self.features
            for _ in range(len(self.levels[name]) if name in self.levels else 1)
        ]

    def _input_moments(self, table: pa.Table, standardize: bool) -> tuple[np.ndarray, np.ndarray]:
        size = len(self.input_names)
        mean, scale = np.zeros(size), np.ones(size)
        if standardize:
            for place, owner in enumerate(self._owners()):
                if owner not in self.levels:
                    values = _present(to_float(table, owner, TEXT_ADVICE))
                    squeeze = self.squeezed.get(owner)
                    mean[place], scale[place] = _standard(squeeze.forward(values) if squeeze else values)
        return mean, scale

    def _squeezes_of(self, table: pa.Table, leave: Collection[str]) -> dict[str, Squeeze]:
        """Of the inputs of numbers with values far outside the rest, but those to `leave` as they are."""
        found = {}
        for name in self.features:
            if name not in self.levels and name not in leave:
                found[name] = find_squeeze(_present(to_float(table, name, TEXT_ADVICE)))
        return {name: squeeze for name, squeeze in found.items() if squeeze is not None}


def _present(values: np.ndarray) -> np.ndarray:
    """The values that are there; a column without any is taken for zero."""
    present = values[~np.isnan(values)]
    return present if len(present) else np.zeros(1)


def _standard(values: np.ndarray) -> tuple[float, float]:
    mean, deviation = moments(values)
    return mean, deviation if deviation > 0 else 1.0

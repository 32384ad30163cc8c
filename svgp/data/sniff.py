"""What a table seems to hold, and what to do about it, for a first config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from svgp.data.categories import MAX_LEVELS
from svgp.data.checks import require
from svgp.data.codes import find_code
from svgp.data.kinds import Guess, Kind, guess_column, numbers_of
from svgp.data.layout import AS_FOUND, TableFormat, describe
from svgp.data.log_target import asks_for_log
from svgp.data.numeric import plain_column, to_float
from svgp.data.origin import layout_of, source_of
from svgp.data.readings import Doubt, Reading, Wish, apply
from svgp.data.recommend import Recommendation, recommend_likelihood
from svgp.data.survey import Survey
from svgp.errors import DataError

_MOST_DROPPED = 0.2  # share of rows that may be lost to missing values before these are filled in instead


@dataclass(frozen=True)
class Sniffed:
    """Columns with their kinds, the likelihood that suits the target, rows, rows with something missing."""

    columns: list[tuple[str, Kind]]
    likelihood: str
    rows: int
    missing: int  # rows
    policy: Literal["error", "drop", "indicator"] = "error"  # what to do about them
    why: Mapping[str, str] = field(default_factory=dict)  # by column: how it is read, or why it is left out
    settings: Mapping[str, dict[str, Any]] = field(default_factory=dict)  # for data.columns
    coded: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # numbers for a missing value
    decimal: str | None = None  # of all numbers in text, where they have one mark and it is a comma
    delimiter: str = ""  # of a file of text
    encoding: str = ""
    note: str = ""
    likelihood_why: str = ""
    transform: Literal["none", "log"] = "none"  # of the target

    @property
    def layout(self) -> str:
        """How the file was read, in words."""
        return describe(self.delimiter, self.encoding)


def sniff_table(
    table: pa.Table,
    targets: Sequence[str],
    *,
    wishes: Mapping[str, Wish] | None = None,
    format: TableFormat = AS_FOUND,
) -> Sniffed:
    """Guess what each column holds and which likelihood suits `targets`.

    A column is a number, a category (text with few levels), a date, or other: identifiers, text with many
    levels, constants, columns that are mostly missing. For targets see
    `svgp.data.recommend`. wishes and format: what is said beforehand of columns and
    file. Raises DataError where a target is not there or cannot be predicted, a column may be read in two
    ways, or none can be an input.
    """
    require(table, targets, "target")
    decided = Survey(wishes, format).add(table).decide()
    target_table, target_settings = _target_table(table, targets, decided)
    found = _likelihood(target_table, targets)
    guesses = [guess_column(table, name, decided) for name in table.column_names if name not in targets]
    coded = _codes(table, [guess for guess in guesses if guess.kind == "number"])
    guesses = [guess_column(table, g.name, coded) if g.name in coded else g for g in guesses]
    decided |= coded
    guesses = _with_wishes(guesses, wishes or {})
    guesses = guesses if any(guess.kind != "other" for guess in guesses) else _anything(table, guesses)
    used = [guess for guess in guesses if guess.kind != "other"]
    transform: Literal["none", "log"] = (
        "log" if _asks_for_log(table, target_table, targets, used, found) else "none"
    )
    if transform == "log":
        found = Recommendation("gaussian", f"{found.reason}; its logarithm has the plainer errors")
    absent = np.any([guess.absent for guess in used], axis=0)
    gaps = np.any([_is_missing(target_table, name) for name in targets], axis=0)
    missing = int((absent | gaps).sum())
    many = missing - int(gaps.sum()) > _MOST_DROPPED * max(1, table.num_rows - int(gaps.sum()))
    settings = {guess.name: _settings(guess) for guess in used} | target_settings
    delimiter, encoding, note = layout_of(table)
    return Sniffed(
        columns=[(guess.name, guess.kind) for guess in guesses],
        likelihood=found.likelihood,
        likelihood_why=found.reason,
        transform=transform,
        rows=table.num_rows,
        missing=missing,
        policy="error" if not missing else "indicator" if many else "drop",
        why={guess.name: guess.why for guess in guesses if guess.why},
        settings={name: found for name, found in settings.items() if found},
        coded={g.name: g.reading.missing for g in used if g.reading is not None and g.reading.missing},
        decimal=_decimal(decided),
        delimiter=delimiter,
        encoding=encoding,
        note=note,
    )


def _with_wishes(guesses: list[Guess], wishes: Mapping[str, Wish]) -> list[Guess]:
    return [
        Guess(guess.name, "category", "as data.columns says", guess.absent)
        if wishes.get(guess.name, Wish()).type == "category"
        else guess
        for guess in guesses
    ]


def _settings(guess: Guess) -> dict[str, Any]:
    """What data.columns has to say of a column: that it is a date, or bears a sign."""
    if guess.kind == "date":
        return {"type": "date"}
    if guess.reading is None:
        return {}
    found = {"unit": guess.reading.spelling.unit, "missing": [_short(x) for x in guess.reading.missing]}
    return {key: value for key, value in found.items() if value}


def _short(number: float) -> float | int:
    return int(number) if number.is_integer() else number


def _codes(table: pa.Table, guesses: list[Guess]) -> dict[str, Reading | Doubt]:
    """How the columns of numbers are read that seem to have one for a missing value, if none is named."""
    found: dict[str, Reading | Doubt] = {}
    for guess in guesses:
        reading = guess.reading or Reading()
        code = None if reading.missing else find_code(numbers_of(table, guess.name, guess.reading))
        if code is not None:
            found[guess.name] = replace(reading, missing=(code,))
    return found


def _anything(table: pa.Table, guesses: list[Guess]) -> list[Guess]:
    """Where nothing else is left, row numbers, and then text with many levels, are better than no input."""
    for start, kind in _RESCUED:
        rescued = [
            replace(guess, kind=kind, why=f"{guess.why}, taken for want of another input")
            if guess.why.startswith(start) and (kind == "number" or _few_enough(table, guess.name))
            else guess
            for guess in guesses
        ]
        if any(guess.kind != "other" for guess in rescued):
            return rescued
    told = "; ".join(f"'{guess.name}': {guess.why}" for guess in guesses[:8])
    raise DataError(f"{source_of(table)}: no column can be an input ({told or 'there is none'})")


_RESCUED: tuple[tuple[str, Kind], ...] = (("a row number", "number"), ("text", "category"))


def _few_enough(table: pa.Table, name: str) -> bool:
    return len(plain_column(table, name).unique()) <= min(MAX_LEVELS, table.num_rows // 2)


def _target_table(
    table: pa.Table, targets: Sequence[str], decided: Mapping[str, Reading | Doubt]
) -> tuple[pa.Table, dict[str, dict[str, Any]]]:
    """The table with the targets' numbers read, and what data.columns has to say of targets."""
    readings, settings = {}, {}
    for name in targets:
        found = decided.get(name)
        if isinstance(found, Doubt):
            if found.proposal is None:
                raise DataError(f"{source_of(table)}: column '{name}' {found.reason}")
            found = found.proposal
            settings[name] = {"unit": found.spelling.unit}
        if found is not None and found.type == "number":
            readings[name] = found
    return apply(table, readings, targets), settings


def _decimal(decided: Mapping[str, Reading | Doubt]) -> str | None:
    read = [found.proposal if isinstance(found, Doubt) else found for found in decided.values()]
    marks = {found.spelling.decimal for found in read if found is not None and found.type == "number"}
    return "," if marks == {","} else None


def _likelihood(table: pa.Table, targets: Sequence[str]) -> Recommendation:
    """Of one target what suits it; several have a likelihood in common, for numbers."""
    found = [recommend_likelihood(table, name) for name in targets]
    if len(found) == 1 or len({one.likelihood for one in found}) == 1 and found[0].likelihood in _SEVERAL:
        return found[0]
    for name in targets:
        if _numbers(table, name) is None:
            raise DataError(
                f"target '{name}' is not made of numbers; of several targets all must be: train one run each"
            )
    return Recommendation("gaussian", "several targets of numbers")


def _asks_for_log(
    table: pa.Table,
    target_table: pa.Table,
    targets: Sequence[str],
    used: Sequence[Guess],
    found: Recommendation,
) -> bool:
    """Whether the one target of numbers is better learnt as its logarithm, by the inputs that are `used`."""
    values = _numbers(target_table, targets[0])
    if len(targets) > 1 or found.likelihood not in _OF_NUMBERS or values is None:
        return False
    known = np.flatnonzero(np.isfinite(values))
    inputs = [numbers_of(table, guess.name, guess.reading) for guess in used if guess.kind != "category"]
    X = np.column_stack(inputs) if inputs else np.zeros((len(values), 0))
    return asks_for_log(X[known], values[known])


_OF_NUMBERS = ("gaussian", "student_t", "lognormal")
_SEVERAL = ("gaussian", "student_t", "poisson", "negative_binomial", "beta", "lognormal")


def _is_missing(table: pa.Table, name: str) -> np.ndarray:
    values = _numbers(table, name)
    if values is not None:
        return np.isnan(values)
    return plain_column(table, name).is_null().to_numpy()


def _numbers(table: pa.Table, name: str) -> np.ndarray | None:
    """Values `[N]` with NaN for missing, or None where the column does not hold numbers."""
    try:
        return to_float(table, name, "")
    except DataError:
        return None

"""How each column becomes numbers: decided once from all its values, and shown; then applied to tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from svgp.data import dates
from svgp.data.codes import without_codes
from svgp.data.numeric import is_text, plain_column
from svgp.data.origin import is_numbers, mark_numbers, row_number, source_of
from svgp.data.spelling import Spelling, trimmed
from svgp.errors import DataError


@dataclass(frozen=True)
class Reading:
    """A column of numbers, as `spelling` spells them in text, or of dates, as `style` writes them in text.

    A date becomes days since 1970-01-01 (a time of day: hours) and a column more for each of `parts`,
    named `<column>.<part>`. Numbers that are one of `missing` stand for none.
    """

    type: str = "number"  # or date
    spelling: Spelling = Spelling()
    style: str = ""
    parts: tuple[str, ...] = ()
    missing: tuple[float, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether this is what happens to a column anyway."""
        return self == Reading()

    def columns(self, name: str) -> list[str]:
        """Names of the columns of numbers that the column `name` becomes."""
        return [name, *(f"{name}.{part}" for part in self.parts)]

    def describe(self, name: str) -> str:
        """One line for a person."""
        if self.type == "number":
            none = f"{', '.join(f'{code:g}' for code in self.missing)} for a missing one"
            how = [self.spelling.describe()] if self.spelling != Spelling() or not self.missing else []
            return f"'{name}': numbers with {', and '.join([*how, none] if self.missing else how)}"
        style = (
            "" if not self.style else " written 2024-12-31" if self.style == dates.ISO else f" {self.style}"
        )
        more = f", and {', '.join(self.columns(name)[1:])}" if self.parts else ""
        return f"'{name}': dates or times{style}, as days since 1970-01-01 (a time of day as hours){more}"

    def settings(self) -> dict[str, Any]:
        """As keys of the config's `data.columns.<name>`, defaults left out."""
        if self.type == "date":
            found: dict[str, Any] = {"type": "date", "format": self.style or None, "parts": list(self.parts)}
        else:
            spelling = self.spelling
            found = {"type": "number", "decimal": spelling.decimal, "thousands": spelling.thousands}
            found |= {"unit": spelling.unit, "missing": list(self.missing)}
        return {key: value for key, value in found.items() if value}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Reading:
        """The inverse of `settings`."""
        if settings.get("type") == "date":
            return cls("date", style=settings.get("format") or "", parts=tuple(settings.get("parts") or ()))
        return cls(
            "number",
            Spelling(
                settings.get("decimal") or ".", settings.get("thousands") or "", settings.get("unit") or ""
            ),
            missing=tuple(map(float, settings.get("missing") or ())),
        )

    def apply(self, table: pa.Table, name: str) -> dict[str, pa.ChunkedArray]:
        """Float64 columns by name. Raises DataError that names the first row that does not fit."""
        column = plain_column(table, name)
        if self.type == "number":
            return {name: self._numbers(table, name, column)}
        if not dates.is_dated(column.type):
            column = self._dates(table, name, column)
        values = [dates.to_days(column), *(_part(table, name, column, part) for part in self.parts)]
        return {
            key: pa.chunked_array([pa.array(v, from_pandas=True)])
            for key, v in zip(self.columns(name), values, strict=True)
        }

    def _numbers(self, table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        if is_text(column.type) and not self.plain:
            text = trimmed(column)
            column = self.spelling.parse(text)
            what = f"is read as numbers with {self.spelling.describe()}"
            self._refuse_others(table, name, text, column, what)
        return without_codes(column, self.missing) if self.missing else column

    def _dates(self, table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        shown = self.style if self.style and self.style != dates.ISO else "such as 2024-12-31"
        if not is_text(column.type) and not (self.style and pa.types.is_integer(column.type)):
            raise DataError(
                f"{source_of(table)}: column '{name}' holds {column.type} values where dates ({shown}) are"
                f" needed; set data.columns: {{{name}: {{type: number}}}}, or leave it out"
            )
        text = trimmed(column)
        parsed = dates.parse(text, self.style or dates.ISO)
        self._refuse_others(table, name, text, parsed, f"is read as dates {shown}")
        return parsed

    def _refuse_others(
        self, table: pa.Table, name: str, text: pa.ChunkedArray, parsed: pa.ChunkedArray, what: str
    ) -> None:
        if parsed.null_count == text.null_count:
            return
        first = pc.index(pc.and_(pc.is_null(parsed), pc.is_valid(text)), True).as_py()
        raise DataError(
            f"{source_of(table)}: column '{name}' {what}; row {row_number(table, first)} has"
            f" {text[first].as_py()[:60]!r}; correct it, or train with other data.columns: {{{name}: ...}}"
        )


@dataclass(frozen=True)
class Wish:
    """What a config says of one column; None: as found."""

    type: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    unit: str | None = None
    format: str | None = None
    parts: tuple[str, ...] = ()
    missing: tuple[float, ...] = ()

    @property
    def needs_text(self) -> bool:
        """Whether a file's reader must leave the column as text."""
        return bool(self.decimal or self.thousands or self.type == "category")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Wish:
        """From the keys of `data.columns.<name>`."""
        lists = {key: tuple(settings.get(key) or ()) for key in ("parts", "missing")}
        return cls(**{**settings, **lists})


@dataclass(frozen=True)
class Doubt:
    """A column that needs a word in the config: why, and the reading that may be proposed for it."""

    reason: str
    proposal: Reading | None = None


def apply(table: pa.Table, readings: Mapping[str, Reading], names: Iterable[str]) -> pa.Table:
    """The table with the columns `names`, where they have a reading, as numbers; parts come last.

    A table that went through here passes unchanged. Raises DataError.
    """
    if is_numbers(table):
        return table
    for name in names:
        if name not in readings or name not in table.column_names:
            continue
        made = readings[name].apply(table, name)
        table = table.set_column(table.column_names.index(name), name, made.pop(name))
        for part, values in made.items():
            if part in table.column_names:
                raise DataError(f"{source_of(table)}: has a column '{part}', a name that data.columns needs")
            table = table.append_column(part, values)
    return mark_numbers(table)


def refuse_doubts(found: Mapping[str, Reading | Doubt], source: str) -> dict[str, Reading]:
    """The readings. Raises DataError for the first column in doubt."""
    for name, reading in found.items():
        if isinstance(reading, Doubt):
            raise DataError(f"{source}: column '{name}' {reading.reason}")
    return {name: reading for name, reading in found.items() if isinstance(reading, Reading)}


def without_unit_wish(reading: Reading) -> Reading:
    """The same reading of numbers without a sign."""
    return replace(reading, spelling=replace(reading.spelling, unit=""))


def _part(table: pa.Table, name: str, column: pa.ChunkedArray, part: str) -> Any:
    try:
        return dates.part(column, part)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise DataError(
            f"{source_of(table)}: column '{name}' holds {column.type} values, which have no {part};"
            f" take it out of data.columns.{name}.parts"
        ) from error


def names_of(readings: Mapping[str, Reading], names: Sequence[str]) -> list[str]:
    """The columns of numbers that the raw columns `names` become, in order."""
    return [made for name in names for made in (readings[name].columns(name) if name in readings else [name])]

"""`data.format` and `data.columns`: how files and columns are read, where that is not to be found out."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import ClassVar, Literal

from svgp.config.base import Section, Text, repeated, setting

Part = Literal["year", "month", "day", "day_of_year", "weekday", "hour", "minute"]
Decimal = Literal[".", ","]
Thousands = Literal["", ",", ".", " ", "'", "_"]
_SAME = "the decimal and the thousands mark are the same"


class FormatConfig(Section):
    """How files are read; null: found out, for each file by itself."""

    example: ClassVar[str] = '{delimiter: ";", decimal: ","}'

    delimiter: Text | None = setting(
        None, "of text files: one character, ' ' for runs of blanks; null: found out", max_length=1
    )
    encoding: Text | None = setting(
        None, "of text files, as Python names it (utf-8, utf-16, latin-1, cp1252); null: found out"
    )
    decimal: Decimal | None = setting(None, "the decimal mark of all columns; null: found out for each")
    thousands: Thousands | None = setting(None, "the mark between thousands; null: found out for each column")
    table: Text | None = setting(
        None, "a database's table or an Excel file's sheet; null: the only, the first"
    )
    query: Text | None = setting(None, "SQL to select the rows of a database; null: the whole table")

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if self.decimal is not None and self.decimal == self.thousands:
            yield "thousands", _SAME
        if self.table is not None and self.query is not None:
            yield "query", "give 'table' or 'query', not both"
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except LookupError:
                yield "encoding", f"no such encoding: '{self.encoding}'; try utf-8, utf-16, latin-1 or cp1252"


class ColumnConfig(Section):
    """How one column is read; null: as its values look."""

    example: ClassVar[str] = "{type: date, parts: [month, weekday]}"

    type: Literal["number", "date", "category"] | None = setting(
        None, "what it holds: numbers; dates or times, as days (a time of day as hours); or categories"
    )
    decimal: Decimal | None = setting(None, "its decimal mark")
    thousands: Thousands | None = setting(None, "the mark between thousands")
    unit: Literal["percent", "currency"] | None = setting(
        None, "pass over percent signs, or currency signs: 12 % is 12, not 0.12"
    )
    missing: list[float] = setting([], "numbers that stand for a missing value, such as -999")
    format: Text | None = setting(None, 'how dates are written, as "%d.%m.%Y %H:%M"')
    parts: list[Part] = setting([], "of a date: further inputs, numbers; the weekday of a Monday is 0")

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if self.decimal is not None and self.decimal == self.thousands:
            yield "thousands", _SAME
        if repeated(list(self.parts)):
            yield "parts", "a part is listed more than once"
        numeric = [
            key for key in ("decimal", "thousands", "unit", "missing") if getattr(self, key) not in (None, [])
        ]
        dated = [key for key in ("format", "parts") if getattr(self, key)]
        for key in numeric if self.type in ("date", "category") or (dated and self.type is None) else []:
            yield key, "is for type: number"
        for key in dated if self.type in ("number", "category") else []:
            yield key, "is for type: date"

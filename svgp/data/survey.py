"""Which readings fit the text of each column: kept over all pieces of a table, decided at their end."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from svgp.data import dates
from svgp.data.layout import AS_FOUND, TableFormat
from svgp.data.numeric import is_text
from svgp.data.origin import decimals_of
from svgp.data.readings import Doubt, Reading, Wish
from svgp.data.spelling import SPELLINGS, Spelling, trimmed, unit_of

_PROBE = 50  # values that most wrong readings do not survive
_MARKS = {
    ".": ".",
    ",": ",",
    " ": " ",
    "\u00a0": " ",
    "\u202f": " ",
    "\u2009": " ",
    "'": "'",
    "\u2019": "'",
    "_": "_",
}


@dataclass
class _Evidence:
    """The readings that fit all values of a column of text so far."""

    spellings: list[Spelling] = field(default_factory=lambda: list(SPELLINGS))
    styles: list[str] = field(default_factory=lambda: list(dates.FORMATS))
    marks: dict[str, str] = field(default_factory=dict)  # of numbers, each with the first value that has it
    unit: str = ""
    example: str = ""
    two_ways: str = ""  # the first value with two numbers that differ: a day and a month, in either order

    def add(self, column: pa.ChunkedArray) -> None:
        text = pa.chunked_array([pc.unique(trimmed(column)).drop_null()], pa.string())
        if not len(text) or not (self.spellings or self.styles):
            return
        self.example = self.example or text[0].as_py()
        unit = unit_of(text) if self.spellings else ""
        if unit and not self.unit:
            self.unit = unit
            self.spellings = [replace(spelling, unit=unit) for spelling in self.spellings]
        if not pc.all(pc.match_substring_regex(text, r"\d")).as_py():
            self.spellings, self.styles = [], []
        self.styles = [] if not self.styles else dates.shaped(text[0].as_py(), self.styles)
        for part in (text.slice(0, _PROBE), text.slice(_PROBE)):
            self.spellings = [spelling for spelling in self.spellings if spelling.fits(part)]
            # No text is both a number and a date.
            styles = [] if self.spellings else self.styles
            self.styles = [style for style in styles if dates.fits(part, style)]
        if self.styles and not self.two_ways:
            parts = pc.extract_regex(text, r"(?P<a>\d{1,2})\D+(?P<b>\d{1,2})")
            a, b = (pc.struct_field(parts, name).cast(pa.int64()) for name in "ab")
            place = pc.index(pc.not_equal(a, b), True).as_py()
            self.two_ways = text[place].as_py() if place >= 0 else ""
        if self.spellings:
            for mark, kind in _MARKS.items():
                if kind not in self.marks:
                    place = pc.index(pc.match_substring(text, mark), True).as_py()
                    self.marks |= {kind: text[place].as_py()} if place >= 0 else {}

    @property
    def numbers(self) -> list[Spelling]:
        """The spellings, without those whose thousands mark does not occur."""
        return [found for found in self.spellings if not found.thousands or found.thousands in self.marks]

    @property
    def decimals(self) -> set[str]:
        """The decimal mark of the file, as far as this column alone can tell."""
        found = {spelling.decimal for spelling in self.numbers}
        return found if len(found) == 1 and {".", ","} & set(self.marks) else set()

    @property
    def comma(self) -> bool:
        """Whether it may be a column of numbers with commas in them."""
        return "," in self.marks and bool(self.numbers)


class Survey:
    """Looks at the columns of text of a table, piece by piece, and says how each is to be read.

    wishes: what the config says of single columns, and format of all of them. prior: how training read
    them, which decides what the table leaves open. skip: columns that stay text.
    """

    def __init__(
        self,
        wishes: Mapping[str, Wish] | None = None,
        format: TableFormat = AS_FOUND,
        prior: Mapping[str, Reading] | None = None,
        skip: Collection[str] = (),
    ) -> None:
        self._wishes, self._format, self._prior, self._skip = wishes or {}, format, prior or {}, set(skip)
        self._found: dict[str, _Evidence] = {}
        self._dated: dict[str, bool] = {}
        self._decimals: set[str] = set()

    def add(self, table: pa.Table) -> Survey:
        """Take in the rows of a piece; columns of numbers have nothing to decide."""
        self._decimals |= decimals_of(table)
        for name, column in zip(table.column_names, table.columns, strict=True):
            if name in self._skip or pa.types.is_nested(column.type):
                continue
            column = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
            if is_text(column.type):
                self._found.setdefault(name, _Evidence()).add(column)
            else:
                self._dated[name] = dates.is_dated(column.type)
        return self

    @property
    def has_text(self) -> bool:
        """Whether there is a column of text, of which every value matters."""
        return bool(self._found)

    @property
    def has_commas(self) -> bool:
        """Whether a column may be numbers with commas: then points in other columns may mean thousands."""
        return any(found.comma for found in self._found.values())

    @property
    def decimals(self) -> set[str]:
        """The decimal marks that columns show without doubt."""
        return self._decimals | {mark for found in self._found.values() for mark in found.decimals}

    def decide(self) -> dict[str, Reading | Doubt]:
        """The columns to be read in another way than as they are, and those in doubt."""
        decimals = self.decimals
        decided: dict[str, Reading | Doubt] = {}
        for name in (*self._found, *self._dated):
            wish, prior = self._wishes.get(name, Wish()), self._prior.get(name)
            if wish.type == "category":
                continue
            if name in self._found:
                reading = self._text(name, self._found[name], wish, prior, decimals)
            else:
                reading = self._typed(name, wish, prior)
            reading = _with_codes(reading, wish, prior)
            if reading is not None and (
                isinstance(reading, Doubt) or not reading.plain or name in self._prior
            ):
                decided[name] = reading
        return decided

    def _typed(self, name: str, wish: Wish, prior: Reading | None) -> Reading | None:
        parts = wish.parts or (prior.parts if prior else ())
        if self._dated[name]:
            return None if wish.type == "number" else Reading("date", parts=parts)
        if wish.type == "date" or wish.format:  # whole numbers such as 20241231
            return Reading("date", style=wish.format or "", parts=parts)
        return prior if prior is not None and prior.type == "date" else None

    def _text(
        self, name: str, found: _Evidence, wish: Wish, prior: Reading | None, decimals: set[str]
    ) -> Reading | Doubt | None:
        if wish.type == "date" or wish.format or (wish.type is None and not found.numbers):
            return _date(name, found, wish, prior)
        decimal, thousands = wish.decimal or self._format.decimal, wish.thousands or self._format.thousands
        fitting = [
            spelling
            for spelling in found.numbers
            if decimal in (None, spelling.decimal)
            and thousands in (None, "", spelling.thousands or thousands)
        ]
        if thousands and any(spelling.thousands == thousands for spelling in fitting):
            fitting = [spelling for spelling in fitting if spelling.thousands == thousands]
        if not fitting:
            if wish.type != "number":
                return prior
            return Reading("number", Spelling(decimal or ".", thousands or "", wish.unit or ""))
        chosen = _number(name, found, fitting, decimals, prior)
        if isinstance(chosen, Doubt) or not found.unit:
            return chosen
        known = wish.unit or (prior.spelling.unit if prior is not None else "")
        if known == found.unit:
            return chosen
        return Doubt(
            f"holds {found.unit} signs ({found.example!r}); set data.columns: {{{name}: {{unit:"
            f" {found.unit}}}}} to read the numbers without them, or leave it out",
            chosen,
        )


def _with_codes(reading: Reading | Doubt | None, wish: Wish, prior: Reading | None) -> Reading | Doubt | None:
    """With the numbers that stand for a missing value, as was said, or as in training."""
    codes = wish.missing or (prior.missing if prior is not None else ())
    if not codes or isinstance(reading, Doubt) or (reading is not None and reading.type != "number"):
        return reading
    return replace(reading or Reading(), missing=codes)


def _number(
    name: str, found: _Evidence, fitting: list[Spelling], decimals: set[str], prior: Reading | None
) -> Reading | Doubt:
    """The spelling to read by, where several fit and give other values the file's others decide."""
    if len(decimals) == 1:
        fitting = [spelling for spelling in fitting if spelling.decimal in decimals] or fitting
    known = {spelling.decimal for spelling in fitting}
    if len(known) > 1 and prior is not None and prior.spelling.decimal in known:
        fitting = [spelling for spelling in fitting if spelling.decimal == prior.spelling.decimal]
        return Reading("number", fitting[0])
    if len(known) > 1 and "," in found.marks and "." not in found.marks:
        example = found.marks[","]
        with_comma, without = example.replace(",", "."), example.replace(",", "")
        return Doubt(
            f"has values such as {example!r}, which may be {with_comma} (decimal comma) or {without}"
            " (thousands comma), and no column of the file tells; set data.format.decimal: ',' or"
            f" data.format.thousands: ',', or the same under data.columns.{name}"
        )
    return Reading("number", fitting[0])


def _date(name: str, found: _Evidence, wish: Wish, prior: Reading | None) -> Reading | Doubt | None:
    parts = wish.parts or (prior.parts if prior else ())
    if wish.format:
        return Reading("date", style=wish.format, parts=parts)
    styles = found.styles
    if not styles:
        return Reading("date", parts=parts) if wish.type == "date" else prior
    if prior is not None and prior.style in styles:
        return replace(prior, parts=parts)
    first = styles[0]
    swapped = first.replace("%d", "\0").replace("%m", "%d").replace("\0", "%m")
    if swapped != first and swapped in styles and found.two_ways:
        meant = [dates.shown(found.two_ways, style) for style in (first, swapped)]
        return Doubt(
            f"has dates such as {found.two_ways!r}, which may be {meant[0]} or {meant[1]}; set data.columns:"
            f' {{{name}: {{type: date, format: "{first}"}}}}, or "{swapped}"'
        )
    return Reading("date", style=first, parts=parts)

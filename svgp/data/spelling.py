"""Numbers as people write them in text: decimal and thousands marks, percent and currency signs."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

# What stands for a missing number, beside an empty field.
MISSING_TEXT = pa.array(
    [
        "", "NA", "N/A", "NaN", "nan", "null", "NULL", "n/a", "#N/A", "None", "?", "-", "--", ".", "na",
        "n.a.", "N.A.", "NAN", "none", "missing", "#NA", "#DIV/0!", "#VALUE!", "#NULL!", "#REF!",
    ]
)  # fmt: skip
_BLANKS = "[ \u00a0\u202f\u2009]"
_CURRENCY = r"(?:[$€£¥₹₽₩]|[Ee][Uu][Rr]|[Uu][Ss][Dd]|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|AUD|CAD|BRL|kr|zł)"
_UNITS = {
    "": "", "percent": rf"{_BLANKS}*%$", "currency": rf"^{_CURRENCY}{_BLANKS}*|{_BLANKS}*{_CURRENCY}$",
}  # fmt: skip
UNITS = ("percent", "currency")


@dataclass(frozen=True)
class Spelling:
    """How a column of text spells numbers: marks, and a sign that is passed over.

    `12,5 %` with unit percent is 12.5.
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""

    def describe(self) -> str:
        """`decimal ',', thousands '.'`."""
        parts = [f"decimal {self.decimal!r}"]
        parts += [f"thousands {self.thousands!r}"] if self.thousands else []
        parts += [f"unit {self.unit}"] if self.unit else []
        return ", ".join(parts)

    def fits(self, text: pa.ChunkedArray) -> bool:
        """Whether every value (trimmed, missing ones null) is a number so spelled; words as NaN are none."""
        if self.unit:
            text = without_unit(text, self.unit)
        return bool(pc.all(pc.match_substring_regex(text, self._pattern()), min_count=0).as_py())

    def parse(self, text: pa.ChunkedArray) -> pa.ChunkedArray:
        """Float64 values; null for what does not fit or is missing."""
        if self.unit:
            text = without_unit(text, self.unit)
        fits = pc.match_substring_regex(text, self._pattern())
        text = pc.if_else(fits, text, pa.scalar(None, pa.string()))
        if self.thousands:
            text = pc.replace_substring_regex(text, _group(self.thousands), "")
        if self.decimal != ".":
            text = pc.replace_substring(text, self.decimal, ".")
        text = pc.replace_substring(pc.replace_substring(text, "\u2212", "-"), "+", "")
        return text.cast(pa.float64())

    def _pattern(self) -> str:
        mark = "\\" + self.decimal
        plain = rf"(?:\d+(?:{mark}\d*)?|{mark}\d+)(?:[eE][-+]?\d+)?"
        grouped = (
            rf"[1-9]\d{{0,2}}(?:{_group(self.thousands)}\d{{3}})+(?:{mark}\d*)?|" if self.thousands else ""
        )
        return rf"^[-+\u2212]?(?:{grouped}{plain})$".replace(r"\u2212", "\u2212")


# In the order in which readings that give equal values are preferred.
SPELLINGS = (
    Spelling(), Spelling(","), Spelling(".", ","), Spelling(",", "."), Spelling(".", " "), Spelling(",", " "),
    Spelling(".", "'"), Spelling(",", "'"), Spelling(".", "_"),
)  # fmt: skip


def trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text without blanks around it; what stands for a missing number is null."""
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.is_in(text, value_set=MISSING_TEXT), pa.scalar(None, pa.string()), text)


def without_unit(text: pa.ChunkedArray, unit: str) -> pa.ChunkedArray:
    """Trimmed text without its percent or currency signs; a sign stands before the currency's as well."""
    bare = pc.replace_substring_regex(text, _UNITS[unit], "")
    if unit == "currency":  # -$5
        bare = pc.replace_substring_regex(bare, rf"^-{_BLANKS}*{_CURRENCY}{_BLANKS}*", "-")
    return pc.utf8_trim_whitespace(bare)


def unit_of(text: pa.ChunkedArray) -> str:
    """The sign that trimmed text bears beside digits, if it does: percent, currency or none."""
    for unit in UNITS:
        alternatives = rf"\d{_BLANKS}*%$" if unit == "percent" else (
            rf"^-?{_CURRENCY}{_BLANKS}*[-+]?[.,]?\d|\d[.,]?{_BLANKS}*{_CURRENCY}$"
        )  # fmt: skip
        if pc.any(pc.match_substring_regex(text, alternatives), min_count=0).as_py():
            return unit
    return ""


def _group(mark: str) -> str:
    return _BLANKS if mark == " " else "['\u2019]" if mark == "'" else "\\" + mark if mark else ""

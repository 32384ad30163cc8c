"""Dates and times as numbers: days since 1970-01-01, hours of a day, and parts such as the month."""

from __future__ import annotations

import re
from functools import cache
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ISO = "iso"  # 2024-12-31, or 2024-12-31T12:30:00.5+01:00
PARTS = ("year", "month", "day", "day_of_year", "weekday", "hour", "minute")

_DAYS = (
    "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%Y.%m.%d", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y",
    "%d/%m/%y", "%m/%d/%y", "%d-%b-%Y", "%d %b %Y", "%d-%b-%y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y",
    "%d. %B %Y", "%Y-%m", "%m/%Y", "%Y-%m-%d",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M", "T%H:%M:%S", ", %H:%M")
FORMATS = (ISO, *(day + time for day, time in product(_DAYS, _TIMES)), "%H:%M", "%H:%M:%S", "%I:%M %p")
_SHAPES = {
    "%d": r"\d{1,2}", "%m": r"\d{1,2}", "%Y": r"\d{4}", "%y": r"\d{2}", "%H": r"\d{1,2}", "%I": r"\d{1,2}",
    "%M": r"\d{2}", "%S": r"\d{2}", "%p": r"[AaPp][Mm]", "%b": r"[A-Za-z]{3}", "%B": r"[A-Za-z]{3,9}",
    "%j": r"\d{1,3}",
}  # fmt: skip
_ISO_PATTERN = r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?$"


def parse(text: pa.ChunkedArray, style: str) -> pa.ChunkedArray:
    """Timestamps of trimmed text in this format; null for what does not fit, as the 31st of February."""
    text = pc.if_else(pc.match_substring_regex(text, _shape(style)), text, pa.scalar(None, pa.string()))
    if style == ISO:
        return _iso(text)
    stamps = pc.strptime(text, format=style, unit="s", error_is_null=True)
    if "%d" not in style:
        return stamps
    # strptime takes the 31st of February for the 2nd of March.
    day = pc.struct_field(pc.extract_regex(text, _shape(style, "day")), "day").cast(pa.int64())
    return pc.if_else(pc.equal(pc.day(stamps), day), stamps, pa.scalar(None, stamps.type))


def shaped(value: str, styles: list[str]) -> list[str]:
    """Those of the formats that look like one value: most columns need no closer look at any."""
    return [style for style in styles if re.match(_shape(style), value)]


def fits(text: pa.ChunkedArray, style: str) -> bool:
    """Whether all values (trimmed, missing ones null) are dates or times in this format."""
    try:
        return bool(parse(text, style).null_count == text.null_count)
    except pa.ArrowInvalid:
        return False


def is_dated(kind: pa.DataType) -> bool:
    """Whether an Arrow type is a date, a time or a span of time."""
    return bool(pa.types.is_temporal(kind)) and not pa.types.is_interval(kind)  # a month is no span


def to_days(column: pa.ChunkedArray) -> np.ndarray:
    """Days `[N]` since 1970-01-01 of dates and times, hours of times of day, days of spans; NaN for null."""
    kind = column.type
    if pa.types.is_time(kind):
        return _float(column.cast(pa.time64("us")).cast(pa.int64())) / 3.6e9
    if pa.types.is_duration(kind):
        return _float(column.cast(pa.duration("us"), safe=False).cast(pa.int64())) / 8.64e10
    zone = kind.tz if pa.types.is_timestamp(kind) else None
    return _float(column.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64())) / 8.64e10


def part(column: pa.ChunkedArray, name: str) -> np.ndarray:
    """A part `[N]` of dates or times, one of PARTS; the first weekday, Monday, is 0; NaN for null."""
    function = {"weekday": pc.day_of_week, "day_of_year": pc.day_of_year}.get(name) or getattr(pc, name)
    return _float(function(column))


def shown(text: str, style: str) -> str:
    """A date in words: `3 February 2024`."""
    stamp = parse(pa.chunked_array([[text]], pa.string()), style)[0].as_py()
    return f"{stamp.day} {stamp:%B %Y}"


def _float(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _iso(text: pa.ChunkedArray) -> pa.ChunkedArray:
    zoned = pc.match_substring_regex(text, r"(?:Z|[+-]\d{2}:?\d{2})$")
    zoned = pc.and_(zoned, pc.match_substring(text, ":"))
    nothing = pa.scalar(None, pa.string())
    local = pc.if_else(zoned, nothing, text).cast(pa.timestamp("us"))
    if not pc.any(zoned, min_count=0).as_py():
        return local
    # Instants with an offset are kept in UTC, those without are taken to be in it.
    instants = pc.if_else(zoned, text, nothing).cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    return pc.coalesce(instants, local)


@cache
def _shape(style: str, named: str = "") -> str:
    if style == ISO:
        return _ISO_PATTERN
    pieces = re.split(r"(%[A-Za-z])", style)
    shapes = [_SHAPES.get(piece, re.escape(piece)) for piece in pieces]
    if named:
        shapes = [
            f"(?P<{named}>{shape})" if piece == "%d" else shape
            for piece, shape in zip(pieces, shapes, strict=True)
        ]
    return f"^{''.join(shapes)}$"

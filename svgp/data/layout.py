"""How a text file is laid out: its encoding and its delimiter, as its beginning shows them."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from svgp.errors import DataError

_HEAD_BYTES = 1 << 18
_HEAD_ROWS = 200
_NULS = 0.2  # share of zero bytes from which text without a byte order mark is UTF-16
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
# In the order in which they are preferred; blanks, which text may hold anywhere, come last.
DELIMITERS = (",", ";", "\t", "|", " ")
_SEPARATOR_LINE = re.compile(r"\s*\"?sep=(.)\"?\s*\Z")  # which Excel writes and reads
_NUMBER = re.compile(r"[-+]?(\d[\d.,'\u00a0 ]*|[.,]\d+)([eE][-+]?\d+)?\s*%?\Z")


@dataclass(frozen=True)
class TableFormat:
    """What a config says of files; None: found out, for each file by itself.

    delimiter: one character, `" "` for runs of blanks. encoding: as Python names it. decimal and
    thousands: the marks within numbers. table: of a database, or the sheet of an Excel file. query: SQL.
    """

    delimiter: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    table: str | None = None
    query: str | None = None


AS_FOUND = TableFormat()


@dataclass(frozen=True)
class Layout:
    """Encoding, delimiter and header of one text file; `skip` lines stand before the header."""

    encoding: str
    delimiter: str
    header: tuple[str, ...]  # as written
    skip: int = 0
    note: str = ""


def describe(delimiter: str, encoding: str) -> str:
    """`semicolons between fields, utf-8`; empty where the file is no text."""
    return (
        f"{_DELIMITER_NAMES.get(delimiter, repr(delimiter))} between fields, {encoding}" if delimiter else ""
    )


_DELIMITER_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars (|)", " ": "blanks"}


def find_layout(path: Path, wanted: TableFormat = AS_FOUND, *, utf8: bool = True) -> Layout:
    """The layout of a text file, of which `wanted` may state parts. Raises DataError.

    utf8 false: a later part of the file is known not to be UTF-8.
    """
    head, whole = _head(path)
    encoding, note = (wanted.encoding, "") if wanted.encoding else _encoding(head, whole, utf8)
    text = _decoded(path, head, encoding, whole)
    lines = text.splitlines(keepends=True)
    skip, delimiter = 0, wanted.delimiter
    if lines and (said := _SEPARATOR_LINE.match(lines[0])):
        skip, delimiter = 1, delimiter or said[1]
    text = "".join(lines[skip:])
    delimiter = delimiter or _delimiter(text, whole, path)
    names = next(_records(text, delimiter, path), None)
    if names is None:
        raise DataError(f"{path}: the file is empty; expected a header line with column names")
    if all(_NUMBER.match(name.strip()) for name in names):
        raise DataError(
            f"{path}: the first line holds only numbers ({', '.join(names[:4])});"
            " add a header line with column names"
        )
    return Layout(encoding, delimiter, tuple(names), skip, note)


def legacy_encoding(data: bytes) -> str:
    """Of bytes that are not UTF-8: windows-1252, or Latin-1 where that has no such letter."""
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def is_compressed(path: Path) -> bool:
    """Whether the suffix says gzip."""
    return path.name.lower().endswith(".gz")


def squeezed(line: str) -> str:
    """A line of blank-separated fields with one blank between them and none around."""
    return " ".join(line.split(" ")) if "  " not in line and "\t" not in line else " ".join(line.split())


def _head(path: Path) -> tuple[bytes, bool]:
    """The file's first bytes, and whether they are all of it."""
    opener = gzip.open if is_compressed(path) else open
    with opener(path, "rb") as file:
        head: bytes = file.read(_HEAD_BYTES + 1)
    return head[:_HEAD_BYTES], len(head) <= _HEAD_BYTES


def _encoding(head: bytes, whole: bool, utf8: bool) -> tuple[str, str]:
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name, ""
    if head.count(0) > _NULS * len(head):
        return ("utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"), ""
    try:
        if utf8:
            codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
            return "utf-8", ""
    except UnicodeDecodeError:
        pass
    name = legacy_encoding(head)
    shown = "windows-1252 (Latin-1)" if name == "cp1252" else "Latin-1"
    return (
        name,
        f"read as {shown}, as it is not UTF-8: check letters with accents; or set data.format.encoding",
    )


def _decoded(path: Path, head: bytes, encoding: str, whole: bool) -> str:
    try:
        text: str = codecs.getincrementaldecoder(encoding)().decode(head, final=whole)
    except (UnicodeDecodeError, UnicodeError) as error:
        raise DataError(
            f"{path}: the text is not {encoding} ({getattr(error, 'reason', error)}); set"
            " data.format.encoding, or null to have it found"
        ) from error
    return text.removeprefix("\ufeff")


def _delimiter(text: str, whole: bool, path: Path) -> str:
    """The delimiter under which the first rows have the header's number of fields, and typed ones."""
    name = path.name.lower()
    preferred = "\t" if name.endswith((".tsv", ".tsv.gz", ".tab")) else ","
    scores = {}
    for place, delimiter in enumerate(DELIMITERS):
        scores[delimiter] = (*_score(text, delimiter, whole, path), delimiter == preferred, -place)
    good = {delimiter: score for delimiter, score in scores.items() if delimiter != " " and score[0] > 0}
    if not good or max(good.values())[0] < 0.5 <= scores[" "][0]:
        good[" "] = scores[" "]
    best = max(good, key=lambda delimiter: good[delimiter])
    return best if good[best][0] > 0 else preferred


def _score(text: str, delimiter: str, whole: bool, path: Path) -> tuple[float, float]:
    """Shares of the rows that have as many fields as the header (which has two), and of typed fields."""
    rows = []
    try:
        for record in _records(text, delimiter, path):
            rows.append(record)
            if len(rows) > _HEAD_ROWS:
                break
    except DataError:
        return 0.0, 0.0
    if len(rows) > 1 and not whole and len(rows) <= _HEAD_ROWS:
        rows.pop()  # cut off
    if not rows or len(rows[0]) < 2:
        return 0.0, 0.0
    body = [row for row in rows[1:] if len(row) == len(rows[0])]
    fields = [field.strip() for row in body for field in row]
    typed = sum(1 for field in fields if not field or _NUMBER.match(field))
    if len(rows) == 1:
        return 0.5, 0.0
    return max(round(len(body) / (len(rows) - 1), 2), 0.01), typed / max(1, len(fields))


def _records(text: str, delimiter: str, path: Path) -> Iterator[list[str]]:
    """Rows of fields, blank lines left out. Raises DataError."""
    lines: Iterator[str] = iter(io.StringIO(text, newline=""))
    if delimiter == " ":
        lines = (squeezed(line.strip()) for line in lines)
    try:
        yield from (row for row in csv.reader(lines, delimiter=delimiter) if row)
    except csv.Error as error:
        raise DataError(f"{path}: the header cannot be read: {error}") from error


def check_encoding(name: str) -> None:
    """Raise DataError where Python knows no such encoding."""
    try:
        codecs.lookup(name)
    except LookupError as error:
        raise DataError(
            f"data.format.encoding: no encoding {name!r}; there are utf-8, utf-16, latin-1, cp1252 and others"
        ) from error

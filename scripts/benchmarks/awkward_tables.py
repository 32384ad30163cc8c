"""Twelve tables as people have them; each holds one target that its columns explain, with known noise.

`y = sin(2 a) + 0.5 b + 0.1 noise`, a and b uniform in [0, 3], in whatever form the table has them: no fit can
be better than the noise, whose negative log density is -0.884 nats a row for a target in these units.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather

ROWS = 600
TOWNS = ("Köln", "Ulm", "Zürich", "Görlitz")


class Drawn:
    """The numbers behind a table."""

    def __init__(self, rows: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.rows = rows
        self.a, self.b = self.rng.uniform(0.0, 3.0, (2, rows))
        self.y = np.sin(2.0 * self.a) + 0.5 * self.b + 0.1 * self.rng.standard_normal(rows)

    def text(self, header: str, row: Callable[[int], str]) -> bytes:
        return "\n".join([header, *(row(i) for i in range(self.rows)), ""]).encode()


def _german(value: float, digits: int = 3) -> str:
    return f"{value:,.{digits}f}".translate(str.maketrans(",.", ".,"))


def semicolons(d: Drawn) -> bytes:
    return d.text("Nr;Breite;Fläche;Preis", lambda i: ";".join(
        [str(i + 7), _german(d.a[i]), _german(1000 * d.b[i], 1), _german(d.y[i], 4)]))  # fmt: skip


def dates(d: Drawn) -> bytes:
    """b is the day of the year, a the hour of the day."""
    start = np.datetime64("2024-01-01")

    def row(i: int) -> str:
        minutes = int(d.a[i] / 3.0 * 1440)
        return f"{start + int(d.b[i] / 3.0 * 365)},{minutes // 60:02d}:{minutes % 60:02d},{d.y[i]:.4f}"

    return d.text("day,at,y", row)


def wide(d: Drawn) -> bytes:
    """500 columns, of which two matter."""
    noise = d.rng.standard_normal((d.rows, 498))
    return d.text(",".join(f"x{k}" for k in range(500)) + ",y", lambda i: ",".join(
        [f"{d.a[i]:.4f}", f"{d.b[i]:.4f}", *(f"{x:.3f}" for x in noise[i]), f"{d.y[i]:.4f}"]))  # fmt: skip


def two_columns(d: Drawn) -> bytes:
    """b is lost."""
    return d.text("x,y", lambda i: f"{d.a[i]:.4f},{d.y[i]:.4f}")


def missing(d: Drawn) -> bytes:
    """30% of the inputs are not there."""
    gone = d.rng.random((d.rows, 2)) < 0.3

    def row(i: int) -> str:
        cells = ["" if gone[i, k] else f"{x[i]:.4f}" for k, x in enumerate((d.a, d.b))]
        return ",".join([*cells, f"{d.y[i]:.4f}"])

    return d.text("a,b,y", row)


def text_everywhere(d: Drawn) -> bytes:
    """a is a word, b one of six, and there is a remark in quotes over two lines."""
    sizes = ("tiny", "small", "middling", "big", "huge", "vast")

    def row(i: int) -> str:
        words = f"{sizes[int(2 * d.a[i])]},{'abcdef'[int(2 * d.b[i])]}"
        return f'{words},"said ""{i}"",\nat length",{d.y[i]:.4f}'

    return d.text("size,colour,remark,y", row)


def latin1(d: Drawn) -> bytes:
    text = d.text("Größe,Ort,b,y", lambda i: f"{d.a[i]:.4f},{TOWNS[i % 4]},{d.b[i]:.4f},{d.y[i]:.4f}")
    return text.decode().encode("latin-1")


def plain(d: Drawn) -> bytes:
    return d.text("a,b,y", lambda i: f"{d.a[i]:.4f},{d.b[i]:.4f},{d.y[i]:.4f}")


def packed(d: Drawn) -> bytes:
    return gzip.compress(plain(d), mtime=0)


def huge_integers(d: Drawn) -> bytes:
    """Beyond 2^53, where not each integer is a double."""
    return d.text("account,a,b,y", lambda i: (
        f"{2**62 + 977 * i},{int(d.a[i] * 1e17)},{int(d.b[i] * 1e15)},{d.y[i]:.4f}"))  # fmt: skip


def twice_the_header(d: Drawn) -> bytes:
    """The header comes again in the middle, where two files were put together."""
    lines = plain(d).decode().splitlines()
    middle = len(lines) // 2
    return "\n".join([*lines[:middle], lines[0], *lines[middle:], ""]).encode()


def tabs(d: Drawn) -> bytes:
    return plain(d).replace(b",", b"\t")


def arrow(d: Drawn) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table({"a": d.a.astype(np.float32), "b": d.b, "ok": d.a > 1.5, "y": d.y})
    pyarrow.feather.write_feather(table, sink)
    return bytes(sink.getvalue())


# file: what is written, and the target
TABLES: dict[str, tuple[Callable[[Drawn], bytes], str]] = {
    "semicolons.csv": (semicolons, "Preis"),
    "dates.csv": (dates, "y"),
    "wide.csv": (wide, "y"),
    "two.csv": (two_columns, "y"),
    "missing.csv": (missing, "y"),
    "text.csv": (text_everywhere, "y"),
    "latin1.csv": (latin1, "y"),
    "packed.csv.gz": (packed, "y"),
    "huge.csv": (huge_integers, "y"),
    "header.csv": (twice_the_header, "y"),
    "tabs.tsv": (tabs, "y"),
    "table.arrow": (arrow, "y"),
}


def write(folder: Path, name: str, rows: int = ROWS, seed: int = 0) -> tuple[Path, str]:
    """The file of a table, and its target."""
    make, target = TABLES[name]
    path = folder / name
    path.write_bytes(make(Drawn(rows, seed)))
    return path, target

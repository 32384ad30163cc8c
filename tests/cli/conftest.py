"""Running the command line within the test's process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from svgp.cli import main


class Ended(NamedTuple):
    """How a command ended: exit code, what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def svgp(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """`svgp("runs", folder)` runs the command and returns how it ended."""

    def call(*words: object) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        printed = capsys.readouterr()
        return Ended(int(ended.value.code or 0), printed.out, printed.err)

    return call


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A small CSV file: x, colour -> y."""
    rows = [f"{i / 10},{'red' if i % 3 else 'blue'},{(i % 7) / 3 + (i % 3)}" for i in range(60)]
    path = tmp_path / "table.csv"
    path.write_text("x,colour,y\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path

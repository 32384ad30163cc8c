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


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps on a small curve, trained once for all tests here, without pictures.

    Tests leave it as it is.
    """
    from svgp.runs import Run

    folder = tmp_path_factory.mktemp("trained")
    config = folder / "config.yaml"
    config.write_text(SMALL, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(Run, "write_plots", lambda run: [])
        main(["train", str(config), "--run-dir", str(folder / "runs/small/first")])
    assert not ended.value.code
    return folder / "runs/small/first"


SMALL = """\
name: small
data: {dataset: {name: curve, rows: 60}}
model: {inducing: {count: 6}, neighbours: {count: 0}}
train: {method: adam, batch_size: 30, max_steps: 12, learning_rate: 0.05}
"""

"""Configs written to a temporary folder, and the problems that loading them finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from svgp.config import load_config
from svgp.errors import ConfigError

Problems = Callable[..., list[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory: problems name files relative to it, as a user's would."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def problems(folder: Path) -> Problems:
    """Load `text` as c.yaml with overrides, and return the problems, which there must be."""

    def load(text: str | bytes, *overrides: str) -> list[str]:
        (folder / "c.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return problems_of("c.yaml", overrides)

    return load


def problems_of(path: str, overrides: Sequence[str] = ()) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load_config(path, overrides)
    assert str(raised.value) == "\n".join(raised.value.problems)
    return raised.value.problems

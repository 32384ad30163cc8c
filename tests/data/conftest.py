from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from svgp.config import DataConfig


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write text or bytes to a file in the test's folder."""

    def writer(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return writer


@pytest.fixture
def data_config() -> Callable[..., DataConfig]:
    """A DataConfig of these fields; no test rows unless asked for."""

    def config(path: Path | None = None, target: Any = "y", **fields: Any) -> DataConfig:
        fields = {"test": None, **fields}
        return DataConfig.model_validate(
            {"path": path, "target": [target] if isinstance(target, str) else target, **fields}
        )

    return config

"""environment.json: what a run was made with, so that it can be made again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import svgp

_PACKAGES = (
    "tensorflow", "tensorflow-probability", "tf-keras", "numpy", "scipy", "pyarrow", "pydantic",
    "safetensors",
)  # fmt: skip


def describe_environment(*, device: str, precision: str, data: dict[str, Any]) -> dict[str, Any]:
    """Versions, device, command, git commit and what identifies the data."""
    return {
        "svgp": svgp.__version__,
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "platform": platform.platform(),
        "cpu_cores": os.cpu_count(),
        "device": device,
        "precision": precision,
        "tf32": False,
        "command": sys.argv,
        "git_commit": git_commit(),
        "data": data,
    }


def git_commit() -> str | None:
    """The commit of the checkout that svgp runs from, with `-dirty` behind it; None where there is none."""
    package = Path(svgp.__file__).parent
    head = _git(package, "rev-parse", "HEAD")
    # An installed package may lie inside somebody else's repository, in an ignored .venv.
    if head is None or _git(package, "ls-files", "--error-unmatch", "errors.py") is None:
        return None
    return f"{head}-dirty" if _git(package, "status", "--porcelain", "--", ".") else head


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

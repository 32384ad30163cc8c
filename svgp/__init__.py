"""Sparse variational Gaussian processes: a library, and a trainer driven by YAML.

`import svgp` is light: each part, and TensorFlow with it, is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from svgp.runs import Run, load_run, train

__version__ = "0.1.0"

_PARTS = (
    "config", "data", "diagnostics", "errors", "inducing", "kernels", "likelihoods", "linalg",
    "means", "models", "parameters", "report", "runs", "training",
)  # fmt: skip
_FUNCTIONS = {"train": "svgp.runs", "load_run": "svgp.runs", "Run": "svgp.runs"}

__all__ = ["Run", "__version__", "load_run", "train"]


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    if name in _PARTS:
        return importlib.import_module(f"svgp.{name}")
    raise AttributeError(f"module 'svgp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_PARTS])

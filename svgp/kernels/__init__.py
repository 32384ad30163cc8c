"""Covariance functions, and their sums and products.

Every class that a config section names (`svgp.config.kernels`) is offered here by its own name.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from svgp.config.kernels import KERNELS
from svgp.kernels.base import Kernel
from svgp.kernels.builder import active_columns, from_config
from svgp.kernels.separate import Separate
from svgp.kernels.stationary import Stationary

_BUILDS = (getattr(KERNELS[word], "builds", "").rpartition(".") for word in KERNELS)
_CLASSES = {name: module for module, _, name in _BUILDS if module.startswith(f"{__name__}.")}

__all__ = ["Kernel", "Separate", "Stationary", "active_columns", "from_config", *sorted(_CLASSES)]


def __getattr__(name: str) -> Any:
    # Their modules are imported when they are first asked for.
    if name not in _CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_CLASSES[name]), name)


def __dir__() -> list[str]:
    return list(__all__)

"""Runs: train one, open one, score it, predict with it, list them all.

Importing this imports no TensorFlow; using anything but `list_runs` does.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svgp.runs.listing import list_runs

if TYPE_CHECKING:
    from svgp.runs.launch import train
    from svgp.runs.predictions import Predictions
    from svgp.runs.run import Run, load_run

_LAZY = {
    "Predictions": "svgp.runs.predictions",
    "Run": "svgp.runs.run",
    "load_run": "svgp.runs.run",
    "train": "svgp.runs.launch",
}

__all__ = [
    "Predictions",
    "Run",
    "diagnose",
    "evaluate",
    "list_runs",
    "load_run",
    "predict_file",
    "train",
    "update",
]


def evaluate(run: Run | str | Path, data: Any = None) -> dict[str, float]:
    """Metrics of a run (or of the run in a folder) in original units; see `Run.evaluate`."""
    return _opened(run).evaluate(data)


def diagnose(run: Run | str | Path) -> dict[str, Any]:
    """What a run's inducing points do and what more would bring; see `svgp.runs.diagnosis.diagnose`."""
    from svgp.runs.diagnosis import diagnose

    return diagnose(_opened(run))


def predict_file(
    run: Run | str | Path,
    data: str | Path,
    out: str | Path,
    *,
    samples: int = 0,
    seed: int = 0,
    note: Callable[[str], None] = lambda text: None,
) -> int:
    """Add predictions to a table file; see `Run.predict_file`."""
    return _opened(run).predict_file(data, out, samples=samples, seed=seed, note=note)


def update(
    run: Run | str | Path,
    data: Any,
    *,
    run_dir: str | Path | None = None,
    points: int = 0,
    refit: bool = False,
) -> Run:
    """A new run: the old one's model with new rows folded into q(u); see `svgp.runs.updating.update`."""
    from svgp.runs.updating import update

    return update(_opened(run), data, run_dir=run_dir, points=points, refit=refit)


def _opened(run: Run | str | Path) -> Run:
    from svgp.runs.run import load_run

    return load_run(run) if isinstance(run, (str, Path)) else run


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'svgp.runs' has no attribute {name!r}")

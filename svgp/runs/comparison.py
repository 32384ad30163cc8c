"""Several runs in one picture. Reads their logs only: no model, no data, no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from svgp import files
from svgp.errors import RunError
from svgp.runs.folder import RunFolder


def write_comparison(runs: Sequence[str | Path], folder: str | Path) -> list[Path]:
    """Draw the loss curves of several runs over each other into `folder`; returns the files written.

    Curves are named by run: its name and folder, as in `kin40k/2026-01-31T12-00-00Z`. Raises RunError
    where one is no run folder or has logged nothing.
    """
    from svgp.diagnostics.plots import loss_curves, save_all

    named = {}
    for path in runs:
        run = RunFolder(path)
        run.require_run()
        rows = files.read_json_lines(run.history)
        if not rows:
            raise RunError(f"{run.path}: has logged nothing yet, so there is nothing to draw")
        named[f"{run.path.parent.name}/{run.path.name}"] = rows
    return save_all({"loss_curves": loss_curves(named)}, folder)

"""A table of runs: one row for each run folder below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from svgp import files
from svgp.errors import SvgpError
from svgp.runs.folder import RunFolder

_SHOWN = (
    "epoch", "wall_s", "train.elbo", "test.rmse", "test.nlpd", "test.coverage_95", "test.accuracy",
    "test.ece",
)  # fmt: skip


def list_runs(folder: str | Path) -> list[dict[str, Any]]:
    """One row a run below `folder`, the newest last; reads no model and imports no TensorFlow.

    Keys: name, path, status (running, finished, interrupted, failed), started, steps, epoch, wall_s,
    train.elbo, and the test metrics there are. A damaged run has status `failed` and a `message`.
    """
    rows = [describe_run(RunFolder(path)) for path in _run_folders(folder)]
    return sorted(rows, key=lambda row: (row["started"] or "", row["path"]))


def describe_run(run: RunFolder) -> dict[str, Any]:
    """The row of one run; see `list_runs`."""
    row: dict[str, Any] = {
        "name": run.path.parent.name,
        "path": str(run.path),
        "status": "failed",
        "started": None,
    }
    try:
        status = run.read_status()
        row.update(
            name=status.get("name", row["name"]), status=status["status"], started=status.get("started")
        )
        if status.get("message"):
            row["message"] = status["message"]
        row.update({"steps": status.get("steps"), **_numbers(run)})
    except (SvgpError, KeyError, TypeError) as error:
        row["message"] = str(error)
    return row


def _numbers(run: RunFolder) -> dict[str, Any]:
    """From the final metrics, else from the rows logged so far."""
    if run.metrics.exists():
        final = files.read_object(run.metrics)
        return {"steps": final.get("steps"), **_chosen(final)}
    history = files.read_json_lines(run.history)
    merged = {name: value for row in history for name, value in row.items()}  # the last of each
    if not merged:
        return {}
    return {"steps": merged["step"], "train.elbo": merged["elbo"], **_chosen(merged)}


def _chosen(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: metrics[name] for name in _SHOWN if name in metrics}


def _run_folders(folder: str | Path) -> Iterator[Path]:
    for path, below, names in os.walk(folder):  # unlike rglob it passes over folders that may not be read
        if "config.yaml" in names and ("status.json" in names or "metrics.jsonl" in names):
            below.clear()  # a run holds no runs
            yield Path(path)

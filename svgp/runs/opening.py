"""A run folder made or opened again: config, environment and status in it, and where training goes on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from svgp import files
from svgp.config import Config
from svgp.data import Dataset
from svgp.errors import RunError
from svgp.linalg import paths
from svgp.replicas import replicas
from svgp.runs.environment import describe_environment
from svgp.runs.folder import RunFolder, timestamp
from svgp.runs.resume import require_same_config, require_same_data
from svgp.training import Method, Progress, checkpoints
from svgp.training.checkpoints import Checkpoint
from svgp.training.device import describe_device


def open_folder(
    folder: RunFolder,
    config: Config,
    dataset: Dataset,
    method: Method,
    progress: Progress,
    device: str,
    notes: list[str],
    resumed: bool,
) -> Checkpoint | None:
    """Make or reopen the folder, and return where to go on.

    Nothing is written before data and model are known to be good.
    """
    checkpoint = None
    if resumed:
        began = checkpoints.all_of(folder.checkpoints) or folder.model.exists() or folder.metrics.exists()
        if began or folder.environment.exists():
            require_same_data(folder, dataset.sha256)
        checkpoint = checkpoints.load_newest(
            folder.checkpoints, progress.note, lambda found: {"loop", "rows"} <= set(found.values)
        )
        if checkpoint is None and began and config.train.restarts == 1:
            raise RunError(f"{folder.checkpoints}: holds no readable checkpoint; start a new run instead")
        require_same_config(folder, config, checkpoint.values.get("config") if checkpoint else None)
    else:
        folder.require_free()  # once more, now that nobody else can write it
    files.write_text(folder.config, config.to_yaml())
    data = {"name": dataset.name, "sha256": dataset.sha256, "rows": dataset.rows.count}
    environment = describe_environment(
        device=describe_device(device, replicas().count), precision=config.train.precision, data=data
    )
    environment["notes"] = notes
    environment["paths"] = asdict(paths.current())
    if resumed and checkpoint is not None:
        environment["resumed"] = _resumptions(folder, int(checkpoint.arrays["step"]))
    else:
        files.write_json(folder.inducing_start, np.asarray(method.model.Z))
    files.write_json(folder.environment, environment)
    folder.write_status("running", name=config.name, message=None, stopped=None)
    return checkpoint


def _resumptions(folder: RunFolder, step: int) -> list[dict[str, Any]]:
    before = files.read_object(folder.environment).get("resumed", [])
    return [*before, {"time": timestamp(), "step": step}]

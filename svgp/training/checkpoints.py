"""Checkpoints: everything a run needs to go on, as safetensors and JSON."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from svgp import files
from svgp.errors import RunError

KEPT = 2  # the newest, and the one before it in case the newest is damaged
_FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """Arrays (the method's state) and plain values (the loop's state, counters of rows)."""

    arrays: dict[str, np.ndarray]
    values: dict[str, Any]


def save(folder: str | Path, step: int, checkpoint: Checkpoint) -> Path:
    """Write `folder/step_000000123/` atomically and drop all but the newest two. Raises RunError."""
    folder = Path(folder)
    path = folder / f"step_{step:09d}"
    data = safetensors.numpy.save({name: np.array(a, order="C") for name, a in checkpoint.arrays.items()})
    header = {"format": _FORMAT, "step": step, "sha256": hashlib.sha256(data).hexdigest()}
    with files.new_directory(path) as new:
        files.write_bytes(new / "state.safetensors", data)
        files.write_json(new / "state.json", {**header, "values": checkpoint.values})
    for old in all_of(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def load(path: str | Path) -> Checkpoint:
    """Read one checkpoint. Raises RunError where a file is missing or damaged."""
    path = Path(path)
    header = files.read_object(path / "state.json")
    tensors = path / "state.safetensors"
    try:
        data = tensors.read_bytes()
        if hashlib.sha256(data).hexdigest() != header["sha256"]:
            raise RunError(f"{tensors}: its SHA-256 is not the one noted; the file is damaged")
        return Checkpoint(safetensors.numpy.load(data), header["values"])
    except (OSError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise RunError(f"{tensors}: cannot be read ({error}); the checkpoint is damaged") from error


def load_newest(
    folder: str | Path,
    warn: Callable[[str], None],
    usable: Callable[[Checkpoint], bool] = lambda checkpoint: True,
) -> Checkpoint | None:
    """The newest checkpoint that reads well and is `usable`, or None; tells `warn` of each damaged one."""
    for path in reversed(all_of(folder)):
        try:
            checkpoint = load(path)
        except RunError as error:
            warn(f"{error}; going back to the checkpoint before it")
            continue
        if usable(checkpoint):
            return checkpoint
    return None


def all_of(folder: str | Path) -> list[Path]:
    """Paths of the checkpoints in `folder`, the oldest first."""
    return sorted(Path(folder).glob("step_*"))

"""The run folder: what lies where, who may write it, and how the run stands."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from svgp import files
from svgp.errors import RunError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

STATUSES = ("running", "finished", "interrupted", "failed")


class RunFolder:
    """Names of the files of one run.

    config.yaml, environment.json, status.json, metrics.jsonl, inducing.jsonl, inducing_start.json,
    metrics.json, checkpoints/, model/ (with the columns), plots/, report.html, tensorboard/, diagnose.json,
    restarts.json, inducing_choice.json.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self.config = self.path / "config.yaml"
        self.environment = self.path / "environment.json"
        self.status = self.path / "status.json"
        self.metrics = self.path / "metrics.json"
        self.history = self.path / "metrics.jsonl"
        self.inducing_history = self.path / "inducing.jsonl"
        self.inducing_start = self.path / "inducing_start.json"  # Z before training, scaled
        self.inducing_choice = self.path / "inducing_choice.json"  # of count: auto, what was weighed
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model"
        self.plots = self.path / "plots"
        self.report = self.path / "report.html"
        self.restarts = self.path / "restarts.json"  # with train.restarts: how far each start came
        self.diagnosis = self.path / "diagnose.json"  # where svgp diagnose was asked
        self.tensorboard = self.path / "tensorboard"

    def require_free(self) -> None:
        """Raise RunError where something is in the way, or the folder could not be made; changes nothing."""
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise RunError(
                f"{self.path}: already exists and is not empty; choose another --run-dir, or continue that "
                f"run with --resume {self.path}"
            )
        nearest = next(parent for parent in (self.path, *self.path.parents) if parent.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            raise RunError(
                f"{self.path}: cannot be made, since {nearest} is not a folder that may be written to"
            )

    def create(self) -> None:
        """Make the folder, empty. Raises RunError."""
        self.require_free()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise files.cannot_write(self.path, error) from error

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Nobody else writes this folder within the block. Raises RunError where another process does.

        By a lock on the folder, which ends with the process; where the file system has none, by nothing.
        """
        descriptor = None
        try:
            if fcntl is not None:
                descriptor = os.open(self.path, os.O_RDONLY)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor or 0)
            raise RunError(f"{self.path}: another process is training into this folder") from error
        except OSError:
            pass
        try:
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def tidy(self) -> None:
        """Take up what a process that was killed while it wrote has left; for who has claimed the folder."""
        own = {path.name for path in vars(self).values()}
        files.take_up(self.path, lambda name: name in own)
        files.take_up(self.checkpoints, lambda name: name.startswith("step_"))

    def require_run(self) -> None:
        """Raise RunError where this is no run folder."""
        if not self.path.is_dir():
            raise RunError(f"{self.path}: no such run folder; svgp runs lists those there are")
        if not self.config.exists():
            raise RunError(f"{self.path}: holds no config.yaml, so it is no run folder of svgp")

    def write_status(self, status: str, **more: Any) -> None:
        """Note how the run stands: one of STATUSES, with the time, the process and what else is given."""
        known = self.read_status() if self.status.exists() else {}
        now = timestamp()
        here = {"status": status, "updated": now, "pid": os.getpid(), "host": socket.gethostname()}
        files.write_json(self.status, {"started": now, **known, **here, **more})

    def read_status(self) -> dict[str, Any]:
        """status.json. A run that says it is running though its process is gone counts as interrupted.

        Raises RunError where it is damaged.
        """
        if not self.status.exists():
            return {"status": "interrupted"}
        try:
            status = files.read_object(self.status)
        except RunError as error:
            raise RunError(f"{error}: delete it, and the run counts as interrupted") from error
        if status.setdefault("status", "interrupted") == "running" and not _alive(status):
            status["status"] = "interrupted"
        return status


def is_own(status: dict[str, Any]) -> bool:
    """Whether this very process wrote the status."""
    return status.get("host") == socket.gethostname() and status.get("pid") == os.getpid()


def default_path(folder: Path, name: str) -> Path:
    """`folder/name/<UTC timestamp>`, with a number behind it where two runs begin in one second."""
    first = folder / name / datetime.now(timezone.utc).strftime("%Y-%m-%dT%H-%M-%SZ")
    numbered = (first.with_name(f"{first.name}-{number}") for number in range(2, 1000))
    return next(path for path in (first, *numbered) if not path.exists())


def timestamp() -> str:
    """Now, in UTC, to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _alive(status: dict[str, Any]) -> bool:
    if status.get("host") != socket.gethostname():
        return True  # another machine's processes cannot be seen from here
    try:
        os.kill(int(status["pid"]), 0)
    except (ProcessLookupError, KeyError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass
    return True

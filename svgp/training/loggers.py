"""Where rows go: JSON lines, a person, and TensorBoard if asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TextIO

from svgp import files
from svgp.errors import RunError
from svgp.training.loop import LoopState, Stop
from svgp.training.methods.base import Method
from svgp.training.progress import Progress


class Sink(Protocol):
    """Takes the rows of a run, one after the other."""

    def write(self, row: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


class JsonLines:
    """A file of JSON rows that is cut back to `keep` rows when opened, and then grows.

    Cutting drops the rows logged after a checkpoint, which a resumed run logs again. `rows` counts
    what the file holds: fewer where rows were lost (a log is not synced as checkpoints are), and none where
    it is damaged; it is kept beside the new one then. `warn` is told. `last` is the last row that was kept.
    Raises RunError where it cannot be written.
    """

    def __init__(
        self, path: str | Path, keep: int = 0, warn: Callable[[str], None] = lambda text: None
    ) -> None:
        self.path = Path(path)
        try:
            kept = self._kept(keep, warn)
            self.rows, self.last = len(kept), kept[-1] if kept else {}
            self._file: TextIO = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise files.cannot_write(self.path, error) from error

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row and flush it. Raises RunError where the disk is full."""
        try:
            files.append_json_line(self._file, row)
        except OSError as error:
            raise files.cannot_write(self.path, error) from error
        self.rows += 1

    def close(self) -> None:
        with suppress(OSError):  # rows are flushed as they come: what is left failed, and was told of
            self._file.close()

    def _kept(self, keep: int, warn: Callable[[str], None]) -> list[dict[str, Any]]:
        """Cut the file back to its first rows, as many of `keep` as there are; returns these."""
        if not self.path.exists():
            rows: list[dict[str, Any]] = []
        else:
            try:
                rows = files.read_json_lines(self.path)
            except RunError as error:
                aside = self.path.with_name(self.path.name + ".damaged")
                self.path.replace(aside)
                warn(f"{error}; it is {aside.name} now, and a new log begins")
                return []
        kept = rows[:keep]
        if len(kept) < keep:
            warn(f"{self.path}: holds {len(kept)} rows where the checkpoint says {keep}: the rest is lost")
        if self.path.exists():
            text = "".join(json.dumps(row) + "\n" for row in kept)
            if self.path.read_bytes() != text.encode():
                files.write_text(self.path, text)
        return kept


class Shown:
    """A person: rows with the speed of this session, and the time until the first limit that is foreseen."""

    def __init__(self, progress: Progress, method: Method, stop: Stop, state: LoopState) -> None:
        self._progress, self._stop, self._per_epoch = progress, stop, method.steps_per_epoch
        self._start = (method.step, state.wall_s)

    def write(self, row: Mapping[str, Any]) -> None:
        steps, seconds = row["step"] - self._start[0], row["wall_s"] - self._start[1]
        rate = steps / max(seconds, 1e-9)
        self._progress.row(row, rate=rate, remaining_s=self._remaining(row, rate))

    def close(self) -> None:
        self._progress.close()

    def _remaining(self, row: Mapping[str, Any], rate: float) -> float | None:
        stop = self._stop
        ends = [stop.max_steps, stop.max_epochs and stop.max_epochs * self._per_epoch]
        left = [(end - row["step"]) / rate for end in ends if end and rate > 0]
        left += [stop.max_seconds - row["wall_s"]] if stop.max_seconds else []
        return max(0.0, min(left)) if left else None


class TensorBoard:
    """Each number of a row as a scalar under its own name, at the row's step."""

    def __init__(self, folder: str | Path) -> None:
        import tensorflow as tf

        self._tf = tf
        self._writer = tf.summary.create_file_writer(str(folder))

    def write(self, row: Mapping[str, Any]) -> None:
        with self._writer.as_default(step=int(row["step"])):
            for name, value in row.items():
                if isinstance(value, (int, float)) and name != "step":
                    self._tf.summary.scalar(name.replace(".", "/"), value)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

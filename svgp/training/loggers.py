"""Where rows go: JSON lines, and TensorBoard if asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from svgp import files
from svgp.errors import RunError


class JsonLines:
    """A file of JSON rows that is cut back to `keep` rows when opened, and then grows.

    Cutting drops the rows logged after a checkpoint, which a resumed run logs again. `rows` counts
    what the file holds. Raises RunError where it cannot be written, or holds fewer than `keep` rows.
    """

    def __init__(self, path: str | Path, keep: int = 0) -> None:
        self.path = Path(path)
        kept = files.read_json_lines(self.path)[:keep]
        if len(kept) < keep:
            raise RunError(
                f"{self.path}: holds {len(kept)} rows where the checkpoint says {keep}; it is damaged"
            )
        self.rows = keep
        try:
            self._cut(keep)
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
        self._file.close()

    def _cut(self, keep: int) -> None:
        if not self.path.exists():
            return
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        if len(lines) > keep:
            files.write_text(self.path, "".join(lines[:keep]))


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

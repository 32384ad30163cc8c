"""Writing files so that a crash, a full disk or a second reader never meets half of one.

Every writer goes to a temporary name beside its target, syncs, and renames.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from svgp.errors import RunError


def write_bytes(path: str | Path, data: bytes) -> None:
    """Replace `path` by `data` atomically; its folder is made if it is missing. Raises RunError."""
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        _sync_directory(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Replace `path` by UTF-8 `text` atomically. Raises RunError."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | Path, value: Any) -> None:
    """Replace `path` by indented JSON atomically; NaN and infinities become null. Raises RunError."""
    write_text(path, json_text(value) + "\n")


def json_text(value: Any) -> str:
    """Indented JSON; NaN and infinities become null, NumPy arrays lists, paths text."""
    return json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False)


def append_json_line(file: TextIO, row: Mapping[str, Any]) -> None:
    """Write one row to an open JSON-lines file and flush it; NaN and infinities become null.

    In ASCII: a crash then tears no character, and no reader takes a Unicode line separator for a new row.
    """
    file.write(json.dumps(_finite(dict(row)), allow_nan=False) + "\n")
    file.flush()


def read_json(path: str | Path) -> Any:
    """Parse a JSON file. Raises RunError that names the file."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read as JSON ({error}); the file is damaged") from error


def read_object(path: str | Path) -> dict[str, Any]:
    """Parse a JSON file that holds an object. Raises RunError that names the file."""
    value = read_json(path)
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise RunError(f"{path}: holds {kind} where an object is expected; the file is damaged")
    return value


def read_json_lines(path: str | Path) -> list[dict[str, Any]]:
    """Rows of a JSON-lines file. A torn last line (a crash while it was written) is left out.

    A missing file has no rows. Raises RunError at a damaged line that is not the last.
    """
    try:
        lines = Path(path).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror or error})") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("no object")
            rows.append(row)
        except ValueError as error:
            if number == len(lines):
                break
            raise RunError(f"{path}:{number}: not a JSON row; the file is damaged") from error
    return rows


@contextmanager
def new_directory(path: str | Path) -> Iterator[Path]:
    """A temporary folder that becomes `path` when the block ends well, and vanishes when it does not.

    An existing `path` is replaced, only after the new one is whole on disk. Raises RunError.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        os.chmod(temporary, 0o777 & ~_umask())
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync_file(file)
        _replace_directory(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def take_up(folder: Path, ours: Callable[[str], bool]) -> None:
    """Remove what writers of files and folders `ours` have left in `folder` where they were killed.

    A folder that had stepped aside for a new one, which never came, is put back. Only while nobody writes.
    """
    for path in sorted(folder.glob(".*")) if folder.is_dir() else ():
        found = _LEFT.fullmatch(path.name)
        if found is None or not ours(found["name"]):
            continue
        aside, place = path / found["name"], folder / found["name"]
        if found["old"] and aside.exists() and not place.exists():
            os.replace(aside, place)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


_LEFT = re.compile(r"\.(?P<name>.+?)\.(?P<old>old\.)?[a-z0-9_]{8}")  # as tempfile names them


def cannot_write(path: str | Path, error: OSError) -> RunError:
    """The one message for a failed write."""
    reason = error.strerror or str(error)
    return RunError(
        f"{path}: cannot be written ({reason}); check the folder's permissions and the free disk space"
    )


def _replace_directory(new: Path, path: Path) -> None:
    if path.exists():
        # A directory cannot be renamed over a full one: the old one steps aside first, and goes last.
        old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
        try:
            os.replace(path, old / path.name)
            os.replace(new, path)
        except BaseException:
            if (old / path.name).exists():
                os.replace(old / path.name, path)
            old.rmdir()
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(new, path)
    _sync_directory(path.parent)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_directory(path: Path) -> None:
    if os.name == "posix":
        _sync_file(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        return _finite(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value

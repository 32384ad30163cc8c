"""Tables in an object store or another file system that pyarrow knows, by URI: s3://bucket/folder.

A RemotePath has what the readers of Parquet ask of a `pathlib.Path`, and no more. Whatever goes wrong in the
store (no such bucket, no credentials, a pyarrow that was built without that file system) is one DataError.
Credentials are those of the environment, as the store's own tools find them; options such as a region or an
endpoint stand in the URI (`s3://bucket/folder?region=eu-west-1`): see pyarrow.fs.FileSystem.from_uri.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any, cast

from svgp.errors import DataError

SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs", "file")
_URI = re.compile(rf"({'|'.join(SCHEMES)}):/")


def is_remote(path: object) -> bool:
    """Whether `path` is a URI of one of SCHEMES, or was one before it became a Path, which drops a slash."""
    return isinstance(path, RemotePath) or _URI.match(str(path)) is not None


def table_path(path: object) -> Path:
    """The path of a table, here or (typed as a Path all the same) in a store."""
    if isinstance(path, (Path, str)) and not is_remote(path):
        return Path(path)
    return cast(Path, path if isinstance(path, RemotePath) else RemotePath(_whole(str(path))))


def _whole(text: str) -> str:
    scheme, rest = text.split(":", 1)
    rest = rest.lstrip("/")
    return f"{scheme}:///{rest}" if scheme == "file" else f"{scheme}://{rest}"


@lru_cache(maxsize=64)
def open_store(uri: str) -> tuple[Any, str]:
    """The file system of a URI, and the path in it."""
    from pyarrow.fs import FileSystem

    filesystem, place = FileSystem.from_uri(uri)
    return filesystem, str(place)


class RemotePath:
    """A file or folder in a store."""

    def __init__(self, uri: str, found: tuple[Any, Any] | None = None) -> None:
        self.uri = uri
        self._found = found  # file system and pyarrow.fs.FileInfo, where a listing gave them

    def __str__(self) -> str:
        return self.uri

    def __repr__(self) -> str:
        return f"RemotePath({self.uri!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and self.uri == other.uri

    def __hash__(self) -> int:
        return hash(self.uri)

    def __lt__(self, other: RemotePath) -> bool:
        return self.uri < other.uri

    @property
    def name(self) -> str:
        """The last part, without the options."""
        return self.uri.split("?", 1)[0].rstrip("/").rsplit("/", 1)[-1]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def store(self) -> Any:
        """The pyarrow.fs.FileSystem. Raises DataError."""
        return self._known[0]

    @property
    def place(self) -> str:
        """The path within the store."""
        return str(self._known[1].path)

    def is_dir(self) -> bool:
        """Whether it is a folder, or what object stores have for one."""
        return bool(self._known[1].type.name == "Directory")

    def is_file(self) -> bool:
        """Whether it is a file."""
        return bool(self._known[1].type.name == "File")

    def exists(self) -> bool:
        """Whether there is anything."""
        return bool(self._known[1].type.name != "NotFound")

    def stat(self) -> SimpleNamespace:
        """With `st_size`, in bytes."""
        return SimpleNamespace(st_size=self._known[1].size or 0)

    def rglob(self, pattern: str) -> Iterator[RemotePath]:
        """What is in the folder and those in it, and has a name like `pattern`."""
        from pyarrow.fs import FileSelector

        with self.asked():
            found = self.store.get_file_info(FileSelector(self.place, recursive=True))
        base, options = self.uri.partition("?")[::2]
        for info in found:
            if fnmatch(info.base_name, pattern):
                inner = info.path.removeprefix(self.place.rstrip("/")).lstrip("/")
                uri = f"{base.rstrip('/')}/{inner}" + (f"?{options}" if options else "")
                yield RemotePath(uri, (self.store, info))

    def relative_to(self, folder: RemotePath) -> PurePosixPath:
        """Its path within a folder."""
        return PurePosixPath(self.place).relative_to(PurePosixPath(folder.place))

    def open(self, mode: str = "rb") -> Any:
        """A file to read bytes from."""
        with self.asked():
            return self.store.open_input_stream(self.place)

    @cached_property
    def _known(self) -> tuple[Any, Any]:
        if self._found is not None:
            return self._found
        with self.asked():
            filesystem, place = open_store(self.uri)
            return filesystem, filesystem.get_file_info(place)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Turn what the store answers with into a DataError."""
        import pyarrow as pa

        try:
            yield
        except (OSError, pa.ArrowException, ValueError, NotImplementedError) as error:
            raise self.failure(error) from error

    def failure(self, error: BaseException) -> DataError:
        """What to tell a person."""
        reason = " ".join(str(error).split())
        if "without" in reason and ("built" in reason or "compiled" in reason):
            what = "install a pyarrow that has this file system, or copy the table to this machine"
        else:
            what = (
                "(a) is the name right? (b) are credentials in the environment, as the store's own tools "
                "want them? (c) does the URI lack an option, such as ?region= or ?endpoint_override=?"
            )
        return DataError(f"{self.uri}: cannot be read: {reason}; {what}")
